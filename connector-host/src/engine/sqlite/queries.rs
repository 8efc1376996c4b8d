//! What is read. Each runs within one transaction, so that its parts are of one moment.

use std::sync::Arc;

use bytes::Bytes;
use connector_core::engine::{
    CallbackRow, ChannelRow, ConnectionRow, Counts, DeadTask, DeliveryQuery, DeliveryRow, FeedEntry, LinkQuery,
    LinkRow, NoteRow, SecretRow, SourceRow, StateValue, TaskQuery, TaskRow, UserThreadRow,
};
use connector_core::id::{
    ChannelId, ConnectionId, ConnectorId, DeliveryId, LinkId, NoteId, NoteKey, TaskId, ThreadId, UserId,
};
use connector_core::model::Source;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, params};

use super::fail::Fail;
use super::rows;
use super::statements::Statements;

pub(super) type Found<T> = Result<T, Fail>;

/// A statement about tasks; `columns` stands for what [`rows::task`] reads.
macro_rules! task_sql {
    ($before:literal columns $($after:literal)?) => {
        concat!($before, "id, connection_id, run_at, attempt, revision, key, channel, priority, every_ms, payload, errors, nonce", $($after)?)
    };
}
pub(super) use task_sql;

/// A statement about links; `columns` stands for what [`rows::link`] reads.
macro_rules! link_sql {
    ($before:literal columns $($after:expr)?) => {
        concat!($before, "id, connection_id, source, thread_id, channel, type, status, occurred_at, updated_at, archived, version, doc", $($after)?)
    };
}

/// A statement about deliveries; `columns` stands for what [`rows::delivery`] reads.
macro_rules! delivery_sql {
    ($before:literal columns $($after:literal)?) => {
        concat!($before, "id, connection_id, key, callback, channel, received_at, task_id, size", $($after)?)
    };
}

/// The least value greater than all texts with this prefix. Texts are in the order of their bytes; a blob is after all of them.
pub(super) fn prefix_end(prefix: &str) -> Value {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        let next = match last {
            // The surrogates in between are no characters.
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            rest.push(next);
            return Value::Text(rest);
        }
    }
    Value::Blob(Vec::new())
}

pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn position(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

pub(super) fn state(db: &Statements<'_>, owner: ConnectionId, keys: &[String]) -> Found<Vec<Option<StateValue>>> {
    let sql = "SELECT key, version, value FROM state WHERE connection_id = ?1 AND key = ?2";
    keys.iter().map(|key| db.first(sql, params![owner.number(), key], rows::state)).collect()
}

pub(super) fn state_entries(
    db: &Statements<'_>,
    owner: ConnectionId,
    prefix: &str,
    count: usize,
) -> Found<Vec<(String, StateValue)>> {
    let sql = "SELECT key, version, value FROM state WHERE connection_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4";
    let read = |row: &Row<'_>| Ok((row.get(0)?, rows::state(row)?));
    db.all(sql, params![owner.number(), prefix, prefix_end(prefix), limit(count)], read)
}

pub(super) fn callback(db: &Statements<'_>, owner: ConnectionId, id: i64) -> Found<Option<CallbackRow>> {
    let sql = "SELECT id, connection_id, body FROM callback WHERE id = ?2 AND connection_id = ?1";
    db.first(sql, params![owner.number(), id], rows::callback)
}

pub(super) fn callback_revoked(db: &Statements<'_>, owner: ConnectionId, nonce: &str) -> Found<bool> {
    let sql = "SELECT 1 FROM revoked WHERE connection_id = ?1 AND nonce = ?2";
    Ok(db.exists(sql, params![owner.number(), nonce])?)
}

pub(super) fn connection_row(db: &Statements<'_>, id: ConnectionId) -> Found<Option<Arc<ConnectionRow>>> {
    Ok(db.first("SELECT version, doc FROM connection WHERE id = ?1", [id.number()], rows::connection)?.map(Arc::new))
}

pub(super) fn connections(
    db: &Statements<'_>,
    user: Option<&UserId>,
    connector: Option<&ConnectorId>,
    after: Option<ConnectionId>,
    count: usize,
) -> Found<Vec<Arc<ConnectionRow>>> {
    let after = after.map_or(i64::MIN, ConnectionId::number);
    let connector = connector.map(ConnectorId::as_str);
    let read = |row: &Row<'_>| rows::connection(row).map(Arc::new);
    match user {
        None => {
            let sql = "SELECT version, doc FROM connection WHERE id > ?1 AND (?2 IS NULL OR connector = ?2) ORDER BY id LIMIT ?3";
            db.all(sql, params![after, connector, limit(count)], read)
        }
        Some(user) => {
            let sql = "SELECT version, doc FROM connection INDEXED BY connection_owner
                       WHERE owner = ?4 AND id > ?1 AND (?2 IS NULL OR connector = ?2) ORDER BY id LIMIT ?3";
            db.all(sql, params![after, connector, limit(count), user.as_str()], read)
        }
    }
}

pub(super) fn connections_of_tenant(
    db: &Statements<'_>,
    connector: &ConnectorId,
    tenant: &str,
) -> Found<Vec<Arc<ConnectionRow>>> {
    let sql = "SELECT version, doc FROM connection WHERE tenant = ?1 AND connector = ?2 ORDER BY id";
    db.all(sql, params![tenant, connector.as_str()], |row| rows::connection(row).map(Arc::new))
}

pub(super) fn channels(db: &Statements<'_>, owner: ConnectionId) -> Found<Vec<ChannelRow>> {
    let sql = "SELECT version, saved, doc FROM channel WHERE connection_id = ?1 ORDER BY id";
    db.all(sql, [owner.number()], rows::channel)
}

pub(super) fn channel(db: &Statements<'_>, owner: ConnectionId, id: &ChannelId) -> Found<Option<ChannelRow>> {
    let sql = "SELECT version, saved, doc FROM channel WHERE connection_id = ?1 AND id = ?2";
    db.first(sql, params![owner.number(), id.as_str()], rows::channel)
}

pub(super) fn links_by_source(
    db: &Statements<'_>,
    owner: ConnectionId,
    sources: &[Source],
) -> Found<Vec<Option<LinkRow>>> {
    let sql = link_sql!("SELECT " columns " FROM link WHERE source = ?1 AND connection_id = ?2");
    sources.iter().map(|source| db.first(sql, params![source.as_str(), owner.number()], rows::link)).collect()
}

/// All links with a source are in one thread.
pub(super) fn thread_of_source(db: &Statements<'_>, source: &Source) -> Found<Option<ThreadId>> {
    let sql = "SELECT thread_id FROM link WHERE source = ?1
               UNION ALL SELECT thread_id FROM source WHERE source = ?1 LIMIT 1";
    Ok(db.number(sql, [source.as_str()])?.map(ThreadId::from_number))
}

pub(super) fn sources(db: &Statements<'_>, owner: ConnectionId, sources: &[Source]) -> Found<Vec<SourceRow>> {
    // The parts run in their order, and no further than to the first row: what follows the link of the
    // owner matters only where there is none.
    let sql = link_sql!("SELECT " columns " FROM link WHERE source = ?1 AND connection_id = ?2
        UNION ALL SELECT NULL, NULL, NULL, thread_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM link WHERE source = ?1
        UNION ALL SELECT NULL, NULL, NULL, thread_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM source WHERE source = ?1
        LIMIT 1");
    let read = |source: &Source| {
        Ok(db.first(sql, params![source.as_str(), owner.number()], rows::source)?.unwrap_or_default())
    };
    sources.iter().map(read).collect()
}

pub(super) fn current_thread(db: &Statements<'_>, thread: ThreadId) -> Found<ThreadId> {
    let into = db.number("SELECT into_id FROM thread_alias WHERE from_id = ?1", [thread.number()])?;
    Ok(into.map_or(thread, ThreadId::from_number))
}

pub(super) fn link(db: &Statements<'_>, id: LinkId) -> Found<Option<LinkRow>> {
    db.first(link_sql!("SELECT " columns " FROM link WHERE id = ?1"), [id.number()], rows::link)
}

/// Reads each connection's links in the order of its index and no further than needed, and merges
/// them: so a list costs about what it shows, however many links there are.
pub(super) fn links(db: &Statements<'_>, query: &LinkQuery) -> Found<Vec<LinkRow>> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let mut listed = Vec::new();
    if let Some(thread) = query.thread {
        list(db, query, None, Some(thread), &mut listed)?;
    } else {
        let owners = match &query.connections {
            Some(connections) => connections.iter().map(|id| id.number()).collect(),
            None => owners_of_links(db)?,
        };
        for owner in owners {
            list(db, query, Some(owner), None, &mut listed)?;
        }
    }
    shorten(&mut listed, query.limit);
    let sql = link_sql!("SELECT " columns " FROM link WHERE id = ?1");
    listed.into_iter().filter_map(|(_, id)| db.first(sql, [id], rows::link).transpose()).collect()
}

/// All connections that have links, by a look-up for each of them.
fn owners_of_links(db: &Statements<'_>) -> Found<Vec<i64>> {
    let sql = "SELECT connection_id FROM link WHERE connection_id > ?1 ORDER BY connection_id LIMIT 1";
    let mut owners = Vec::new();
    let mut last = i64::MIN;
    while let Some(owner) = db.number(sql, [last])? {
        owners.push(owner);
        last = owner;
    }
    Ok(owners)
}

/// A link's place in a list: when it last changed, and its id.
type Place = (i64, i64);

fn shorten(listed: &mut Vec<Place>, count: usize) {
    listed.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
    // A connection that is asked for twice has its links once.
    listed.dedup();
    listed.truncate(count);
}

/// Adds the first links of a connection, or all of a thread, to the list; those at least that belong into it.
fn list(
    db: &Statements<'_>,
    query: &LinkQuery,
    owner: Option<i64>,
    thread: Option<ThreadId>,
    listed: &mut Vec<Place>,
) -> Found<()> {
    macro_rules! listing {
        ($scope:literal) => {
            concat!(
                "SELECT updated_at, id, connection_id FROM ",
                $scope,
                " AND (updated_at, id) < (?2, ?3) AND (?4 IS NULL OR channel = ?4) AND (?5 IS NULL OR type = ?5)
                 AND (?6 IS NULL OR status = ?6) AND (?7 OR archived = 0) ORDER BY updated_at DESC, id DESC"
            )
        };
    }
    let sql = match owner {
        Some(_) => listing!("link INDEXED BY link_updated WHERE connection_id = ?1"),
        None => listing!("link INDEXED BY link_thread WHERE thread_id = ?1"),
    };
    let (updated_at, id) = query.after.map_or((i64::MAX, i64::MAX), |(at, id)| (at.as_microsecond(), id.number()));
    let values = params![
        owner.or(thread.map(ThreadId::number)),
        updated_at,
        id,
        query.channel.as_ref().map(ChannelId::as_str),
        query.link_type,
        query.status,
        query.archived,
    ];
    shorten(listed, query.limit);
    let last = listed.get(query.limit - 1).copied();
    let mut added = 0;
    db.each(sql, values, |row| {
        let place = (row.get(0)?, row.get(1)?);
        if added == query.limit || last.is_some_and(|last| place < last) {
            return Ok(false);
        }
        let connection: i64 = row.get(2)?;
        if query.connections.as_ref().is_some_and(|wanted| !wanted.contains(&ConnectionId::from_number(connection))) {
            return Ok(true);
        }
        listed.push(place);
        added += 1;
        Ok(true)
    })
}

pub(super) fn notes_by_key(
    db: &Statements<'_>,
    owner: ConnectionId,
    keys: &[(LinkId, NoteKey)],
) -> Found<Vec<Option<NoteRow>>> {
    let sql =
        "SELECT connection_id, version, doc, baseline FROM note WHERE link_id = ?1 AND key = ?2 AND connection_id = ?3";
    keys.iter()
        .map(|(link, key)| db.first(sql, params![link.number(), key.as_str(), owner.number()], rows::note))
        .collect()
}

pub(super) fn note(db: &Statements<'_>, id: NoteId) -> Found<Option<NoteRow>> {
    db.first("SELECT connection_id, version, doc, baseline FROM note WHERE id = ?1", [id.number()], rows::note)
}

pub(super) fn notes_of_link(db: &Statements<'_>, link: LinkId) -> Found<Vec<NoteRow>> {
    let sql = "SELECT connection_id, version, doc, baseline FROM note WHERE link_id = ?1 ORDER BY occurred_at, id";
    db.all(sql, [link.number()], rows::note)
}

pub(super) fn user_threads(
    db: &Statements<'_>,
    user: &UserId,
    threads: &[ThreadId],
) -> Found<Vec<Option<UserThreadRow>>> {
    let sql = "SELECT thread_id, user, unread, todo, todo_date, archived, version FROM user_thread WHERE thread_id = ?1 AND user = ?2";
    threads.iter().map(|thread| db.first(sql, params![thread.number(), user.as_str()], rows::user_thread)).collect()
}

pub(super) fn feed(db: &Statements<'_>, after: u64, count: usize) -> Found<Vec<FeedEntry>> {
    let sql = "SELECT position, kind, connection_id, refs FROM feed WHERE position > ?1 ORDER BY position";
    let mut found = Vec::new();
    if count == 0 {
        return Ok(found);
    }
    db.each(sql, [position(after)], |row| {
        let room = count - found.len();
        found.extend(rows::feed_entries(row)?.into_iter().filter(|entry| entry.position > after).take(room));
        Ok(found.len() < count)
    })?;
    Ok(found)
}

pub(super) fn feed_start(db: &Statements<'_>) -> Found<u64> {
    let sql = "SELECT position, kind, connection_id, refs FROM feed ORDER BY position LIMIT 1";
    let first = db.first(sql, [], rows::feed_entries)?;
    Ok(first.and_then(|entries| Some(entries.first()?.position)).unwrap_or(0))
}

pub(super) fn feed_end(db: &Statements<'_>) -> Found<u64> {
    let end = db.number("SELECT position FROM feed ORDER BY position DESC LIMIT 1", [])?;
    Ok(end.and_then(|end| u64::try_from(end).ok()).unwrap_or(0))
}

pub(super) fn immediate_tasks(db: &Statements<'_>, after: TaskId, count: usize) -> Found<Vec<TaskRow>> {
    let sql =
        task_sql!("SELECT " columns " FROM task NOT INDEXED WHERE id > ?1 AND run_at IS NULL ORDER BY id LIMIT ?2");
    db.all(sql, params![after.number(), limit(count)], rows::task)
}

pub(super) fn scheduled_tasks(db: &Statements<'_>, after: (Timestamp, TaskId), count: usize) -> Found<Vec<TaskRow>> {
    let sql = task_sql!("SELECT " columns " FROM task INDEXED BY task_due WHERE run_at IS NOT NULL AND (run_at, id) > (?1, ?2) ORDER BY run_at, id LIMIT ?3");
    db.all(sql, params![after.0.as_microsecond(), after.1.number(), limit(count)], rows::task)
}

pub(super) fn task_by_id(db: &Statements<'_>, id: TaskId) -> Found<Option<TaskRow>> {
    db.first(task_sql!("SELECT " columns " FROM task WHERE id = ?1"), [id.number()], rows::task)
}

pub(super) fn tasks_by_id(db: &Statements<'_>, ids: &[TaskId]) -> Found<Vec<Option<TaskRow>>> {
    ids.iter().map(|id| task_by_id(db, *id)).collect()
}

pub(super) fn task_by_key(db: &Statements<'_>, owner: ConnectionId, key: &str) -> Found<Option<TaskRow>> {
    let sql = task_sql!("SELECT " columns " FROM task WHERE connection_id = ?1 AND key = ?2");
    db.first(sql, params![owner.number(), key], rows::task)
}

pub(super) fn tasks(db: &Statements<'_>, query: &TaskQuery) -> Found<Vec<TaskRow>> {
    let sql = task_sql!("SELECT " columns " FROM task NOT INDEXED WHERE id > ?1 AND (?2 IS NULL OR connection_id = ?2) ORDER BY id LIMIT ?3");
    db.all(sql, task_query(query), rows::task)
}

pub(super) fn dead_tasks(db: &Statements<'_>, query: &TaskQuery) -> Found<Vec<DeadTask>> {
    let sql = match query.connection {
        None => {
            task_sql!("SELECT " columns ", died_at FROM dead WHERE id > ?1 AND ?2 IS NULL ORDER BY id LIMIT ?3")
        }
        Some(_) => {
            task_sql!("SELECT " columns ", died_at FROM dead WHERE connection_id = ?2 AND id > ?1 ORDER BY id LIMIT ?3")
        }
    };
    db.all(sql, task_query(query), rows::dead)
}

fn task_query(query: &TaskQuery) -> (i64, Option<i64>, i64) {
    (query.after.map_or(i64::MIN, TaskId::number), query.connection.map(ConnectionId::number), limit(query.limit))
}

pub(super) fn dead_task(db: &Statements<'_>, id: TaskId) -> Found<Option<DeadTask>> {
    db.first(task_sql!("SELECT " columns ", died_at FROM dead WHERE id = ?1"), [id.number()], rows::dead)
}

pub(super) fn deliveries(db: &Statements<'_>, query: &DeliveryQuery) -> Found<Vec<DeliveryRow>> {
    let sql = delivery_sql!(
        "SELECT " columns
        " FROM delivery WHERE id < ?1 AND (?2 IS NULL OR connection_id = ?2) AND received_at >= ?3 AND received_at < ?4 ORDER BY id DESC LIMIT ?5"
    );
    let values = params![
        query.before.map_or(i64::MAX, DeliveryId::number),
        query.connection.map(ConnectionId::number),
        rows::micros(query.since).unwrap_or(i64::MIN),
        rows::micros(query.until).unwrap_or(i64::MAX),
        limit(query.limit),
    ];
    db.all(sql, values, rows::delivery)
}

pub(super) fn oldest_deliveries(db: &Statements<'_>, after: DeliveryId, count: usize) -> Found<Vec<DeliveryRow>> {
    let sql = delivery_sql!("SELECT " columns " FROM delivery WHERE id > ?1 ORDER BY id LIMIT ?2");
    db.all(sql, params![after.number(), limit(count)], rows::delivery)
}

pub(super) fn delivery(db: &Statements<'_>, id: DeliveryId) -> Found<Option<(DeliveryRow, Bytes)>> {
    let sql = delivery_sql!("SELECT " columns ", request FROM delivery WHERE id = ?1");
    db.first(sql, [id.number()], rows::delivery_with_request)
}

pub(super) fn setting(db: &Statements<'_>, name: &str) -> Found<Option<Bytes>> {
    let found = db.first("SELECT name, value FROM setting WHERE name = ?1", [name], rows::setting)?;
    Ok(found.map(|(_, value)| value))
}

pub(super) fn settings(db: &Statements<'_>, prefix: &str) -> Found<Vec<(String, Bytes)>> {
    let sql = "SELECT name, value FROM setting WHERE name >= ?1 AND name < ?2 ORDER BY name";
    db.all(sql, params![prefix, prefix_end(prefix)], rows::setting)
}

pub(super) fn secret(db: &Statements<'_>, name: &str) -> Found<Option<SecretRow>> {
    let sql = "SELECT name, connection_id, sealed, expires_at, version FROM secret WHERE name = ?1";
    db.first(sql, [name], rows::secret)
}

pub(super) fn secrets(db: &Statements<'_>, prefix: &str, after: Option<&str>, count: usize) -> Found<Vec<SecretRow>> {
    let sql = "SELECT name, connection_id, sealed, expires_at, version FROM secret
               WHERE name >= ?1 AND name < ?2 AND (?3 IS NULL OR name > ?3) ORDER BY name LIMIT ?4";
    db.all(sql, params![prefix, prefix_end(prefix), after, limit(count)], rows::secret)
}

pub(super) fn counts(db: &Statements<'_>) -> Found<Counts> {
    let sql = "SELECT (SELECT COUNT(*) FROM connection), (SELECT COUNT(*) FROM link), (SELECT COUNT(*) FROM note),
               (SELECT COUNT(*) FROM task), (SELECT COUNT(*) FROM dead),
               (SELECT COUNT(*) FROM delivery), (SELECT COUNT(*) FROM file),
               (SELECT COALESCE(SUM(size), 0) FROM delivery)";
    let found = db.first(sql, [], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Counts {
            connections: count(0)?,
            links: count(1)?,
            notes: count(2)?,
            tasks: count(3)?,
            dead: count(4)?,
            deliveries: count(5)?,
            files: count(6)?,
            delivery_bytes: count(7)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_after_all_that_begin_with_it() {
        assert_eq!(prefix_end("ab"), Value::Text("ac".into()));
        assert_eq!(prefix_end("a\u{10ffff}"), Value::Text("b".into()));
        assert_eq!(prefix_end("\u{d7ff}"), Value::Text("\u{e000}".into()));
        assert_eq!(prefix_end(""), Value::Blob(Vec::new()));
        assert_eq!(prefix_end("\u{10ffff}"), Value::Blob(Vec::new()));
    }
}
