//! Lives in which what a service lists is not as it should be: dated in the future, without end, deleted, odd.

use jiff::SignedDuration;

use super::super::life::{Kind, Life, Setup, Wrong};
use super::super::odd::Odd;
use super::super::script::{COMPOSED, FIRST, SECOND, THIRD, UNTOUCHED};
use super::super::{ConformanceService, Edit, Endless, Report};
use super::{blame, enter};
use crate::engine::{SyncState, Write, WriteSet};
use crate::value;

/// Calls that a walk over a few items is worth, at most, while its list has no end.
const MOST_CALLS: usize = 600;

/// An item is dated twenty years ahead, as one of a service with a wrong clock is. All that changes later is found.
pub(super) async fn wrong_clocks<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    let Some(channel) = life.channels.first().cloned() else { return };
    const AHEAD: &str = "Item of the future";
    // Pushes would find what a walk has missed.
    life.pushes.held = true;
    life.make(&channel, AHEAD, life.now() + SignedDuration::from_hours(24 * 365 * 20));
    life.look().await;
    life.make(&channel, "Item of the present", life.now());
    life.look().await;
    let mut found = life.differences().await;
    found.retain(|(kind, _)| matches!(kind, Kind::Missing | Kind::Dead | Kind::State));
    enter(report, &[31], "with an item that is dated in the future", found, |_| 31);
    life.pushes.held = false;
    life.edit(SECOND, &Edit::Note("A note of the present.".to_owned()));
    life.edit(AHEAD, &Edit::Note("A note on the future.".to_owned()));
    life.look().await;
    let found = life.differences().await;
    enter(report, &[31], "after edits, with an item that is dated in the future", found, |kind| match kind {
        Kind::Missing | Kind::NoteMissing | Kind::Status | Kind::State | Kind::Dead => 31,
        kind => blame(kind),
    });
}

/// A list leads in a circle, and later ends again.
pub(super) async fn endless<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    for how in [Endless::Itself, Endless::First, Endless::Again] {
        let mut life = Life::new(setup, Wrong::default()).await;
        report.lived();
        if !life.connect().await || !life.gate.with(|service| service.never_end(Some(how))) {
            return;
        }
        let Some(channel) = life.channels.first().cloned() else { return };
        for number in 1..=7 {
            let at = life.now() - SignedDuration::from_hours(number);
            life.make(&channel, &format!("Item {number} of a list without end"), at);
        }
        let before = life.gate.count();
        life.list().await;
        life.enable(&channel).await;
        life.advance(SignedDuration::from_mins(70)).await;
        let (calls, rows) = (life.gate.count() - before, life.channel_rows().await);
        let what = match how {
            Endless::Itself => "each page names itself as the next",
            Endless::First => "the last page leads to the first",
            Endless::Again => "the last page comes again and again",
        };
        let walks = rows.iter().any(|row| matches!(row.sync.state, SyncState::Queued | SyncState::Syncing));
        report.check(32, (calls > MOST_CALLS || life.endless).then(|| format!("{what}: {calls} calls in 70 minutes")));
        report.check(
            32,
            walks.then(|| format!("{what}: after 70 minutes the channel is still syncing, without a reason")),
        );
        if calls > MOST_CALLS || life.endless {
            return;
        }
        life.gate.with(|service| service.never_end(None));
        life.advance(SignedDuration::from_hours(2)).await;
        life.look().await;
        // What was given up is kept for people to see.
        let mut found = life.differences().await;
        found.retain(|(kind, _)| *kind != Kind::Dead);
        enter(report, &[32], &format!("{what}, and then there is an end"), found, |_| 32);
    }
}

/// Items are deleted at the service while the cursors of the syncs do not work any more.
pub(super) async fn deleted<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    // Nobody hears of it.
    life.pushes.held = true;
    if !life.edit(UNTOUCHED, &Edit::Delete) || !life.spoil_cursors().await {
        return;
    }
    life.gate.with(|service| service.expire_cursors());
    life.compose(COMPOSED).await;
    life.look().await;
    life.gate.take_pushes();
    life.pushes.held = false;
    let found = life.differences().await;
    enter(report, &[37], "after an item was deleted while a cursor had expired", found, |_| 37);
    life.edit(THIRD, &Edit::Note("A note after that.".to_owned()));
    life.look().await;
    let found = life.differences().await;
    enter(report, &[37], "with new cursors, after an item was deleted", found, |_| 37);
}

/// One item is not as the description of the service has it.
pub(super) async fn odd<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    const ODD: &str = "Odd item";
    for how in [Odd::Null, Odd::Types] {
        let mut life = Life::new(setup, Wrong::default()).await;
        report.lived();
        if !life.begin().await {
            return;
        }
        let Some(channel) = life.channels.first().cloned() else { return };
        life.gate.odd(Some((ODD, how)));
        life.make(&channel, ODD, life.now());
        life.make(&channel, "Sibling of an item", life.now());
        life.edit(FIRST, &Edit::Note("A note beside it.".to_owned()));
        life.look().await;
        let mut found = life.differences().await;
        found.retain(|(_, what)| !what.contains(ODD));
        let what = if how == Odd::Null { "an item that is null" } else { "an item with fields of other types" };
        enter(report, &[42], &format!("beside {what}"), found, |_| 42);
        let hidden = life.link(ODD).await.is_none() && life.left_out().await == 0;
        report.check(42, hidden.then(|| format!("{what} is left out, and nobody sees it")));
        life.gate.odd(None);
        // A change brings it again.
        let changed = life.edit(ODD, &Edit::Note("A note on what is not odd any more.".to_owned()))
            || life.edit(ODD, &Edit::Title("What was odd".to_owned()));
        if changed {
            life.look().await;
            let found = life.differences().await;
            enter(report, &[42], &format!("after {what} was mended"), found, |_| 42);
        }
    }
}

impl<S: ConformanceService> Life<'_, S> {
    /// Puts something else in the place of the cursors of all syncs. False if there are none.
    async fn spoil_cursors(&mut self) -> bool {
        let Some(id) = self.connection else { return false };
        let Ok(value) = value::to_bytes(&(true, "of an older shape")) else { return false };
        let entries = self.engine().state_entries(id, "h/w/".to_owned(), usize::MAX).await.unwrap_or_default();
        let cursors = entries.into_iter().map(|(key, _)| key).filter(|key| key.contains("/cursor/"));
        let writes: Vec<_> =
            cursors.map(|key| Write::PutState { connection: id, key, value: value.clone().into() }).collect();
        let some = !writes.is_empty();
        if let Err(error) = self.engine().commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await {
            self.fail(Kind::Action, format!("the cursors were not changed: {error}"));
        }
        some
    }

    /// Items that people see to be left out.
    async fn left_out(&self) -> u64 {
        let Some(id) = self.connection else { return 0 };
        let work = self.runtime().work(id).await.unwrap_or_default();
        work.iter().map(|view| view.left_out).sum()
    }
}
