use aide::axum::ApiRouter;
use aide::axum::routing::put_with;
use axum::Json;
use axum::extract::State;
use connector_core::id::{LinkId, ScheduleKey, UserId};
use connector_core::model::{Attendance, Schedule, When};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::extract::{Body, Path};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new().api_route(
        "/schedules/{id}/contacts/{contact}",
        put_with(attend, op("setAttendance", "Say whether a contact attends", &[409])),
    )
}

/// A schedule of a link.
#[derive(Serialize, JsonSchema)]
pub(super) struct ScheduleView {
    /// That of the link, and its key at the service.
    id: String,
    link: LinkId,
    #[serde(flatten)]
    schedule: Schedule,
}

/// When an item that a user composes takes place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSchedule {
    /// Begins then: `{"day": "2026-01-05"}`, `{"at": "2026-01-05T08:00:00Z"}` or `{"floating": "2026-01-05T09:00:00"}`.
    start: When,
    /// Ends then; for days, the first day after it.
    end: Option<When>,
    /// Zone that the recurrence is reckoned in.
    time_zone: Option<String>,
    /// RFC 5545 `RRULE`, `RDATE` and `EXDATE` lines.
    #[serde(default)]
    recurrence: Vec<String>,
    /// Place where it takes place.
    location: Option<String>,
}

impl From<NewSchedule> for Schedule {
    fn from(new: NewSchedule) -> Self {
        let mut schedule = Self::composed(new.start);
        schedule.end = new.end;
        schedule.time_zone = new.time_zone;
        schedule.recurrence = new.recurrence;
        schedule.location = new.location;
        schedule
    }
}

impl ScheduleView {
    pub(super) fn new(link: LinkId, schedule: Schedule) -> Self {
        Self { id: format!("{link}:{}", schedule.key), link, schedule }
    }
}

#[derive(Deserialize, JsonSchema)]
struct AttendeePath {
    id: String,
    /// The service's id of the contact.
    contact: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AttendanceChange {
    /// Who acts.
    user: UserId,
    /// Null: not answered.
    status: Option<Attendance>,
    /// The occurrence that is answered, by when it begins as its series says. Without it, all of the schedule is.
    occurrence: Option<When>,
}

async fn attend(
    State(host): State<Host>,
    caller: Caller,
    Path(AttendeePath { id, contact }): Path<AttendeePath>,
    Body(body): Body<AttendanceChange>,
) -> Answer<Json<ScheduleView>> {
    caller.acts_as(&body.user)?;
    let missing = || Problem::not_found(format!("there is no schedule `{id}`"));
    let (link, key) = id.split_once(':').ok_or_else(missing)?;
    let (link, key): (LinkId, _) = (link.parse()?, ScheduleKey::new(key));
    caller.link(&host, link).await?;
    let occurrence = body.occurrence;
    let changed = host.runtime().set_attendance(link, &key, occurrence, &contact, &body.user, body.status).await?;
    let answered = |schedule: &Schedule| match occurrence {
        Some(_) => schedule.occurrence == occurrence,
        None => schedule.key == key,
    };
    let schedule = changed.schedules.into_iter().find(answered);
    Ok(Json(ScheduleView::new(changed.id, schedule.ok_or_else(missing)?)))
}
