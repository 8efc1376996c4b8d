//! An emulator of a test's own, and a host with a connection to it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use connector_core::engine::{Engine, LinkQuery, LinkRow, NoteRow};
use connector_core::id::{ChannelId, ConnectionId, UserId};
use connector_core::network::{NetworkPort, Request, UrlRules};
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, LinkUpdate, NewUserNote, Runtime};
use connector_core::secret::Secret;
use connector_core::testing::TestHost;
use connector_host::network::HttpClient;
use connector_linear::Linear;
use http::Method;
use serde_json::{Value, json};

/// Ends with the test.
pub(crate) struct Emulator {
    process: Child,
    environment: HashMap<String, String>,
    client: HttpClient,
}

impl Emulator {
    /// None, with the reason printed, where there is nothing to start one with.
    pub(crate) fn start() -> Option<Self> {
        let Ok(command) = std::env::var("CONNECTOR_EMULATOR_LAUNCH") else {
            println!("not run: it needs a Linear emulator, which `cargo xtask test` provides");
            return None;
        };
        let command: Vec<String> = serde_json::from_str(&command).expect("a JSON array");
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .args(["--services", "linear"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the emulator starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let environment: HashMap<_, _> = lines
            .map(|line| line.expect("a line"))
            .take_while(|line| line != "READY=1")
            .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        Some(Self { process, environment, client: HttpClient::new(true) })
    }

    fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("the emulator did not print {name}"))
    }

    async fn send(&self, method: Method, url: String, body: &Value) -> Value {
        let url: url::Url = url.parse().expect("a URL");
        let mut rules = UrlRules::default();
        rules.push_base(&url.join("/").expect("a URL"));
        let mut request = Request::new(method, url);
        let token = format!("Bearer {}", self.variable("LINEAR_TOKEN"));
        request.headers.insert("authorization", token.parse().expect("a header"));
        if !body.is_null() {
            request.headers.insert("content-type", "application/json".parse().expect("a header"));
            request.body = body.to_string().into();
        }
        let response = self.client.send(request, &rules).await.expect("an answer");
        assert!(response.status.is_success(), "{} {:?}", response.url, response.body);
        response.json().unwrap_or_default()
    }

    /// As someone who works on Linear.
    pub(crate) async fn linear(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        self.send(Method::POST, self.variable("LINEAR_API_URL").to_owned(), &body).await["data"].take()
    }

    /// The emulator's control.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        self.send(method, format!("{}{path}", self.variable("EMU_CONTROL_URL")), &body).await
    }

    /// Everything of a kind that it holds: `issues`, `comments`.
    pub(crate) async fn all(&self, kind: &str) -> Vec<Value> {
        let store = self.control(Method::GET, "/store?service=linear", Value::Null).await;
        store[format!("linear.{kind}")]["items"].as_array().expect("items").clone()
    }

    /// The issue with this identifier, as it is now.
    pub(crate) async fn issue(&self, identifier: &str) -> Value {
        let fields = "id identifier title description priority state { id } assignee { id } labels { nodes { name } } \
                      comments(first: 100) { nodes { id body user { id } } }";
        let query = format!("query($id: String!) {{ issue(id: $id) {{ {fields} }} }}");
        self.linear(&query, json!({ "id": identifier })).await["issue"].take()
    }

    /// The id of a team.
    pub(crate) async fn team(&self, key: &str) -> String {
        let teams = self.all("teams").await;
        let team = teams.iter().find(|team| team["key"] == key).expect("the team is there");
        team["linear_id"].as_str().expect("an id").to_owned()
    }

    /// A host with a connection that has synced this team.
    pub(crate) async fn synced(&self, team: &str) -> Synced {
        let registry = Registry::of::<Linear>().expect("the connector is sound");
        let host =
            TestHost::with_network(registry, HttpClient::new(true)).api_url("linear", self.variable("LINEAR_API_URL"));
        let mut request = ConnectRequest::new("linear", "ada");
        request.token = Some(Secret::new(self.variable("LINEAR_TOKEN")));
        request.options = json!({ "history_days": 3650 }).as_object().expect("an object").clone();
        let connection = host.run(host.runtime().connect(request)).await.expect("the token is good").id;
        let synced = Synced { host, connection, team: ChannelId::new(self.team(team).await) };
        synced.host.run(synced.runtime().channels(connection)).await.expect("the teams can be listed");
        let enabled = synced.runtime().enable_channel(connection, &synced.team, ChannelUpdate::default()).await;
        enabled.expect("it can be enabled");
        synced.host.settle().await;
        synced
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("the emulator ends");
    }
}

pub(crate) fn ada() -> UserId {
    UserId::from_static("ada")
}

/// A host with a connection and one team.
pub(crate) struct Synced {
    pub(crate) host: TestHost,
    pub(crate) connection: ConnectionId,
    pub(crate) team: ChannelId,
}

impl Synced {
    pub(crate) fn runtime(&self) -> &Runtime {
        self.host.runtime()
    }

    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.runtime().ports().engine)
    }

    /// Looks for changes, to the end.
    pub(crate) async fn sync(&self) {
        self.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    /// The links of the team, archived ones too.
    pub(crate) async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(10_000);
        query.channel = Some(self.team.clone());
        query.archived = true;
        self.engine().links(query).await.expect("the store works")
    }

    pub(crate) async fn link(&self, identifier: &str) -> LinkRow {
        let links = self.links().await;
        let found = links.into_iter().find(|row| row.link.raw_meta["identifier"] == identifier);
        found.unwrap_or_else(|| panic!("{identifier} was not saved"))
    }

    pub(crate) async fn notes(&self, link: &LinkRow) -> Vec<NoteRow> {
        let notes = self.engine().notes_of_link(link.link.id).await.expect("the store works");
        notes.into_iter().filter(|row| !row.note.archived).collect()
    }

    /// What a user changes, to the end.
    pub(crate) async fn update(&self, link: &LinkRow, update: LinkUpdate) {
        self.runtime().update_link(link.link.id, &ada(), update).await.expect("it is stored");
        self.host.settle().await;
    }

    /// What a user replies, to the end.
    pub(crate) async fn reply(&self, link: &LinkRow, content: &str) -> NoteRow {
        let new =
            NewUserNote { user: ada(), content: content.to_owned(), link: Some(link.link.id), recipients: Vec::new() };
        let note = self.runtime().create_note(link.link.thread, new).await.expect("it is stored");
        self.host.settle().await;
        self.notes(link).await.into_iter().find(|row| row.note.id == note.id).expect("the note is there")
    }
}
