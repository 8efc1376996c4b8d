//! What comes from Slack: walks over the messages of a conversation, people, custom emoji.

use connector_core::prelude::*;

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
    oldest: Timestamp,
    newest: Timestamp,
    /// The next page; empty at the beginning, and after the last one.
    page: String,
    /// Threads of the pages so far whose replies are still to be fetched.
    threads: Vec<String>,
}

impl Walk {
    /// The first: as far back as the user wants.
    fn first(cx: &Context<Slack>) -> Self {
        let history = SignedDuration::from_hours(24 * i64::from(cx.options().history_days));
        let oldest = (cx.now() - history).max(cx.integrations().earliest().unwrap_or(Timestamp::MIN));
        Self { oldest, newest: oldest, page: String::new(), threads: Vec::new() }
    }

    fn step(self) -> Step<Self> {
        if !self.threads.is_empty() || !self.page.is_empty() {
            return Step::Next(self);
        }
        Step::Done(Self { oldest: self.oldest.max(self.newest - LOOK_BACK), ..self })
    }
}

/// Saves messages with all of the replies in their threads; those that are gone are archived.
async fn save_threads(cx: &Context<Slack>, channel: &ChannelId, roots: &[String]) -> Result<()> {
    let mut threads = Vec::with_capacity(roots.len());
    for root in roots {
        let mut messages = api::thread(cx, channel, root).await?;
        // A reaction to a reply names that one.
        if let Some(other) = messages.first().map(ApiMessage::root).filter(|other| other != root) {
            messages = api::thread(cx, channel, other).await?;
        }
        threads.push((root, messages));
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
        if !walk.threads.is_empty() {
            let rest = walk.threads.split_off(walk.threads.len().min(THREADS));
            save_threads(cx, &channel, &std::mem::replace(&mut walk.threads, rest)).await?;
            return Ok(walk.step());
        }
        let query = [("channel", channel.to_string()), ("oldest", api::ts(walk.oldest))];
        let page: Page<ApiMessage> = api::page(cx, "/conversations.history", &query, &walk.page).await?;
        let conversation = Conversation::of(cx, &channel).await?;
        let (threads, messages): (Vec<_>, Vec<_>) = page.items.iter().partition(|message| message.is_in_thread());
        let directory = Directory::of(cx, &messages).await?;
        let links = messages.into_iter().filter_map(|message| directory.link(&conversation, &[message]));
        cx.integrations().save_links(links).await?;
        walk.newest = page.items.iter().map(ApiMessage::sent_at).fold(walk.newest, Timestamp::max);
        walk.threads = threads.into_iter().map(|message| message.root().to_owned()).collect();
        walk.threads.dedup();
        walk.page = page.next;
        Ok(walk.step())
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
    async fn people(&self, cx: &Context<Self>, after: Option<String>) -> Result<Step<String>> {
        let page: Page<ApiUser> = api::page(cx, "/users.list", &[], &after.unwrap_or_default()).await?;
        cx.integrations().save_contacts(page.items.iter().map(ApiUser::actor)).await?;
        Ok(if page.next.is_empty() { Step::Done(page.next) } else { Step::Next(page.next) })
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
