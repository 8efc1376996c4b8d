//! Slack's Web API and Events API in memory, written by hand after their reference
//! (<https://docs.slack.dev/reference/methods>, <https://docs.slack.dev/apis/events-api>): conversations, threads,
//! people. Not Slack (L28): the same connector runs against an emulator that others wrote in `tests/emulator`, which
//! has neither `oldest` nor the fields of a thread's first message.

use std::collections::BTreeMap;

use connector_core::network::{Request, Response};
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{App, ConformanceService, Edit, Endless, Item, Push, Refusal};
use jiff::Timestamp;
use serde_json::{Value, json};

const TEAM: &str = "T1";
const SECRET: &str = "the signing secret of the app";

/// Who authorized, and who else there is.
const ADA: &str = "U1";
const BOB: &str = "U2";

/// Messages of a page.
const PAGE: usize = 200;

#[derive(Default)]
pub(crate) struct SlackByHand {
    /// By conversation and time.
    messages: BTreeMap<(String, String), Message>,
    scopes: Vec<String>,
    events: Vec<Value>,
    told: u64,
    now: Timestamp,
    endless: Option<Endless>,
}

struct Message {
    user: &'static str,
    text: String,
    root: Option<String>,
    edited: Option<String>,
}

/// What a method answers, or its error.
type Answer = Result<Value, &'static str>;

fn ts(at: Timestamp) -> String {
    format!("{}.{:06}", at.as_second(), at.subsec_microsecond())
}

fn time(ts: &str) -> Timestamp {
    let (seconds, micros) = ts.split_once('.').expect("seconds and their parts");
    Timestamp::new(seconds.parse().expect("seconds"), micros.parse::<i32>().expect("micros") * 1000).expect("a time")
}

fn conversation(id: &str) -> Value {
    match id {
        "C1" => {
            json!({ "id": id, "name": "general", "is_channel": true, "is_member": true, "last_read": "0000000000.000000" })
        }
        "C2" => json!({ "id": id, "name": "random", "is_channel": true, "is_member": false }),
        "G1" => {
            json!({ "id": id, "name": "secret", "is_private": true, "is_member": true, "last_read": "0000000000.000000" })
        }
        _ => json!({ "id": id, "is_im": true, "user": BOB, "last_read": "0000000000.000000" }),
    }
}

/// The conversations, each with its kind and the scope that lists them.
const CONVERSATIONS: [(&str, &str, &str); 4] = [
    ("C1", "public_channel", "channels"),
    ("C2", "public_channel", "channels"),
    ("G1", "private_channel", "groups"),
    ("D1", "im", "im"),
];

impl SlackByHand {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn needs(&self, scope: &str) -> Result<(), &'static str> {
        if self.scopes.iter().any(|granted| granted == scope) { Ok(()) } else { Err("missing_scope") }
    }

    /// A conversation, if the token may do this with it.
    fn open(&self, id: &str, what: &str) -> Result<(), &'static str> {
        let (_, _, scope) = CONVERSATIONS.iter().find(|(known, ..)| *known == id).ok_or("channel_not_found")?;
        self.needs(&format!("{scope}:{what}"))
    }

    fn user(&self, id: &str) -> Answer {
        let name = match id {
            ADA => "ada",
            BOB => "bob",
            _ => return Err("user_not_found"),
        };
        let mut profile = json!({ "real_name": name, "display_name": name, "image_192": "" });
        if self.needs("users:read.email").is_ok() {
            profile["email"] = json!(format!("{name}@acme.test"));
        }
        Ok(json!({ "id": id, "name": name, "is_bot": false, "profile": profile }))
    }

    fn replies(&self, channel: &str, root: &str) -> usize {
        let of =
            |(key, message): &(&(String, String), &Message)| key.0 == channel && message.root.as_deref() == Some(root);
        self.messages.iter().filter(of).count()
    }

    fn json(&self, channel: &str, at: &str, message: &Message) -> Value {
        let mut json = json!({ "type": "message", "user": message.user, "text": message.text, "ts": at });
        let replies = self.replies(channel, at);
        if replies > 0 {
            json["reply_count"] = json!(replies);
        }
        if let Some(root) = message.root.as_deref().or_else(|| (replies > 0).then_some(at)) {
            json["thread_ts"] = json!(root);
        }
        if let Some(edited) = &message.edited {
            json["edited"] = json!({ "user": message.user, "ts": edited });
        }
        json
    }

    fn post(&mut self, channel: &str, user: &'static str, text: &str, root: Option<&str>, at: Timestamp) -> String {
        let mut micros = at.as_microsecond();
        // No two messages of a conversation have the same time.
        let at = loop {
            let at = ts(Timestamp::from_microsecond(micros).expect("a time"));
            if !self.messages.contains_key(&(channel.to_owned(), at.clone())) {
                break at;
            }
            micros += 1;
        };
        let message = Message { user, text: text.to_owned(), root: root.map(str::to_owned), edited: None };
        self.messages.insert((channel.to_owned(), at.clone()), message);
        let mut event = self.message(channel, &at).unwrap_or_default();
        event["channel"] = json!(channel);
        self.events.push(event);
        at
    }

    fn message(&self, channel: &str, at: &str) -> Option<Value> {
        let message = self.messages.get(&(channel.to_owned(), at.to_owned()))?;
        Some(self.json(channel, at, message))
    }

    fn update(&mut self, channel: &str, at: &str, text: &str, now: Timestamp) -> Answer {
        let before = self.message(channel, at).ok_or("message_not_found")?;
        let message = self.messages.get_mut(&(channel.to_owned(), at.to_owned())).ok_or("message_not_found")?;
        (message.text, message.edited) = (text.to_owned(), Some(ts(now)));
        let after = self.message(channel, at).ok_or("message_not_found")?;
        self.events.push(json!({
            "type": "message", "subtype": "message_changed", "channel": channel, "ts": ts(now), "message": after,
            "previous_message": before,
        }));
        Ok(json!({ "channel": channel, "ts": at, "text": text, "message": after }))
    }

    /// Answers a method with these arguments.
    fn call(&mut self, method: &str, given: &BTreeMap<String, String>, now: Timestamp) -> Answer {
        let argument = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
        let channel = argument("channel");
        match method {
            "auth.test" => Ok(
                json!({ "url": "https://acme.slack.com/", "team": "Acme", "user": "ada", "team_id": TEAM, "user_id": ADA }),
            ),
            "users.info" => Ok(json!({ "user": self.user(argument("user"))? })),
            "users.list" => Ok(json!({ "members": [self.user(ADA)?, self.user(BOB)?] })),
            "emoji.list" => self
                .needs("emoji:read")
                .map(|()| json!({ "emoji": { "crab": "https://emoji.slack-edge.com/crab.png" } })),
            "conversations.list" => {
                let kinds: Vec<_> = argument("types").split(',').collect();
                let mut found = Vec::new();
                for (id, kind, scope) in CONVERSATIONS.iter().filter(|(_, kind, _)| kinds.contains(kind)) {
                    self.needs(&format!("{scope}:read")).map(|()| found.push(conversation(id)))?;
                    assert!(kinds.contains(kind));
                }
                Ok(json!({ "channels": found }))
            }
            "conversations.info" => self.open(channel, "read").map(|()| json!({ "channel": conversation(channel) })),
            "conversations.members" => self.open(channel, "read").map(|()| json!({ "members": [ADA, BOB] })),
            "conversations.history" => {
                self.open(channel, "history")?;
                let (oldest, cursor) = (argument("oldest"), argument("cursor"));
                let roots = self.messages.iter().filter(|((of, at), message)| {
                    of == channel
                        && message.root.is_none()
                        && at.as_str() > oldest
                        && (cursor.is_empty() || at.as_str() < cursor)
                });
                let newest: Vec<_> = roots.rev().collect();
                let page: Vec<_> =
                    newest.iter().take(PAGE).map(|((_, at), message)| self.json(channel, at, message)).collect();
                let next = if newest.len() > PAGE { newest[PAGE - 1].0.1.as_str() } else { "" };
                // `~` comes after every time.
                let next = match self.endless {
                    Some(Endless::Itself) if cursor.is_empty() => "~".to_owned(),
                    Some(Endless::Itself) => cursor.to_owned(),
                    Some(Endless::First) if next.is_empty() => "~".to_owned(),
                    Some(_) if next.is_empty() => format!("~{cursor}"),
                    _ => next.to_owned(),
                };
                Ok(
                    json!({ "messages": page, "has_more": !next.is_empty(), "response_metadata": { "next_cursor": next } }),
                )
            }
            "conversations.replies" => {
                self.open(channel, "history")?;
                let asked = argument("ts");
                let first = self.message(channel, asked).ok_or("thread_not_found")?;
                let of = self
                    .messages
                    .iter()
                    .filter(|((of, _), message)| of == channel && message.root.as_deref() == Some(asked));
                let replies = of.map(|((_, at), message)| self.json(channel, at, message));
                Ok(json!({ "messages": std::iter::once(first).chain(replies).collect::<Vec<_>>() }))
            }
            "chat.postMessage" => {
                self.needs("chat:write")?;
                let root = given.get("thread_ts").map(String::as_str);
                if root.is_some_and(|root| self.message(channel, root).is_none()) {
                    return Err("thread_not_found");
                }
                let at = self.post(channel, ADA, argument("text"), root, now);
                Ok(json!({ "channel": channel, "ts": at, "message": self.message(channel, &at) }))
            }
            "chat.update" => {
                self.needs("chat:write")?;
                self.update(channel, argument("ts"), argument("text"), now)
            }
            other => panic!("Slack was not expected to be asked for {other}"),
        }
    }

    /// The messages of a conversation that are not replies: what the kit calls items.
    fn roots(&self) -> impl Iterator<Item = (&(String, String), &Message)> {
        self.messages.iter().filter(|(_, message)| message.root.is_none())
    }
}

fn error(error: &str) -> Response {
    FakeService::answer(200, json!({ "ok": false, "error": error }).to_string())
}

impl ConformanceService for SlackByHand {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let method = request.url.path().trim_start_matches("/api/").to_owned();
        let mut given: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let fields = body.as_object().into_iter().flatten();
        given.extend(fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))));
        match self.call(&method, &given, now) {
            Ok(mut answer) => {
                answer["ok"] = json!(true);
                FakeService::answer(200, answer.to_string())
            }
            Err(code) => error(code),
        }
    }

    fn items(&self) -> Vec<Item> {
        let item = |(key, root): (&(String, String), &Message)| {
            let replies =
                self.messages.iter().filter(|((of, _), reply)| *of == key.0 && reply.root.as_ref() == Some(&key.1));
            Item::new(format!("{}/{}", key.0, key.1), &key.0, root.text.lines().next().unwrap_or_default())
                .created_at(time(&key.1))
                .notes(std::iter::once(&root.text).chain(replies.map(|(_, reply)| &reply.text)))
        };
        self.roots().map(item).collect()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        let at = self.post(channel, BOB, &format!("{title}\n{text}"), None, at);
        format!("{channel}/{at}")
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Some((channel, root)) = id.split_once('/') else { return false };
        match edit {
            Edit::Title(title) => {
                let key = (channel.to_owned(), root.to_owned());
                let rest =
                    self.messages.get(&key).map(|message| message.text.lines().skip(1).collect::<Vec<_>>().join("\n"));
                let Some(rest) = rest else { return false };
                self.update(channel, root, &format!("{title}\n{rest}"), at).is_ok()
            }
            Edit::Note(text) => {
                self.post(channel, BOB, text, Some(root), at);
                true
            }
            Edit::Reword { note, text } => {
                let of = |key: &(String, String), message: &Message| {
                    key.0 == channel && message.root.as_deref() == Some(root)
                };
                let mut found = self.messages.iter().filter(|(key, message)| of(key, message) && message.text == *note);
                let Some(reply) = found.next().map(|((_, at), _)| at.clone()) else { return false };
                self.update(channel, &reply, text, at).is_ok()
            }
            Edit::Delete => {
                let of = |key: &(String, String), message: &Message| {
                    key.0 == channel && (key.1 == root || message.root.as_deref() == Some(root))
                };
                let there = self.messages.len();
                self.messages.retain(|key, message| !of(key, message));
                self.events.push(json!({
                    "type": "message", "subtype": "message_deleted", "channel": channel, "ts": ts(at), "deleted_ts": root,
                    "previous_message": { "type": "message", "ts": root },
                }));
                self.messages.len() < there
            }
            _ => false,
        }
    }

    fn never_end(&mut self, how: Option<Endless>) -> bool {
        self.endless = how;
        true
    }

    fn take_pushes(&mut self) -> Vec<Push> {
        let events = std::mem::take(&mut self.events);
        let told = events.into_iter().map(|event| {
            self.told += 1;
            let body = json!({
                "type": "event_callback", "team_id": TEAM, "api_app_id": "A1", "event_id": format!("Ev{}", self.told),
                "event_time": self.now.as_second(), "event": event,
            });
            Push::to_app(body.to_string()).signed_by_slack(SECRET, self.now)
        });
        told.collect()
    }

    fn app(&self) -> Option<App> {
        Some(App { tenant: TEAM.to_owned(), secret: SECRET.to_owned() })
    }

    fn pass(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn grant(&mut self, scopes: &[String]) {
        self.scopes = scopes.to_vec();
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        match refusal {
            Refusal::Unauthorized => error("invalid_auth"),
            Refusal::TooMany { seconds } => {
                let seconds = seconds.to_string();
                let headers = [("content-type", "application/json"), ("retry-after", seconds.as_str())];
                FakeService::answer_with(429, &headers, r#"{"ok":false,"error":"ratelimited"}"#)
            }
            Refusal::Failed => error("internal_error"),
            _ => error("restricted_action"),
        }
    }
}
