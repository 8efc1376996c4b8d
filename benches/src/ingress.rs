//! Webhooks: how long a service waits for its answer at 500 a second, and how many are taken a second
//! beside rows that a program inserts by hand, each durable before the next.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::ConnectRequest;
use connector_host::{Config, Host};
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::rig;

const RATE: u32 = 500;
const SECONDS: u32 = 20;
const FLOOD: u32 = 20_000;
const SENDERS: u32 = 64;
const BODY: &str =
    r#"{"action":"edited","issue":{"id":1,"number":1,"title":"A title of some length, as issues have"}}"#;

/// A connector that takes pushes, and does nothing with them.
#[connector(id = "ingress")]
#[derive(Default)]
struct Ingress;

#[connector]
impl Connector for Ingress {}

static ENDPOINT: Mutex<Option<Endpoint>> = Mutex::new(None);

#[connector]
impl Ingress {
    #[webhook(verify = hmac_sha256(header = "X-Signature"), delivery_id = "X-Delivery")]
    async fn pushed(&self, _: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        Ok(())
    }
}

impl Subscription for Pushed {
    async fn create(&self, _: &Context<Ingress>, endpoint: &Endpoint) -> Result<Registration> {
        *ENDPOINT.lock().unwrap() = Some(endpoint.clone());
        Ok(Registration::new("1"))
    }

    async fn delete(&self, _: &Context<Ingress>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

struct Sender {
    client: reqwest::Client,
    url: String,
    signature: String,
}

impl Sender {
    async fn push(&self, delivery: String) -> Duration {
        let begun = Instant::now();
        let request = self.client.post(&self.url).header("X-Signature", &self.signature).header("X-Delivery", delivery);
        let answer = request.body(BODY).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        begun.elapsed()
    }
}

/// The measurement.
pub(crate) fn run() {
    // The client that pushes is not the host's, which brings one. Another measurement may have set it before.
    rustls::crypto::ring::default_provider().install_default().ok();
    rig::runtime().block_on(measure());
}

async fn measure() {
    let folder = rig::folder("ingress");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut config = Config::default();
    config.database = folder.join("host.db");
    config.public_url = Some(format!("http://{address}").parse().expect("a URL"));
    let host = Host::open(config, Registry::of::<Ingress>().expect("a registry")).await.expect("a host");
    host.start().await.expect("it starts");
    let serving = host.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await.expect("it serves") });
    host.runtime().connect(ConnectRequest::new("ingress", "ada")).await.expect("a connection");
    let endpoint = loop {
        if let Some(endpoint) = ENDPOINT.lock().unwrap().take() {
            break endpoint;
        }
        tokio::task::yield_now().await;
    };
    let secret = endpoint.secret.expect("a secret");
    let sender = Arc::new(Sender {
        client: reqwest::Client::builder().no_proxy().build().expect("a client"),
        url: endpoint.url,
        signature: signature(secret.expose()),
    });

    let mut waits = at_a_rate(&sender).await;
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    println!("acknowledged at {RATE}/s for {SECONDS} s: p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));

    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        let sender = Arc::clone(&sender);
        senders.spawn(async move {
            for delivery in 0..FLOOD / SENDERS {
                sender.push(format!("flood-{number}-{delivery}")).await;
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.expect("no panic");
    }
    let taken = f64::from(FLOOD / SENDERS * SENDERS) / begun.elapsed().as_secs_f64();
    let raw = by_hand(&folder.join("plain.db"));
    println!(
        "taken {taken:.0}/s; rows inserted by hand, each durable before the next, {raw:.0}/s: {:.2} times",
        taken / raw
    );
    host.shutdown().await.expect("it stops");
}

/// Sends at the rate, whether or not the last one is answered, so that a slow answer makes others no rarer.
async fn at_a_rate(sender: &Arc<Sender>) -> Vec<Duration> {
    let mut every = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut sent = JoinSet::new();
    for number in 0..RATE * SECONDS {
        every.tick().await;
        let sender = Arc::clone(sender);
        sent.spawn(async move { sender.push(format!("rate-{number}")).await });
    }
    sent.join_all().await
}

/// Rows of the same size in transactions of one, as durable.
fn by_hand(database: &std::path::Path) -> f64 {
    const ROWS: u32 = 2_000;
    let connection = Connection::open(database).expect("a database");
    connection.pragma_update(None, "journal_mode", "wal").expect("a log");
    connection.pragma_update(None, "synchronous", "full").expect("durable");
    connection
        .execute_batch("CREATE TABLE delivery(id INTEGER PRIMARY KEY, key TEXT UNIQUE, body BLOB)")
        .expect("a table");
    let mut insert = connection.prepare("INSERT INTO delivery(key, body) VALUES(?1, ?2)").expect("a statement");
    let ((), cost) = rig::measured(|| {
        for number in 0..ROWS {
            insert.execute((format!("delivery-{number}"), BODY)).expect("a row");
        }
    });
    f64::from(ROWS) / cost.wall
}

fn signature(secret: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(BODY.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
