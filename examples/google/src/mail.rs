//! Gmail: <https://developers.google.com/workspace/gmail/api/reference/rest>.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use connector_core::content::mail::{MailPart, ReadMail, is_forwarded, reply_subject};
use connector_core::content::{Block, Document, html_of, plain};
use connector_core::network::{Body, Request};
use connector_core::prelude::*;
use connector_core::walk::Pages;
use futures_util::stream::{self, StreamExt};
use mail_builder::MessageBuilder;
use mail_builder::mime::{MimePart, make_boundary};
use mail_parser::{Address, Message, MessageParser};
use serde_json::json;
use sha2::{Digest, Sha256};

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
    /// Those with a mail since then that are there; what happens from its beginning on is asked for at its end.
    All { since: Timestamp, pages: Pages, history: String },
    /// What has happened since; Gmail may forget what did.
    Changes { history: String, pages: Pages },
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

    /// The part as a mail has it. Gmail gives texts within the answer, and files by an id; a file that is small may
    /// be within the answer too.
    fn as_mail(&self) -> MailPart {
        let headers = self.headers.iter().filter(|header| header.name.to_ascii_lowercase().starts_with("content-"));
        let mut part = MailPart::from_headers(&lines(headers));
        if !self.mime_type.is_empty() {
            part.media_type = self.mime_type.to_ascii_lowercase();
        }
        part.id.clone_from(&self.part_id);
        if !self.filename.is_empty() {
            part.name = Some(self.filename.clone());
        }
        let body = self.body.as_ref();
        part.size = body.map(|body| body.size);
        if part.media_type.starts_with("text/") {
            part.text = body.and_then(|body| Some(part.decode(&decoded(body.data.as_deref()?)?)));
        }
        // What is in an attached mail is not of this mail.
        if !part.media_type.starts_with("message/") {
            part.parts = self.parts.iter().map(Self::as_mail).collect();
        }
        part
    }
}

/// Headers as they stand in a mail (RFC 5322), which a parser reads.
fn lines<'a>(headers: impl Iterator<Item = &'a ApiHeader>) -> String {
    let lines = headers.map(|header| format!("{}: {}\r\n", header.name, header.value.replace(['\r', '\n'], " ")));
    lines.collect::<String>() + "\r\n"
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

    fn headers(&self) -> String {
        lines(self.payload.iter().flat_map(|part| &part.headers))
    }

    fn parts(&self) -> impl Iterator<Item = &ApiPart> {
        self.payload.iter().flat_map(ApiPart::flatten)
    }

    fn read(&self) -> ReadMail {
        self.payload.as_ref().map(|payload| payload.as_mail().read()).unwrap_or_default()
    }

    /// The begin of the text, which Gmail gives as HTML.
    fn preview(&self) -> String {
        let shown = Document::from_html(&self.snippet).0.into_iter().map(|block| match block {
            Block::Paragraph(content) | Block::Heading(_, content) => plain(&content),
            other => Document(vec![other]).to_markdown(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// The mail as a note. `first` is whether the conversation begins with it.
    fn note(&self, link: &Source, mail: &Message<'_>, first: bool) -> NewNote {
        let recipients = people(mail).into_iter().filter(|contact| contact.role.as_deref() != Some("from"));
        let recipients = recipients.map(|to| Recipient { actor: to.actor, role: to.role.unwrap_or_default() });
        let mut read = self.read();
        let files = std::mem::take(&mut read.files).into_iter().map(|file| {
            // Gmail's id of an attachment is another one at each request; where it is in the mail stays.
            let reference = format!("{}/{}", self.id, file.part);
            let attachment = Attachment::new(file.name, reference).media_type(file.media_type);
            let attachment = file.size.into_iter().fold(attachment, Attachment::size);
            file.content_id.into_iter().fold(attachment, Attachment::content_id)
        });
        let files: Vec<_> = files.collect();
        // The mail that is answered is a note itself, unless it came before the conversation did.
        let answers_unknown = first && !mail.in_reply_to().is_empty();
        let known = !answers_unknown && !is_forwarded(mail.subject().unwrap_or_default());
        let text = read.into_note(known).to_markdown();
        let content = if text.is_empty() { Content::text(self.preview()) } else { Content::Markdown(text) };
        NewNote::new(link.clone(), self.id.as_str(), author(mail), self.at(), content)
            .attachments(files)
            .recipients(recipients)
    }
}

/// What Gmail will say that a mail with this HTML has as its text.
fn stored(html: String) -> Content {
    let part = MailPart { media_type: "text/html".to_owned(), text: Some(html), ..MailPart::default() };
    Content::Markdown(part.read().into_note(true).to_markdown())
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
            .preview(last.preview())
            .contacts(contacts)
            .updated_at(last.at())
            .provider_read(!self.shown().any(|mail| mail.has("UNREAD")))
            // The same conversation in the mailboxes of others.
            .also(root.message_id().map(|id| Source::new("mail", [id])));
        let notes = mails.iter().enumerate().map(|(number, (message, mail))| message.note(&source, mail, number == 0));
        Some(link.all_notes(notes))
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
            // Gmail compares whole seconds.
            let since = Timestamp::from_second(horizon(cx).as_second()).unwrap_or(Timestamp::MIN);
            Walk::All { since, pages: Pages::default(), history: profile.history_id }
        }
    };
    match walk {
        Walk::All { since, pages, history } => {
            let request = cx.provider().get("/gmail/v1/users/me/threads").query("labelIds", own_id(channel));
            let request = request.query("maxResults", PAGE).query("q", format!("after:{}", since.as_second()));
            let found: Page<ApiThread> = page_of(request, &pages)?.fetch().await?;
            save(cx, found.items.take(cx).into_iter().map(|thread| thread.id)).await?;
            Ok(match pages.after(found.next_page_token) {
                Some(pages) => Step::Next(Walk::All { since, pages, history }),
                // A conversation is of the time of its last mail, and Gmail's search is not exact to the second.
                None => Step::Complete(
                    LinkFilter::default().changed_from(since + SignedDuration::from_hours(24)),
                    Walk::Changes { history, pages: Pages::default() },
                ),
            })
        }
        Walk::Changes { history, pages } => {
            let request = cx.provider().get("/gmail/v1/users/me/history").query("startHistoryId", &history);
            let request = page_of(request.query("maxResults", PAGE), &pages)?;
            let found: Page<ApiHistory> = request.fetch().await.map_err(|error| match error.kind() {
                // 404: https://developers.google.com/workspace/gmail/api/guides/sync
                ErrorKind::Gone => Error::cursor_expired("Gmail forgot what had happened by then"),
                _ => error,
            })?;
            let threads = found.items.take(cx).into_iter().flat_map(|entry| entry.messages).map(|mail| mail.thread_id);
            save(cx, threads.collect::<BTreeSet<_>>()).await?;
            Ok(match pages.after(found.next_page_token) {
                Some(pages) => Step::Next(Walk::Changes { history, pages }),
                None => {
                    let history = found.history_id.unwrap_or(history);
                    Step::Done(Walk::Changes { history, pages: Pages::default() })
                }
            })
        }
    }
}

/// Saves conversations that are, or were, in a channel: which one is the same whoever looks.
async fn save(cx: &Context<Google>, ids: impl IntoIterator<Item = String>) -> Result<()> {
    for id in ids {
        // One that cannot be read stays as it is known.
        let found = thread(cx, &id).await;
        let Some(found) = cx.integrations().unless_odd(format!("conversation {id}"), found)? else { continue };
        let home = found.as_ref().and_then(|found| found.home(cx));
        match found.as_ref().zip(home).and_then(|(found, home)| Some((found, found.link(cx, &home)?))) {
            Some((found, link)) => {
                cx.integrations().save_link(link).await?;
                let starred = found.shown().any(|mail| mail.has("STARRED"));
                cx.integrations().set_thread_to_do(source(cx, &id), starred, None).await?;
            }
            // It stays where the user wrote it.
            None if found.as_ref().is_some_and(ApiThread::is_sent) => {
                cx.integrations().met([source(cx, &id)]).await?;
            }
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

/// An address that the account sends as, the first of them its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiIdentity {
    send_as_email: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    is_primary: bool,
    verification_status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiIdentities {
    #[serde(default)]
    send_as: Vec<ApiIdentity>,
}

/// Those that the user sends mail as.
struct Identities(Vec<ApiIdentity>);

impl Identities {
    /// Asks Gmail for them. An account whose settings may not be read has its own address alone.
    async fn of(cx: &Context<Google>) -> Result<Self> {
        let found = cx.provider().get("/gmail/v1/users/me/settings/sendAs").fetch::<ApiIdentities>().await;
        let mut all = match found {
            Ok(found) => found.send_as,
            Err(error)
                if matches!(error.kind(), ErrorKind::Gone | ErrorKind::Rejected | ErrorKind::ScopeMissing { .. }) =>
            {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        // One that is not confirmed is not sent as.
        let usable = |identity: &ApiIdentity| {
            identity.is_primary || identity.verification_status.as_deref().is_none_or(|status| status == "accepted")
        };
        all.retain(usable);
        let own = cx.account().id.clone().unwrap_or_default();
        if !all.iter().any(|identity| identity.send_as_email.eq_ignore_ascii_case(&own)) {
            all.insert(
                0,
                ApiIdentity {
                    send_as_email: own,
                    display_name: String::new(),
                    is_default: all.is_empty(),
                    is_primary: true,
                    verification_status: None,
                },
            );
        }
        Ok(Self(all))
    }

    fn has(&self, email: &str) -> bool {
        self.0.iter().any(|identity| identity.send_as_email.eq_ignore_ascii_case(email))
    }

    /// The identity that these were sent to, else the one that the user has chosen for new mails.
    fn for_answer<'a>(&self, received: impl IntoIterator<Item = &'a str>) -> Option<&ApiIdentity> {
        let mut received = received.into_iter();
        let addressed =
            received.find_map(|to| self.0.iter().find(|known| known.send_as_email.eq_ignore_ascii_case(to)));
        addressed.or_else(|| self.0.iter().find(|known| known.is_default)).or(self.0.first())
    }
}

/// A mail that is to be sent.
struct Outgoing<'a> {
    to: &'a [Recipient],
    subject: &'a str,
    /// Markdown.
    text: &'a str,
    /// What it answers: its id, and those of the mails before it (RFC 5322 3.6.4).
    answers: Option<(String, Vec<String>)>,
}

impl Outgoing<'_> {
    /// The recipients with a role, each once, without those that the user is themselves (R9.5).
    fn recipients(&self, role: &str, identities: &Identities) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        for to in self.to.iter().filter(|to| to.role == role) {
            let email = to.actor.email.as_deref().unwrap_or(&to.actor.id);
            if !identities.has(email) && !all.iter().any(|(_, known)| known.eq_ignore_ascii_case(email)) {
                let name = to.actor.name.clone().filter(|name| !name.eq_ignore_ascii_case(email));
                all.push((name.unwrap_or_default(), email.to_owned()));
            }
        }
        all
    }

    fn build(
        &self,
        cx: &Context<Google>,
        identities: &Identities,
        from: &ApiIdentity,
    ) -> Result<MessageBuilder<'static>> {
        let (to, cc, bcc) =
            (self.recipients("to", identities), self.recipients("cc", identities), self.recipients("bcc", identities));
        if to.is_empty() && cc.is_empty() && bcc.is_empty() {
            return Err(Error::rejected("a mail to yourself alone is not sent: say who else it is for"));
        }
        let mail = MessageBuilder::new()
            .from((from.display_name.clone(), from.send_as_email.clone()))
            .subject(self.subject.to_owned())
            .message_id(self.message_id(cx, from))
            .date(cx.now().as_second());
        let mail = mail.text_body(self.text.to_owned()).html_body(html_of(self.text));
        let mail = if to.is_empty() { mail } else { mail.to(to) };
        let mail = if cc.is_empty() { mail } else { mail.cc(cc) };
        // Gmail takes these for whom it is sent to, and out of what they get.
        let mail = if bcc.is_empty() { mail } else { mail.bcc(bcc) };
        Ok(match &self.answers {
            Some((last, earlier)) => mail.in_reply_to(last.clone()).references(earlier.clone()),
            None => mail,
        })
    }

    /// The same id in each attempt to send this mail, and another one for each other mail (RFC 5322 3.6.4): servers that
    /// get it twice can tell.
    fn message_id(&self, cx: &Context<Google>, from: &ApiIdentity) -> String {
        let mut digest = Sha256::new();
        let to = self.to.iter().map(|to| to.actor.id.as_str());
        for part in [cx.idempotency_key().as_str(), &from.send_as_email, self.subject, self.text].into_iter().chain(to)
        {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        let id = BASE64_URL_SAFE_NO_PAD.encode(digest.finalize());
        let domain = from.send_as_email.rsplit_once('@').map_or("mail.gmail.com", |(_, domain)| domain);
        format!("{id}@{domain}")
    }
}

/// What Gmail said of a mail that was sent.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    id: String,
    thread: String,
}

/// Where it is kept that the mail of this task was sent, until what became of it is stored.
fn sent_key(cx: &Context<Google>) -> String {
    format!("sent/{}", cx.idempotency_key())
}

/// What was sent by an attempt before this one, which failed later.
async fn sent_before(cx: &Context<Google>) -> Result<Option<Sent>> {
    let sent = cx.get(&sent_key(cx)).await?;
    if sent.is_some() {
        cx.clear(&sent_key(cx)).await?;
    }
    Ok(sent)
}

/// Sends a mail, and stores at once that it was sent: whatever fails later, it is not sent again (L20).
async fn send_once(
    cx: &Context<Google>,
    mail: MessageBuilder<'_>,
    files: impl Iterator<Item = FileId>,
    thread: Option<&str>,
) -> Result<Sent> {
    let ApiMessage { id, thread_id, .. } = send(cx, mail, files, thread).await?;
    let sent = Sent { id, thread: thread_id };
    cx.set(&sent_key(cx), &sent).await?;
    // After an error here the dispatch goes on, as it would send the mail once more if it ended: then the mail that was
    // sent is stored with the result.
    if cx.checkpoint().await.is_ok() {
        cx.clear(&sent_key(cx)).await?;
    }
    Ok(sent)
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
    let text = draft.content.as_deref().unwrap_or_default();
    let sent = match sent_before(cx).await? {
        Some(sent) => sent,
        None => {
            let identities = Identities::of(cx).await?;
            let from = identities.for_answer([]).ok_or_else(|| Error::bug("the account has no address"))?;
            let mail = Outgoing { to: &draft.recipients, subject: &draft.title, text, answers: None };
            send_once(cx, mail.build(cx, &identities, from)?, draft.files(), None).await?
        }
    };
    // Gmail may not know yet what it has sent; the next look at it does.
    let found = thread(cx, &sent.thread).await.ok().flatten();
    let found = found.and_then(|found| found.link(cx, &found.home(cx).unwrap_or_else(|| channel("SENT"))));
    Ok(found.unwrap_or_else(|| composed(cx, draft, &sent)))
}

/// The conversation of a mail that was sent, by what is known of it here.
fn composed(cx: &Context<Google>, draft: &LinkDraft, sent: &Sent) -> NewLink {
    let source = source(cx, &sent.thread);
    let own = person(cx.account().name.as_deref(), cx.account().id.as_deref().unwrap_or_default());
    let text = stored(html_of(draft.content.as_deref().unwrap_or_default()));
    let shown = draft.recipients.iter().filter(|to| to.role != "bcc");
    let contacts = shown.map(|to| Contact::new(to.actor.clone()).role(to.role.clone()));
    let contacts = std::iter::once(Contact::new(own.clone()).role("from")).chain(contacts);
    let note = NewNote::new(source.clone(), sent.id.as_str(), own.clone(), cx.now(), text);
    let note = note.recipients(draft.recipients.iter().cloned());
    let meta = ConversationMeta { thread: sent.thread.clone() };
    NewLink::new(Conversation.with(meta), source, channel("SENT"), own, cx.now())
        .title(&draft.title)
        .contacts(contacts.collect::<Vec<_>>())
        .notes([note])
}

pub(crate) async fn reply(cx: &Context<Google>, note: &Note, link: &Link) -> Result<WriteBack> {
    let done = |sent: Sent| Ok(WriteBack::delivered(sent.id).stored(stored(html_of(&note.content))));
    if let Some(sent) = sent_before(cx).await? {
        return done(sent);
    }
    let id = link.meta::<Conversation>()?.thread;
    let found = thread(cx, &id).await?.ok_or_else(|| Error::gone("the conversation was deleted"))?;
    let last = found.shown().last().ok_or_else(|| Error::gone("the conversation was deleted"))?;
    let headers = last.headers();
    let answered = MessageParser::new().parse_headers(&headers);
    let identities = Identities::of(cx).await?;
    let mut recipients = note.recipients.clone();
    if let (true, Some(answered)) = (recipients.is_empty(), &answered) {
        recipients = answer_to(answered, &identities);
    }
    let received = answered.as_ref().map(people).unwrap_or_default();
    let received = received.iter().filter_map(|contact| contact.actor.email.as_deref());
    let from = identities.for_answer(received).ok_or_else(|| Error::bug("the account has no address"))?;
    let answers = answered.as_ref().and_then(|answered| {
        let last = answered.message_id()?.to_owned();
        // All that came before, and the last one (RFC 5322 3.6.4); of one that names none, what it answers.
        let ids = |header: &mail_parser::HeaderValue<'_>| -> Vec<String> {
            header.as_text_list().into_iter().flatten().map(|id| id.to_string()).collect()
        };
        let (mut earlier, parents) = (ids(answered.references()), ids(answered.in_reply_to()));
        if earlier.is_empty() && parents.len() == 1 {
            earlier = parents;
        }
        earlier.retain(|id| *id != last);
        earlier.push(last.clone());
        Some((last, earlier))
    });
    let subject = reply_subject(&link.title.clone().unwrap_or_default());
    let mail = Outgoing { to: &recipients, subject: &subject, text: &note.content, answers };
    done(send_once(cx, mail.build(cx, &identities, from)?, note.files(), Some(&id)).await?)
}

/// Whom an answer goes to: all that the mail was from and to; who it was hidden to stays hidden. Some are to be answered
/// elsewhere (RFC 5322 3.6.2). Who answers their own mail writes to those that it was to.
fn answer_to(answered: &Message<'_>, identities: &Identities) -> Vec<Recipient> {
    let is_other = |actor: &Actor| !identities.has(&actor.id);
    let elsewhere = addresses(answered.reply_to()).into_iter().filter(is_other);
    let elsewhere: Vec<_> = elsewhere.map(|actor| Contact::new(actor).role("from")).collect();
    let kept = |to: &Contact| match to.role.as_deref() {
        Some("bcc") => false,
        Some("from") => elsewhere.is_empty() && is_other(&to.actor),
        _ => is_other(&to.actor) && elsewhere.iter().all(|from| from.actor.id != to.actor.id),
    };
    let others: Vec<_> = people(answered).into_iter().filter(kept).collect();
    let role = |role: Option<String>| role.filter(|role| role == "cc").unwrap_or_else(|| "to".to_owned());
    let all = elsewhere.iter().cloned().chain(others);
    all.map(|to| Recipient { actor: to.actor, role: role(to.role) }).collect()
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
    let data = match body {
        Some(ApiBody { attachment_id: Some(id), .. }) => {
            let request = cx.provider().get(format!("{path}/attachments/{id}")).max_response(MAX_ATTACHMENT);
            request.fetch::<ApiAttachment>().await?.data
        }
        Some(ApiBody { data: Some(data), .. }) => data.clone(),
        _ => return Ok(Download::Gone),
    };
    let bytes = decoded(&data).ok_or_else(|| Error::bug("Gmail gave an attachment that is no base64"))?;
    let media_type = attachment.media_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
    // Gmail gives it whole, as a text within JSON.
    Ok(Download::Body { name: attachment.name.clone(), media_type, body: stream::iter([Ok(bytes.into())]).boxed() })
}
