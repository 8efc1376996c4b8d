//! Linear issues, both ways: GraphQL, and workflow states of each team at run time.

mod api;
mod files;
mod sync;

use connector_core::prelude::*;
use serde_json::{Value, json};

use api::DESCRIPTION;

/// Issues of the teams you choose.
#[connector(
    id = "linear",
    name = "Linear",
    provider = Linear,
    scopes(
        required = ["read", "write"],
        optional(
            id = "hooks",
            label = "Live updates",
            description = "Lets Linear tell at once what has changed; only an admin of the workspace can allow it",
            scopes = ["admin"],
            default = false,
        ),
    ),
    access = ["Reads issues and their comments", "Comments, assigns, moves and creates issues as you"],
    urls = ["https://api.linear.app/*", "https://uploads.linear.app/*", "https://storage.googleapis.com/*"],
    link_types = [Issue],
    dynamic_link_types,
    options = LinearOptions,
    channel_noun("team", "teams"),
    handle_replies,
    multiple_instances,
)]
#[derive(Default)]
pub struct Linear;

/// A Linear issue. The statuses are what all teams have in common; each team has its own in their place.
#[link_type(
    label = "Issue",
    source_name = "Linear",
    note_label = "Comment",
    compose_label = "New issue",
    reply_label = "Comment on Linear",
    sharing = Channel,
    supports(attachments),
    assignee,
    compose,
    meta = IssueMeta,
)]
pub enum Issue {
    /// Not planned yet.
    #[status(icon = Backlog)]
    Backlog,
    /// To be worked on.
    #[status(icon = Todo, todo)]
    Todo,
    /// Being worked on.
    #[status(icon = InProgress, active)]
    InProgress,
    /// Completed.
    #[status(icon = Done, done)]
    Done,
    /// Not going to be done.
    #[status(icon = Cancelled, done)]
    Canceled,
}

/// What Linear says of an issue beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssueMeta {
    /// As people call it: `ENG-12`.
    pub identifier: String,
    /// From 1, urgent, to 4, low; 0 is none.
    pub priority: u8,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The name of its project.
    pub project: Option<String>,
    /// When it is due.
    pub due: Option<Date>,
}

/// What a user can set.
#[derive(Options)]
pub struct LinearOptions {
    /// How far back the first sync goes, in days.
    #[option(label = "History", default = 365, min = 1, max = 3650)]
    pub history_days: u32,
}

#[connector]
impl Connector for Linear {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        Ok(api::viewer(cx).await?.name)
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        Ok(Some(api::viewer(cx).await?.actor()))
    }

    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        api::teams(cx).await
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        let title = changes.title.as_ref().map(|title| ("title", json!(title)));
        let state = changes.raw_status.as_ref().map(|state| ("stateId", json!(state)));
        let assignee = changes.assignee.as_option().map(|to| ("assigneeId", json!(to.map(|actor| &actor.id))));
        api::update_issue(cx, link, &object([title, state, assignee])).await
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let files = files::upload(cx, draft.files()).await?;
        let input = object([
            Some(("teamId", json!(draft.require_channel()?))),
            Some(("title", json!(draft.title))),
            Some(("description", json!(files::named(draft.content.as_deref().unwrap_or_default(), &files)))),
            draft.raw_status.as_ref().map(|state| ("stateId", json!(state))),
        ]);
        Ok(Some(api::create_issue(cx, &input).await?.link()))
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let files = files::upload(cx, note.files()).await?;
        let input = object([
            Some(("issueId", json!(api::id_of(thread.link_of(note)?)))),
            Some(("body", json!(files::named(&note.content, &files)))),
            note.reply_to.as_ref().map(|parent| ("parentId", json!(parent))),
        ]);
        Ok(api::save_comment(cx, None, &input).await?.write_back())
    }

    async fn on_note_updated(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let key = note.require_key()?;
        let mut files = files::upload(cx, note.files()).await?;
        files.extend(files::beside(note));
        let text = files::named(&note.content, &files);
        if key.as_str() == DESCRIPTION {
            api::update_issue(cx, thread.link_of(note)?, &json!({ "description": text })).await?;
            return Ok(WriteBack::delivered(key.clone()));
        }
        Ok(api::save_comment(cx, Some(key), &json!({ "body": text })).await?.write_back())
    }

    async fn download_attachment(&self, cx: &Context<Self>, attachment: &Attachment, link: &Link) -> Result<Download> {
        files::download(cx, attachment, link).await
    }
}

/// An input with the fields that are given: one that is left out stays as it is.
fn object(fields: impl IntoIterator<Item = Option<(&'static str, Value)>>) -> Value {
    fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}
