//! Trello, whose token comes in the fragment, which no server sees (R1.3).

use super::*;

/// Boards.
#[connector(id = "boards", provider = Trello, scopes = ["read"])]
#[derive(Default)]
pub struct Boards;

#[derive(Deserialize)]
struct Member {
    id: String,
    username: String,
}

#[connector]
impl Connector for Boards {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let me: Member = cx.provider().get("/members/me").fetch().await?;
        Ok(Some(me.username))
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let me: Member = cx.provider().get("/members/me").fetch().await?;
        Ok(Some(Actor::new(me.id)))
    }
}

async fn bench(name: &str) -> Bench {
    Bench::with(name, |config, authority| {
        let provider = ProviderConfig {
            client_id: Some(CLIENT_ID.to_owned()),
            api_url: Some(Url::parse(&format!("{}/trello", authority.base)).expect("a URL")),
            ..ProviderConfig::default()
        };
        config.providers.insert("trello".to_owned(), provider);
    })
    .await
}

/// A form that the page sends: status and body of what comes of it.
async fn sends(bench: &Bench, fields: &[(&str, &str)]) -> (u16, String) {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let (mut browser, url) = (bench.browser(), Url::parse(&bench.callback()).expect("a URL"));
    let request = browser.request(http::Method::POST, &url, Site::SameOrigin, form);
    let (parts, body) = browser.send(&mut bench.sender(), request).await.into_parts();
    (parts.status.as_u16(), body)
}

/// R1.3, bars: the user is sent to Trello, comes back to a page that hands the fragment over, and the token works in
/// the way that Trello wants it, until the connection ends.
#[tokio::test]
async fn a_token_in_the_fragment_is_handed_over_by_the_page() {
    let bench = bench("trello").await;
    let begin = json!({"connector": "boards", "user": "ada"});
    let made = bench.ok("POST", "/connections", begin.clone()).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let url = Url::parse(&bench.confirmed(&made).await).expect("a URL");
    assert_eq!((url.host_str(), url.path()), (Some("trello.com"), "/1/authorize"));
    let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("key", CLIENT_ID),
        ("scope", "read"),
        ("response_type", "token"),
        ("callback_method", "fragment"),
        ("expiration", "never"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    let back = Url::parse(&asked["return_url"]).expect("a URL");
    assert!(back.as_str().starts_with("https://connectors.test/oauth/callback?state="), "{back}");
    let parameters: HashMap<_, _> = back.query_pairs().into_owned().collect();

    // What the browser shows runs one script, and sends to nobody but this host. The state is not used up by it.
    for _ in 0..2 {
        let (status, headers, page) = bench.back(&parameters).await;
        assert_eq!(status, 200, "{page}");
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
        assert!(policy.contains("form-action 'self'"), "{policy}");
        assert!(page.contains("<script src=\"fragment.js\"></script>"), "{page}");
        let script = Request::get("/oauth/fragment.js").body(Body::empty()).expect("a request");
        let (status, _, script) = bench.raw(script).await;
        assert_eq!(status, 200);
        assert!(script.contains("location.hash") && script.contains("history.replaceState"), "{script}");
        assert!(page.contains("<form method=\"post\">"), "it is sent to where it came from: {page}");
        assert!(page.contains(&format!("name=\"state\" value=\"{}\"", parameters["state"])), "{page}");
    }
    for fields in [vec![("token", "token-of-ada")], vec![("state", "guess"), ("token", "token-of-ada")]] {
        assert_eq!(sends(&bench, &fields).await.0, 400);
    }
    let state = parameters["state"].as_str();
    let (status, page) = sends(&bench, &[("state", state), ("token", "token-of-ada")]).await;
    assert_eq!(status, 200, "{page}");
    let connection = bench.get(&format!("/connections/{id}")).await;
    assert_eq!((&connection["status"], &connection["name"]), (&json!("active"), &json!("ada")));
    let wanted = format!("OAuth oauth_consumer_key=\"{CLIENT_ID}\", oauth_token=\"token-of-ada\"");
    assert!(bench.authority.seen().authorizations.iter().all(|given| *given == wanted));
    assert_eq!(sends(&bench, &[("state", state), ("token", "token-of-ada")]).await.0, 400, "it is good once");

    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    for _ in 0..100_000 {
        if !bench.authority.seen().revoked.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let ended = format!("token-of-ada?key={CLIENT_ID}&token=token-of-ada");
    assert_eq!(bench.authority.seen().revoked, [ended]);
    bench.end().await;
}

/// Bars: what Trello refuses, a token that is none, and one that its API does not take, connect nothing.
#[tokio::test]
async fn a_fragment_that_is_useless_connects_nothing() {
    let bench = bench("trello-useless").await;
    for (fields, status) in [
        (vec![("error", "access_denied")], 422),
        (vec![], 400),
        (vec![("token", "")], 400),
        (vec![("token", "two words")], 400),
        (vec![("token", "of-nobody")], 422),
    ] {
        let made = bench.ok("POST", "/connections", json!({"connector": "boards", "user": "ada"})).await;
        let url = Url::parse(&bench.confirmed(&made).await).expect("a URL");
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let back = Url::parse(&asked["return_url"]).expect("a URL");
        let state = back.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        let fields: Vec<_> = [("state", state.as_str())].into_iter().chain(fields).collect();
        let (found, page) = sends(&bench, &fields).await;
        assert_eq!(found, status, "{fields:?}: {page}");
        let id = made["id"].as_str().expect("an id");
        assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "awaiting_authorization");
    }
    // Where a code is asked for, no token is taken.
    let (id, url) = bench.begin("bob").await;
    let state = bench.authority.allow(&url, "bob")["state"].clone();
    assert_eq!(sends(&bench, &[("state", state.as_str()), ("token", "smuggled")]).await.0, 400);
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "awaiting_authorization");
    bench.end().await;
}
