//! What comes from Slack: walks over the messages of a conversation, people, custom emoji.

use connector_core::prelude::*;
use connector_core::walk::Pages;

use crate::Slack;
use crate::api::{
    self, ApiEmoji, ApiEvent, ApiIdentity, ApiMessage, ApiPush, ApiReactedTo, ApiUser, Conversation, Directory, Page,
};

/// Threads that a step fetches; each is a request of its own.
const THREADS: usize = 20;

/// Slack does not say which messages were edited or answered since. So a walk looks again at this much before
/// the newest message that is known; what changes further back, pushes name.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// A walk over the messages of a conversation, from the newest back to where it begins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    since: Since,
    /// The next page. `None` means that the last one was read.
    pages: Option<Pages>,
    /// Threads of the pages so far whose replies are still to be fetched.
    threads: Vec<String>,
}

impl Walk {
    /// The first: as far back as the user wants.
    fn first(cx: &Context<Slack>) -> Self {
        let since = Since::new(cx.integrations().history(cx.options().history_days)).overlap(LOOK_BACK);
        Self { since, pages: Some(Pages::default()), threads: Vec::new() }
    }

    fn step(self, now: Timestamp) -> Step<Self> {
        if !self.threads.is_empty() || self.pages.is_some() {
            return Step::Next(self);
        }
        // Slack lists each message that is there, so what began since then and was not listed is deleted.
        let all = LinkFilter::default().occurred_from(self.since.start(now) + SignedDuration::from_micros(1));
        Step::Complete(all, Self { since: self.since.ended(), pages: Some(Pages::default()), ..self })
    }
}

/// Saves messages with all of the replies in their threads; those that are gone are archived.
async fn save_threads(cx: &Context<Slack>, channel: &ChannelId, roots: &[String]) -> Result<()> {
    let mut threads = Vec::with_capacity(roots.len());
    for root in roots {
        let mut messages = api::thread(cx, channel, root).await?;
        // A reaction to a reply names that one.
        let first = messages.iter().flatten().next();
        if let Some(other) = first.map(ApiMessage::root).filter(|other| other != root) {
            messages = api::thread(cx, channel, other).await?;
        }
        threads.extend(messages.map(|messages| (root, messages)));
    }
    let conversation = Conversation::of(cx, channel).await?;
    let messages: Vec<_> = threads.iter().flat_map(|(_, messages)| messages).collect();
    let directory = Directory::of(cx, &messages).await?;
    let (mut links, mut gone) = (Vec::new(), Vec::new());
    for (root, messages) in &threads {
        match directory.link(&conversation, &messages.iter().collect::<Vec<_>>()) {
            Some(link) => links.push(link),
            None => gone.push(directory.source(channel, root)),
        }
    }
    cx.integrations().save_links(links).await?;
    cx.integrations().archive_links(LinkFilter::sources(gone)).await
}

#[connector]
impl Slack {
    /// The messages of a conversation.
    #[sync(every = "15m")]
    async fn messages(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
        let mut walk = after.unwrap_or_else(|| Walk::first(cx));
        let now = cx.now();
        if !walk.threads.is_empty() {
            let rest = walk.threads.split_off(walk.threads.len().min(THREADS));
            save_threads(cx, &channel, &std::mem::replace(&mut walk.threads, rest)).await?;
            return Ok(walk.step(now));
        }
        let query = [("channel", channel.to_string()), ("oldest", api::ts(walk.since.start(now)))];
        let at = walk.pages.take().unwrap_or_default();
        let page: Page<ApiMessage> = api::page(cx, "/conversations.history", &query, &at).await?;
        let items = page.items.take(cx);
        let conversation = Conversation::of(cx, &channel).await?;
        let (threads, messages): (Vec<_>, Vec<_>) = items.iter().partition(|message| message.is_in_thread());
        let directory = Directory::of(cx, &messages).await?;
        let links = messages.into_iter().filter_map(|message| directory.link(&conversation, &[message]));
        cx.integrations().save_links(links).await?;
        for message in &items {
            walk.since.saw(now, message.sent_at());
        }
        walk.threads = threads.into_iter().map(|message| message.root().to_owned()).collect();
        walk.threads.dedup();
        walk.pages = at.after(Some(page.next));
        Ok(walk.step(now))
    }

    /// What a push named: the first message of a thread.
    #[drain(batch = 20, delay = "1s")]
    async fn changed_threads(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        roots: Vec<String>,
    ) -> Result<Drained<String>> {
        save_threads(cx, &channel, &roots).await?;
        Ok(Drained::all())
    }

    /// What Slack pushes to the app, for every workspace and conversation that it is in.
    #[webhook(
        verify = slack,
        handshake = echo_field("/challenge"),
        delivery_id = "/event_id",
        app(tenant = "/team_id"),
    )]
    async fn events(&self, cx: &Context<Self>, #[input] request: Verified<WebhookRequest>) -> Result<()> {
        match request.json::<ApiPush>()?.event {
            ApiEvent::Message(message) => {
                let (channel, root) = message.thread();
                cx.mark_dirty(ChangedThreads { channel }, [root]).await
            }
            ApiEvent::ReactionAdded { item } | ApiEvent::ReactionRemoved { item } => match item {
                ApiReactedTo::Message { channel, ts } => cx.mark_dirty(ChangedThreads { channel }, [ts]).await,
                ApiReactedTo::Other => Ok(()),
            },
            ApiEvent::UserChange { user } | ApiEvent::TeamJoin { user } => {
                cx.integrations().save_contacts([user.actor()]).await
            }
            ApiEvent::EmojiChanged => cx.run_task(WorkspaceEmoji {}).await.map(drop),
            ApiEvent::TokensRevoked | ApiEvent::AppUninstalled => {
                // Of whom, only Slack knows: one request tells whether it was this account.
                api::call::<ApiIdentity>(cx.provider().get("/auth.test")).await.map(drop)
            }
            ApiEvent::Other => Ok(()),
        }
    }

    /// The people of the workspace.
    #[sync(every = "24h")]
    async fn people(&self, cx: &Context<Self>, after: Option<Pages>) -> Result<Step<Pages>> {
        let pages = after.unwrap_or_default();
        let page: Page<ApiUser> = api::page(cx, "/users.list", &[], &pages).await?;
        cx.integrations().save_contacts(page.items.take(cx).iter().map(ApiUser::actor)).await?;
        Ok(pages.after(Some(page.next)).map_or_else(|| Step::Done(Pages::default()), Step::Next))
    }

    /// The custom emoji of the workspace.
    #[every("24h")]
    async fn workspace_emoji(&self, cx: &Context<Self>) -> Result<()> {
        if !cx.account().granted("emoji:read") {
            return Ok(());
        }
        let ApiEmoji { emoji } = api::call(cx.provider().get("/emoji.list")).await?;
        // An alias names another one, or a unicode emoji, which needs no picture.
        let url_of = |url: &str| match url.strip_prefix("alias:") {
            Some(other) => emoji.get(other).filter(|url| !url.starts_with("alias:")).cloned(),
            None => Some(url.to_owned()),
        };
        let named = emoji.iter().filter_map(|(name, url)| Some(CustomEmoji { name: name.clone(), url: url_of(url)? }));
        cx.integrations().save_custom_emoji(named).await
    }
}
