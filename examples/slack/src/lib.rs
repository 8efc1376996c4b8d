//! Slack channels and direct messages, both ways.

mod api;
mod files;
mod sync;

use connector_core::content::shortcode;
use connector_core::prelude::*;
use serde_json::json;

use api::{ApiChannel, ApiIdentity, ApiOpened, ApiPosted, ApiUser, Conversation, Directory};

/// Messages of the Slack conversations you choose.
#[connector(
    id = "slack",
    name = "Slack",
    provider = Slack,
    scopes(
        required = ["channels:read", "channels:history", "users:read", "chat:write"],
        optional(id = "private", label = "Private channels", scopes = ["groups:read", "groups:history"], default = true),
        optional(
            id = "direct",
            label = "Direct messages",
            scopes = ["im:read", "im:history", "im:write", "mpim:read", "mpim:history", "mpim:write"],
            default = true,
        ),
        optional(id = "reactions", label = "Reactions", scopes = ["reactions:read", "reactions:write"], default = true),
        optional(id = "files", label = "Files", scopes = ["files:read", "files:write"], default = true),
        optional(id = "emoji", label = "Custom emoji", scopes = ["emoji:read"], default = true),
        optional(
            id = "email",
            label = "E-mail addresses",
            description = "Tells who is the same person elsewhere",
            scopes = ["users:read.email"],
            default = true,
        ),
        optional(
            id = "read",
            label = "Read state",
            description = "Marks in Slack as read what you have read here",
            scopes = ["channels:write", "groups:write"],
            default = false,
        ),
    ),
    access = ["Reads the conversations you choose, and who is in them", "Writes, edits and reacts as you"],
    urls = ["https://slack.com/api/*", "https://files.slack.com/*"],
    errors = api::errors,
    link_types = [Message, DirectMessage],
    reactions(unicode, custom),
    options = SlackOptions,
    channel_noun("conversation", "conversations"),
    handle_replies,
    multiple_instances,
)]
#[derive(Default)]
pub struct Slack;

/// A message in a channel, with the replies in its thread.
#[link_type(
    label = "Message",
    source_name = "Slack",
    note_label = "Message",
    compose_label = "New message",
    reply_label = "Reply in Slack",
    sharing = Channel,
    supports(links, attachments),
    compose(target = channels),
    meta = MessageMeta,
)]
pub struct Message;

/// A message between a few people, with the replies in its thread.
#[link_type(
    label = "Direct message",
    source_name = "Slack",
    note_label = "Message",
    compose_label = "New direct message",
    reply_label = "Reply in Slack",
    sharing = Thread,
    contact_roles(member(label = "Member", default)),
    supports(links, attachments),
    compose(target = contacts),
    meta = MessageMeta,
)]
pub struct DirectMessage;

/// What Slack says of a message beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageMeta {
    /// The time by which Slack knows it in its channel.
    pub ts: String,
}

impl MessageMeta {
    fn of(link: &Link) -> Result<Self> {
        if link.is::<DirectMessage>() { link.meta::<DirectMessage>() } else { link.meta::<Message>() }
    }
}

/// What a user can set.
#[derive(Options)]
pub struct SlackOptions {
    /// How far back the first sync goes, in days.
    #[option(label = "History", default = 90, min = 1, max = 3650)]
    pub history_days: u32,
}

#[connector]
impl Connector for Slack {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let identity: ApiIdentity = api::call(cx.provider().get("/auth.test")).await?;
        Ok(Some(format!("{} ({})", identity.team, identity.user)))
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let identity: ApiIdentity = api::call(cx.provider().get("/auth.test")).await?;
        api::user(cx, &identity.user_id).await
    }

    async fn get_account_tenant(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let identity: ApiIdentity = api::call(cx.provider().get("/auth.test")).await?;
        Ok(Some(identity.team_id))
    }

    async fn get_channels(&self, cx: &Context<Self>, account: &Account) -> Result<Vec<Channel>> {
        let kinds = [
            ("public_channel", "channels:read"),
            ("private_channel", "groups:read"),
            ("im", "im:read"),
            ("mpim", "mpim:read"),
        ];
        let granted: Vec<_> =
            kinds.into_iter().filter(|(_, scope)| account.granted(scope)).map(|(kind, _)| kind).collect();
        let query = [("types", granted.join(",")), ("exclude_archived", "true".to_owned())];
        let channels: Vec<ApiChannel> = api::all(cx, "/conversations.list", &query).await?;
        let mut people: Vec<ApiUser> = Vec::new();
        if channels.iter().any(|channel| channel.user.is_some()) {
            people = api::all(cx, "/users.list", &[]).await?;
        }
        Ok(channels.into_iter().filter(ApiChannel::is_own).map(|channel| channel.channel(&people)).collect())
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let channel = if draft.is::<DirectMessage>() {
            let users: Vec<_> = draft.recipients.iter().map(|recipient| recipient.actor.id.as_str()).collect();
            let open = cx.provider().post("/conversations.open").json(&json!({ "users": users.join(",") }));
            api::call::<ApiOpened>(open).await?.channel.id
        } else {
            draft.require_channel()?.clone()
        };
        // A message has no title: that of a draft stands in where there is nothing else.
        let markdown = draft.content.as_deref().unwrap_or(&draft.title);
        let text = api::text(markdown)?;
        let (conversation, directory) = (Conversation::of(cx, &channel).await?, Directory::to_send(cx, &text).await?);
        let files: Vec<_> = draft.files().collect();
        if !files.is_empty() {
            let message = files::share(cx, &channel, None, markdown, &files).await?;
            // Where Slack takes its time to show the message, the next sync brings it.
            return Ok(message.and_then(|message| directory.link(&conversation, &[&message])));
        }
        let message = json!({ "channel": channel, "text": text });
        let posted: ApiPosted = api::call(cx.provider().post("/chat.postMessage").json(&message)).await?;
        Ok(directory.link(&conversation, &[&posted.message]))
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let (link, text) = (thread.link_of(note)?, api::text(&note.content)?);
        let (root, directory) = (MessageMeta::of(link)?.ts, Directory::to_send(cx, &text).await?);
        let files: Vec<_> = note.files().collect();
        if !files.is_empty() {
            let message = files::share(cx, &link.channel, Some(&root), &note.content, &files).await?;
            // It is known by its text when the next sync brings it.
            return Ok(message.map_or_else(WriteBack::accepted, |message| directory.write_back(&message)));
        }
        let reply = json!({ "channel": link.channel, "thread_ts": root, "text": text });
        let posted: ApiPosted = api::call(cx.provider().post("/chat.postMessage").json(&reply)).await?;
        Ok(directory.write_back(&posted.message))
    }

    async fn on_note_updated(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let (channel, ts) = (&thread.link_of(note)?.channel, note.require_key()?);
        let text = api::text(&note.content)?;
        let directory = Directory::to_send(cx, &text).await?;
        let edit = json!({ "channel": channel, "ts": ts, "text": text });
        let edited: ApiPosted = api::call(cx.provider().post("/chat.update").json(&edit)).await?;
        Ok(directory.write_back(&edited.message))
    }

    async fn on_note_reaction_changed(
        &self,
        cx: &Context<Self>,
        note: &Note,
        thread: &Thread,
        _: &Actor,
        emoji: &Emoji,
        added: bool,
    ) -> Result<()> {
        let Some(name) = shortcode::name_of(emoji) else {
            return Err(Error::rejected(format!("Slack has no name for {emoji}")));
        };
        let (channel, ts) = (&thread.link_of(note)?.channel, note.require_key()?);
        let reaction = json!({ "channel": channel, "timestamp": ts, "name": name });
        let (method, done) =
            if added { ("/reactions.add", "already_reacted") } else { ("/reactions.remove", "no_reaction") };
        api::call_unless(cx.provider().post(method).json(&reaction), done).await
    }

    /// Slack knows of a conversation up to where it was read. That only ever moves on.
    async fn on_thread_read(&self, cx: &Context<Self>, thread: &Thread, _: &Actor, unread: bool) -> Result<()> {
        if unread || !cx.account().granted("channels:write") {
            return Ok(());
        }
        for link in &thread.links {
            let (conversation, root) = (Conversation::of(cx, &link.channel).await?, MessageMeta::of(link)?.ts);
            if !conversation.has_read(&root) {
                let mark = json!({ "channel": link.channel, "ts": root });
                api::call_unless(cx.provider().post("/conversations.mark").json(&mark), "not_in_channel").await?;
            }
        }
        Ok(())
    }

    async fn download_attachment(&self, cx: &Context<Self>, attachment: &Attachment, link: &Link) -> Result<Download> {
        let AttachmentRef::Service(id) = &attachment.at else {
            return Ok(Download::Gone);
        };
        match files::info(cx, id).await? {
            Some(file) => file.download(cx, link).await,
            None => Ok(Download::Gone),
        }
    }
}
