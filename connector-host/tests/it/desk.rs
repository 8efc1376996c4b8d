//! A connector that needs no service, and a host that runs it on a real database.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use connector_core::model::AttachmentRef;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_host::{Config, Host};
use connector_test_support::secrets;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const KEY: &str = "a-key-of-the-tests-that-nobody-guesses";

/// Opens the desk.
pub(crate) const OPTION: &str = "open sesame";

/// What an operator can look at of a host, and where no secret may be.
pub(crate) const PLACES: &[&str] = &[
    "/metrics",
    "/readyz",
    "/api/v1/changes?limit=1000",
    "/api/v1/connections?limit=1000",
    "/api/v1/tasks?limit=1000",
    "/api/v1/tasks?state=dead&limit=1000",
    "/api/v1/hooks/deliveries?limit=1000",
    "/api/v1/keys",
];

/// Tickets.
#[connector(
    link_types = [Ticket],
    options = DeskOptions,
    key_option = "api_key",
    handle_replies,
    multiple_instances,
    reactions(unicode),
)]
#[derive(Default)]
pub struct Desk;

#[derive(Options)]
pub struct DeskOptions {
    /// Opens the desk.
    #[option(secure, required)]
    pub api_key: Secret,
    /// Tickets in each channel.
    #[option(default = 3, min = 1, max = 100)]
    pub tickets: u64,
}

/// A ticket.
#[link_type(label = "Ticket", note_label = "Comment", compose(status = Open), supports(attachments))]
pub enum Ticket {
    #[status(todo)]
    Open,
    #[status(done)]
    Closed,
}

pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

#[connector]
impl Connector for Desk {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        if cx.options().api_key.expose() == "wrong" {
            return Err(Error::rejected("the desk does not know this key"));
        }
        Ok(Some("The desk".to_owned()))
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        Ok(Some(Actor::new(format!("desk-{}", cx.owner()))))
    }

    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("a/b c", "Inbox"), Channel::new("broken", "Broken")])
    }

    async fn on_note_created(&self, _: &Context<Self>, note: &Note, _: &Thread) -> Result<WriteBack> {
        match note.content.as_str() {
            "refuse me" => Err(Error::rejected("the ticket is locked")),
            _ => Ok(WriteBack::delivered(format!("reply-{}", note.id))),
        }
    }

    async fn on_link_updated(&self, _: &Context<Self>, _: &Link, changes: &LinkChanges) -> Result<()> {
        if changes.title.as_deref() == Some("refuse me") {
            return Err(Error::rejected("the ticket is locked"));
        }
        Ok(())
    }

    async fn on_create_link(&self, _: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let channel = draft.channel.clone().unwrap_or_else(|| "a/b c".into());
        let link = NewLink::new(Ticket::Open, Source::new("desk", ["new"]), &channel, Author::Owner, second(50));
        Ok(Some(link.title(draft.title)))
    }

    async fn download_attachment(&self, _: &Context<Self>, attachment: &Attachment, _: &Link) -> Result<Download> {
        match &attachment.at {
            AttachmentRef::Service(reference) if reference == "elsewhere" => {
                Ok(Download::Redirect("https://files.example.com/1?sig=2".to_owned()))
            }
            AttachmentRef::Service(reference) if reference == "here" => Ok(Download::Body {
                name: attachment.name.clone(),
                media_type: "text/html".to_owned(),
                body: Box::pin(futures_util::stream::iter([Ok("<b>".into()), Ok("x".into())])),
            }),
            _ => Ok(Download::Gone),
        }
    }

    async fn on_note_reaction_changed(
        &self,
        _: &Context<Self>,
        _: &Note,
        _: &Thread,
        _: &Actor,
        _: &Emoji,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Desk {
    /// The tickets of a channel.
    #[sync(every = "1h")]
    async fn tickets(&self, cx: &Context<Self>, channel: ChannelId, after: Option<u64>) -> Result<Step<u64>> {
        if channel.as_str() == "broken" {
            return Err(Error::scope_missing("tickets:read"));
        }
        for number in 1..=cx.options().tickets {
            let at = second(i64::try_from(number).unwrap_or_default());
            let source = Source::new("desk", [number.to_string()]);
            let author = || Author::person(Actor::new("7").name("Grace"));
            let status = if number == 2 { Ticket::Closed } else { Ticket::Open };
            let link = NewLink::new(status, source.clone(), &channel, author(), at)
                .title(format!("Ticket {number}"))
                .updated_at(at);
            let note = NewNote::new(source, "body", author(), at, Content::markdown(format!("Text {number}")));
            let note = note.attachments([
                Attachment::new("a", "elsewhere"),
                Attachment::new("räport \".html", "here"),
                Attachment::new("c", "gone"),
            ]);
            cx.integrations().save_link(link.notes([note])).await?;
        }
        Ok(Step::Done(after.unwrap_or_default() + 1))
    }
}

/// A host in a directory of its own.
pub(crate) struct Bench {
    pub(crate) directory: PathBuf,
    pub(crate) host: Host,
    pub(crate) router: Router,
    _watch: secrets::Watch,
}

/// A directory of its own, whatever other tests of the process call theirs.
pub(crate) fn directory(name: &str) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("connectors-api-{}-{made}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

pub(crate) fn config(directory: &std::path::Path) -> Config {
    within(directory, Config::default())
}

/// These settings, in a directory.
fn within(directory: &std::path::Path, mut config: Config) -> Config {
    config.database = directory.join("test.db");
    config.api_key = Some(Secret::new(KEY));
    config
}

impl Bench {
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, |_| ()).await
    }

    /// With other settings than the usual ones.
    pub(crate) async fn with(name: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut settings = Config::default();
        change(&mut settings);
        Self::of(name, settings, Registry::of::<Desk>().expect("a registry")).await
    }

    /// With other connectors.
    pub(crate) async fn of(name: &str, settings: Config, registry: Registry) -> Self {
        Self::on(directory(name), settings, registry).await
    }

    /// On what another host has left in this directory.
    pub(crate) async fn on(directory: PathBuf, settings: Config, registry: Registry) -> Self {
        let watch = secrets::Watch::start();
        let config = within(&directory, settings);
        let host = Host::open(config, registry).await.expect("a host");
        host.start().await.expect("workers");
        secrets::know([KEY, OPTION]);
        secrets::know_keys_in(&directory);
        let router = host.router();
        Self { directory, host, router, _watch: watch }
    }

    pub(crate) async fn end(self) {
        look_around(&self.router, KEY).await;
        self.host.shutdown().await.expect("an end in order");
        std::fs::remove_dir_all(&self.directory).expect("the directory goes");
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> (StatusCode, Value) {
        let (status, headers, body) = answer(&self.router, request).await;
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(headers["content-type"], "application/problem+json");
        }
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {KEY}"));
        self.raw(request.body(body).expect("a request")).await
    }

    pub(crate) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    /// A request that must fail, and its problem document.
    pub(crate) async fn refused(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let (found, answer) = self.ask(method, path, body).await;
        assert_eq!(found.as_u16(), status, "{method} {path}: {answer}");
        assert_eq!(answer["status"], json!(status));
        assert!(answer["type"].is_string() && answer["title"].is_string() && answer["detail"].is_string(), "{answer}");
        answer
    }

    /// Looks again at each change until something holds.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut after = 0;
        for _ in 0..1_000 {
            let now = self.get(path).await;
            if holds(&now) {
                return now;
            }
            let changes = self.get(&format!("/changes?after={after}&limit=1000&wait=10")).await;
            after = changes["next"].as_u64().expect("a position");
        }
        panic!("{path} does not come to it: {}", self.get(path).await);
    }

    /// A connection when nothing of it is under way any more.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        for _ in 0..100_000 {
            let connection = self.get(&format!("/connections/{id}")).await;
            if connection["syncing"] == false {
                return connection;
            }
            tokio::task::yield_now().await;
        }
        panic!("{id} syncs for ever");
    }

    pub(crate) async fn connect(&self, user: &str) -> String {
        let body = json!({"connector": "desk", "user": user, "options": {"api_key": OPTION}});
        self.ok("POST", "/connections", body).await["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn synced(&self, user: &str) -> String {
        let id = self.connect(user).await;
        self.ok("PUT", &format!("/connections/{id}/channels/a%2Fb%20c"), Value::Null).await;
        self.until(&format!("/connections/{id}"), |connection| connection["channels"][0]["sync"]["state"] == "synced")
            .await;
        id
    }
}

/// Looks at all that an operator can.
pub(crate) async fn look_around(router: &Router, key: &str) {
    for place in PLACES {
        let request = Request::builder().uri(*place).header("authorization", format!("Bearer {key}"));
        answer(router, request.body(Body::empty()).expect("a request")).await;
    }
}

/// An answer, in which no secret may be but one that it is asked for.
pub(crate) async fn answer(router: &Router, request: Request<Body>) -> (StatusCode, http::HeaderMap, Bytes) {
    let given = match (request.method().as_str(), request.uri().path()) {
        ("POST", "/api/v1/sessions") => Some("token"),
        ("POST", "/api/v1/keys") => Some("key"),
        _ => None,
    };
    let (parts, body) = router.clone().oneshot(request).await.expect("an answer").into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let value: Option<Value> = given.and_then(|_| serde_json::from_slice(&body).ok());
    match given.and_then(|name| value.as_ref()?[name].as_str()) {
        Some(secret) => secrets::know([secret]),
        None => secrets::saw(&body),
    }
    secrets::saw(format!("{:?}", parts.headers).as_bytes());
    (parts.status, parts.headers, body)
}

pub(crate) fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("items").iter().filter_map(|item| item["id"].as_str()).collect()
}

/// Takes one step of a future.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}
