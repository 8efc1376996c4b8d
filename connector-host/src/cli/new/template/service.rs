//! The connector against a service in memory. It answers what this file says, and no more: check it against the real
//! one, or take answers that you recorded there.

use std::sync::{Arc, Mutex};

use connector_acme::Acme;
use connector_core::engine::{LinkQuery, LinkRow, NoteRow};
use connector_core::id::{ChannelId, ConnectionId, LinkTypeId, StatusId, UserId};
use connector_core::model::Delivery;
use connector_core::network::{Request, Response};
use connector_core::prelude::Timestamp;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, Compose, ConnectRequest, LinkUpdate, NewUserNote};
use connector_core::secret::Secret;
use connector_core::testing::{FakeService, TestHost};
use serde_json::{Value, json};

/// One list, with its tasks.
#[derive(Default)]
struct Service {
    tasks: Vec<Value>,
    changes: i64,
}

impl Service {
    /// The time of the next change.
    fn tick(&mut self) -> String {
        self.changes += 1;
        Timestamp::from_second(1_767_000_000 + self.changes).unwrap().to_string()
    }

    fn create(&mut self, title: &str, comment: Option<&str>) -> Value {
        let (id, at) = (self.tasks.len() + 1, self.tick());
        self.tasks.push(json!({
            "id": id, "title": title, "done": false, "author": ada(), "created_at": at, "updated_at": at, "comments": [],
        }));
        if let Some(comment) = comment {
            self.comment(id, comment);
        }
        self.tasks[id - 1].clone()
    }

    fn comment(&mut self, id: usize, text: &str) -> Value {
        let at = self.tick();
        let task = &mut self.tasks[id - 1];
        let comments = task["comments"].as_array_mut().unwrap();
        let comment = json!({ "id": 100 * id + comments.len(), "text": text, "author": ada(), "created_at": at });
        comments.push(comment.clone());
        task["updated_at"] = json!(at);
        comment
    }

    fn answer(&mut self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let parts: Vec<_> = request.url.path_segments().unwrap().collect();
        let query = |name: &str| request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let answer = match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["me"]) => ada(),
            ("GET", ["lists"]) => json!([{ "id": "home", "name": "Home" }]),
            ("GET", ["lists", "home", "tasks"]) => {
                let page: usize = query("page").unwrap().parse().unwrap();
                let since: Timestamp = query("updated_since").unwrap().parse().unwrap();
                let updated = |task: &Value| task["updated_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
                let mut found: Vec<_> = self.tasks.iter().filter(|task| updated(task) >= since).collect();
                found.sort_by_key(|task| updated(task));
                json!(found.chunks(2).nth(page - 1).unwrap_or_default())
            }
            ("POST", ["lists", "home", "tasks"]) => {
                self.create(body["title"].as_str().unwrap(), body["comment"].as_str())
            }
            ("PATCH", ["tasks", id]) => {
                let (id, at) = (id.parse::<usize>().unwrap(), self.tick());
                let task = self.tasks[id - 1].as_object_mut().unwrap();
                task.extend(body.as_object().unwrap().clone());
                task.insert("updated_at".to_owned(), json!(at));
                Value::Null
            }
            ("POST", ["tasks", id, "comments"]) => self.comment(id.parse().unwrap(), body["text"].as_str().unwrap()),
            _ => return FakeService::answer(404, "{}"),
        };
        FakeService::answer(200, answer.to_string())
    }
}

fn ada() -> Value {
    json!({ "id": 7, "name": "Ada" })
}

/// A host with a connection that has synced the list.
struct Synced {
    host: TestHost,
    connection: ConnectionId,
    service: Arc<Mutex<Service>>,
}

async fn synced(service: Service) -> Synced {
    let service = Arc::new(Mutex::new(service));
    let held = Arc::clone(&service);
    let network = FakeService::new(move |request| held.lock().unwrap().answer(request));
    let host = TestHost::with_network(Registry::of::<Acme>().unwrap(), network);
    let mut request = ConnectRequest::new("acme", "ada");
    request.token = Some(Secret::new("t0ken"));
    let connection = host.run(host.runtime().connect(request)).await.unwrap().id;
    host.run(host.runtime().channels(connection)).await.unwrap();
    let list = ChannelId::from_static("home");
    host.runtime().enable_channel(connection, &list, ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    Synced { host, connection, service }
}

impl Synced {
    async fn sync(&self) {
        self.host.runtime().sync_now(self.connection).await.unwrap();
        self.host.settle().await;
    }

    async fn links(&self) -> Vec<LinkRow> {
        let mut links = self.host.runtime().ports().engine.links(LinkQuery::all(100)).await.unwrap();
        links.sort_by_key(|row| row.link.occurred_at);
        links
    }

    async fn notes(&self, row: &LinkRow) -> Vec<NoteRow> {
        self.host.runtime().ports().engine.notes_of_link(row.link.id).await.unwrap()
    }
}

#[tokio::test]
async fn tasks_and_their_changes_arrive() {
    let mut service = Service::default();
    for title in ["Cook", "Wash", "Iron"] {
        service.create(title, Some("soon"));
    }
    let synced = synced(service).await;
    let titles: Vec<_> = synced.links().await.into_iter().filter_map(|row| row.link.title).collect();
    assert_eq!(titles, ["Cook", "Wash", "Iron"]);

    synced.service.lock().unwrap().comment(1, "now");
    synced.sync().await;
    let cook = &synced.links().await[0];
    assert_eq!(synced.notes(cook).await.len(), 2);
}

#[tokio::test]
async fn what_a_user_does_arrives_once() {
    let mut service = Service::default();
    service.create("Cook", None);
    let synced = synced(service).await;
    let (runtime, ada) = (synced.host.runtime(), UserId::from_static("ada"));
    let cook = synced.links().await.remove(0);

    let done = LinkUpdate { status: Some(StatusId::from_static("done")), ..LinkUpdate::default() };
    runtime.update_link(cook.link.id, &ada, done).await.unwrap();
    let reply = NewUserNote {
        user: ada.clone(),
        content: "It is.".to_owned(),
        link: None,
        recipients: Vec::new(),
        attachments: Vec::new(),
    };
    runtime.create_note(cook.link.thread, reply).await.unwrap();
    let compose = Compose {
        user: ada,
        connection: synced.connection,
        channel: Some(ChannelId::from_static("home")),
        link_type: LinkTypeId::from_static("task"),
        status: None,
        title: "Eat".to_owned(),
        content: Some("all of it".to_owned()),
        recipients: Vec::new(),
        attachments: Vec::new(),
    };
    runtime.compose(compose).await.unwrap();
    synced.host.settle().await;
    synced.sync().await;

    {
        let service = synced.service.lock().unwrap();
        assert_eq!(service.tasks.len(), 2);
        assert_eq!((&service.tasks[0]["done"], &service.tasks[0]["comments"][0]["text"]), (&json!(true), &json!("It is.")));
        assert_eq!((&service.tasks[1]["title"], &service.tasks[1]["comments"][0]["text"]), (&json!("Eat"), &json!("all of it")));
    }
    assert_eq!(synced.links().await.len(), 2);
    let notes = synced.notes(&cook).await;
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].note.delivery, Some(Delivery::Delivered));
}
