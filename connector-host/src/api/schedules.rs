use aide::axum::ApiRouter;
use aide::axum::routing::put_with;
use axum::Json;
use axum::extract::State;
use connector_core::id::{LinkId, ScheduleKey, UserId};
use connector_core::model::{Attendance, Schedule};
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
    let changed = host.runtime().set_attendance(link, &key, &contact, &body.user, body.status).await?;
    let schedule = changed.schedules.into_iter().find(|schedule| schedule.key == key);
    Ok(Json(ScheduleView::new(changed.id, schedule.ok_or_else(missing)?)))
}
