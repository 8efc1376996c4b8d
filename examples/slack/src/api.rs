//! What Slack's Web API gives, and what it is in the common model (<https://docs.slack.dev/reference/methods>).

use std::collections::{BTreeMap, HashMap, HashSet};

use connector_core::content::mrkdwn::Workspace;
use connector_core::content::{Document, shortcode};
use connector_core::network::{Failure, RequestBuilder, Response};
use connector_core::prelude::*;
use connector_core::walk::{Items, Pages};
use serde::de::DeserializeOwned;

use crate::files::ApiFile;
use crate::{DirectMessage, Message, MessageMeta, Slack};

/// The longest text of a message; what is longer, Slack cuts off
/// (<https://docs.slack.dev/reference/methods/chat.postMessage>).
const LONGEST_TEXT: usize = 40_000;

/// Longest title of a link, in characters.
const LONGEST_TITLE: usize = 100;

/// What each answer begins with, whatever its status.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    error: String,
    needed: Option<String>,
}

/// Calls a method. What has sent a message and cannot be read is not sent again.
pub(crate) async fn call<T: DeserializeOwned>(request: RequestBuilder<'_>) -> Result<T> {
    request.fetch().await
}

/// Calls a method that does nothing if this error says that it was done before.
pub(crate) async fn call_unless(request: RequestBuilder<'_>, done: &str) -> Result<()> {
    let response = request.send_raw().await?;
    match response.error() {
        Some(_) if !done.is_empty() && response.json().is_ok_and(|answer: Answer| answer.error == done) => Ok(()),
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// What an error of Slack means
/// (<https://docs.slack.dev/reference/methods/conversations.history#errors> and those of the other methods).
pub(crate) fn errors(response: &Response) -> Option<Failure> {
    let Answer { error, needed, .. } = response.json().ok().filter(|answer: &Answer| !answer.ok)?;
    let kind = match error.as_str() {
        "ratelimited" | "rate_limited" => return Some(Failure::rate_limited().because(error)),
        "not_authed" | "invalid_auth" | "account_inactive" | "token_revoked" | "token_expired" => {
            ErrorKind::NeedsReauth
        }
        "missing_scope" | "no_permission" | "not_allowed_token_type" => ErrorKind::ScopeMissing { scope: needed },
        "channel_not_found" | "not_in_channel" | "message_not_found" | "thread_not_found" | "user_not_found"
        | "users_not_found" | "file_not_found" | "file_deleted" => ErrorKind::Gone,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" => {
            ErrorKind::Transient
        }
        "invalid_cursor" => ErrorKind::CursorExpired,
        "invalid_arguments" | "invalid_arg_name" | "invalid_post_type" | "unknown_method" | "method_deprecated" => {
            ErrorKind::Bug
        }
        _ => ErrorKind::Rejected,
    };
    Some(Failure::new(kind).because(error))
}

/// A page of a list (<https://docs.slack.dev/apis/web-api/pagination>).
#[derive(Deserialize)]
#[serde(from = "ApiPage<T>")]
#[serde(bound = "T: DeserializeOwned")]
pub(crate) struct Page<T> {
    pub(crate) items: Items<T>,
    /// The cursor of the next page; empty if this is the last.
    pub(crate) next: String,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct ApiPage<T> {
    #[serde(alias = "channels", alias = "members", alias = "messages")]
    items: Items<T>,
    #[serde(default)]
    response_metadata: ApiCursor,
}

#[derive(Default, Deserialize)]
struct ApiCursor {
    #[serde(default)]
    next_cursor: String,
}

impl<T> From<ApiPage<T>> for Page<T> {
    fn from(page: ApiPage<T>) -> Self {
        Self { items: page.items, next: page.response_metadata.next_cursor }
    }
}

/// A page of a list.
pub(crate) async fn page<T: DeserializeOwned>(
    cx: &Context<Slack>,
    method: &str,
    query: &[(&str, String)],
    pages: &Pages,
) -> Result<Page<T>> {
    let request = cx.provider().get(method).query("limit", 200);
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    call(pages.at()?.into_iter().fold(request, |request, cursor| request.query("cursor", cursor))).await
}

/// All of a list that fits into one dispatch.
pub(crate) async fn all<T: DeserializeOwned>(
    cx: &Context<Slack>,
    method: &str,
    query: &[(&str, String)],
) -> Result<Vec<T>> {
    Ok(whole(cx, method, query).await?.0)
}

/// The same, and whether all of its items could be read.
async fn whole<T: DeserializeOwned>(
    cx: &Context<Slack>,
    method: &str,
    query: &[(&str, String)],
) -> Result<(Vec<T>, bool)> {
    let (mut items, mut is_whole, mut pages) = (Vec::new(), true, Some(Pages::default()));
    while let Some(at) = pages {
        let found: Page<T> = page(cx, method, query, &at).await?;
        pages = at.after(Some(found.next));
        is_whole &= found.items.is_whole();
        items.extend(found.items.take(cx));
    }
    Ok((items, is_whole))
}

/// The messages of a thread, the first one first; none if it is gone. Of a reply it gives that one. `None` means that a
/// message could not be read: the thread stays as it is known.
pub(crate) async fn thread(cx: &Context<Slack>, channel: &ChannelId, ts: &str) -> Result<Option<Vec<ApiMessage>>> {
    let query = [("channel", channel.to_string()), ("ts", ts.to_owned())];
    let found = whole(cx, "/conversations.replies", &query).await.unless_gone()?;
    Ok(found.map_or(Some(Vec::new()), |(messages, is_whole)| is_whole.then_some(messages)))
}

/// The time by which Slack would know a message that was sent then.
pub(crate) fn ts(time: Timestamp) -> String {
    format!("{}.{:06}", time.as_second(), time.subsec_microsecond())
}

/// What Slack is sent for markdown.
pub(crate) fn text(markdown: &str) -> Result<String> {
    let text = Document::from_markdown(markdown).to_mrkdwn();
    match text.chars().count() {
        count if count > LONGEST_TEXT => Err(Error::rejected(format!(
            "a message in Slack has at most {LONGEST_TEXT} characters, and this has {count}"
        ))),
        _ => Ok(text),
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiIdentity {
    pub(crate) team: String,
    pub(crate) user: String,
    pub(crate) user_id: String,
    pub(crate) team_id: String,
}

#[derive(Deserialize)]
pub(crate) struct ApiUser {
    id: String,
    name: String,
    #[serde(default)]
    is_bot: bool,
    #[serde(default)]
    profile: ApiProfile,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ApiProfile {
    real_name: String,
    display_name: String,
    email: Option<String>,
    image_192: Option<String>,
}

impl ApiUser {
    pub(crate) fn actor(&self) -> Actor {
        let names = [&self.profile.display_name, &self.profile.real_name, &self.name];
        let name = names.into_iter().find(|name| !name.is_empty());
        let mut actor = Actor::new(&self.id).handle(&self.name);
        actor.name = name.cloned();
        actor.email.clone_from(&self.profile.email);
        actor.avatar = self.profile.image_192.clone().filter(|url| !url.is_empty());
        actor.bot = self.is_bot;
        actor
    }
}

#[derive(Deserialize)]
struct ApiUserInfo {
    user: ApiUser,
}

/// Someone of whom the id is known; none if they are not there any more.
pub(crate) async fn user(cx: &Context<Slack>, id: &str) -> Result<Option<Actor>> {
    let info = call::<ApiUserInfo>(cx.provider().get("/users.info").query("user", id)).await.unless_gone();
    let info = cx.integrations().unless_odd(format!("user {id}"), info)?.flatten();
    Ok(info.map(|info| info.user.actor()))
}

#[derive(Deserialize)]
pub(crate) struct ApiChannel {
    pub(crate) id: ChannelId,
    name: Option<String>,
    /// The other one, in a conversation of two.
    pub(crate) user: Option<String>,
    #[serde(default)]
    is_member: bool,
    #[serde(default)]
    is_im: bool,
    #[serde(default)]
    is_mpim: bool,
    #[serde(default)]
    last_read: String,
    #[serde(default)]
    topic: ApiTopic,
}

#[derive(Default, Deserialize)]
struct ApiTopic {
    value: String,
}

impl ApiChannel {
    pub(crate) fn is_own(&self) -> bool {
        self.is_member || self.is_im
    }

    pub(crate) fn channel(self, people: &[ApiUser]) -> Channel {
        let other = people.iter().find(|person| Some(&person.id) == self.user.as_ref());
        let name = match (other.and_then(|person| person.actor().name), self.name) {
            (Some(other), _) if self.is_im => other,
            // `mpdm-alice--bob--carol-1`
            (_, Some(name)) if self.is_mpim => {
                let people =
                    name.trim_start_matches("mpdm-").trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
                people.replace("--", ", ")
            }
            (_, Some(name)) if !self.is_im => format!("#{name}"),
            _ => self.user.unwrap_or_else(|| self.id.to_string()),
        };
        let mut channel = Channel::new(self.id, name);
        channel.description = Some(self.topic.value).filter(|topic| !topic.is_empty());
        channel
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiOpened {
    pub(crate) channel: ApiOpenedChannel,
}

#[derive(Deserialize)]
pub(crate) struct ApiOpenedChannel {
    pub(crate) id: ChannelId,
}

#[derive(Deserialize)]
struct ApiChannelInfo {
    channel: ApiChannel,
}

/// A conversation, with those who are in it if it is between a few.
pub(crate) struct Conversation {
    channel: ApiChannel,
    members: Option<Vec<Actor>>,
}

impl Conversation {
    pub(crate) async fn of(cx: &Context<Slack>, id: &ChannelId) -> Result<Self> {
        let info: ApiChannelInfo = call(cx.provider().get("/conversations.info").query("channel", id)).await?;
        let mut members = None;
        if info.channel.is_im || info.channel.is_mpim {
            let ids: Vec<String> = all(cx, "/conversations.members", &[("channel", id.to_string())]).await?;
            let mut people = people(cx, ids.iter().cloned().collect()).await?;
            members = Some(ids.iter().filter_map(|id| people.remove(id)).collect());
        }
        Ok(Self { channel: info.channel, members })
    }

    pub(crate) fn has_read(&self, ts: &str) -> bool {
        ts <= self.channel.last_read.as_str()
    }
}

/// The people with these ids: those that were saved, and the others from Slack one by one, as those of other
/// workspaces, who are in no list.
async fn people(cx: &Context<Slack>, ids: HashSet<String>) -> Result<HashMap<String, Actor>> {
    let mut people = cx.integrations().contacts(&ids).await?;
    let mut new = Vec::new();
    for id in ids.iter().filter(|id| !people.contains_key(*id)) {
        new.extend(user(cx, id).await?);
    }
    cx.integrations().save_contacts(new.clone()).await?;
    people.extend(new.into_iter().map(|actor| (actor.id.clone(), actor)));
    Ok(people)
}

/// The workspace.
#[derive(Clone, Serialize, Deserialize)]
struct Team {
    team_id: String,
    url: String,
}

/// What it takes to read messages: their workspace, and the people that they are by and mention.
pub(crate) struct Directory {
    team: Team,
    people: HashMap<String, Actor>,
}

impl Directory {
    pub(crate) async fn of(cx: &Context<Slack>, messages: &[&ApiMessage]) -> Result<Self> {
        Self::with(cx, messages.iter().flat_map(|message| message.people()).collect()).await
    }

    /// What it takes to read the answer to this text. Asked for before it is sent: what fails after that would send
    /// it again.
    pub(crate) async fn to_send(cx: &Context<Slack>, text: &str) -> Result<Self> {
        let own = cx.account().id.as_deref();
        Self::with(cx, mentioned(text).chain(own).map(str::to_owned).collect()).await
    }

    async fn with(cx: &Context<Slack>, ids: HashSet<String>) -> Result<Self> {
        let team = match cx.get("team").await? {
            Some(team) => team,
            None => {
                let team: Team = call(cx.provider().get("/auth.test")).await?;
                cx.set("team", &team).await?;
                team
            }
        };
        Ok(Self { team, people: people(cx, ids).await? })
    }

    pub(crate) fn source(&self, channel: &ChannelId, ts: &str) -> Source {
        Source::new("slack", [&self.team.team_id, channel.as_str(), ts])
    }

    fn actor(&self, id: &str) -> Actor {
        self.people.get(id).cloned().unwrap_or_else(|| Actor::new(id))
    }

    fn document(&self, message: &ApiMessage) -> Document {
        let name_of = |id: &str| self.people.get(id)?.name.clone();
        Document::from_mrkdwn(&message.text, &Workspace { url: &self.team.url, name_of: &name_of })
    }

    fn content(&self, message: &ApiMessage) -> Content {
        Content::markdown(self.document(message).to_markdown())
    }

    /// The page of a message, as `chat.getPermalink` has it.
    fn url(&self, channel: &ChannelId, message: &ApiMessage) -> String {
        let page = format!("{}archives/{channel}/p{}", self.team.url, message.ts.replace('.', ""));
        match message.thread_ts.as_ref().filter(|root| **root != message.ts) {
            Some(root) => format!("{page}?thread_ts={root}&cid={channel}"),
            None => page,
        }
    }

    fn author(&self, message: &ApiMessage) -> Author {
        match (&message.user, &message.bot_id) {
            (Some(user), _) => self.actor(user).into(),
            (None, Some(bot)) => {
                let mut actor = Actor::new(bot).bot();
                actor.name.clone_from(&message.username);
                actor.into()
            }
            (None, None) => Author::system("Slack wrote it"),
        }
    }

    fn note(&self, link: Source, channel: &ChannelId, message: &ApiMessage) -> NewNote {
        let reactions = message.reactions.iter().flat_map(|reaction| {
            let emoji = shortcode::emoji(&reaction.name);
            reaction.users.iter().map(move |user| Reaction::new(emoji.clone(), self.actor(user)))
        });
        NewNote::new(link, message.ts.as_str(), self.author(message), message.sent_at(), self.content(message))
            .url(self.url(channel, message))
            .updated_at(message.edited.as_ref().map_or(message.sent_at(), |edited| time(&edited.ts)))
            .attachments(message.files.iter().map(ApiFile::attachment))
            .reactions(reactions)
    }

    /// What became of a message that a user wrote.
    pub(crate) fn write_back(&self, message: &ApiMessage) -> WriteBack {
        let result = WriteBack::delivered(message.ts.as_str()).stored(self.content(message));
        message.user.iter().fold(result, |result, user| result.author(self.actor(user)))
    }

    /// A message with all of the replies to it; none if nobody wrote anything.
    pub(crate) fn link(&self, conversation: &Conversation, messages: &[&ApiMessage]) -> Option<NewLink> {
        let (root, channel) = (messages.first()?, &conversation.channel.id);
        let source = self.source(channel, &root.ts);
        let written: Vec<_> = messages.iter().filter(|message| message.is_written()).collect();
        let newest = written.iter().map(|message| message.sent_at()).max()?;
        let (meta, author, sent_at) = (MessageMeta { ts: root.ts.clone() }, self.author(root), root.sent_at());
        let link = match &conversation.members {
            None => NewLink::new(Message.with(meta), source.clone(), channel, author, sent_at),
            Some(members) => NewLink::new(DirectMessage.with(meta), source.clone(), channel, author, sent_at)
                .contacts(members.iter().cloned().map(Contact::new)),
        };
        let link = link.url(self.url(channel, root)).updated_at(newest);
        let title = self.document(root).first_line().or_else(|| root.files.first()?.name());
        let link = match title {
            Some(title) => link.title(title.chars().take(LONGEST_TITLE).collect::<String>()),
            None => link,
        };
        let link = if conversation.has_read(&root.ts) { link.provider_read(true) } else { link };
        Some(link.all_notes(written.iter().map(|message| self.note(source.clone(), channel, message))))
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiPosted {
    pub(crate) message: ApiMessage,
}

#[derive(Deserialize)]
pub(crate) struct ApiMessage {
    pub(crate) ts: String,
    thread_ts: Option<String>,
    subtype: Option<String>,
    user: Option<String>,
    bot_id: Option<String>,
    username: Option<String>,
    #[serde(default)]
    text: String,
    edited: Option<ApiEdited>,
    #[serde(default)]
    reply_count: u64,
    #[serde(default)]
    reactions: Vec<ApiReaction>,
    #[serde(default)]
    files: Vec<ApiFile>,
}

#[derive(Deserialize)]
struct ApiEdited {
    ts: String,
}

#[derive(Deserialize)]
struct ApiReaction {
    name: String,
    users: Vec<String>,
}

impl ApiMessage {
    /// The first message of the thread that it is in, or itself.
    pub(crate) fn root(&self) -> &str {
        self.thread_ts.as_deref().unwrap_or(&self.ts)
    }

    pub(crate) fn is_in_thread(&self) -> bool {
        self.reply_count > 0 || self.root() != self.ts
    }

    /// Someone wrote it: it does not tell of who came, went, or changed the topic
    /// (<https://docs.slack.dev/reference/events/message#subtypes>).
    fn is_written(&self) -> bool {
        let subtype = self.subtype.as_deref();
        matches!(subtype, None | Some("bot_message" | "me_message" | "file_share" | "thread_broadcast"))
    }

    pub(crate) fn sent_at(&self) -> Timestamp {
        time(&self.ts)
    }

    /// Who wrote it, who reacted to it, and whom it mentions.
    fn people(&self) -> Vec<String> {
        let reacted = self.reactions.iter().flat_map(|reaction| &reaction.users).map(String::as_str);
        self.user.as_deref().into_iter().chain(mentioned(&self.text)).chain(reacted).map(str::to_owned).collect()
    }
}

/// The ids of those whom a text mentions.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    text.split("<@").skip(1).filter_map(|rest| rest.split(['|', '>']).next())
}

/// The time that Slack knows a message by: seconds with six decimals.
fn time(ts: &str) -> Timestamp {
    let (seconds, micros) = ts.split_once('.').unwrap_or((ts, "0"));
    let (seconds, micros) = (seconds.parse().unwrap_or_default(), micros.parse::<i32>().unwrap_or_default());
    Timestamp::new(seconds, micros.saturating_mul(1000)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[derive(Deserialize)]
pub(crate) struct ApiEmoji {
    pub(crate) emoji: BTreeMap<String, String>,
}

/// A push (<https://docs.slack.dev/apis/events-api>).
#[derive(Deserialize)]
pub(crate) struct ApiPush {
    pub(crate) event: ApiEvent,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ApiEvent {
    Message(ApiMessageEvent),
    ReactionAdded {
        item: ApiReactedTo,
    },
    ReactionRemoved {
        item: ApiReactedTo,
    },
    UserChange {
        user: ApiUser,
    },
    TeamJoin {
        user: ApiUser,
    },
    EmojiChanged,
    TokensRevoked,
    AppUninstalled,
    #[serde(other)]
    Other,
}

/// A message that is new, or what was changed or deleted.
#[derive(Deserialize)]
pub(crate) struct ApiMessageEvent {
    channel: ChannelId,
    #[serde(flatten)]
    own: ApiPlace,
    message: Option<ApiPlace>,
    previous_message: Option<ApiPlace>,
}

#[derive(Deserialize)]
struct ApiPlace {
    ts: String,
    thread_ts: Option<String>,
}

impl ApiMessageEvent {
    /// Where the thread is that changed.
    pub(crate) fn thread(self) -> (ChannelId, String) {
        let place = self.message.or(self.previous_message).unwrap_or(self.own);
        (self.channel, place.thread_ts.unwrap_or(place.ts))
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ApiReactedTo {
    Message {
        channel: ChannelId,
        ts: String,
    },
    #[serde(other)]
    Other,
}
