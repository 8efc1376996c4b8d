//! The index of searches. It follows the commits: a set names the rows that it changed in `search_due`, in its own
//! transaction, and the writer indexes them in batches. A search looks at the newest rows that are not indexed yet by
//! itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use connector_core::engine::search::{Ranking, SearchHit, SearchQuery, SearchRank, Terms, tokens};
use connector_core::engine::{LinkRow, NoteRow};
use connector_core::id::{ConnectionId, LinkId, NoteId};
use rusqlite::params;

use super::fail::Fail;
use super::queries::{self, Found};
use super::statements::Statements;

/// Rows that are indexed in one transaction.
const BATCH: usize = 256;

/// Rows not indexed yet that a search looks at by itself, the newest ones. From so many on, they are indexed although
/// commits come without a pause.
const LOOKED_AT: usize = 128;

/// How long the writer waits for another commit before it indexes.
const PAUSE: Duration = Duration::from_millis(50);

/// How much longer than a batch the commits take between two batches, while commits come without a pause.
const SHARE: u32 = 4;

/// What there is to index, as the writer keeps it.
pub(super) struct Index {
    /// Rows that are to be indexed; some of them may be counted that were not stored.
    pub(super) due: u64,
    /// Rows of the time before the index that are not indexed.
    older: u64,
    /// How long to wait for a commit before the next batch.
    pause: Duration,
    /// How long commits took since the last batch.
    commits: Duration,
    /// How long the last batch took.
    last: Duration,
}

impl Index {
    /// What is left from before the database was closed.
    pub(super) fn load(db: &Statements<'_>) -> Found<Self> {
        let due = db.number("SELECT COALESCE(SUM(json_array_length(ids)), 0) FROM search_due", [])?;
        let below = below(db)?;
        let older = match below {
            0 => 0,
            _ => {
                let sql =
                    "SELECT (SELECT COUNT(*) FROM link WHERE id < ?1) + (SELECT COUNT(*) FROM note WHERE id < ?1)";
                db.number(sql, [below])?.unwrap_or(0).max(1)
            }
        };
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Self {
            due: count(due.unwrap_or(0)),
            older: count(older),
            pause: PAUSE,
            commits: Duration::ZERO,
            last: Duration::ZERO,
        })
    }

    /// How long to wait for a commit before the next batch; `None` means that there is nothing to index.
    pub(super) fn pause(&self) -> Option<Duration> {
        (self.due > 0 || self.older > 0).then_some(self.pause)
    }

    /// Whether a batch is due now, after commits that took so long.
    pub(super) fn is_due(&mut self, commits: Duration) -> bool {
        self.commits += commits;
        self.pause = PAUSE;
        (self.due >= LOOKED_AT as u64 || self.older > 0) && self.commits >= self.last * SHARE
    }

    /// Indexes the next rows, in the transaction of the caller, who then [notes](Self::indexed) it.
    pub(super) fn batch(&self, db: &Statements<'_>) -> Found<Batch> {
        let begun = Instant::now();
        let mut ids = BTreeSet::new();
        let (mut last, mut due) = (None, 0);
        db.each("SELECT seq, ids FROM search_due ORDER BY seq", [], |row| {
            let named = named(row.get_ref(1)?.as_str().unwrap_or_default())?;
            due += named.len() as u64;
            ids.extend(named);
            last = Some(row.get::<_, i64>(0)?);
            Ok(ids.len() < BATCH)
        })?;
        if let Some(last) = last {
            db.run("DELETE FROM search_due WHERE seq <= ?1", [last])?;
        }
        let mut older = 0;
        if ids.is_empty() && self.older > 0 {
            let sql = "SELECT id FROM (SELECT id FROM link WHERE id < ?1 ORDER BY id DESC LIMIT ?2)
                       UNION ALL SELECT id FROM (SELECT id FROM note WHERE id < ?1 ORDER BY id DESC LIMIT ?2)
                       ORDER BY id DESC LIMIT ?2";
            ids.extend(db.all(sql, params![below(db)?, queries::limit(BATCH)], |row| Ok(row.get::<_, i64>(0)?))?);
            older = ids.len() as u64;
            let first = ids.first().copied().unwrap_or(0);
            db.run("UPDATE meta SET value = ?1 WHERE name = 'search_below'", [first])?;
        }
        let none = ids.is_empty();
        for id in ids {
            put(db, id)?;
        }
        Ok(Batch { due, older, none, took: begun.elapsed() })
    }

    /// Notes a batch that was committed.
    pub(super) fn indexed(&mut self, batch: &Batch) {
        self.due = self.due.saturating_sub(batch.due);
        self.older = self.older.saturating_sub(batch.older);
        if batch.none {
            (self.due, self.older) = (0, 0);
        }
        (self.pause, self.commits, self.last) = (Duration::ZERO, Duration::ZERO, batch.took);
        self.tell();
    }

    /// A batch failed: the next one is a good while later.
    pub(super) fn failed(&mut self) {
        self.pause = Duration::from_secs(60);
        self.commits = Duration::ZERO;
        self.last = Duration::from_secs(1);
    }

    /// Tells how far the index is behind.
    pub(super) fn tell(&self) {
        let rows = u32::try_from(self.due.saturating_add(self.older)).unwrap_or(u32::MAX);
        metrics::gauge!("connectors_search_lag_rows").set(f64::from(rows));
    }
}

/// What was indexed at once.
pub(super) struct Batch {
    due: u64,
    older: u64,
    none: bool,
    took: Duration,
}

/// Rows of the time before the index are indexed from this id on; those below are not.
fn below(db: &Statements<'_>) -> Found<i64> {
    Ok(db.number("SELECT value FROM meta WHERE name = 'search_below'", [])?.unwrap_or(0))
}

fn named(ids: &str) -> Found<Vec<i64>> {
    serde_json::from_str(ids).map_err(|error| Fail::Damaged(format!("the rows to index cannot be read: {error}")))
}

/// Names rows that a set has changed.
pub(super) fn add_due(db: &Statements<'_>, ids: &[i64]) -> Found<()> {
    if !ids.is_empty() {
        let ids = serde_json::to_string(ids).map_err(|error| Fail::Damaged(error.to_string()))?;
        db.run("INSERT INTO search_due(ids) VALUES(?1)", [ids])?;
    }
    Ok(())
}

/// Names all rows of a connection, before they are deleted; about how many.
pub(super) fn add_all_due(db: &Statements<'_>, id: ConnectionId) -> Found<u64> {
    let links = "INSERT INTO search_due(ids) SELECT json_group_array(id) FROM link WHERE connection_id = ?1
                 GROUP BY id / 1000";
    let notes =
        "INSERT INTO search_due(ids) SELECT json_group_array(note.id) FROM note JOIN link ON link.id = note.link_id
                 WHERE link.connection_id = ?1 GROUP BY note.id / 1000";
    Ok((db.run(links, [id.number()])? + db.run(notes, [id.number()])?) as u64)
}

/// Indexes a row as it is now; one that is gone is taken out.
fn put(db: &Statements<'_>, id: i64) -> Found<()> {
    let tokens = match row(db, id)? {
        Some(Row::Link(row)) => Some(tokens(row.connection, row.link.title.as_deref(), row.link.preview.as_deref())),
        Some(Row::Note(row)) if !row.note.archived => Some(tokens(row.connection, None, Some(&row.note.content))),
        _ => None,
    };
    match tokens {
        Some(tokens) => db.run("INSERT OR REPLACE INTO search(rowid, tokens) VALUES(?1, ?2)", params![id, tokens])?,
        None => db.run("DELETE FROM search WHERE rowid = ?1", [id])?,
    };
    Ok(())
}

enum Row {
    Link(Box<LinkRow>),
    Note(Box<NoteRow>),
}

/// Ids of links and notes come from one sequence.
fn row(db: &Statements<'_>, id: i64) -> Found<Option<Row>> {
    if let Some(row) = queries::link(db, LinkId::from_number(id))? {
        return Ok(Some(Row::Link(Box::new(row))));
    }
    Ok(queries::note(db, NoteId::from_number(id))?.map(|row| Row::Note(Box::new(row))))
}

pub(super) fn search(db: &Statements<'_>, query: &SearchQuery) -> Found<Vec<SearchHit>> {
    let mut ranking = Ranking::new(query);
    let Some(terms) = Terms::of(&query.text) else { return Ok(Vec::new()) };
    if query.limit == 0 || query.connections.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let mut waiting = BTreeSet::new();
    db.each("SELECT ids FROM search_due ORDER BY seq DESC", [], |row| {
        waiting.extend(named(row.get_ref(0)?.as_str().unwrap_or_default())?);
        Ok(waiting.len() < LOOKED_AT)
    })?;
    let mut changed = Vec::new();
    for id in waiting.iter().rev().take(LOOKED_AT) {
        changed.extend(row(db, *id)?.map(|row| (*id, row)));
    }
    for rank in SearchRank::ALL {
        let mut found = Vec::new();
        let in_link = |row: &LinkRow| terms.in_link(rank, row.link.title.as_deref(), row.link.preview.as_deref());
        for (id, row) in &changed {
            match row {
                Row::Link(row) if ranking.admits(row) && in_link(row) => found.push((*id, (**row).clone())),
                Row::Link(_) => {}
                Row::Note(row) if !row.note.archived && terms.in_note(rank, &row.note.content) => {
                    let link = queries::link(db, row.note.link)?;
                    found.extend(link.filter(|link| ranking.admits(link)).map(|link| (*id, link)));
                }
                Row::Note(_) => {}
            }
        }
        let mut indexed = 0;
        let expression = terms.expression(rank, query.connections.as_deref());
        db.each("SELECT rowid FROM search WHERE search MATCH ?1 ORDER BY rowid DESC", [expression], |hit| {
            let id: i64 = hit.get(0)?;
            if waiting.contains(&id) {
                return Ok(true);
            }
            let link = match row(db, id)? {
                Some(Row::Link(row)) => in_link(&row).then_some(*row),
                Some(Row::Note(row)) => queries::link(db, row.note.link)?,
                None => None,
            };
            if let Some(link) = link.filter(|link| ranking.admits(link)) {
                found.push((id, link));
                indexed += 1;
            }
            Ok(!ranking.suffices(indexed))
        })?;
        if ranking.add(rank, found) {
            break;
        }
    }
    Ok(ranking.finish())
}
