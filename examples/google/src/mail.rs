//! Gmail: <https://developers.google.com/workspace/gmail/api/reference/rest>.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use connector_core::content::{html_of, mail::Mail};
use connector_core::network::{Body, Request};
use connector_core::prelude::*;
use futures_util::stream::{self, StreamExt};
use mail_builder::MessageBuilder;
use mail_builder::mime::{MimePart, make_boundary};
use mail_parser::{Address, Message, MessageParser};
use serde_json::json;

use crate::{Conversation, ConversationMeta, Google, Page, horizon, own_id, page_of};

/// Conversations that a step takes; each is a request of its own.
const PAGE: usize = 25;

/// Gmail takes attachments of 25 MB, which are a third longer in base64.
const MAX_ATTACHMENT: usize = 40 << 20;

/// What the files of a mail that is sent may have together, in bytes (<https://support.google.com/mail/answer/6584>).
const MAX_FILES: u64 = 25 << 20;

/// A walk over the conversations with a label, then over what has happened to them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Walk {
    /// Those that are there; what happens from its beginning on is asked for at its end.
    All { page: Option<String>, history: String },
    /// What has happened since; Gmail may forget what did.
    Since { history: String, page: Option<String> },
}

#[derive(Deserialize)]
pub(crate) struct ApiLabel {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl ApiLabel {
    /// What a user files mail under, and where it comes in and goes out.
    pub(crate) fn channel(self) -> Option<Channel> {
        let name = match self.id.as_str() {
            "INBOX" => "Inbox",
            "SENT" => "Sent",
            _ if self.kind.as_deref() == Some("user") => &self.name,
            _ => return None,
        };
        Some(Channel::new(channel(&self.id), name).enabled_by_default(self.id == "INBOX"))
    }
}

fn channel(label: &str) -> ChannelId {
    ChannelId::of_product("mail", label)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiProfile {
    history_id: String,
}

#[derive(Deserialize)]
struct ApiThread {
    id: String,
    #[serde(default)]
    messages: Vec<ApiMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiMessage {
    id: String,
    #[serde(default)]
    thread_id: String,
    #[serde(default)]
    label_ids: Vec<String>,
    #[serde(default)]
    snippet: String,
    internal_date: Option<String>,
    payload: Option<ApiPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiPart {
    #[serde(default)]
    part_id: String,
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    filename: String,
    #[serde(default)]
    headers: Vec<ApiHeader>,
    body: Option<ApiBody>,
    #[serde(default)]
    parts: Vec<ApiPart>,
}

#[derive(Deserialize)]
struct ApiHeader {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiBody {
    attachment_id: Option<String>,
    #[serde(default)]
    size: u64,
    data: Option<String>,
}

#[derive(Deserialize)]
struct ApiHistory {
    #[serde(default)]
    messages: Vec<ApiMessage>,
}

impl ApiPart {
    fn flatten(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.parts.iter().flat_map(Self::flatten)).collect()
    }

    fn text(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&decoded(self.body.as_ref()?.data.as_deref()?)?).into_owned())
    }
}

fn decoded(data: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(data.trim_end_matches('=')).ok()
}

impl ApiMessage {
    fn has(&self, label: &str) -> bool {
        self.label_ids.iter().any(|found| found == label)
    }

    fn at(&self) -> Timestamp {
        let at = self.internal_date.as_deref().and_then(|at| Timestamp::from_millisecond(at.parse().ok()?).ok());
        at.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The headers as they stand in a mail (RFC 5322), which a parser reads.
    fn headers(&self) -> String {
        let headers = self.payload.iter().flat_map(|part| &part.headers);
        headers
            .map(|header| format!("{}: {}\r\n", header.name, header.value.replace(['\r', '\n'], " ")))
            .collect::<String>()
            + "\r\n"
    }

    fn parts(&self) -> impl Iterator<Item = &ApiPart> {
        self.payload.iter().flat_map(ApiPart::flatten)
    }

    fn content(&self) -> Content {
        let parts = || self.parts().filter(|part| part.filename.is_empty());
        let of = |kind: &str| parts().filter(|part| part.mime_type == kind).find_map(ApiPart::text);
        let html = of("text/html").map(Content::Html);
        written(html.or_else(|| of("text/plain").map(Content::Text)).unwrap_or_else(|| Content::text(&self.snippet)))
    }

    fn attachments(&self) -> impl Iterator<Item = Attachment> {
        let files = self.parts().filter(|part| !part.filename.is_empty());
        files.filter_map(|part| {
            let body = part.body.as_ref().filter(|body| body.attachment_id.is_some())?;
            // Gmail's id of an attachment is another one at each request; where it is in the mail stays.
            let reference = format!("{}/{}", self.id, part.part_id);
            Some(Attachment::new(&part.filename, reference).media_type(&part.mime_type).size(body.size))
        })
    }

    fn note(&self, link: &Source, mail: &Message<'_>) -> NewNote {
        let recipients = people(mail).into_iter().filter(|contact| contact.role.as_deref() != Some("from"));
        let recipients = recipients.map(|to| Recipient { actor: to.actor, role: to.role.unwrap_or_default() });
        NewNote::new(link.clone(), self.id.as_str(), author(mail), self.at(), self.content())
            .attachments(self.attachments())
            .recipients(recipients)
    }
}

/// What the author of a mail wrote, without the earlier mails that it quotes: they are notes themselves.
fn written(content: Content) -> Content {
    let own = |whole: String| {
        let own = Mail { quoted: None, ..Mail::parse(&whole) }.write();
        if own.trim().is_empty() { whole } else { own }
    };
    match content {
        Content::Text(text) => Content::Text(own(text)),
        other => Content::Markdown(own(other.to_markdown())),
    }
}

/// Someone, known by their address.
pub(crate) fn person(name: Option<&str>, email: &str) -> Actor {
    let email = email.to_ascii_lowercase();
    Actor::new(email.as_str()).name(name.filter(|name| !name.is_empty()).unwrap_or(&email)).email(&email)
}

fn addresses(list: Option<&Address<'_>>) -> Vec<Actor> {
    let all = list.into_iter().flat_map(Address::iter);
    all.filter_map(|address| Some(person(address.name(), address.address()?))).collect()
}

fn author(mail: &Message<'_>) -> Author {
    addresses(mail.from()).pop().map_or_else(|| Author::system("a mail without a sender"), Author::Person)
}

/// Those that a mail is from and to, with their roles.
fn people(mail: &Message<'_>) -> Vec<Contact> {
    let lists = [("from", mail.from()), ("to", mail.to()), ("cc", mail.cc()), ("bcc", mail.bcc())];
    let with_role = |(role, list)| addresses(list).into_iter().map(move |actor| Contact::new(actor).role(role));
    lists.into_iter().flat_map(with_role).collect()
}

impl ApiThread {
    /// Not in the bin, not spam, and no draft.
    fn shown(&self) -> impl Iterator<Item = &ApiMessage> {
        self.messages.iter().filter(|mail| !["TRASH", "SPAM", "DRAFT"].iter().any(|label| mail.has(label)))
    }

    /// The channel that it is in: of those that are enabled the first that it is filed under, the inbox before all.
    fn home(&self, cx: &Context<Google>) -> Option<ChannelId> {
        let mut labels: Vec<_> = self.shown().flat_map(|mail| &mail.label_ids).collect();
        labels.sort_by_key(|label| (*label != "INBOX", *label == "SENT", *label));
        labels.into_iter().map(|label| channel(label)).find(|channel| cx.is_enabled(channel))
    }

    /// Nobody has answered yet.
    fn is_sent(&self) -> bool {
        let mut shown = self.shown().peekable();
        shown.peek().is_some() && shown.all(|mail| mail.has("SENT"))
    }

    /// The conversation with its mails; none if all of them are gone.
    fn link(&self, cx: &Context<Google>, channel: &ChannelId) -> Option<NewLink> {
        let source = source(cx, &self.id);
        let headers: Vec<_> = self.shown().map(ApiMessage::headers).collect();
        let parser = MessageParser::new();
        let mails: Vec<_> =
            self.shown().zip(headers.iter().filter_map(|headers| parser.parse_headers(headers))).collect();
        let ((first, root), (last, _)) = (mails.first()?, mails.last()?);
        let mut contacts: Vec<Contact> = Vec::new();
        for contact in mails.iter().flat_map(|(_, mail)| people(mail)) {
            // Who it was hidden from does not learn of them, should the conversation be shared.
            let hidden = contact.role.as_deref() == Some("bcc");
            if !hidden && !contacts.iter().any(|known| known.actor.id == contact.actor.id) {
                contacts.push(contact);
            }
        }
        let meta = ConversationMeta { thread: self.id.clone() };
        let link = NewLink::new(Conversation.with(meta), source.clone(), channel, author(root), first.at())
            .title(root.subject().filter(|subject| !subject.is_empty()).unwrap_or("(no subject)"))
            .preview(&last.snippet)
            .contacts(contacts)
            .updated_at(last.at())
            .provider_read(!self.shown().any(|mail| mail.has("UNREAD")))
            // The same conversation in the mailboxes of others.
            .also(root.message_id().map(|id| Source::new("mail", [id])));
        Some(link.all_notes(mails.iter().map(|(message, mail)| message.note(&source, mail))))
    }
}

/// Ids of conversations are unique within a mailbox.
fn source(cx: &Context<Google>, id: &str) -> Source {
    Source::new("gmail", [cx.account().id.as_deref().unwrap_or_default(), id])
}

async fn thread(cx: &Context<Google>, id: &str) -> Result<Option<ApiThread>> {
    cx.provider().get(format!("/gmail/v1/users/me/threads/{id}")).query("format", "full").fetch().await.unless_gone()
}

pub(crate) async fn walk(cx: &Context<Google>, channel: &ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
    let walk = match after {
        Some(walk) => walk,
        None => {
            let profile: ApiProfile = cx.provider().get("/gmail/v1/users/me/profile").fetch().await?;
            Walk::All { page: None, history: profile.history_id }
        }
    };
    match walk {
        Walk::All { page, history } => {
            let request = cx.provider().get("/gmail/v1/users/me/threads").query("labelIds", own_id(channel));
            let request = request.query("maxResults", PAGE).query("q", format!("after:{}", horizon(cx).as_second()));
            let found: Page<ApiThread> = page_of(request, page.as_deref()).fetch().await?;
            save(cx, found.items.into_iter().map(|thread| thread.id)).await?;
            Ok(match found.next_page_token {
                Some(token) => Step::Next(Walk::All { page: Some(token), history }),
                None => Step::Done(Walk::Since { history, page: None }),
            })
        }
        Walk::Since { history, page } => {
            let request = cx.provider().get("/gmail/v1/users/me/history").query("startHistoryId", &history);
            let request = page_of(request.query("maxResults", PAGE), page.as_deref());
            let found: Page<ApiHistory> = request.fetch().await.map_err(|error| match error.kind() {
                // 404: https://developers.google.com/workspace/gmail/api/guides/sync
                ErrorKind::Gone => Error::cursor_expired("Gmail forgot what had happened by then"),
                _ => error,
            })?;
            let threads = found.items.into_iter().flat_map(|entry| entry.messages).map(|mail| mail.thread_id);
            save(cx, threads.collect::<BTreeSet<_>>()).await?;
            Ok(match found.next_page_token {
                Some(token) => Step::Next(Walk::Since { history, page: Some(token) }),
                None => Step::Done(Walk::Since { history: found.history_id.unwrap_or(history), page: None }),
            })
        }
    }
}

/// Saves conversations that are, or were, in a channel: which one is the same whoever looks.
async fn save(cx: &Context<Google>, ids: impl IntoIterator<Item = String>) -> Result<()> {
    for id in ids {
        let found = thread(cx, &id).await?;
        let home = found.as_ref().and_then(|found| found.home(cx));
        match found.as_ref().zip(home).and_then(|(found, home)| Some((found, found.link(cx, &home)?))) {
            Some((found, link)) => {
                cx.integrations().save_link(link).await?;
                let starred = found.shown().any(|mail| mail.has("STARRED"));
                cx.integrations().set_thread_to_do(source(cx, &id), starred, None).await?;
            }
            // It stays where the user wrote it.
            None if found.as_ref().is_some_and(ApiThread::is_sent) => {}
            // Archived, filed elsewhere or deleted.
            None => cx.integrations().archive_links(LinkFilter::sources([source(cx, &id)])).await?,
        }
    }
    Ok(())
}

/// Puts a label on the conversations of a thread, or takes it from them.
pub(crate) async fn label(cx: &Context<Google>, thread: &Thread, label: &str, on: bool) -> Result<()> {
    for link in thread.links.iter().filter(|link| link.is::<Conversation>()) {
        let id = link.meta::<Conversation>()?.thread;
        let change = json!({ (if on { "addLabelIds" } else { "removeLabelIds" }): [label] });
        cx.provider().post(format!("/gmail/v1/users/me/threads/{id}/modify")).json(&change).send().await?;
    }
    Ok(())
}

/// A mail to these people, from the owner.
fn mail<'x>(cx: &Context<Google>, to: &[Recipient], subject: &str, text: &str) -> MessageBuilder<'x> {
    let html = html_of(text);
    let of = |role: &str| {
        let those = to.iter().filter(|to| to.role == role);
        those.map(|to| (to.actor.name.clone().unwrap_or_default(), to.actor.id.clone())).collect::<Vec<_>>()
    };
    let from = cx.account().id.clone().unwrap_or_default();
    let mail = MessageBuilder::new().from(from).subject(subject.to_owned()).to(of("to"));
    let mail = mail.text_body(text.to_owned()).html_body(html);
    let mail = if of("cc").is_empty() { mail } else { mail.cc(of("cc")) };
    // Gmail takes these for whom it is sent to, and out of what they get.
    if of("bcc").is_empty() { mail } else { mail.bcc(of("bcc")) }
}

/// Sends a mail with files of the user, which are encoded while they are sent.
async fn send(
    cx: &Context<Google>,
    mut mail: MessageBuilder<'_>,
    files: impl Iterator<Item = FileId>,
    thread: Option<&str>,
) -> Result<ApiMessage> {
    let mut attached = Vec::new();
    for id in files {
        attached.push(cx.files().read(id).await?);
    }
    if attached.iter().map(AttachedFile::size).sum::<u64>() > MAX_FILES {
        return Err(Error::rejected(
            "Gmail sends 25 MB of files with a mail: put a link to a larger one into the text",
        ));
    }
    // Stands where a file belongs, and nowhere else.
    let place = make_boundary("-");
    for file in &attached {
        let part = MimePart::new(file.media_type().to_owned(), place.clone().into_bytes());
        let part = part.attachment(file.name().to_owned());
        mail.attachments.get_or_insert_default().push(part.transfer_encoding("base64"));
    }
    let mail = mail.write_to_string().or_kind(ErrorKind::Bug)?;
    if attached.is_empty() {
        let message = json!({ "raw": BASE64_URL_SAFE_NO_PAD.encode(mail), "threadId": thread });
        return cx.provider().post("/gmail/v1/users/me/messages/send").json(&message).fetch().await;
    }
    // https://developers.google.com/workspace/gmail/api/guides/uploads#multipart
    let (boundary, message) = (make_boundary("-"), json!({ "threadId": thread }));
    let head = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{message}\r\n--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"
    );
    let mut texts = mail.split(&place).map(str::to_owned);
    let begin = Body::from(head).chain(texts.next().unwrap_or_default());
    let body =
        attached.into_iter().zip(texts).fold(begin, |body, (file, text)| body.chain(Body::base64(file)).chain(text));
    let body = body.chain(format!("\r\n--{boundary}--\r\n"));
    let request = cx.provider().post("/upload/gmail/v1/users/me/messages/send").query("uploadType", "multipart");
    let request = request.body(body, &format!("multipart/related; boundary=\"{boundary}\""));
    request.timeout(Request::UPLOAD_TIMEOUT).fetch().await
}

pub(crate) async fn compose(cx: &Context<Google>, draft: &LinkDraft) -> Result<NewLink> {
    if draft.recipients.is_empty() {
        return Err(Error::rejected("say who it is for"));
    }
    let mail = mail(cx, &draft.recipients, &draft.title, draft.content.as_deref().unwrap_or_default());
    let sent = send(cx, mail, draft.files(), None).await?;
    let thread = thread(cx, &sent.thread_id).await?.ok_or_else(|| Error::bug("Gmail does not know what it sent"))?;
    let link = thread.link(cx, &thread.home(cx).unwrap_or_else(|| channel("SENT")));
    link.ok_or_else(|| Error::bug("Gmail sent a mail without a text"))
}

pub(crate) async fn reply(cx: &Context<Google>, note: &Note, link: &Link) -> Result<WriteBack> {
    let id = link.meta::<Conversation>()?.thread;
    let found = thread(cx, &id).await?.ok_or_else(|| Error::gone("the conversation was deleted"))?;
    let last = found.shown().last().ok_or_else(|| Error::gone("the conversation was deleted"))?;
    let headers = last.headers();
    let answered = MessageParser::new().parse_headers(&headers);
    let own = cx.account().id.clone().unwrap_or_default();
    let mut recipients = note.recipients.clone();
    if let (true, Some(answered)) = (recipients.is_empty(), &answered) {
        // To all that the last one was from and to; who it was hidden to stays hidden. Some are to be answered elsewhere.
        let elsewhere = addresses(answered.reply_to()).into_iter().filter(|to| to.id != own);
        let elsewhere: Vec<_> = elsewhere.map(|actor| Contact::new(actor).role("from")).collect();
        let kept = |to: &Contact| match to.role.as_deref() {
            Some("bcc") => false,
            Some("from") => elsewhere.is_empty() && to.actor.id != own,
            _ => to.actor.id != own && elsewhere.iter().all(|from| from.actor.id != to.actor.id),
        };
        let others: Vec<_> = people(answered).into_iter().filter(kept).collect();
        let others = elsewhere.into_iter().chain(others);
        let role = |role: Option<String>| role.filter(|role| role == "cc").unwrap_or_else(|| "to".to_owned());
        recipients = others.map(|to| Recipient { actor: to.actor, role: role(to.role) }).collect();
    }
    let subject = link.title.clone().unwrap_or_default();
    let subject = if subject.to_ascii_lowercase().starts_with("re:") { subject } else { format!("Re: {subject}") };
    let mut mail = mail(cx, &recipients, &subject, &note.content);
    if let Some((answered, last)) = answered.as_ref().and_then(|mail| Some((mail, mail.message_id()?))) {
        // All that came before, and the last one (RFC 5322 3.6.4).
        let earlier = answered.references().as_text_list().into_iter().flatten();
        let references: Vec<_> = earlier.map(|id| id.to_string()).chain([last.to_owned()]).collect();
        mail = mail.in_reply_to(last.to_owned()).references(references);
    }
    let sent = send(cx, mail, note.files(), Some(&id)).await?;
    Ok(WriteBack::delivered(sent.id).stored(written(Content::Html(html_of(&note.content)))))
}

#[derive(Deserialize)]
struct ApiAttachment {
    data: String,
}

pub(crate) async fn download(cx: &Context<Google>, attachment: &Attachment) -> Result<Download> {
    let AttachmentRef::Service(reference) = &attachment.at else { return Ok(Download::Gone) };
    let Some((mail, part)) = reference.split_once('/') else { return Ok(Download::Gone) };
    let path = format!("/gmail/v1/users/me/messages/{mail}");
    let Some(found) = cx.provider().get(&path).fetch::<ApiMessage>().await.unless_gone()? else {
        return Ok(Download::Gone);
    };
    let body = found.parts().find(|found| found.part_id == part).and_then(|part| part.body.as_ref());
    let Some(id) = body.and_then(|body| body.attachment_id.as_ref()) else { return Ok(Download::Gone) };
    let request = cx.provider().get(format!("{path}/attachments/{id}")).max_response(MAX_ATTACHMENT);
    let found: ApiAttachment = request.fetch().await?;
    let bytes = decoded(&found.data).ok_or_else(|| Error::bug("Gmail gave an attachment that is no base64"))?;
    let media_type = attachment.media_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
    // Gmail gives it whole, as a text within JSON.
    Ok(Download::Body { name: attachment.name.clone(), media_type, body: stream::iter([Ok(bytes.into())]).boxed() })
}
