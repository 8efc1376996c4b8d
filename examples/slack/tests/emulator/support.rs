//! An emulator of a test's own, and a host with a connection to it.

use connector_core::clock::BoxFuture;
use connector_core::engine::{LinkRow, Write, WriteSet};
use connector_core::id::{ChannelId, ConnectionId};
use connector_core::model::Source;
use connector_core::network::{NetworkPort, Request, Response, TransportError, UrlRules};
use connector_core::runtime::{ActionError, HookAnswer};
use connector_core::secret::Secret;
use connector_core::testing::TestHost;
use connector_core::webhook::WebhookRequest;
use connector_host::network::HttpClient;
use connector_slack::Slack;
use connector_test_support::{Emulator, Synced};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Where Slack has its files, which is not where its API is.
const FILES: &str = "https://files.slack.com";

/// The emulator has its files where its API is: the network of a host that finds them at the host that Slack has for
/// them, as the connector declares it.
struct FilesElsewhere {
    client: HttpClient,
    root: String,
}

impl NetworkPort for FilesElsewhere {
    fn send<'a>(
        &'a self,
        mut request: Request,
        rules: &'a UrlRules,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            if !rules.allows(&request.url) {
                return Err(TransportError::NotDeclared { url: request.url.to_string() });
            }
            let mut rules = rules.clone();
            if let Some(path) = request.url.as_str().strip_prefix(FILES) {
                request.url = format!("{}{path}", self.root).parse().expect("a URL");
                rules.push_base(&self.root.parse().expect("a URL"));
            }
            let mut response = self.client.send(request, &rules).await?;
            if let Ok(text) = String::from_utf8(response.body.to_vec()) {
                let moved = |text: String, kind: &str| {
                    text.replace(&format!("{}/{kind}/", self.root), &format!("{FILES}/{kind}/"))
                };
                response.body = moved(moved(text, "upload"), "files-pri").into();
            }
            Ok(response)
        })
    }
}

pub(crate) fn emulator() -> Option<Emulator> {
    Emulator::start("slack")
}

/// A method of the Web API, as someone who works in Slack.
pub(crate) async fn slack(emulator: &Emulator, user: &str, method: &str, arguments: Value) -> Value {
    let url = format!("{}/{method}", emulator.api_url());
    let answer = emulator.send(Method::POST, &url, &format!("xoxb-emulator-{user}"), Some(&arguments)).await;
    let answer: Value = answer.json().expect("JSON");
    assert_eq!(answer["ok"], true, "{method}: {answer}");
    answer
}

/// The id of a channel or user, which is another one each time that the emulator starts.
pub(crate) async fn id(emulator: &Emulator, kind: &str, name: &str) -> String {
    let found = emulator.all(kind).await.into_iter().find(|item| item["name"] == name);
    let found = found.unwrap_or_else(|| panic!("there is no {name} among the {kind}"));
    let id = if kind == "users" { &found["user_id"] } else { &found["channel_id"] };
    id.as_str().expect("an id").to_owned()
}

/// A host without connections, at the time of the newest message.
pub(crate) async fn host(emulator: &Emulator) -> TestHost {
    let secret = Secret::new(emulator.variable("SLACK_SIGNING_SECRET"));
    let api = url::Url::parse(emulator.api_url()).expect("a URL");
    let network = FilesElsewhere { client: HttpClient::new(true), root: api.origin().ascii_serialization() };
    let host = emulator
        .host_over::<Slack>(network)
        .configure(|config| drop(config.webhook_secrets.insert("slack".to_owned(), secret)));
    let newest = emulator.all("messages").await.iter().map(|message| crate::time(&message["ts"])).max();
    host.clock().set(newest.expect("there are messages"));
    host
}

/// A host with a connection of Alice that has synced this channel.
pub(crate) async fn synced(emulator: &Emulator, channel: &str) -> Synced {
    let channel = ChannelId::new(id(emulator, "channels", channel).await);
    emulator.sync(host(emulator).await, channel, json!({})).await
}

pub(crate) async fn connect(emulator: &Emulator, host: &TestHost, token: &str) -> Result<ConnectionId, ActionError> {
    emulator.connect(host, token, json!({})).await
}

/// The link of a message.
pub(crate) async fn saved(synced: &Synced, ts: &Value) -> LinkRow {
    let ts = ts.as_str().expect("a time");
    synced.link_of(Source::new("slack", ["T000000001", synced.channel.as_str(), ts])).await
}

/// Makes Slack push to this host, for as long as it is asked for by `pushed`.
pub(crate) async fn subscribe(synced: &Synced, emulator: &Emulator) -> TcpListener {
    let row = synced.runtime().connection(synced.connection).await.expect("it is there");
    let mut changed = (*row).clone();
    changed.account.tenant = Some("T000000001".to_owned());
    let put = Write::PutConnection { row: Box::new(changed), expect: Some(row.version) };
    synced.engine().commit(WriteSet::of([put])).await.expect("the store works");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hooks/app/slack", listener.local_addr().expect("an address"));
    tokio::join!(emulator.control(Method::POST, "/slack/subscribe", json!({ "url": url })), pushed(synced, &listener));
    listener
}

/// Takes the next request that Slack pushes, as the host's server does.
pub(crate) async fn pushed(synced: &Synced, listener: &TcpListener) {
    let (mut socket, _) = listener.accept().await.expect("a connection");
    let mut bytes = Vec::new();
    let (head, body) = loop {
        socket.read_buf(&mut bytes).await.expect("a request");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let request = WebhookRequest::new("POST", body, Timestamp::now());
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let request = headers.fold(request, |request, (name, value)| request.with_header(name, value));
    let hook = synced.runtime().find_app_hook("slack").expect("the connector takes pushes");
    let answer = match hook.receive(request).await.expect("Slack signed it") {
        HookAnswer::Text(text) => text,
        _ => String::new(),
    };
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}", answer.len());
    socket.write_all(answer.as_bytes()).await.expect("it is answered");
}
