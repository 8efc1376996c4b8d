use axum::extract::{Path, State};
use axum::routing::put;
use axum::{Json, Router};
use connector_core::id::{LinkId, ScheduleKey, UserId};
use connector_core::model::{Attendance, Schedule};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::Body;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new().route("/schedules/{id}/contacts/{contact}", put(attend))
}

/// A schedule of a link. Its id is that of the link, and its key at the service.
pub(super) fn view(link: LinkId, schedule: &Schedule) -> Value {
    let mut shown = json!(schedule);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("id".to_owned(), json!(format!("{link}:{}", schedule.key)));
        shown.insert("link".to_owned(), json!(link));
    }
    shown
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    user: UserId,
    /// Null: not answered.
    status: Option<Attendance>,
}

async fn attend(
    State(host): State<Host>,
    Path((id, contact)): Path<(String, String)>,
    Body(body): Body<Answered>,
) -> Answer<Json<Value>> {
    let (link, key) = id.split_once(':').ok_or_else(|| Problem::not_found(format!("there is no schedule `{id}`")))?;
    let (link, key): (LinkId, _) = (link.parse()?, ScheduleKey::new(key));
    let changed = host.runtime().set_attendance(link, &key, &contact, &body.user, body.status).await?;
    let schedule = changed.schedules.iter().find(|schedule| schedule.key == key);
    Ok(Json(schedule.map_or(Value::Null, |schedule| view(changed.id, schedule))))
}
