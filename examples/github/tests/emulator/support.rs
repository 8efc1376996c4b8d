//! An emulator of a test's own, and a host with a connection to it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use connector_core::engine::{Engine, LinkQuery, LinkRow, NoteRow};
use connector_core::id::{ChannelId, ConnectionId, UserId};
use connector_core::model::Source;
use connector_core::network::{NetworkPort, Request, Response, UrlRules};
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, ConnectRequest, Runtime};
use connector_core::secret::Secret;
use connector_core::testing::TestHost;
use connector_github::GitHub;
use connector_host::network::HttpClient;
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
            println!("not run: it needs a GitHub emulator, which `cargo xtask test` provides");
            return None;
        };
        let command: Vec<String> = serde_json::from_str(&command).expect("a JSON array");
        let mut process = Command::new(&command[0])
            .args(&command[1..])
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

    pub(crate) fn api_url(&self) -> &str {
        self.variable("GITHUB_API_URL")
    }

    pub(crate) fn token(&self) -> &str {
        self.variable("GITHUB_TOKEN")
    }

    async fn send(&self, method: Method, url: String, body: Option<&Value>) -> Response {
        let url: url::Url = url.parse().expect("a URL");
        let mut rules = UrlRules::default();
        rules.push_base(&url.join("/").expect("a URL"));
        let mut request = Request::new(method, url);
        let token = format!("Bearer {}", self.variable("GITHUB_TOKEN"));
        request.headers.insert("authorization", token.parse().expect("a header"));
        request.headers.insert("user-agent", "test".parse().expect("a header"));
        if let Some(body) = body {
            request.headers.insert("content-type", "application/json".parse().expect("a header"));
            request.body = body.to_string().into();
        }
        let response = self.client.send(request, &rules).await.expect("an answer");
        assert!(response.status.is_success(), "{} {:?}", response.url, response.body);
        response
    }

    /// As someone who works on GitHub.
    pub(crate) async fn github(&self, method: Method, path: &str, body: Value) -> Value {
        let body = (method != Method::GET).then_some(&body);
        let response = self.send(method, format!("{}{path}", self.variable("GITHUB_API_URL")), body).await;
        if response.body.is_empty() { Value::Null } else { response.json().expect("JSON") }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.github(Method::GET, path, Value::Null).await
    }

    /// The emulator's control.
    pub(crate) async fn control(&self, path: &str, body: Value) {
        self.send(Method::POST, format!("{}{path}", self.variable("EMU_CONTROL_URL")), Some(&body)).await;
    }

    /// Takes a token away.
    pub(crate) async fn revoke(&self, token: &str) {
        let body = json!({ "service": "github", "token": token });
        self.send(Method::DELETE, format!("{}/tokens", self.variable("EMU_CONTROL_URL")), Some(&body)).await;
    }

    pub(crate) async fn fault(&self, fault: Value) {
        let mut all = json!({ "service": "github" });
        all.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        self.control("/faults", all).await;
    }

    /// Everything of a kind that it holds: `issues`, `comments`.
    pub(crate) async fn all(&self, kind: &str) -> Vec<Value> {
        let store =
            self.send(Method::GET, format!("{}/store?service=github", self.variable("EMU_CONTROL_URL")), None).await;
        let store: Value = store.json().expect("JSON");
        store[format!("github.{kind}")]["items"].as_array().expect("items").clone()
    }

    /// A list of the emulator's control: `requests` that it got, `faults` that it was given.
    pub(crate) async fn listed(&self, what: &str) -> Vec<Value> {
        let url = format!("{}/{what}", self.variable("EMU_CONTROL_URL"));
        self.send(Method::GET, url, None).await.json().expect("a list")
    }

    /// A host without connections.
    pub(crate) fn host(&self) -> TestHost {
        let registry = Registry::of::<GitHub>().expect("the connector is sound");
        TestHost::with_network(registry, HttpClient::new(true)).api_url("github", self.variable("GITHUB_API_URL"))
    }

    /// A host with a connection that has these options, and has synced this repository.
    pub(crate) async fn synced(&self, repository: &str, options: Value) -> Synced {
        self.sync_with(self.host(), repository, options).await
    }

    /// The same on a host that is there.
    pub(crate) async fn sync_with(&self, host: TestHost, repository: &str, options: Value) -> Synced {
        let connection = connect(&host, self.variable("GITHUB_TOKEN"), options).await.expect("the token is good");
        let synced = Synced { host, connection, repository: ChannelId::new(repository) };
        synced.enable().await;
        synced.host.settle().await;
        synced
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("the emulator ends");
    }
}

/// Connects Ada.
pub(crate) async fn connect(host: &TestHost, token: &str, options: Value) -> Result<ConnectionId, ActionError> {
    let mut request = ConnectRequest::new("github", "ada");
    request.token = Some(Secret::new(token));
    request.options = options.as_object().expect("an object").clone();
    Ok(host.run(host.runtime().connect(request)).await?.id)
}

pub(crate) fn ada() -> UserId {
    UserId::from_static("ada")
}

/// A host with a connection and one repository.
pub(crate) struct Synced {
    pub(crate) host: TestHost,
    pub(crate) connection: ConnectionId,
    pub(crate) repository: ChannelId,
}

impl Synced {
    pub(crate) fn runtime(&self) -> &Runtime {
        self.host.runtime()
    }

    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.runtime().ports().engine)
    }

    pub(crate) async fn enable(&self) {
        let channels =
            self.host.run(self.runtime().channels(self.connection)).await.expect("the channels can be listed");
        assert!(channels.iter().any(|channel| channel.channel.id == self.repository), "{channels:?}");
        self.runtime()
            .enable_channel(self.connection, &self.repository, ChannelUpdate::default())
            .await
            .expect("it can be enabled");
    }

    /// Looks for changes, to the end.
    pub(crate) async fn sync(&self) {
        self.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    /// The links of the repository, archived ones too.
    pub(crate) async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(10_000);
        query.channel = Some(self.repository.clone());
        query.archived = true;
        self.engine().links(query).await.expect("the store works")
    }

    pub(crate) async fn link(&self, kind: &str, id: &Value) -> LinkRow {
        let source = Source::new("github", [kind, &id.to_string()]);
        let found =
            self.engine().links_by_source(self.connection, vec![source.clone()]).await.expect("the store works");
        found.into_iter().flatten().next().unwrap_or_else(|| panic!("{source} was not saved"))
    }

    pub(crate) async fn notes(&self, link: &LinkRow) -> Vec<NoteRow> {
        self.engine().notes_of_link(link.link.id).await.expect("the store works")
    }

    /// Everything that is stored of the repository, with the count of the writes of each row.
    pub(crate) async fn records(&self) -> Vec<(LinkRow, Vec<NoteRow>)> {
        let mut records = Vec::new();
        for link in self.links().await {
            let notes = self.notes(&link).await;
            records.push((link, notes));
        }
        records
    }
}
