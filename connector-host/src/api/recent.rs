//! The newest entries of the change feed with what they are about, read once for all who wait for them.
//!
//! A stream that reads each entry for itself costs three reads of the store for each change, whether its caller may see
//! the change or not: with a thousand streams, one change costs thousands of reads, and what its author waits for waits
//! behind them. Here the first stream that wakes up reads what is new, and the others find it.
//!
//! Entries that are not here (any more) are read from the store by whoever needs them. What was deleted since it was
//! read is not shown: the entry that says so takes the data of those before it.

use std::collections::VecDeque;
use std::sync::Arc;

use connector_core::engine::{ConnectionStatus, FeedEntry, FeedKind, LinkQuery};
use connector_core::id::UserId;
use tokio::sync::{Mutex, MutexGuard};

use super::caller::Caller;
use super::changes::{Change, Changes, data};
use super::problem::Answer;
use crate::host::Host;

/// Maximum number of entries that are kept.
const MOST: usize = 1_000;

/// Maximum size of the entries that are kept, as JSON, in bytes.
const MOST_BYTES: usize = 8 << 20;

/// Number of entries that are read at once.
const PAGE: usize = 200;

/// Maximum number of links of a thread whose owners see what becomes of the thread.
const MAX_LINKS: usize = 1_000;

/// The newest entries.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    /// Position after which all entries up to `end` are here; `None` until somebody waits for the first time.
    start: Option<u64>,
    end: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    change: Arc<Change>,
    /// Users who see it, beside operators.
    owners: Vec<UserId>,
}

impl Recent {
    /// The changes after a position that the caller may see, at most `limit`; `None` if they have to be read from the
    /// store.
    pub(super) async fn after(
        &self,
        host: &Host,
        caller: &Caller,
        after: u64,
        limit: usize,
    ) -> Answer<Option<Changes>> {
        let entries = self.up_to_date(host).await?;
        if entries.start.is_none_or(|start| after < start) {
            return Ok(None);
        }
        let mut found = Changes { items: Vec::new(), next: after.max(entries.end) };
        let first = entries.entries.partition_point(|entry| entry.change.entry.position <= after);
        for entry in entries.entries.range(first..).filter(|entry| entry.is_seen_by(caller)) {
            if found.items.len() == limit {
                found.next = found.items.last().map_or(after, |change| change.entry.position);
                break;
            }
            found.items.push(Arc::clone(&entry.change));
        }
        Ok(Some(found))
    }

    /// The entries, after those were read that came since the last call.
    async fn up_to_date(&self, host: &Host) -> Answer<MutexGuard<'_, Entries>> {
        let mut entries = self.0.lock().await;
        if entries.start.is_none() {
            let end = host.engine().feed_end().await?;
            *entries = Entries { start: Some(end), end, ..Entries::default() };
        }
        let newest = *host.runtime().feed_changes().borrow();
        let first = newest.saturating_sub(MOST as u64);
        if entries.end < first {
            *entries = Entries { start: Some(first), end: first, ..Entries::default() };
        }
        while entries.end < newest {
            let page = host.engine().feed(entries.end, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                entries.add(host, entry).await?;
            }
        }
        Ok(entries)
    }
}

impl Entry {
    fn is_seen_by(&self, caller: &Caller) -> bool {
        caller.user().is_none_or(|user| self.owners.contains(user))
    }
}

impl Entries {
    async fn add(&mut self, host: &Host, entry: FeedEntry) -> Answer<()> {
        let (position, kind) = (entry.position, entry.kind);
        let (data, owners) = (data(host, &entry).await?, owners(host, &entry).await?);
        let ended = match (kind, entry.connection) {
            (FeedKind::Connection, Some(connection)) => {
                let row = host.engine().connection(connection).await?;
                row.is_none_or(|row| row.status == ConnectionStatus::Disabled).then_some(connection)
            }
            _ => None,
        };
        if data.is_none() || ended.is_some() {
            for before in &mut self.entries {
                let earlier = &before.change.entry;
                let same = data.is_none() && earlier.kind == kind && earlier.id == entry.id;
                if same || (ended.is_some() && earlier.connection == ended) {
                    self.bytes = self.bytes.saturating_sub(before.change.json().len());
                    before.change = Arc::new(Change::new(earlier.clone(), None));
                    self.bytes += before.change.json().len();
                }
            }
        }
        let change = Arc::new(Change::new(entry, data));
        self.bytes += change.json().len();
        self.entries.push_back(Entry { change, owners });
        self.end = position;
        while self.entries.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.change.json().len());
            self.start = Some(oldest.change.entry.position);
        }
        Ok(())
    }
}

/// Users who see an entry: the owner of its connection, or of all connections with a link in its thread.
async fn owners(host: &Host, entry: &FeedEntry) -> Answer<Vec<UserId>> {
    let engine = host.engine();
    let connections = match entry.connection {
        Some(connection) => vec![connection],
        None => {
            let mut query = LinkQuery::all(MAX_LINKS);
            query.thread = Some(engine.current_thread(entry.id.parse()?).await?);
            query.archived = true;
            engine.links(query).await?.into_iter().map(|row| row.connection).collect()
        }
    };
    let mut owners: Vec<UserId> = Vec::new();
    for (place, connection) in connections.iter().enumerate() {
        if connections.iter().take(place).any(|before| before == connection) {
            continue;
        }
        if let Some(row) = engine.connection(*connection).await?
            && !owners.contains(&row.owner)
        {
            owners.push(row.owner.clone());
        }
    }
    Ok(owners)
}
