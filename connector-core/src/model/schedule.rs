use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Actor;
use crate::id::{NoteId, ScheduleKey, ThreadId};

/// A point on the calendar: a whole day, an instant, or a time of whatever zone one is in. Never a text (L22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// A whole day, wherever one is.
    Day(Date),
    /// An instant.
    At(Timestamp),
    /// A time on the clock, wherever one is: the floating time of RFC 5545 3.3.5.
    Floating(DateTime),
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        Self::At(at)
    }
}

impl From<Date> for When {
    fn from(day: Date) -> Self {
        Self::Day(day)
    }
}

impl From<DateTime> for When {
    fn from(at: DateTime) -> Self {
        Self::Floating(at)
    }
}

/// When an item takes place, and who attends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Schedule {
    /// The service's id of it, unique within the link.
    pub key: ScheduleKey,
    /// Begins.
    pub start: When,
    /// Ends; for days, the first day after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<When>,
    /// The zone that a recurrence is reckoned in: an IANA name, or another name that `calendar::time_zone` knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How it recurs: RFC 5545 `RRULE`, `RDATE` and `EXDATE` lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recurrence: Vec<String>,
    /// In a recurring one, the occurrence that this one stands in for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<When>,
    /// The schedule is also that of every later occurrence: `RANGE=THISANDFUTURE` of RFC 5545 3.2.13.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_following: bool,
    /// It does not take place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Title of what takes place. `None` means that of the link, or of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Place where it takes place. In one occurrence of a series, `None` means the place of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Who attends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attendees: Vec<Attendee>,
}

impl Schedule {
    /// A schedule that begins then.
    pub fn new(key: impl Into<ScheduleKey>, start: impl Into<When>) -> Self {
        Self {
            key: key.into(),
            start: start.into(),
            end: None,
            time_zone: None,
            recurrence: Vec::new(),
            occurrence: None,
            and_following: false,
            cancelled: false,
            title: None,
            location: None,
            attendees: Vec::new(),
        }
    }

    /// Ends then; for days, the first day after it.
    pub fn end(mut self, end: impl Into<When>) -> Self {
        self.end = Some(end.into());
        self
    }

    /// Recurs by these RFC 5545 lines, reckoned in this zone.
    pub fn recurrence(mut self, lines: impl IntoIterator<Item = String>, time_zone: impl Into<String>) -> Self {
        self.recurrence = lines.into_iter().collect();
        self.time_zone = Some(time_zone.into());
        self
    }

    /// Stands in for this occurrence of a recurring one.
    pub fn occurrence(mut self, occurrence: impl Into<When>) -> Self {
        self.occurrence = Some(occurrence.into());
        self
    }

    /// Stands in for every later occurrence as well (RFC 5545 3.2.13).
    pub fn and_following(mut self) -> Self {
        self.and_following = true;
        self
    }

    /// Has a title of its own.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Takes place there.
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// Does not take place.
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// With someone who attends.
    pub fn attendee(mut self, actor: Actor, status: Option<Attendance>) -> Self {
        self.attendees.push(Attendee { actor, status });
        self
    }
}

/// What the key of a schedule begins with that the service does not have yet.
const NEW: &str = "new";

impl Schedule {
    /// A schedule that a user made, and that the service has no id for yet.
    pub fn composed(start: impl Into<When>) -> Self {
        Self::new(NEW, start)
    }

    /// An occurrence of a series that a user changes, and that has no schedule of its own yet: as the series says it.
    #[cfg_attr(not(feature = "calendar"), allow(dead_code, reason = "occurrences are known to the calendar alone"))]
    pub(crate) fn composed_occurrence(of: When, start: When) -> Self {
        let name = match of {
            When::Day(day) => day.to_string(),
            When::At(at) => at.to_string(),
            When::Floating(at) => at.to_string(),
        };
        Self::new(format!("{NEW}/{name}"), start).occurrence(of)
    }

    /// The service has no id for it yet: a user made it here. Which occurrence of its series it stands in for, if it
    /// does for one, is in [`occurrence`](Self::occurrence).
    pub fn is_new(&self) -> bool {
        let key = self.key.as_str();
        key.strip_prefix(NEW).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What a user changes about one schedule of a link (R9.6). What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleChange {
    /// Occurrence that is changed, by when it begins as the series says. `None` means the event itself, with every
    /// occurrence that has no schedule of its own.
    #[serde(default)]
    pub occurrence: Option<When>,
    /// Begins then. Without an end, the event takes as long as before.
    #[serde(default)]
    pub start: Option<When>,
    /// Ends then; for days, the first day after it.
    #[serde(default)]
    pub end: Option<When>,
    /// Zone that the recurrence is reckoned in.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// RFC 5545 lines of the recurrence. An empty list means that the event takes place once.
    #[serde(default)]
    pub recurrence: Option<Vec<String>>,
    /// Whether it does not take place.
    #[serde(default)]
    pub cancelled: Option<bool>,
}

/// Whether someone comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attendance {
    /// Comes.
    Attend,
    /// Does not come.
    Skip,
    /// May come.
    Tentative,
}

/// Someone who attends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attendee {
    /// Who.
    #[serde(flatten)]
    pub actor: Actor,
    /// Whether they come; none while they have not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Attendance>,
}

/// A button on a link or note that runs a callback whose input is an [`Action`] (R4.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionButton {
    /// On the button.
    pub label: String,
    /// Opens this URL, or runs this callback.
    #[serde(flatten)]
    pub does: ButtonTarget,
}

/// What a button does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ButtonTarget {
    /// Opens a page.
    Url(String),
    /// Runs a callback, by its token.
    Callback(String),
}

impl ActionButton {
    /// Opens this page.
    pub fn open(label: impl Into<String>, url: impl Into<String>) -> Self {
        Self { label: label.into(), does: ButtonTarget::Url(url.into()) }
    }

    /// Runs this callback.
    pub fn run<O>(label: impl Into<String>, callback: &crate::callback::Callback<Action, O>) -> Self {
        Self { label: label.into(), does: ButtonTarget::Callback(callback.token().to_owned()) }
    }
}

/// What a user pressed: the input of an action callback (R4.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Action {
    /// The button.
    pub label: String,
    /// Who pressed it.
    pub actor: Actor,
    /// Where.
    pub thread: ThreadId,
    /// The note that the button was on; none if it was on the link.
    #[serde(default)]
    pub note: Option<NoteId>,
}
