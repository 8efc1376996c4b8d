use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Extension;
use axum::extract::State;
use axum::response::NoContent;
use connector_core::id::UserId;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Operator, Permit};
use super::extract::{Body, Created, Query};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;
use crate::sessions::LONGEST;

/// How long a session lasts if the request does not say, in seconds.
const LIFETIME: u32 = 3_600;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/sessions",
            post_with(create, op("createSession", "Let a user's own program use the API", &[]))
                .delete_with(end_all, op("endSessions", "End all sessions of a user", &[])),
        )
        .api_route(
            "/sessions/current",
            delete_with(end, op("endSession", "End the session whose token the request has", &[422])),
        )
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
    let (lifetime, longest) = (SignedDuration::from_secs(new.seconds.into()), LONGEST.as_secs());
    if lifetime.is_zero() || lifetime > LONGEST {
        return Err(Problem::field("seconds", format!("a session lasts 1 to {longest} seconds")));
    }
    let now = host.runtime().ports().clock.now();
    let expires_at = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let token = host.sessions().token(&new.user, expires_at);
    Ok(Created(Session { token: token.expose().to_owned(), user: new.user, expires_at }))
}

/// The streams and waiting requests of the session end with it.
async fn end(State(host): State<Host>, _: Caller, Extension(permit): Extension<Permit>) -> Answer<NoContent> {
    let Some(session) = permit.session() else {
        let detail = "this is an API key, and no session: revoke it with `DELETE /keys/{name}`";
        return Err(Problem::invalid(detail));
    };
    host.sessions().end(session.clone(), host.runtime().ports().clock.now()).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// The user whose sessions end.
    user: UserId,
}

/// Sessions that are made from now on are valid.
async fn end_all(State(host): State<Host>, _: Operator, Query(whose): Query<Whose>) -> Answer<NoContent> {
    host.sessions().end_all(whose.user, host.runtime().ports().clock.now()).await?;
    Ok(NoContent)
}
