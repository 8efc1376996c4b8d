//! Changes of links that did not reach the service: what a user may send again or discard (R9.8).
//!
//! They are kept in the connection's state, one list for each link, in the order in which the user made them. A save of
//! the link from the service that has a value for all that a change is about makes it void: what the link shows is then
//! the service's own.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::payload::{HookTask, unsent_key};
use crate::engine::{Engine, EngineResult};
use crate::error::{Error, Result};
use crate::id::{ConnectionId, LinkId, StatusId};
use crate::model::{Actor, Contact, ContactChanges, Link, LinkChanges, LinkFields, Schedule};
use crate::value;

/// What a user can change of a link, as it was before they changed something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkBefore {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<StatusId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assignee: Option<Actor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<Contact>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<Schedule>,
}

impl LinkBefore {
    /// What can be changed of a link, as it is.
    pub(crate) fn of(link: &Link) -> Self {
        Self {
            title: link.title.clone(),
            status: link.status.clone(),
            assignee: link.assignee.clone(),
            contacts: link.contacts.clone(),
            schedules: link.schedules.clone(),
        }
    }
}

/// A change that did not reach the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UnsentChange {
    /// The task that sends it.
    pub(crate) task: HookTask,
    /// Why it was not sent.
    pub(crate) reason: String,
}

impl UnsentChange {
    /// The changes that are stored for a link, oldest first.
    pub(crate) async fn all_of(engine: &dyn Engine, connection: ConnectionId, link: LinkId) -> EngineResult<Vec<Self>> {
        let stored = engine.state(connection, vec![unsent_key(link)]).await?.pop().flatten();
        Ok(stored.map(|stored| Self::decode(link, &stored.value)).unwrap_or_default())
    }

    /// Changes as they are stored. An older version stored what the last one changed.
    fn decode(link: LinkId, stored: &[u8]) -> Vec<Self> {
        if let Ok(all) = value::from_bytes::<Vec<Self>>(stored) {
            return all;
        }
        let changes: Option<LinkChanges> = value::from_bytes(stored).ok();
        let task = changes.map(|changes| HookTask::LinkUpdated { link, changes, before: None });
        task.map(|task| Self { task, reason: String::new() }).into_iter().collect()
    }

    /// As they are stored.
    pub(crate) fn encode(all: &[Self]) -> Result<Bytes> {
        let bytes =
            value::to_bytes(&all).map_err(|error| Error::bug("a change cannot be stored").with_source(error))?;
        Ok(bytes.into())
    }

    /// Adds a change, in place of those that it says anew.
    pub(crate) fn add(all: &mut Vec<Self>, change: Self) {
        all.retain(|known| !Self::says_anew(&change.task, &known.task));
        all.push(change);
    }

    /// Whether one change says all anew that an older one is about.
    pub(crate) fn says_anew(newer: &HookTask, older: &HookTask) -> bool {
        match (newer, older) {
            (HookTask::LinkUpdated { changes: new, .. }, HookTask::LinkUpdated { changes: old, .. }) => {
                (old.title.is_none() || new.title.is_some())
                    && (old.raw_status.is_none() || new.raw_status.is_some())
                    && (old.assignee.is_keep() || !new.assignee.is_keep())
                    && old.schedules.iter().all(|old| new.schedules.iter().any(|new| new.key == old.key))
            }
            (
                HookTask::ScheduleContactUpdated { schedule: new, contact: answered, .. },
                HookTask::ScheduleContactUpdated { schedule: old, contact, .. },
            ) => new == old && answered.actor.id == contact.actor.id,
            (HookTask::ContactsChanged { changes: new, .. }, HookTask::ContactsChanged { changes: old, .. }) => {
                let people = |changes: &ContactChanges| {
                    let all = changes.added.iter().chain(&changes.removed).chain(&changes.changed);
                    all.map(|contact| contact.actor.id.clone()).collect::<Vec<_>>()
                };
                let new = people(new);
                people(old).iter().all(|person| new.contains(person))
            }
            (
                HookTask::NoteReactionChanged { note: new, emoji: given, .. },
                HookTask::NoteReactionChanged { note: old, emoji, .. },
            ) => new == old && given == emoji,
            _ => false,
        }
    }

    /// Whether a save of the link says what the service has in place of all that the user changed.
    pub(crate) fn is_void(&self, saved: &LinkFields) -> bool {
        match &self.task {
            HookTask::LinkUpdated { changes, .. } => {
                (changes.title.is_none() || !saved.title.is_keep())
                    && (changes.raw_status.is_none() || !saved.status.is_keep())
                    && (changes.assignee.is_keep() || !saved.assignee.is_keep())
                    && (changes.schedules.is_empty() || !saved.schedules.is_keep())
            }
            HookTask::ContactsChanged { .. } => !saved.contacts.is_keep(),
            HookTask::ScheduleContactUpdated { .. } => !saved.schedules.is_keep(),
            _ => false,
        }
    }

    /// Takes back what the change did to the link here. What something else has changed since stays.
    pub(crate) fn undo(&self, link: &mut Link) {
        match &self.task {
            HookTask::LinkUpdated { changes, before: Some(before), .. } => {
                if changes.title.is_some() && changes.title == link.title {
                    link.title.clone_from(&before.title);
                }
                if changes.raw_status.is_some() && changes.raw_status == link.status {
                    link.status.clone_from(&before.status);
                }
                if changes.assignee.as_option().is_some_and(|wanted| wanted == link.assignee.as_ref()) {
                    link.assignee.clone_from(&before.assignee);
                }
                for changed in &changes.schedules {
                    if link.schedules.contains(changed) {
                        put_back(&mut link.schedules, &before.schedules, changed);
                    }
                }
            }
            HookTask::ContactsChanged { before: Some(before), .. } => link.contacts.clone_from(&before.contacts),
            HookTask::ScheduleContactUpdated { schedule, before: Some(before), .. } => {
                if let Some(now) = link.schedules.iter().find(|known| known.key == *schedule).cloned() {
                    put_back(&mut link.schedules, &before.schedules, &now);
                }
            }
            _ => {}
        }
    }
}

fn put_back(schedules: &mut Vec<Schedule>, before: &[Schedule], changed: &Schedule) {
    let before = before.iter().find(|known| known.key == changed.key);
    match (before, schedules.iter_mut().find(|known| known.key == changed.key)) {
        (Some(before), Some(known)) => known.clone_from(before),
        (None, _) => schedules.retain(|known| known.key != changed.key),
        (Some(_), None) => {}
    }
}
