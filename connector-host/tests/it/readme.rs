//! The README's lines that embed the host, and those that drive it.

use std::error::Error;
use std::process::Command;

use axum::Router;
use axum::routing::get;
use connector_core::registry::Registry;
use connector_host::server::ServerLimits;
use connector_host::{Config, Host};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::desk::{KEY, config, directory};

const README: &str = include_str!("../../../README.md");

// The README begins here.
async fn serve(
    config: Config,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let host = Host::open(config, Registry::collect()?).await?;
    host.start().await?;
    let product = Router::new().route("/", get(async || "my product"));
    let app = product.nest("/connectors", host.router());
    let ending = host.clone();
    let stopped = async move {
        stop.await;
        ending.stop()
    };
    connector_host::server::serve(listener, app, ServerLimits::default(), stopped).await;
    Ok(host.shutdown().await?)
}
// The README ends here.

/// A code block of the README, by its language and a word in it.
fn block(language: &str, word: &str) -> String {
    let blocks = README.split("```").skip(1).step_by(2);
    let mut found = blocks.filter_map(|block| block.strip_prefix(language)).filter(|block| block.contains(word));
    found.next().expect("the README has it").trim().to_owned()
}

/// Words, whatever lines they are in.
fn words(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("# ")).flat_map(str::split_whitespace).collect()
}

/// The README: the host within an application, driven over HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_embeds_and_drives_a_host() {
    let source = include_str!("readme.rs");
    let here = source
        .split("// The README begins here.")
        .nth(1)
        .and_then(|rest| rest.split("// The README ends here.").next());
    let without_commas = |text: &str| words(text).concat().replace(",)", ")").replace(";}", "}");
    let shown = block("rust", "async fn serve(");
    assert_eq!(without_commas(&shown), without_commas(here.expect("the lines")), "the README shows what runs here");
    let directory = directory("readme");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let config = config(&directory);
    let serving = tokio::spawn(async move {
        let served = serve(config, listener, async { stopped.await.unwrap_or_default() }).await;
        served.map_err(|error| error.to_string())
    });
    // The same lines, for a connector that needs no service.
    let script = block("sh", "api() {")
        .replace("http://127.0.0.1:7300", &format!("http://{address}/connectors"))
        .replace("\"token\": \"'$GITHUB_TOKEN'\"", "\"options\": {\"api_key\": \"k\"}")
        .replace("github", "desk")
        .replace("acme%2Fweb-app", "a%2Fb%20c");
    let run = move || Command::new("sh").args(["-euc", &script]).env("CONNECTORS_API_KEY", KEY).output();
    let output = tokio::task::spawn_blocking(run).await.expect("no panic").expect("there is a shell");
    let (printed, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{complaints}");
    for part in ["\"con_1\"", "\"a/b c\"", "Ticket", "\"content\":\"On it.\"", "\"closed\"", "\"next\":"] {
        assert!(printed.contains(part), "{part} is missing:\n{printed}\n{complaints}");
    }
    stop.send(()).expect("it serves");
    serving.await.expect("no panic").expect("an end in order");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}
