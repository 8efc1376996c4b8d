//! Requests that are made from the OpenAPI document: valid ones, those at the edge, and wrong ones.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use axum::body::Body;
use connector_core::registry::Registry;
use http::Request;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use crate::bureau::{self, Bureau};
use crate::desk::{Bench, Desk, KEY, ids};
use crate::document::{Operation, document, operations};

/// Requests after which what they have removed is made anew.
const ROUND: usize = 400;

/// How long it goes on if `FUZZ_SECONDS` does not say.
const SECONDS: u64 = 10;

/// Random numbers that are the same each time (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).expect("it is small")
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

const TEXTS: &[&str] = &[
    "",
    " ",
    "ada",
    "bob",
    "desk",
    "ticket",
    "open",
    "closed",
    "a/b c",
    "broken",
    "x",
    "0",
    "-1",
    "null",
    "true",
    "%",
    "%2F",
    "../..",
    "a\u{0}b",
    "\u{202e}abc",
    "👍",
    ":shipit:",
    "<b>",
    "\"",
    "\\",
    "'; DROP TABLE link; --",
    "\n",
    "ü\u{308}",
    "2026-12-01",
    "2026-13-45",
    "2026-12-01T10:00:00Z",
    "9999999999-01-01T00:00:00Z",
    "con_9223372036854775807",
    "con_99999999999999999999",
    "thr_",
    "lnk_-1",
    "tsk_0",
    "~",
    "2026-12-01T10:00:00Z~lnk_1",
    "application/json",
];

/// What requests are made of: the document, and ids that are there.
struct Maker<'a> {
    document: &'a Value,
    known: HashMap<&'static str, Vec<String>>,
    dice: Dice,
}

impl Maker<'_> {
    fn text(&mut self) -> String {
        match self.dice.below(20) {
            0 => "x".repeat(self.dice.below(5_000)),
            1 => (0..self.dice.below(20))
                .map(|_| char::from_u32(self.dice.next() as u32 % 0x3000).unwrap_or('?'))
                .collect(),
            _ => self.dice.of(TEXTS).to_owned(),
        }
    }

    fn any(&mut self, depth: usize) -> Value {
        match self.dice.below(if depth > 3 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.dice.one_in(2)),
            2 => json!(self.dice.next() as i64),
            3 => json!(1e300),
            4 | 5 => json!(self.text()),
            6 => (0..self.dice.below(4)).map(|_| self.any(depth + 1)).collect(),
            _ => (0..self.dice.below(4)).map(|_| (self.text(), self.any(depth + 1))).collect::<Map<_, _>>().into(),
        }
    }

    fn number(&mut self, schema: &Value) -> Value {
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(1_000);
        match self.dice.below(8) {
            0 => json!(least),
            1 => json!(most),
            2 => json!(least.saturating_sub(1)),
            3 => json!(most.saturating_add(1)),
            4 => json!(u64::MAX),
            _ => json!(least + i64::try_from(self.dice.below(50)).expect("it is small")),
        }
    }

    /// A value of a schema, mostly; now and then another.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if self.dice.one_in(40) || depth > 6 {
            return self.any(depth);
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let document = self.document;
            let found = document.pointer(reference.trim_start_matches('#')).expect("it leads somewhere");
            return self.value(found, depth);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let chosen = self.dice.below(choices.len());
                return self.value(&choices[chosen], depth + 1);
            }
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices[self.dice.below(choices.len())].clone();
        }
        if !schema["const"].is_null() {
            return schema["const"].clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[self.dice.below(kinds.len())].as_str().unwrap_or_default().to_owned(),
            kind => kind.as_str().unwrap_or_default().to_owned(),
        };
        match kind.as_str() {
            "string" => json!(self.string(schema)),
            "integer" | "number" => self.number(schema),
            "boolean" => json!(self.dice.one_in(2)),
            "null" => Value::Null,
            "array" => (0..self.dice.below(4)).map(|_| self.value(&schema["items"], depth + 1)).collect(),
            "object" => self.object(schema, depth),
            _ => self.any(depth),
        }
    }

    fn string(&mut self, schema: &Value) -> String {
        if let Some(prefix) =
            schema["pattern"].as_str().and_then(|pattern| pattern.strip_prefix('^')?.split('_').next())
        {
            let known = self.known.get(prefix).cloned().unwrap_or_default();
            if !known.is_empty() && !self.dice.one_in(5) {
                return known[self.dice.below(known.len())].clone();
            }
            return format!("{prefix}_{}", self.dice.below(100));
        }
        match schema["format"].as_str() {
            Some("date") if !self.dice.one_in(5) => "2026-12-01".to_owned(),
            Some("date-time") if !self.dice.one_in(5) => "2026-12-01T10:00:00Z".to_owned(),
            _ => self.text(),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut made = Map::new();
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let wanted = match required.contains(&name.as_str()) {
                true => !self.dice.one_in(30),
                false => self.dice.one_in(2),
            };
            if wanted {
                // What a connector needs is known to nobody but it.
                let value = match name.as_str() {
                    "user" if !self.dice.one_in(4) => json!(self.dice.of(&["ada", "bob"])),
                    "connector" if !self.dice.one_in(4) => json!("desk"),
                    "options" if !self.dice.one_in(4) => json!({"api_key": "open sesame", "tickets": 2}),
                    "status" if !self.dice.one_in(4) => json!(self.dice.of(&["open", "closed", "attend", "skip"])),
                    "type" if !self.dice.one_in(4) => json!(self.dice.of(&["ticket", "affair"])),
                    "channel" if !self.dice.one_in(4) => json!(self.dice.of(&["a/b c", "affairs"])),
                    "attachments" | "contacts" | "invite_emails" if !self.dice.one_in(4) => json!([]),
                    _ => self.value(field, depth + 1),
                };
                made.insert(name.clone(), value);
            }
        }
        if self.dice.one_in(30) {
            made.insert(self.text(), self.any(depth));
        }
        made.into()
    }

    /// A parameter as text.
    fn parameter(&mut self, parameter: &Value) -> String {
        // Nothing is to be waited for.
        if parameter["name"] == "wait" {
            return self.dice.of(&["0", "61", "-1", "x", ""]).to_owned();
        }
        if parameter["name"] == "user" && !self.dice.one_in(4) {
            return self.dice.of(&["ada", "bob"]).to_owned();
        }
        let links = self.known.get("lnk").cloned().unwrap_or_default();
        let link = if links.is_empty() { String::new() } else { links[self.dice.below(links.len())].clone() };
        match parameter["name"].as_str() {
            Some("contact") if !self.dice.one_in(4) => return self.dice.of(&["7", "clerk-ada"]).to_owned(),
            Some("channel") if !self.dice.one_in(4) => return "a/b c".to_owned(),
            Some("from") if !self.dice.one_in(4) => {
                return self.dice.of(&["2026-01-01", "2026-01-05T08:00:00Z"]).to_owned();
            }
            Some("to") if !self.dice.one_in(4) => {
                return self.dice.of(&["2026-02-01", "2026-01-06T08:00:00Z"]).to_owned();
            }
            Some("zone") if !self.dice.one_in(4) => return self.dice.of(&["Europe/Berlin", "+05:30"]).to_owned(),
            Some("index") if !self.dice.one_in(4) => return self.dice.below(4).to_string(),
            Some("id") if parameter["schema"]["$ref"].is_null() && !self.dice.one_in(4) => {
                return self.dice.of(&["desk", &format!("{link}:one")]).to_owned();
            }
            _ => {}
        }
        match self.value(&parameter["schema"], 0) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    fn request(&mut self, operation: &Operation) -> (Request<Body>, String) {
        let mut path = operation.path.clone();
        let mut query = Vec::new();
        let mut builder = Request::builder().method(operation.method.to_uppercase().as_str());
        for parameter in operation.described["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            match parameter["in"].as_str() {
                Some("path") => {
                    let value = Some(self.parameter(parameter)).filter(|value| !value.is_empty());
                    path = path.replace(&format!("{{{name}}}"), &encoded(&value.unwrap_or_else(|| "-".to_owned())));
                }
                Some("query") => {
                    let required = parameter["required"] == true;
                    if self.dice.one_in(2) || (required && !self.dice.one_in(20)) {
                        query.push(format!("{name}={}", encoded(&self.parameter(parameter))));
                    }
                }
                _ => {
                    if self.dice.one_in(3) {
                        let text = if self.dice.one_in(2) { self.text() } else { self.dice.next().to_string() };
                        let text: String = text.chars().filter(char::is_ascii_graphic).take(300).collect();
                        builder = builder.header(name, text);
                    }
                }
            }
        }
        if self.dice.one_in(40) {
            query.push(encoded(&self.text()));
        }
        let uri = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let content = &operation.described["requestBody"]["content"];
        let body = match &content["application/json"]["schema"] {
            Value::Null if content["multipart/form-data"].is_object() => {
                builder = builder.header("content-type", "multipart/form-data; boundary=a-boundary");
                let file = format!("name=\"file\"; filename=\"{}\"", self.text().replace(['"', '\r', '\n'], "_"));
                let (user, text) = (self.dice.of(&["ada", "bob", ""]).to_owned(), self.text());
                let mut body = crate::files::form(&[("name=\"user\"", &user), (&file, &text)]).into_bytes();
                if self.dice.one_in(4) {
                    body.truncate(self.dice.below(body.len() + 1));
                }
                body
            }
            Value::Null => Vec::new(),
            schema => {
                builder = builder.header("content-type", "application/json");
                let mut body = self.value(schema, 0).to_string().into_bytes();
                match self.dice.below(30) {
                    0 => body.truncate(self.dice.below(body.len() + 1)),
                    1 => body.extend(*b"\xff\xfe{"),
                    2 => body = vec![b'['; self.dice.below(100_000)],
                    _ => {}
                }
                body
            }
        };
        let shown = format!("{} {uri} {}", operation.method, String::from_utf8_lossy(&body[..body.len().min(400)]));
        let builder = builder.uri(uri).header("authorization", format!("Bearer {KEY}"));
        (builder.body(Body::from(body)).expect("a request"), shown)
    }
}

fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What a response must be like, by operation and status.
fn validators(
    document: &Value,
    operations: &[Operation],
) -> HashMap<(String, String), HashMap<String, Option<Validator>>> {
    let mut all = HashMap::new();
    for operation in operations {
        for (status, response) in operation.described["responses"].as_object().expect("responses") {
            let mut by_type = HashMap::new();
            for (media_type, media) in response["content"].as_object().into_iter().flatten() {
                let validator = media["schema"].as_object().map(|schema| {
                    let mut schema = schema.clone();
                    schema.insert("components".to_owned(), document["components"].clone());
                    jsonschema::draft202012::new(&schema.into()).expect("a schema")
                });
                by_type.insert(media_type.split(';').next().unwrap_or_default().to_owned(), validator);
            }
            all.insert((operation.id().to_owned(), status.clone()), by_type);
        }
    }
    all
}

async fn known(bench: &Bench) -> HashMap<&'static str, Vec<String>> {
    let mut known: HashMap<&'static str, Vec<String>> = HashMap::new();
    for user in ["ada", "bob"] {
        if ids(&bench.get(&format!("/connections?user={user}&connector=desk")).await).len() < 2 {
            bench.synced(user).await;
        }
        known.entry("con").or_default().extend(bureau::connected(bench, user).await);
        for connection in ids(&bench.get(&format!("/connections?user={user}&limit=5")).await) {
            known.entry("con").or_default().push(connection.to_owned());
        }
    }
    // Of each connector.
    for link_type in ["ticket", "affair"] {
        for thread in
            bench.get(&format!("/threads?type={link_type}&limit=5")).await["items"].as_array().expect("threads")
        {
            let id = thread["id"].as_str().expect("an id");
            known.entry("thr").or_default().push(id.to_owned());
            let whole = bench.get(&format!("/threads/{id}")).await;
            for (kind, list) in [("lnk", &whole["links"]), ("not", &whole["notes"])] {
                let found = list.as_array().expect("a list").iter().take(5).filter_map(|one| one["id"].as_str());
                known.entry(kind).or_default().extend(found.map(str::to_owned));
            }
        }
    }
    // One that a user wrote, which the service refuses.
    if let Some(thread) = known.get("thr").and_then(|threads| threads.first()) {
        let note = json!({"user": "ada", "content": "refuse me"});
        let note = bench.ok("POST", &format!("/threads/{thread}/notes"), note).await;
        known.entry("not").or_default().push(note["id"].as_str().expect("an id").to_owned());
    }
    let tasks = bench.get("/tasks?limit=10").await;
    known.entry("tsk").or_default().extend(ids(&tasks).into_iter().map(str::to_owned));
    let deliveries = bench.get("/hooks/deliveries?limit=5").await;
    known.entry("dlv").or_default().extend(ids(&deliveries).into_iter().map(str::to_owned));
    known
}

/// Design 6.2: whatever is sent, each operation answers as the document says, and never that it failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_documented() {
    let registry = Registry::of::<Desk>().and_then(|desk| desk.merge(Registry::of::<Bureau>()?)).expect("a registry");
    let mut settings = connector_host::Config::default();
    bureau::configure(&mut settings).await;
    settings.limits.session_requests = NonZeroU32::new(1_000_000);
    let bench = Bench::of("fuzz", settings, registry).await;
    let document = document(&bench).await;
    let operations = operations(&document);
    let validators = validators(&document, &operations);
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (number("FUZZ_SECONDS", SECONDS), number("FUZZ_SEED", 1));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut maker = Maker { document: &document, known: HashMap::new(), dice: Dice(seed) };
    let mut seen: HashMap<(String, u16), usize> = HashMap::new();
    let mut mistakes: HashMap<String, String> = HashMap::new();
    let mut sent = 0;
    while Instant::now() < end || sent < 2 * operations.len() {
        if sent % ROUND == 0 {
            maker.known = known(&bench).await;
        }
        let operation = &operations[sent % operations.len()];
        sent += 1;
        let (request, shown) = maker.request(operation);
        let response = bench.router.clone().oneshot(request).await.expect("an answer");
        let (status, id) = (response.status().as_u16(), operation.id().to_owned());
        *seen.entry((id.clone(), status)).or_default() += 1;
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.map(|value| value.split(';').next().unwrap_or_default().to_owned());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        if !matches!(id.as_str(), "createKey" | "createSession") {
            connector_test_support::secrets::saw(&body);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(600)]).into_owned();
        let mut wrong = |what: String| {
            mistakes.entry(format!("{id} {status}")).or_insert(format!("{what}\n  {shown}\n  {text}"));
        };
        if status >= 500 {
            wrong("it failed".to_owned());
            continue;
        }
        let Some(by_type) = validators.get(&(id.clone(), status.to_string())) else {
            wrong("the document has no such status".to_owned());
            continue;
        };
        match (content_type, by_type.is_empty()) {
            (None, true) => {}
            (Some(found), _) if by_type.contains_key(&found) => {
                if let Some(validator) = &by_type[&found] {
                    match serde_json::from_slice(&body) {
                        Ok(json) => {
                            if let Err(error) = validator.validate(&json) {
                                wrong(format!("{} at {}", error, error.instance_path()));
                            }
                        }
                        Err(error) => wrong(error.to_string()),
                    }
                }
            }
            // What a service says that an attachment is, goes on as that.
            _ if id == "getAttachment" => {}
            (found, _) => wrong(format!("the document has no such content type: {found:?}")),
        }
    }
    let succeeded = |id: &str| seen.iter().any(|((other, status), _)| other == id && (200..400).contains(status));
    let never: Vec<_> = operations.iter().map(Operation::id).filter(|id| !succeeded(id)).collect();
    println!("{sent} requests, never well: {never:?}");
    assert!(seconds < 60 || never.is_empty(), "in {seconds} s, these never did what they are for: {never:?}");
    let mut mistakes: Vec<_> = mistakes.into_iter().collect();
    mistakes.sort();
    let shown: Vec<_> = mistakes.iter().map(|(what, how)| format!("{what}: {how}")).collect();
    assert!(shown.is_empty(), "{} of {sent} requests, seed {seed}:\n{}", shown.len(), shown.join("\n"));
    bench.end().await;
}
