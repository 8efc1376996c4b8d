use serde::{Deserialize, Serialize};

use super::{Link, Note};
use crate::error::{Error, Result};
use crate::id::{LinkId, ThreadId};

/// A thread as one connection sees it: the links of that connection in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Thread {
    /// Its id, the same for every user who sees it.
    pub id: ThreadId,
    /// The links of this connection, oldest first. At least one.
    pub links: Vec<Link>,
}

impl Thread {
    /// A thread with these links.
    pub fn new(id: ThreadId, links: Vec<Link>) -> Self {
        Self { id, links }
    }

    /// The link with this id.
    pub fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.iter().find(|link| link.id == id)
    }

    /// The link that a note of this thread is of.
    pub fn link_of(&self, note: &Note) -> Result<&Link> {
        self.link(note.link).ok_or_else(|| Error::gone(format!("the item that {} is of is no longer there", note.id)))
    }
}
