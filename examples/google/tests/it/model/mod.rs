//! Google in memory, as its references describe Gmail (v1), Calendar (v3) and Tasks (v1).
//!
//! It is made by hand (L28). Each call that it gets, and each answer that it gives, is compared with what Google describes
//! ([`described`]); what an emulator that others wrote has too (Gmail, and the list of calendars) is tested against that
//! as well, in `tests/emulator`. It is not kinder than Google: pages are small,
//! sync tokens and history ids are forgotten now and then, deleted events are no more than an id, and the ids of
//! attachments are other ones at each request.

mod calendar;
mod described;
mod mail;
mod tasks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use connector_core::network::{Request, Response};
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{ConformanceService, Edit, Endless, Item, Push};
use jiff::Timestamp;
use serde_json::{Value, json};

use calendar::Calendar;
pub(crate) use mail::Mail;
use mail::Mailbox;
use tasks::TaskList;

/// The owner of the account.
pub(crate) const ADA: &str = "ada@acme.test";

/// Most items on a page: Google takes a number for the most, and may give fewer.
const PAGE: usize = 8;

/// A status, and the reason that Google gives.
type Refused = (u16, &'static str);
type Answer = Result<Value, Refused>;

const NOT_FOUND: Refused = (404, "notFound");

/// The account of Ada.
#[derive(Default)]
pub(crate) struct GoogleModel {
    pub(crate) calendar: Calendar,
    pub(crate) mail: Mailbox,
    pub(crate) tasks: TaskList,
    /// Method, path and body of what was to change something.
    pub(crate) changes: Vec<(String, String, Value)>,
}

/// What is asked for.
struct Asked<'a> {
    method: &'a str,
    path: Vec<String>,
    query: HashMap<String, String>,
    body: Value,
    now: Timestamp,
}

impl Asked<'_> {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// What is sent; of an upload, the metadata with the media as it would be within them.
fn body(request: &Request) -> Value {
    let bytes = request.body.bytes().unwrap_or_default();
    let related = request
        .headers
        .get("content-type")
        .and_then(|kind| kind.to_str().ok()?.strip_prefix("multipart/related; boundary="));
    let Some(boundary) = related else { return serde_json::from_slice(&bytes).unwrap_or_default() };
    let whole = String::from_utf8_lossy(&bytes);
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut parts = whole.split(&delimiter).filter_map(|part| part.split_once("\r\n\r\n"));
    let metadata = parts.next().and_then(|(_, metadata)| serde_json::from_str(metadata.trim()).ok());
    let mut body: Value = metadata.unwrap_or_default();
    if let Some((kind, media)) = parts.next() {
        assert_eq!(kind.trim(), "Content-Type: message/rfc822");
        body["raw"] = json!(BASE64_URL_SAFE_NO_PAD.encode(media.strip_suffix("\r\n").unwrap_or(media)));
    }
    body
}

impl GoogleModel {
    fn found(&mut self, asked: &Asked<'_>) -> Answer {
        let path: Vec<_> = asked.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["oauth2", "v2", "userinfo"] => Ok(json!({ "email": "Ada@acme.test", "name": "Ada" })),
            ["calendar", "v3", "users", "me", "calendarList"] => {
                let own = json!({ "id": ADA, "summary": "Ada", "selected": true });
                Ok(json!({ "items": [own, { "id": "holidays#acme.test", "summary": "Holidays" }] }))
            }
            ["calendar", "v3", rest @ ..] => self.calendar.answer(asked, rest),
            ["gmail", "v1", "users", "me", rest @ ..] => self.mail.answer(asked, rest),
            ["upload", "gmail", "v1", "users", "me", rest @ ..] if asked.query("uploadType") == Some("multipart") => {
                self.mail.answer(asked, rest)
            }
            ["tasks", "v1", "users", "@me", "lists"] => Ok(json!({ "items": [{ "id": "home", "title": "Home" }] })),
            ["tasks", "v1", "lists", "home", "tasks", rest @ ..] => self.tasks.answer(asked, rest),
            _ => Err(NOT_FOUND),
        }
    }
}

impl ConformanceService for GoogleModel {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let decoded = |part: &str| part.replace("%23", "#").replace("%40", "@");
        let asked = Asked {
            method: request.method.as_str(),
            path: request.url.path().trim_matches('/').split('/').map(decoded).collect(),
            query: request.url.query_pairs().into_owned().collect(),
            body: body(request),
            now,
        };
        if asked.method != "GET" {
            self.changes.push((asked.method.to_owned(), asked.path.join("/"), asked.body.clone()));
        }
        let found = self.found(&asked);
        described::check(&asked, &found);
        match found {
            Ok(Value::Null) => FakeService::answer(204, ""),
            Ok(found) => FakeService::answer(200, found.to_string()),
            Err((status, reason)) => {
                let error = json!({ "code": status, "message": reason, "errors": [{ "reason": reason }] });
                FakeService::answer(status, json!({ "error": error }).to_string())
            }
        }
    }

    fn items(&self) -> Vec<Item> {
        [self.calendar.items(), self.mail.items(), self.tasks.items()].concat()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        match channel.split_once(':') {
            Some(("calendar", ADA)) => self.calendar.create(title, text, at),
            Some(("mail", "INBOX")) => self.mail.create(title, text, at),
            Some(("tasks", "home")) => self.tasks.create(title, text, at),
            _ => panic!("nothing is made in `{channel}`"),
        }
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        match id.split_once('/') {
            Some(("calendar", id)) => self.calendar.edit(id, edit, at),
            Some(("mail", id)) => self.mail.edit(id, edit, at),
            Some(("tasks", id)) => self.tasks.edit(id, edit, at),
            _ => false,
        }
    }

    /// Tasks are asked for by time, which does not end.
    fn expire_cursors(&mut self) -> bool {
        self.calendar.forget();
        self.mail.forget();
        true
    }

    fn never_end(&mut self, how: Option<Endless>) -> bool {
        self.tasks.endless = how;
        true
    }

    fn take_pushes(&mut self) -> Vec<Push> {
        std::mem::take(&mut self.calendar.pushes)
    }

    fn registrations(&self) -> Vec<String> {
        self.calendar.watching().map(|watch| watch.url.clone()).collect()
    }
}

/// The same, for tests that change it while a host uses it.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<GoogleModel>>);

impl Shared {
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut GoogleModel) -> T) -> T {
        change(&mut self.0.lock().expect("no panic"))
    }
}
