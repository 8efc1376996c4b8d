//! Lives in which calls fail and the host is killed.

use jiff::SignedDuration;

use super::super::gate::{Call, RETRY_AFTER, Strike};
use super::super::life::{Kind, Life, Setup, Wrong};
use super::super::script::{FIRST, SECOND};
use super::super::{ConformanceService, Edit, Report};
use super::{blame, blame_crash, blame_fault, call_points, enter, points};
use crate::model::Delivery;
use crate::testing::Fault;

/// Each fault strikes each call in turn.
pub(super) async fn faults<S: ConformanceService>(setup: &Setup<S>, report: &mut Report, calls: &[Call]) {
    let strikes = [
        Strike::TooMany,
        Strike::Failed,
        Strike::NoConnection,
        Strike::Timeout,
        Strike::Truncated,
        Strike::KillBefore,
        Strike::KillAfter,
        Strike::Rotate,
    ];
    for strike in strikes {
        if strike == Strike::Rotate && setup.connector.declaration.provider.is_none() {
            continue;
        }
        for at in call_points(calls, setup.points) {
            let mut life = Life::new(setup, Wrong { call: Some((at, strike)), ..Wrong::default() }).await;
            report.lived();
            life.live().await;
            let found = life.rest().await;
            let what = calls.get(at).map_or("", |call| call.what.as_str());
            let when = format!("{} call {} (`{what}`)", after(strike), at + 1);
            match strike {
                Strike::KillBefore | Strike::KillAfter => enter(report, &[7, 8, 19, 20], &when, found, blame_crash),
                strike => {
                    let kept: &[u8] = match strike {
                        Strike::Rotate => &[15],
                        Strike::TooMany => &[11],
                        _ => &[7, 10, 19, 20],
                    };
                    enter(report, kept, &when, found, |kind| blame_fault(strike, kind));
                }
            }
            if strike == Strike::TooMany {
                patient(&life, report, &when);
            }
        }
    }
}

fn after(strike: Strike) -> String {
    match strike {
        Strike::KillBefore | Strike::KillAfter | Strike::Rotate => strike.name().to_owned(),
        strike => format!("after {} at", strike.name()),
    }
}

/// Who is told to wait does not ask for the same thing meanwhile.
fn patient<S: ConformanceService>(life: &Life<'_, S>, report: &mut Report, when: &str) {
    let calls = life.gate.calls_after(0);
    let Some(place) = calls.iter().position(|call| call.struck == Some(Strike::TooMany)) else { return };
    let Some(struck) = calls.get(place) else { return };
    let until = struck.at + SignedDuration::from_secs(i64::from(RETRY_AFTER));
    let hasty = calls.iter().skip(place + 1).filter(|call| call.at < until && call.what == struck.what).count();
    report.check(
        11,
        (hasty > 0)
            .then(|| format!("{when}: it was asked {hasty} times more in the {RETRY_AFTER} s that it said to wait")),
    );
}

/// The host is killed before and after each commit.
pub(super) async fn crashes<S: ConformanceService>(setup: &Setup<S>, report: &mut Report, commits: usize) {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for at in points(commits, setup.points) {
            let mut life = Life::new(setup, Wrong { commit: Some((at, fault.clone())), ..Wrong::default() }).await;
            report.lived();
            life.live().await;
            let found = life.rest().await;
            let place = if matches!(fault, Fault::CrashBefore) { "before" } else { "after" };
            enter(report, &[7, 8, 19, 20], &format!("a kill {place} commit {}", at + 1), found, blame_crash);
        }
    }
}

/// The service refuses for good what the user does.
pub(super) async fn refused<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    life.gate.reject_writes(true);
    let before = life.gate.count();
    let (replied, changed) = (life.reply(SECOND, "A note of the user.").await, life.set_status(FIRST).await);
    life.advance(SignedDuration::from_hours(24)).await;
    let writes = life.gate.calls_after(before).iter().filter(|call| call.is_write).count();
    // Some need more than one request for an edit, or try another way.
    let most = 3 * (usize::from(replied) + usize::from(changed));
    report.check(
        10,
        (writes > most).then(|| format!("what the service refuses for good was asked for {writes} times in a day")),
    );
    if replied && let Some(link) = life.link(SECOND).await {
        let notes = life.notes(&link).await;
        let shown = notes.iter().any(|row| matches!(row.note.delivery, Some(Delivery::Failed { .. })));
        report.check(10, (!shown).then(|| "the service refused a note, and the user does not see it".to_owned()));
    }
}

/// The service does not know the cursors any more that it gave.
pub(super) async fn expired<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await || !life.gate.with(|service| service.expire_cursors()) {
        return;
    }
    life.outside().await;
    let found = life.differences().await;
    enter(report, &[10], "after the cursors had expired", found, |kind| match kind {
        Kind::Missing | Kind::Foreign | Kind::NoteMissing | Kind::NoteForeign | Kind::Status => 10,
        kind => blame(kind),
    });
    life.edit(SECOND, &Edit::Note("A note after that.".to_owned()));
    life.look().await;
    let found = life.differences().await;
    enter(report, &[10], "with new cursors", found, |_| 10);
}

/// The host starts from a backup, and its user goes on: what they write is no repetition for the service.
pub(super) async fn restored<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    let backup = life.host.engine().restored();
    if !life.reply(SECOND, "A note that the backup does not have.").await {
        return;
    }
    life.advance(SignedDuration::from_mins(5)).await;
    life.restore(backup).await;
    life.reply(SECOND, "A note after the backup.").await;
    life.advance(SignedDuration::from_mins(5)).await;
    life.look().await;
    let found = life.differences().await;
    enter(report, &[35], "after a start from a backup", found, |kind| match kind {
        Kind::NoteForeign | Kind::NoteMissing => 35,
        kind => blame(kind),
    });
}
