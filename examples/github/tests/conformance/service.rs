//! GitHub's REST API in memory, written by hand after its documentation (<https://docs.github.com/en/rest>): issues, pull
//! requests, comments and repository webhooks. Not GitHub (L28): the same connector runs against an emulator that others wrote
//! in `tests/emulator`, which has no `since` of whole seconds and no scopes of hooks.

use std::collections::BTreeMap;

use connector_core::network::{Request, Response};
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{ConformanceService, Edit, Endless, Item, Push, Refusal};
use jiff::Timestamp;
use serde_json::{Value, json};

const REPOSITORIES: [&str; 2] = ["acme/api", "acme/web"];

/// Who authorized, and who else there is.
const ADA: (u64, &str) = (7, "ada");
const BOB: (u64, &str) = (8, "bob");

#[derive(Default)]
pub(crate) struct GitHubByHand {
    issues: BTreeMap<u64, Issue>,
    hooks: BTreeMap<u64, Hook>,
    /// The last id that was given, to whatever it was.
    last: u64,
    pushed: Vec<Push>,
    scopes: Vec<String>,
    endless: Option<Endless>,
    /// The numbers that were given in each repository.
    numbers: BTreeMap<String, u64>,
}

/// An issue or a pull request, which is an issue as well.
struct Issue {
    repository: String,
    number: u64,
    pull: bool,
    merged: Option<Timestamp>,
    title: String,
    body: String,
    state: String,
    author: (u64, &'static str),
    created: Timestamp,
    updated: Timestamp,
    comments: Vec<Comment>,
}

struct Comment {
    id: u64,
    body: String,
    author: (u64, &'static str),
    created: Timestamp,
    updated: Timestamp,
}

struct Hook {
    repository: String,
    url: String,
    secret: String,
    events: Value,
}

/// An answer: status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Value);

fn ok(body: Value) -> Answer {
    (200, Vec::new(), body)
}

fn not_found() -> Answer {
    (404, Vec::new(), json!({ "message": "Not Found" }))
}

/// GitHub knows whole seconds.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("a time")
}

fn user((id, login): (u64, &str)) -> Value {
    json!({ "id": id, "login": login, "type": "User", "avatar_url": null })
}

impl Comment {
    fn json(&self, issue: &Issue) -> Value {
        json!({
            "id": self.id, "body": self.body, "user": user(self.author), "created_at": self.created, "updated_at": self.updated,
            "html_url": format!("https://github.com/{}/issues/{}#issuecomment-{}", issue.repository, issue.number, self.id),
            "reactions": { "total_count": 0 },
        })
    }
}

impl Issue {
    /// Among the issues.
    fn json(&self, id: u64) -> Value {
        let mut json = json!({
            "id": id, "number": self.number, "title": self.title, "state": self.state, "body": self.body,
            "html_url": format!("https://github.com/{}/issues/{}", self.repository, self.number),
            "user": user(self.author), "assignee": null, "labels": [], "milestone": null, "comments": self.comments.len(),
            "created_at": self.created, "updated_at": self.updated, "reactions": { "total_count": 0 },
        });
        if self.pull {
            json["pull_request"] = json!({ "merged_at": self.merged });
        }
        json
    }

    /// Among the pull requests, where it has another id.
    fn pull_json(&self, id: u64) -> Value {
        let branch = |name: &str| json!({ "label": format!("acme:{name}"), "ref": name });
        json!({
            "id": id + 1_000_000, "number": self.number, "title": self.title, "state": self.state, "body": self.body,
            "html_url": format!("https://github.com/{}/pull/{}", self.repository, self.number),
            "user": user(self.author), "assignee": null, "labels": [], "milestone": null, "draft": false, "merged_at": self.merged,
            "head": branch("change"), "base": branch("main"), "created_at": self.created, "updated_at": self.updated,
        })
    }
}

/// The page that was asked for, and where the next one is.
fn page(request: &Request, all: Vec<Value>) -> Answer {
    page_of(request, all, None)
}

/// The same, of a list that may have no end.
fn page_of(request: &Request, all: Vec<Value>, endless: Option<Endless>) -> Answer {
    let query =
        |name: &str| request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let number = |name: &str, default: usize| query(name).map_or(default, |text| text.parse().expect("a number"));
    let (size, page) = (number("per_page", 30).min(100), number("page", 1));
    let mut headers = Vec::new();
    let last = all.len().div_ceil(size).max(1);
    let (page, after) = match endless {
        None => (page, (all.len() > size * page).then_some(page + 1)),
        Some(Endless::Itself) => (page, Some(page)),
        Some(Endless::First) => (page, Some(if page >= last { 1 } else { page + 1 })),
        Some(_) => (page.min(last), Some(page + 1)),
    };
    if let Some(after) = after {
        let mut next = request.url.clone();
        let others: Vec<_> = request
            .url
            .query_pairs()
            .filter(|(key, _)| key != "page")
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        next.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &after.to_string());
        headers.push(("link", format!("<{next}>; rel=\"next\"")));
    }
    (200, headers, all.into_iter().skip(size * (page - 1)).take(size).collect())
}

impl GitHubByHand {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Tells the hooks of the issue's repository.
    fn push(&mut self, id: u64, event: &str, action: &str) {
        let Some(issue) = self.issues.get(&id) else { return };
        let mut body = json!({ "action": action, "repository": { "full_name": issue.repository } });
        // What happens to a pull request itself is an event of its own.
        let event = if issue.pull && event == "issues" { "pull_request" } else { event };
        if event == "pull_request" {
            body["pull_request"] = issue.pull_json(id);
        } else {
            body["issue"] = issue.json(id);
        }
        if event == "issue_comment" {
            body["comment"] = issue.comments.last().map_or(Value::Null, |comment| comment.json(issue));
        }
        let mut pushes = Vec::new();
        for hook in self.hooks.values() {
            let wanted = hook.events.as_array().is_some_and(|events| events.iter().any(|wanted| wanted == event));
            if hook.repository == issue.repository && wanted {
                pushes.push((hook.url.clone(), hook.secret.clone()));
            }
        }
        for (url, secret) in pushes {
            let delivery = self.id();
            let push = Push::new(url, body.to_string()).signed("X-Hub-Signature-256", "sha256=", &secret);
            let push = push.header("X-GitHub-Event", event);
            self.pushed.push(push.header("X-GitHub-Delivery", format!("00000000-0000-0000-0000-{delivery:012}")));
        }
    }

    fn open(
        &mut self,
        repository: &str,
        (title, body, pull): (&str, &str, bool),
        author: (u64, &'static str),
        at: Timestamp,
    ) -> u64 {
        let id = self.id();
        let (repository, at) = (repository.to_owned(), seconds(at));
        let number = self.numbers.entry(repository.clone()).or_default();
        *number += 1;
        let number = *number;
        let (title, body, state) = (title.to_owned(), body.to_owned(), "open".to_owned());
        let issue = Issue {
            repository,
            number,
            pull,
            merged: None,
            title,
            body,
            state,
            author,
            created: at,
            updated: at,
            comments: Vec::new(),
        };
        self.issues.insert(id, issue);
        self.push(id, "issues", "opened");
        id
    }

    fn comment(&mut self, id: u64, body: &str, author: (u64, &'static str), at: Timestamp) -> Option<Value> {
        let (comment, at) = (self.id(), seconds(at));
        let issue = self.issues.get_mut(&id)?;
        issue.comments.push(Comment { id: comment, body: body.to_owned(), author, created: at, updated: at });
        issue.updated = issue.updated.max(at);
        let json = issue.comments.last()?.json(issue);
        self.push(id, "issue_comment", "created");
        Some(json)
    }

    fn reword(&mut self, id: u64, is: impl Fn(&Comment) -> bool, body: &str, at: Timestamp) -> Option<Value> {
        let issue = self.issues.get_mut(&id)?;
        let place = issue.comments.iter().position(is)?;
        let comment = issue.comments.get_mut(place)?;
        (comment.body, comment.updated) = (body.to_owned(), seconds(at));
        issue.updated = issue.updated.max(seconds(at));
        let json = issue.comments.get(place)?.json(issue);
        self.push(id, "issue_comment", "edited");
        Some(json)
    }

    fn at(&self, repository: &str, number: &str) -> Option<u64> {
        let number: u64 = number.parse().ok()?;
        let mut found =
            self.issues.iter().filter(|(_, issue)| issue.repository == repository && issue.number == number);
        found.next().map(|(id, _)| *id)
    }

    fn edit_issue(&mut self, id: u64, body: &Value, at: Timestamp) -> Option<Value> {
        let issue = self.issues.get_mut(&id)?;
        let mut action = "edited";
        for (name, field) in [("title", &mut issue.title), ("body", &mut issue.body), ("state", &mut issue.state)] {
            if let Some(text) = body[name].as_str() {
                if name == "state" {
                    action = if text == "open" { "reopened" } else { "closed" };
                }
                *field = text.to_owned();
            }
        }
        issue.updated = issue.updated.max(seconds(at));
        let json = issue.json(id);
        self.push(id, "issues", action);
        Some(json)
    }

    fn hook_json(id: u64, hook: &Hook) -> Value {
        let config = json!({ "url": hook.url, "content_type": "json", "secret": "********", "insecure_ssl": "0" });
        json!({ "id": id, "type": "Repository", "name": "web", "active": true, "events": hook.events, "config": config })
    }

    fn register(&mut self, repository: &str, body: &Value) -> Option<Answer> {
        let (url, secret) = (body["config"]["url"].as_str()?, body["config"]["secret"].as_str().unwrap_or_default());
        if self.hooks.values().any(|hook| hook.repository == repository && hook.url == url) {
            let errors =
                json!([{ "resource": "Hook", "code": "custom", "message": "Hook already exists on this repository" }]);
            return Some((422, Vec::new(), json!({ "message": "Validation Failed", "errors": errors })));
        }
        let (id, delivery) = (self.id(), self.id());
        let ping = json!({ "zen": "Keep it logically awesome.", "hook_id": id }).to_string();
        let ping =
            Push::new(url, ping).signed("X-Hub-Signature-256", "sha256=", secret).header("X-GitHub-Event", "ping");
        self.pushed.push(ping.header("X-GitHub-Delivery", format!("00000000-0000-0000-0000-{delivery:012}")));
        let events = body["events"].clone();
        let hook = Hook { repository: repository.to_owned(), url: url.to_owned(), secret: secret.to_owned(), events };
        let json = Self::hook_json(id, &hook);
        self.hooks.insert(id, hook);
        Some((201, Vec::new(), json))
    }

    fn found(&mut self, request: &Request, now: Timestamp) -> Option<Answer> {
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let path = request.url.path().to_owned();
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        let method = request.method.as_str();
        if let ["user", rest @ ..] = parts.as_slice() {
            return match rest {
                [] => Some(ok(user(ADA))),
                ["repos"] => {
                    let all = REPOSITORIES.iter().map(|name| json!({ "full_name": name, "description": null }));
                    Some(page(request, all.collect()))
                }
                ["orgs"] if self.scopes.iter().any(|scope| scope == "read:org") => {
                    Some(ok(json!([{ "login": "acme" }])))
                }
                ["orgs"] => Some((403, Vec::new(), json!({ "message": "You need at least read:org scope" }))),
                _ => None,
            };
        }
        if parts == ["search", "repositories"] {
            let items = REPOSITORIES.iter().map(|name| json!({ "full_name": name, "description": null }));
            return Some(ok(json!({ "total_count": 2, "items": items.collect::<Vec<_>>() })));
        }
        let ["repos", owner, name, rest @ ..] = parts.as_slice() else { return None };
        let repository = format!("{owner}/{name}");
        if !REPOSITORIES.contains(&repository.as_str()) {
            return None;
        }
        match (method, rest) {
            ("GET", ["issues"]) => {
                let since = request.url.query_pairs().find(|(key, _)| key == "since");
                let since: Timestamp = since.map_or(Timestamp::UNIX_EPOCH, |(_, since)| since.parse().expect("a time"));
                let of = |issue: &Issue| issue.repository == repository && issue.updated >= since;
                let mut all: Vec<_> = self.issues.iter().filter(|(_, issue)| of(issue)).collect();
                all.sort_by_key(|(id, issue)| std::cmp::Reverse((issue.updated, **id)));
                Some(page_of(request, all.into_iter().map(|(id, issue)| issue.json(*id)).collect(), self.endless))
            }
            ("GET", ["pulls"]) => {
                let of = |issue: &Issue| issue.pull && issue.repository == repository;
                let mut all: Vec<_> = self.issues.iter().filter(|(_, issue)| of(issue)).collect();
                all.sort_by_key(|(id, issue)| std::cmp::Reverse((issue.updated, **id)));
                Some(page_of(request, all.into_iter().map(|(id, issue)| issue.pull_json(*id)).collect(), self.endless))
            }
            ("GET", ["pulls", number]) => {
                let id = self.at(&repository, number)?;
                self.issues.get(&id).filter(|issue| issue.pull).map(|issue| ok(issue.pull_json(id)))
            }
            ("PATCH", ["pulls", number]) => {
                let id =
                    self.at(&repository, number).filter(|id| self.issues.get(id).is_some_and(|issue| issue.pull))?;
                self.edit_issue(id, &body, now).map(ok)
            }
            ("POST", ["issues"]) => {
                let new = (body["title"].as_str()?, body["body"].as_str().unwrap_or_default(), false);
                let id = self.open(&repository, new, ADA, now);
                Some((201, Vec::new(), self.issues.get(&id)?.json(id)))
            }
            ("PATCH", ["issues", "comments", comment]) => {
                let comment: u64 = comment.parse().ok()?;
                let holds = |issue: &Issue| issue.comments.iter().any(|other| other.id == comment);
                let id = *self.issues.iter().find(|(_, issue)| holds(issue))?.0;
                self.reword(id, |other| other.id == comment, body["body"].as_str()?, now).map(ok)
            }
            ("GET", ["issues", number]) => {
                let id = self.at(&repository, number)?;
                Some(ok(self.issues.get(&id)?.json(id)))
            }
            ("PATCH", ["issues", number]) => {
                let id = self.at(&repository, number)?;
                self.edit_issue(id, &body, now).map(ok)
            }
            ("GET", ["issues", number, "comments"]) => {
                let issue = self.issues.get(&self.at(&repository, number)?)?;
                Some(page(request, issue.comments.iter().map(|comment| comment.json(issue)).collect()))
            }
            ("POST", ["issues", number, "comments"]) => {
                let id = self.at(&repository, number)?;
                let comment = self.comment(id, body["body"].as_str()?, ADA, now)?;
                Some((201, Vec::new(), comment))
            }
            // Who may not see the hooks is told that there are none.
            (_, ["hooks", ..]) if !self.scopes.iter().any(|scope| scope == "admin:repo_hook") => None,
            ("POST", ["hooks"]) => self.register(&repository, &body),
            ("GET", ["hooks"]) => {
                let hooks = self.hooks.iter().filter(|(_, hook)| hook.repository == repository);
                Some(page(request, hooks.map(|(id, hook)| Self::hook_json(*id, hook)).collect()))
            }
            ("DELETE", ["hooks", id]) => {
                self.hooks.remove(&id.parse().ok()?)?;
                Some((204, Vec::new(), Value::Null))
            }
            _ => None,
        }
    }
}

impl ConformanceService for GitHubByHand {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let (status, headers, body) = self.found(request, now).unwrap_or_else(not_found);
        let mut shown = vec![("content-type", "application/json; charset=utf-8")];
        shown.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        FakeService::answer_with(status, &shown, if status == 204 { String::new() } else { body.to_string() })
    }

    fn items(&self) -> Vec<Item> {
        let item = |(id, issue): (&u64, &Issue)| {
            let body = Some(&issue.body).filter(|body| !body.is_empty());
            Item::new(id.to_string(), &issue.repository, &issue.title)
                .status(if issue.merged.is_some() { "merged" } else { &issue.state })
                .created_at(issue.created)
                .notes(body.into_iter().chain(issue.comments.iter().map(|comment| &comment.body)))
        };
        self.issues.iter().map(item).collect()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        // One in three is a pull request.
        let pull = self.issues.len() % 3 == 1;
        self.open(channel, (title, text, pull), BOB, at).to_string()
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Ok(id) = id.parse() else { return false };
        match edit {
            Edit::Title(title) => self.edit_issue(id, &json!({ "title": title }), at).is_some(),
            // Who is elsewhere merges and reopens as the API does.
            Edit::Status(state) if state == "merged" => false,
            Edit::Status(state) => self.edit_issue(id, &json!({ "state": state }), at).is_some(),
            Edit::Note(text) => self.comment(id, text, BOB, at).is_some(),
            // Pull requests cannot be deleted.
            Edit::Delete if self.issues.get(&id).is_some_and(|issue| !issue.pull) => {
                self.push(id, "issues", "deleted");
                self.issues.remove(&id).is_some()
            }
            Edit::Reword { note, text } => self.reword(id, |comment| comment.body == *note, text, at).is_some(),
            _ => false,
        }
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
        // Whoever administers the repository has deleted them.
        self.hooks.clear();
        true
    }

    fn grant(&mut self, scopes: &[String]) {
        self.scopes = scopes.to_vec();
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        let json = [("content-type", "application/json; charset=utf-8")];
        match refusal {
            Refusal::Unauthorized => FakeService::answer_with(401, &json, r#"{"message":"Bad credentials"}"#),
            Refusal::TooMany { seconds } => {
                let seconds = seconds.to_string();
                let headers = [json[0], ("retry-after", seconds.as_str())];
                let said = r#"{"message":"You have exceeded a secondary rate limit."}"#;
                FakeService::answer_with(403, &headers, said)
            }
            Refusal::Failed => FakeService::answer_with(502, &[("content-type", "text/html")], "<html>Unicorn!</html>"),
            _ => FakeService::answer_with(422, &json, r#"{"message":"Validation Failed"}"#),
        }
    }
}
