use super::ActionError;
use crate::engine::{FeedEntry, FeedKind, Write};
use crate::id::{LinkId, NoteId, UserId};
use crate::model::{Action, ActionButton, ButtonTarget, Delivery, Link};
use crate::runtime::Runtime;
use crate::runtime::payload::HookTask;

impl Runtime {
    /// A user presses a button of a link: its callback runs for them, and what came of it shows as the
    /// link's delivery (R4.6).
    pub async fn press(&self, id: LinkId, index: usize, user: &UserId) -> Result<Link, ActionError> {
        let acting = self.own_link(id, user).await?;
        let buttons = acting.row.link.actions.clone();
        self.press_button(acting, &buttons, index, user, None).await
    }

    /// The same for a button of a note; what came of it shows on the note's link.
    pub async fn press_on_note(&self, id: NoteId, index: usize, user: &UserId) -> Result<Link, ActionError> {
        let (note, acting) = self.own_note(id, user).await?;
        self.press_button(acting, &note.note.actions, index, user, Some(note.id())).await
    }

    async fn press_button(
        &self,
        acting: super::write_back::Acting,
        buttons: &[ActionButton],
        index: usize,
        user: &UserId,
        note: Option<NoteId>,
    ) -> Result<Link, ActionError> {
        let id = acting.row.id();
        let button = buttons.get(index).ok_or_else(|| ActionError::NotFound(format!("{id} has no action {index}")))?;
        let ButtonTarget::Callback(token) = &button.does else {
            return Err(ActionError::Invalid(format!("`{}` opens a page: there is nothing to run", button.label)));
        };
        if !acting.own {
            return Err(ActionError::Conflict(format!("{user} has no connection that can do this to {id}")));
        }
        let before = &acting.row;
        let action =
            Action { label: button.label.clone(), actor: acting.actor(user), thread: before.link.thread, note };
        let mut row = before.clone();
        row.link.delivery = Some(Delivery::Pending);
        let link = row.link.clone();
        let writes = vec![
            Write::PutLink { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Link, before.connection, id)),
            self.hook_task(&acting, HookTask::ActionPressed { link: id, token: token.clone(), action })?,
        ];
        self.put(before.connection, writes).await?;
        Ok(link)
    }
}
