//! Tasks: <https://developers.google.com/workspace/tasks/reference/rest>.

use connector_core::testing::conformance::{Edit, Endless, Item};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Asked, NOT_FOUND, PAGE};

/// A list of tasks, in the order in which they are shown: the newest first.
#[derive(Default)]
pub(crate) struct TaskList {
    pub(crate) tasks: Vec<Value>,
    pub(super) endless: Option<Endless>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn updated(task: &Value) -> Timestamp {
    text(&task["updated"]).parse().expect("a time")
}

impl TaskList {
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Value> {
        self.tasks.iter_mut().find(|task| task["id"] == id)
    }

    pub(super) fn answer(&mut self, asked: &Asked<'_>, path: &[&str]) -> Answer {
        match (asked.method, path) {
            ("GET", []) => {
                let since: Timestamp = asked.query("updatedMin").and_then(|at| at.parse().ok()).unwrap_or_default();
                let found: Vec<_> = self.tasks.iter().filter(|task| updated(task) >= since).collect();
                // A page begins behind the task that ended the one before.
                let token = asked.query("pageToken").unwrap_or_default();
                let known = found.iter().position(|task| task["id"] == token.trim_start_matches('~'));
                let rest: Vec<_> = found.into_iter().skip(known.map_or(0, |known| known + 1)).collect();
                let mut answer = json!({ "items": rest.iter().take(PAGE).collect::<Vec<_>>() });
                if rest.len() > PAGE {
                    answer["nextPageToken"] = rest[PAGE - 1]["id"].clone();
                }
                match self.endless {
                    // What names no task leads to the first page.
                    Some(Endless::Itself) => {
                        answer["nextPageToken"] = json!(if token.is_empty() { "-" } else { token })
                    }
                    Some(Endless::First) if rest.len() <= PAGE => answer["nextPageToken"] = json!("-"),
                    Some(_) if rest.len() <= PAGE => answer["nextPageToken"] = json!(format!("~{token}")),
                    _ => {}
                }
                Ok(answer)
            }
            ("POST", []) => {
                let id = self.insert(text(&asked.body["title"]), text(&asked.body["notes"]), asked.now);
                self.get_mut(&id).cloned().ok_or(NOT_FOUND)
            }
            ("PATCH", [id]) => {
                let task = self.get_mut(id).ok_or(NOT_FOUND)?;
                task.as_object_mut().expect("an object").extend(asked.body.as_object().cloned().unwrap_or_default());
                task["updated"] = json!(asked.now.to_string());
                Ok(task.clone())
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn insert(&mut self, title: &str, notes: &str, at: Timestamp) -> String {
        let id = format!("k{}", self.tasks.len());
        let task =
            json!({ "id": id, "title": title, "notes": notes, "status": "needsAction", "updated": at.to_string() });
        self.tasks.insert(0, task);
        id
    }

    pub(super) fn create(&mut self, title: &str, notes: &str, at: Timestamp) -> String {
        format!("tasks/{}", self.insert(title, notes, at))
    }

    pub(super) fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Some(task) = self.get_mut(id) else { return false };
        match edit {
            Edit::Title(title) => task["title"] = json!(title),
            Edit::Status(status) => task["status"] = json!(if status == "done" { "completed" } else { "needsAction" }),
            Edit::Delete => task["deleted"] = json!(true),
            _ => return false,
        }
        task["updated"] = json!(at.to_string());
        true
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let item = |task: &Value| {
            let status = if task["status"] == "completed" { "done" } else { "open" };
            let notes = Some(text(&task["notes"])).filter(|notes| !notes.is_empty());
            Item::new(format!("tasks/{}", text(&task["id"])), "tasks:home", text(&task["title"]))
                .status(status)
                .notes(notes)
        };
        self.tasks.iter().filter(|task| task["deleted"] != true).map(item).collect()
    }
}
