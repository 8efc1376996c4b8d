//! An emulator of a test's own, and a host with a connection to it.

use connector_core::clock::BoxFuture;
use connector_core::id::ChannelId;
use connector_core::network::{NetworkPort, Request, Response, TransportError, UrlRules};
use connector_core::registry::Registry;
use connector_core::testing::TestHost;
use connector_google::Google;
use connector_host::network::HttpClient;
use connector_test_support::{Emulator, Synced};
use serde_json::{Value, json};

pub(crate) fn emulator() -> Option<Emulator> {
    Emulator::start("google")
}

/// A host with a connection that has synced this channel.
pub(crate) async fn synced(emulator: &Emulator, channel: &str) -> Synced {
    let registry = Registry::of::<Google>().expect("the connector is sound");
    let host = TestHost::with_network(registry, WithProfile(HttpClient::new(true)));
    let host = host.api_url("google", emulator.api_url());
    emulator.sync(host, ChannelId::new(channel), json!({ "history_days": 3650 })).await
}

/// The network, with the profile of the mailbox, which the emulator does not have.
struct WithProfile(HttpClient);

impl NetworkPort for WithProfile {
    fn send<'a>(
        &'a self,
        mut request: Request,
        rules: &'a UrlRules,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            if !request.url.path().ends_with("/users/me/profile") {
                return self.0.send(request, rules).await;
            }
            let path = request.url.path().replace("/profile", "/threads");
            request.url.set_path(&path);
            request.url.set_query(Some("maxResults=500"));
            let mut response = self.0.send(request, rules).await?;
            let listed: Value = response.json().unwrap_or_default();
            let threads = listed["threads"].as_array().into_iter().flatten();
            let ids = threads.filter_map(|thread| thread["historyId"].as_str()?.parse::<u64>().ok());
            let newest = ids.max().unwrap_or_default();
            response.body = json!({ "historyId": newest.to_string() }).to_string().into();
            Ok(response)
        })
    }
}
