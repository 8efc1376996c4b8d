//! What a complete walk did not meet is no longer there (R11.7).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{RecordIntent, Resolver, Tracked};
use crate::engine::{EngineResult, LinkQuery, LinkRow, Write};
use crate::id::{ChannelId, LinkId};
use crate::model::{Delivery, LinkFilter};
use crate::runtime::payload::{met_prefix, walk_key};
use crate::value;
use crate::walk::short_hash;

/// Links that are read at once.
const PAGE: usize = 1000;

/// The end of a walk that has met everything that there is.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    /// The declared sync.
    pub(crate) sync: String,
    /// The channel that it walked over. `None` means the whole connection.
    pub(crate) channel: Option<ChannelId>,
    /// What it walked over.
    pub(crate) filter: LinkFilter,
    /// Short hashes of the sources that the last step of the walk has met.
    pub(crate) met: Vec<u64>,
    /// What was made since the walk began has a greater id.
    pub(crate) began: i64,
}

impl Resolver<'_> {
    /// Notes that the sync, of which this is a step, has saved a link.
    pub(super) fn saved_by_sync(&mut self, id: LinkId) {
        if let Some((sync, _)) = self.about.sync
            && let Some(tracked) = self.links.get_mut(&id)
            && !tracked.current.syncs.iter().any(|name| name == sync)
        {
            tracked.current.syncs.push(sync.to_owned());
        }
    }

    /// Archives what a complete walk did not meet, and what nothing else has saved or changed meanwhile.
    pub(super) async fn sweep(&mut self, sweep: &Sweep) -> EngineResult<()> {
        let (connection, engine) = (self.about.connection, self.about.engine);
        let channel = sweep.channel.as_ref();
        let chunks = engine.state_entries(connection, met_prefix(&sweep.sync, channel), usize::MAX).await?;
        let chunks = chunks.iter().filter_map(|(_, chunk)| value::from_bytes::<Vec<u64>>(&chunk.value).ok());
        let met: HashSet<u64> = chunks.flatten().chain(sweep.met.iter().copied()).collect();

        let mut savers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut missing = Vec::new();
        let mut query = LinkQuery {
            connections: Some(vec![connection]),
            channel: channel.cloned(),
            archived: true,
            limit: PAGE,
            ..LinkQuery::default()
        };
        loop {
            let rows = engine.links(query.clone()).await?;
            query.after = rows.last().map(|row| (row.link.updated_at, row.link.id));
            let last = rows.len() < PAGE;
            for row in rows {
                let link = &row.link;
                let of_kind = savers.entry(link.link_type.to_string()).or_default();
                of_kind.extend(row.syncs.iter().cloned());
                let is_missing = !link.archived
                    && link.has_arrived()
                    && link.id.number() < sweep.began
                    && sweep.filter.matches(link)
                    && !met.contains(&short_hash(link.source.as_str().as_bytes()))
                    // What a user composed, and no sync has found so far, is where the service does not list it.
                    && (row.syncs.contains(&sweep.sync) || row.syncs.is_empty() && link.delivery.is_none());
                if is_missing {
                    missing.push(row);
                }
            }
            if last {
                break;
            }
        }
        let alone = self.is_only_sync(channel);
        missing.retain(|row| {
            let of_kind = savers.get(row.link.link_type.as_str());
            !row.syncs.is_empty()
                || alone
                || of_kind.is_some_and(|savers| savers.len() == 1 && savers.contains(&sweep.sync))
        });
        for row in missing {
            // What a user wrote is sent first, and shows what became of it.
            let notes = engine.notes_of_link(row.id()).await?;
            let waits = notes.iter().any(|row| {
                matches!(row.note.delivery, Some(Delivery::Pending | Delivery::Sending | Delivery::Unknown))
            });
            if waits {
                continue;
            }
            let id = row.id();
            self.track([row]);
            if let Some(tracked) = self.links.get_mut(&id).filter(|tracked| !tracked.changed()) {
                tracked.current.link.archived = true;
            }
        }
        Ok(())
    }

    /// Whether the channel, or the connection, has one sync alone: what it holds comes from that one.
    fn is_only_sync(&self, channel: Option<&ChannelId>) -> bool {
        let syncs = self.about.connector.work().iter().filter(|declared| declared.is_sync()).map(|sync| sync.entry);
        let concerned = syncs.filter(|entry| channel.is_none_or(|id| entry.concerns(id) || !entry.per_channel));
        concerned.count() == 1
    }

    /// Tells the walks that are under way of what others have saved or changed meanwhile: it is at the service, also if it
    /// is where the walk has been already.
    pub(super) async fn tell_walks(&mut self, intents: &[RecordIntent]) -> EngineResult<()> {
        let mut saved: BTreeMap<ChannelId, BTreeSet<LinkId>> = BTreeMap::new();
        for intent in intents {
            let link = match intent {
                RecordIntent::Link(input) => self.link_of(&input.source),
                RecordIntent::Note(note) => self.link_of(&note.link),
                RecordIntent::Composed { created: Some(created), .. } => self.link_of(&created.source),
                RecordIntent::WrittenBack { link, .. } => Some(*link),
                _ => None,
            };
            let Some(row) = link.and_then(|id| self.links.get(&id)).map(|tracked: &Tracked<LinkRow>| &tracked.current)
            else {
                continue;
            };
            saved.entry(row.link.channel.clone()).or_default().insert(row.id());
        }
        if saved.is_empty() {
            return Ok(());
        }
        let (connection, engine) = (self.about.connection, self.about.engine);
        let mut scopes = Vec::new();
        for sync in self.about.connector.work().iter().filter(|declared| declared.is_sync()) {
            if sync.entry.per_channel {
                let concerned = saved.keys().filter(|channel| sync.entry.concerns(channel));
                scopes.extend(concerned.map(|channel| (sync.name.as_str(), Some(channel.clone()))));
            } else {
                scopes.push((sync.name.as_str(), None));
            }
        }
        // What a step has met itself is stored with it.
        scopes.retain(|(name, channel)| self.about.sync != Some((*name, channel.as_ref())));
        if scopes.is_empty() {
            return Ok(());
        }
        let keys = scopes.iter().map(|(name, channel)| walk_key(name, channel.as_ref())).collect();
        let under_way = engine.state(connection, keys).await?;
        for ((name, channel), _) in scopes.into_iter().zip(under_way).filter(|(_, walk)| walk.is_some()) {
            let links: Vec<_> = match &channel {
                Some(channel) => saved.get(channel).into_iter().flatten().collect(),
                None => saved.values().flatten().collect(),
            };
            let sources = links.into_iter().filter_map(|id| Some(&self.links.get(id)?.current.link.source));
            let met: Vec<u64> = sources.map(|source| short_hash(source.as_str().as_bytes())).collect();
            let Ok(value) = value::to_bytes(&met) else { continue };
            // A number of its own, as that of a step is small.
            let key = format!("{}{}", met_prefix(name, channel.as_ref()), engine.take_ids(1));
            self.writes.push(Write::PutState { connection, key, value: value.into() });
        }
        Ok(())
    }
}
