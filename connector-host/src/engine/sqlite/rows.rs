//! Rows of the port to and from columns.

use bytes::Bytes;
use connector_core::engine::{
    CallbackRow, ChannelRow, ConnectionRow, DeadTask, DeliveryRow, FeedEntry, FeedKind, FileRow, LinkColumns,
    LinkDocument, LinkRow, NoteRow, SecretRow, SourceRow, StateValue, TaskError, TaskPriority, TaskRow, UserThreadRow,
    Write, WriteSet,
};
use connector_core::id::{
    ChannelId, ConnectionId, DeliveryId, FileId, LinkId, LinkTypeId, StatusId, TaskId, ThreadId, UserId,
};
use connector_core::model::Source;
use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fail::Fail;

/// The time as it is stored, and as it comes back.
pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.as_microsecond())
}

fn time(micros: i64) -> Result<Timestamp, Fail> {
    Timestamp::from_microsecond(micros).map_err(|error| Fail::Damaged(error.to_string()))
}

fn optional_time(micros: Option<i64>) -> Result<Option<Timestamp>, Fail> {
    micros.map(time).transpose()
}

/// The time without what is not stored of it.
pub(super) fn stored_time(at: Option<Timestamp>) -> Option<Timestamp> {
    at.map(|at| Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at))
}

fn parse<T: DeserializeOwned>(row: &Row<'_>, column: usize, what: &str) -> Result<T, Fail> {
    let text = row.get_ref(column)?.as_str().map_err(|error| Fail::Damaged(format!("a {what} is no text: {error}")))?;
    serde_json::from_str(text).map_err(|error| Fail::Damaged(format!("a {what} cannot be read: {error}")))
}

pub(super) fn blob(row: &Row<'_>, column: usize) -> Result<Bytes, Fail> {
    let bytes =
        row.get_ref(column)?.as_blob().map_err(|error| Fail::Damaged(format!("a value is no blob: {error}")))?;
    Ok(Bytes::copy_from_slice(bytes))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The documents of a set, in the order of its writes, and about how many bytes the whole set has.
///
/// They are written by the caller's thread, not by the one writer.
pub(super) fn documents(set: &WriteSet) -> Result<(Vec<String>, usize), serde_json::Error> {
    let mut documents = Vec::new();
    let mut bytes = 64;
    for write in &set.writes {
        let mut add = |document: String| {
            bytes += document.len();
            documents.push(document);
        };
        match write {
            Write::PutLink { row, .. } => add(json(&LinkDocument::from(&**row))?),
            Write::PutNote { row, .. } => add(json(&row.note)?),
            Write::PutConnection { row, .. } => add(json(row)?),
            Write::PutChannel { row, .. } => add(json(row)?),
            Write::PutState { value, .. } => bytes += value.len(),
            Write::PutCallback(row) => bytes += row.body.len(),
            Write::PutTask { task, .. } => bytes += task.payload.len(),
            Write::PutDelivery { request, .. } => bytes += request.len(),
            Write::PutFileChunk { bytes: chunk, .. } => bytes += chunk.len(),
            _ => {}
        }
        bytes += 64;
    }
    Ok((documents, bytes))
}

fn json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    // Most fit, and need not grow.
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, value)?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// The errors as they are stored; none if there are none.
pub(super) fn errors_json(errors: &[TaskError]) -> Result<Option<String>, Fail> {
    if errors.is_empty() {
        return Ok(None);
    }
    json(&errors).map(Some).map_err(|error| Fail::Damaged(format!("the errors of a task cannot be stored: {error}")))
}

/// Columns: those of [`task_sql`](super::queries::task_sql).
pub(super) fn task(row: &Row<'_>) -> Result<TaskRow, Fail> {
    Ok(TaskRow {
        id: TaskId::from_number(row.get(0)?),
        connection: ConnectionId::from_number(row.get(1)?),
        run_at: optional_time(row.get(2)?)?,
        attempt: row.get(3)?,
        revision: row.get(4)?,
        key: row.get(5)?,
        channel: row.get::<_, Option<String>>(6)?.map(ChannelId::new),
        priority: TaskPriority::from_number(row.get(7)?),
        every_ms: row.get(8)?,
        payload: blob(row, 9)?,
        errors: if row.get_ref(10)? == rusqlite::types::ValueRef::Null {
            Vec::new()
        } else {
            parse(row, 10, "task's error")?
        },
        nonce: row.get(11)?,
    })
}

/// Columns: those of [`task_sql`](super::queries::task_sql), `died_at`.
pub(super) fn dead(row: &Row<'_>) -> Result<DeadTask, Fail> {
    Ok(DeadTask { task: task(row)?, died_at: time(row.get(12)?)? })
}

/// Columns: those of [`delivery_sql`](super::queries::delivery_sql).
pub(super) fn delivery(row: &Row<'_>) -> Result<DeliveryRow, Fail> {
    Ok(DeliveryRow {
        id: DeliveryId::from_number(row.get(0)?),
        connection: ConnectionId::from_number(row.get(1)?),
        key: row.get(2)?,
        callback: row.get(3)?,
        channel: row.get::<_, Option<String>>(4)?.map(ChannelId::new),
        received_at: time(row.get(5)?)?,
        task: TaskId::from_number(row.get(6)?),
        size: count(row.get(7)?),
    })
}

/// Columns: `id`, `owner`, `name`, `media_type`, `size`, `created_at`, `version`.
pub(super) fn file(row: &Row<'_>) -> Result<FileRow, Fail> {
    Ok(FileRow {
        id: FileId::from_number(row.get(0)?),
        owner: UserId::new(row.get::<_, String>(1)?),
        name: row.get(2)?,
        media_type: row.get(3)?,
        size: row.get::<_, Option<i64>>(4)?.map(count),
        created_at: time(row.get(5)?)?,
        version: row.get(6)?,
    })
}

/// Columns: those of [`delivery_sql`](super::queries::delivery_sql), `request`.
pub(super) fn delivery_with_request(row: &Row<'_>) -> Result<(DeliveryRow, Bytes), Fail> {
    Ok((delivery(row)?, blob(row, 8)?))
}

/// Columns: those of `link_sql`.
pub(super) fn link(row: &Row<'_>) -> Result<LinkRow, Fail> {
    let document: LinkDocument<'_> = parse(row, 11, "link")?;
    let columns = LinkColumns {
        id: LinkId::from_number(row.get(0)?),
        source: Source::from_text(row.get::<_, String>(2)?),
        thread: ThreadId::from_number(row.get(3)?),
        channel: ChannelId::new(row.get::<_, String>(4)?),
        link_type: LinkTypeId::new(row.get::<_, String>(5)?),
        status: row.get::<_, Option<String>>(6)?.map(StatusId::new),
        occurred_at: time(row.get(7)?)?,
        updated_at: time(row.get(8)?)?,
        archived: row.get(9)?,
    };
    let connection = ConnectionId::from_number(row.get(1)?);
    Ok(document.into_row(connection, columns, row.get(10)?))
}

/// Columns: those of `link_sql`, of which all but the thread are null where the link is another's.
pub(super) fn source(row: &Row<'_>) -> Result<SourceRow, Fail> {
    let own = row.get_ref(0)? != rusqlite::types::ValueRef::Null;
    let link = if own { Some(link(row)?) } else { None };
    Ok(SourceRow { link, thread: Some(ThreadId::from_number(row.get(3)?)) })
}

/// Columns: `connection_id`, `version`, `doc`, `baseline`.
pub(super) fn note(row: &Row<'_>) -> Result<NoteRow, Fail> {
    Ok(NoteRow {
        connection: ConnectionId::from_number(row.get(0)?),
        version: row.get(1)?,
        note: parse(row, 2, "note")?,
        baseline: row.get(3)?,
    })
}

/// Columns: `version`, `doc`.
pub(super) fn connection(row: &Row<'_>) -> Result<ConnectionRow, Fail> {
    let mut found: ConnectionRow = parse(row, 1, "connection")?;
    found.version = row.get(0)?;
    Ok(found)
}

/// Columns: `version`, `saved`, `doc`.
pub(super) fn channel(row: &Row<'_>) -> Result<ChannelRow, Fail> {
    let mut found: ChannelRow = parse(row, 2, "channel")?;
    found.version = row.get(0)?;
    found.sync.saved = count(row.get(1)?);
    Ok(found)
}

/// Columns: `id`, `connection_id`, `body`.
pub(super) fn callback(row: &Row<'_>) -> Result<CallbackRow, Fail> {
    Ok(CallbackRow { id: row.get(0)?, connection: ConnectionId::from_number(row.get(1)?), body: blob(row, 2)? })
}

/// Columns: `key`, `version`, `value`; the last two.
pub(super) fn state(row: &Row<'_>) -> Result<StateValue, Fail> {
    Ok(StateValue { version: row.get(1)?, value: blob(row, 2)? })
}

/// Columns: `name`, `value`.
pub(super) fn setting(row: &Row<'_>) -> Result<(String, Bytes), Fail> {
    Ok((row.get(0)?, blob(row, 1)?))
}

/// Columns: `name`, `connection_id`, `sealed`, `expires_at`, `version`.
pub(super) fn secret(row: &Row<'_>) -> Result<SecretRow, Fail> {
    Ok(SecretRow {
        name: row.get(0)?,
        connection: row.get::<_, Option<i64>>(1)?.map(ConnectionId::from_number),
        sealed: row.get(2)?,
        expires_at: optional_time(row.get(3)?)?,
        version: row.get(4)?,
    })
}

/// Columns: `thread_id`, `user`, `unread`, `todo`, `todo_date`, `archived`, `version`.
pub(super) fn user_thread(row: &Row<'_>) -> Result<UserThreadRow, Fail> {
    let date: Option<String> = row.get(4)?;
    Ok(UserThreadRow {
        thread: ThreadId::from_number(row.get(0)?),
        user: UserId::new(row.get::<_, String>(1)?),
        unread: row.get(2)?,
        todo: row.get(3)?,
        todo_date: date
            .map(|date| date.parse().map_err(|error: jiff::Error| Fail::Damaged(error.to_string())))
            .transpose()?,
        archived: row.get(5)?,
        version: row.get(6)?,
    })
}

/// Columns: `position`, `kind`, `connection_id`, `refs`. The entries of one row, oldest first.
pub(super) fn feed_entries(row: &Row<'_>) -> Result<Vec<FeedEntry>, Fail> {
    let last = count(row.get(0)?);
    let kind: String = row.get(1)?;
    let kind = FeedKind::from_word(&kind).ok_or_else(|| Fail::Damaged(format!("a feed entry is about a `{kind}`")))?;
    let connection = row.get::<_, Option<i64>>(2)?.map(ConnectionId::from_number);
    let ids: Vec<String> = parse(row, 3, "feed entry")?;
    let before = last.saturating_sub(ids.len() as u64);
    let entries = ids.into_iter().zip(before + 1..).map(|(id, position)| FeedEntry { position, kind, connection, id });
    Ok(entries.collect())
}

/// The ids that one row of the feed is about, as they are stored.
pub(super) fn feed_refs<'a>(entries: impl Iterator<Item = &'a FeedEntry>) -> Result<String, Fail> {
    let ids: Vec<&str> = entries.map(|entry| entry.id.as_str()).collect();
    json(&ids).map_err(|error| Fail::Damaged(format!("a feed entry cannot be stored: {error}")))
}
