use std::collections::BTreeMap;

use connector_core::network::{Request, Response};
use connector_core::prelude::*;
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{ConformanceService, Edit, Endless, Item, Push};
use serde_json::{Value, json};

/// Tickets of projects, numbered in each; comments lose their formatting.
#[derive(Default)]
pub(super) struct TrackerService {
    tickets: BTreeMap<(String, u64), Ticket>,
    comments: u64,
    /// Comments by the idempotency key that they were sent with: the same key is the same comment.
    keyed: BTreeMap<String, Value>,
    /// It pushes; else it has no endpoint for that.
    pushes: bool,
    hooks: BTreeMap<u64, Hook>,
    made: u64,
    /// The last number that was given.
    last: u64,
    endless: Option<Endless>,
    pushed: Vec<Push>,
    scopes: Vec<String>,
}

struct Hook {
    project: String,
    url: String,
    secret: String,
    ends: Timestamp,
}

/// How long a registration lives: it ends between two looks at what is registered.
const HOOK_HOURS: i64 = 60;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) state: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) author: String,
    pub(super) comments: Vec<Comment>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) text: String,
    pub(super) author: String,
    pub(super) at: Timestamp,
}

/// Tickets that a page has.
const PAGE: usize = 3;

const PROJECTS: [&str; 2] = ["alpha", "beta"];

impl TrackerService {
    pub(super) fn pushing() -> Self {
        Self { pushes: true, ..Self::default() }
    }

    fn push(&mut self, project: &str, number: u64) {
        for hook in self.hooks.values().filter(|hook| hook.project == project) {
            self.made += 1;
            let body = json!({ "number": number }).to_string();
            let push = Push::new(&hook.url, body).signed("X-Signature", "sha256=", &hook.secret);
            self.pushed.push(push.header("X-Delivery", self.made.to_string()));
        }
    }

    fn hook(id: u64, hook: &Hook) -> Value {
        json!({ "id": id, "url": hook.url, "ends": hook.ends })
    }

    fn ticket(&mut self, project: &str, title: &str, text: &str, author: &str, at: Timestamp) -> &mut Ticket {
        let numbers = self.tickets.keys().filter(|(of, _)| of == project).map(|(_, number)| number);
        let number = numbers.max().copied().unwrap_or_default().max(self.last) + 1;
        self.last = number;
        let ticket = Ticket {
            number,
            title: title.to_owned(),
            text: text.to_owned(),
            state: "open".to_owned(),
            created: at,
            updated: at,
            author: author.to_owned(),
            comments: Vec::new(),
        };
        self.push(project, number);
        self.tickets.entry((project.to_owned(), number)).or_insert(ticket)
    }

    fn comment(&mut self, at: Timestamp, key: &(String, u64), author: &str, text: &str) -> Option<Comment> {
        self.comments += 1;
        let comment = Comment { id: self.comments, text: text.replace('*', ""), author: author.to_owned(), at };
        let ticket = self.tickets.get_mut(key)?;
        ticket.comments.push(comment.clone());
        ticket.updated = ticket.updated.max(at);
        self.push(&key.0, key.1);
        Some(comment)
    }

    fn reword(
        &mut self,
        at: Timestamp,
        key: &(String, u64),
        text: &str,
        is: impl Fn(&Comment) -> bool,
    ) -> Option<Comment> {
        let ticket = self.tickets.get_mut(key)?;
        let comment = ticket.comments.iter_mut().find(|comment| is(comment))?;
        comment.text = text.replace('*', "");
        let comment = comment.clone();
        ticket.updated = ticket.updated.max(at);
        self.push(&key.0, key.1);
        Some(comment)
    }

    fn found(&mut self, request: &Request, now: Timestamp) -> Option<Value> {
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let path: Vec<_> = request.url.path().trim_matches('/').split('/').collect();
        let query: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        Some(match (request.method.as_str(), path.as_slice()) {
            ("GET", ["me"]) => json!({ "id": "me" }),
            ("GET", ["projects"]) => json!(PROJECTS),
            ("GET", ["projects", project]) => {
                let since: Timestamp = query.get("since")?.parse().ok()?;
                let page: usize = query.get("page")?.parse().ok()?;
                let all = self.tickets.iter().filter(|((of, _), ticket)| of == project && ticket.updated >= since);
                let mut all: Vec<_> = all.map(|(_, ticket)| ticket).collect();
                all.sort_by_key(|ticket| (ticket.updated, ticket.number));
                let last = all.len().saturating_sub(1) / PAGE;
                let page = match self.endless {
                    Some(Endless::Itself) => 0,
                    Some(Endless::First) => page % (last + 1),
                    Some(_) => page.min(last),
                    None => page,
                };
                let tickets: Vec<_> = all.into_iter().skip(page * PAGE).take(PAGE).collect();
                let more = self.endless.is_some() || page < last;
                json!({ "tickets": tickets, "more": more })
            }
            ("POST", ["projects", project]) => {
                json!(self.ticket(project, body["title"].as_str()?, body["text"].as_str()?, "me", now))
            }
            ("PATCH", ["projects", project, number]) => {
                let ticket = self.tickets.get_mut(&(project.to_string(), number.parse().ok()?))?;
                if let Some(title) = body["title"].as_str() {
                    ticket.title = title.to_owned();
                }
                if let Some(state) = body["state"].as_str() {
                    ticket.state = state.to_owned();
                }
                ticket.updated = now;
                let ticket = json!(ticket);
                self.push(project, number.parse().ok()?);
                ticket
            }
            ("GET", ["projects", project, number]) => {
                json!(self.tickets.get(&(project.to_string(), number.parse().ok()?))?)
            }
            ("POST" | "PUT", ["projects", project, number, "comments"]) => {
                let key = (project.to_string(), number.parse().ok()?);
                let sent = request.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
                if let Some(known) = sent.and_then(|sent| self.keyed.get(sent)) {
                    return Some(known.clone());
                }
                let comment = json!(self.comment(now, &key, "me", body["text"].as_str()?)?);
                self.keyed.extend(sent.map(|sent| (sent.to_owned(), comment.clone())));
                comment
            }
            ("PATCH", ["projects", project, number, "comments", id]) => {
                let key = (project.to_string(), number.parse().ok()?);
                let id: u64 = id.parse().ok()?;
                json!(self.reword(now, &key, body["text"].as_str()?, |comment| comment.id == id)?)
            }
            ("POST", ["seen"]) => json!({}),
            ("POST", ["hooks", project]) if self.pushes => {
                self.made += 1;
                let (url, secret) = (body["url"].as_str()?.to_owned(), body["secret"].as_str()?.to_owned());
                let ends = now + SignedDuration::from_hours(HOOK_HOURS);
                let hook = Hook { project: project.to_string(), url, secret, ends };
                let made = Self::hook(self.made, &hook);
                self.hooks.insert(self.made, hook);
                made
            }
            ("GET", ["hooks", project]) if self.pushes => {
                let hooks = self.hooks.iter().filter(|(_, hook)| hook.project == *project);
                json!(hooks.map(|(id, hook)| Self::hook(*id, hook)).collect::<Vec<_>>())
            }
            ("PUT", ["hooks", id]) => {
                let id = id.parse().ok()?;
                let hook = self.hooks.get_mut(&id)?;
                hook.ends = now + SignedDuration::from_hours(HOOK_HOURS);
                Self::hook(id, hook)
            }
            ("DELETE", ["hooks", id]) => {
                self.hooks.remove(&id.parse().ok()?)?;
                json!({})
            }
            _ => return None,
        })
    }
}

impl ConformanceService for TrackerService {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        if request.url.path().starts_with("/hooks") && !self.scopes.iter().any(|scope| scope == "hooks") {
            return FakeService::answer(403, "{}");
        }
        match self.found(request, now) {
            Some(found) => FakeService::answer(200, found.to_string()),
            None => FakeService::answer(404, "{}"),
        }
    }

    fn items(&self) -> Vec<Item> {
        let item = |((project, number), ticket): (&(String, u64), &Ticket)| {
            Item::new(format!("{project}/{number}"), project, &ticket.title)
                .status(&ticket.state)
                .created_at(ticket.created)
                .notes(std::iter::once(&ticket.text).chain(ticket.comments.iter().map(|comment| &comment.text)))
        };
        self.tickets.iter().map(item).collect()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        format!("{channel}/{}", self.ticket(channel, title, text, "grace", at).number)
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Some((project, number)) = id.split_once('/') else { return false };
        let key = (project.to_owned(), number.parse().unwrap());
        match edit {
            Edit::Note(text) => return self.comment(at, &key, "grace", text).is_some(),
            Edit::Reword { note, text } => {
                return self.reword(at, &key, text, |comment| comment.text == *note).is_some();
            }
            _ => {}
        }
        if *edit == Edit::Delete {
            let deleted = self.tickets.remove(&key).is_some();
            self.push(&key.0, key.1);
            return deleted;
        }
        let Some(ticket) = self.tickets.get_mut(&key) else { return false };
        match edit {
            Edit::Title(title) => ticket.title.clone_from(title),
            Edit::Status(status) => ticket.state.clone_from(status),
            _ => return false,
        }
        ticket.updated = at;
        self.push(&key.0, key.1);
        true
    }

    fn never_end(&mut self, how: Option<Endless>) -> bool {
        self.endless = how;
        true
    }

    fn take_pushes(&mut self) -> Vec<Push> {
        std::mem::take(&mut self.pushed)
    }

    fn registrations(&self) -> Vec<String> {
        self.hooks.values().map(|hook| hook.url.clone()).collect()
    }

    fn lose_registrations(&mut self) -> bool {
        self.hooks.clear();
        true
    }

    fn pass(&mut self, now: Timestamp) {
        self.hooks.retain(|_, hook| hook.ends > now);
    }

    fn grant(&mut self, scopes: &[String]) {
        self.scopes = scopes.to_vec();
    }
}
