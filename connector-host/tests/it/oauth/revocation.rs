//! What a provider answers to a revocation, and where it is asked.

use super::authority::Mood;
use super::*;

/// Code of a forge.
#[connector(id = "forge", name = "Forge", provider = GitHub)]
#[derive(Default)]
pub struct Forge;

#[connector]
impl Connector for Forge {}

async fn forge(name: &str, revoke_url: Option<&str>) -> (Bench, VirtualClock, String) {
    let directory = directory(name);
    let authority = Authority::start().await;
    let mut config = config(&directory, &authority);
    let url = |path: &str| Url::parse(&format!("{}{path}", authority.base)).expect("a URL");
    let provider = ProviderConfig {
        client_id: Some(CLIENT_ID.to_owned()),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        api_url: Some(url("/forge")),
        revoke_url: revoke_url.map(url),
        ..ProviderConfig::default()
    };
    config.providers = [("github".to_owned(), provider)].into();
    let clock = VirtualClock::new(Timestamp::now());
    let registry = Registry::of::<Forge>().expect("a registry");
    let bench = Bench::of(directory, authority, config, registry, Arc::new(clock.clone())).await;
    bench.authority.seen().access.insert("forged".to_owned(), "ada".to_owned());
    secrets::know(["forged"]);
    let body = json!({"connector": "forge", "user": "ada", "token": "forged"});
    let id = bench.ok("POST", "/connections", body).await["id"].as_str().expect("an id").to_owned();
    (bench, clock, id)
}

async fn left(bench: &Bench) -> usize {
    let engine = &bench.host.runtime().ports().engine;
    engine.secrets("revocation/".to_owned(), None, 100).await.expect("secrets").len()
}

#[tokio::test]
async fn the_revoke_url_of_the_operator_is_used() {
    for (set, asked) in [
        (None, "/forge/applications/the-client/token"),
        (Some("/elsewhere/{client_id}/revoke"), "/elsewhere/the-client/revoke"),
        (Some("/elsewhere/app/revoke"), "/elsewhere/app/revoke"),
    ] {
        let (bench, _, id) = forge("revoke-url", set).await;
        bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
        bench.revoked(&id).await;
        assert_eq!(bench.authority.seen().revoked, [format!("{asked} forged")]);
        bench.end().await;
    }
}

#[tokio::test]
async fn the_revoke_url_of_the_operator_goes_before_discovery() {
    let bench = Bench::with("revoke-discovered", |config, authority| {
        let provider = config.providers.get_mut("office").expect("a provider");
        provider.issuer = Some(Url::parse(&authority.base).expect("a URL"));
        authority.seen().discovers_revocation = true;
    })
    .await;
    let id = bench.connected("ada").await;
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.revoked(&id).await;
    assert_eq!(bench.authority.seen().revoked.len(), 1);
    bench.end().await;
}

#[tokio::test]
async fn a_discovered_revocation_endpoint_is_used() {
    let bench = Bench::with("revoke-found", |config, authority| {
        let provider = config.providers.get_mut("office").expect("a provider");
        provider.issuer = Some(Url::parse(&authority.base).expect("a URL"));
        provider.revoke_url = None;
        authority.seen().discovers_revocation = true;
    })
    .await;
    let id = bench.connected("ada").await;
    bench.authority.seen().moods.push_back(Mood::Say(200, String::new()));
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.authority.revoking.notified().await;
    bench.revoked(&id).await;
    bench.end().await;
}

#[tokio::test]
async fn a_refusal_of_the_app_or_the_request_revokes_nothing() {
    for status in [400, 401, 403, 404, 422, 500] {
        let (bench, clock) = Bench::timed(&format!("refused-{status}"), Registry::of::<Office>().expect("one")).await;
        let id = bench.connected("ada").await;
        let body = json!({"error": "invalid_client"}).to_string();
        bench.authority.seen().moods.push_back(Mood::Say(status, body));
        bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
        bench.authority.revoking.notified().await;
        assert_eq!(left(&bench).await, 1, "{status}: the token is to be revoked still");
        clock.advance(SignedDuration::from_secs(10));
        bench.revoked(&id).await;
        assert_eq!((left(&bench).await, bench.authority.seen().revoked.len()), (0, 1), "{status}");
        bench.end().await;
    }
}

#[tokio::test]
async fn a_token_that_the_provider_does_not_know_has_ended() {
    let (bench, _) = Bench::timed("unknown-token", Registry::of::<Office>().expect("a registry")).await;
    let id = bench.connected("ada").await;
    bench.authority.seen().moods.push_back(Mood::Say(400, json!({"error": "invalid_token"}).to_string()));
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.revoked(&id).await;
    bench.end().await;
}

#[tokio::test]
async fn an_unclear_answer_of_github_is_cleared_up_by_the_token() {
    for (status, works) in [(404, true), (404, false), (422, true), (422, false)] {
        let (bench, clock, id) = forge(&format!("unclear-{status}-{works}"), None).await;
        if !works {
            bench.authority.seen().access.clear();
        }
        bench.authority.seen().moods.push_back(Mood::Say(status, "{}".to_owned()));
        bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
        bench.authority.revoking.notified().await;
        clock.advance(SignedDuration::from_secs(10));
        bench.revoked(&id).await;
        let ended = usize::from(works);
        assert_eq!(bench.authority.seen().revoked.len(), ended, "{status}: a token that works is tried again");
        bench.end().await;
    }
}
