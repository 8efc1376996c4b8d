//! Authorization of connections against a server of the test's own (R1.2 to R1.4, R3.1, R3.7, R8.1).

mod authority;
mod browser;
mod emulator;
mod film;
mod flow;
mod identity;
mod meter;
mod refresh;
mod revocation;
mod shared;
mod trello;
mod vault;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use authority::{Authority, CLIENT_ID, CLIENT_SECRET};
use axum::Router;
use axum::body::Body;
use connector_core::clock::Clock;
use connector_core::declaration::CustomProvider;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::testing::VirtualClock;
use connector_host::clock::SystemClock;
use connector_host::config::ProviderConfig;
use connector_host::{Config, Host};
use connector_test_support::browser::{Browser, Site};
use connector_test_support::secrets;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::desk;

const KEY: &str = "a-key-of-the-tests-that-nobody-guesses";

/// Where the accounts of all these connectors are.
const OFFICE: CustomProvider = CustomProvider {
    id: "office",
    authorize_url: "https://office.test/authorize",
    token_url: "https://office.test/token",
    revoke_url: None,
    issuer: None,
    api_url: "https://office.test/api",
};

/// Papers of an office.
#[connector(
    id = "office",
    name = "Office",
    provider = OFFICE,
    scopes(required = ["papers"], optional(id = "stamps", label = "Stamps", scopes = ["stamps"])),
    link_types = [Paper],
)]
#[derive(Default)]
pub struct Office;

/// A paper.
#[link_type(label = "Paper")]
pub struct Paper;

#[derive(Deserialize)]
struct Me {
    login: String,
}

#[derive(Deserialize)]
struct Item {
    id: String,
}

#[connector]
impl Connector for Office {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let me: Me = cx.provider().get("/me").fetch().await?;
        Ok(Some(me.login))
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let me: Me = cx.provider().get("/me").fetch().await?;
        Ok(Some(Actor::new(me.login)))
    }

    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok((0..4).map(|number| Channel::new(format!("room-{number}"), format!("Room {number}"))).collect())
    }
}

#[connector]
impl Office {
    /// The papers of a room.
    #[sync(every = "1h")]
    async fn papers(&self, cx: &Context<Self>, channel: ChannelId, after: Option<u64>) -> Result<Step<u64>> {
        let items: Vec<Item> = cx.provider().get(format!("/items/{channel}")).fetch().await?;
        for item in items {
            let at = Timestamp::from_second(1_700_000_000).unwrap_or_default();
            let link = NewLink::new(Paper, Source::new("office", [item.id.clone()]), &channel, Author::Owner, at);
            cx.integrations().save_link(link.title(item.id)).await?;
        }
        Ok(Step::Done(after.unwrap_or_default() + 1))
    }

    /// What there is in all rooms.
    #[sync(every = "1h")]
    async fn summary(&self, cx: &Context<Self>, after: Option<Vec<Mode>>) -> Result<Step<Vec<Mode>>> {
        cx.provider().get("/me").send().await?;
        let mut modes = after.unwrap_or_default();
        modes.push(cx.mode());
        cx.set("modes", &modes).await?;
        Ok(Step::Done(modes))
    }
}

/// A host in a directory of its own.
struct Bench {
    directory: PathBuf,
    authority: Authority,
    host: Host,
    router: Router,
    /// The browser of whoever authorizes here.
    browser: Mutex<Browser>,
    _watch: secrets::Watch,
}

/// A directory of its own, whatever other tests of the process call theirs.
fn directory(name: &str) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("connectors-oauth-{}-{made}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

fn config(directory: &Path, authority: &Authority) -> Config {
    let url = |path: &str| Some(Url::parse(&format!("{}{path}", authority.base)).expect("a URL"));
    let mut config = Config::default();
    config.database = directory.join("test.db");
    config.api_key = Some(Secret::new(KEY));
    config.allow_private = true;
    config.public_url = Some(Url::parse("https://connectors.test/").expect("a URL"));
    config.return_to = vec![Url::parse("https://app.test/settings/").expect("a URL")];
    let provider = ProviderConfig {
        client_id: Some(CLIENT_ID.to_owned()),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        authorize_url: url("/authorize"),
        token_url: url("/token"),
        revoke_url: url("/revoke"),
        api_url: url("/api"),
        ..ProviderConfig::default()
    };
    config.providers.insert("office".to_owned(), provider);
    config
}

impl Bench {
    async fn new(name: &str) -> Self {
        Self::with(name, |_, _| {}).await
    }

    async fn with(name: &str, change: impl FnOnce(&mut Config, &Authority)) -> Self {
        let directory = directory(name);
        let authority = Authority::start().await;
        let mut config = config(&directory, &authority);
        change(&mut config, &authority);
        Self::open(directory, authority, config).await
    }

    async fn open(directory: PathBuf, authority: Authority, config: Config) -> Self {
        let office = Registry::of::<Office>().expect("a registry");
        let registry = office.merge(Registry::of::<trello::Boards>().expect("a registry")).expect("a registry");
        Self::of(directory, authority, config, registry, Arc::new(SystemClock)).await
    }

    async fn of(
        directory: PathBuf,
        authority: Authority,
        config: Config,
        registry: Registry,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let watch = secrets::Watch::start();
        secrets::know([KEY, CLIENT_SECRET]);
        let provided = config.providers.values().flat_map(|one| [&one.client_secret, &one.webhook_secret]);
        secrets::know(provided.flatten().map(Secret::expose));
        let host = Host::open_with_clock(config, registry, clock).await.expect("a host");
        host.start().await.expect("workers");
        secrets::know_keys_in(&directory);
        let router = host.router();
        Self { directory, authority, host, router, browser: Mutex::default(), _watch: watch }
    }

    /// A host of this connector, whose clock stands still until it is moved.
    async fn timed(name: &str, registry: Registry) -> (Self, VirtualClock) {
        let directory = directory(name);
        let authority = Authority::start().await;
        let config = config(&directory, &authority);
        let clock = VirtualClock::new(Timestamp::now());
        (Self::of(directory, authority, config, registry, Arc::new(clock.clone())).await, clock)
    }

    /// The same host after it was stopped, under another configuration.
    async fn reopened(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { directory, authority, host, browser, .. } = self;
        let mut config = host.config().clone();
        host.shutdown().await.expect("an end in order");
        change(&mut config);
        Self { browser, ..Self::open(directory, authority, config).await }
    }

    async fn end(self) {
        desk::look_around(&self.router, KEY).await;
        self.host.shutdown().await.expect("an end in order");
        std::fs::remove_dir_all(&self.directory).expect("the directory goes");
    }

    async fn raw(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, String) {
        let (status, headers, body) = desk::answer(&self.router, request).await;
        (status, headers, String::from_utf8_lossy(&body).into_owned())
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {KEY}"));
        let (status, _, body) = self.raw(request.body(body).expect("a request")).await;
        (status.as_u16(), serde_json::from_str(&body).unwrap_or_default())
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    /// Begins a connection and confirms it: its id, and where the user is sent.
    async fn begin(&self, user: &str) -> (String, String) {
        self.begin_with("office", user).await
    }

    /// The same with this connector.
    async fn begin_with(&self, connector: &str, user: &str) -> (String, String) {
        let made = self.ok("POST", "/connections", json!({"connector": connector, "user": user})).await;
        assert_eq!(made["status"], "awaiting_authorization");
        (made["id"].as_str().expect("an id").to_owned(), self.confirmed(&made).await)
    }

    /// The page of the provider that the browser is sent to after its user has confirmed.
    async fn confirmed(&self, made: &Value) -> String {
        let mut browser = self.browser();
        let url = browser.authorize(&mut self.sender(), made["authorize_url"].as_str().expect("a URL")).await;
        *self.browser.lock().expect("a browser") = browser;
        url
    }

    /// The browser as it is now.
    fn browser(&self) -> Browser {
        self.browser.lock().expect("a browser").clone()
    }

    /// Sends what a browser asks for.
    fn sender(&self) -> impl AsyncFnMut(Request<String>) -> http::Response<String> {
        async |request: Request<String>| {
            let (mut parts, body) = request.into_parts();
            // A proxy takes the origin away.
            parts.uri = parts.uri.path_and_query().expect("a path").as_str().parse().expect("a path");
            let (status, headers, body) = self.raw(Request::from_parts(parts, Body::from(body))).await;
            let mut response = http::Response::new(body);
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            response
        }
    }

    /// What the browser gets at the callback.
    async fn back(&self, parameters: &HashMap<String, String>) -> (u16, http::HeaderMap, String) {
        self.back_in(&mut self.browser(), parameters).await
    }

    /// The same in another browser.
    async fn back_in(
        &self,
        browser: &mut Browser,
        parameters: &HashMap<String, String>,
    ) -> (u16, http::HeaderMap, String) {
        let url = url::form_urlencoded::Serializer::new(self.callback()).extend_pairs(parameters).finish();
        let response = browser.open(&mut self.sender(), &url, Site::CrossSite).await;
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), parts.headers, body)
    }

    /// The callback, as far as the parameters.
    fn callback(&self) -> String {
        let base = self.host.config().public_url.as_ref().expect("a URL").as_str().trim_end_matches('/');
        format!("{base}/oauth/callback?")
    }

    async fn metrics(&self) -> String {
        let request = Request::builder().uri("/metrics").body(Body::empty()).expect("a request");
        self.raw(request).await.2
    }

    /// A connection of a user whose account has the same name.
    async fn connected(&self, user: &str) -> String {
        self.connected_to("office", user).await
    }

    /// The same with this connector.
    async fn connected_to(&self, connector: &str, user: &str) -> String {
        let (id, url) = self.begin_with(connector, user).await;
        let (status, _, body) = self.back(&self.authority.allow(&url, user)).await;
        assert_eq!(status, 200, "{body}");
        id
    }

    /// Authorizes a connection again.
    async fn authorized_again(&self, id: &str, user: &str) {
        let again = self.ok("POST", &format!("/connections/{id}/authorize"), json!({})).await;
        let url = self.confirmed(&again).await;
        let (status, _, body) = self.back(&self.authority.allow(&url, user)).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Comes back when the token of a connection that was deleted has ended at its service.
    async fn revoked(&self, id: &str) {
        let mut after = 0;
        loop {
            let changes = self.get(&format!("/changes?after={after}&limit=1000&wait=60")).await;
            let items = changes["items"].as_array().expect("changes");
            assert!(!items.is_empty(), "the token of {id} does not end");
            if items.iter().any(|change| change["kind"] == "revoked" && change["id"] == id) {
                return;
            }
            after = changes["next"].as_u64().expect("a position");
        }
    }

    /// Looks again at each change until something holds.
    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut after = 0;
        for _ in 0..1_000 {
            let now = self.get(path).await;
            if holds(&now) {
                return now;
            }
            let changes = self.get(&format!("/changes?after={after}&limit=1000&wait=2")).await;
            after = changes["next"].as_u64().expect("a position");
        }
        panic!("{path} does not come to it: {}", self.get(path).await);
    }
}
