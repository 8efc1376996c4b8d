//! The life that every connector lives, in parts; what goes wrong in it comes from outside.

use jiff::SignedDuration;

use super::life::{Difference, Kind, Life, minutes};
use super::{ConformanceService, Edit};

/// The titles of the items. Each is there once.
pub(super) const FIRST: &str = "First item";
pub(super) const SECOND: &str = "Second item";
pub(super) const THIRD: &str = "Third item";
/// Nobody touches this one: what lost it once has lost it.
pub(super) const UNTOUCHED: &str = "Untouched item";
pub(super) const ELSEWHERE: &str = "Item elsewhere";
pub(super) const NEWER: &str = "Newer item";
pub(super) const RENAMED_NEWER: &str = "Newer item, renamed by the user";
pub(super) const RENAMED: &str = "First item, renamed";
pub(super) const RENAMED_THIRD: &str = "Third item, renamed";
pub(super) const COMPOSED: &str = "Composed item";

impl<S: ConformanceService> Life<'_, S> {
    /// Connects, and enables channels with items that were there before; twice, as impatient users do.
    pub(super) async fn begin(&mut self) -> bool {
        if !self.connect().await {
            return false;
        }
        let now = self.now();
        if let Some(channel) = self.channels.first().cloned() {
            for (title, hours) in [(UNTOUCHED, 50), (FIRST, 40), (SECOND, 30), (THIRD, 20)] {
                self.make(&channel, title, now - SignedDuration::from_hours(hours));
            }
            self.edit(FIRST, &Edit::Note("An old note.".to_owned()));
        }
        if let Some(channel) = self.channels.get(1).cloned() {
            self.make(&channel, ELSEWHERE, now - SignedDuration::from_hours(10));
        }
        self.settle().await;
        self.list().await;
        for channel in self.channels.clone() {
            self.enable(&channel).await;
        }
        self.settle().await;
        for channel in self.channels.clone() {
            self.enable(&channel).await;
        }
        self.advance(minutes(5)).await;
        true
    }

    /// Others change things at the service, and the host finds out.
    pub(super) async fn outside(&mut self) {
        let now = self.now();
        if let Some(channel) = self.channels.first().cloned() {
            self.make(&channel, NEWER, now);
        }
        self.edit(FIRST, &Edit::Title(RENAMED.to_owned()));
        self.edit(SECOND, &Edit::Note("A note from elsewhere.".to_owned()));
        self.look().await;
    }

    /// The user changes things here.
    pub(super) async fn inside(&mut self) {
        const NOTE: &str = "A note of the user.";
        self.reply(SECOND, NOTE).await;
        self.set_status(SECOND).await;
        self.compose(COMPOSED).await;
        if self.renamed_by_others() {
            self.set_title(NEWER, RENAMED_NEWER).await;
        }
        self.advance(minutes(5)).await;
        self.reword(SECOND, NOTE, "A note of the user, reworded.").await;
        self.advance(minutes(5)).await;
    }

    /// Whether others can give items another title at the service: then the user can, too.
    pub(super) fn renamed_by_others(&self) -> bool {
        self.items().iter().any(|item| item.title == RENAMED || item.title.starts_with("Item with name"))
    }

    /// Both ends change one item at a time.
    pub(super) async fn both(&mut self) {
        self.edit(THIRD, &Edit::Title(RENAMED_THIRD.to_owned()));
        self.set_status(THIRD).await;
        self.advance(minutes(5)).await;
        self.look().await;
    }

    /// The whole, but for its end.
    pub(super) async fn live(&mut self) -> bool {
        if !self.begin().await {
            return false;
        }
        self.outside().await;
        self.inside().await;
        self.look().await;
        self.both().await;
        true
    }

    /// What is left to do gets done, and then how the host and the service differ.
    pub(super) async fn rest(&mut self) -> Vec<Difference> {
        let mut found = self.differences().await;
        if !found.is_empty() {
            found.retain(|(kind, _)| *kind == Kind::Action);
            // What was given up for now goes on after an hour.
            self.advance(SignedDuration::from_hours(2)).await;
            self.look().await;
            self.send_again().await;
            self.advance(SignedDuration::from_hours(1)).await;
            self.look().await;
            found.extend(self.differences().await);
        }
        let (changes, edits) = (self.changes(), self.edits);
        if changes > edits {
            found.push((Kind::Writes, format!("{edits} edits of the user changed the service {changes} times")));
        }
        if self.endless {
            found.push((Kind::State, "tasks queue themselves without end".to_owned()));
        }
        found
    }
}
