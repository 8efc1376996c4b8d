//! Events of calendars, whose pieces come in any order (L27).

use jiff::{SignedDuration, Timestamp};

use super::life::{Kind, Life, Setup, Wrong, minutes};
use super::scenarios::{blame, enter};
use super::{ConformanceService, Edit, Report};
use crate::id::ChannelId;
use crate::model::When;

/// What changes last is listed last.
const ORDERS: [[Change; 3]; 6] = {
    use Change::{CancelOne, MoveOne, Rename};
    [
        [Rename, MoveOne, CancelOne],
        [Rename, CancelOne, MoveOne],
        [MoveOne, Rename, CancelOne],
        [MoveOne, CancelOne, Rename],
        [CancelOne, Rename, MoveOne],
        [CancelOne, MoveOne, Rename],
    ]
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, Copy)]
enum Change {
    /// Of the event itself.
    Rename,
    MoveOne,
    CancelOne,
}

/// An event of the test.
struct Event {
    title: String,
    start: Timestamp,
}

/// Masters, occurrences that differ and cancellations come in any order: in one walk, one after the other, and of
/// events of which nothing is known.
pub(super) async fn any_order<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.connect().await {
        return;
    }
    let Some(channel) = life.channels.first().cloned() else { return };
    for order in ORDERS {
        let Some(mut event) = life.event(&channel, &format!("Event, {order:?}")) else { return };
        order.iter().for_each(|change| life.change(&mut event, *change));
    }
    life.list().await;
    life.enable(&channel).await;
    life.settle().await;
    checked(&mut life, report, "in one walk").await;

    let mut events = Vec::new();
    for order in ORDERS {
        let Some(event) = life.event(&channel, &format!("Later event, {order:?}")) else { return };
        events.push((event, order));
    }
    for step in 0..3 {
        life.look().await;
        for (event, order) in &mut events {
            order.get(step).into_iter().for_each(|change| life.change(event, *change));
        }
    }
    life.look().await;
    checked(&mut life, report, "one change after the other").await;

    for (event, _) in &events {
        for occurrence in [event.start + DAY, event.start + DAY * 2] {
            life.edit(&event.title, &Edit::Restore { occurrence });
        }
    }
    life.look().await;
    checked(&mut life, report, "after occurrences were restored").await;

    // The service says no more than that an occurrence of it does not take place, or that it is gone.
    let Some(phantom) = life.event(&channel, "Phantom") else { return };
    life.edit(&phantom.title, &Edit::Cancel { occurrence: phantom.start + DAY });
    let deletes = life.edit(&phantom.title, &Edit::Delete);
    life.look().await;
    checked(&mut life, report, "of an event that nobody here knew").await;

    if deletes && let Some((event, _)) = events.first() {
        life.edit(&event.title, &Edit::Delete);
        life.look().await;
        checked(&mut life, report, "after an event was deleted").await;
    }
}

async fn checked<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report, when: &str) {
    let found = life.differences().await;
    enter(report, &[27], when, found, |kind| match kind {
        Kind::Missing | Kind::Foreign | Kind::Twice | Kind::NoteMissing | Kind::NoteForeign => 27,
        kind => blame(kind),
    });
}

impl<S: ConformanceService> Life<'_, S> {
    /// Someone else makes an event that recurs; none if the service has no such thing.
    fn event(&self, channel: &ChannelId, title: &str) -> Option<Event> {
        let id = self.make(channel, title, self.now() - minutes(10));
        let item = self.items().into_iter().find(|item| item.id == id)?;
        let Some(When::At(start)) = item.schedules.first().map(|schedule| schedule.start) else { return None };
        self.edit(title, &Edit::Repeat(5)).then(|| Event { title: title.to_owned(), start })
    }

    fn change(&self, event: &mut Event, change: Change) {
        let occurrence = |days: i32| event.start + DAY * days;
        match change {
            Change::Rename => {
                let title = format!("{}, renamed", event.title);
                if self.edit(&event.title, &Edit::Title(title.clone())) {
                    event.title = title;
                }
            }
            Change::MoveOne => {
                let (occurrence, to) = (occurrence(1), occurrence(1) + SignedDuration::from_hours(2));
                self.edit(&event.title, &Edit::Move { occurrence, to });
            }
            Change::CancelOne => {
                self.edit(&event.title, &Edit::Cancel { occurrence: occurrence(2) });
            }
        }
    }
}
