//! What is tried, and which promise it is about.

use jiff::SignedDuration;

use super::gate::{Call, RETRY_AFTER, Strike};
use super::life::{Difference, Kind, Life, Setup, Wrong, minutes};
use super::script::{FIRST, NEWER, RENAMED, RENAMED_THIRD, SECOND, THIRD};
use super::{ConformanceService, Edit, Report};
use crate::engine::{ConnectionStatus, Counts};
use crate::model::{Author, Delivery};
use crate::testing::Fault;

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
        Kind::Push => 14,
        Kind::Registered => 13,
        Kind::Schedule => 27,
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

/// A whole life in which nothing goes wrong, with everything that can be seen of it.
pub(super) async fn plain<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) -> (Vec<Call>, usize) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        enter(report, &[], "", life.take_failures(), |_| 16);
        return (Vec::new(), 0);
    }
    let found = life.differences().await;
    enter(report, &[1, 5, 16, 20], "after the first walk", found, blame);
    if !life.gate.with(|service| service.registrations()).is_empty() {
        report.check(13, None);
    }
    if life.items().iter().any(|item| item.created_at.is_some()) {
        report.check(22, None);
    }
    authors(&life, report).await;
    unread(&life, report).await;

    let before = life.gate.count();
    life.outside().await;
    let found = life.differences().await;
    enter(report, &[30], "after changes at the service", found, blame);
    silent(&life, report, before, "a change at the service");

    life.inside().await;
    let found = life.differences().await;
    enter(report, &[], "after changes of the user", found, blame);
    formatting(&mut life, report).await;
    for echo in ["first", "second"] {
        let (before, notes) = (life.gate.count(), note_count(&life).await);
        life.look().await;
        silent(&life, report, before, &format!("the {echo} echo of the user's changes"));
        let now = note_count(&life).await;
        let grown = (now != notes).then(|| format!("the {echo} echo made {notes} notes {now}"));
        report.check(19, grown);
    }
    let found = life.differences().await;
    enter(report, &[], "after the echoes", found, blame);

    life.both().await;
    let renamed = life.items().iter().any(|item| item.title == RENAMED_THIRD);
    let old = life.items().iter().any(|item| item.title == THIRD);
    let undone = "someone else gave an item another title, and the user's change of its status undid that";
    report.check(24, (old && !renamed && renames(&life)).then(|| undone.to_owned()));
    let found = life.differences().await;
    enter(report, &[24], "after both ends changed one item", found, blame);

    late(&mut life, report).await;
    quiet(&mut life, report).await;
    let found = life.rest().await;
    enter(report, &[19, 10], "at the end", found, blame);
    secrets(&life, report).await;
    let (calls, commits) = (life.gate.calls_after(0), life.commits());
    upgrade(&mut life, report).await;
    end(&mut life, report).await;
    (calls, commits)
}

/// Whether others can give items another title at the service.
fn renames<S: ConformanceService>(life: &Life<'_, S>) -> bool {
    life.items().iter().any(|item| item.title == RENAMED)
}

async fn note_count<S: ConformanceService>(life: &Life<'_, S>) -> usize {
    let mut count = 0;
    for link in life.links().await {
        count += life.notes(&link).await.len();
    }
    count
}

/// Nothing was written while the user did nothing.
fn silent<S: ConformanceService>(life: &Life<'_, S>, report: &mut Report, before: usize, when: &str) {
    let writes = life.gate.calls_after(before).into_iter().filter(|call| call.is_write);
    report.check(19, writes.map(|call| format!("{when} led to `{}`", call.what)));
}

/// Those who wrote are people.
async fn authors<S: ConformanceService>(life: &Life<'_, S>, report: &mut Report) {
    let mut nobody = Vec::new();
    for link in life.links().await {
        let title = link.link.title.clone().unwrap_or_default();
        if let Author::Person(actor) = &link.link.author
            && actor.id.is_empty()
        {
            nobody.push(format!("the author of `{title}` has no id"));
        }
    }
    report.check(18, nobody);
}

/// A backfill marks nothing unread.
async fn unread<S: ConformanceService>(life: &Life<'_, S>, report: &mut Report) {
    let links = life.links().await;
    let threads = links.iter().map(|row| row.link.thread).collect();
    let marks = life.engine().user_threads(life.user.clone(), threads).await.unwrap_or_default();
    let unread = links.iter().zip(marks).filter(|(_, marks)| marks.as_ref().is_some_and(|marks| marks.unread));
    report.check(
        21,
        unread.map(|(row, _)| format!("the backfill made `{}` unread", row.link.title.clone().unwrap_or_default())),
    );
}

/// What the user wrote stays as they wrote it, whatever the service makes of it.
async fn formatting<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report) {
    const RICH: &str = "Some *rich* and **bold** words.";
    if !life.reply(SECOND, RICH).await {
        return;
    }
    life.advance(minutes(5)).await;
    life.look().await;
    let Some(link) = life.link(SECOND).await else { return };
    let notes = life.notes(&link).await;
    let kept = notes.iter().any(|row| row.note.content == RICH);
    let texts = || notes.iter().map(|row| format!("`{}`", row.note.content)).collect::<Vec<_>>().join(", ");
    let lost =
        (!kept).then(|| format!("the user wrote `{RICH}`, and after the service returned it there are {}", texts()));
    // What the service made of it need not be what is shown here, so this one is not compared.
    report.check(25, lost);
}

/// What shows up late is found: with an older time than what is known, and with the same one.
async fn late<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report) {
    let Some(channel) = life.channels.first().cloned() else { return };
    let newest = life.now();
    life.make(&channel, "Newest item", newest);
    life.look().await;
    life.make(&channel, "Item of the same second", newest);
    life.make(&channel, "Item indexed late", newest - SignedDuration::from_secs(30));
    life.look().await;
    let found = life.differences().await;
    enter(report, &[30], "of what was indexed late", found, blame);
}

/// When nothing happens, what is done does not grow.
async fn quiet<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report) {
    const LOOKS: usize = 4;
    let mut calls = Vec::new();
    for _ in 0..3 {
        let before = life.gate.count();
        for _ in 0..LOOKS {
            life.look().await;
        }
        calls.push(life.gate.count() - before);
    }
    // Some come by chance, as times do not divide evenly; work that forks doubles.
    let grows = calls.last().zip(calls.first()).is_some_and(|(last, first)| 2 * last > 3 * first + 6);
    let grown = grows.then(|| format!("the calls in times in which nothing happens grow: {calls:?}"));
    report.check(2, grown);
    // It has to go on, too: later changes are still found.
    if life.edit(NEWER, &Edit::Note("A late note.".to_owned())) {
        life.look().await;
        let found = life.differences().await;
        enter(report, &[2], "after a quiet time", found, |_| 2);
    }
}

/// No token is where it can be seen.
async fn secrets<S: ConformanceService>(life: &Life<'_, S>, report: &mut Report) {
    let token = life.gate.token();
    let mut seen: Vec<_> =
        life.gate.exposed().into_iter().map(|url| format!("the token is in the URL of a request to {url}")).collect();
    let Some(id) = life.connection else { return };
    for (key, value) in life.runtime().state(id, "").await.unwrap_or_default() {
        if value.to_string().contains(token.expose()) {
            seen.push(format!("the token is in the state, in `{key}`"));
        }
    }
    for link in life.links().await {
        let mut texts = vec![serde_json::to_string(&link.link).unwrap_or_default()];
        texts.extend(life.notes(&link).await.iter().map(|row| serde_json::to_string(&row.note).unwrap_or_default()));
        if texts.iter().any(|text| text.contains(token.expose())) {
            seen.push(format!("the token is in `{}`", link.link.title.unwrap_or_default()));
        }
    }
    seen.dedup();
    report.check(29, seen);
}

/// A new version of the connector finds what the old one left.
async fn upgrade<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report) {
    life.change_options().await;
    life.upgrade().await;
    life.edit(RENAMED, &Edit::Note("A note after the upgrade.".to_owned()));
    life.look().await;
    let found = life.differences().await;
    enter(report, &[9], "after an upgrade", found, |_| 9);
}

/// Disables and disconnects: nothing is left, here or at the service.
async fn end<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report) {
    for channel in life.channels.clone() {
        life.disable(&channel).await;
    }
    life.advance(minutes(5)).await;
    let mut left: Vec<_> = life
        .gate
        .with(|service| service.registrations())
        .into_iter()
        .map(|url| format!("{url} is still registered"))
        .collect();
    for row in life.links().await {
        left.push(format!("`{}` is still shown", row.link.title.unwrap_or_default()));
    }
    if let Some(id) = life.connection {
        for (key, _) in life.runtime().state(id, "").await.unwrap_or_default() {
            if life.channels.iter().any(|channel| key.contains(channel.as_str())) {
                left.push(format!("the state still has `{key}`"));
            }
        }
    }
    report.check(8, left.into_iter().map(|left| format!("after the channels were disabled: {left}")));
    let before = life.gate.count();
    // The channels are still listed now and then, in case there are new ones.
    let listing =
        |life: &Life<'_, S>| life.gate.calls_after(before).into_iter().map(|call| call.what).collect::<Vec<_>>();
    life.look().await;
    let calls = listing(life);
    report.check(8, calls.into_iter().map(|call| format!("after the channels were disabled: `{call}`")));
    life.disconnect().await;
    let before = life.gate.count();
    life.advance(SignedDuration::from_hours(48)).await;
    let calls = life.gate.calls_after(before);
    report.check(8, calls.into_iter().map(|call| format!("after the connection was removed: `{}`", call.what)));
    let counts = life.engine().counts().await.unwrap_or_default();
    let left = (counts != Counts::default()).then(|| format!("after the connection was removed: {counts:?}"));
    report.check(8, left);
    enter(report, &[], "at the end", life.take_failures(), |_| 8);
}

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

/// The grant is revoked, and given again.
pub(super) async fn revoked<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    if setup.connector.declaration.provider.is_none() {
        return;
    }
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    life.gate.revoke();
    life.outside().await;
    let status = match life.connection {
        Some(id) => life.runtime().connection(id).await.map(|row| row.status).ok(),
        None => None,
    };
    let unseen = (status != Some(ConnectionStatus::NeedsReauth)).then(|| {
        format!("the token is refused, and the connection is {}", status.map_or("gone", ConnectionStatus::as_str))
    });
    report.check(12, unseen);
    // While it waits, the user goes on.
    life.reply(SECOND, "A note of the user.").await;
    life.set_status(SECOND).await;
    life.advance(SignedDuration::from_hours(24)).await;
    let before = life.gate.count();
    life.look().await;
    let calls = life.gate.count() - before;
    report.check(12, (calls > 0).then(|| format!("{calls} calls with a token that is refused")));
    life.reauthorize().await;
    let found = life.rest().await;
    enter(report, &[12], "after a new authorization", found, |kind| match kind {
        Kind::State => 1,
        Kind::Twice => 20,
        Kind::NoteTwice | Kind::Writes => 19,
        _ => 12,
    });
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

/// Twice as many items are not twice as many calls in one run.
pub(super) async fn volume<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    const ITEMS: i64 = 150;
    let mut most = Vec::new();
    for items in [ITEMS, 2 * ITEMS] {
        let mut life = Life::new(setup, Wrong::default()).await;
        report.lived();
        if !life.connect().await {
            return;
        }
        let Some(channel) = life.channels.first().cloned() else { return };
        for item in 0..items {
            let at = life.now() - minutes(items * 2 - item);
            life.make(&channel, &format!("Item {item}"), at);
        }
        life.enable(&channel).await;
        life.settle().await;
        let found = life.differences().await;
        let short = found.into_iter().take(3).collect();
        enter(report, &[1], &format!("of {items} items"), short, |kind| if kind == Kind::State { 1 } else { 7 });
        most.push(life.most_calls);
    }
    let grows = most.last() > most.first();
    let grown = grows.then(|| {
        format!("the calls of one run grow with the number of items: {most:?} for {ITEMS} and {} items", 2 * ITEMS)
    });
    report.check(4, grown);
}

/// An item is the same whether it came in one go or bit by bit.
pub(super) async fn same<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.live().await {
        return;
    }
    let followed = shown(&life).await;
    let Some(id) = life.connection else { return };
    life.disconnect().await;
    if !life.connect().await || life.connection == Some(id) {
        return;
    }
    for channel in life.channels.clone() {
        life.enable(&channel).await;
    }
    life.advance(minutes(5)).await;
    let fetched = shown(&life).await;
    let differ =
        followed.iter().filter(|(title, _)| title != super::script::COMPOSED).filter_map(|(title, followed)| {
            let (_, fetched) = fetched.iter().find(|(other, _)| other == title)?;
            let what = first_difference(followed, fetched)?;
            Some(format!("`{title}` differs by how it came: {what}"))
        });
    report.check(23, differ);
}

/// What is shown of each item, without what is the host's own.
async fn shown<S: ConformanceService>(life: &Life<'_, S>) -> Vec<(String, serde_json::Map<String, serde_json::Value>)> {
    let mut shown = Vec::new();
    for row in life.links().await {
        let title = row.link.title.clone().unwrap_or_default();
        let mut fields = match serde_json::to_value(&row.link) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => continue,
        };
        for own in ["id", "thread", "delivery"] {
            fields.remove(own);
        }
        let mut notes: Vec<_> = life
            .notes(&row)
            .await
            .into_iter()
            // What did not arrive is here alone.
            .filter(|row| !matches!(row.note.delivery, Some(Delivery::Failed { .. })))
            .map(|row| format!("{} {:?} {}", row.note.content, row.note.key, row.note.occurred_at))
            .collect();
        notes.sort();
        fields.insert("notes".to_owned(), notes.into());
        shown.push((title, fields));
    }
    shown
}

fn first_difference(
    followed: &serde_json::Map<String, serde_json::Value>,
    fetched: &serde_json::Map<String, serde_json::Value>,
) -> Option<String> {
    let names = followed.keys().chain(fetched.keys().filter(|name| !followed.contains_key(*name)));
    let mut differ = names.filter(|name| followed.get(*name) != fetched.get(*name));
    differ.next().map(|name| {
        let text = |fields: &serde_json::Map<String, serde_json::Value>| {
            fields.get(name).map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        format!("`{name}` is {} when it is followed, and {} when it is fetched", text(followed), text(fetched))
    })
}

/// Many pushes at once are few calls, and none of them is lost.
pub(super) async fn burst<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    const PUSHES: usize = 50;
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await || life.gate.with(|service| service.registrations()).is_empty() {
        return;
    }
    let before = life.gate.count();
    for number in 0..PUSHES {
        life.edit(SECOND, &Edit::Note(format!("Note {number} of a burst.")));
    }
    life.advance(minutes(5)).await;
    let calls = life.gate.count() - before;
    report.check(3, (calls > PUSHES / 2).then(|| format!("{PUSHES} pushes at once led to {calls} calls")));
    let found = life.differences().await;
    enter(report, &[3, 14], "after a burst of pushes", found, |kind| match kind {
        Kind::Push | Kind::Registered => blame(kind),
        _ => 3,
    });
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    /// From zero to below this.
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64, by Steele, Lea and Flood (2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % (sides.max(1) as u64)).unwrap_or(0)
    }
}

/// A week in which both ends edit at random, and the host is killed at random.
pub(super) async fn week<S: ConformanceService>(setup: &Setup<S>, report: &mut Report, seed: u64, kills: usize) {
    const MINUTES: usize = 7 * 24 * 60;
    const FEWEST: usize = 20;
    const MOST_ITEMS: usize = 40;
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    let mut dice = Dice(seed);
    let steps = kills.max(FEWEST);
    for number in 0..steps {
        let items = life.items();
        let Some(title) = items.get(dice.roll(items.len())).map(|item| item.title.clone()) else { return };
        match dice.roll(6) {
            0 if items.len() < MOST_ITEMS => {
                let channel = life.channels.get(dice.roll(life.channels.len())).cloned();
                channel.map(|channel| life.make(&channel, &format!("Item {number} of the week"), life.now()));
            }
            1 => drop(life.edit(&title, &Edit::Note(format!("Note {number} from elsewhere.")))),
            2 => drop(life.edit(&title, &Edit::Title(format!("Item with name {number}")))),
            3 => drop(life.reply(&title, &format!("Note {number} of the user.")).await),
            4 => drop(life.set_status(&title).await),
            _ => {}
        }
        if life.crashes < kills {
            life.kill_soon(dice.roll(8), dice.roll(2) == 0, dice.roll(2) == 0);
        }
        life.advance(minutes(i64::try_from(1 + dice.roll(2 * MINUTES / steps)).unwrap_or(1))).await;
    }
    life.spare_all();
    let when = format!("a week with {} kills (seed {seed})", life.crashes);
    let found = life.rest().await;
    enter(report, &[7, 8, 19, 20], &when, found, blame_crash);
}
