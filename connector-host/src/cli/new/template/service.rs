//! The connector against a service in memory: the life of a connector with everything that can go wrong in it. The
//! service answers what this file says, and no more: check it against the real one, or take answers that you recorded
//! there.

use connector_acme::Acme;
use connector_core::network::{Request, Response};
use connector_core::prelude::Timestamp;
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{ConformanceService, Edit, Item};
use serde_json::{Value, json};

/// Tasks that the service gives at a time.
const PAGE: usize = 3;

/// Two lists, with their tasks.
#[derive(Default)]
struct Service {
    tasks: Vec<Value>,
    comments: u64,
}

impl Service {
    fn task(&mut self, list: &str, title: &str, author: &str, at: Timestamp) -> usize {
        let id = self.tasks.len();
        self.tasks.push(json!({
            "id": id, "list": list, "title": title, "done": false, "author": user(author),
            "created_at": at, "updated_at": at, "comments": [],
        }));
        id
    }

    fn comment(&mut self, id: usize, text: &str, author: &str, at: Timestamp) -> Option<Value> {
        self.comments += 1;
        let comment = json!({ "id": self.comments, "text": text, "author": user(author), "created_at": at });
        let task = self.tasks.get_mut(id)?;
        task["comments"].as_array_mut()?.push(comment.clone());
        change(task, json!({}), at);
        Some(comment)
    }

    fn found(&mut self, request: &Request, now: Timestamp) -> Option<Value> {
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let parts: Vec<_> = request.url.path_segments()?.collect();
        let query = |name: &str| request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        Some(match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["me"]) => user("ada"),
            ("GET", ["lists"]) => json!([{ "id": "home", "name": "Home" }, { "id": "work", "name": "Work" }]),
            ("GET", ["lists", list, "tasks"]) => {
                let (page, since): (usize, Timestamp) = (query("page")?.parse().ok()?, query("updated_since")?.parse().ok()?);
                let updated = |task: &&Value| time(&task["updated_at"]);
                let mut found: Vec<_> = self.tasks.iter().filter(|task| task["list"] == *list && updated(task) >= since).collect();
                found.sort_by_key(updated);
                json!(found.chunks(PAGE).nth(page - 1).unwrap_or_default())
            }
            ("POST", ["lists", list, "tasks"]) => {
                let id = self.task(list, body["title"].as_str()?, "ada", now);
                if let Some(comment) = body["comment"].as_str() {
                    self.comment(id, comment, "ada", now);
                }
                self.tasks[id].clone()
            }
            ("PATCH", ["tasks", id]) => {
                let task = self.tasks.get_mut(id.parse::<usize>().ok()?)?;
                change(task, body, now);
                task.clone()
            }
            ("POST", ["tasks", id, "comments"]) => self.comment(id.parse().ok()?, body["text"].as_str()?, "ada", now)?,
            _ => return None,
        })
    }
}

fn user(name: &str) -> Value {
    json!({ "id": name.len(), "name": name })
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn change(task: &mut Value, change: Value, at: Timestamp) {
    let at = at.max(time(&task["updated_at"]));
    let task = task.as_object_mut().unwrap();
    task.extend(change.as_object().unwrap().clone());
    task.insert("updated_at".to_owned(), json!(at));
}

impl ConformanceService for Service {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        match self.found(request, now) {
            Some(found) => FakeService::answer(200, found.to_string()),
            None => FakeService::answer(404, "{}"),
        }
    }

    fn items(&self) -> Vec<Item> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let item = |task: &Value| {
            Item::new(task["id"].to_string(), text(&task["list"]), text(&task["title"]))
                .status(if task["done"] == true { "done" } else { "open" })
                .notes(task["comments"].as_array().unwrap().iter().map(|comment| text(&comment["text"])))
                .created_at(time(&task["created_at"]))
        };
        self.tasks.iter().map(item).collect()
    }

    fn create(&mut self, list: &str, title: &str, comment: &str, at: Timestamp) -> String {
        let id = self.task(list, title, "grace", at);
        self.comment(id, comment, "grace", at);
        id.to_string()
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let id: usize = id.parse().unwrap();
        match edit {
            Edit::Title(title) => change(&mut self.tasks[id], json!({ "title": title }), at),
            Edit::Status(status) => change(&mut self.tasks[id], json!({ "done": status == "done" }), at),
            Edit::Note(text) => drop(self.comment(id, text, "grace", at)),
            // What the service does not have.
            _ => return false,
        }
        true
    }
}

connector_core::conformance!(Acme, Service::default());
