//! What tests share: an emulator of a test's own, a host with a connection to it, and the search for secrets in what
//! comes out. Whatever goes wrong here panics, and so fails the test.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

pub mod browser;
pub mod secrets;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use connector_core::component::Declared;
use connector_core::connector::Connector;
use connector_core::dispatch::HooksOf;
use connector_core::engine::{Engine, LinkQuery, LinkRow, NoteRow};
use connector_core::id::{ChannelId, ConnectionId, UserId};
use connector_core::model::Source;
use connector_core::network::{NetworkPort, Request, Response, UrlRules};
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, ConnectRequest, LinkUpdate, NewUserNote, Runtime};
use connector_core::secret::Secret;
use connector_core::testing::TestHost;
use connector_host::network::HttpClient;
use http::Method;
use serde_json::{Value, json};

/// An emulator of one service, which ends with the test.
pub struct Emulator {
    service: &'static str,
    process: Child,
    environment: HashMap<String, String>,
    client: HttpClient,
    _watch: secrets::Watch,
}

impl Emulator {
    /// None, with the reason printed, where there is nothing to start one with.
    pub fn start(service: &'static str) -> Option<Self> {
        let Ok(command) = std::env::var("CONNECTOR_EMULATOR_LAUNCH") else {
            println!("not run: it needs an emulator of {service}, which `cargo xtask test` provides");
            return None;
        };
        let command: Vec<String> = serde_json::from_str(&command).expect("a JSON array");
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .args(["--services", service])
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
        let watch = secrets::Watch::start();
        environment.iter().for_each(|(name, value)| secrets::know_variable(name, value));
        Some(Self { service, process, environment, client: HttpClient::new(true), _watch: watch })
    }

    /// What it printed under this name.
    pub fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("the emulator did not print {name}"))
    }

    fn of_the_service(&self, name: &str) -> &str {
        self.variable(&format!("{}_{name}", self.service.to_uppercase()))
    }

    /// Where its API begins.
    pub fn api_url(&self) -> &str {
        self.of_the_service("API_URL")
    }

    /// The token of the account that the tests connect.
    pub fn token(&self) -> &str {
        self.of_the_service("TOKEN")
    }

    /// A request with a token.
    pub async fn send(&self, method: Method, url: &str, token: &str, body: Option<&Value>) -> Response {
        let url: url::Url = url.parse().expect("a URL");
        let mut rules = UrlRules::default();
        rules.push_base(&url.join("/").expect("a URL"));
        let mut request = Request::new(method, url);
        request.headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        request.headers.insert("user-agent", "test".parse().expect("a header"));
        if let Some(body) = body {
            request.headers.insert("content-type", "application/json".parse().expect("a header"));
            request.body = body.to_string().into();
        }
        let response = self.client.send(request, &rules).await.expect("an answer");
        assert!(response.status.is_success(), "{} {:?}", response.url, response.body);
        response
    }

    /// A request to the API, as the owner of the account; a body that is null is none.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.api_url());
        json_of(&self.send(method, &url, self.token(), given(&body)).await)
    }

    /// The same that reads.
    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, Value::Null).await
    }

    /// A request to the emulator's control.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.variable("EMU_CONTROL_URL"));
        json_of(&self.send(method, &url, "", given(&body)).await)
    }

    /// Takes a token away.
    pub async fn revoke(&self, token: &str) {
        self.control(Method::DELETE, "/tokens", json!({ "service": self.service, "token": token })).await;
    }

    /// Lets requests fail.
    pub async fn fault(&self, fault: Value) {
        let mut all = json!({ "service": self.service });
        all.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        self.control(Method::POST, "/faults", all).await;
    }

    /// Everything of a kind that it holds: `issues`, `comments`.
    pub async fn all(&self, kind: &str) -> Vec<Value> {
        let store = self.control(Method::GET, &format!("/store?service={}", self.service), Value::Null).await;
        store[format!("{}.{kind}", self.service)]["items"].as_array().expect("items").clone()
    }

    /// A list of the control: `requests` that it got, `faults` that it was given.
    pub async fn listed(&self, what: &str) -> Vec<Value> {
        self.control(Method::GET, &format!("/{what}"), Value::Null).await.as_array().expect("a list").clone()
    }

    /// A host of this connector without connections.
    pub fn host<C: Connector + HooksOf + Declared>(&self) -> TestHost {
        self.host_over::<C>(HttpClient::new(true))
    }

    /// The same, over a network of the test's own.
    pub fn host_over<C: Connector + HooksOf + Declared>(&self, network: impl NetworkPort) -> TestHost {
        let registry = Registry::of::<C>().expect("the connector is sound");
        TestHost::with_network(registry, network).api_url(self.service, self.api_url())
    }

    /// Connects Ada on that host with this token.
    pub async fn connect(&self, host: &TestHost, token: &str, options: Value) -> Result<ConnectionId, ActionError> {
        let mut request = ConnectRequest::new(self.service, "ada");
        request.token = Some(Secret::new(token));
        request.options = options.as_object().expect("an object").clone();
        Ok(host.run(host.runtime().connect(request)).await?.id)
    }

    /// A connection on that host which has these options and has synced this channel.
    pub async fn sync(&self, host: TestHost, channel: ChannelId, options: Value) -> Synced {
        let connection = self.connect(&host, self.token(), options).await.expect("the token is good");
        let synced = Synced { host, connection, channel };
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

fn given(body: &Value) -> Option<&Value> {
    (!body.is_null()).then_some(body)
}

fn json_of(response: &Response) -> Value {
    if response.body.is_empty() { Value::Null } else { response.json().unwrap_or_default() }
}

/// The user of the tests.
pub fn ada() -> UserId {
    UserId::from_static("ada")
}

/// A host with a connection and one channel.
pub struct Synced {
    /// The host.
    pub host: TestHost,
    /// Ada's connection.
    pub connection: ConnectionId,
    /// The channel that is enabled.
    pub channel: ChannelId,
}

impl Synced {
    /// The host's runtime.
    pub fn runtime(&self) -> &Runtime {
        self.host.runtime()
    }

    /// The host's store.
    pub fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.runtime().ports().engine)
    }

    /// Enables the channel, which the service has to list.
    pub async fn enable(&self) {
        let channels =
            self.host.run(self.runtime().channels(self.connection)).await.expect("the channels can be listed");
        assert!(channels.iter().any(|channel| channel.channel.id == self.channel), "{channels:?}");
        let enabled = self.runtime().enable_channel(self.connection, &self.channel, ChannelUpdate::default()).await;
        enabled.expect("it can be enabled");
    }

    /// Looks for changes, to the end.
    pub async fn sync(&self) {
        self.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    /// The links of the channel, archived ones too.
    pub async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(10_000);
        query.channel = Some(self.channel.clone());
        query.archived = true;
        self.engine().links(query).await.expect("the store works")
    }

    /// The link with this source.
    pub async fn link_of(&self, source: Source) -> LinkRow {
        let found =
            self.engine().links_by_source(self.connection, vec![source.clone()]).await.expect("the store works");
        found.into_iter().flatten().next().unwrap_or_else(|| panic!("{source} was not saved"))
    }

    /// The notes of a link, archived ones too.
    pub async fn notes(&self, link: &LinkRow) -> Vec<NoteRow> {
        self.engine().notes_of_link(link.link.id).await.expect("the store works")
    }

    /// Everything that is stored of the channel, with the count of the writes of each row.
    pub async fn records(&self) -> Vec<(LinkRow, Vec<NoteRow>)> {
        let mut records = Vec::new();
        for link in self.links().await {
            let notes = self.notes(&link).await;
            records.push((link, notes));
        }
        records
    }

    /// What a user changes, to the end.
    pub async fn update(&self, link: &LinkRow, update: LinkUpdate) {
        self.runtime().update_link(link.link.id, &ada(), update).await.expect("it is stored");
        self.host.settle().await;
    }

    /// What a user replies, to the end.
    pub async fn reply(&self, link: &LinkRow, content: &str) -> NoteRow {
        let new = NewUserNote {
            user: ada(),
            content: content.to_owned(),
            link: Some(link.link.id),
            recipients: Vec::new(),
            attachments: Vec::new(),
        };
        let note = self.runtime().create_note(link.link.thread, new).await.expect("it is stored");
        self.host.settle().await;
        self.notes(link).await.into_iter().find(|row| row.note.id == note.id).expect("the note is there")
    }
}
