//! Acme, both ways. What to edit: the addresses, the link type, the paths of the API and the shape of its JSON.

use connector_core::declaration::CustomProvider;
use connector_core::prelude::*;
use connector_core::walk::{Items, Pages};
use serde_json::json;

/// Where accounts are authorized, and where the API begins.
pub const ACME: CustomProvider = CustomProvider {
    id: "acme",
    authorize_url: "https://acme.example/oauth/authorize",
    token_url: "https://acme.example/oauth/token",
    revoke_url: None,
    issuer: None,
    api_url: "https://api.acme.example",
};

/// Tasks of the lists you choose.
#[connector(
    id = "acme",
    provider = ACME,
    scopes(required = ["tasks"]),
    urls = ["https://api.acme.example/*"],
    link_types = [Task],
    channel_noun("list", "lists"),
    handle_replies,
)]
#[derive(Default)]
pub struct Acme;

/// A task.
#[link_type(label = "Task", note_label = "Comment", sharing = Channel, compose(status = Open))]
pub enum Task {
    /// To be done.
    #[status(icon = Todo, todo)]
    Open,
    /// Done.
    #[status(icon = Done, done)]
    Done,
}

#[connector]
impl Connector for Acme {
    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let user: ApiUser = cx.provider().get("/me").fetch().await?;
        Ok(Some(user.actor()))
    }

    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let lists: Vec<ApiList> = cx.provider().get("/lists").fetch().await?;
        Ok(lists.into_iter().map(|list| Channel::new(list.id, list.name)).collect())
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        if let Some(title) = &changes.title {
            cx.provider().patch(path(link)?).json(&json!({ "title": title })).send().await?;
        }
        if let Some(status) = changes.status::<Task>()? {
            cx.provider().patch(path(link)?).json(&json!({ "done": status == Task::Done })).send().await?;
        }
        Ok(())
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let channel = draft.require_channel()?;
        let task = json!({ "title": draft.title, "comment": draft.content });
        let task: ApiTask = cx.provider().post(format!("/lists/{channel}/tasks")).json(&task).fetch().await?;
        Ok(Some(task.link(channel)))
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let path = path(thread.link_of(note)?)? + "/comments";
        let comment: ApiComment = cx.provider().post(path).json(&json!({ "text": note.content })).fetch().await?;
        Ok(WriteBack::delivered(comment.id.to_string()).stored(Content::markdown(comment.text)))
    }
}

#[connector]
impl Acme {
    /// The tasks of a list, the change that is longest ago first.
    #[sync(every = "15m")]
    async fn tasks(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Cursor>) -> Result<Step<Cursor>> {
        let first = || Cursor { since: Since::new(Timestamp::UNIX_EPOCH), pages: Pages::default(), all: true };
        let Cursor { mut since, pages, all } = after.unwrap_or_else(first);
        let number = pages.number(1)?;
        let request = cx.provider().get(format!("/lists/{channel}/tasks"));
        let request = request.query("updated_since", since.start(cx.now())).query("page", number);
        // A task that cannot be read is left out and reported, and the others are saved.
        let mut tasks = request.fetch::<Items<ApiTask>>().await?.take(cx);
        let next = pages.after((!tasks.is_empty()).then_some(number + 1));
        // What is known already need not be saved again, and is there.
        cx.integrations().met(tasks.iter().map(ApiTask::source)).await?;
        tasks.retain(|task| since.is_new(cx.now(), task.updated_at, task.id.to_string()));
        cx.integrations().save_links(tasks.iter().map(|task| task.link(&channel))).await?;
        if let Some(pages) = next {
            return Ok(Step::Next(Cursor { since, pages, all }));
        }
        let next = Cursor { since: since.ended(), pages: Pages::default(), all: false };
        // The first walk, and one after the service has forgotten a cursor, meets all tasks: those that it does not meet
        // are deleted there, and archived here.
        Ok(if all { Step::Complete(LinkFilter::default(), next) } else { Step::Done(next) })
    }
}

/// How far a walk over the tasks of a list has come.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Cursor {
    /// What changed before a time is known.
    since: Since,
    pages: Pages,
    /// The walk is over all tasks, in place of those that have changed.
    all: bool,
}

#[derive(Deserialize)]
struct ApiUser {
    id: u64,
    name: String,
}

impl ApiUser {
    fn actor(&self) -> Actor {
        Actor::new(self.id.to_string()).name(&self.name)
    }
}

#[derive(Deserialize)]
struct ApiList {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct ApiTask {
    id: u64,
    title: String,
    done: bool,
    author: ApiUser,
    created_at: Timestamp,
    updated_at: Timestamp,
    comments: Vec<ApiComment>,
}

#[derive(Deserialize)]
struct ApiComment {
    id: u64,
    text: String,
    author: ApiUser,
    created_at: Timestamp,
}

impl ApiTask {
    fn source(&self) -> Source {
        Source::new("acme", [self.id.to_string()])
    }

    fn link(&self, channel: &ChannelId) -> NewLink {
        let source = self.source();
        let notes = self.comments.iter().map(|comment| {
            let content = Content::markdown(&comment.text);
            NewNote::new(source.clone(), comment.id.to_string(), comment.author.actor(), comment.created_at, content)
        });
        let status = if self.done { Task::Done } else { Task::Open };
        NewLink::new(status, source.clone(), channel, self.author.actor(), self.created_at)
            .title(&self.title)
            .updated_at(self.updated_at)
            .all_notes(notes)
    }
}

/// Where a task is in the API.
fn path(link: &Link) -> Result<String> {
    let id = link.source.qualifiers().next().ok_or_else(|| Error::bug("a source without an id"))?;
    Ok(format!("/tasks/{id}"))
}
