//! A toy that reads the same tracker with a key.

use connector_core::prelude::*;
use connector_core::walk::Items;

use super::service::Ticket;
use super::tracker::{Bug, has};

#[connector(
    id = "keyed-tracker",
    link_types = [Task],
    options = KeyOptions,
    key_option = "api_key",
    urls = ["https://api.github.com/*"]
)]
#[derive(Default)]
pub(super) struct KeyedTracker;

#[derive(Options)]
pub(super) struct KeyOptions {
    /// From the settings of the account.
    api_key: Secret,
}

#[link_type(label = "Task")]
pub(super) enum Task {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct Page {
    tickets: Items<Ticket>,
    more: bool,
}

async fn read<T: serde::de::DeserializeOwned>(cx: &Context<KeyedTracker>, path: &str) -> Result<T> {
    let url = format!("https://api.github.com{path}");
    cx.network().get(&url).bearer(&cx.options().api_key).fetch().await
}

#[connector]
impl Connector for KeyedTracker {
    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let projects: Vec<String> = read(cx, "/projects").await?;
        Ok(projects.into_iter().map(|project| Channel::new(project.as_str(), project.as_str())).collect())
    }
}

#[connector]
impl KeyedTracker {
    #[sync(every = "15m")]
    async fn tickets(&self, cx: &Context<Self>, channel: ChannelId, page: Option<u32>) -> Result<Step<u32>> {
        let page = page.unwrap_or(0);
        let path = format!("/projects/{channel}?since={}&page={page}", Timestamp::UNIX_EPOCH);
        let Page { tickets, more } = match read(cx, &path).await {
            Err(error) if has(Bug::SwallowsRefusals) && *error.kind() == ErrorKind::NeedsReauth => {
                return Ok(Step::Done(0));
            }
            page => page?,
        };
        let tickets = tickets.take(cx);
        let links = tickets.iter().map(|ticket| {
            let source = Source::new("tracker", [channel.as_str(), &ticket.number.to_string()]);
            let status = if ticket.state == "open" { Task::Open } else { Task::Closed };
            let text = |key: &str, author: &str, at, text: &str| {
                NewNote::new(source.clone(), key, Actor::new(author), at, Content::markdown(text))
            };
            let comments = ticket.comments.iter();
            let comments = comments.map(|one| text(&one.id.to_string(), &one.author, one.at, &one.text));
            let notes = std::iter::once(text("text", &ticket.author, ticket.created, &ticket.text)).chain(comments);
            NewLink::new(status, source.clone(), &channel, Actor::new(&ticket.author), ticket.created)
                .title(&ticket.title)
                .updated_at(ticket.updated)
                .all_notes(notes)
        });
        cx.integrations().save_links(links).await?;
        Ok(if more { Step::Next(page + 1) } else { Step::Complete(LinkFilter::default(), 0) })
    }
}
