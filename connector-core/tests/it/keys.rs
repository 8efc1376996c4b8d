//! Connections that have a key among their options, at an address of their own.

use std::sync::{Arc, Mutex};

use connector_core::engine::ConnectionStatus;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ConnectRequest, ConnectionUpdate};
use connector_core::testing::{FakeService, TestHost};
use serde_json::json;

/// Tickets of a server of one's own.
#[connector(id = "office", urls = ["*"], link_types = [], options = OfficeOptions, key_option = "api_key")]
#[derive(Default)]
struct Office;

#[derive(Options)]
struct OfficeOptions {
    /// Where the server is.
    #[option(required)]
    url: String,
    /// Opens it.
    #[option(secure, required)]
    api_key: Secret,
    /// Tickets in each page.
    #[option(default = 3)]
    size: u32,
}

#[connector]
impl Connector for Office {
    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let (url, key) = (&cx.options().url, &cx.options().api_key);
        let path = format!("{}/me?size={}", url.trim_end_matches('/'), cx.options().size);
        cx.network().get(path).secret_header("x-key", key).send().await?;
        Ok(Some(Actor::new("me")))
    }
}

/// R10.5, L12: what moves a key to another host asks for it again; another address is tried before it is stored.
#[tokio::test]
async fn a_changed_address_asks_for_the_key_again_or_is_tried() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let service = FakeService::new(move |request| {
        let key = request.headers["x-key"].to_str().unwrap();
        seen.lock().unwrap().push(format!("{} {key}", &request.url[..url::Position::AfterPath]));
        if request.url.path().starts_with("/none") {
            return FakeService::answer(404, "{}");
        }
        FakeService::answer(200, "{}")
    });
    let host = TestHost::with_network(Registry::of::<Office>().unwrap(), service);
    let mut request = ConnectRequest::new("office", "ada");
    request.options = json!({"url": "https://one.test/", "api_key": "first"}).as_object().unwrap().clone();
    let id = host.runtime().connect(request).await.unwrap().id;
    let asked = || std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(asked(), ["https://one.test/me first"]);
    let change = async |options: serde_json::Value| {
        let update = ConnectionUpdate { options: options.as_object().cloned(), ..ConnectionUpdate::default() };
        host.run(host.runtime().update_connection(id, update)).await
    };
    for url in ["https://two.test/", "https://one.test:8443/", "http://one.test/", "not a url"] {
        let error = change(json!({ "url": url })).await.unwrap_err();
        assert!(matches!(&error, ActionError::Invalid(text) if text.contains("`api_key`")), "{url}: {error}");
    }
    assert!(change(json!({"url": "https://one.test/none"})).await.is_err(), "it is tried");
    assert_eq!(asked(), ["https://one.test/none/me first"], "no key went to another host");
    let stored = host.runtime().connection(id).await.unwrap();
    assert_eq!((stored.options["url"].as_str(), stored.status), (Some("https://one.test/"), ConnectionStatus::Active));

    change(json!({"size": 4})).await.unwrap();
    assert_eq!(asked(), [""; 0], "the key goes where it went");
    change(json!({"url": "https://one.test/desk"})).await.unwrap();
    change(json!({"url": "https://two.test/", "api_key": "second"})).await.unwrap();
    assert_eq!(asked(), ["https://one.test/desk/me first", "https://two.test/me second"]);
}
