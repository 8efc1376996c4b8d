use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use connector_core::id::UserId;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Operator;
use super::extract::{Body, Created};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;

/// How long a session lasts if the request does not say, in seconds.
const LIFETIME: u32 = 3_600;

/// The longest that one lasts, in seconds.
const LONGEST: u32 = 24 * 3_600;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route("/sessions", post_with(create, op("createSession", "Let a user's own program use the API", &[])))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSession {
    /// Who: the session sees and does what this user may.
    user: UserId,
    /// How long it lasts.
    #[serde(default = "lifetime")]
    #[schemars(range(min = 1, max = 86_400))]
    seconds: u32,
}

fn lifetime() -> u32 {
    LIFETIME
}

/// A session. Its token is shown this one time.
#[derive(Serialize, JsonSchema)]
struct Session {
    token: String,
    user: UserId,
    expires_at: Timestamp,
}

async fn create(State(host): State<Host>, _: Operator, Body(new): Body<NewSession>) -> Answer<Created<Session>> {
    if new.user.as_str().trim().is_empty() {
        return Err(Problem::field("user", "a session needs a user"));
    }
    if !(1..=LONGEST).contains(&new.seconds) {
        return Err(Problem::field("seconds", format!("a session lasts 1 to {LONGEST} seconds")));
    }
    let now = host.runtime().ports().clock.now();
    let expires_at = now.checked_add(SignedDuration::from_secs(new.seconds.into())).unwrap_or(Timestamp::MAX);
    let token = host.sessions().token(&new.user, expires_at);
    Ok(Created(Session { token: token.expose().to_owned(), user: new.user, expires_at }))
}
