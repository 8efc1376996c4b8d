//! Google Tasks: <https://developers.google.com/workspace/tasks/reference/rest>.

use connector_core::prelude::*;
use connector_core::walk::Pages;
use serde_json::json;

use crate::{Google, Page, Task, TaskMeta, own_id, page_of};

/// A walk over the tasks that have changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    since: Since,
    pages: Pages,
    /// The walk is the first, over all tasks.
    all: bool,
}

#[derive(Deserialize)]
pub(crate) struct ApiTaskList {
    id: String,
    title: String,
}

impl ApiTaskList {
    pub(crate) fn channel(self) -> Channel {
        Channel::new(ChannelId::of_product("tasks", &self.id), &self.title)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiTask {
    id: String,
    #[serde(default)]
    title: String,
    notes: Option<String>,
    status: String,
    /// A day: the time is not kept.
    due: Option<String>,
    updated: Timestamp,
    web_view_link: Option<String>,
    #[serde(default)]
    deleted: bool,
}

impl ApiTask {
    fn link(&self, channel: &ChannelId) -> NewLink {
        let status = if self.status == "completed" { Task::Done } else { Task::Open };
        let due = self.due.as_deref().and_then(|due| due.get(..10)?.parse().ok());
        let source = source(channel, &self.id);
        let note = |text| NewNote::new(source.clone(), "notes", Author::Owner, self.updated, Content::text(text));
        let notes = self.notes.iter().filter(|text| !text.is_empty()).map(note);
        let link = NewLink::new(status.with(TaskMeta { due }), source.clone(), channel, Author::Owner, self.updated)
            .title(&self.title)
            .updated_at(self.updated)
            .all_notes(notes);
        self.web_view_link.iter().fold(link, NewLink::url)
    }
}

/// Ids of tasks are unique within a list.
fn source(channel: &ChannelId, id: &str) -> Source {
    Source::new("google-tasks", [own_id(channel), id])
}

/// Where a task is in the API.
fn path(link: &Link) -> Result<String> {
    let list = own_id(&link.channel);
    let id = link.source.qualifiers().nth(1).ok_or_else(|| Error::bug("a task without an id"))?;
    Ok(format!("/tasks/v1/lists/{list}/tasks/{id}"))
}

pub(crate) async fn walk(cx: &Context<Google>, channel: &ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
    let first = || Walk { since: Since::new(Timestamp::UNIX_EPOCH), pages: Pages::default(), all: true };
    let Walk { mut since, pages, all } = after.unwrap_or_else(first);
    let now = cx.now();
    let request = cx.provider().get(format!("/tasks/v1/lists/{}/tasks", own_id(channel)));
    let request = request.query("maxResults", 100).query("showCompleted", true).query("showHidden", true);
    let request = request.query("showDeleted", true).query("updatedMin", since.start(now));
    let page: Page<ApiTask> = page_of(request, &pages)?.fetch().await?;
    let mut items = page.items.take(cx);
    cx.integrations().met(items.iter().filter(|task| !task.deleted).map(|task| source(channel, &task.id))).await?;
    items.retain(|task| since.is_new(now, task.updated, &task.id));
    let (gone, there): (Vec<_>, Vec<_>) = items.iter().partition(|task| task.deleted);
    cx.integrations().save_links(there.iter().map(|task| task.link(channel))).await?;
    cx.integrations().archive_links(LinkFilter::sources(gone.iter().map(|task| source(channel, &task.id)))).await?;
    if let Some(pages) = pages.after(page.next_page_token) {
        return Ok(Step::Next(Walk { since, pages, all }));
    }
    let next = Walk { since: since.ended(), pages: Pages::default(), all: false };
    Ok(if all { Step::Complete(LinkFilter::default(), next) } else { Step::Done(next) })
}

pub(crate) async fn update(cx: &Context<Google>, link: &Link, changes: &LinkChanges) -> Result<()> {
    let status = changes.status::<Task>()?.map(|status| if status == Task::Done { "completed" } else { "needsAction" });
    let mut task = serde_json::Map::new();
    task.extend(changes.title.as_ref().map(|title| ("title".to_owned(), json!(title))));
    task.extend(status.map(|status| ("status".to_owned(), json!(status))));
    cx.provider().patch(path(link)?).json(&task).send().await.map(drop)
}

pub(crate) async fn create(cx: &Context<Google>, draft: &LinkDraft) -> Result<NewLink> {
    let channel = draft.require_channel()?;
    let list = channel.in_product("tasks").ok_or_else(|| Error::rejected("choose a list of tasks"))?;
    let task = json!({ "title": draft.title, "notes": draft.content });
    let created: ApiTask = cx.provider().post(format!("/tasks/v1/lists/{list}/tasks")).json(&task).fetch().await?;
    Ok(created.link(channel))
}
