//! Linear's GraphQL API in memory, written by hand after its schema
//! (<https://github.com/linear/linear/blob/master/packages/sdk/src/schema.graphql>) and its pages on webhooks and
//! errors (<https://linear.app/developers>): teams with workflow states of their own, issues, comments, webhooks. Not
//! Linear (L28): each query and each answer is compared with the schema (`tests/described`), and the same connector runs
//! against an emulator that others wrote in `tests/emulator`, which has no filters by time.

use std::collections::BTreeMap;

use connector_core::network::{Request, Response};
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{ConformanceService, Edit, Endless, Item, Push, Refusal};
use jiff::Timestamp;
use serde_json::{Value, json};

const TEAMS: [(&str, &str); 2] = [("team-eng", "ENG"), ("team-ops", "OPS")];
const STATES: [&str; 5] = ["backlog", "unstarted", "started", "completed", "canceled"];

/// Who authorized, and who else there is.
const ADA: &str = "ada";
const BOB: &str = "bob";

#[derive(Default)]
pub(crate) struct LinearByHand {
    issues: BTreeMap<String, Issue>,
    webhooks: BTreeMap<String, Webhook>,
    /// The last id that was given, to whatever it was.
    last: u64,
    pushed: Vec<Push>,
    scopes: Vec<String>,
    endless: Option<Endless>,
}

struct Issue {
    team: String,
    number: u64,
    title: String,
    description: String,
    /// The id of its state.
    state: String,
    creator: &'static str,
    created: Timestamp,
    updated: Timestamp,
    comments: Vec<Comment>,
}

struct Comment {
    id: String,
    body: String,
    user: &'static str,
    created: Timestamp,
    updated: Timestamp,
}

struct Webhook {
    team: String,
    url: String,
    secret: String,
    types: Value,
}

/// What a request is refused with, in GraphQL's words.
struct Refused(&'static str, &'static str);

fn not_found() -> Refused {
    Refused("INVALID_INPUT", "Entity not found")
}

/// Linear knows milliseconds.
fn millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).expect("a time")
}

fn user(id: &str) -> Value {
    json!({ "id": id, "name": id, "displayName": id, "email": format!("{id}@acme.test"), "avatarUrl": null })
}

/// The id of a state of this kind in a team.
fn state(team: &str, kind: &str) -> String {
    format!("{team}-{kind}")
}

fn state_json(team: &str, kind: &str) -> Value {
    json!({ "id": state(team, kind), "name": kind, "type": kind, "position": 1.0 })
}

/// A connection in the sense of Relay, after this cursor.
fn connection(nodes: &[Value], first: usize, after: &Value) -> Value {
    connection_of(nodes, first, after, None)
}

/// The same, of a list that may have no end.
fn connection_of(nodes: &[Value], first: usize, after: &Value, endless: Option<Endless>) -> Value {
    let start: usize = after.as_str().map_or(0, |after| after.parse().expect("a cursor"));
    let last = nodes.len().saturating_sub(1) / first * first;
    let page: Vec<_> = nodes.iter().skip(start.min(last)).take(first).cloned().collect();
    let (end, more) = match endless {
        None => (start + page.len(), start + page.len() < nodes.len()),
        Some(Endless::Itself) => (start, true),
        Some(Endless::First) => (if start >= last { 0 } else { start + first }, true),
        Some(_) => (start + first, true),
    };
    json!({ "nodes": page, "pageInfo": { "hasNextPage": more, "endCursor": end.to_string() } })
}

impl Comment {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "body": self.body, "createdAt": self.created, "updatedAt": self.updated, "user": user(self.user),
            "url": format!("https://linear.app/acme/comment/{}", self.id), "parent": null, "botActor": null, "externalUser": null,
        })
    }
}

impl Issue {
    fn json(&self, id: &str) -> Value {
        let kind =
            self.state.strip_prefix(&self.team).and_then(|kind| kind.strip_prefix('-')).expect("a state of the team");
        let comments: Vec<_> = self.comments.iter().map(Comment::json).collect();
        let identifier = format!("{}-{}", self.team.trim_start_matches("team-").to_uppercase(), self.number);
        json!({
            "id": id, "identifier": identifier, "title": self.title, "description": self.description, "priority": 0.0,
            "url": format!("https://linear.app/acme/issue/{identifier}"), "createdAt": self.created, "updatedAt": self.updated,
            "dueDate": null, "team": { "id": self.team }, "state": { "id": self.state, "type": kind },
            "creator": user(self.creator), "assignee": null, "labels": { "nodes": [] }, "project": null, "trashed": null,
            "botActor": null, "externalUserCreator": null, "attachments": { "nodes": [] },
            "comments": connection(&comments, 50, &Value::Null),
        })
    }
}

impl LinearByHand {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn id(&mut self) -> String {
        self.last += 1;
        format!("00000000-0000-4000-8000-{:012}", self.last)
    }

    /// Tells the webhooks of the issue's team.
    fn push(&mut self, id: &str, kind: &str, action: &str, data: &Value) {
        let Some(issue) = self.issues.get(id) else { return };
        let wants =
            |hook: &Webhook| hook.types.as_array().is_some_and(|types| types.iter().any(|wanted| wanted == kind));
        let hooks = self.webhooks.values().filter(|hook| hook.team == issue.team && wants(hook));
        let to: Vec<_> = hooks.map(|hook| (hook.url.clone(), hook.secret.clone())).collect();
        for (url, secret) in to {
            let delivery = self.id();
            let body = json!({ "action": action, "type": kind, "data": data, "webhookId": delivery }).to_string();
            let push = Push::new(url, body).signed("Linear-Signature", "", &secret);
            self.pushed.push(push.header("Linear-Delivery", delivery).header("Linear-Event", kind));
        }
    }

    fn open(
        &mut self,
        team: &str,
        title: &str,
        description: &str,
        state: String,
        creator: &'static str,
        at: Timestamp,
    ) -> String {
        let (id, at) = (self.id(), millis(at));
        let number = self.issues.values().filter(|issue| issue.team == team).count() as u64 + 1;
        let (team, title, description) = (team.to_owned(), title.to_owned(), description.to_owned());
        let issue =
            Issue { team, number, title, description, state, creator, created: at, updated: at, comments: Vec::new() };
        self.issues.insert(id.clone(), issue);
        self.push(&id, "Issue", "create", &json!({ "id": id }));
        id
    }

    fn change(&mut self, id: &str, input: &Value, at: Timestamp) -> Result<Value, Refused> {
        let issue = self.issues.get_mut(id).ok_or_else(not_found)?;
        let fields =
            [("title", &mut issue.title), ("description", &mut issue.description), ("stateId", &mut issue.state)];
        for (name, field) in fields {
            if let Some(text) = input[name].as_str() {
                *field = text.to_owned();
            }
        }
        issue.updated = issue.updated.max(millis(at));
        self.push(id, "Issue", "update", &json!({ "id": id }));
        Ok(json!({ "success": true }))
    }

    fn comment(&mut self, issue: &str, body: &str, user: &'static str, at: Timestamp) -> Result<Value, Refused> {
        let (id, at) = (self.id(), millis(at));
        let held = self.issues.get_mut(issue).ok_or_else(not_found)?;
        held.comments.push(Comment { id: id.clone(), body: body.to_owned(), user, created: at, updated: at });
        held.updated = held.updated.max(at);
        let json = held.comments.last().map(Comment::json);
        self.push(issue, "Comment", "create", &json!({ "id": id, "issueId": issue }));
        json.ok_or_else(not_found)
    }

    fn reword(&mut self, is: impl Fn(&Comment) -> bool, body: &str, at: Timestamp) -> Result<Value, Refused> {
        let at = millis(at);
        for (id, issue) in &mut self.issues {
            let Some(comment) = issue.comments.iter_mut().find(|comment| is(comment)) else { continue };
            (comment.body, comment.updated) = (body.to_owned(), at);
            issue.updated = issue.updated.max(at);
            let (id, json) = (id.clone(), comment.json());
            self.push(&id, "Comment", "update", &json!({ "id": json["id"], "issueId": id }));
            return Ok(json);
        }
        Err(not_found())
    }

    /// Issues: the last change first where a query asks for that order, else the newest first.
    fn listed(&self, query: &str, keep: impl Fn(&str, &Issue) -> bool) -> Vec<Value> {
        let by_change = query.contains("orderBy: updatedAt");
        let order = |issue: &Issue| if by_change { issue.updated } else { issue.created };
        let mut found: Vec<_> = self.issues.iter().filter(|(id, issue)| keep(id.as_str(), issue)).collect();
        found.sort_by_key(|(id, issue)| std::cmp::Reverse((order(issue), id.as_str())));
        found.into_iter().map(|(id, issue)| issue.json(id)).collect()
    }

    fn run(&mut self, query: &str, variables: &Value, now: Timestamp) -> Result<Value, Refused> {
        let (input, after) = (&variables["input"], &variables["after"]);
        let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
        let admin = self.scopes.iter().any(|scope| scope == "admin");
        Ok(match operation(query) {
            "viewer" => json!({ "viewer": user(ADA) }),
            "teams" => {
                let teams = TEAMS.map(|(id, key)| {
                    let states: Vec<_> = STATES.iter().map(|kind| state_json(id, kind)).collect();
                    json!({ "id": id, "key": key, "name": key, "states": { "nodes": states } })
                });
                json!({ "teams": connection(&teams, 50, after) })
            }
            "team" if query.contains("webhooks(") => {
                if !admin {
                    return Err(Refused("FORBIDDEN", "You need to be an admin"));
                }
                let of = self.webhooks.iter().filter(|(_, hook)| variables["team"] == hook.team);
                let nodes: Vec<_> = of.map(|(id, hook)| json!({ "id": id, "url": hook.url })).collect();
                json!({ "team": { "webhooks": { "nodes": nodes } } })
            }
            "team" => {
                let since = variables["filter"]["updatedAt"]["gte"].as_str();
                let since: Timestamp = since.map_or(Timestamp::UNIX_EPOCH, |since| since.parse().expect("a time"));
                let issues = self.listed(query, |_, issue| variables["team"] == issue.team && issue.updated >= since);
                json!({ "team": { "issues": connection_of(&issues, 25, after, self.endless) } })
            }
            "issues" => {
                let ids = variables["filter"]["id"]["in"].as_array().expect("a filter");
                json!({ "issues": connection(&self.listed(query, |id, _| ids.iter().any(|wanted| wanted == id)), 25, after) })
            }
            "issue" => {
                let issue = self.issues.get(variables["id"].as_str().unwrap_or_default()).ok_or_else(not_found)?;
                let comments: Vec<_> = issue.comments.iter().map(Comment::json).collect();
                json!({ "issue": { "comments": connection(&comments, 50, after) } })
            }
            "issueCreate" => {
                let team = text("teamId");
                let in_state = input["stateId"].as_str().map_or_else(|| state(&team, "backlog"), str::to_owned);
                let id = self.open(&team, &text("title"), &text("description"), in_state, ADA, now);
                json!({ "issueCreate": { "issue": self.issues.get(&id).map(|issue| issue.json(&id)) } })
            }
            "issueUpdate" => {
                json!({ "issueUpdate": self.change(variables["id"].as_str().unwrap_or_default(), input, now)? })
            }
            "commentCreate" => {
                json!({ "saved": { "comment": self.comment(&text("issueId"), &text("body"), ADA, now)? } })
            }
            "commentUpdate" => {
                let comment = self.reword(|comment| variables["id"] == comment.id, &text("body"), now)?;
                json!({ "saved": { "comment": comment } })
            }
            "webhookCreate" | "webhookDelete" if !admin => return Err(Refused("FORBIDDEN", "You need to be an admin")),
            "webhookCreate" => {
                let id = self.id();
                let types = input["resourceTypes"].clone();
                let hook = Webhook { team: text("teamId"), url: text("url"), secret: text("secret"), types };
                self.webhooks.insert(id.clone(), hook);
                json!({ "webhookCreate": { "webhook": { "id": id } } })
            }
            "webhookDelete" => {
                let id = variables["id"].as_str().unwrap_or_default();
                self.webhooks.remove(id).ok_or_else(not_found)?;
                json!({ "webhookDelete": { "success": true } })
            }
            other => panic!("Linear was not expected to be asked for {other}"),
        })
    }
}

/// The field that a query asks for.
fn operation(query: &str) -> &str {
    let field = query.split_once('{').map_or("", |(_, rest)| rest.trim_start());
    // An alias stands before it.
    let field = field.strip_prefix("saved:").map_or(field, str::trim_start);
    field.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

fn sent(request: &Request) -> Value {
    serde_json::from_slice(&request.body.bytes().unwrap_or_default()).expect("JSON")
}

fn refused(refusal: &Refused) -> Response {
    let error =
        json!({ "message": refusal.1, "extensions": { "code": refusal.0, "userPresentableMessage": refusal.1 } });
    FakeService::answer(400, json!({ "errors": [error] }).to_string())
}

impl ConformanceService for LinearByHand {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let body = sent(request);
        let ran = self.run(body["query"].as_str().expect("a query"), &body["variables"], now);
        let answer = ran.as_ref().map_or_else(|_| json!({ "errors": [] }), |data| json!({ "data": data }));
        crate::described::check(&body, &answer);
        match ran {
            Ok(_) => FakeService::answer(200, answer.to_string()),
            Err(refusal) => refused(&refusal),
        }
    }

    fn items(&self) -> Vec<Item> {
        let item = |(id, issue): (&String, &Issue)| {
            let description = Some(&issue.description).filter(|text| !text.is_empty());
            Item::new(id, &issue.team, &issue.title)
                .status(&issue.state)
                .created_at(issue.created)
                .notes(description.into_iter().chain(issue.comments.iter().map(|comment| &comment.body)))
        };
        self.issues.iter().map(item).collect()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        self.open(channel, title, text, state(channel, "unstarted"), BOB, at)
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        match edit {
            Edit::Title(title) => self.change(id, &json!({ "title": title }), at).is_ok(),
            Edit::Status(state) => self.change(id, &json!({ "stateId": state }), at).is_ok(),
            Edit::Note(text) => self.comment(id, text, BOB, at).is_ok(),
            Edit::Reword { note, text } => self.reword(|comment| comment.body == *note, text, at).is_ok(),
            Edit::Delete => {
                self.push(id, "Issue", "remove", &json!({ "id": id }));
                self.issues.remove(id).is_some()
            }
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
        self.webhooks.values().map(|hook| hook.url.clone()).collect()
    }

    fn lose_registrations(&mut self) -> bool {
        // Linear disables those that it could not deliver to, and admins delete them.
        self.webhooks.clear();
        true
    }

    fn grant(&mut self, scopes: &[String]) {
        self.scopes = scopes.to_vec();
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        match refusal {
            Refusal::Unauthorized => {
                let error =
                    json!({ "message": "Authentication required", "extensions": { "code": "AUTHENTICATION_ERROR" } });
                FakeService::answer(401, json!({ "errors": [error] }).to_string())
            }
            Refusal::TooMany { seconds } => {
                let error = json!({ "message": "Rate limit exceeded", "extensions": { "code": "RATELIMITED" } });
                let seconds = seconds.to_string();
                let headers = [("content-type", "application/json"), ("retry-after", seconds.as_str())];
                FakeService::answer_with(400, &headers, json!({ "errors": [error] }).to_string())
            }
            Refusal::Failed => FakeService::answer(500, r#"{"errors":[{"message":"Internal server error"}]}"#),
            _ => refused(&Refused("INVALID_INPUT", "Argument Validation Error")),
        }
    }

    fn is_write(&self, request: &Request) -> bool {
        sent(request)["query"].as_str().is_some_and(|query| query.starts_with("mutation"))
    }

    fn describe(&self, request: &Request) -> String {
        operation(sent(request)["query"].as_str().unwrap_or_default()).to_owned()
    }
}
