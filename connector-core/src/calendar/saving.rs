//! What arrives of events becomes links, in whatever order it does.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Series;
use crate::context::{Integrations, SaveReport};
use crate::error::{Error, Result};
use crate::id::ChannelId;
use crate::model::{LinkFilter, LinkPatch, NewLink, Schedule, Source};
use crate::runtime::payload::work_task_key;
use crate::value;

/// What a service says of an event at a time: the event itself, one occurrence that differs, or that something of it
/// does not take place.
///
/// The source is that of the event with all of its occurrences, also in a piece that is about one of them.
#[derive(Debug, Clone)]
#[must_use = "give it to `save_events`"]
pub struct Piece {
    source: Source,
    version: Timestamp,
    schedule: Option<Schedule>,
    link: Option<NewLink>,
}

impl Piece {
    /// The event with this source was taken away whole, as of then.
    pub fn gone(source: Source, version: Timestamp) -> Self {
        Self { source, version, schedule: None, link: None }
    }

    /// One occurrence that does not take place, as of then.
    pub fn cancelled(source: Source, version: Timestamp, occurrence: Schedule) -> Self {
        Self { source, version, schedule: Some(occurrence.cancelled()), link: None }
    }

    /// An event, or one occurrence of it, as of then; the link says what it does of the event. Its schedules are
    /// filled in.
    pub fn new(link: NewLink, version: Timestamp, schedule: Schedule) -> Self {
        Self { source: link.source().clone(), version, schedule: Some(schedule), link: Some(link) }
    }
}

impl Integrations<'_> {
    /// Saves events of a channel, of which the pieces come in any order, in any page, and as often as they like (L27).
    ///
    /// An event is as its master says. As long as there is none it is as its occurrences say; what is cancelled without
    /// anything to cancel makes no event, and is remembered for when there is. What is known is kept with the channel.
    pub async fn save_events(
        &self,
        channel: &ChannelId,
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Result<SaveReport> {
        let mut events: BTreeMap<Source, Vec<Piece>> = BTreeMap::new();
        for piece in pieces {
            events.entry(piece.source.clone()).or_default().push(piece);
        }
        let key = |source: &Source| format!("h/{}", work_task_key("series", source.as_str(), Some(channel)));
        let stored = self.dispatch.read_state(events.keys().map(key).collect()).await?;
        let (mut links, mut gone) = (Vec::new(), Vec::new());
        for ((source, pieces), stored) in events.into_iter().zip(stored) {
            let read = |stored: bytes::Bytes| value::from_bytes::<Series>(&stored);
            let series = stored.map(read).transpose();
            let mut series = series
                .map_err(|error| Error::bug("a stored event cannot be read").with_source(error))?
                .unwrap_or_default();
            let (mut master, mut occurrence) = (None, None);
            for Piece { version, schedule, link, .. } in pieces {
                let of_master = schedule.as_ref().is_none_or(|schedule| schedule.occurrence.is_none());
                let taken = match schedule {
                    Some(schedule) => series.put(version, schedule),
                    None => series.cancel(version),
                };
                match taken {
                    true if of_master => master = link,
                    true => occurrence = link.or(occurrence),
                    false => {}
                }
            }
            let bytes =
                value::to_bytes(&series).map_err(|error| Error::bug("an event cannot be stored").with_source(error))?;
            self.dispatch.unit().put(key(&source), Some(bytes.into()));
            if series.is_cancelled() {
                gone.push(source);
                continue;
            }
            let said = match series.master() {
                Some(_) => master,
                None => occurrence,
            };
            match said {
                Some(link) => {
                    let link = link.schedules(series.schedules());
                    let link = series.updated_at().into_iter().fold(link, NewLink::updated_at);
                    links.push(if series.is_recurring() { link.recurring() } else { link });
                }
                None => {
                    let patch = LinkPatch::new(source).schedules(series.schedules());
                    self.patch_link(series.updated_at().into_iter().fold(patch, LinkPatch::updated_at)).await?;
                }
            }
        }
        self.archive_links(LinkFilter::sources(gone)).await?;
        self.save_links(links).await
    }
}
