//! Gmail: <https://developers.google.com/workspace/gmail/api/reference/rest>.

use std::collections::{BTreeMap, BTreeSet};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use connector_core::testing::conformance::{Edit, Item};
use jiff::Timestamp;
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use serde_json::{Value, json};

use super::{ADA, Answer, Asked, NOT_FOUND, PAGE};

/// Most entries of the history on a page.
const ENTRIES: usize = 10;

/// One in so many looks finds that its history id was forgotten.
const FORGETS: u64 = 7;

/// The mailbox of Ada.
pub(crate) struct Mailbox {
    pub(crate) mails: Vec<Mail>,
    /// What has happened to which mail.
    history: Vec<String>,
    looks: u64,
    /// What happened before is forgotten.
    oldest: usize,
    requests: u64,
    /// Addresses that Ada sends as beside her own, with whether they are confirmed.
    pub(crate) aliases: Vec<(String, bool)>,
    /// The status with which reads of a conversation are refused, and how many of them are.
    pub(crate) refused: Option<(u16, u32)>,
}

impl Default for Mailbox {
    fn default() -> Self {
        // As if much had happened before.
        Self {
            mails: Vec::new(),
            history: vec![String::new(); 1000],
            looks: 0,
            oldest: 0,
            requests: 0,
            aliases: Vec::new(),
            refused: None,
        }
    }
}

/// A mail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    pub(crate) id: String,
    pub(crate) thread: String,
    pub(crate) labels: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    /// Name, media type and bytes.
    pub(crate) files: Vec<(String, String, Vec<u8>)>,
    pub(crate) at: Timestamp,
    /// The mail as it came, with all of its parts. Without it, the mail is made of what is above.
    pub(crate) raw: Option<Vec<u8>>,
}

/// A part of a mail as Gmail gives it: texts within the answer, and what has a name or is no text by an id.
fn part_in_api(message: &Message<'_>, index: u32, id: &str, request: u64) -> Value {
    let part = message.part(index).expect("a part");
    let kind = part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase(),
    );
    let raw = &message.raw_message[part.offset_header as usize..part.offset_body as usize];
    let headers = String::from_utf8_lossy(raw).replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let headers: Vec<_> = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let name = part.attachment_name().unwrap_or_default();
    let mut found = json!({ "partId": id, "mimeType": kind, "filename": name, "headers": headers });
    let child = |number: usize| if id.is_empty() { number.to_string() } else { format!("{id}.{number}") };
    match &part.body {
        PartType::Multipart(parts) => {
            let parts =
                parts.iter().enumerate().map(|(number, part)| part_in_api(message, *part, &child(number), request));
            found["parts"] = parts.collect();
            found["body"] = json!({ "size": 0 });
        }
        PartType::Message(inner) => {
            found["parts"] = json!([part_in_api(inner, 0, &child(0), request)]);
            found["body"] = json!({ "size": inner.raw_message.len(), "attachmentId": format!("P{id}-{request}") });
        }
        PartType::Text(text) | PartType::Html(text) if name.is_empty() => {
            found["body"] = json!({ "size": text.len(), "data": BASE64_URL_SAFE_NO_PAD.encode(&**text) });
        }
        _ => {
            found["body"] = json!({ "size": part.contents().len(), "attachmentId": format!("P{id}-{request}") });
        }
    }
    found
}

impl Mail {
    /// The bytes of a part of a mail that came as it is.
    fn bytes_of(&self, id: &str) -> Option<Vec<u8>> {
        let message = MessageParser::new().parse(self.raw.as_ref()?)?;
        let mut index = 0;
        for number in id.split('.').filter(|number| !number.is_empty()) {
            index = *message.part(index)?.sub_parts()?.get(number.parse::<usize>().ok()?)?;
        }
        Some(message.part(index)?.contents().to_vec())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|known| known == label)
    }

    fn is_shown(&self) -> bool {
        !["TRASH", "SPAM", "DRAFT"].iter().any(|label| self.has(label))
    }

    fn in_api(&self, request: u64) -> Value {
        let text = |part: &str, kind: &str, text: &str| {
            let data = BASE64_URL_SAFE_NO_PAD.encode(text);
            json!({ "partId": part, "mimeType": kind, "filename": "", "body": { "size": text.len(), "data": data } })
        };
        let plain = text("0", "text/plain", &self.text);
        let mut parts = match &self.html {
            Some(html) => {
                let both = [text("0.0", "text/plain", &self.text), text("0.1", "text/html", html)];
                vec![json!({ "partId": "0", "mimeType": "multipart/alternative", "filename": "", "parts": both })]
            }
            None => vec![plain],
        };
        for (number, (name, kind, bytes)) in self.files.iter().enumerate() {
            let id = format!("{}-{request}", number + 2);
            let body = json!({ "attachmentId": id, "size": bytes.len() });
            parts.push(json!({ "partId": (number + 2).to_string(), "mimeType": kind, "filename": name, "body": body }));
        }
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let payload = match &self.raw {
            Some(raw) => part_in_api(&MessageParser::new().parse(raw).expect("a mail"), 0, "", request),
            None => {
                json!({ "partId": "", "mimeType": "multipart/mixed", "filename": "", "headers": headers, "parts": parts })
            }
        };
        json!({
            "id": self.id, "threadId": self.thread, "labelIds": self.labels,
            "snippet": self.text.chars().take(100).collect::<String>(),
            "internalDate": self.at.as_millisecond().to_string(),
            "payload": payload,
        })
    }
}

/// A subject without what answers put before it.
fn bare(subject: &str) -> String {
    subject.to_ascii_lowercase().trim_start_matches("re:").trim().to_owned()
}

impl Mailbox {
    pub(crate) fn put(&mut self, mail: Mail) {
        self.history.push(mail.id.clone());
        self.mails.retain(|known| known.id != mail.id);
        self.mails.push(mail);
        self.mails.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    }

    /// A mail of Grace to Ada, in a conversation.
    pub(crate) fn receive(&mut self, thread: Option<&str>, subject: &str, text: &str, at: Timestamp) -> Mail {
        let id = format!("m{}", self.history.len());
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            header("From", "Grace <grace@acme.test>"),
            header("To", "Ada <ada@acme.test>, bob@acme.test"),
            header("Cc", "Carol <carol@acme.test>"),
            header("Subject", subject),
            header("Message-ID", &format!("<{id}@acme.test>")),
        ];
        let last = thread.and_then(|thread| self.mails.iter().rfind(|mail| mail.thread == thread));
        headers.extend(last.map(|last| header("In-Reply-To", last.header("Message-ID"))));
        let thread = thread.map_or_else(|| format!("t{id}"), str::to_owned);
        let labels = vec!["INBOX".to_owned()];
        let mail = Mail { id, thread, labels, headers, text: text.to_owned(), at, ..Mail::default() };
        self.put(mail.clone());
        mail
    }

    /// Puts labels on the mails of a conversation, and takes others off.
    pub(crate) fn label(&mut self, thread: &str, add: &[&str], remove: &[&str]) -> bool {
        let found: Vec<_> = self.mails.iter().filter(|mail| mail.thread == thread).cloned().collect();
        for mut mail in found.clone() {
            mail.labels.retain(|label| !remove.contains(&label.as_str()) && !add.contains(&label.as_str()));
            mail.labels.extend(add.iter().map(|label| (*label).to_owned()));
            self.put(mail);
        }
        !found.is_empty()
    }

    pub(super) fn answer(&mut self, asked: &Asked<'_>, path: &[&str]) -> Answer {
        self.requests += 1;
        let request = self.requests;
        match (asked.method, path) {
            ("GET", ["profile"]) => Ok(json!({ "emailAddress": ADA, "historyId": self.history.len().to_string() })),
            ("GET", ["labels"]) => {
                let system = ["INBOX", "SENT", "DRAFT", "UNREAD", "STARRED"]
                    .map(|id| json!({ "id": id, "name": id, "type": "system" }));
                let own = json!({ "id": "Label_1", "name": "Projects", "type": "user" });
                let labels = [&system[..], &[own]].concat();
                Ok(json!({ "labels": labels }))
            }
            ("GET", ["threads"]) => self.list(asked),
            ("GET", ["history"]) => self.happened(asked),
            ("GET", ["settings", "sendAs"]) => {
                let own = json!({ "sendAsEmail": ADA, "displayName": "Ada", "isPrimary": true, "isDefault": true });
                let aliases = self.aliases.iter().map(|(email, confirmed)| {
                    let status = if *confirmed { "accepted" } else { "pending" };
                    json!({ "sendAsEmail": email, "displayName": "Ada of the desk", "verificationStatus": status })
                });
                let all: Vec<_> = std::iter::once(own).chain(aliases).collect();
                Ok(json!({ "sendAs": all }))
            }
            ("GET", ["threads", _]) if self.refused.is_some_and(|(_, times)| times > 0) => {
                let (status, times) = self.refused.expect("it is there");
                self.refused = Some((status, times - 1));
                Err((status, "refused"))
            }
            ("GET", ["threads", id]) => {
                let mails: Vec<_> =
                    self.mails.iter().filter(|mail| mail.thread == *id).map(|mail| mail.in_api(request)).collect();
                if mails.is_empty() { Err(NOT_FOUND) } else { Ok(json!({ "id": id, "messages": mails })) }
            }
            ("POST", ["threads", id, "modify"]) => {
                let labels = |name: &str| -> Vec<&str> {
                    asked.body[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
                };
                let known = self.label(id, &labels("addLabelIds"), &labels("removeLabelIds"));
                if known { Ok(json!({ "id": id })) } else { Err(NOT_FOUND) }
            }
            ("GET", ["messages", id]) => {
                let mail = self.mails.iter().find(|mail| mail.id == *id).ok_or(NOT_FOUND)?;
                Ok(mail.in_api(request))
            }
            ("GET", ["messages", id, "attachments", attachment]) => {
                let mail = self.mails.iter().find(|mail| mail.id == *id).ok_or(NOT_FOUND)?;
                let (part, of) = attachment.split_once('-').ok_or(NOT_FOUND)?;
                // The ids that were given a while ago are not known any more.
                let fresh = of.parse().is_ok_and(|of: u64| of + 5 > request);
                if let Some(bytes) = part.strip_prefix('P').filter(|_| fresh).and_then(|part| mail.bytes_of(part)) {
                    return Ok(json!({ "size": bytes.len(), "data": BASE64_URL_SAFE_NO_PAD.encode(bytes) }));
                }
                let number = part.parse::<usize>().ok().filter(|_| fresh).and_then(|part| part.checked_sub(2));
                let (_, _, bytes) = number.and_then(|number| mail.files.get(number)).ok_or(NOT_FOUND)?;
                Ok(json!({ "size": bytes.len(), "data": BASE64_URL_SAFE_NO_PAD.encode(bytes) }))
            }
            ("POST", ["messages", "send"]) => self.send(asked),
            _ => Err(NOT_FOUND),
        }
    }

    /// Newest first; a page begins behind the conversation that ended the one before.
    fn list(&self, asked: &Asked<'_>) -> Answer {
        let label = asked.query("labelIds").unwrap_or_default();
        let after = asked.query("q").and_then(|query| query.strip_prefix("after:")?.parse::<i64>().ok());
        let mut threads: Vec<&str> = Vec::new();
        let listed = self.mails.iter().rev().filter(|mail| mail.has(label));
        for mail in listed.filter(|mail| after.is_none_or(|after| mail.at.as_second() > after)) {
            if !threads.contains(&mail.thread.as_str()) {
                threads.push(&mail.thread);
            }
        }
        let known = asked.query("pageToken").and_then(|last| threads.iter().position(|thread| *thread == last));
        let rest: Vec<_> = threads.into_iter().skip(known.map_or(0, |known| known + 1)).collect();
        let page: Vec<_> = rest.iter().take(PAGE).map(|id| json!({ "id": id })).collect();
        // What is empty is left out.
        let mut answer = if page.is_empty() { json!({}) } else { json!({ "threads": page }) };
        if rest.len() > PAGE {
            answer["nextPageToken"] = page[PAGE - 1]["id"].clone();
        }
        Ok(answer)
    }

    fn happened(&mut self, asked: &Asked<'_>) -> Answer {
        let number = |name: &str| asked.query(name).and_then(|id| id.parse::<usize>().ok());
        let (start, page) = (number("startHistoryId").ok_or((400, "badRequest"))?, number("pageToken"));
        if page.is_none() {
            self.looks += 1;
            if start < self.oldest || self.looks.is_multiple_of(FORGETS) {
                return Err(NOT_FOUND);
            }
        }
        let from = page.unwrap_or(start);
        let mut entries = Vec::new();
        for (number, id) in self.history.iter().enumerate().skip(from).take(ENTRIES) {
            let thread = self.mails.iter().find(|mail| mail.id == *id).map(|mail| mail.thread.clone());
            let mails: Vec<_> = thread.iter().map(|thread| json!({ "id": id, "threadId": thread })).collect();
            entries.push(json!({ "id": (number + 1).to_string(), "messages": mails }));
        }
        let mut answer = json!({ "historyId": self.history.len().to_string() });
        if from + ENTRIES < self.history.len() {
            answer["nextPageToken"] = json!((from + ENTRIES).to_string());
        }
        if !entries.is_empty() {
            answer["history"] = json!(entries);
        }
        Ok(answer)
    }

    /// Takes a mail to send. It is in a conversation if it is to be, answers one of its mails, and has its subject.
    fn send(&mut self, asked: &Asked<'_>) -> Answer {
        let raw = asked.body["raw"].as_str().ok_or((400, "invalidArgument"))?;
        let raw = BASE64_URL_SAFE_NO_PAD.decode(raw).map_err(|_| (400, "invalidArgument"))?;
        let mail = MessageParser::new().parse(&raw).ok_or((400, "invalidArgument"))?;
        let mut headers: Vec<_> =
            mail.headers_raw().map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        if !headers.iter().any(|(name, _)| ["To", "Cc", "Bcc"].contains(&name.as_str())) {
            return Err((400, "Recipient address required"));
        }
        let id = format!("m{}", self.history.len());
        headers.retain(|(name, _)| name != "Message-ID");
        headers.push(("Message-ID".to_owned(), format!("<{id}@mail.gmail.test>")));
        let wanted = asked.body["threadId"].as_str().unwrap_or_default();
        let subject = bare(mail.subject().unwrap_or_default());
        let answers = |known: &&Mail| {
            known.thread == wanted
                && bare(known.header("Subject")) == subject
                && headers.iter().any(|(name, ids)| name == "References" && ids.contains(known.header("Message-ID")))
        };
        let thread = self.mails.iter().find(answers).map_or_else(|| format!("t{id}"), |known| known.thread.clone());
        let files = mail.attachments().map(|file| {
            let kind = file
                .content_type()
                .map_or_else(String::new, |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
            (file.attachment_name().unwrap_or_default().to_owned(), kind, file.contents().to_vec())
        });
        let sent = Mail {
            id: id.clone(),
            thread: thread.clone(),
            labels: vec!["SENT".to_owned()],
            headers: headers.clone(),
            text: mail.body_text(0).unwrap_or_default().into_owned(),
            html: mail.body_html(0).map(|html| html.into_owned()),
            files: files.collect(),
            at: asked.now,
            raw: None,
        };
        self.put(sent);
        Ok(json!({ "id": id, "threadId": thread, "labelIds": ["SENT"] }))
    }

    pub(super) fn create(&mut self, title: &str, text: &str, at: Timestamp) -> String {
        format!("mail/{}", self.receive(None, title, text, at).thread)
    }

    pub(super) fn edit(&mut self, thread: &str, edit: &Edit, at: Timestamp) -> bool {
        let subject =
            self.mails.iter().find(|mail| mail.thread == thread).map(|mail| mail.header("Subject").to_owned());
        match (subject, edit) {
            (Some(subject), Edit::Note(text)) => {
                self.receive(Some(thread), &format!("Re: {subject}"), text, at);
                true
            }
            // It is archived.
            (Some(_), Edit::Delete) => self.label(thread, &[], &["INBOX"]),
            // A mail that was sent stays as it is.
            _ => false,
        }
    }

    /// Forgets what has happened so far.
    pub(super) fn forget(&mut self) {
        self.history.push(String::new());
        self.oldest = self.history.len();
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let inbox: BTreeSet<_> = self.mails.iter().filter(|mail| mail.has("INBOX")).map(|mail| &mail.thread).collect();
        let mut items: BTreeMap<&str, Item> = BTreeMap::new();
        for mail in self.mails.iter().filter(|mail| mail.is_shown() && inbox.contains(&mail.thread)) {
            let item = items.entry(&mail.thread).or_insert_with(|| {
                Item::new(format!("mail/{}", mail.thread), "mail:INBOX", mail.header("Subject")).created_at(mail.at)
            });
            item.notes.push(mail.text.clone());
        }
        items.into_values().collect()
    }
}
