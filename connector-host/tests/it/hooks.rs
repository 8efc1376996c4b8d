//! Where services push, over real connections (R10.3, L14).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::ConnectRequest;
use connector_core::webhook::VerifyError;
use connector_host::Host;
use connector_test_support::secrets;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::desk::{KEY, config, directory};

/// A service that has a hook with a scheme of its own, and one that is signed.
#[connector(id = "hooked")]
#[derive(Default)]
pub struct Hooked;

#[connector]
impl Connector for Hooked {}

/// What the service was given.
static ENDPOINT: Mutex<Option<Endpoint>> = Mutex::new(None);

/// And for the hook that is signed.
static SIGNED: Mutex<Option<Endpoint>> = Mutex::new(None);

/// Requests that came as far as the connector.
static REACHED: AtomicU32 = AtomicU32::new(0);

fn proof(request: &WebhookRequest, secret: Option<&Secret>) -> std::result::Result<(), VerifyError> {
    // A service may sign the URL: it is seen as the service was given it, with the query as it was sent.
    let endpoint = ENDPOINT.lock().expect("no panic").as_ref().map(|endpoint| endpoint.url.clone());
    assert_eq!(request.url, format!("{}?a%20b=%C3%BC", endpoint.expect("it is registered")));
    let given = request.header("x-proof").ok_or(VerifyError::Missing)?;
    let secret = secret.ok_or(VerifyError::NoSecret)?;
    if given == secret.expose() { Ok(()) } else { Err(VerifyError::Wrong) }
}

#[connector]
impl Hooked {
    #[webhook(verify = function(proof), delivery_id = "X-Delivery")]
    async fn pushed(&self, _: &Context<Self>, #[input] request: Verified<WebhookRequest>) -> Result<()> {
        assert_eq!(request.parameter("a b"), Some("ü"));
        assert_eq!(request.url, "", "it is not stored: whoever has it can push");
        REACHED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    #[webhook(
        verify = hmac_sha256(header = "X-Hub-Signature-256", prefix = "sha256="),
        handshake = echo_query("hub.challenge"),
        delivery_id = "X-Delivery",
        max_body = 3_145_728
    )]
    async fn signed(&self, _: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        REACHED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Subscription for Signed {
    async fn create(&self, _: &Context<Hooked>, endpoint: &Endpoint) -> Result<Registration> {
        *SIGNED.lock().expect("no panic") = Some(endpoint.clone());
        Ok(Registration::new("2"))
    }

    async fn delete(&self, _: &Context<Hooked>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

impl Subscription for Pushed {
    async fn create(&self, _: &Context<Hooked>, endpoint: &Endpoint) -> Result<Registration> {
        *ENDPOINT.lock().expect("no panic") = Some(endpoint.clone());
        Ok(Registration::new("1"))
    }

    async fn delete(&self, _: &Context<Hooked>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

struct Served {
    host: Host,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    path: String,
    secret: String,
    /// The same of the hook that is signed.
    signed: (String, String),
    _watch: secrets::Watch,
}

/// A host that listens, with a connection whose hook is registered.
async fn served() -> Served {
    let watch = secrets::Watch::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut config = config(&directory("hooks"));
    config.public_url = Some(format!("http://{address}/").parse().expect("a URL"));
    config.limits.max_webhook_time = Some(Duration::from_secs(1));
    config.limits.hook_concurrency = NonZeroU32::new(1);
    let host = Host::open(config, Registry::of::<Hooked>().expect("a registry")).await.expect("a host");
    host.start().await.expect("it starts");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = host.clone();
    tokio::spawn(async move { serving.serve(listener, async { stopped.await.unwrap_or_default() }).await });
    host.runtime().connect(ConnectRequest::new("hooked", "ada")).await.expect("a connection");
    let given = async |of: &Mutex<Option<Endpoint>>| {
        let endpoint = loop {
            if let Some(endpoint) = of.lock().expect("no panic").clone() {
                break endpoint;
            }
            tokio::task::yield_now().await;
        };
        let path = endpoint.url.strip_prefix(&format!("http://{address}")).expect("the public URL").to_owned();
        (path, endpoint.secret.expect("a secret").expose().to_owned())
    };
    let (path, secret) = given(&ENDPOINT).await;
    let signed = given(&SIGNED).await;
    secrets::know([KEY, &secret, &signed.1]);
    Served { host, address, stop: Some(stop), path, secret, signed, _watch: watch }
}

/// The HMAC-SHA256 of a body as GitHub sends it.
fn digest(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Served {
    /// The status and body of the answer to these bytes. What is written after the answer may fail.
    /// Status, head and body of the answer to a request without a body.
    async fn whole(&self, head: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(head.replace('\n', "\r\n").as_bytes()).await.expect("the head is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head.to_owned(), body.to_owned())
    }

    async fn raw(&self, head: &str, body: impl Iterator<Item = Vec<u8>>) -> (u16, String) {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let (mut read, mut write) = stream.into_split();
        write.write_all(head.replace('\n', "\r\n").as_bytes()).await.expect("the head is taken");
        let mut answer = Vec::new();
        let send = async {
            for chunk in body {
                if write.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let receive = async {
            let mut buffer = [0; 4096];
            // A connection that is reset after the answer is closed as well.
            while let Ok(count @ 1..) = read.read(&mut buffer).await {
                answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
        };
        tokio::select! {
            () = send => {}
            () = receive => {}
        }
        secrets::saw(&answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status.unwrap_or_else(|| panic!("no answer: {answer:?}")), body.unwrap_or_default())
    }

    async fn push(&self, path: &str, headers: &str, body: &str) -> u16 {
        let length = body.len();
        let head = format!(
            "POST {path}?a%20b=%C3%BC HTTP/1.1\nHost: x\nConnection: close\nContent-Length: {length}\n{headers}\n"
        );
        let (status, answer) = self.raw(&head, [body.as_bytes().to_vec()].into_iter()).await;
        if status == 200 {
            assert_eq!(answer, "");
        } else {
            let problem: Value = serde_json::from_str(&answer).expect("a problem document");
            assert_eq!(problem["status"], status);
            assert!(!answer.contains(&self.secret) && !answer.contains(path), "{answer}");
        }
        status
    }

    async fn api(&self, method: &str, path: &str, key: &str) -> (u16, Value) {
        let head = format!(
            "{method} /api/v1/hooks/deliveries{path} HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 0\n{key}\n"
        );
        let (status, body) = self.raw(&head, std::iter::empty()).await;
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    async fn metrics(&self) -> String {
        self.raw("GET /metrics HTTP/1.1\nHost: x\nConnection: close\n\n", std::iter::empty()).await.1
    }

    /// Comes back when all that was received has been handed over.
    async fn handed_over(&self) -> Vec<Value> {
        loop {
            let (_, list) = self.api("GET", "", &format!("Authorization: Bearer {KEY}\n")).await;
            let items = list["items"].as_array().expect("a list").clone();
            if items.iter().all(|item| item["state"] == "done") {
                return items;
            }
        }
    }
}

/// Bars: forged, truncated, replayed, in the wrong case or encoding, or without a secret: nothing of it reaches a connector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_as_it_was_sent_never_reaches_the_connector() {
    let mut served = served().await;
    let (path, secret) = served.signed.clone();
    let body = "{\"name\": \"Zo\u{eb}\"}";
    let right = digest(&secret, body.as_bytes());
    let header = |digest: &str| format!("X-Hub-Signature-256: sha256={digest}\nX-Delivery: once\n");
    // As it was sent, and again under its id and without one.
    assert_eq!(served.push(&path, &header(&right), body).await, 200);
    assert_eq!(served.push(&path, &header(&right), body).await, 200);
    assert_eq!(served.handed_over().await.len(), 1, "a replay is dropped");
    assert_eq!(REACHED.load(Ordering::SeqCst), 1);

    let half = right.split_at(32).0;
    let latin1 = digest(&secret, b"{\"name\": \"Zo\xeb\"}");
    let base64 = base64::engine::general_purpose::STANDARD.encode(
        (0..64).step_by(2).map(|at| u8::from_str_radix(&right[at..at + 2], 16).expect("hex")).collect::<Vec<_>>(),
    );
    let other = digest("another secret", body.as_bytes());
    let empty = digest("", body.as_bytes());
    for (why, headers) in [
        ("forged", header(&other)),
        ("forged with an empty secret", header(&empty)),
        ("a truncated signature", header(half)),
        ("a signature in the wrong case", header(&right.to_uppercase())),
        ("a scheme in the wrong case", format!("X-Hub-Signature-256: SHA256={right}\n")),
        ("a signature in the wrong encoding", header(&base64)),
        ("a body that was signed in another encoding", header(&latin1)),
        ("no signature", "X-Delivery: once\n".to_owned()),
        ("an empty signature", "X-Hub-Signature-256: \n".to_owned()),
        ("the signature of another scheme", format!("X-Hub-Signature: sha1={right}\n")),
        ("the signature in another place", format!("Authorization: sha256={right}\n")),
    ] {
        assert_eq!(served.push(&path, &headers, body).await, 401, "{why}");
    }
    for (why, changed) in [
        ("a truncated body", &body[..body.len() - 1]),
        ("no body", ""),
        ("a longer body", "{\"name\": \"Zo\u{eb}\"}\n"),
        ("another case", "{\"NAME\": \"Zo\u{eb}\"}"),
        ("another writing of the same", "{\"name\":\"Zo\\u00eb\"}"),
        ("percent signs", "%7B%22name%22%3A%20%22Zo%C3%AB%22%7D"),
    ] {
        assert_eq!(served.push(&path, &header(&right), changed).await, 401, "{why}");
    }
    // One hook's secret does not open another, nor does its proof.
    assert_eq!(served.push(&path, &header(&digest(&served.secret, body.as_bytes())), body).await, 401);
    assert_eq!(served.push(&served.path.clone(), &header(&right), body).await, 401);
    // A body that ends before it should is no body.
    let length = body.len() + 10;
    let cut = format!("POST {path} HTTP/1.1\nHost: x\nContent-Length: {length}\n{}\n", header(&right));
    let (status, _) = served.raw(&cut, std::iter::once(body.as_bytes().to_vec())).await;
    assert_eq!(status, 408);

    assert_eq!(served.handed_over().await.len(), 1, "nothing of it was stored");
    assert_eq!(REACHED.load(Ordering::SeqCst), 1);
    let metrics = served.metrics().await;
    for line in [
        "connectors_webhooks_total{connector=\"hooked\",outcome=\"taken\"} 2",
        "connectors_webhooks_total{connector=\"hooked\",outcome=\"unverified\"} 19",
        "connectors_webhook_lag_seconds_count{connector=\"hooked\",callback=\"signed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    // A replay is no lag.
    let key = format!("Authorization: Bearer {KEY}\n");
    let range = "{\"since\": \"2020-01-01T00:00:00Z\"}";
    let head = format!(
        "POST /api/v1/hooks/deliveries/replay HTTP/1.1\nHost: x\nConnection: close\nContent-Length: {}\n{key}\n",
        range.len()
    );
    let (status, replayed) = served.raw(&head, std::iter::once(range.as_bytes().to_vec())).await;
    assert_eq!((status, replayed.as_str()), (200, "{\"replayed\":1}"));
    served.handed_over().await;
    assert_eq!(REACHED.load(Ordering::SeqCst), 2);
    let metrics = served.metrics().await;
    assert!(metrics.contains("connectors_webhook_lag_seconds_count{connector=\"hooked\",callback=\"signed\"} 1\n"));

    served.stop.take().expect("it serves").send(()).expect("it serves");
    served.host.shutdown().await.expect("it stops");
}

/// R10.3, L14, design 6.2: what is right is taken once; forged, repeated, huge and slow requests never reach a
/// connector; what was taken is listed and replayed by those who may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_right_reaches_the_connector() {
    let mut served = served().await;
    let right = format!("X-Proof: {}\n", served.secret);
    let path = served.path.clone();
    for delivery in ["d1", "d2", "d1"] {
        let headers = format!("{right}x-delivery: {delivery}\nX-Strange: \u{e9}\n");
        assert_eq!(served.push(&path, &headers, "body").await, 200);
    }
    assert_eq!(served.handed_over().await.len(), 2);
    assert_eq!(REACHED.load(Ordering::SeqCst), 2);

    let forged = format!("X-Proof: {}\n", served.secret.to_uppercase());
    for (headers, status) in [("", 401), ("X-Proof: \n", 401), ("X-Proof: guess\n", 401), (forged.as_str(), 401)] {
        assert_eq!(served.push(&path, headers, "body").await, status, "{headers:?}");
    }
    for nowhere in ["/hooks/x", "/hooks/1-00000000000000000000000000000000", "/hooks/app/hooked", "/hooks/app/nothing"]
    {
        assert_eq!(served.push(nowhere, &right, "body").await, 404, "{nowhere}");
    }

    let hundred_megabytes = 100 * 1024 * 1024;
    let chunk = vec![b'x'; 1024 * 1024];
    let said = format!("POST {path} HTTP/1.1\nHost: x\nContent-Length: {hundred_megabytes}\n{right}\n");
    let (status, _) = served.raw(&said, (0..100).map(|_| chunk.clone())).await;
    assert_eq!(status, 413, "by what the head says");
    let chunked = format!("POST {path} HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n{right}\n");
    let framed = [b"100000\r\n".as_slice(), &chunk, b"\r\n"].concat();
    let (status, _) = served.raw(&chunked, (0..100).map(|_| framed.clone())).await;
    assert_eq!(status, 413, "by what comes");
    let slow = format!("POST {path} HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 10\n{right}\n");
    let (status, _) = served.raw(&slow, std::iter::once(b"nine".to_vec())).await;
    assert_eq!(status, 408, "not the whole body came");
    // While one comes, no other is taken at the URL (`limits.hook_concurrency`).
    // Which of two comes first is not known, so both are sent until it was the slow one.
    let status = loop {
        let mut coming = pin!(served.raw(&slow, std::iter::once(b"nine".to_vec())));
        let other = async { while served.push(&path, "X-Proof: guess\n", "body").await != 429 {} };
        tokio::select! {
            (status, _) = &mut coming => assert!(matches!(status, 429 | 408), "{status}"),
            () = other => {
                assert_eq!(served.push(&served.signed.0, "", "body").await, 401, "another URL has room of its own");
                break coming.await.0;
            }
        }
    };
    assert_eq!(status, 408);

    assert_eq!(served.handed_over().await.len(), 2, "nothing of it was stored");
    assert_eq!(REACHED.load(Ordering::SeqCst), 2);

    let items = served.handed_over().await;
    let id = items[0]["id"].as_str().expect("an id");
    assert_eq!(served.api("GET", "", "").await.0, 401);
    assert_eq!(served.api("POST", &format!("/{id}/replay"), "").await.0, 401);
    let key = format!("Authorization: Bearer {KEY}\n");
    assert_eq!(served.api("POST", &format!("/{id}/replay"), &key).await.0, 200);
    assert_eq!(served.api("POST", "/dlv_999999/replay", &key).await.0, 404);
    served.handed_over().await;
    assert_eq!(REACHED.load(Ordering::SeqCst), 3);
    assert_eq!(served.api("POST", "/replay", &key).await.0, 422, "not everything there ever was");

    served.stop.take().expect("it serves").send(()).expect("it serves");
    served.host.shutdown().await.expect("it stops");
}

/// R10.3: a webhook takes bodies as large as it declares, and 1 MiB if it declares nothing.
#[tokio::test]
async fn a_body_is_taken_up_to_the_declared_size() {
    let mut served = served().await;
    let (signed, secret) = served.signed.clone();
    let most = 3 << 20;
    let body = "x".repeat(most + 1);
    for (size, status) in [(most, 200), (most + 1, 413)] {
        let body = body.get(..size).expect("ASCII");
        let header = format!("X-Hub-Signature-256: sha256={}\n", digest(&secret, body.as_bytes()));
        assert_eq!(served.push(&signed, &header, body).await, status, "{size}");
    }
    let proof = format!("X-Proof: {}\n", served.secret);
    for (size, status) in [(1 << 20, 200), ((1 << 20) + 1, 413)] {
        assert_eq!(served.push(&served.path, &proof, body.get(..size).expect("ASCII")).await, status, "{size}");
    }
    assert_eq!(served.handed_over().await.len(), 2);
    served.stop.take().expect("it serves").send(()).expect("it serves");
    served.host.shutdown().await.expect("it stops");
}

/// L14, design 6.2: what a service asks to be sent back is sent as text, which no browser takes for anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_is_sent_back_as_text() {
    let served = served().await;
    let path = served.signed.0.clone();
    let head = format!("GET {path}?hub.challenge=%3Cb%3E42 HTTP/1.1\nHost: x\nConnection: close\n\n");
    let (status, headers, body) = served.whole(&head).await;
    assert_eq!((status, body.as_str()), (200, "<b>42"));
    let headers = headers.to_ascii_lowercase();
    assert!(headers.contains("content-type: text/plain") && headers.contains("x-content-type-options: nosniff"));
}
