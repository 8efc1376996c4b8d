//! An authorization belongs to the person who confirmed it in their browser (RFC 6749 10.12, RFC 9700 4.7).

use connector_test_support::browser::fields;

use super::*;

/// A connection that awaits its authorization: its id, and the link to its page.
async fn begun(bench: &Bench, user: &str) -> (String, String) {
    let made = bench.ok("POST", "/connections", json!({"connector": "office", "user": user})).await;
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("authorize_url"))
}

async fn status(bench: &Bench, id: &str) -> String {
    bench.get(&format!("/connections/{id}")).await["status"].as_str().expect("a status").to_owned()
}

#[tokio::test]
async fn the_page_names_the_owner_and_what_is_granted() {
    let bench = Bench::new("page").await;
    let body = json!({
        "connector": "office", "user": "ada <b>&\"'", "scope_groups": ["stamps"],
        "return_to": "https://app.test/settings/done",
    });
    let made = bench.ok("POST", "/connections", body).await;
    let url = made["authorize_url"].as_str().expect("a URL");
    assert!(url.starts_with("https://connectors.test/oauth/authorize/"), "{url}");
    let page = Browser::default().open(&mut bench.sender(), url, Site::CrossSite).await;
    let headers = page.headers();
    assert_eq!(page.status(), 200);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(headers[name], value);
    }
    let policy = headers["content-security-policy"].to_str().expect("text");
    for part in ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    let body = page.body();
    for text in [
        "Connect Office?",
        "<bdi>ada &lt;b&gt;&amp;&quot;",
        "<code>papers</code>",
        "<code>stamps</code>",
        "<li>Stamps</li>",
        "Continue to 127.0.0.1",
        "<dd>app.test</dd>",
        "name=\"viewport\"",
    ] {
        assert!(body.contains(text), "`{text}` is missing: {body}");
    }
    assert!(!body.contains("<b>") && !body.contains("<script") && !body.contains("style="), "{body}");
    let style = Request::get("/oauth/page.css").body(Body::empty()).expect("a request");
    let (status, headers, _) = bench.raw(style).await;
    assert_eq!((status.as_u16(), headers["content-type"].to_str().expect("text")), (200, "text/css; charset=utf-8"));
    bench.end().await;
}

#[tokio::test]
async fn a_client_without_the_cookie_connects_nothing() {
    let bench = Bench::new("no-cookie").await;
    let (id, url) = bench.begin("ada").await;
    let answer = bench.authority.allow(&url, "eve");
    // Somebody else's browser, one with the cookie of another authorization, and one with a made-up cookie.
    let mut other = Browser::default();
    let (_, elsewhere) = begun(&bench, "bob").await;
    other.authorize(&mut bench.sender(), &elsewhere).await;
    let name = bench.browser().cookie_names()[0].clone();
    let mut forged = Browser::default();
    let headers = format!("{name}=guess; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure");
    let headers = http::HeaderMap::from_iter([(http::header::SET_COOKIE, headers.parse().expect("a header"))]);
    forged.keep(&Url::parse(&bench.callback()).expect("a URL"), &headers);
    for mut browser in [Browser::default(), other, forged] {
        let (found, headers, page) = bench.back_in(&mut browser, &answer).await;
        assert_eq!(found, 403, "{page}");
        assert!(page.contains("not begun in this browser") && page.contains("nothing was connected"), "{page}");
        assert_eq!(headers["cache-control"], "no-store");
    }
    assert_eq!(bench.authority.seen().access.len(), 0, "the code was not spent");
    assert_eq!(status(&bench, &id).await, "awaiting_authorization");
    // The state is not used up for the browser that has confirmed.
    assert_eq!(bench.back(&bench.authority.allow(&url, "ada")).await.0, 200);
    assert_eq!(status(&bench, &id).await, "active");
    bench.end().await;
}

#[tokio::test]
async fn a_form_of_another_site_confirms_nothing() {
    let bench = Bench::new("forged-form").await;
    let (id, url) = begun(&bench, "eve").await;
    let parsed = Url::parse(&url).expect("a URL");
    // The victim has opened the page, and a page of the attacker, who has opened the link too, posts a form.
    let mut attacker = Browser::default();
    let of_attacker = attacker.open(&mut bench.sender(), &url, Site::None).await;
    let stolen = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields(of_attacker.body())).finish();
    for mut victim in [Browser::default(), Browser::old()] {
        let page = victim.open(&mut bench.sender(), &url, Site::CrossSite).await;
        let own = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields(page.body())).finish();
        for (site, form) in [
            (Site::CrossSite, String::new()),
            (Site::CrossSite, stolen.clone()),
            (Site::CrossSite, own.clone()),
            (Site::SameOrigin, String::new()),
            (Site::SameOrigin, stolen.clone()),
            (Site::SameOrigin, format!("{own}&{own}")),
        ] {
            let request = victim.request(http::Method::POST, &parsed, site, form.clone());
            let answer = victim.send(&mut bench.sender(), request).await;
            assert!([400, 403].contains(&answer.status().as_u16()), "{site:?} {form}: {}", answer.status());
            assert!(!answer.headers().contains_key("location"));
        }
    }
    // With the right form and cookie, but from elsewhere by what the browser says.
    let mut victim = Browser::old();
    let page = victim.open(&mut bench.sender(), &url, Site::CrossSite).await;
    let own = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields(page.body())).finish();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.test"),
        ("origin", "http://connectors.test"),
    ] {
        let mut request = victim.request(http::Method::POST, &parsed, Site::SameOrigin, own.clone());
        request.headers_mut().insert(name, value.parse().expect("a header"));
        assert_eq!(victim.send(&mut bench.sender(), request).await.status(), 403, "{name}: {value}");
    }
    assert_eq!(status(&bench, &id).await, "awaiting_authorization");
    // None of it has used up the link.
    let mut request = victim.request(http::Method::POST, &parsed, Site::SameOrigin, own);
    request.headers_mut().insert("origin", "https://connectors.test".parse().expect("a header"));
    assert_eq!(victim.send(&mut bench.sender(), request).await.status(), 303);
    bench.end().await;
}

#[tokio::test]
async fn a_ticket_is_confirmed_once() {
    let bench = Bench::new("ticket").await;
    let (id, url) = begun(&bench, "ada").await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    // To look at a page does not use it up, by whatever method.
    let request = second.request(http::Method::HEAD, &Url::parse(&url).expect("a URL"), Site::None, String::new());
    assert_eq!(second.send(&mut bench.sender(), request).await.status(), 200);
    let pages = [
        first.open(&mut bench.sender(), &url, Site::None).await,
        second.open(&mut bench.sender(), &url, Site::None).await,
    ];
    let sent = first.submit(&mut bench.sender(), &url, pages[0].body()).await;
    assert_eq!(sent.status(), 303);
    assert_eq!(["cache-control", "referrer-policy"].map(|name| &sent.headers()[name]), ["no-store", "no-referrer"]);
    let provider = sent.headers()["location"].to_str().expect("a URL").to_owned();
    for browser in [&mut first, &mut second] {
        let again = browser.submit(&mut bench.sender(), &url, pages[1].body()).await;
        assert!([400, 403].contains(&again.status().as_u16()), "{}", again.body());
        let page = browser.open(&mut bench.sender(), &url, Site::None).await;
        assert!(page.status() == 400 && page.body().contains("used already"), "{}", page.body());
    }
    // A ticket is no state, and a state no ticket.
    let ticket = url.rsplit('/').next().expect("a ticket").to_owned();
    let mut answer = bench.authority.allow(&provider, "ada");
    let state = answer.insert("state".to_owned(), ticket).expect("a state");
    assert_eq!(bench.back_in(&mut first, &answer).await.0, 400);
    let as_ticket = format!("https://connectors.test/oauth/authorize/{state}");
    assert_eq!(first.open(&mut bench.sender(), &as_ticket, Site::None).await.status(), 400);
    answer.insert("state".to_owned(), state);
    assert_eq!(bench.back_in(&mut first, &answer).await.0, 200);
    assert_eq!(status(&bench, &id).await, "active");
    assert_eq!(first.cookies(), Vec::<String>::new(), "the cookie goes with the authorization");
    bench.end().await;
}

#[tokio::test]
async fn a_link_ends_after_fifteen_minutes() {
    let (bench, clock) = Bench::timed("late", Registry::of::<Office>().expect("a registry")).await;
    let (id, url) = begun(&bench, "ada").await;
    clock.advance(SignedDuration::from_secs(899));
    let mut browser = Browser::default();
    let provider = browser.authorize(&mut bench.sender(), &url).await;
    let (_, late) = begun(&bench, "bob").await;
    clock.advance(SignedDuration::from_secs(899));
    assert_eq!(bench.back_in(&mut browser, &bench.authority.allow(&provider, "ada")).await.0, 200);
    assert_eq!(status(&bench, &id).await, "active");
    clock.advance(SignedDuration::from_secs(1));
    let page = browser.open(&mut bench.sender(), &late, Site::None).await;
    assert!(page.status() == 400 && page.body().contains("too old"), "{}", page.body());
    bench.end().await;
}

#[tokio::test]
async fn authorizations_in_one_browser_do_not_mix() {
    let bench = Bench::new("side-by-side").await;
    let mut browser = Browser::default();
    let mut open = Vec::new();
    for user in ["ada", "bob", "eve"] {
        let (id, url) = begun(&bench, user).await;
        let page = browser.open(&mut bench.sender(), &url, Site::None).await;
        open.push((user, id, url, page));
    }
    let mut back = Vec::new();
    for (user, id, url, page) in open {
        let sent = browser.submit(&mut bench.sender(), &url, page.body()).await;
        let provider = sent.headers()["location"].to_str().expect("a URL").to_owned();
        back.push((id, bench.authority.allow(&provider, user)));
    }
    back.reverse();
    for (id, answer) in back {
        assert_eq!(bench.back_in(&mut browser, &answer).await.0, 200);
        assert_eq!(status(&bench, &id).await, "active");
    }
    bench.end().await;
}

#[tokio::test]
async fn on_plain_http_the_cookie_has_another_name() {
    let bench = Bench::with("plain-http", |config, _| {
        config.public_url = Some(Url::parse("http://127.0.0.1:7300/").expect("a URL"));
    })
    .await;
    let id = bench.connected("ada").await;
    assert_eq!(status(&bench, &id).await, "active");
    let (_, url) = begun(&bench, "bob").await;
    let mut browser = Browser::default();
    browser.authorize(&mut bench.sender(), &url).await;
    assert!(browser.cookie_names()[0].starts_with("connectors-authorization-"));
    bench.end().await;
}

#[tokio::test]
async fn a_head_request_does_not_use_up_a_state() {
    let bench = Bench::new("head").await;
    let (id, url) = bench.begin("ada").await;
    let answer = bench.authority.allow(&url, "ada");
    let query = url::form_urlencoded::Serializer::new(bench.callback()).extend_pairs(&answer).finish();
    let mut browser = bench.browser();
    let head = browser.request(http::Method::HEAD, &Url::parse(&query).expect("a URL"), Site::CrossSite, String::new());
    assert_eq!(browser.send(&mut bench.sender(), head).await.status(), 405);
    assert_eq!(status(&bench, &id).await, "awaiting_authorization");
    assert_eq!(bench.back(&answer).await.0, 200);
    bench.end().await;
}

#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    let bench = Bench::new("twice").await;
    let (id, url) = bench.begin("ada").await;
    let answer = bench.authority.allow(&url, "ada");
    let once = url::form_urlencoded::Serializer::new(bench.callback()).extend_pairs(&answer).finish();
    for (name, value) in [("code", "another"), ("state", answer["state"].as_str()), ("code", answer["code"].as_str())] {
        let twice = format!("{once}&{name}={value}");
        let page = bench.browser().open(&mut bench.sender(), &twice, Site::CrossSite).await;
        assert!(page.status() == 400 && page.body().contains("more than once"), "{}", page.body());
    }
    assert_eq!(status(&bench, &id).await, "awaiting_authorization");
    assert_eq!(bench.back(&answer).await.0, 200, "nothing was used up");
    bench.end().await;
}

#[tokio::test]
async fn an_active_connection_is_named_on_the_page() {
    let bench = Bench::new("again").await;
    let id = bench.connected("ada").await;
    let again = bench.ok("POST", &format!("/connections/{id}/authorize"), json!({})).await;
    let url = again["authorize_url"].as_str().expect("a URL");
    let page = Browser::default().open(&mut bench.sender(), url, Site::None).await;
    assert!(
        page.body().contains("Authorize Office again?") && page.body().contains("<bdi>ada</bdi>"),
        "{}",
        page.body()
    );
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    assert_eq!(Browser::default().open(&mut bench.sender(), url, Site::None).await.status(), 400);
    bench.end().await;
}

#[tokio::test]
async fn an_authorization_is_void_when_its_session_is_ended() {
    let bench = Bench::new("void-session").await;
    let session = bench.ok("POST", "/sessions", json!({"user": "ada"})).await;
    let token = format!("Bearer {}", session["token"].as_str().expect("a token"));
    let begin = async || {
        let request = Request::post("/api/v1/connections").header("authorization", &token);
        let body = json!({"connector": "office", "user": "ada"}).to_string();
        let (status, _, body) = bench.raw(request.body(Body::from(body)).expect("a request")).await;
        assert_eq!(status, 201, "{body}");
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    let confirmed = bench.confirmed(&begin().await).await;
    let made = begin().await;
    bench.ok("DELETE", "/sessions?user=ada", Value::Null).await;
    let (status_code, _, page) = bench.back(&bench.authority.allow(&confirmed, "ada")).await;
    assert!(status_code == 400 && page.contains("session that asked for this has ended"), "{page}");
    let url = made["authorize_url"].as_str().expect("a URL");
    assert_eq!(Browser::default().open(&mut bench.sender(), url, Site::None).await.status(), 400);
    assert_eq!(status(&bench, made["id"].as_str().expect("an id")).await, "awaiting_authorization");
    bench.end().await;
}
