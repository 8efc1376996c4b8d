//! What each write of a set does to the tables. Runs within the writer's transaction.

use connector_core::engine::{
    After, ChannelRow, CommitError, Committed, Completion, ConnectionRow, DeadTask, DeliveryRow, Expect, FeedEntry,
    KeyedTask, LinkRow, NoteRow, SecretRow, TaskChange, TaskError, TaskPriority, TaskRow, UserThreadRow, Write,
    WriteSet,
};
use connector_core::id::{ChannelId, ConnectionId, TaskId, ThreadId};
use jiff::Timestamp;
use rusqlite::params;

use super::fail::{Fail, Refusal};
use super::files;
use super::ids::{Ids, new_nonce};
use super::queries::{self, prefix_end, task_sql};
use super::rows::{self, errors_json, micros, stored_time};
use super::search;
use super::statements::Statements;

pub(super) type Applied<T = ()> = Result<T, Refusal>;

/// What applying a set needs beside it.
pub(super) struct Apply<'a, 'c> {
    pub(super) db: &'a Statements<'c>,
    pub(super) ids: &'a Ids,
    /// The last position of the feed.
    pub(super) feed_end: &'a mut u64,
    /// Rows that are to be indexed for searches.
    pub(super) due: &'a mut u64,
}

impl Apply<'_, '_> {
    /// Checks and writes a set. After a refusal, the caller undoes what was written of it.
    pub(super) fn set<'s>(&mut self, set: &'s WriteSet, documents: &'s [String]) -> Applied<Committed> {
        let mut committed = Committed::default();
        if let Some(completion) = &set.completes {
            committed.tasks.push(self.complete(completion)?);
        }
        for expect in &set.expects {
            self.check(expect)?;
        }
        let mut documents = documents.iter().map(String::as_str);
        let (mut feed, mut due) = (Vec::new(), Vec::new());
        for write in &set.writes {
            committed.note(write);
            self.note_due(write, &mut due)?;
            self.write(write, &mut documents, &mut feed, &mut committed)?;
        }
        search::add_due(self.db, &due)?;
        *self.due += due.len() as u64;
        for alike in feed.chunk_by(|one, next| (one.kind, one.connection) == (next.kind, next.connection)) {
            committed.feed_end = Some(self.feed(alike)?);
        }
        Ok(committed)
    }

    /// Notes the rows that a write changes and that searches find; before it, as they may be gone after it.
    fn note_due(&mut self, write: &Write, due: &mut Vec<i64>) -> Applied {
        match write {
            Write::PutLink { row, .. } => due.push(row.link.id.number()),
            Write::PutNote { row, .. } => due.push(row.note.id.number()),
            Write::DeleteNote { id } => due.push(id.number()),
            Write::DeleteLink { id } => {
                due.push(id.number());
                let sql = "SELECT id FROM note WHERE link_id = ?1";
                due.extend(self.db.all(sql, [id.number()], |row| Ok(row.get::<_, i64>(0)?))?);
            }
            Write::DeleteConnection { id } => *self.due += search::add_all_due(self.db, *id)?,
            _ => {}
        }
        Ok(())
    }

    fn complete(&self, completion: &Completion) -> Applied<TaskChange> {
        let Completion { task, revision, then } = completion;
        let (id, revision) = (task.number(), *revision);
        let done = match then {
            After::Delete => {
                let deleted = self.db.run("DELETE FROM task WHERE id = ?1 AND revision = ?2", params![id, revision])?;
                (deleted == 1).then_some(TaskChange::Gone(*task))
            }
            After::Again { run_at } => self.begin_anew(id, revision, *run_at)?.map(TaskChange::Waits),
            After::Retry { run_at, attempt, errors } => {
                self.try_again(id, revision, *run_at, *attempt, errors)?.map(TaskChange::Waits)
            }
            After::Dead { attempt, errors, at, again } => self.die(completion, *attempt, errors, *at, *again)?,
        };
        if let Some(change) = done {
            return Ok(change);
        }
        let sql = task_sql!("UPDATE task SET attempt = 0, errors = NULL WHERE id = ?1 RETURNING " columns);
        let row = self.db.change(sql, [id], rows::task)?;
        row.map(TaskChange::Waits).ok_or(Refusal::Refused(CommitError::TaskGone))
    }

    /// The next run of a task, which knows nothing of this one.
    fn begin_anew(&self, id: i64, revision: i64, run_at: Option<Timestamp>) -> Applied<Option<TaskRow>> {
        let sql = task_sql!(
            "UPDATE task SET run_at = ?3, attempt = 0, errors = NULL, revision = ?4, nonce = ?5 WHERE id = ?1 AND revision = ?2 RETURNING " columns
        );
        let values = params![id, revision, micros(run_at), self.ids.take_one(), new_nonce()];
        Ok(self.db.change(sql, values, rows::task)?)
    }

    fn try_again(
        &self,
        id: i64,
        revision: i64,
        run_at: Option<Timestamp>,
        attempt: u32,
        errors: &[TaskError],
    ) -> Applied<Option<TaskRow>> {
        let sql = task_sql!(
            "UPDATE task SET run_at = ?3, attempt = ?4, errors = ?5 WHERE id = ?1 AND revision = ?2 RETURNING " columns
        );
        let values = params![id, revision, micros(run_at), attempt, errors_json(errors)?];
        Ok(self.db.change(sql, values, rows::task)?)
    }

    fn die(
        &self,
        completion: &Completion,
        attempt: u32,
        errors: &[TaskError],
        at: Timestamp,
        again: Option<(Timestamp, TaskId)>,
    ) -> Applied<Option<TaskChange>> {
        let id = completion.task;
        let Some(row) = queries::task_by_id(self.db, id)?.filter(|row| row.revision == completion.revision) else {
            return Ok(None);
        };
        let mut dead = DeadTask { task: TaskRow { attempt, errors: errors.to_vec(), ..row }, died_at: at };
        let Some((run_at, dead_id)) = again else {
            self.put_dead(&dead)?;
            self.db.run("DELETE FROM task WHERE id = ?1", [id.number()])?;
            return Ok(Some(TaskChange::Gone(id)));
        };
        dead.task.id = dead_id;
        self.put_dead(&dead)?;
        Ok(self.begin_anew(id.number(), completion.revision, Some(run_at))?.map(TaskChange::Waits))
    }

    fn check(&self, expect: &Expect) -> Applied {
        let holds = match expect {
            Expect::State { connection, key, version } => {
                let sql = "SELECT version FROM state WHERE connection_id = ?1 AND key = ?2";
                let found = self.db.number(sql, params![connection.number(), key])?;
                if found != *version {
                    return Err(CommitError::StateConflict(key.clone()).into());
                }
                true
            }
            Expect::StatePrefix { connection, prefix, versions } => {
                let sql =
                    "SELECT key, version FROM state WHERE connection_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key";
                let mut expected = versions.iter();
                let mut same = true;
                self.db.each(sql, params![connection.number(), prefix, prefix_end(prefix)], |row| {
                    same = match expected.next() {
                        Some((key, version)) => {
                            row.get_ref(0)?.as_str() == Ok(key.as_str()) && row.get::<_, i64>(1)? == *version
                        }
                        None => false,
                    };
                    Ok(same)
                })?;
                if !same || expected.next().is_some() {
                    return Err(CommitError::StateConflict(prefix.clone()).into());
                }
                true
            }
            Expect::Task { id } => {
                let found = self.db.exists("SELECT 1 FROM task WHERE id = ?1", [id.number()])?;
                if !found {
                    return Err(CommitError::TaskGone.into());
                }
                true
            }
            Expect::UserTasks { connection, channel, tasks } => {
                let sql = "SELECT id FROM task WHERE connection_id = ?1 AND channel = ?2 AND priority = ?3 ORDER BY id";
                let mut found = Vec::new();
                let params = params![connection.number(), channel.as_str(), TaskPriority::User.number()];
                self.db.each(sql, params, |row| {
                    found.push(TaskId::from_number(row.get(0)?));
                    Ok(true)
                })?;
                found == *tasks
            }
            Expect::SourceThread { source, thread } => queries::thread_of_source(self.db, source)? == *thread,
            Expect::Setting { name, value } => {
                let sql = "SELECT value FROM setting WHERE name = ?1";
                let found: Option<Vec<u8>> = self.db.first(sql, [name], |row| Ok(row.get(0)?))?;
                found.as_deref() == value.as_deref()
            }
            Expect::File { id } => files::is_whole(self.db, *id)?,
        };
        if holds { Ok(()) } else { Err(CommitError::RecordConflict.into()) }
    }

    fn write<'s>(
        &mut self,
        write: &'s Write,
        documents: &mut impl Iterator<Item = &'s str>,
        feed: &mut Vec<&'s FeedEntry>,
        committed: &mut Committed,
    ) -> Applied {
        match write {
            Write::PutState { connection, key, value } => {
                self.db.run(
                    "INSERT INTO state(connection_id, key, version, value) VALUES(?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET version = excluded.version, value = excluded.value",
                    params![connection.number(), key, self.ids.take_one(), value.as_ref()],
                )?;
            }
            Write::DeleteState { connection, key } => {
                self.db.run(
                    "DELETE FROM state WHERE connection_id = ?1 AND key = ?2",
                    params![connection.number(), key],
                )?;
            }
            Write::DeleteStateVersion { connection, key, version } => {
                self.db.run(
                    "DELETE FROM state WHERE connection_id = ?1 AND key = ?2 AND version = ?3",
                    params![connection.number(), key, version],
                )?;
            }
            Write::DeleteStatePrefix { connection, prefix } => {
                self.db.run(
                    "DELETE FROM state WHERE connection_id = ?1 AND key >= ?2 AND key < ?3",
                    params![connection.number(), prefix, prefix_end(prefix)],
                )?;
            }
            Write::PutCallback(row) => {
                self.db.run(
                    "INSERT OR REPLACE INTO callback(id, connection_id, body) VALUES(?1, ?2, ?3)",
                    params![row.id, row.connection.number(), row.body.as_ref()],
                )?;
            }
            Write::DeleteCallback { connection, id } => {
                self.db.run(
                    "DELETE FROM callback WHERE id = ?2 AND connection_id = ?1",
                    params![connection.number(), id],
                )?;
            }
            Write::DeleteCallbacks { connection } => self.delete_callbacks(*connection)?,
            Write::RevokeCallback { connection, nonce } => {
                self.db.run(
                    "INSERT OR IGNORE INTO revoked(connection_id, nonce) VALUES(?1, ?2)",
                    params![connection.number(), nonce],
                )?;
            }
            Write::PutTask { task, keyed } => {
                committed.tasks.extend(self.put_task(task, *keyed)?.map(TaskChange::Waits));
            }
            Write::DeleteTask { id } => {
                if self.db.run("DELETE FROM task WHERE id = ?1", [id.number()])? > 0 {
                    committed.tasks.push(TaskChange::Gone(*id));
                }
            }
            Write::DeleteTaskByKey { connection, key } => {
                let found = queries::task_by_key(self.db, *connection, key)?;
                if let Some(row) = found {
                    self.db.run("DELETE FROM task WHERE id = ?1", [row.id.number()])?;
                    committed.tasks.push(TaskChange::Gone(row.id));
                }
            }
            Write::DeleteTasks { connection, channel, except, dead } => {
                self.delete_tasks(*connection, channel.as_ref(), *except, *dead)?;
                committed.tasks.push(TaskChange::AllGone {
                    connection: *connection,
                    channel: channel.clone(),
                    except: *except,
                });
            }
            Write::HastenTasks { connection, key_prefix } => self.hasten_tasks(*connection, key_prefix, committed)?,
            Write::PutDead(dead) => self.put_dead(dead)?,
            Write::DeleteDead { id } => {
                self.db.run("DELETE FROM dead WHERE id = ?1", [id.number()])?;
            }
            Write::PutDelivery { row, request } => self.put_delivery(row, request)?,
            Write::RedirectDelivery { id, task } => {
                self.db.run("UPDATE delivery SET task_id = ?2 WHERE id = ?1", [id.number(), task.number()])?;
            }
            Write::DeleteDeliveries { ids } => {
                for id in ids {
                    self.db.run("DELETE FROM delivery WHERE id = ?1", [id.number()])?;
                }
            }
            Write::PutConnection { row, expect } => self.put_connection(row, *expect, document(documents)?)?,
            Write::DeleteConnection { id } => {
                self.delete_connection(*id)?;
                committed.tasks.push(TaskChange::AllGone { connection: *id, channel: None, except: None });
            }
            Write::PutChannel { row, expect } => self.put_channel(row, *expect, document(documents)?)?,
            Write::DeleteChannel { connection, channel } => {
                self.db.run(
                    "DELETE FROM channel WHERE connection_id = ?1 AND id = ?2",
                    params![connection.number(), channel.as_str()],
                )?;
            }
            Write::CountSaved { connection, channel, saved } => {
                self.db.run(
                    "UPDATE channel SET saved = saved + ?3 WHERE connection_id = ?1 AND id = ?2",
                    params![connection.number(), channel.as_str(), i64::try_from(*saved).unwrap_or(i64::MAX)],
                )?;
            }
            Write::PutLink { row, expect } => self.put_link(row, *expect, document(documents)?)?,
            Write::DeleteLink { id } => self.delete_link(*id)?,
            Write::PutSource { source, thread } => {
                self.db.run(
                    "INSERT OR REPLACE INTO source(source, thread_id) VALUES(?1, ?2)",
                    params![source.as_str(), thread.number()],
                )?;
            }
            Write::MergeThreads { from, into } => self.merge_threads(*from, *into)?,
            Write::PutNote { row, expect } => {
                self.put_note(row, *expect, document(documents)?)?;
                self.put_files_of(&row.note, expect.is_none())?;
            }
            Write::DeleteNote { id } => self.delete_note(*id)?,
            Write::PutFile { row, expect } => self.put_file(row, *expect)?,
            Write::PutFileChunk { file, index, bytes } => self.put_file_chunk(*file, *index, bytes)?,
            Write::DeleteFiles { ids } => self.delete_unused_files(ids.iter().map(|id| id.number()))?,
            Write::PutUserThread { row, expect } => self.put_user_thread(row, *expect)?,
            Write::DeleteUserThread { user, thread } => {
                self.db.run(
                    "DELETE FROM user_thread WHERE thread_id = ?1 AND user = ?2",
                    params![thread.number(), user.as_str()],
                )?;
            }
            Write::Feed(entry) => feed.push(entry),
            Write::PutSecret { row, expect } => self.put_secret(row, *expect)?,
            Write::DeleteSecret { name, expect: None } => {
                self.db.run("DELETE FROM secret WHERE name = ?1", [name])?;
            }
            Write::DeleteSecret { name, expect: Some(version) } => {
                let sql = "DELETE FROM secret WHERE name = ?1 AND version = ?2";
                one_or_conflict(self.db.run(sql, params![name, version])?)?;
            }
            Write::PutSetting { name, value: Some(value) } => {
                self.db
                    .run("INSERT OR REPLACE INTO setting(name, value) VALUES(?1, ?2)", params![name, value.as_ref()])?;
            }
            Write::PutSetting { name, value: None } => {
                self.db.run("DELETE FROM setting WHERE name = ?1", [name])?;
            }
            Write::DeleteSettings { prefix } => {
                let sql = "DELETE FROM setting WHERE name >= ?1 AND name < ?2";
                self.db.run(sql, params![prefix, prefix_end(prefix)])?;
            }
            Write::TrimFeed { upto } => self.trim_feed(*upto)?,
        }
        Ok(())
    }

    /// Adds a task, or does to the one that has its key what `keyed` says. The row that waits now; none if nothing changed.
    fn put_task(&self, task: &TaskRow, keyed: KeyedTask) -> Applied<Option<TaskRow>> {
        let holder = match &task.key {
            Some(key) => queries::task_by_key(self.db, task.connection, key)?,
            None => None,
        };
        let (revision, nonce) = (self.ids.take_one(), task.nonce.or_else(|| Some(new_nonce())));
        let row = match (holder, keyed) {
            (None, _) => TaskRow { run_at: stored_time(task.run_at), revision, nonce, ..task.clone() },
            (Some(_), KeyedTask::Keep) => return Ok(None),
            (Some(holder), KeyedTask::Replace) => {
                TaskRow { id: holder.id, run_at: stored_time(task.run_at), revision, nonce, ..task.clone() }
            }
            // None is at once, and less than any time.
            (Some(holder), KeyedTask::Coalesce) => {
                let nonce = Some(new_nonce());
                TaskRow { run_at: holder.run_at.min(stored_time(task.run_at)), revision, nonce, ..holder }
            }
        };
        self.db.run("INSERT INTO task(id, connection_id, run_at, attempt, revision, key, channel, priority, every_ms, payload, errors, nonce)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT(id) DO UPDATE SET connection_id = excluded.connection_id, run_at = excluded.run_at, attempt = excluded.attempt,
               revision = excluded.revision, key = excluded.key, channel = excluded.channel, priority = excluded.priority,
               every_ms = excluded.every_ms, payload = excluded.payload, errors = excluded.errors, nonce = excluded.nonce", params![
            row.id.number(),
            row.connection.number(),
            micros(row.run_at),
            row.attempt,
            row.revision,
            row.key,
            row.channel.as_ref().map(ChannelId::as_str),
            row.priority.number(),
            row.every_ms,
            row.payload.as_ref(),
            errors_json(&row.errors)?,
            row.nonce,
        ])?;
        Ok(Some(row))
    }

    /// Walks all tasks: an index by connection would cost every task that is put and done a page,
    /// for what only happens when a user removes a connection or disables a channel.
    fn delete_tasks(
        &self,
        connection: ConnectionId,
        channel: Option<&ChannelId>,
        except: Option<TaskId>,
        dead: bool,
    ) -> Applied {
        let channel = channel.map(ChannelId::as_str);
        self.db.run(
            "DELETE FROM task WHERE connection_id = ?1 AND (?2 IS NULL OR channel = ?2) AND id IS NOT ?3",
            params![connection.number(), channel, except.map(TaskId::number)],
        )?;
        if dead {
            self.db.run(
                "DELETE FROM dead WHERE connection_id = ?1 AND (?2 IS NULL OR channel = ?2)",
                params![connection.number(), channel],
            )?;
        }
        Ok(())
    }

    fn hasten_tasks(&self, connection: ConnectionId, key_prefix: &str, committed: &mut Committed) -> Applied {
        let sql = task_sql!(
            "SELECT " columns " FROM task WHERE connection_id = ?1 AND key IS NOT NULL AND key >= ?2 AND key < ?3 ORDER BY key"
        );
        let waiting = self.db.all(sql, params![connection.number(), key_prefix, prefix_end(key_prefix)], rows::task)?;
        for task in waiting {
            let row = TaskRow { run_at: None, revision: self.ids.take_one(), nonce: Some(new_nonce()), ..task };
            let sql = "UPDATE task SET run_at = NULL, revision = ?2, nonce = ?3 WHERE id = ?1";
            self.db.run(sql, params![row.id.number(), row.revision, row.nonce])?;
            committed.tasks.push(TaskChange::Waits(row));
        }
        Ok(())
    }

    fn put_dead(&self, dead: &DeadTask) -> Applied {
        let task = &dead.task;
        self.db.run("INSERT OR REPLACE INTO dead(id, connection_id, run_at, attempt, revision, key, channel, priority, every_ms, payload, errors, died_at, nonce)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)", params![
            task.id.number(),
            task.connection.number(),
            micros(task.run_at),
            task.attempt,
            task.revision,
            task.key,
            task.channel.as_ref().map(ChannelId::as_str),
            task.priority.number(),
            task.every_ms,
            task.payload.as_ref(),
            errors_json(&task.errors)?,
            dead.died_at.as_microsecond(),
            task.nonce,
        ])?;
        Ok(())
    }

    fn delete_callbacks(&self, connection: ConnectionId) -> Applied {
        self.db.run("DELETE FROM callback WHERE connection_id = ?1", [connection.number()])?;
        self.db.run("DELETE FROM revoked WHERE connection_id = ?1", [connection.number()])?;
        Ok(())
    }

    fn put_delivery(&self, row: &DeliveryRow, request: &[u8]) -> Applied {
        let values = params![
            row.id.number(),
            row.connection.number(),
            row.key,
            row.callback,
            row.channel.as_ref().map(ChannelId::as_str),
            row.received_at.as_microsecond(),
            row.task.number(),
            i64::try_from(row.size).unwrap_or(i64::MAX),
            request,
        ];
        let sql = "INSERT INTO delivery(id, connection_id, key, callback, channel, received_at, task_id, size, request)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        one_or_conflict(self.db.run(sql, values)?)
    }

    fn put_connection(&self, row: &ConnectionRow, expect: Option<i64>, document: &str) -> Applied {
        let values = params![
            row.id.number(),
            row.connector.as_str(),
            row.owner.as_str(),
            row.status.as_str(),
            version_after(expect),
            document,
            row.account.tenant,
        ];
        let sql = match expect {
            None => {
                "INSERT INTO connection(id, connector, owner, status, version, doc, tenant) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING"
            }
            Some(_) => {
                "UPDATE connection SET connector = ?2, owner = ?3, status = ?4, version = ?5, doc = ?6, tenant = ?7 WHERE id = ?1 AND version = ?5 - 1"
            }
        };
        one_or_conflict(self.db.run(sql, values)?)?;
        self.put_claims(row)
    }

    /// Gives a connection its claims, in place of those that it had.
    fn put_claims(&self, row: &ConnectionRow) -> Applied {
        let id = row.id.number();
        let sql = "SELECT claim FROM claim WHERE connection_id = ?1 ORDER BY claim";
        let mut claims: Vec<&String> = row.claims.iter().collect();
        claims.sort();
        claims.dedup();
        // They hardly ever change.
        if self.db.all(sql, [id], |row| Ok(row.get::<_, String>(0)?))?.iter().eq(claims.iter().copied()) {
            return Ok(());
        }
        self.db.run("DELETE FROM claim WHERE connection_id = ?1", [id])?;
        for claim in claims {
            let sql = "INSERT INTO claim(claim, connection_id) VALUES(?1, ?2) ON CONFLICT DO NOTHING";
            if self.db.run(sql, params![claim, id])? == 0 {
                let by = self.db.number("SELECT connection_id FROM claim WHERE claim = ?1", [claim])?;
                let by = ConnectionId::from_number(by.unwrap_or_default());
                return Err(CommitError::Taken { claim: claim.clone(), by }.into());
            }
        }
        Ok(())
    }

    fn put_secret(&self, row: &SecretRow, expect: Option<i64>) -> Applied {
        let values = params![
            row.name,
            row.connection.map(ConnectionId::number),
            row.sealed,
            micros(row.expires_at),
            version_after(expect),
        ];
        let sql = match expect {
            None => {
                "INSERT INTO secret(name, connection_id, sealed, expires_at, version) VALUES(?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING"
            }
            Some(_) => {
                "UPDATE secret SET connection_id = ?2, sealed = ?3, expires_at = ?4, version = ?5 WHERE name = ?1 AND version = ?5 - 1"
            }
        };
        one_or_conflict(self.db.run(sql, values)?)
    }

    fn delete_connection(&self, id: ConnectionId) -> Applied {
        self.delete_callbacks(id)?;
        self.delete_tasks(id, None, None, true)?;
        let sql = "DELETE FROM note_file WHERE EXISTS (SELECT 1 FROM note JOIN link ON link.id = note.link_id
                   WHERE note.id = note_file.note_id AND link.connection_id = ?1) RETURNING file_id";
        self.lose_files(sql, id.number())?;
        for sql in [
            "DELETE FROM claim WHERE connection_id = ?1",
            // While its links say which threads are its own.
            "DELETE FROM source WHERE thread_id IN (SELECT thread_id FROM link WHERE connection_id = ?1)
             AND NOT EXISTS (SELECT 1 FROM link WHERE link.thread_id = source.thread_id AND link.connection_id <> ?1)",
            "DELETE FROM state WHERE connection_id = ?1",
            "DELETE FROM channel WHERE connection_id = ?1",
            "DELETE FROM delivery WHERE connection_id = ?1",
            // Found by their links, so that a note needs no index by connection.
            "DELETE FROM note WHERE link_id IN (SELECT id FROM link WHERE connection_id = ?1)",
            "DELETE FROM link WHERE connection_id = ?1",
            "DELETE FROM secret WHERE connection_id = ?1",
            "DELETE FROM connection WHERE id = ?1",
        ] {
            self.db.run(sql, [id.number()])?;
        }
        Ok(())
    }

    fn put_channel(&self, row: &ChannelRow, expect: Option<i64>, document: &str) -> Applied {
        let values = params![
            row.connection.number(),
            row.channel.id.as_str(),
            i64::try_from(row.sync.saved).unwrap_or(i64::MAX),
            version_after(expect),
            document,
        ];
        let sql = match expect {
            None => {
                "INSERT INTO channel(connection_id, id, saved, version, doc) VALUES(?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING"
            }
            Some(_) => {
                "UPDATE channel SET saved = ?3, version = ?4, doc = ?5 WHERE connection_id = ?1 AND id = ?2 AND version = ?4 - 1"
            }
        };
        one_or_conflict(self.db.run(sql, values)?)
    }

    fn put_link(&self, row: &LinkRow, expect: Option<i64>, document: &str) -> Applied {
        let link = &row.link;
        let values = params![
            link.id.number(),
            row.connection.number(),
            link.source.as_str(),
            link.thread.number(),
            link.channel.as_str(),
            link.link_type.as_str(),
            link.status.as_ref().map(connector_core::id::StatusId::as_str),
            link.occurred_at.as_microsecond(),
            link.updated_at.as_microsecond(),
            link.archived,
            version_after(expect),
            document,
        ];
        if expect.is_none() {
            return one_or_conflict(
                self.db.run("INSERT INTO link(id, connection_id, source, thread_id, channel, type, status, occurred_at, updated_at, archived, version, doc)
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING", values)?,
            );
        }
        // Naming a column writes its indexes anew, so those that hardly ever change are not named.
        let usual = self.db.run("UPDATE link SET channel = ?5, type = ?6, status = ?7, occurred_at = ?8, updated_at = ?9, archived = ?10, version = ?11, doc = ?12
                 WHERE id = ?1 AND version = ?11 - 1 AND connection_id = ?2 AND source = ?3 AND thread_id = ?4", values)?;
        if usual == 1 {
            return Ok(());
        }
        one_or_conflict(
            self.db.run("UPDATE OR IGNORE link SET connection_id = ?2, source = ?3, thread_id = ?4, channel = ?5, type = ?6, status = ?7,
                 occurred_at = ?8, updated_at = ?9, archived = ?10, version = ?11, doc = ?12 WHERE id = ?1 AND version = ?11 - 1", values)?,
        )
    }

    fn put_note(&self, row: &NoteRow, expect: Option<i64>, document: &str) -> Applied {
        let note = &row.note;
        let values = params![
            note.id.number(),
            row.connection.number(),
            note.link.number(),
            note.key.as_ref().map(connector_core::id::NoteKey::as_str),
            note.occurred_at.as_microsecond(),
            version_after(expect),
            row.baseline,
            document,
        ];
        if expect.is_none() {
            return one_or_conflict(self.db.run(
                "INSERT INTO note(id, connection_id, link_id, key, occurred_at, version, baseline, doc)
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                values,
            )?);
        }
        let usual = self.db.run(
            "UPDATE note SET occurred_at = ?5, version = ?6, baseline = ?7, doc = ?8
                 WHERE id = ?1 AND version = ?6 - 1 AND connection_id = ?2 AND link_id = ?3 AND key IS ?4",
            values,
        )?;
        if usual == 1 {
            return Ok(());
        }
        one_or_conflict(
            self.db.run("UPDATE OR IGNORE note SET connection_id = ?2, link_id = ?3, key = ?4, occurred_at = ?5, version = ?6, baseline = ?7, doc = ?8
                 WHERE id = ?1 AND version = ?6 - 1", values)?,
        )
    }

    fn put_user_thread(&self, row: &UserThreadRow, expect: Option<i64>) -> Applied {
        let values = params![
            row.thread.number(),
            row.user.as_str(),
            row.unread,
            row.todo,
            row.todo_date.map(|date| date.to_string()),
            row.archived,
            version_after(expect),
        ];
        let sql = match expect {
            None => {
                "INSERT INTO user_thread(thread_id, user, unread, todo, todo_date, archived, version)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING"
            }
            Some(_) => {
                "UPDATE user_thread SET unread = ?3, todo = ?4, todo_date = ?5, archived = ?6, version = ?7
                 WHERE thread_id = ?1 AND user = ?2 AND version = ?7 - 1"
            }
        };
        one_or_conflict(self.db.run(sql, values)?)
    }

    fn merge_threads(&self, from: ThreadId, into: ThreadId) -> Applied {
        let from = queries::current_thread(self.db, from)?;
        let into = queries::current_thread(self.db, into)?;
        if from == into {
            return Ok(());
        }
        let (from, into, name) = (from.number(), into.number(), into.to_string());
        // The versions grow, so that a dispatch that read one of them in the old thread cannot put it back there.
        self.db.run(
            "UPDATE note SET doc = json_set(doc, '$.thread', ?2), version = version + 1
             WHERE link_id IN (SELECT id FROM link WHERE thread_id = ?1)",
            params![from, name],
        )?;
        self.db.run("UPDATE link SET thread_id = ?2, version = version + 1 WHERE thread_id = ?1", [from, into])?;
        self.db.run("UPDATE source SET thread_id = ?2 WHERE thread_id = ?1", [from, into])?;
        self.db.run("UPDATE thread_alias SET into_id = ?2 WHERE into_id = ?1", [from, into])?;
        self.db.run("INSERT INTO thread_alias(from_id, into_id) VALUES(?1, ?2)", [from, into])?;
        self.db.run("UPDATE OR IGNORE user_thread SET thread_id = ?2 WHERE thread_id = ?1", [from, into])?;
        self.db.run("DELETE FROM user_thread WHERE thread_id = ?1", [from])?;
        Ok(())
    }

    /// Adds entries that are alike, as one row. The position of the last of them.
    fn feed(&mut self, alike: &[&FeedEntry]) -> Applied<u64> {
        let Some(entry) = alike.first() else { return Ok(*self.feed_end) };
        let position = *self.feed_end + alike.len() as u64;
        self.db.run(
            "INSERT INTO feed(position, kind, connection_id, refs) VALUES(?1, ?2, ?3, ?4)",
            params![
                queries::position(position),
                entry.kind.as_str(),
                entry.connection.map(ConnectionId::number),
                rows::feed_refs(alike.iter().copied())?,
            ],
        )?;
        *self.feed_end = position;
        Ok(position)
    }

    /// The row that the position is within keeps the entries after it.
    fn trim_feed(&self, upto: u64) -> Applied {
        let upto = upto.min(self.feed_end.saturating_sub(1));
        self.db.run("DELETE FROM feed WHERE position <= ?1", [queries::position(upto)])?;
        let sql = "SELECT position, kind, connection_id, refs FROM feed ORDER BY position LIMIT 1";
        let rest = self.db.first(sql, [], rows::feed_entries)?.unwrap_or_default();
        if let (Some(first), Some(last)) = (rest.first(), rest.last())
            && first.position <= upto
        {
            let refs = rows::feed_refs(rest.iter().filter(|entry| entry.position > upto))?;
            let position = queries::position(last.position);
            self.db.run("UPDATE feed SET refs = ?2 WHERE position = ?1", params![position, refs])?;
        }
        Ok(())
    }
}

/// The version that is stored; the statements take the expected one from it.
pub(super) fn version_after(expect: Option<i64>) -> i64 {
    expect.unwrap_or(0).saturating_add(1)
}

pub(super) fn one_or_conflict(changed: usize) -> Applied {
    if changed == 1 { Ok(()) } else { Err(CommitError::RecordConflict.into()) }
}

/// The document of the write at hand; made when the set was handed in.
fn document<'d>(documents: &mut impl Iterator<Item = &'d str>) -> Result<&'d str, Fail> {
    documents.next().ok_or_else(|| Fail::Damaged("a set has fewer documents than rows".to_owned()))
}
