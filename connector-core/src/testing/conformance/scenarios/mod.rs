//! What is tried, and which promise it is about.

mod faults;
mod grants;
mod leftovers;
mod pairs;
mod plain;
mod pushing;
mod walks;
mod week;

use super::gate::{Call, Strike};
use super::life::{Difference, Kind, Life, Setup};
use super::{ConformanceService, Promise, Report, calendar};

pub(super) use week::week;

/// Every life, until one shows that there is no end to what it does. Each on the heap: unoptimized, they are too large
/// for the stack of a test.
pub(super) async fn all<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let Some(lived) = Box::pin(plain::plain(setup, report)).await else { return };
    if report.failed().contains(&Promise::new(2)) {
        return;
    }
    Box::pin(leftovers::leftovers(setup, report)).await;
    Box::pin(grants::revoked(setup, report)).await;
    Box::pin(grants::declined(setup, report)).await;
    Box::pin(faults::refused(setup, report)).await;
    Box::pin(faults::restored(setup, report)).await;
    Box::pin(faults::expired(setup, report)).await;
    Box::pin(walks::wrong_clocks(setup, report)).await;
    Box::pin(walks::endless(setup, report)).await;
    Box::pin(walks::deleted(setup, report)).await;
    Box::pin(walks::odd(setup, report)).await;
    Box::pin(pairs::volume(setup, report)).await;
    Box::pin(pairs::same(setup, report)).await;
    Box::pin(pushing::overtaken(setup, report)).await;
    Box::pin(pushing::burst(setup, report)).await;
    Box::pin(pushing::registrations(setup, report)).await;
    Box::pin(pushing::unregistered(setup, report, &lived.registering)).await;
    Box::pin(faults::faults(setup, report, &lived.calls)).await;
    Box::pin(faults::crashes(setup, report, lived.commits)).await;
    Box::pin(calendar::any_order(setup, report)).await;
    Box::pin(week(setup, report, 1, 4 * setup.points)).await;
}

/// What a life has shown of a connector that others are planned by.
struct Lived {
    calls: Vec<Call>,
    commits: usize,
    /// The kinds of calls that registered endpoints.
    registering: Vec<String>,
}

/// Errors of the framework that name what is wrong, and the promise that it breaks.
const NAMED: [(&str, u8); 2] = [("it must return fast", 5), ("among the URLs that the connector declares", 12)];

/// The promise that a difference breaks, in a life in which nothing went wrong.
pub(super) fn blame(kind: Kind) -> u8 {
    match kind {
        Kind::Missing | Kind::Foreign | Kind::NoteMissing => 30,
        Kind::Twice => 20,
        Kind::NoteTwice | Kind::Writes => 19,
        Kind::NoteForeign => 16,
        Kind::Status => 24,
        Kind::Time => 22,
        Kind::State => 1,
        Kind::Dead | Kind::Action => 10,
        Kind::Forged => 14,
        Kind::Schedule => 27,
        Kind::Push | Kind::Registered => 13,
    }
}

/// The promise that a difference breaks, after a call has failed.
fn blame_fault(strike: Strike, kind: Kind) -> u8 {
    match (kind, strike) {
        (
            Kind::Twice
            | Kind::NoteTwice
            | Kind::Writes
            | Kind::Time
            | Kind::State
            | Kind::Push
            | Kind::Forged
            | Kind::Registered
            | Kind::Schedule,
            _,
        ) => blame(kind),
        (_, Strike::Rotate) => 15,
        (_, Strike::TooMany) => 11,
        (Kind::Missing | Kind::Foreign | Kind::NoteMissing, _) => 7,
        (Kind::NoteForeign | Kind::Status | Kind::Dead | Kind::Action, _) => 10,
    }
}

/// The promise that a difference breaks, after the host was killed.
fn blame_crash(kind: Kind) -> u8 {
    match kind {
        Kind::Missing | Kind::Foreign | Kind::NoteMissing => 7,
        Kind::NoteForeign | Kind::Status | Kind::Dead | Kind::Action => 8,
        other => blame(other),
    }
}

/// Enters what was found, and that nothing else was.
pub(super) fn enter(report: &mut Report, kept: &[u8], when: &str, found: Vec<Difference>, blame: impl Fn(Kind) -> u8) {
    for promise in kept {
        report.check(*promise, None);
    }
    for (kind, what) in found {
        let named = NAMED.into_iter().find(|(error, _)| what.contains(error));
        let promise = named.map_or_else(|| blame(kind), |(_, promise)| promise);
        report.check(promise, [if when.is_empty() { what } else { format!("{when}: {what}") }]);
    }
}

/// Nothing was written while the user did nothing.
fn silent<S: ConformanceService>(life: &Life<'_, S>, report: &mut Report, before: usize, when: &str) {
    let writes = life.gate.calls_after(before).into_iter().filter(|call| call.is_write);
    report.check(19, writes.map(|call| format!("{when} led to `{}`", call.what)));
}

/// Some of so many points, evenly spread.
fn points(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |point| point * count / taken.max(1))
}

/// The points at which calls are struck: the first call of each kind, and others evenly spread.
fn call_points(calls: &[Call], most: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        let seen = calls.iter().take(place).any(|before| before.what == call.what);
        if !seen && chosen.len() < most {
            chosen.push(place);
        }
    }
    chosen.extend(points(calls.len(), most - chosen.len()));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}
