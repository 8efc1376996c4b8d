use super::*;

async fn error_of(bench: &Bench, parameters: &HashMap<String, String>, status: u16) -> String {
    let (found, _, body) = bench.back(parameters).await;
    assert_eq!(found, status, "{body}");
    body
}

/// Issue 3, 1: from the request to an active connection that syncs.
#[tokio::test]
async fn an_authorized_connection_is_named_and_active_and_syncs() {
    let bench = Bench::new("flow").await;
    let (id, url) = bench.begin("ada").await;
    let asked: HashMap<_, _> = Url::parse(&url).expect("a URL").query_pairs().into_owned().collect();
    assert_eq!(asked["scope"], "papers");
    assert_eq!(asked["redirect_uri"], "https://connectors.test/oauth/callback");
    let (status, headers, body) = bench.back(&bench.authority.allow(&url, "ada-at-the-office")).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("Connected") && !body.contains("access-"));
    assert_eq!(
        (&headers["cache-control"], &headers["referrer-policy"]),
        (&"no-store".parse().expect(""), &"no-referrer".parse().expect(""))
    );
    let connection = bench.get(&format!("/connections/{id}")).await;
    assert_eq!((&connection["status"], &connection["name"]), (&json!("active"), &json!("ada-at-the-office")));
    assert_eq!(
        (&connection["asked_scopes"], &connection["account"]["scopes"]),
        (&json!(["papers"]), &json!(["papers"]))
    );
    bench.ok("PUT", &format!("/connections/{id}/channels/room-1"), Value::Null).await;
    bench.until(&format!("/connections/{id}"), |found| found["channels"][0]["sync"]["state"] == "synced").await;
    assert_eq!(bench.get("/threads?user=ada").await["items"][0]["title"], "room-1-of-ada-at-the-office");
    bench.end().await;
}

/// R1.2: optional groups are asked for when they are chosen, and what was granted is known.
#[tokio::test]
async fn a_declined_group_is_no_failure_and_a_declined_required_scope_is_by_its_name() {
    let bench = Bench::new("scopes").await;
    let body = json!({"connector": "office", "user": "ada", "scope_groups": ["stamps"]});
    let made = bench.ok("POST", "/connections", body).await;
    let url = bench.confirmed(&made).await;
    assert!(url.contains("scope=papers+stamps"), "{url}");
    bench.authority.seen().grants = Some("papers".to_owned());
    bench.back(&bench.authority.allow(&url, "ada")).await;
    let connection = bench.get(&format!("/connections/{}", made["id"].as_str().expect("an id"))).await;
    assert_eq!((&connection["status"], &connection["account"]["scopes"]), (&json!("active"), &json!(["papers"])));
    assert_eq!(connection["asked_scopes"], json!(["papers", "stamps"]));

    bench.authority.seen().grants = Some("stamps".to_owned());
    let (id, url) = bench.begin("bob").await;
    let page = error_of(&bench, &bench.authority.allow(&url, "bob"), 422).await;
    assert!(page.contains("needs `papers`"), "{page}");
    let connection = bench.get(&format!("/connections/{id}")).await;
    assert_eq!(connection["status"], "awaiting_authorization");
    assert!(connection["status_reason"].as_str().expect("a reason").contains("papers"));
    let (status, answer) = bench
        .ask("POST", "/connections", json!({"connector": "office", "user": "eve", "scope_groups": ["stamp"]}))
        .await;
    assert!(status == 422 && answer["detail"].as_str().expect("a text").contains("it has stamps"), "{answer}");
    bench.end().await;
}

/// Bars: a replayed state, and one that was never given.
#[tokio::test]
async fn a_state_is_good_once() {
    let bench = Bench::new("replay").await;
    let (id, url) = bench.begin("ada").await;
    let mut parameters = bench.authority.allow(&url, "ada");
    let (first, second) = tokio::join!(bench.back(&parameters), bench.back(&parameters));
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{} {}", first.2, second.2);
    assert!(error_of(&bench, &parameters, 400).await.contains("used already"));
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "active");
    for state in [Some("of-nobody"), None] {
        parameters.remove("state");
        parameters.extend(state.map(|state| ("state".to_owned(), state.to_owned())));
        error_of(&bench, &parameters, 400).await;
    }
    bench.end().await;
}

/// Bars: a stolen code does not pass with another's verifier, nor another user's state with one's own code.
#[tokio::test]
async fn a_code_belongs_to_the_authorization_that_asked_for_it() {
    let bench = Bench::new("stolen").await;
    let ((ada, of_ada), (bob, of_bob)) = (bench.begin("ada").await, bench.begin("bob").await);
    let mut stolen = bench.authority.allow(&of_ada, "ada");
    let own = bench.authority.allow(&of_bob, "bob");
    stolen.insert("state".to_owned(), own["state"].clone());
    let page = error_of(&bench, &stolen, 422).await;
    assert!(page.contains("invalid_grant"), "{page}");
    for id in [&ada, &bob] {
        let connection = bench.get(&format!("/connections/{id}")).await;
        assert_eq!(connection["status"], "awaiting_authorization", "{id}");
    }
    // The state that was tried with it is used up, and nobody else's connection came of it.
    error_of(&bench, &own, 400).await;
    bench.end().await;
}

/// Bars: a state of a connection that went away, or of another user's, is good for nothing.
#[tokio::test]
async fn a_state_falls_with_its_connection() {
    let bench = Bench::new("fallen").await;
    let (id, url) = bench.begin("ada").await;
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    error_of(&bench, &bench.authority.allow(&url, "ada"), 400).await;
    assert_eq!(bench.get("/connections").await["items"], json!([]));
    bench.end().await;
}

/// Bars: the answer of another provider (RFC 9207 2.4), and endpoints by discovery (R1.3).
#[tokio::test]
async fn the_answer_of_another_provider_is_refused() {
    let bench = Bench::with("mixed-up", |config, authority| {
        let provider = config.providers.get_mut("office").expect("a provider");
        provider.issuer = Some(Url::parse(&authority.base).expect("a URL"));
        provider.authorize_url = None;
    })
    .await;
    let (id, url) = bench.begin("ada").await;
    assert!(url.starts_with(&format!("{}/discovered?", bench.authority.base)), "{url}");
    let mut parameters = bench.authority.allow(&url, "ada");
    parameters.insert("iss".to_owned(), "https://evil.test".to_owned());
    assert!(error_of(&bench, &parameters, 400).await.contains("evil.test"));
    assert_eq!(bench.authority.seen().access.len(), 0, "the code was not spent");
    assert!(
        bench.get(&format!("/connections/{id}")).await["status_reason"]
            .as_str()
            .expect("a reason")
            .contains("evil.test")
    );
    bench.end().await;
}

/// Bars: one that says that it always names itself (RFC 9207 2.4) did not give the answer that names nobody.
#[tokio::test]
async fn an_answer_without_the_name_that_was_promised_is_refused() {
    let bench = Bench::with("nameless", |config, authority| {
        let provider = config.providers.get_mut("office").expect("a provider");
        provider.issuer = Some(Url::parse(&authority.base).expect("a URL"));
        provider.authorize_url = None;
        authority.seen().names_itself = true;
    })
    .await;
    let (id, url) = bench.begin("ada").await;
    let nameless = bench.authority.allow(&url, "ada");
    assert!(error_of(&bench, &nameless, 400).await.contains("does not say who"));
    assert_eq!(bench.authority.seen().access.len(), 0, "the code was not spent");
    let (_, url) = bench.begin("ada").await;
    let mut named = bench.authority.allow(&url, "ada");
    named.insert("iss".to_owned(), bench.authority.base.clone());
    assert_eq!(bench.back(&named).await.0, 200);
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "active");
    bench.end().await;
}

/// Bars: an authorization whose verifier is missing spends no code, and one of another user's connection is refused.
#[tokio::test]
async fn what_is_kept_of_an_authorization_is_all_or_nothing() {
    let bench = Bench::new("kept").await;
    for (change, says) in [("verifier", "verifier of the code challenge is missing"), ("user", "is another")] {
        let (id, url) = bench.begin("ada").await;
        let ports = bench.host.runtime().ports();
        let rows = ports.engine.secrets("authorization/".to_owned(), None, 100).await.expect("secrets");
        for row in rows {
            let context = connector_core::ports::SealContext::stored("authorization", row.name.clone());
            let plain = ports.vault.open(&context, &row.sealed).expect("it opens");
            let mut kept: Value = serde_json::from_slice(&plain).expect("JSON");
            match change {
                "user" => kept["user"] = json!("eve"),
                _ => kept["confirmed"][change] = Value::Null,
            }
            let sealed = ports.vault.seal(&context, kept.to_string().as_bytes());
            let expect = Some(row.version);
            let row = connector_core::engine::SecretRow { sealed, ..row };
            let put = connector_core::engine::Write::PutSecret { row, expect };
            ports.engine.commit(connector_core::engine::WriteSet::of([put])).await.expect("it is stored");
        }
        let page = error_of(&bench, &bench.authority.allow(&url, "ada"), 400).await;
        assert!(page.contains(says), "{page}");
        assert_eq!(bench.authority.seen().access.len(), 0, "the code was not spent");
        assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "awaiting_authorization");
    }
    bench.end().await;
}

/// Bars: a token response that comes late, when the browser has gone away, is stored all the same.
#[tokio::test]
async fn a_late_token_response_is_stored_though_nobody_waits() {
    let bench = Bench::new("late-token").await;
    let (id, url) = bench.begin("ada").await;
    let parameters = bench.authority.allow(&url, "ada");
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    bench.authority.seen().moods.push_back(authority::Mood::Wait(std::sync::Arc::clone(&gate)));
    {
        let mut waiting = std::pin::pin!(bench.back(&parameters));
        while !bench.authority.seen().moods.is_empty() {
            let early = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx))).await;
            assert!(early.is_pending());
            tokio::task::yield_now().await;
        }
    }
    gate.add_permits(1);
    let connection = bench.until(&format!("/connections/{id}"), |found| found["status"] == "active").await;
    assert_eq!(connection["name"], "ada");
    bench.end().await;
}

/// Bars: users are sent back to where the operator allows it, and nowhere else.
#[tokio::test]
async fn users_are_sent_back_to_configured_places_alone() {
    let bench = Bench::new("return").await;
    for elsewhere in [
        "https://evil.test/settings/",
        "https://app.test.evil.test/settings/",
        "https://app.test/settingsX",
        "https://app.test/settings/../admin",
        "https://app.test@evil.test/settings/",
        "https://user@app.test/settings/",
        "http://app.test/settings/",
        "//app.test/settings/",
        "javascript:alert(1)",
    ] {
        let body = json!({"connector": "office", "user": "ada", "return_to": elsewhere});
        let (status, answer) = bench.ask("POST", "/connections", body).await;
        assert_eq!(status, 422, "{elsewhere}: {answer}");
        assert!(answer["errors"]["return_to"].is_string(), "{answer}");
    }
    let body = json!({"connector": "office", "user": "ada", "return_to": "https://app.test/settings/done?tab=2"});
    let made = bench.ok("POST", "/connections", body).await;
    let url = bench.confirmed(&made).await;
    let (status, headers, _) = bench.back(&bench.authority.allow(&url, "ada")).await;
    let place = headers["location"].to_str().expect("a place");
    assert_eq!(status, 303);
    assert_eq!(
        place,
        format!("https://app.test/settings/done?tab=2&connection={}", made["id"].as_str().expect("an id"))
    );
    bench.end().await;
}

/// Bars: what the provider refuses is shown on the page and on the connection, and can be tried again.
#[tokio::test]
async fn an_error_response_is_shown_and_can_be_tried_again() {
    let bench = Bench::new("denied").await;
    let (id, url) = bench.begin("ada").await;
    let mut denied = bench.authority.allow(&url, "ada");
    denied.remove("code");
    denied.insert("error".to_owned(), "access_denied".to_owned());
    denied.insert("error_description".to_owned(), "The user <b>said</b> no".to_owned());
    let page = error_of(&bench, &denied, 422).await;
    assert!(page.contains("access_denied") && page.contains("&lt;b&gt;said"), "{page}");
    let connection = bench.get(&format!("/connections/{id}")).await;
    assert!(connection["status_reason"].as_str().expect("a reason").contains("access_denied"));
    // The same user tries again, and gets the same connection.
    let (again, url) = bench.begin("ada").await;
    assert_eq!(again, id);
    assert_eq!(bench.back(&bench.authority.allow(&url, "ada")).await.0, 200);
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status_reason"], Value::Null);
    bench.end().await;
}

/// Bars: a token response that is lost, malformed or empty.
#[tokio::test]
async fn a_useless_token_response_fails_the_authorization_and_not_the_host() {
    let bench = Bench::new("useless").await;
    let (id, _) = bench.begin("ada").await;
    for (status, body) in [
        (200, "<html>down for maintenance</html>"),
        (200, "{\"access_token\": \"half"),
        (200, "{}"),
        (200, "{\"access_token\": \"\", \"token_type\": \"bearer\"}"),
        (200, "{\"access_token\": \"half\", \"token_type\": \"mac\", \"mac_key\": \"k\"}"),
        (200, "{\"access_token\": \"half\", \"token_type\": 7}"),
        (200, "{\"access_token\": \"a b\\n\", \"token_type\": \"bearer\"}"),
        (200, "[]"),
        (500, "{\"error\": \"boom\"}"),
        (200, "{\"error\": \"bad_verification_code\"}"),
        (401, "{\"error\": \"invalid_client\"}"),
    ] {
        let (same, url) = bench.begin("ada").await;
        assert_eq!(same, id);
        let parameters = bench.authority.allow(&url, "ada");
        bench.authority.seen().moods.push_back(authority::Mood::Say(status, body.to_owned()));
        let (found, _, page) = bench.back(&parameters).await;
        assert!((422..=502).contains(&found), "{body}: {found} {page}");
        assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "awaiting_authorization", "{body}");
    }
    bench.end().await;
}

/// Bars: without the verifier of the code challenge there is no exchange. It survives a restart, sealed.
#[tokio::test]
async fn an_authorization_survives_a_restart_and_is_sealed() {
    let bench = Bench::new("restart").await;
    let (id, url) = bench.begin("ada").await;
    let bench = bench.reopened(|_| {}).await;
    let parameters = bench.authority.allow(&url, "ada");
    assert_eq!(bench.back(&parameters).await.0, 200);
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "active");
    let (_, url) = bench.begin("bob").await;
    let state = bench.authority.allow(&url, "bob")["state"].clone();
    let engine = &bench.host.runtime().ports().engine;
    let secrets = engine.secrets(String::new(), None, 100).await.expect("secrets");
    assert!(!secrets.is_empty());
    for secret in secrets {
        assert!(!secret.name.contains(&state) && !secret.sealed.contains("verifier"), "{}", secret.name);
    }
    bench.end().await;
}

/// Design 6.3: without a client, nothing is begun, and the operator learns what is missing.
#[tokio::test]
async fn a_provider_without_a_client_is_told_by_its_setting() {
    let bench = Bench::with("unregistered", |config, _| config.providers.clear()).await;
    let (status, answer) = bench.ask("POST", "/connections", json!({"connector": "office", "user": "ada"})).await;
    assert_eq!(status, 409);
    assert!(answer["detail"].as_str().expect("a text").contains("providers.office.client_id"), "{answer}");
    assert_eq!(bench.get("/connections").await["items"], json!([]));
    bench.end().await;
}

/// R3.7: the account of a connection stays the one that it was made for.
#[tokio::test]
async fn another_account_does_not_take_a_connection_over() {
    let bench = Bench::new("other-account").await;
    let id = bench.connected("ada").await;
    let again = bench.ok("POST", &format!("/connections/{id}/authorize"), json!({})).await;
    let url = bench.confirmed(&again).await;
    let page = error_of(&bench, &bench.authority.allow(&url, "eve"), 409).await;
    assert!(page.contains("eve"), "{page}");
    assert_eq!(bench.get(&format!("/connections/{id}")).await["name"], "ada");
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "active");
    bench.end().await;
}

/// R3.1: a disconnected account's token ends at the service, though that takes a second try, and none is left here.
#[tokio::test]
async fn disconnecting_revokes_at_the_service_and_leaves_nothing() {
    let (bench, clock) = Bench::timed("revoke", Registry::of::<Office>().expect("a registry")).await;
    let id = bench.connected("ada").await;
    bench.authority.seen().moods.push_back(authority::Mood::Say(503, String::new()));
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.authority.revoking.notified().await;
    let engine = &bench.host.runtime().ports().engine;
    let left = engine.secrets(String::new(), None, 100).await.expect("secrets");
    assert_eq!(left.len(), 1, "the token to be revoked, sealed, until it is");
    assert_eq!(bench.authority.seen().revoked.len(), 0);
    // It is tried again after ten seconds.
    clock.advance(SignedDuration::from_secs(10));
    bench.revoked(&id).await;
    assert_eq!(engine.secrets(String::new(), None, 100).await.expect("secrets"), []);
    assert_eq!(bench.authority.seen().revoked.len(), 1);
    assert!(bench.authority.seen().revoked[0].starts_with("refresh-"));
    bench.end().await;
}

/// R3.1: so it does when the product that embeds the host disconnects it by itself.
#[tokio::test]
async fn a_product_that_disconnects_revokes_too() {
    let bench = Bench::new("revoke-embedded").await;
    let id = bench.connected("ada").await;
    bench.host.runtime().disconnect(id.parse().expect("an id")).await.expect("it is there");
    bench.revoked(&id).await;
    assert_eq!(bench.authority.seen().revoked.len(), 1);
    bench.end().await;
}

/// R3.1: a service that does not take the revocation for two days is left alone, and the product learns of it.
#[tokio::test]
async fn a_token_that_cannot_be_revoked_is_told() {
    let (bench, clock) = Bench::timed("not-revoked", Registry::of::<Office>().expect("a registry")).await;
    let id = bench.connected("ada").await;
    bench.authority.seen().moods.push_back(authority::Mood::Say(503, String::new()));
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.authority.revoking.notified().await;
    clock.advance(SignedDuration::from_hours(48));
    let told = bench
        .until("/changes?limit=1000", |changes| {
            changes["items"].as_array().expect("changes").iter().any(|change| change["kind"] == "not_revoked")
        })
        .await;
    let told = told["items"].as_array().expect("changes").last().expect("a change").clone();
    assert_eq!((&told["id"], &told["connection"], &told["data"]), (&json!(id), &json!(id), &Value::Null));
    let engine = &bench.host.runtime().ports().engine;
    assert_eq!(engine.secrets(String::new(), None, 100).await.expect("secrets"), [], "nothing is left here");
    assert_eq!(bench.authority.seen().revoked.len(), 0);
    bench.end().await;
}

#[tokio::test]
async fn a_token_answer_is_read_as_providers_write_it() {
    let bench = Bench::new("as-written").await;
    for (number, answer) in [
        json!({"access_token": "t", "token_type": "BEARER", "expires_in": "3600", "scope": "papers"}),
        json!({"access_token": "t", "token_type": null, "error": null, "refresh_token": "", "scope": null}),
        json!({"access_token": "t", "expires_in": 3599.5, "refresh_token": null, "scope": ["papers"]}),
        json!({"access_token": "t", "token_type": "bearer", "expires_in": null, "scope": "papers,stamps"}),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("user-{number}");
        let (id, url) = bench.begin(&user).await;
        bench.authority.seen().access.insert("t".to_owned(), user.clone());
        bench.authority.seen().moods.push_back(authority::Mood::Say(200, answer.to_string()));
        let (status, _, page) = bench.back(&bench.authority.allow(&url, &user)).await;
        assert_eq!(status, 200, "{answer}: {page}");
        assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "active", "{answer}");
        let ports = bench.host.runtime().ports();
        let name = format!("credential/{}", id.trim_start_matches("con_"));
        let row = ports.engine.secret(name).await.expect("a store").expect("a credential");
        let credential =
            connector_core::credential::Credential::open(&*ports.vault, &row.name, &row.sealed).expect("it opens");
        assert_eq!(credential.refresh_token, None, "{answer}");
        assert_eq!(credential.expires_at.is_some(), number % 2 == 0, "{answer}");
    }
    bench.end().await;
}
