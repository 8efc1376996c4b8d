use std::collections::BTreeMap;

use connector_core::network::{Request, Response};
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{ConformanceService, Edit, Item};
use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

const REPOSITORIES: [&str; 2] = ["octo/one", "octo/two"];

/// The account that the connector acts as, and someone else.
const ADA: (u64, &str) = (7, "ada");
const GRACE: (u64, &str) = (8, "grace");

/// Issues of two repositories, numbered in each.
#[derive(Default)]
pub(crate) struct GitHubInMemory {
    issues: BTreeMap<(String, u64), Issue>,
    hooks: BTreeMap<u64, String>,
    last_id: u64,
}

struct Issue {
    id: u64,
    title: String,
    body: String,
    state: String,
    author: (u64, &'static str),
    created: Timestamp,
    updated: Timestamp,
    comments: Vec<Value>,
}

fn user((id, login): (u64, &str)) -> Value {
    json!({ "id": id, "login": login, "type": "User", "avatar_url": null })
}

/// GitHub tells times in whole seconds.
fn seconds(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).expect("a time that can be rounded")
}

impl GitHubInMemory {
    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn open(&mut self, repository: &str, title: &str, body: &str, author: (u64, &'static str), at: Timestamp) -> u64 {
        let number = self.issues.keys().filter(|(of, _)| of == repository).count() as u64 + 1;
        let at = seconds(at);
        let issue = Issue {
            id: self.id(),
            title: title.to_owned(),
            body: body.to_owned(),
            state: "open".to_owned(),
            author,
            created: at,
            updated: at,
            comments: Vec::new(),
        };
        self.issues.insert((repository.to_owned(), number), issue);
        number
    }

    fn comment(&mut self, key: &(String, u64), body: &str, author: (u64, &str), at: Timestamp) -> Option<Value> {
        let id = self.id();
        let issue = self.issues.get_mut(key)?;
        issue.updated = seconds(at);
        let comment = json!({
            "id": id, "body": body, "user": user(author), "html_url": format!("https://github.com/comments/{id}"),
            "created_at": seconds(at), "updated_at": seconds(at), "reactions": { "total_count": 0 },
        });
        issue.comments.push(comment.clone());
        Some(comment)
    }

    fn shown(&self, repository: &str, number: u64) -> Option<Value> {
        let issue = self.issues.get(&(repository.to_owned(), number))?;
        Some(json!({
            "id": issue.id, "number": number, "title": issue.title, "state": issue.state, "body": issue.body,
            "html_url": format!("https://github.com/{repository}/issues/{number}"), "user": user(issue.author),
            "assignee": null, "labels": [], "milestone": null, "comments": issue.comments.len(),
            "created_at": issue.created, "updated_at": issue.updated, "reactions": { "total_count": 0 },
        }))
    }

    /// One page of the issues that have changed since, newest change first, and whether more follow.
    fn list(&self, repository: &str, query: &BTreeMap<String, String>) -> (Value, bool) {
        let number = |name: &str, otherwise: usize| query.get(name).and_then(|n| n.parse().ok()).unwrap_or(otherwise);
        let (page, size) = (number("page", 1), number("per_page", 30));
        let since: Timestamp = query.get("since").and_then(|since| since.parse().ok()).unwrap_or(Timestamp::MIN);
        let changed = self.issues.iter().filter(|((of, _), issue)| of == repository && issue.updated >= since);
        let mut changed: Vec<_> = changed.map(|((_, number), issue)| (issue.updated, *number)).collect();
        changed.sort_unstable_by(|left, right| right.cmp(left));
        let shown = changed.iter().skip((page - 1) * size).take(size);
        let shown: Vec<_> = shown.filter_map(|(_, number)| self.shown(repository, *number)).collect();
        (json!(shown), changed.len() > page * size)
    }

    fn found(&mut self, request: &Request, now: Timestamp) -> Option<Value> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let path: Vec<_> = request.url.path().split('/').skip(1).collect();
        let (repository, rest) = match path.as_slice() {
            ["repos", owner, name, rest @ ..] => (format!("{owner}/{name}"), rest),
            ["user"] => return Some(user(ADA)),
            ["user", "orgs"] => return Some(json!([])),
            ["user", "repos"] => {
                return Some(json!(REPOSITORIES.map(|name| json!({ "full_name": name, "description": null }))));
            }
            _ => return None,
        };
        let key = |number: &str| Some((repository.clone(), number.parse().ok()?));
        match (request.method.as_str(), rest) {
            ("GET", ["pulls"]) => Some(json!([])),
            ("GET", ["issues", number]) => self.shown(&repository, number.parse().ok()?),
            ("GET", ["issues", number, "comments"]) => Some(json!(self.issues.get(&key(number)?)?.comments)),
            ("POST", ["issues"]) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                let number = self.open(&repository, &text("title"), &text("body"), ADA, now);
                self.shown(&repository, number)
            }
            ("PATCH", ["issues", number]) => {
                let issue = self.issues.get_mut(&key(number)?)?;
                for (field, value) in [(&mut issue.title, &body["title"]), (&mut issue.state, &body["state"])] {
                    if let Some(value) = value.as_str() {
                        value.clone_into(field);
                    }
                }
                issue.updated = seconds(now);
                self.shown(&repository, number.parse().ok()?)
            }
            ("POST", ["issues", number, "comments"]) => self.comment(&key(number)?, body["body"].as_str()?, ADA, now),
            ("POST", ["hooks"]) => {
                let id = self.id();
                self.hooks.insert(id, body["config"]["url"].as_str()?.to_owned());
                Some(json!({ "id": id }))
            }
            ("DELETE", ["hooks", id]) => self.hooks.remove(&id.parse().ok()?).map(|_| Value::Null),
            _ => None,
        }
    }
}

impl ConformanceService for GitHubInMemory {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let query: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        let path = request.url.path();
        if let Some(repository) = path.strip_prefix("/repos/").and_then(|path| path.strip_suffix("/issues"))
            && request.method == "GET"
        {
            let (page, more) = self.list(repository, &query);
            let number = query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
            let mut next = request.url.clone();
            next.query_pairs_mut().clear().extend_pairs(query.iter().filter(|(name, _)| *name != "page"));
            next.query_pairs_mut().append_pair("page", &(number + 1).to_string());
            let link = if more { format!("<{next}>; rel=\"next\"") } else { String::new() };
            return FakeService::answer_with(200, &[("link", &link)], page.to_string());
        }
        match self.found(request, now) {
            Some(found) => FakeService::answer(200, found.to_string()),
            None => FakeService::answer(404, r#"{"message":"Not Found"}"#),
        }
    }

    fn items(&self) -> Vec<Item> {
        let item = |((repository, number), issue): (&(String, u64), &Issue)| {
            let comments = issue.comments.iter().filter_map(|comment| comment["body"].as_str());
            Item::new(format!("{repository}#{number}"), repository, &issue.title)
                .status(&issue.state)
                .created_at(issue.created)
                .notes(std::iter::once(issue.body.as_str()).chain(comments))
        };
        self.issues.iter().map(item).collect()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        format!("{channel}#{}", self.open(channel, title, text, GRACE, at))
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Some((repository, number)) = id.split_once('#') else { return false };
        let key = (repository.to_owned(), number.parse().expect("a number"));
        let Some(issue) = self.issues.get_mut(&key) else { return false };
        match edit {
            Edit::Title(title) => issue.title.clone_from(title),
            Edit::Status(status) => issue.state.clone_from(status),
            Edit::Note(text) => return self.comment(&key, text, GRACE, at).is_some(),
            _ => return false,
        }
        issue.updated = seconds(at);
        true
    }

    fn registrations(&self) -> Vec<String> {
        self.hooks.values().cloned().collect()
    }
}
