//! What services push, from the URL to the connector, and the registrations that make them push.

use std::cell::RefCell;
use std::collections::BTreeMap;

use connector_core::credential::Credential;
use connector_core::engine::{DeliveryQuery, StateValue, Write, WriteSet};
use connector_core::id::ConnectionId;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{
    ChannelUpdate, ConnectRequest, Hook, HookAnswer, HookError, Requester, SubscriptionState, SubscriptionView,
};
use connector_core::testing::TestHost;
use connector_core::webhook::{Algorithm, Verify, VerifyError, signed};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::fixture::{log, logged};

mod disconnect;

const URL: &str = "https://host.example/hooks/";

/// The service that the toy connectors subscribe at.
#[derive(Default)]
struct Service {
    registered: BTreeMap<u32, (String, Option<String>, Option<Timestamp>)>,
    created: u32,
    refuses: Option<fn() -> Error>,
    /// The registration is made, and then something fails.
    loses_answers: bool,
    cannot_delete: Option<fn() -> Error>,
    cannot_list: bool,
    cannot_renew: bool,
    lives: Option<SignedDuration>,
}

thread_local! {
    static SERVICE: RefCell<Service> = RefCell::default();
}

fn service<T>(look: impl FnOnce(&mut Service) -> T) -> T {
    SERVICE.with_borrow_mut(look)
}

fn create(endpoint: &Endpoint, now: Timestamp) -> Result<Registration> {
    service(|service| {
        if let Some(refuses) = service.refuses {
            return Err(refuses());
        }
        service.created += 1;
        let id = service.created;
        let ends = service.lives.map(|lives| now + lives);
        let secret = endpoint.secret.as_ref().map(|secret| secret.expose().to_owned());
        service.registered.insert(id, (endpoint.url.clone(), secret, ends));
        if service.loses_answers {
            return Err(Error::transient("the connection broke"));
        }
        let registration = Registration::new(id.to_string());
        Ok(if let Some(ends) = ends { registration.expires_at(ends) } else { registration })
    })
}

fn delete(registration: &Registration) -> Result<()> {
    service(|service| {
        if let Some(error) = service.cannot_delete {
            return Err(error());
        }
        match service.registered.remove(&registration.id.parse().unwrap()) {
            Some(_) => Ok(()),
            None => Err(Error::gone("no such hook")),
        }
    })
}

fn list() -> Option<Vec<Registration>> {
    service(|service| {
        let all = service.registered.iter().map(|(id, (url, _, _))| Registration::new(id.to_string()).url(url));
        (!service.cannot_list).then(|| all.collect())
    })
}

fn renew(registration: &Registration, now: Timestamp) -> Option<Registration> {
    service(|service| {
        let ends = now + service.lives?;
        let found = service.registered.get_mut(&registration.id.parse().unwrap())?;
        if service.cannot_renew {
            return None;
        }
        found.2 = Some(ends);
        Some(registration.clone().expires_at(ends))
    })
}

macro_rules! subscription {
    ($message:ident of $connector:ident) => {
        impl Subscription for $message {
            async fn create(&self, cx: &Context<$connector>, endpoint: &Endpoint) -> Result<Registration> {
                create(endpoint, cx.now())
            }

            async fn delete(&self, _: &Context<$connector>, registration: &Registration) -> Result<()> {
                delete(registration)
            }

            async fn renew(
                &self,
                cx: &Context<$connector>,
                registration: &Registration,
                _: &Endpoint,
            ) -> Result<Option<Registration>> {
                Ok(renew(registration, cx.now()))
            }

            async fn list(&self, _: &Context<$connector>) -> Result<Option<Vec<Registration>>> {
                Ok(list())
            }
        }
    };
}

/// A service that signs as GitHub does, with a hook for each repository.
#[connector(id = "pushy")]
#[derive(Default)]
struct Pushy;

#[connector]
impl Connector for Pushy {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("one", "One"), Channel::new("two", "Two")])
    }
}

#[connector]
impl Pushy {
    #[webhook(verify = hmac_sha256(header = "X-Signature", prefix = "sha256="), delivery_id = "X-Delivery")]
    async fn events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        log(format!("{channel} {text}"));
        if text == "fails" {
            return Err(Error::rejected("nothing to do with it"));
        }
        cx.set(&format!("seen {text}"), &true).await
    }

    /// Makes URLs by hand.
    #[callback]
    async fn make(&self, cx: &Context<Self>, synchronous: bool) -> Result<()> {
        let message = Taken { channel: ChannelId::new("one"), number: 7 };
        let endpoint = if synchronous {
            cx.create_webhook_sync(Asked { what: "text".to_owned() }).await?
        } else {
            cx.create_webhook_once(message, "/id").await?
        };
        log(format!("{} {}", endpoint.url, endpoint.secret.as_ref().unwrap().expose()));
        Ok(())
    }

    #[callback]
    async fn unmake(&self, cx: &Context<Self>, url: String) -> Result<()> {
        cx.delete_webhook(&url).await
    }

    #[callback]
    async fn taken(
        &self,
        _: &Context<Self>,
        channel: ChannelId,
        number: u32,
        #[input] request: WebhookRequest,
    ) -> Result<()> {
        let request = request.verify(&Verify::HmacSha256 { header: "x-signature", prefix: "" })?;
        log(format!("{channel} {number} {}", String::from_utf8_lossy(&request.body)));
        Ok(())
    }

    #[callback]
    async fn asked(
        &self,
        cx: &Context<Self>,
        what: String,
        #[input] request: WebhookRequest,
    ) -> Result<serde_json::Value> {
        cx.set("asked", &what).await?;
        request.json()
    }
}

subscription!(Events of Pushy);

/// A service of Microsoft's kind: a state in every item, a challenge in the query, and an end.
#[connector(id = "graph")]
#[derive(Default)]
struct Graph;

#[connector]
impl Connector for Graph {}

#[connector]
impl Graph {
    #[webhook(verify = state_field("/value/*/clientState"), handshake = echo_query("validationToken"))]
    async fn notices(&self, _: &Context<Self>, #[input] request: Verified<WebhookRequest>) -> Result<()> {
        log(format!("notice {}", request.body.len()));
        Ok(())
    }
}

subscription!(Notices of Graph);

/// A service of Asana's kind: it brings the secret.
#[connector(id = "bringer")]
#[derive(Default)]
struct Bringer;

#[connector]
impl Connector for Bringer {}

#[connector]
impl Bringer {
    #[webhook(verify = hmac_sha256(header = "X-Hook-Signature"), handshake = echo_header("X-Hook-Secret"))]
    async fn brought(&self, _: &Context<Self>, #[input] request: Verified<WebhookRequest>) -> Result<()> {
        log(format!("brought {}", request.body.len()));
        Ok(())
    }
}

subscription!(Brought of Bringer);

/// A service of Slack's kind: one URL for the whole app.
#[connector(id = "app", provider = Slack)]
#[derive(Default)]
struct App;

#[connector]
impl Connector for App {
    async fn get_account_tenant(&self, cx: &Context<Self>, account: &Account) -> Result<Option<String>> {
        log(format!("asked, {:?} is known", account.tenant));
        Ok(Some(if cx.owner().as_str() == "bob" { "T2" } else { "T1" }.to_owned()))
    }
}

fn team_of(request: &WebhookRequest) -> Option<String> {
    request.header("x-team").map(str::to_owned)
}

#[connector]
impl App {
    #[webhook(verify = slack, handshake = echo_field("/challenge"), delivery_id = "/event_id", app(tenant = team_of))]
    async fn app_events(&self, cx: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        log(format!("{} hears it", cx.owner()));
        Ok(())
    }
}

/// A service with a scheme of its own.
#[connector(id = "own")]
#[derive(Default)]
struct Own;

#[connector]
impl Connector for Own {}

fn reversed(request: &WebhookRequest, secret: Option<&Secret>) -> std::result::Result<(), VerifyError> {
    let digest: Vec<u8> = request.body.iter().rev().copied().collect();
    let secret = secret.ok_or(VerifyError::NoSecret)?;
    match request.header("x-reversed") {
        Some("signed") => signed(Algorithm::Sha256, secret.expose().as_bytes(), &[&request.body], &digest)
            .then_some(())
            .ok_or(VerifyError::Wrong),
        Some(given) if given.as_bytes() == digest => Ok(()),
        Some(_) => Err(VerifyError::Wrong),
        None => Err(VerifyError::Missing),
    }
}

#[connector]
impl Own {
    #[webhook(verify = function(reversed))]
    async fn turned(&self, _: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        log("turned");
        Ok(())
    }
}

subscription!(Turned of Own);

fn host_of(registry: std::result::Result<Registry, connector_core::registry::RegistryErrors>) -> TestHost {
    service(|service| *service = Service::default());
    TestHost::new(registry.unwrap()).configure(|config| {
        config.public_url = Some("https://host.example".to_owned());
        config.webhook_secrets.insert("slack".to_owned(), Secret::new("shared"));
    })
}

async fn connect(host: &TestHost, connector: &'static str, user: &str) -> ConnectionId {
    let mut request = ConnectRequest::new(connector, user);
    if connector == "app" {
        request.token = Some(Secret::new("t"));
    }
    let id = host.runtime().connect(request).await.unwrap().id;
    host.settle().await;
    id
}

async fn enable(host: &TestHost, connection: ConnectionId, channel: &str) {
    host.runtime().enable_channel(connection, &channel.into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
}

async fn pushy() -> (TestHost, ConnectionId) {
    let host = host_of(Registry::of::<Pushy>());
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    (host, connection)
}

/// URL and secret of the newest registration.
fn newest() -> (String, String) {
    service(|service| {
        let (url, secret, _) = service.registered.values().next_back().unwrap().clone();
        (url, secret.unwrap())
    })
}

fn digest(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn hook(host: &TestHost, url: &str) -> std::result::Result<Hook, HookError> {
    host.runtime().find_hook(url.strip_prefix(URL).unwrap()).await
}

fn request(host: &TestHost, body: &str) -> WebhookRequest {
    WebhookRequest::new("POST", body.to_owned(), host.clock().now())
}

async fn push(host: &TestHost, url: &str, request: WebhookRequest) -> std::result::Result<HookAnswer, HookError> {
    hook(host, url).await?.receive(request).await
}

async fn push_signed(host: &TestHost, id: &str, body: &str) {
    let (url, secret) = newest();
    let signed = request(host, body)
        .with_header("X-Delivery", id)
        .with_header("X-Signature", format!("sha256={}", digest(&secret, body)));
    assert_eq!(push(host, &url, signed).await.unwrap(), HookAnswer::Taken);
}

async fn subscriptions(host: &TestHost, connection: ConnectionId) -> Vec<SubscriptionView> {
    host.runtime().subscriptions(connection).await.unwrap()
}

async fn state(host: &TestHost, connection: ConnectionId) -> SubscriptionState {
    subscriptions(host, connection).await.pop().unwrap().state
}

fn registered() -> Vec<u32> {
    service(|service| service.registered.keys().copied().collect())
}

/// R10.3, R11.4: a push is stored before it is answered, survives a crash, runs in its scope, and once.
#[tokio::test]
async fn a_push_is_stored_and_handed_over_once() {
    let (host, connection) = pushy().await;
    assert_eq!(state(&host, connection).await, SubscriptionState::Live);
    push_signed(&host, "d1", "hello").await;
    assert_eq!(logged(), Vec::<String>::new(), "nothing runs before the answer");
    let host = host.crash().await;
    push_signed(&host, "d1", "hello").await;
    push_signed(&host, "d2", "hello").await;
    host.settle().await;
    assert_eq!(logged(), ["one hello", "one hello"]);
    let kept = host.runtime().deliveries(DeliveryQuery::all(10)).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|kept| kept.state == "done" && kept.size == 5 && kept.callback == "events"), "{kept:?}");
}

/// The stored rows of the webhooks of a connection, in the order of their keys.
async fn stored_hooks(host: &TestHost, connection: ConnectionId) -> Vec<(String, StateValue)> {
    host.runtime().ports().engine.state_entries(connection, "k/".to_owned(), 10).await.unwrap()
}

/// Design 7: a sealed secret opens in its own row only.
#[tokio::test]
async fn a_webhook_secret_does_not_open_in_another_row() {
    let (host, connection) = pushy().await;
    let [(first, row)] = stored_hooks(&host, connection).await.try_into().unwrap();
    let (_, secret) = newest();
    enable(&host, connection, "two").await;
    let (url, _) = newest();
    let [key] = stored_hooks(&host, connection)
        .await
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| *key != first)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let copy = Write::PutState { connection, key, value: row.value };
    host.runtime().ports().engine.commit(WriteSet::of([copy])).await.unwrap();
    let signed = request(&host, "body").with_header("X-Signature", format!("sha256={}", digest(&secret, "body")));
    let refused = push(&host, &url, signed).await;
    assert!(matches!(refused, Err(HookError::Unavailable)), "{refused:?}");
}

/// Design 7: new keys change nothing for services.
#[tokio::test]
async fn webhooks_work_after_they_were_sealed_anew() {
    let (host, connection) = pushy().await;
    let before = stored_hooks(&host, connection).await;
    assert_eq!(host.runtime().reseal(&|_| false).await.unwrap(), 0);
    assert_eq!(stored_hooks(&host, connection).await, before);
    assert_eq!(host.runtime().reseal(&|_| true).await.unwrap(), 2, "the webhook and its subscription");
    assert_ne!(stored_hooks(&host, connection).await[0].1.version, before[0].1.version);
    push_signed(&host, "d1", "hello").await;
    host.settle().await;
    assert_eq!(logged(), ["one hello"]);
    host.runtime().disable_channel(connection, &"one".into()).await.unwrap();
    host.settle().await;
    assert_eq!(registered(), Vec::<u32>::new());
}

/// L14: what is not signed with the secret, in the very form that is declared, never reaches the connector.
#[tokio::test]
async fn what_does_not_verify_is_refused() {
    let (host, _) = pushy().await;
    let (url, secret) = newest();
    let right = digest(&secret, "body");
    let short = right.strip_suffix(right.chars().last().unwrap()).unwrap();
    let base64 = "mY9iV2q3cO0r5bJx8m1P8mQy8iIoZQb9vJm3cQm2b8A=";
    let wrong = [
        (None, VerifyError::Missing),
        (Some(String::new()), VerifyError::Wrong),
        (Some(right.clone()), VerifyError::Wrong),
        (Some(format!("sha1={right}")), VerifyError::Wrong),
        (Some(format!("SHA256={right}")), VerifyError::Wrong),
        (Some(format!("sha256={}", right.to_uppercase())), VerifyError::Wrong),
        (Some(format!("sha256={short}")), VerifyError::Wrong),
        (Some(format!("sha256={right}00")), VerifyError::Wrong),
        (Some(format!("sha256={base64}")), VerifyError::Wrong),
        (Some("sha256=".to_owned()), VerifyError::Wrong),
        (Some(format!("sha256={}", digest(&secret, "another body"))), VerifyError::Wrong),
        (Some(format!("sha256={}", digest("another secret", "body"))), VerifyError::Wrong),
        (Some(format!("sha256={}", digest("", "body"))), VerifyError::Wrong),
    ];
    for (signature, reason) in wrong {
        let mut request = request(&host, "body").with_header("X-Delivery", "d");
        if let Some(signature) = &signature {
            request = request.with_header("X-Signature", signature.clone());
        }
        match push(&host, &url, request).await {
            Err(HookError::Unverified(error)) => assert_eq!(error, reason, "{signature:?}"),
            other => panic!("{signature:?}: {other:?}"),
        }
    }
    host.settle().await;
    assert_eq!(logged(), Vec::<String>::new());
    assert_eq!(host.runtime().deliveries(DeliveryQuery::all(10)).await.unwrap(), []);
}

/// R10.3, L29: a URL that was not made, or was changed, leads nowhere.
#[tokio::test]
async fn a_wrong_url_leads_nowhere() {
    let (host, connection) = pushy().await;
    enable(&host, connection, "two").await;
    let (url, _) = newest();
    let token = url.strip_prefix(URL).unwrap().to_owned();
    let (number, random) = token.split_once('-').unwrap();
    assert_eq!(random.len(), 32, "as much as cannot be guessed");
    let mut other = random.to_owned();
    other.replace_range(0..1, if random.starts_with('0') { "1" } else { "0" });
    for wrong in [
        String::new(),
        "-".to_owned(),
        number.to_owned(),
        format!("{number}-"),
        format!("{number}-{other}"),
        format!("{number}-{}", random.to_uppercase()),
        format!("99999-{random}"),
        format!("+{number}-{random}"),
        format!("{number}-{random}0"),
        format!("99999999999999999999-{random}"),
    ] {
        let found = host.runtime().find_hook(&wrong).await;
        assert!(matches!(found, Err(HookError::Unknown)), "{wrong}");
    }
    let stored = host.runtime().ports().engine.state_entries(connection, String::new(), 100);
    for (key, value) in stored.await.unwrap() {
        assert!(!key.contains(random), "{key}: the store does not open the URL");
        assert!(!value.value.windows(random.len()).any(|part| part == random.as_bytes()), "{key}");
    }
}

/// R10.3: a failed delivery is a dead letter; it is replayed alone, or with all of its time.
#[tokio::test]
async fn deliveries_are_replayed() {
    let (host, connection) = pushy().await;
    push_signed(&host, "d1", "fails").await;
    host.settle().await;
    let first = host.runtime().deliveries(DeliveryQuery::all(10)).await.unwrap().pop().unwrap();
    assert_eq!(first.state, "dead");
    host.advance(SignedDuration::from_hours(1)).await;
    let later = host.clock().now();
    push_signed(&host, "d2", "works").await;
    host.settle().await;
    assert_eq!(logged(), ["one fails", "one works"]);

    let again = host.runtime().replay(first.id).await.unwrap();
    assert_eq!((again.id, again.state), (first.id, "waiting"));
    host.settle().await;
    assert_eq!(logged(), ["one fails"]);
    let mut query = DeliveryQuery::all(1);
    query.since = Some(later);
    assert_eq!(host.runtime().replay_all(query).await.unwrap(), 1);
    assert_eq!(host.runtime().replay_all(DeliveryQuery::all(1)).await.unwrap(), 1, "what waits stays as it is");
    host.settle().await;
    assert_eq!(logged(), ["one works", "one fails"]);
    let dead = host.runtime().dead_tasks(connector_core::engine::TaskQuery::all(10)).await.unwrap();
    assert_eq!(dead.len(), 1, "one letter for one request");
    let mut query = DeliveryQuery::all(10);
    query.connection = Some(connection);
    assert_eq!(host.runtime().deliveries(query).await.unwrap().len(), 2);
}

/// R10.3: they are kept for a while, and not without end; what still waits stays.
#[tokio::test]
async fn old_deliveries_go() {
    let host = host_of(Registry::of::<Pushy>()).configure(|config| config.max_deliveries = 3);
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    for number in 0..5 {
        push_signed(&host, &format!("d{number}"), &format!("{number}")).await;
        if number > 0 {
            host.settle().await;
        }
    }
    push_signed(&host, "waits", "waits").await;
    assert_eq!(host.runtime().prune_deliveries().await.unwrap(), 3);
    let left = |kept: Vec<connector_core::runtime::DeliveryView>| kept.len();
    assert_eq!(left(host.runtime().deliveries(DeliveryQuery::all(10)).await.unwrap()), 3);
    host.clock().set(host.clock().now() + SignedDuration::from_hours(8 * 24));
    assert_eq!(host.runtime().prune_deliveries().await.unwrap(), 2, "all but the one that waits");
    host.settle().await;
    assert_eq!(host.runtime().prune_deliveries().await.unwrap(), 1);
    logged();
}

/// Deliveries are bounded by their bytes as well: the oldest go until the rest fits, but for those that wait.
#[tokio::test]
async fn deliveries_beyond_their_bytes_go() {
    let host = host_of(Registry::of::<Pushy>()).configure(|config| config.max_delivery_bytes = 250);
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    for number in 0..4 {
        push_signed(&host, &format!("d{number}"), &format!("{number}{}", "x".repeat(99))).await;
    }
    assert_eq!(host.runtime().prune_deliveries().await.unwrap(), 0, "all of them wait");
    host.settle().await;
    assert_eq!(host.runtime().prune_deliveries().await.unwrap(), 2);
    assert_eq!(host.runtime().deliveries(DeliveryQuery::all(10)).await.unwrap().len(), 2);
    logged();
}

/// R11.4, R11.5: a disabled channel takes nothing, and nothing of it is left, here or at the service.
#[tokio::test]
async fn disabling_a_channel_ends_its_webhook() {
    let (host, connection) = pushy().await;
    enable(&host, connection, "two").await;
    assert_eq!(registered(), [1, 2]);
    let (url, _) = newest();
    host.runtime().disable_channel(connection, &"two".into()).await.unwrap();
    assert!(matches!(push(&host, &url, request(&host, "x")).await, Err(HookError::Disabled)));
    host.settle().await;
    assert!(matches!(push(&host, &url, request(&host, "x")).await, Err(HookError::Unknown)));
    assert_eq!(registered(), [1], "the other channel's stays");
    assert_eq!(subscriptions(&host, connection).await.len(), 1);
    enable(&host, connection, "two").await;
    assert_eq!(registered(), [1, 3]);
    assert_ne!(newest().0, url);
}

/// R11.5, L8: the service is down while the channel is disabled: it is tried until it is gone, visibly.
#[tokio::test]
async fn a_registration_is_deleted_when_the_service_is_back() {
    let (host, connection) = pushy().await;
    service(|service| service.cannot_delete = Some(|| Error::transient("down")));
    host.runtime().disable_channel(connection, &"one".into()).await.unwrap();
    host.settle().await;
    let left = subscriptions(&host, connection).await.pop().unwrap();
    assert_eq!((left.state, left.reason.as_deref()), (SubscriptionState::Removing, Some("down")));
    service(|service| service.cannot_delete = None);
    host.advance(SignedDuration::from_mins(10)).await;
    assert_eq!((registered(), subscriptions(&host, connection).await.len()), (vec![], 0));
}

/// R3.1: disconnecting takes the registrations back.
#[tokio::test]
async fn disconnecting_deletes_registrations() {
    let (host, connection) = pushy().await;
    enable(&host, connection, "two").await;
    let (url, _) = newest();
    host.run(host.runtime().disconnect(connection)).await.unwrap();
    assert_eq!(registered(), Vec::<u32>::new());
    assert!(matches!(push(&host, &url, request(&host, "x")).await, Err(HookError::Unknown)));
    assert!(host.runtime().ports().engine.state_entries(connection, String::new(), 10).await.unwrap().is_empty());
}

/// R11.4, L13: a service that refuses is polled, and says why; it is asked again later.
#[tokio::test]
async fn a_refused_subscription_is_polled() {
    let host = host_of(Registry::of::<Pushy>());
    service(|service| service.refuses = Some(|| Error::scope_missing("admin:repo_hook")));
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    let refused = subscriptions(&host, connection).await.pop().unwrap();
    assert_eq!(refused.state, SubscriptionState::Polling);
    assert!(refused.reason.unwrap().contains("admin:repo_hook"));
    assert!(host.runtime().dead_tasks(connector_core::engine::TaskQuery::all(10)).await.unwrap().is_empty());
    service(|service| service.refuses = None);
    host.advance(SignedDuration::from_hours(25)).await;
    assert_eq!((state(&host, connection).await, registered()), (SubscriptionState::Live, vec![1]));
}

/// R11.4: without a URL that services reach, there is nothing to register.
#[tokio::test]
async fn without_a_public_url_changes_are_polled() {
    let host = host_of(Registry::of::<Pushy>()).configure(|config| config.public_url = None);
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    let refused = subscriptions(&host, connection).await.pop().unwrap();
    assert_eq!(refused.state, SubscriptionState::Polling);
    assert!(refused.reason.unwrap().contains("public_url"));
    assert_eq!(registered(), Vec::<u32>::new());
}

/// R11.4, L13: the service makes the registration, and its answer is lost: there is still exactly one.
#[tokio::test]
async fn a_lost_answer_leaves_one_registration() {
    let host = host_of(Registry::of::<Pushy>());
    service(|service| service.loses_answers = true);
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    let pending = subscriptions(&host, connection).await.pop().unwrap();
    assert_eq!((pending.state, pending.reason.as_deref()), (SubscriptionState::Pending, Some("the connection broke")));
    service(|service| service.loses_answers = false);
    let host = host.crash().await;
    host.advance(SignedDuration::from_mins(1)).await;
    assert_eq!((state(&host, connection).await, registered()), (SubscriptionState::Live, vec![1]));
    push_signed(&host, "d1", "hello").await;
    host.settle().await;
    assert_eq!(logged(), ["one hello"], "the secret was stored before it was given away");
}

/// L13: the same, and the channel is disabled before it is known.
#[tokio::test]
async fn a_lost_answer_leaves_none_after_disabling() {
    let host = host_of(Registry::of::<Pushy>());
    service(|service| service.loses_answers = true);
    let connection = connect(&host, "pushy", "ada").await;
    enable(&host, connection, "one").await;
    assert_eq!(registered(), [1]);
    host.runtime().disable_channel(connection, &"one".into()).await.unwrap();
    host.advance(SignedDuration::from_mins(1)).await;
    assert_eq!((registered(), subscriptions(&host, connection).await.len()), (vec![], 0));
}

/// L13: a registration that the service has lost is made anew, and one that nobody knows of goes.
#[tokio::test]
async fn what_the_service_has_is_compared_every_day() {
    let (host, connection) = pushy().await;
    let stray = format!("{URL}{}-{}", connection.number(), "f".repeat(32));
    service(|service| {
        service.registered.clear();
        service.registered.insert(90, (stray, None, None));
        service.registered.insert(91, ("https://elsewhere.example/hooks/x".to_owned(), None, None));
        service.created = 100;
    });
    host.advance(SignedDuration::from_hours(25)).await;
    assert_eq!(registered(), [91, 101]);
    assert_eq!(state(&host, connection).await, SubscriptionState::Live);
}

/// R11.4: renewed at half of its life; where it cannot be, a new one comes before the old one goes.
#[tokio::test]
async fn registrations_are_renewed() {
    let host = host_of(Registry::of::<Graph>());
    service(|service| service.lives = Some(SignedDuration::from_hours(2)));
    let connection = connect(&host, "graph", "ada").await;
    let first = subscriptions(&host, connection).await.pop().unwrap();
    assert_eq!(first.expires_at.unwrap().duration_since(first.renew_at.unwrap()), SignedDuration::from_hours(1));
    host.advance(SignedDuration::from_mins(70)).await;
    let second = subscriptions(&host, connection).await.pop().unwrap();
    assert_eq!(second.expires_at.unwrap().duration_since(first.expires_at.unwrap()), SignedDuration::from_hours(1));
    assert_eq!(registered(), [1]);
    service(|service| {
        service.cannot_renew = true;
        service.cannot_list = true;
        service.cannot_delete = Some(|| Error::transient("down"));
    });
    host.advance(SignedDuration::from_mins(60)).await;
    assert_eq!(registered(), [1, 2], "there is one at every time");
    service(|service| service.cannot_delete = None);
    host.advance(SignedDuration::from_mins(5)).await;
    assert_eq!(registered(), [2]);
    assert_eq!(state(&host, connection).await, SubscriptionState::Live);
}

/// R11.4: Microsoft's schemes: the validation token comes back as text, every item has the state.
#[tokio::test]
async fn microsofts_schemes_are_checked() {
    let host = host_of(Registry::of::<Graph>());
    connect(&host, "graph", "ada").await;
    let (url, secret) = newest();
    let asked = request(&host, "").with_query("validationToken", "a+b <c>");
    assert_eq!(push(&host, &url, asked).await.unwrap(), HookAnswer::Text("a+b <c>".to_owned()));
    let (right, wrong) = (json!({"clientState": secret}), json!({"clientState": "guess"}));
    let body = |items: serde_json::Value| json!({"value": items}).to_string();
    for refused in [
        body(json!([])),
        body(json!([wrong])),
        body(json!([right, wrong])),
        body(json!([right, {}])),
        body(json!([right, {"clientState": 7}])),
        body(json!({"clientState": secret})),
        body(json!([{"clientState": secret.to_uppercase()}])),
        right.to_string(),
        "[".to_owned(),
        String::new(),
    ] {
        let refusal = push(&host, &url, request(&host, &refused)).await;
        assert!(matches!(refusal, Err(HookError::Unverified(_))), "{refused}: {refusal:?}");
    }
    let taken = body(json!([right, right]));
    // Two that look alike are two: nothing in them tells.
    for _ in 0..2 {
        assert_eq!(push(&host, &url, request(&host, &taken)).await.unwrap(), HookAnswer::Taken);
    }
    host.settle().await;
    assert_eq!(logged().len(), 2);
}

/// R11.4, L13: a secret that the service brings is stored before it comes back, while it is expected.
#[tokio::test]
async fn a_secret_that_is_brought_is_kept_once() {
    let host = host_of(Registry::of::<Bringer>());
    connect(&host, "bringer", "ada").await;
    let (url, _) = newest();
    let bring = |secret: &str| request(&host, "").with_header("x-hook-secret", secret);
    let answer = push(&host, &url, bring("theirs")).await.unwrap();
    assert_eq!(answer, HookAnswer::Header("X-Hook-Secret", "theirs".to_owned()));
    assert!(matches!(push(&host, &url, bring("mine")).await, Err(HookError::Unverified(VerifyError::Wrong))));
    let signed = |secret: &str| request(&host, "{}").with_header("X-Hook-Signature", digest(secret, "{}"));
    assert!(matches!(push(&host, &url, signed("mine")).await, Err(HookError::Unverified(VerifyError::Wrong))));
    assert_eq!(push(&host, &url, signed("theirs")).await.unwrap(), HookAnswer::Taken);
    host.settle().await;
    assert_eq!(logged(), ["brought 2"]);
}

/// R11.4: a function says who is right, and gets the secret.
#[tokio::test]
async fn a_function_verifies() {
    let host = host_of(Registry::of::<Own>());
    connect(&host, "own", "ada").await;
    let (url, _) = newest();
    for (header, taken) in [(None, false), (Some("abc"), false), (Some("signed"), false), (Some("cba"), true)] {
        let mut request = request(&host, "abc");
        if let Some(header) = header {
            request = request.with_header("X-Reversed", header);
        }
        assert_eq!(push(&host, &url, request).await.is_ok(), taken, "{header:?}");
    }
}

fn slack(host: &TestHost, secret: &str, team: &str, body: &serde_json::Value) -> WebhookRequest {
    let (body, seconds) = (body.to_string(), host.clock().now().as_second());
    let signature = digest(secret, &format!("v0:{seconds}:{body}"));
    request(host, &body)
        .with_header("X-Slack-Request-Timestamp", seconds.to_string())
        .with_header("X-Slack-Signature", format!("v0={signature}"))
        .with_header("X-Team", team)
}

/// Design 6.2: one URL for a whole app, to all connections of the tenant, and to no other.
#[tokio::test]
async fn a_push_for_the_whole_app_goes_to_its_tenant() {
    let host = host_of(Registry::of::<App>());
    for user in ["ada", "bob", "eve"] {
        connect(&host, "app", user).await;
    }
    assert_eq!(logged(), ["asked, None is known"; 3]);
    let push = async |request| host.runtime().find_app_hook("app").unwrap().receive(request).await;
    let event = json!({"event_id": "E1"});
    for _ in 0..2 {
        assert_eq!(push(slack(&host, "shared", "T1", &event)).await.unwrap(), HookAnswer::Taken);
        // Slack signs what it sends again at another time.
        host.clock().set(host.clock().now() + SignedDuration::from_secs(10));
    }
    assert_eq!(push(slack(&host, "shared", "T3", &event)).await.unwrap(), HookAnswer::Taken, "nobody's is no error");
    host.settle().await;
    let mut heard = logged();
    heard.sort();
    assert_eq!(heard, ["ada hears it", "eve hears it"]);

    let challenge = json!({"type": "url_verification", "challenge": "c"});
    assert_eq!(push(slack(&host, "shared", "", &challenge)).await.unwrap(), HookAnswer::Text("c".to_owned()));
    assert!(matches!(push(slack(&host, "guess", "", &challenge)).await, Err(HookError::Unverified(_))));
    let old = slack(&host, "shared", "T1", &json!({"event_id": "E2"}));
    host.clock().set(host.clock().now() + SignedDuration::from_mins(6));
    let mut old = old;
    old.received_at = host.clock().now();
    assert!(matches!(push(old).await, Err(HookError::Unverified(VerifyError::Stale))));
    assert!(matches!(host.runtime().find_app_hook("slack"), Err(HookError::Unknown)));
}

/// Design 6.2: whose an account is comes with the token; one that came bare is asked for it, again when it is renewed.
#[tokio::test]
async fn a_bare_token_gets_its_tenant_from_the_connector() {
    let host = host_of(Registry::of::<App>());
    let id = connect(&host, "app", "ada").await;
    let tenant = async || host.runtime().connection(id).await.unwrap().account.tenant.clone();
    assert_eq!(tenant().await.as_deref(), Some("T1"));
    host.runtime().reauthorize(id, Secret::new("another")).await.unwrap();
    assert_eq!((logged().len(), tenant().await.as_deref()), (2, Some("T1")));
    let mut credential = Credential::new(Secret::new("with its team"));
    credential.tenant = Some("T9".to_owned());
    host.runtime().authorize(id, credential, &Requester::Operator).await.unwrap();
    assert_eq!((logged().len(), tenant().await.as_deref()), (0, Some("T9")));
}

/// L14: without the app's secret nothing is let through.
#[tokio::test]
async fn an_app_without_a_secret_takes_nothing() {
    let host = host_of(Registry::of::<App>());
    let host = host.configure(|config| config.webhook_secrets.clear());
    for secret in ["", "shared"] {
        let hook = host.runtime().find_app_hook("app").unwrap();
        let refused = hook.receive(slack(&host, secret, "T1", &json!({}))).await;
        assert!(matches!(refused, Err(HookError::Unverified(VerifyError::NoSecret))));
    }
}

/// R10.3: a URL made by hand, with its own secret; what comes again is dropped; gone after delete and with its channel.
#[tokio::test]
async fn a_url_is_made_by_hand() {
    let (host, connection) = pushy().await;
    let make = async || {
        host.runtime().queue(connection, Make { synchronous: false }).await.unwrap();
        host.settle().await;
        let line = logged().pop().unwrap();
        let (url, secret) = line.split_once(' ').unwrap();
        (url.to_owned(), secret.to_owned())
    };
    let (url, secret) = make().await;
    let body = r#"{"id":"x1"}"#;
    for signature in [digest(&secret, body), digest(&secret, body), "forged".to_owned()] {
        let request = request(&host, body).with_header("X-Signature", signature);
        assert_eq!(push(&host, &url, request).await.unwrap(), HookAnswer::Taken);
    }
    host.settle().await;
    assert_eq!(logged(), [format!("one 7 {body}")]);
    host.runtime().queue(connection, Unmake { url: url.clone() }).await.unwrap();
    host.settle().await;
    assert!(matches!(push(&host, &url, request(&host, body)).await, Err(HookError::Unknown)));

    let (url, _) = make().await;
    host.runtime().disable_channel(connection, &"one".into()).await.unwrap();
    assert!(matches!(push(&host, &url, request(&host, body)).await, Err(HookError::Unknown)));
}

/// R10.3: a synchronous one answers with the callback's value, and what it wrote is stored.
#[tokio::test]
async fn a_synchronous_webhook_answers() {
    let (host, connection) = pushy().await;
    host.runtime().queue(connection, Make { synchronous: true }).await.unwrap();
    host.settle().await;
    let line = logged().pop().unwrap();
    let url = line.split_once(' ').unwrap().0;
    for (body, answer) in [
        ("\"text\"", HookAnswer::Text("text".to_owned())),
        ("null", HookAnswer::Taken),
        ("{\"a\":[1]}", HookAnswer::Json(json!({"a": [1]}))),
    ] {
        assert_eq!(push(&host, url, request(&host, body)).await.unwrap(), answer);
    }
    assert!(matches!(push(&host, url, request(&host, "{")).await, Err(HookError::Failed(_))));
    let stored = host.runtime().ports().engine.state(connection, vec!["c/asked".to_owned()]).await.unwrap();
    assert!(stored[0].is_some());
    assert!(host.runtime().deliveries(DeliveryQuery::all(10)).await.unwrap().is_empty());
}
