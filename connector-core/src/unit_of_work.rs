//! What one dispatch wants to store, until it is stored together (R7.1).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::engine::{Expect, TaskRow, Write};
use crate::id::{ChannelId, ConnectionId, TaskId};
use crate::model::Source;
use crate::records::{RecordIntent, with_parents};
use crate::walk::{LeftOut, short_hash};

/// Writes and reads of one dispatch since it began, or since its last checkpoint.
#[derive(Debug, Default)]
pub(crate) struct UnitOfWork {
    /// Values by full key, as this dispatch has written them; none for a removed one.
    state: BTreeMap<String, Option<Bytes>>,
    /// Prefixes that were removed as a whole, before the writes in `state`.
    cleared: Vec<String>,
    /// Versions by full key, as this dispatch has read them.
    read: BTreeMap<String, Option<i64>>,
    /// Prefixes that were listed, with what was there.
    listed: Vec<(String, Vec<(String, i64)>)>,
    /// Tasks, callbacks and what else is stored as it is.
    writes: Vec<Write>,
    /// Links, notes and marks, which are resolved against the store when it is committed.
    pub(crate) records: Vec<RecordIntent>,
    /// Items that were handed over to be saved since the dispatch began.
    pub(crate) saved: u64,
    /// What the dispatch has met at the service since it began.
    pub(crate) met: MetItems,
    /// Channels whose first walk a connector says is complete.
    pub(crate) completed_channels: Vec<ChannelId>,
    /// The connector says that the credential does not work any more.
    pub(crate) needs_reauth: Option<String>,
    /// All callbacks are to be deleted.
    pub(crate) callbacks_deleted: bool,
    /// How often this dispatch has deleted all callbacks, with what is stored of it: callbacks that it makes are of a later generation.
    pub(crate) generations: i64,
}

/// What a dispatch has met at the service, that of checkpoints included.
#[derive(Debug, Default)]
pub(crate) struct MetItems {
    /// The declared sync of which the dispatch is a step, and its channel.
    pub(crate) sync: Option<(String, Option<ChannelId>)>,
    /// The step begins a walk over everything, in place of following what changes.
    pub(crate) anew: bool,
    /// Short hashes of the sources of items that are at the service.
    pub(crate) sources: Vec<u64>,
    /// Sum of the hashes of what was saved: the same for the same items, in any order.
    pub(crate) print: u64,
    /// Number of items that were left out.
    pub(crate) left_out: u64,
    /// The last of them.
    pub(crate) last_left_out: Vec<LeftOut>,
    /// One of them is not known: it may be any item of the service.
    pub(crate) unknown: bool,
    /// Something was stored by a checkpoint.
    pub(crate) stored: bool,
}

/// Items that were left out, of which it is kept what is wrong with them.
pub(crate) const MAX_LEFT_OUT: usize = 5;

impl MetItems {
    /// An item is at the service: a step of a sync has met it.
    pub(crate) fn source(&mut self, source: &Source) {
        if self.sync.is_none() {
            return;
        }
        self.sources.push(short_hash(source.as_str().as_bytes()));
    }

    /// Something with this identity and of this version was handed over to be saved.
    pub(crate) fn saves(&mut self, identity: &str, version: &[u8]) {
        if self.sync.is_none() {
            return;
        }
        let mut bytes = Vec::with_capacity(identity.len() + version.len() + 1);
        bytes.extend_from_slice(identity.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(version);
        self.print = self.print.wrapping_add(short_hash(&bytes));
    }

    /// An item is left out, and its siblings are saved.
    pub(crate) fn leave_out(&mut self, item: LeftOut) {
        self.left_out += 1;
        self.last_left_out.push(item);
        if self.last_left_out.len() > MAX_LEFT_OUT {
            self.last_left_out.remove(0);
        }
    }
}

/// What the unit of work knows about a state key.
pub(crate) enum Pending<'a> {
    /// It was written here.
    Written(Option<&'a Bytes>),
    /// Nothing: the store knows.
    Unknown,
}

impl UnitOfWork {
    pub(crate) fn pending(&self, key: &str) -> Pending<'_> {
        match self.state.get(key) {
            Some(value) => Pending::Written(value.as_ref()),
            None if self.cleared.iter().any(|prefix| key.starts_with(prefix)) => Pending::Written(None),
            None => Pending::Unknown,
        }
    }

    /// Entries below a prefix, as the store has them, with what was written here put over them.
    pub(crate) fn overlay(
        &self,
        prefix: &str,
        stored: impl IntoIterator<Item = (String, Bytes)>,
    ) -> BTreeMap<String, Bytes> {
        let mut entries: BTreeMap<_, _> =
            stored.into_iter().filter(|(key, _)| matches!(self.pending(key), Pending::Unknown)).collect();
        for (key, value) in self.state.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix)) {
            if let Some(value) = value {
                entries.insert(key.clone(), value.clone());
            }
        }
        entries
    }

    pub(crate) fn put(&mut self, key: String, value: Option<Bytes>) {
        self.state.insert(key, value);
    }

    pub(crate) fn clear(&mut self, prefix: String) {
        self.state.retain(|key, _| !key.starts_with(&prefix));
        self.cleared.push(prefix);
    }

    /// Remembers the version of the first read: a later one that differs is a conflict at commit.
    pub(crate) fn note_read(&mut self, key: String, version: Option<i64>) {
        self.read.entry(key).or_insert(version);
    }

    pub(crate) fn note_listed(&mut self, prefix: String, versions: Vec<(String, i64)>) {
        self.listed.push((prefix, versions));
    }

    /// Nothing was written since the dispatch began.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.met.stored
            && self.state.is_empty()
            && self.cleared.is_empty()
            && self.writes.is_empty()
            && self.records.is_empty()
            && self.completed_channels.is_empty()
    }

    pub(crate) fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Takes a task back that was not stored yet, with those that were to take its place.
    pub(crate) fn take_back(&mut self, id: TaskId) -> bool {
        let before = self.writes.len();
        let key = self.writes.iter().find_map(|write| match write {
            Write::PutTask { task, .. } if task.id == id => Some(task.key.clone()),
            _ => None,
        });
        let key = key.flatten();
        self.writes.retain(
            |write| !matches!(write, Write::PutTask { task, .. } if task.id == id || (key.is_some() && task.key == key)),
        );
        self.writes.len() != before
    }

    /// A callback's stored body that was not committed yet.
    pub(crate) fn callback(&self, id: i64) -> Option<Bytes> {
        self.writes.iter().rev().find_map(|write| match write {
            Write::PutCallback(row) if row.id == id => Some(row.body.clone()),
            _ => None,
        })
    }

    /// Whether a sealed callback was deleted here.
    pub(crate) fn callback_revoked(&self, nonce: &str) -> bool {
        self.writes
            .iter()
            .any(|write| matches!(write, Write::RevokeCallback { nonce: revoked, .. } if revoked == nonce))
    }

    /// Whether a stored callback was deleted here.
    pub(crate) fn callback_deleted(&self, id: i64) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::DeleteCallback { id: deleted, .. } if *deleted == id))
    }

    /// The task with this key that was not stored yet.
    pub(crate) fn task_by_key(&self, key: &str) -> Option<TaskId> {
        self.writes.iter().find_map(|write| match write {
            Write::PutTask { task, .. } if task.key.as_deref() == Some(key) => Some(task.id),
            _ => None,
        })
    }

    /// Takes back the tasks that were not stored yet and are such.
    pub(crate) fn take_back_tasks(&mut self, such: impl Fn(&TaskRow) -> bool) {
        self.writes.retain(|write| !matches!(write, Write::PutTask { task, .. } if such(task)));
    }

    /// Whether the dispatch stores this channel at its end.
    pub(crate) fn lists_channel(&self, id: &ChannelId) -> bool {
        self.records.iter().any(|record| match record {
            RecordIntent::Channels(channels) => with_parents(channels).iter().any(|(_, channel)| channel.id == *id),
            _ => false,
        })
    }

    /// What must still be so, and what is to be stored, but for the records. A dispatch that writes
    /// nothing relies on nothing.
    pub(crate) fn drain(&mut self, connection: ConnectionId) -> (Vec<Expect>, Vec<Write>) {
        self.met.stored = !self.is_untouched();
        let mut writes = Vec::with_capacity(self.state.len() + self.writes.len() + self.cleared.len());
        for prefix in self.cleared.drain(..) {
            writes.push(Write::DeleteStatePrefix { connection, prefix });
        }
        for (key, value) in std::mem::take(&mut self.state) {
            writes.push(match value {
                Some(value) => Write::PutState { connection, key, value },
                None => Write::DeleteState { connection, key },
            });
        }
        writes.append(&mut self.writes);
        let mut expects = Vec::with_capacity(self.read.len() + self.listed.len());
        for (key, version) in std::mem::take(&mut self.read) {
            expects.push(Expect::State { connection, key, version });
        }
        for (prefix, versions) in self.listed.drain(..) {
            expects.push(Expect::StatePrefix { connection, prefix, versions });
        }
        (expects, writes)
    }
}
