//! What GitHub pushes, to a host that listens (issue 3, R11.4).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use connector_core::id::{ChannelId, ConnectionId};
use connector_core::network::{NetworkPort, Request, UrlRules};
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, SubscriptionState};
use connector_core::secret::Secret;
use connector_github::GitHub;
use connector_host::config::ProviderConfig;
use connector_host::network::HttpClient;
use connector_host::{Config, Host};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use connector_test_support::Emulator;

use crate::support::emulator;

const KEY: &str = "a-key-of-the-tests-that-nobody-guesses";
const REPOSITORY: &str = "acme/web-app";

/// Longer than anything takes here that comes to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host on a database of its own, with a repository that is synced and pushes.
struct Live {
    host: Host,
    base: url::Url,
    connection: ConnectionId,
    client: HttpClient,
    stop: Option<oneshot::Sender<()>>,
    directory: PathBuf,
}

impl Live {
    async fn start(emulator: &Emulator, name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("connectors-github-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base: url::Url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let mut config = Config::default();
        config.database = directory.join("test.db");
        config.api_key = Some(Secret::new(KEY));
        config.allow_private = true;
        config.public_url = Some(base.clone());
        let provider =
            ProviderConfig { api_url: Some(emulator.api_url().parse().expect("a URL")), ..Default::default() };
        config.providers.insert("github".to_owned(), provider);
        let registry = Registry::of::<GitHub>().expect("the connector is sound");
        let host = Host::open(config, registry).await.expect("a host");
        host.start().await.expect("it starts");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = host.clone();
        tokio::spawn(async move { serving.serve(listener, async { stopped.await.unwrap_or_default() }).await });
        let mut request = ConnectRequest::new("github", "ada");
        request.token = Some(Secret::new(emulator.token()));
        request.options.insert("history_days".to_owned(), json!(3650));
        let connection = host.runtime().connect(request).await.expect("the token is good").id;
        let live = Self { host, base, connection, client: HttpClient::new(true), stop: Some(stop), directory };
        live.enable().await;
        live
    }

    async fn enable(&self) {
        let channel = ChannelId::new(REPOSITORY);
        self.host
            .runtime()
            .enable_channel(self.connection, &channel, ChannelUpdate::default())
            .await
            .expect("it can be enabled");
        self.until("it is synced and pushes", async || {
            let path = format!("/connections/{}/channels", self.connection);
            let channels = self.get(&path).await;
            let here = channels["items"].as_array().expect("a list").iter().find(|here| here["id"] == REPOSITORY);
            let synced = here.is_some_and(|here| here["sync"]["state"] == "synced");
            let subscriptions = self.host.runtime().subscriptions(self.connection).await.expect("the store works");
            synced && subscriptions.iter().any(|subscription| subscription.state == SubscriptionState::Live)
        })
        .await;
    }

    async fn send(&self, method: Method, path: &str) -> Value {
        let mut rules = UrlRules::default();
        rules.push_base(&self.base);
        let mut request = Request::new(method, self.base.join(&format!("/api/v1{path}")).expect("a URL"));
        request.headers.insert("authorization", format!("Bearer {KEY}").parse().expect("a header"));
        let response = self.client.send(request, &rules).await.expect("an answer");
        assert!(response.status.is_success(), "{path}: {:?}", response.body);
        if response.body.is_empty() { Value::Null } else { response.json().expect("JSON") }
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path).await
    }

    /// Waits until it is so; each look asks the API, which takes its time.
    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "it never came that {what}");
            self.get("/changes?after=999999999&wait=0").await;
        }
    }

    async fn titles(&self, text: &str) -> Vec<String> {
        let threads = self.get(&format!("/threads?limit=500&q={text}")).await;
        let links = threads["items"].as_array().expect("a list").iter().flat_map(|thread| thread["links"].as_array());
        links.flatten().filter_map(|link| link["title"].as_str()).map(str::to_owned).collect()
    }

    async fn deliveries(&self) -> Vec<Value> {
        self.get("/hooks/deliveries?limit=1000").await["items"].as_array().expect("a list").clone()
    }

    async fn end(mut self) {
        self.stop.take().expect("it serves").send(()).expect("it serves");
        self.host.shutdown().await.expect("it stops");
        std::fs::remove_dir_all(&self.directory).expect("its directory can be removed");
    }
}

/// How often GitHub was asked for the issues of the repository.
async fn polls(emulator: &Emulator) -> usize {
    let requests = emulator.listed("requests").await;
    let list = format!("/repos/{REPOSITORY}/issues");
    requests.iter().filter(|request| request["method"] == "GET" && request["path"] == list).count()
}

async fn edit(emulator: &Emulator, number: u64, title: &str) {
    let path = format!("/repos/{REPOSITORY}/issues/{number}");
    emulator.call(Method::PATCH, &path, json!({ "title": title })).await;
}

/// Issue 3, part 2: an issue that is edited at GitHub is in the threads and in the change feed within two seconds,
/// with no poll; and nothing is left at GitHub when the repository is disabled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_here_within_two_seconds_without_a_poll() {
    let Some(emulator) = emulator() else { return };
    let live = Live::start(&emulator, "edit").await;
    let hooks = format!("/repos/{REPOSITORY}/hooks");
    assert_eq!(emulator.get(&hooks).await.as_array().expect("a list").len(), 1);
    let polled = polls(&emulator).await;
    let mut after = 0;
    loop {
        let page = live.get(&format!("/changes?after={after}&limit=1000")).await;
        after = page["next"].as_u64().expect("a position");
        if page["items"].as_array().expect("a list").is_empty() {
            break;
        }
    }
    let begun = Instant::now();
    edit(&emulator, 3, "Edited over there").await;
    let seen = loop {
        let page = live.get(&format!("/changes?after={after}&wait=5")).await;
        after = page["next"].as_u64().expect("a position");
        let items = page["items"].as_array().expect("a list").clone();
        if items.iter().any(|change| change.to_string().contains("Edited over there")) {
            break begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "the edit never came");
    };
    assert_eq!(live.titles("Edited+over+there").await, ["Edited over there"]);
    assert!(seen < Duration::from_secs(2), "it took {seen:?}");
    assert_eq!(polls(&emulator).await, polled, "GitHub was not asked for its issues");

    live.send(Method::DELETE, &format!("/connections/{}/channels/acme%2Fweb-app", live.connection)).await;
    live.until("the hook is gone", async || emulator.get(&hooks).await == json!([])).await;
    live.end().await;
}

/// R10.3: GitHub sends everything twice, late and out of order, and again on demand: each delivery is taken once,
/// and what is here in the end is what GitHub has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_twice_and_late_is_taken_once() {
    let Some(emulator) = emulator() else { return };
    let live = Live::start(&emulator, "twice").await;
    let before = live.deliveries().await.len();
    emulator
        .control(Method::POST, "/webhooks/policy", json!({ "duplicate": 2, "delay_ms": [0, 400], "seed": 7 }))
        .await;
    for round in ["first", "last"] {
        for number in 1..=5 {
            edit(&emulator, number, &format!("{round} title of {number}")).await;
        }
    }
    live.until("all titles are the last ones", async || live.titles("last+title+of").await.len() == 5).await;
    live.until("all have come", async || live.deliveries().await.len() == before + 10).await;
    let sent = emulator.listed("webhooks").await;
    for id in sent.iter().filter_map(|sent| sent["id"].as_u64()) {
        emulator.control(Method::POST, "/webhooks/redeliver", json!({ "id": id, "times": 2 })).await;
    }
    live.until("all are handed over", async || {
        live.deliveries().await.iter().all(|delivery| delivery["state"] == "done")
    })
    .await;
    assert_eq!(live.deliveries().await.len(), before + 10, "each was taken once");
    assert_eq!(live.titles("last+title+of").await.len(), 5);
    live.end().await;
}
