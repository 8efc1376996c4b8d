//! What arrives of events becomes links, in whatever order it does.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Series;
use crate::context::{Integrations, SaveReport};
use crate::error::{Error, Result};
use crate::id::ChannelId;
use crate::model::{LinkFilter, LinkPatch, NewLink, Schedule, Source};
use crate::runtime::payload::work_task_key;
use crate::value;

/// What a service says of an event at a time: the event itself, one occurrence that differs, that something of it
/// does not take place, or all of that at once.
///
/// The source is that of the event with all of its occurrences, also in a piece that is about one of them.
#[derive(Debug, Clone)]
#[must_use = "give it to `save_events`"]
pub struct Piece {
    source: Source,
    version: Timestamp,
    says: Says,
    link: Option<NewLink>,
}

#[derive(Debug, Clone)]
enum Says {
    /// The event, or an occurrence of it.
    One(Schedule),
    /// The event with everything that differs in it.
    Whole(Vec<Schedule>),
    /// The event is gone.
    Gone,
}

impl Piece {
    /// The event with this source was taken away whole, as of then.
    pub fn gone(source: Source, version: Timestamp) -> Self {
        Self { source, version, says: Says::Gone, link: None }
    }

    /// One occurrence that does not take place, as of then.
    pub fn cancelled(source: Source, version: Timestamp, occurrence: Schedule) -> Self {
        Self { source, version, says: Says::One(occurrence.cancelled()), link: None }
    }

    /// An event, or one occurrence of it, as of then; the link says what it does of the event. Its schedules are
    /// filled in.
    pub fn new(link: NewLink, version: Timestamp, schedule: Schedule) -> Self {
        Self { source: link.source().clone(), version, says: Says::One(schedule), link: Some(link) }
    }

    /// An event with all that differs in it, as of then, for services that give both at once. What was known of it
    /// before and is not among the schedules is no more: an occurrence that was cancelled or moved and then restored
    /// is as the series has it (L38).
    pub fn whole(link: NewLink, version: Timestamp, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        let says = Says::Whole(schedules.into_iter().collect());
        Self { source: link.source().clone(), version, says, link: Some(link) }
    }
}

/// A walk over all events of a channel, from its first page to its last.
///
/// The walk gives everything that there is: a piece of an event that arrived before the walk began and that the walk
/// does not give is no more (L38). Keep it with the cursor of the walk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventWalk {
    /// Time at which the first page was asked for.
    pub(super) began: Timestamp,
    /// Earliest end of what the service was asked for. `None` means that it was asked for everything.
    pub(super) from: Option<Timestamp>,
}

impl EventWalk {
    /// A walk whose first page is asked for now.
    pub fn new(now: Timestamp) -> Self {
        Self { began: now, from: None }
    }

    /// What ended before then is not asked for, and stays as it is known.
    pub fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Earliest end of what is asked for. `None` means that everything is.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.from
    }

    /// Whether the service was certainly asked for an event that takes place so.
    fn asks_for(&self, schedules: &[Schedule]) -> bool {
        let Some(from) = self.from else { return true };
        let mut series = Series::default();
        for schedule in schedules {
            series.put(Timestamp::UNIX_EPOCH, schedule.clone());
        }
        // By a day more, as days and floating times end at another time in each zone.
        let start = from.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        [400, 20_000].into_iter().any(|days| {
            let end = start.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
            // More than can be told takes place often.
            series.agenda(start, end, &TimeZone::UTC).is_ok_and(|agenda| !agenda.occurrences.is_empty())
        })
    }
}

impl Integrations<'_> {
    /// Saves events of a channel, of which the pieces come in any order, in any page, and as often as they like (L27).
    ///
    /// An event is as its master says. As long as there is none it is as its occurrences say; what is cancelled without
    /// anything to cancel makes no event, and is remembered for when there is. What is known is kept with the channel.
    ///
    /// For the pages of a walk over all events, use [`save_all_events`](Self::save_all_events).
    pub async fn save_events(
        &self,
        channel: &ChannelId,
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Result<SaveReport> {
        self.save_pieces(channel, pieces, None).await
    }

    /// Saves a page of a walk over all events of a channel: as [`save_events`](Self::save_events), and what an event
    /// that is on the page had before the walk and does not have in it is no more (L38).
    pub async fn save_all_events(
        &self,
        channel: &ChannelId,
        walk: &EventWalk,
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Result<SaveReport> {
        self.save_pieces(channel, pieces, Some(walk)).await
    }

    /// Ends a walk over all events of a channel, before [`Step::Complete`](crate::work::Step::Complete): what ended before
    /// the time from which the walk asked was not asked for, and is not taken for missing.
    ///
    /// ```
    /// # use connector_core::calendar::EventWalk;
    /// # use connector_core::prelude::*;
    /// # async fn end<C: connector_core::component::Component>(cx: &Context<C>, channel: &ChannelId, walk: &EventWalk) -> Result<Step<u64>> {
    /// cx.integrations().end_all_events(channel, walk).await?;
    /// Ok(Step::Complete(LinkFilter::default(), 1))
    /// # }
    /// ```
    pub async fn end_all_events(&self, channel: &ChannelId, walk: &EventWalk) -> Result<()> {
        let links = self.links(&LinkFilter::channel(channel), usize::MAX).await?;
        self.met(links.into_iter().filter(|link| !walk.asks_for(&link.schedules)).map(|link| link.source)).await
    }

    async fn save_pieces(
        &self,
        channel: &ChannelId,
        pieces: impl IntoIterator<Item = Piece>,
        walk: Option<&EventWalk>,
    ) -> Result<SaveReport> {
        let mut events: BTreeMap<Source, Vec<Piece>> = BTreeMap::new();
        for piece in pieces {
            events.entry(piece.source.clone()).or_default().push(piece);
        }
        let key = |source: &Source| format!("h/{}", work_task_key("series", source.as_str(), Some(channel)));
        let stored = self.dispatch.read_state(events.keys().map(key).collect()).await?;
        let now = self.dispatch.shared.ports.clock.now();
        let (mut links, mut gone) = (Vec::new(), Vec::new());
        for ((source, pieces), stored) in events.into_iter().zip(stored) {
            let read = |stored: bytes::Bytes| value::from_bytes::<Series>(&stored);
            let series = stored.map(read).transpose();
            let mut series = series
                .map_err(|error| Error::bug("a stored event cannot be read").with_source(error))?
                .unwrap_or_default();
            if let Some(walk) = walk {
                series.forget_before(walk);
            }
            let (mut master, mut occurrence) = (None, None);
            for Piece { version, says, link, .. } in pieces {
                let (taken, of_master) = match says {
                    Says::One(schedule) => {
                        let of = schedule.occurrence;
                        let taken = series.put(version, schedule);
                        series.saw(of, now);
                        (taken, of.is_none())
                    }
                    Says::Whole(schedules) => {
                        let of: Vec<_> = schedules.iter().map(|schedule| schedule.occurrence).collect();
                        let taken = series.replace(version, schedules);
                        of.into_iter().for_each(|of| series.saw(of, now));
                        (taken, true)
                    }
                    Says::Gone => {
                        let taken = series.cancel(version);
                        series.saw(None, now);
                        (taken, true)
                    }
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
            // Also where what the page says of it is nothing new.
            self.dispatch.unit().met.source(&source);
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
