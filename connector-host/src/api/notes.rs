use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use connector_core::engine::NoteRow;
use connector_core::id::{ConnectionId, NoteId, UserId};
use connector_core::model::{Emoji, Note};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::extract::{Body, ById, Path, Query};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/notes/{id}",
            get_with(show, op("getNote", "A note", &[]))
                .patch_with(edit, op("editNote", "Edit a note", &[409]))
                .delete_with(discard, op("discardNote", "Discard a note that was not delivered", &[409])),
        )
        .api_route("/notes/{id}/retry", post_with(retry, op("retryNote", "Send a note again", &[409])))
        .api_route(
            "/notes/{id}/reactions/{emoji}",
            put_with(react, op("addReaction", "React to a note", &[409]))
                .delete_with(unreact, op("removeReaction", "Take a reaction back", &[409])),
        )
}

/// A note as one connection sees it.
#[derive(Serialize, JsonSchema)]
pub(super) struct NoteView {
    #[serde(flatten)]
    note: Note,
    connection: ConnectionId,
    /// Where its attachments are, below the API, in their order. `?user=` is to be added: who opens it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachment_urls: Vec<String>,
}

impl From<NoteRow> for NoteView {
    fn from(row: NoteRow) -> Self {
        let urls = (0..row.note.attachments.len()).map(|index| format!("/api/v1/attachments/{}/{index}", row.id()));
        Self { attachment_urls: urls.collect(), note: row.note, connection: row.connection }
    }
}

/// A note as it is now.
pub(super) async fn shown(host: &Host, id: NoteId) -> Answer<NoteView> {
    let row = host.engine().note(id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no note {id}")))?;
    Ok(row.into())
}

async fn show(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<NoteId>>,
) -> Answer<Json<NoteView>> {
    Ok(Json(caller.note(&host, id).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteEdit {
    /// Who acts.
    user: UserId,
    /// As markdown.
    content: String,
}

async fn edit(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<NoteId>>,
    Body(edit): Body<NoteEdit>,
) -> Answer<Json<NoteView>> {
    caller.acts_as(&edit.user)?;
    caller.note(&host, id).await?;
    let note = host.runtime().edit_note(id, &edit.user, edit.content).await?;
    Ok(Json(shown(&host, note.id).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Acting {
    /// Who acts.
    user: UserId,
}

async fn retry(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<NoteId>>,
    Body(by): Body<Acting>,
) -> Answer<Json<NoteView>> {
    caller.acts_as(&by.user)?;
    caller.note(&host, id).await?;
    let note = host.runtime().retry_note(id, &by.user).await?;
    Ok(Json(shown(&host, note.id).await?))
}

async fn discard(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<NoteId>>,
    Query(by): Query<Acting>,
) -> Answer<NoContent> {
    caller.acts_as(&by.user)?;
    caller.note(&host, id).await?;
    host.runtime().discard_note(id, &by.user).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
struct ReactionPath {
    id: NoteId,
    /// A unicode emoji, or `:name:` for a custom one.
    emoji: String,
}

async fn react(
    State(host): State<Host>,
    caller: Caller,
    Path(path): Path<ReactionPath>,
    Query(by): Query<Acting>,
) -> Answer<Json<NoteView>> {
    set_reaction(&host, &caller, path, &by.user, true).await
}

async fn unreact(
    State(host): State<Host>,
    caller: Caller,
    Path(path): Path<ReactionPath>,
    Query(by): Query<Acting>,
) -> Answer<Json<NoteView>> {
    set_reaction(&host, &caller, path, &by.user, false).await
}

async fn set_reaction(
    host: &Host,
    caller: &Caller,
    path: ReactionPath,
    user: &UserId,
    added: bool,
) -> Answer<Json<NoteView>> {
    caller.acts_as(user)?;
    caller.note(host, path.id).await?;
    let note = host.runtime().react(path.id, user, read_emoji(&path.emoji), added).await?;
    Ok(Json(shown(host, note.id).await?))
}

/// `:name:` is a custom one.
fn read_emoji(text: &str) -> Emoji {
    let custom = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).filter(|name| !name.is_empty());
    custom.map_or_else(|| Emoji::unicode(text), Emoji::custom)
}
