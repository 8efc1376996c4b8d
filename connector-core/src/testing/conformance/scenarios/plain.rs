//! A life in which nothing goes wrong, from its beginning to its end.

use jiff::SignedDuration;

use super::super::life::{Life, Setup, Wrong, minutes};
use super::super::script::{NEWER, RENAMED, RENAMED_NEWER, RENAMED_THIRD, SECOND, THIRD};
use super::super::{ConformanceService, Edit, Report};
use super::{Lived, blame, enter, silent};
use crate::engine::Counts;
use crate::model::Author;

/// A whole life in which nothing goes wrong, with everything that can be seen of it.
pub(super) async fn plain<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) -> Option<Lived> {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        enter(report, &[], "", life.take_failures(), |_| 16);
        return None;
    }
    let found = life.differences().await;
    enter(report, &[1, 5, 16, 20], "after the first walk", found, blame);
    if !life.gate.registrations().is_empty() {
        let (registered, expected) = (life.gate.registrations().len(), life.expected_registrations().await);
        let wrong = format!("{expected} endpoints are to be registered with the service, and {registered} are");
        report.check(13, (registered != expected).then_some(wrong));
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

    // Nothing of it comes back yet.
    life.pushes.held = true;
    life.inside().await;
    let found = life.differences().await;
    enter(report, &[19], "after changes of the user", found, blame);
    let mut notes = note_count(&life).await;
    life.pushes.held = false;
    for echo in ["first", "second"] {
        let before = life.gate.count();
        life.look().await;
        silent(&life, report, before, &format!("the {echo} echo of the user's changes"));
        let now = note_count(&life).await;
        let grown = (now != notes).then(|| format!("the {echo} echo made {notes} notes {now}"));
        report.check(19, grown);
        notes = now;
    }
    let found = life.differences().await;
    enter(report, &[], "after the echoes", found, blame);
    formatting(&mut life, report).await;

    life.both().await;
    let renamed = life.items().iter().any(|item| item.title == RENAMED_THIRD);
    let old = life.items().iter().any(|item| item.title == THIRD);
    let undone = "someone else gave an item another title, and the user's change of its status undid that";
    report.check(24, (old && !renamed && life.renamed_by_others()).then(|| undone.to_owned()));
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
    let mut registering: Vec<_> = calls.iter().filter(|call| call.registered).map(|call| call.what.clone()).collect();
    registering.sort();
    registering.dedup();
    Some(Lived { calls, commits, registering })
}

async fn note_count<S: ConformanceService>(life: &Life<'_, S>) -> usize {
    let mut count = 0;
    for link in life.links().await {
        count += life.notes(&link).await.len();
    }
    count
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
    let (mut calls, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let before = life.gate.count();
        for _ in 0..LOOKS {
            life.look().await;
        }
        calls.push(life.gate.count() - before);
        tasks.push(life.engine().counts().await.map(|counts| counts.tasks).unwrap_or_default());
    }
    // Some come by chance, as times do not divide evenly; work that forks doubles.
    let grows = calls.last().zip(calls.first()).is_some_and(|(last, first)| 2 * last > 3 * first + 6);
    let grown = grows.then(|| format!("the calls in times in which nothing happens grow: {calls:?}"));
    report.check(2, grown);
    // Work that forks need not call the service.
    let forks = tasks.is_sorted_by(|before, after| before < after);
    let grown = forks.then(|| format!("the tasks in times in which nothing happens grow: {tasks:?}"));
    report.check(2, grown);
    // It has to go on, too: later changes are still found.
    let note = Edit::Note("A late note.".to_owned());
    if life.edit(RENAMED_NEWER, &note) || life.edit(NEWER, &note) {
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
    // The channels are still listed now and then, in case there are new ones.
    let before = life.gate.count();
    life.list().await;
    let listing: Vec<_> = life.gate.calls_after(before).into_iter().map(|call| call.what).collect();
    for channel in life.channels.clone() {
        life.disable(&channel).await;
    }
    life.advance(minutes(5)).await;
    let mut left: Vec<_> =
        life.gate.registrations().into_iter().map(|url| format!("{url} is still registered")).collect();
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
    life.look().await;
    let calls = life.gate.calls_after(before).into_iter().filter(|call| !listing.contains(&call.what));
    report.check(8, calls.map(|call| format!("after the channels were disabled: `{}`", call.what)));
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
