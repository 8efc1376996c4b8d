//! Where services push, over real connections (R10.3, L14).

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::ConnectRequest;
use connector_core::webhook::VerifyError;
use connector_host::Host;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::desk::{KEY, config, directory};

/// A service that has one hook.
#[connector(id = "hooked")]
#[derive(Default)]
pub struct Hooked;

#[connector]
impl Connector for Hooked {}

/// What the service was given.
static ENDPOINT: Mutex<Option<Endpoint>> = Mutex::new(None);

/// Requests that came as far as the connector.
static REACHED: AtomicU32 = AtomicU32::new(0);

fn proof(request: &WebhookRequest, secret: Option<&Secret>) -> std::result::Result<(), VerifyError> {
    let given = request.header("x-proof").ok_or(VerifyError::Missing)?;
    let secret = secret.ok_or(VerifyError::NoSecret)?;
    if given == secret.expose() { Ok(()) } else { Err(VerifyError::Wrong) }
}

#[connector]
impl Hooked {
    #[webhook(verify = function(proof), delivery_id = "X-Delivery")]
    async fn pushed(&self, _: &Context<Self>, #[input] request: Verified<WebhookRequest>) -> Result<()> {
        assert_eq!(request.parameter("a b"), Some("ü"));
        REACHED.fetch_add(1, Ordering::SeqCst);
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
}

/// A host that listens, with a connection whose hook is registered.
async fn served() -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut config = config(&directory("hooks"));
    config.public_url = Some(format!("http://{address}/").parse().expect("a URL"));
    config.limits.max_webhook_time = Some(Duration::from_secs(1));
    let host = Host::open(config, Registry::of::<Hooked>().expect("a registry")).await.expect("a host");
    host.start().await.expect("it starts");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = host.clone();
    tokio::spawn(async move { serving.serve(listener, async { stopped.await.unwrap_or_default() }).await });
    host.runtime().connect(ConnectRequest::new("hooked", "ada")).await.expect("a connection");
    let endpoint = loop {
        if let Some(endpoint) = ENDPOINT.lock().expect("no panic").clone() {
            break endpoint;
        }
        tokio::task::yield_now().await;
    };
    let path = endpoint.url.strip_prefix(&format!("http://{address}")).expect("the public URL").to_owned();
    let secret = endpoint.secret.expect("a secret").expose().to_owned();
    Served { host, address, stop: Some(stop), path, secret }
}

impl Served {
    /// The status and body of the answer to these bytes. What is written after the answer may fail.
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
