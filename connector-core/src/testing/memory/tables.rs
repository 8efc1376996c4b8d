use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::table::Table;
use crate::engine::search::{Ranking, SearchHit, SearchQuery, SearchRank, Terms};
use crate::engine::{
    After, CallbackRow, ChannelRow, CommitError, Committed, Completion, ConnectionRow, DeadTask, DeliveryQuery,
    DeliveryRow, Expect, FeedEntry, FileRow, KeyedTask, LinkQuery, LinkRow, NoteRow, SecretRow, StateValue, TaskChange,
    TaskPriority, TaskQuery, TaskRow, UserThreadRow, Write, WriteSet,
};
use crate::id::{ChannelId, ConnectionId, DeliveryId, FileId, LinkId, NoteId, NoteKey, TaskId, ThreadId, UserId};
use crate::model::Source;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty,)*) => {
        /// Everything that is stored.
        #[derive(Debug, Clone, Default)]
        pub(super) struct Tables {
            $($(#[$doc])* pub(super) $name: Table<$key, $value>,)*
            /// The last version or revision that was given. A refused commit may leave a gap.
            last_version: i64,
            /// Which store it is: zero, or the number of a store that was restored from a backup.
            pub(super) incarnation: u64,
        }

        impl Tables {
            fn roll_back(&mut self) {
                $(self.$name.roll_back();)*
            }

            fn settle(&mut self) {
                $(self.$name.settle();)*
            }
        }
    };
}

tables! {
    state: (ConnectionId, String) => StateValue,
    callbacks: (ConnectionId, i64) => CallbackRow,
    revoked: (ConnectionId, String) => (),
    connections: ConnectionId => Arc<ConnectionRow>,
    /// The connection that has a claim.
    claims: String => ConnectionId,
    channels: (ConnectionId, ChannelId) => ChannelRow,
    links: LinkId => LinkRow,
    links_by_source: (Source, ConnectionId) => LinkId,
    /// Sources that are no link's own.
    sources: Source => ThreadId,
    /// Threads that were merged, each with the one that it is in now.
    aliases: ThreadId => ThreadId,
    notes: NoteId => NoteRow,
    notes_by_key: (LinkId, NoteKey) => NoteId,
    notes_by_age: (LinkId, Timestamp, NoteId) => (),
    files: FileId => FileRow,
    file_chunks: (FileId, u32) => Bytes,
    /// Which notes have a file.
    notes_of_file: (FileId, NoteId) => (),
    user_threads: (ThreadId, UserId) => UserThreadRow,
    feed: u64 => FeedEntry,
    tasks: TaskId => TaskRow,
    tasks_by_key: (ConnectionId, String) => TaskId,
    tasks_by_connection: (ConnectionId, TaskId) => (),
    tasks_by_time: (Option<Timestamp>, TaskId) => (),
    dead: TaskId => DeadTask,
    deliveries: DeliveryId => (DeliveryRow, Bytes),
    deliveries_by_key: (ConnectionId, String) => DeliveryId,
    settings: String => Bytes,
    secrets: String => SecretRow,
}

impl Tables {
    /// Stores the set, or leaves everything as it was.
    pub(super) fn commit(&mut self, set: WriteSet) -> Result<Committed, CommitError> {
        let applied = self.apply(set);
        match applied {
            Ok(_) => self.settle(),
            Err(_) => self.roll_back(),
        }
        applied
    }

    fn apply(&mut self, set: WriteSet) -> Result<Committed, CommitError> {
        let mut committed = Committed::default();
        if let Some(completion) = set.completes {
            committed.tasks.push(self.complete(completion)?);
        }
        for expect in set.expects {
            self.check(expect)?;
        }
        for write in set.writes {
            committed.note(&write);
            self.write(write, &mut committed)?;
        }
        Ok(committed)
    }

    fn complete(&mut self, completion: Completion) -> Result<TaskChange, CommitError> {
        let id = completion.task;
        let mut row = self.tasks.get(&id).cloned().ok_or(CommitError::TaskGone)?;
        if row.revision != completion.revision {
            row.attempt = 0;
            row.errors.clear();
            self.put_task(row.clone());
            return Ok(TaskChange::Waits(row));
        }
        match completion.then {
            After::Delete => {
                self.remove_task(id);
                return Ok(TaskChange::Gone(id));
            }
            After::Again { run_at } => {
                row.run_at = run_at;
                row.attempt = 0;
                row.errors.clear();
                self.begin_run(&mut row);
            }
            After::Retry { run_at, attempt, errors } => {
                row.run_at = run_at;
                row.attempt = attempt;
                row.errors = errors;
            }
            After::Dead { attempt, errors, at, again } => {
                let mut dead = DeadTask { task: TaskRow { attempt, errors, ..row.clone() }, died_at: at };
                let Some((run_at, dead_id)) = again else {
                    self.dead.put(id, dead);
                    self.remove_task(id);
                    return Ok(TaskChange::Gone(id));
                };
                dead.task.id = dead_id;
                self.dead.put(dead_id, dead);
                row.run_at = Some(run_at);
                row.attempt = 0;
                row.errors.clear();
                self.begin_run(&mut row);
            }
        }
        self.put_task(row.clone());
        Ok(TaskChange::Waits(row))
    }

    fn check(&self, expect: Expect) -> Result<(), CommitError> {
        match expect {
            Expect::State { connection, key, version } => {
                let place = (connection, key);
                let found = self.state.get(&place).map(|value| value.version);
                if found == version { Ok(()) } else { Err(CommitError::StateConflict(place.1)) }
            }
            Expect::StatePrefix { connection, prefix, versions } => {
                let found = self.state_entries(connection, &prefix).map(|(key, value)| (key.as_str(), value.version));
                if found.eq(versions.iter().map(|(key, version)| (key.as_str(), *version))) {
                    Ok(())
                } else {
                    Err(CommitError::StateConflict(prefix))
                }
            }
            Expect::Task { id } => match self.tasks.get(&id) {
                Some(_) => Ok(()),
                None => Err(CommitError::TaskGone),
            },
            Expect::UserTasks { connection, channel, tasks } => {
                let users = |row: &&TaskRow| {
                    row.connection == connection
                        && row.priority == TaskPriority::User
                        && row.channel.as_ref() == Some(&channel)
                };
                if self.tasks.values().filter(users).map(|row| row.id).eq(tasks) {
                    Ok(())
                } else {
                    Err(CommitError::RecordConflict)
                }
            }
            Expect::SourceThread { source, thread } => {
                if self.thread_of_source(&source) == thread {
                    Ok(())
                } else {
                    Err(CommitError::RecordConflict)
                }
            }
            Expect::Setting { name, value } => {
                if self.settings.get(&name) == value.as_ref() {
                    Ok(())
                } else {
                    Err(CommitError::RecordConflict)
                }
            }
            Expect::File { id } => match self.files.get(&id) {
                Some(FileRow { size: Some(_), .. }) => Ok(()),
                _ => Err(CommitError::RecordConflict),
            },
        }
    }

    fn write(&mut self, write: Write, committed: &mut Committed) -> Result<(), CommitError> {
        match write {
            Write::PutState { connection, key, value } => {
                let version = self.next_version();
                self.state.put((connection, key), StateValue { version, value });
            }
            Write::DeleteState { connection, key } => {
                self.state.remove(&(connection, key));
            }
            Write::DeleteStateVersion { connection, key, version } => {
                let place = (connection, key);
                if self.state.get(&place).is_some_and(|value| value.version == version) {
                    self.state.remove(&place);
                }
            }
            Write::DeleteStatePrefix { connection, prefix } => {
                let keys: Vec<String> = self.state_entries(connection, &prefix).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    self.state.remove(&(connection, key));
                }
            }
            Write::PutCallback(row) => self.callbacks.put((row.connection, row.id), row),
            Write::DeleteCallback { connection, id } => {
                self.callbacks.remove(&(connection, id));
            }
            Write::DeleteCallbacks { connection } => self.delete_callbacks(connection),
            Write::RevokeCallback { connection, nonce } => self.revoked.put((connection, nonce), ()),
            Write::PutTask { task, keyed } => committed.tasks.extend(self.add_task(task, keyed).map(TaskChange::Waits)),
            Write::DeleteTask { id } => committed.tasks.extend(self.remove_task(id).map(TaskChange::Gone)),
            Write::DeleteTaskByKey { connection, key } => {
                if let Some(id) = self.tasks_by_key.get(&(connection, key)).copied() {
                    committed.tasks.extend(self.remove_task(id).map(TaskChange::Gone));
                }
            }
            Write::DeleteTasks { connection, channel, except, dead } => {
                self.delete_tasks(connection, channel.as_ref(), except);
                if dead {
                    self.dead.remove_where(|_, row| {
                        row.task.connection == connection && (channel.is_none() || row.task.channel == channel)
                    });
                }
                committed.tasks.push(TaskChange::AllGone { connection, channel, except });
            }
            Write::HastenTasks { connection, key_prefix } => {
                committed.tasks.extend(self.hasten_tasks(connection, key_prefix).into_iter().map(TaskChange::Waits));
            }
            Write::PutDead(dead) => self.dead.put(dead.task.id, dead),
            Write::DeleteDead { id } => {
                self.dead.remove(&id);
            }
            Write::PutDelivery { row, request } => self.put_delivery(row, request)?,
            Write::RedirectDelivery { id, task } => {
                if let Some((row, request)) = self.deliveries.get(&id).cloned() {
                    self.deliveries.put(id, (DeliveryRow { task, ..row }, request));
                }
            }
            Write::DeleteDeliveries { ids } => ids.into_iter().for_each(|id| self.remove_delivery(id)),
            Write::PutConnection { mut row, expect } => {
                row.version = counted(self.connections.get(&row.id).map(|stored| stored.version), expect)?;
                self.put_claims(&row)?;
                self.connections.put(row.id, Arc::new(*row));
            }
            Write::DeleteConnection { id } => {
                self.delete_connection(id);
                committed.tasks.push(TaskChange::AllGone { connection: id, channel: None, except: None });
            }
            Write::PutChannel { mut row, expect } => {
                let place = (row.connection, row.channel.id.clone());
                row.version = counted(self.channels.get(&place).map(|stored| stored.version), expect)?;
                self.channels.put(place, *row);
            }
            Write::DeleteChannel { connection, channel } => {
                self.channels.remove(&(connection, channel));
            }
            Write::CountSaved { connection, channel, saved } => {
                let place = (connection, channel);
                if let Some(mut row) = self.channels.get(&place).cloned() {
                    row.sync.saved = row.sync.saved.saturating_add(saved);
                    self.channels.put(place, row);
                }
            }
            Write::PutLink { row, expect } => self.put_link(*row, expect)?,
            Write::DeleteLink { id } => self.delete_link(id),
            Write::PutSource { source, thread } => self.sources.put(source, thread),
            Write::MergeThreads { from, into } => self.merge_threads(from, into),
            Write::PutNote { row, expect } => self.put_note(*row, expect)?,
            Write::DeleteNote { id } => self.delete_note(id),
            Write::PutFile { mut row, expect } => {
                row.version = counted(self.files.get(&row.id).map(|stored| stored.version), expect)?;
                self.files.put(row.id, row);
            }
            Write::PutFileChunk { file, index, bytes } => self.put_file_chunk(file, index, bytes)?,
            Write::DeleteFiles { ids } => ids.into_iter().for_each(|id| self.delete_unused_file(id)),
            Write::PutUserThread { mut row, expect } => {
                let place = (row.thread, row.user.clone());
                row.version = counted(self.user_threads.get(&place).map(|stored| stored.version), expect)?;
                self.user_threads.put(place, row);
            }
            Write::DeleteUserThread { user, thread } => {
                self.user_threads.remove(&(thread, user));
            }
            Write::Feed(mut entry) => {
                entry.position = self.feed_end() + 1;
                committed.feed_end = Some(entry.position);
                self.feed.put(entry.position, entry);
            }
            Write::PutSecret { mut row, expect } => {
                row.version = counted(self.secrets.get(&row.name).map(|stored| stored.version), expect)?;
                self.secrets.put(row.name.clone(), row);
            }
            Write::DeleteSecret { name, expect } => {
                if expect.is_some() && self.secrets.get(&name).map(|stored| stored.version) != expect {
                    return Err(CommitError::RecordConflict);
                }
                self.secrets.remove(&name);
            }
            Write::PutSetting { name, value: Some(value) } => self.settings.put(name, value),
            Write::PutSetting { name, value: None } => {
                self.settings.remove(&name);
            }
            Write::DeleteSettings { prefix } => self.settings.remove_where(|name, _| name.starts_with(&prefix)),
            Write::TrimFeed { upto } => {
                let end = self.feed_end();
                self.feed.remove_where(|position, _| *position <= upto && *position < end);
            }
        }
        Ok(())
    }

    fn next_version(&mut self) -> i64 {
        self.last_version += 1;
        self.last_version
    }

    /// Gives a task what no other run of any task has.
    fn begin_run(&mut self, row: &mut TaskRow) {
        row.revision = self.next_version();
        // The same in every run of a test.
        let drawn = u128::from(self.incarnation) << 64 | u128::from(row.revision.unsigned_abs());
        row.nonce = Some(drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes());
    }

    /// Adds a task, or does to the one that has its key what `keyed` says. The row that waits now; none if nothing changed.
    fn add_task(&mut self, mut task: TaskRow, keyed: KeyedTask) -> Option<TaskRow> {
        let holder = task.key.as_ref().and_then(|key| self.tasks_by_key.get(&(task.connection, key.clone())));
        let stored = holder.and_then(|id| self.tasks.get(id)).cloned();
        let mut row = match (stored, keyed) {
            (None, _) => task,
            (Some(_), KeyedTask::Keep) => return None,
            (Some(stored), KeyedTask::Replace) => {
                task.id = stored.id;
                task
            }
            (Some(stored), KeyedTask::Coalesce) => {
                let run_at = stored.run_at.min(task.run_at);
                TaskRow { run_at, nonce: None, ..stored }
            }
        };
        let given = row.nonce;
        self.begin_run(&mut row);
        row.nonce = given.or(row.nonce);
        self.put_task(row.clone());
        Some(row)
    }

    fn hasten_tasks(&mut self, connection: ConnectionId, key_prefix: String) -> Vec<TaskRow> {
        let from = (connection, key_prefix);
        let ids: Vec<TaskId> = self
            .tasks_by_key
            .range(&from..)
            .take_while(|((owner, key), _)| *owner == connection && key.starts_with(&from.1))
            .map(|(_, id)| *id)
            .collect();
        let mut hastened = Vec::new();
        for id in ids {
            if let Some(mut row) = self.tasks.get(&id).cloned() {
                row.run_at = None;
                self.begin_run(&mut row);
                self.put_task(row.clone());
                hastened.push(row);
            }
        }
        hastened
    }

    fn delete_tasks(&mut self, connection: ConnectionId, channel: Option<&ChannelId>, except: Option<TaskId>) {
        let ids: Vec<TaskId> = self
            .tasks_of(connection, TaskId::from_number(i64::MIN))
            .filter(|row| Some(row.id) != except && (channel.is_none() || row.channel.as_ref() == channel))
            .map(|row| row.id)
            .collect();
        for id in ids {
            self.remove_task(id);
        }
    }

    fn put_task(&mut self, row: TaskRow) {
        self.remove_task(row.id);
        if let Some(key) = &row.key {
            self.tasks_by_key.put((row.connection, key.clone()), row.id);
        }
        self.tasks_by_connection.put((row.connection, row.id), ());
        self.tasks_by_time.put((row.run_at, row.id), ());
        self.tasks.put(row.id, row);
    }

    fn remove_task(&mut self, id: TaskId) -> Option<TaskId> {
        let row = self.tasks.remove(&id)?;
        if let Some(key) = row.key {
            self.tasks_by_key.remove(&(row.connection, key));
        }
        self.tasks_by_connection.remove(&(row.connection, id));
        self.tasks_by_time.remove(&(row.run_at, id));
        Some(id)
    }

    fn put_link(&mut self, mut row: LinkRow, expect: Option<i64>) -> Result<(), CommitError> {
        let id = row.link.id;
        let stored = self.links.get(&id);
        row.version = counted(stored.map(|stored| stored.version), expect)?;
        let place = (row.link.source.clone(), row.connection);
        if self.links_by_source.get(&place).is_some_and(|holder| *holder != id) {
            return Err(CommitError::RecordConflict);
        }
        if let Some(before) = stored.map(|stored| (stored.link.source.clone(), stored.connection)) {
            self.links_by_source.remove(&before);
        }
        self.links_by_source.put(place, id);
        self.links.put(id, row);
        Ok(())
    }

    fn delete_link(&mut self, id: LinkId) {
        let Some(row) = self.links.remove(&id) else {
            return;
        };
        self.links_by_source.remove(&(row.link.source, row.connection));
        let notes: Vec<NoteId> = self.notes_of(id).map(|row| row.note.id).collect();
        for note in notes {
            self.delete_note(note);
        }
    }

    fn put_note(&mut self, mut row: NoteRow, expect: Option<i64>) -> Result<(), CommitError> {
        let id = row.note.id;
        row.version = counted(self.notes.get(&id).map(|stored| stored.version), expect)?;
        let place = row.note.key.clone().map(|key| (row.note.link, key));
        let before = self.notes.get(&id).cloned();
        if let Some(place) = place {
            if self.notes_by_key.get(&place).is_some_and(|holder| *holder != id) {
                return Err(CommitError::RecordConflict);
            }
            self.remove_note(id);
            self.notes_by_key.put(place, id);
        } else {
            self.remove_note(id);
        }
        self.notes_by_age.put((row.note.link, row.note.occurred_at, id), ());
        for file in row.note.files() {
            self.notes_of_file.put((file, id), ());
        }
        let lost: Vec<FileId> = before
            .iter()
            .flat_map(|row| row.note.files())
            .filter(|file| !row.note.files().any(|kept| kept == *file))
            .collect();
        self.notes.put(id, row);
        self.lose_files(id, lost);
        Ok(())
    }

    fn delete_note(&mut self, id: NoteId) {
        if let Some(row) = self.notes.get(&id).cloned() {
            self.remove_note(id);
            self.lose_files(id, row.note.files().collect());
        }
    }

    /// These files are no longer of this note; those that no other has go.
    fn lose_files(&mut self, note: NoteId, files: Vec<FileId>) {
        for file in files {
            self.notes_of_file.remove(&(file, note));
            self.delete_unused_file(file);
        }
    }

    fn is_used(&self, file: FileId) -> bool {
        let first = (file, NoteId::from_number(i64::MIN));
        self.notes_of_file.range(first..).next().is_some_and(|((of, _), ())| *of == file)
    }

    fn put_file_chunk(&mut self, file: FileId, index: u32, bytes: Bytes) -> Result<(), CommitError> {
        let begun = self.files.get(&file).is_some_and(|row| row.size.is_none());
        if !begun || self.file_chunks.get(&(file, index)).is_some() {
            return Err(CommitError::RecordConflict);
        }
        self.file_chunks.put((file, index), bytes);
        Ok(())
    }

    fn delete_unused_file(&mut self, id: FileId) {
        if self.is_used(id) {
            return;
        }
        self.files.remove(&id);
        let chunks: Vec<_> = self.file_chunks.range((id, 0)..=(id, u32::MAX)).map(|(place, _)| *place).collect();
        for place in chunks {
            self.file_chunks.remove(&place);
        }
    }

    pub(super) fn unused_files(&self, before: Timestamp, limit: usize) -> Vec<FileRow> {
        let unused = self.files.values().filter(|row| row.created_at < before && !self.is_used(row.id));
        unused.take(limit).cloned().collect()
    }

    pub(super) fn unused_bytes(&self, owner: &UserId) -> u64 {
        let unused = self.files.values().filter(|row| row.owner == *owner && !self.is_used(row.id));
        unused.filter_map(|row| row.size).sum()
    }

    fn remove_note(&mut self, id: NoteId) {
        if let Some(row) = self.notes.remove(&id) {
            if let Some(key) = row.note.key {
                self.notes_by_key.remove(&(row.note.link, key));
            }
            self.notes_by_age.remove(&(row.note.link, row.note.occurred_at, id));
        }
    }

    fn merge_threads(&mut self, from: ThreadId, into: ThreadId) {
        let (from, into) = (self.current_thread(from), self.current_thread(into));
        if from == into {
            return;
        }
        let links: Vec<LinkRow> = self.links.values().filter(|row| row.link.thread == from).cloned().collect();
        for mut row in links {
            row.link.thread = into;
            row.version += 1;
            self.links.put(row.link.id, row);
        }
        let notes: Vec<NoteRow> = self.notes.values().filter(|row| row.note.thread == from).cloned().collect();
        for mut row in notes {
            row.note.thread = into;
            row.version += 1;
            self.notes.put(row.note.id, row);
        }
        let sources: Vec<Source> =
            self.sources.iter().filter(|(_, thread)| **thread == from).map(|(source, _)| source.clone()).collect();
        for source in sources {
            self.sources.put(source, into);
        }
        let aliases: Vec<ThreadId> =
            self.aliases.iter().filter(|(_, thread)| **thread == from).map(|(alias, _)| *alias).collect();
        for alias in aliases.into_iter().chain([from]) {
            self.aliases.put(alias, into);
        }
        let marks: Vec<UserThreadRow> = self.user_threads.values().filter(|row| row.thread == from).cloned().collect();
        for mut row in marks {
            self.user_threads.remove(&(from, row.user.clone()));
            let place = (into, row.user.clone());
            if self.user_threads.get(&place).is_none() {
                row.thread = into;
                self.user_threads.put(place, row);
            }
        }
    }

    fn put_delivery(&mut self, row: DeliveryRow, request: Bytes) -> Result<(), CommitError> {
        if let Some(key) = row.key.clone() {
            let place = (row.connection, key);
            if self.deliveries_by_key.get(&place).is_some() {
                return Err(CommitError::RecordConflict);
            }
            self.deliveries_by_key.put(place, row.id);
        }
        self.deliveries.put(row.id, (row, request));
        Ok(())
    }

    fn remove_delivery(&mut self, id: DeliveryId) {
        if let Some((row, _)) = self.deliveries.remove(&id)
            && let Some(key) = row.key
        {
            self.deliveries_by_key.remove(&(row.connection, key));
        }
    }

    pub(super) fn query_deliveries(&self, query: &DeliveryQuery) -> Vec<DeliveryRow> {
        let mut found: Vec<_> = self
            .deliveries
            .values()
            .map(|(row, _)| row)
            .filter(|row| query.connection.is_none_or(|connection| row.connection == connection))
            .filter(|row| query.since.is_none_or(|since| row.received_at >= since))
            .filter(|row| query.until.is_none_or(|until| row.received_at < until))
            .filter(|row| query.before.is_none_or(|before| row.id < before))
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.id));
        found.into_iter().take(query.limit).cloned().collect()
    }

    fn delete_callbacks(&mut self, connection: ConnectionId) {
        self.callbacks.remove_where(|(owner, _), _| *owner == connection);
        self.revoked.remove_where(|(owner, _), ()| *owner == connection);
    }

    /// Gives a connection its claims, in place of those that it had.
    fn put_claims(&mut self, row: &ConnectionRow) -> Result<(), CommitError> {
        self.delete_claims(row.id);
        for claim in &row.claims {
            if let Some(by) = self.claims.get(claim).copied().filter(|by| *by != row.id) {
                return Err(CommitError::Taken { claim: claim.clone(), by });
            }
            self.claims.put(claim.clone(), row.id);
        }
        Ok(())
    }

    fn delete_claims(&mut self, id: ConnectionId) {
        let stored = self.connections.get(&id).map(|row| row.claims.clone()).unwrap_or_default();
        for claim in stored {
            self.claims.remove(&claim);
        }
    }

    fn delete_connection(&mut self, id: ConnectionId) {
        self.delete_sources_of(id);
        self.secrets.remove_where(|_, row| row.connection == Some(id));
        self.delete_claims(id);
        self.connections.remove(&id);
        self.state.remove_where(|(owner, _), _| *owner == id);
        self.delete_callbacks(id);
        self.delete_tasks(id, None, None);
        self.dead.remove_where(|_, row| row.task.connection == id);
        self.deliveries.remove_where(|_, (row, _)| row.connection == id);
        self.deliveries_by_key.remove_where(|(owner, _), _| *owner == id);
        self.channels.remove_where(|(owner, _), _| *owner == id);
        self.links_by_source.remove_where(|(_, owner), _| *owner == id);
        self.links.remove_where(|_, row| row.connection == id);
        let notes: Vec<NoteId> =
            self.notes.values().filter(|row| row.connection == id).map(|row| row.note.id).collect();
        for note in notes {
            self.delete_note(note);
        }
    }

    /// The sources of those threads in which no other connection has a link.
    fn delete_sources_of(&mut self, id: ConnectionId) {
        let (own, others): (Vec<&LinkRow>, Vec<&LinkRow>) = self.links.values().partition(|row| row.connection == id);
        let kept: BTreeSet<ThreadId> = others.into_iter().map(|row| row.link.thread).collect();
        let own = own.into_iter().map(|row| row.link.thread);
        let gone: BTreeSet<ThreadId> = own.filter(|thread| !kept.contains(thread)).collect();
        self.sources.remove_where(|_, thread| gone.contains(thread));
    }

    pub(super) fn state_entries<'a>(
        &'a self,
        connection: ConnectionId,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a StateValue)> {
        self.state
            .range((connection, prefix.to_owned())..)
            .take_while(move |((owner, key), _)| *owner == connection && key.starts_with(prefix))
            .map(|((_, key), value)| (key, value))
    }

    /// The notes of a link, oldest first.
    pub(super) fn notes_of(&self, link: LinkId) -> impl Iterator<Item = &NoteRow> {
        self.notes_by_age
            .range((link, Timestamp::MIN, NoteId::from_number(i64::MIN))..)
            .take_while(move |((owner, _, _), ())| *owner == link)
            .filter_map(|((_, _, id), ())| self.notes.get(id))
    }

    pub(super) fn thread_of_source(&self, source: &Source) -> Option<ThreadId> {
        let first = (source.clone(), ConnectionId::from_number(i64::MIN));
        let own = self.links_by_source.range(first..).next().filter(|((found, _), _)| found == source);
        let linked = own.and_then(|(_, id)| self.links.get(id)).map(|row| row.link.thread);
        linked.or_else(|| self.sources.get(source).copied())
    }

    pub(super) fn current_thread(&self, thread: ThreadId) -> ThreadId {
        self.aliases.get(&thread).copied().unwrap_or(thread)
    }

    pub(super) fn feed_start(&self) -> u64 {
        self.feed.iter().next().map_or(0, |(position, _)| *position)
    }

    pub(super) fn feed_end(&self) -> u64 {
        self.feed.last_key().copied().unwrap_or(0)
    }

    /// The tasks of a connection after this one.
    pub(super) fn tasks_of(&self, connection: ConnectionId, after: TaskId) -> impl Iterator<Item = &TaskRow> {
        self.tasks_by_connection
            .range((Bound::Excluded((connection, after)), Bound::Unbounded))
            .take_while(move |((owner, _), ())| *owner == connection)
            .filter_map(|((_, id), ())| self.tasks.get(id))
    }

    /// The tasks in the order in which they run, after this position; those that run at once come first.
    pub(super) fn tasks_in_order(&self, after: (Option<Timestamp>, TaskId)) -> impl Iterator<Item = &TaskRow> {
        self.tasks_by_time
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter_map(|((_, id), ())| self.tasks.get(id))
    }

    pub(super) fn query_tasks(&self, query: &TaskQuery) -> Vec<TaskRow> {
        let after = query.after.unwrap_or(TaskId::from_number(i64::MIN));
        match query.connection {
            Some(connection) => self.tasks_of(connection, after).take(query.limit).cloned().collect(),
            None => {
                let rows = self.tasks.range((Bound::Excluded(after), Bound::Unbounded));
                rows.take(query.limit).map(|(_, row)| row.clone()).collect()
            }
        }
    }

    pub(super) fn query_dead(&self, query: &TaskQuery) -> Vec<DeadTask> {
        let after = query.after.unwrap_or(TaskId::from_number(i64::MIN));
        self.dead
            .range((Bound::Excluded(after), Bound::Unbounded))
            .map(|(_, row)| row)
            .filter(|row| query.connection.is_none_or(|connection| row.task.connection == connection))
            .take(query.limit)
            .cloned()
            .collect()
    }

    pub(super) fn search(&self, query: &SearchQuery) -> Vec<SearchHit> {
        let mut ranking = Ranking::new(query);
        let Some(terms) = Terms::of(&query.text) else { return Vec::new() };
        for rank in SearchRank::ALL {
            let links = self
                .links
                .values()
                .filter(|row| terms.in_link(rank, row.link.title.as_deref(), row.link.preview.as_deref()));
            let links = links.map(|row| (row.link.id.number(), row));
            let notes = self.notes.values().filter(|row| !row.note.archived && terms.in_note(rank, &row.note.content));
            let notes = notes.filter_map(|row| Some((row.note.id.number(), self.links.get(&row.note.link)?)));
            let found = links.chain(notes).filter(|(_, row)| ranking.admits(row));
            let found = found.map(|(id, row)| (id, row.clone())).collect();
            if ranking.add(rank, found) {
                break;
            }
        }
        ranking.finish()
    }

    pub(super) fn query_links(&self, query: &LinkQuery) -> Vec<LinkRow> {
        let mut found: Vec<&LinkRow> = self
            .links
            .values()
            .filter(|row| query.connections.as_ref().is_none_or(|wanted| wanted.contains(&row.connection)))
            .filter(|row| query.channel.as_ref().is_none_or(|wanted| *wanted == row.link.channel))
            .filter(|row| query.link_type.as_ref().is_none_or(|wanted| wanted == row.link.link_type.as_str()))
            .filter(|row| {
                let status = row.link.status.as_ref().map(|status| status.as_str());
                query.status.as_ref().is_none_or(|wanted| status == Some(wanted.as_str()))
            })
            .filter(|row| query.thread.is_none_or(|wanted| wanted == row.link.thread))
            .filter(|row| query.archived || !row.link.archived)
            .filter(|row| query.after.is_none_or(|after| (row.link.updated_at, row.link.id) < after))
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse((row.link.updated_at, row.link.id)));
        found.into_iter().take(query.limit).cloned().collect()
    }
}

/// The version that a row is stored with.
fn counted(stored: Option<i64>, expect: Option<i64>) -> Result<i64, CommitError> {
    if stored == expect { Ok(expect.unwrap_or(0) + 1) } else { Err(CommitError::RecordConflict) }
}
