//! Accounts that are authorized by the consent pages of services that are not ours.

use connector_test_support::browser::{Browser, Site};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::http;
use crate::rig::{Emulator, Hub, Served};

/// What the emulators' OAuth apps are registered with.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";

fn hub(emulator: &Emulator, service: &str) -> Hub {
    let prefix = service.to_uppercase();
    let mut hub = Hub::new(&format!("oauth-{service}"), emulator.variable(&format!("{prefix}_API_URL")))
        .with("CONNECTORS_PUBLIC_URL", PUBLIC_URL);
    for setting in ["API_URL", "AUTHORIZE_URL", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET"] {
        let value = emulator.variable(&format!("{prefix}_{setting}"));
        hub = hub.with(&format!("CONNECTORS_PROVIDERS__{prefix}__{setting}"), value);
    }
    hub
}

/// The click on the page of the host, and on that of the service; then the browser comes back.
fn consent(
    emulator: &Emulator,
    served: &Served,
    authorize_url: &Value,
    user: &str,
    deny: bool,
) -> ::http::Response<String> {
    let mut browser = Browser::default();
    let mut send = async |request| http::browse(&served.base, &request);
    let page = browser.authorize(&mut send, authorize_url.as_str().expect("a URL"));
    let at_service = page.now_or_never().expect("the server has answered");
    let click = json!({ "authorize_url": at_service, "user": user, "deny": deny });
    let answer = emulator.control("/oauth/approve", &click);
    let location = answer["location"].as_str().unwrap_or_else(|| panic!("no way back: {answer}"));
    browser.open(&mut send, location, Site::CrossSite).now_or_never().expect("the server has answered")
}

/// Issue 3, 1 and 4: from nothing to a synced channel, through HTTP alone.
fn authorizes(service: &str, user: &str, name: &str) {
    let Some(emulator) = Emulator::of(service) else { return };
    let hub = hub(&emulator, service);
    let served = hub.serve();
    let made = served.api("POST", "/connections", Some(&json!({ "connector": service, "user": "ada" })));
    assert_eq!(made["status"], "awaiting_authorization");
    let id = made["id"].as_str().unwrap();

    let denied = consent(&emulator, &served, &made["authorize_url"], user, true);
    assert_eq!(denied.status(), 422, "{}", denied.body());
    let connection = served.api("GET", &format!("/connections/{id}"), None);
    assert!(connection["status_reason"].as_str().unwrap().contains("access_denied"), "{connection}");

    let again = served.api("POST", &format!("/connections/{id}/authorize"), Some(&json!({})));
    let done = consent(&emulator, &served, &again["authorize_url"], user, false);
    assert_eq!(done.status(), 200, "{}", done.body());
    let connection = served.api("GET", &format!("/connections/{id}"), None);
    assert_eq!((&connection["status"], &connection["name"]), (&json!("active"), &json!(name)), "{connection}");
    assert!(!served.api("GET", &format!("/connections/{id}/channels"), None)["items"].as_array().unwrap().is_empty());
}

#[test]
fn a_github_account_is_authorized() {
    authorizes("github", "alice", "alice");
}

#[test]
fn a_slack_account_is_authorized() {
    authorizes("slack", "alice", "Acme (alice)");
}
