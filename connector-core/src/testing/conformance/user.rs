//! What the user does.

use super::ConformanceService;
use super::life::Life;
use crate::declaration::Hooks;
use crate::engine::LinkRow;
use crate::id::StatusId;
use crate::link_type::ComposeTarget;
use crate::model::Delivery;
use crate::runtime::{Compose, LinkUpdate, NewUserNote};

impl<S: ConformanceService> Life<'_, S> {
    pub(super) fn takes_replies(&self) -> bool {
        let connector = self.connector();
        connector.declaration.handle_replies && connector.hooks.has(Hooks::NOTE_CREATED)
    }

    /// The user replies.
    pub(super) async fn reply(&mut self, title: &str, text: &str) -> bool {
        if !self.takes_replies() {
            return false;
        }
        let Some(link) = self.link(title).await else { return false };
        let note = NewUserNote {
            user: self.user.clone(),
            content: text.to_owned(),
            link: Some(link.id()),
            recipients: Vec::new(),
            attachments: Vec::new(),
        };
        self.spare(true);
        let written = self
            .act("writing a note", async |life| life.runtime().create_note(link.link.thread, note.clone()).await)
            .await;
        self.spare(false);
        self.edits += usize::from(written.is_some());
        written.is_some()
    }

    /// The user puts an item into another status.
    pub(super) async fn set_status(&mut self, title: &str) -> bool {
        if !self.connector().hooks.has(Hooks::LINK_UPDATED) {
            return false;
        }
        let Some(link) = self.link(title).await else { return false };
        let Some(status) = self.other_status(&link).await else { return false };
        self.update(&link, LinkUpdate { status: Some(status), ..LinkUpdate::default() }).await
    }

    /// A status that is done if that of the item is not, and the other way round.
    async fn other_status(&self, link: &LinkRow) -> Option<StatusId> {
        let declared = self.connector().declaration.link_type(link.link.link_type.as_str())?;
        let channels = self.channel_rows().await;
        let channel = channels.iter().find(|row| row.channel.id == link.link.channel);
        let refined = channel
            .and_then(|row| row.channel.link_types.iter().find(|refined| refined.id == declared.id))
            .and_then(|refined| refined.statuses.as_ref());
        let statuses: Vec<(&str, bool, bool)> = match refined {
            Some(refined) => refined.iter().map(|known| (known.id.as_str(), known.done, known.hidden)).collect(),
            None => declared.statuses.iter().map(|known| (known.id, known.done, known.hidden)).collect(),
        };
        let now = link.link.status.as_ref().map(StatusId::as_str);
        let done = statuses.iter().any(|(id, done, _)| Some(*id) == now && *done);
        let other = statuses.iter().find(|(_, other, hidden)| *other != done && !hidden);
        other.map(|(id, _, _)| StatusId::new(*id))
    }

    /// The user gives an item another title.
    pub(super) async fn set_title(&mut self, title: &str, to: &str) -> bool {
        if !self.connector().hooks.has(Hooks::LINK_UPDATED) {
            return false;
        }
        let Some(link) = self.link(title).await else { return false };
        self.update(&link, LinkUpdate { title: Some(to.to_owned()), ..LinkUpdate::default() }).await
    }

    async fn update(&mut self, link: &LinkRow, update: LinkUpdate) -> bool {
        let (user, id) = (self.user.clone(), link.id());
        let changed = self
            .act("changing an item", async |life| life.runtime().update_link(id, &user, update.clone()).await)
            .await;
        self.edits += usize::from(changed.is_some());
        changed.is_some()
    }

    /// The user gives another text to a note that they wrote, and that was delivered.
    pub(super) async fn reword(&mut self, title: &str, from: &str, to: &str) -> bool {
        if !self.takes_replies() || !self.connector().hooks.has(Hooks::NOTE_UPDATED) {
            return false;
        }
        let Some(link) = self.link(title).await else { return false };
        let notes = self.notes(&link).await;
        let written = notes.iter().find(|row| row.note.content == from && row.note.key.is_some());
        let Some(id) = written.map(|row| row.id()) else { return false };
        let user = self.user.clone();
        self.spare(true);
        let edited =
            self.act("editing a note", async |life| life.runtime().edit_note(id, &user, to.to_owned()).await).await;
        self.spare(false);
        self.edits += usize::from(edited.is_some());
        edited.is_some()
    }

    /// The user composes an item.
    pub(super) async fn compose(&mut self, title: &str) -> bool {
        let composes = |compose: &crate::link_type::Compose| compose.target == ComposeTarget::Channels;
        let found =
            self.connector().declaration.link_types.iter().find(|kind| kind.compose.as_ref().is_some_and(composes));
        let (Some(link_type), Some(connection)) = (found, self.connection) else { return false };
        let compose = Compose {
            user: self.user.clone(),
            connection,
            channel: self.channels.first().cloned(),
            link_type: link_type.id.into(),
            status: None,
            title: title.to_owned(),
            content: Some(format!("The text of {title}.")),
            recipients: Vec::new(),
            attachments: Vec::new(),
            schedules: Vec::new(),
        };
        self.spare(true);
        let composed = self.act("composing an item", async |life| life.runtime().compose(compose.clone()).await).await;
        self.spare(false);
        self.edits += usize::from(composed.is_some());
        composed.is_some()
    }

    /// The user sends again what did not arrive.
    pub(super) async fn send_again(&mut self) {
        for link in self.links().await {
            for row in self.notes(&link).await {
                if matches!(row.note.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown)) {
                    let user = self.user.clone();
                    self.edits += 1;
                    self.act("sending a note again", async |life| life.runtime().retry_note(row.id(), &user).await)
                        .await;
                }
            }
        }
    }
}
