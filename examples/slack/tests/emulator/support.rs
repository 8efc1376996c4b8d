//! An emulator of a test's own, and a host with a connection to it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use connector_core::engine::{Engine, LinkQuery, LinkRow, NoteRow, Write, WriteSet};
use connector_core::id::{ChannelId, ConnectionId, UserId};
use connector_core::model::Source;
use connector_core::network::{NetworkPort, Request, Response, UrlRules};
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, ConnectRequest, HookAnswer, Runtime};
use connector_core::secret::Secret;
use connector_core::testing::TestHost;
use connector_core::webhook::WebhookRequest;
use connector_host::network::HttpClient;
use connector_slack::Slack;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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
            println!("not run: it needs a Slack emulator, which `cargo xtask test` provides");
            return None;
        };
        let command: Vec<String> = serde_json::from_str(&command).expect("a JSON array");
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .args(["--services", "slack"])
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

    pub(crate) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("the emulator did not print {name}"))
    }

    async fn send(&self, method: Method, url: String, token: &str, body: Option<&Value>) -> Response {
        let url: url::Url = url.parse().expect("a URL");
        let mut rules = UrlRules::default();
        rules.push_base(&url.join("/").expect("a URL"));
        let mut request = Request::new(method, url);
        request.headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        if let Some(body) = body {
            request.headers.insert("content-type", "application/json".parse().expect("a header"));
            request.body = body.to_string().into();
        }
        let response = self.client.send(request, &rules).await.expect("an answer");
        assert!(response.status.is_success(), "{} {:?}", response.url, response.body);
        response
    }

    /// A method of the Web API, as someone who works in Slack.
    pub(crate) async fn slack(&self, user: &str, method: &str, arguments: Value) -> Value {
        let url = format!("{}/{method}", self.variable("SLACK_API_URL"));
        let token = format!("xoxb-emulator-{user}");
        let answer: Value = self.send(Method::POST, url, &token, Some(&arguments)).await.json().expect("JSON");
        assert_eq!(answer["ok"], true, "{method}: {answer}");
        answer
    }

    /// The emulator's control.
    pub(crate) async fn control(&self, path: &str, body: Value) {
        self.send(Method::POST, format!("{}{path}", self.variable("EMU_CONTROL_URL")), "", Some(&body)).await;
    }

    /// Takes a token away.
    pub(crate) async fn revoke(&self, token: &str) {
        let body = json!({ "service": "slack", "token": token });
        self.send(Method::DELETE, format!("{}/tokens", self.variable("EMU_CONTROL_URL")), "", Some(&body)).await;
    }

    pub(crate) async fn fault(&self, fault: Value) {
        let mut all = json!({ "service": "slack" });
        all.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        self.control("/faults", all).await;
    }

    /// Everything of a kind that it holds: `messages`, `users`.
    pub(crate) async fn all(&self, kind: &str) -> Vec<Value> {
        let url = format!("{}/store?service=slack", self.variable("EMU_CONTROL_URL"));
        let store: Value = self.send(Method::GET, url, "", None).await.json().expect("JSON");
        store[format!("slack.{kind}")]["items"].as_array().expect("items").clone()
    }

    /// A list of the emulator's control: `requests` that it got, `faults` that it was given.
    pub(crate) async fn listed(&self, what: &str) -> Vec<Value> {
        let url = format!("{}/{what}", self.variable("EMU_CONTROL_URL"));
        self.send(Method::GET, url, "", None).await.json().expect("a list")
    }

    /// The id of a channel or user, which is another one each time that the emulator starts.
    pub(crate) async fn id(&self, kind: &str, name: &str) -> String {
        let found = self.all(kind).await.into_iter().find(|item| item["name"] == name);
        let found = found.unwrap_or_else(|| panic!("there is no {name} among the {kind}"));
        let id = if kind == "users" { &found["user_id"] } else { &found["channel_id"] };
        id.as_str().expect("an id").to_owned()
    }

    /// A host without connections, at the time of the newest message.
    pub(crate) async fn host(&self) -> TestHost {
        let registry = Registry::of::<Slack>().expect("the connector is sound");
        let host =
            TestHost::with_network(registry, HttpClient::new(true)).api_url("slack", self.variable("SLACK_API_URL"));
        let secret = Secret::new(self.variable("SLACK_SIGNING_SECRET"));
        let host = host.configure(|config| drop(config.webhook_secrets.insert("slack".to_owned(), secret)));
        let newest = self.all("messages").await.iter().map(|message| crate::time(&message["ts"])).max();
        host.clock().set(newest.expect("there are messages"));
        host
    }

    /// A host with a connection of Alice that has synced this channel.
    pub(crate) async fn synced(&self, channel: &str) -> Synced {
        let host = self.host().await;
        let connection = connect(&host, self.variable("SLACK_TOKEN")).await.expect("the token is good");
        let synced = Synced { host, connection, channel: ChannelId::new(self.id("channels", channel).await) };
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
pub(crate) async fn connect(host: &TestHost, token: &str) -> Result<ConnectionId, ActionError> {
    let mut request = ConnectRequest::new("slack", "ada");
    request.token = Some(Secret::new(token));
    Ok(host.run(host.runtime().connect(request)).await?.id)
}

pub(crate) fn ada() -> UserId {
    UserId::from_static("ada")
}

/// A host with a connection and one channel.
pub(crate) struct Synced {
    pub(crate) host: TestHost,
    pub(crate) connection: ConnectionId,
    pub(crate) channel: ChannelId,
}

impl Synced {
    pub(crate) fn runtime(&self) -> &Runtime {
        self.host.runtime()
    }

    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.runtime().ports().engine)
    }

    pub(crate) async fn enable(&self) {
        let enabled = self.runtime().enable_channel(self.connection, &self.channel, ChannelUpdate::default()).await;
        enabled.expect("it can be enabled");
    }

    /// Looks for changes, to the end.
    pub(crate) async fn sync(&self) {
        self.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    /// The links of the channel, archived ones too.
    pub(crate) async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(10_000);
        query.channel = Some(self.channel.clone());
        query.archived = true;
        self.engine().links(query).await.expect("the store works")
    }

    /// The link of a message.
    pub(crate) async fn link(&self, ts: &Value) -> LinkRow {
        let source = Source::new("slack", ["T000000001", self.channel.as_str(), ts.as_str().expect("a time")]);
        let found =
            self.engine().links_by_source(self.connection, vec![source.clone()]).await.expect("the store works");
        found.into_iter().flatten().next().unwrap_or_else(|| panic!("{source} was not saved"))
    }

    pub(crate) async fn notes(&self, link: &LinkRow) -> Vec<NoteRow> {
        self.engine().notes_of_link(link.link.id).await.expect("the store works")
    }

    /// Makes Slack push to this host, for as long as it is asked for by `pushed`.
    pub(crate) async fn subscribe(&self, emulator: &Emulator) -> TcpListener {
        let row = self.runtime().connection(self.connection).await.expect("it is there");
        let mut changed = (*row).clone();
        changed.account.tenant = Some("T000000001".to_owned());
        let put = Write::PutConnection { row: Box::new(changed), expect: Some(row.version) };
        self.engine().commit(WriteSet::of([put])).await.expect("the store works");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hooks/app/slack", listener.local_addr().expect("an address"));
        tokio::join!(emulator.control("/slack/subscribe", json!({ "url": url })), self.pushed(&listener));
        listener
    }

    /// Takes the next request that Slack pushes, as the host's server does.
    pub(crate) async fn pushed(&self, listener: &TcpListener) {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut bytes = Vec::new();
        let (head, body) = loop {
            socket.read_buf(&mut bytes).await.expect("a request");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        };
        let request = WebhookRequest::new("POST", body, Timestamp::now());
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let request = headers.fold(request, |request, (name, value)| request.with_header(name, value));
        let hook = self.runtime().find_app_hook("slack").expect("the connector takes pushes");
        let answer = match hook.receive(request).await.expect("Slack signed it") {
            HookAnswer::Text(text) => text,
            _ => String::new(),
        };
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}", answer.len());
        socket.write_all(answer.as_bytes()).await.expect("it is answered");
    }

    /// Everything that is stored of the channel, with the count of the writes of each row.
    pub(crate) async fn records(&self) -> Vec<(LinkRow, Vec<NoteRow>)> {
        let mut records = Vec::new();
        for link in self.links().await {
            let notes = self.notes(&link).await;
            records.push((link, notes));
        }
        records
    }
}
