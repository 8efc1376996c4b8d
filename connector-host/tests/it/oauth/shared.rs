use super::*;

/// One credential for a workspace.
#[connector(
    id = "commons",
    name = "Commons",
    provider = OFFICE,
    shared,
)]
#[derive(Default)]
pub struct Commons;

#[connector]
impl Connector for Commons {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let me: Me = cx.provider().get("/me").fetch().await?;
        Ok(Some(me.login))
    }
}

/// One key for a workspace.
#[connector(id = "locker", name = "Locker", key_option = "key", options = LockerOptions, shared)]
#[derive(Default)]
pub struct Locker;

#[derive(Options)]
pub struct LockerOptions {
    /// Opens it.
    #[option(secure, required)]
    pub key: Secret,
}

#[connector]
impl Connector for Locker {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        match cx.options().key.expose() {
            "sesame" | "worn" => Ok(Some("The locker".to_owned())),
            _ => Err(Error::rejected("the locker does not know this key")),
        }
    }
}

#[connector]
impl Locker {
    /// What is in it.
    #[sync(every = "1h")]
    async fn contents(&self, cx: &Context<Self>, after: Option<u64>) -> Result<Step<u64>> {
        if cx.options().key.expose() == "worn" {
            return Err(Error::needs_reauth("the key is worn"));
        }
        cx.set("opened", &true).await?;
        Ok(Step::Done(after.unwrap_or_default() + 1))
    }
}

pub(super) async fn bench(name: &str, registry: Registry) -> Bench {
    let directory = directory(name);
    let authority = Authority::start().await;
    let mut config = config(&directory, &authority);
    if registry.iter().all(|connector| connector.declaration.provider.is_none()) {
        config.providers.clear();
    }
    Bench::of(directory, authority, config, registry, Arc::new(SystemClock)).await
}

fn of(connector: &str, user: &str, workspace: &str) -> Value {
    json!({"connector": connector, "user": user, "workspace": workspace})
}

/// R1.4: the installer authorizes, the others of the workspace need not; the last one to go takes it along.
#[tokio::test]
async fn a_workspace_authorizes_once() {
    let bench = bench("shared", Registry::of::<Commons>().expect("a registry")).await;
    let first = bench.ok("POST", "/connections", of("commons", "ada", "acme")).await;
    let url = bench.confirmed(&first).await;
    assert_eq!(bench.back(&bench.authority.allow(&url, "installer")).await.0, 200);
    let second = bench.ok("POST", "/connections", of("commons", "bob", "acme")).await;
    assert_eq!((&second["status"], &second["name"]), (&json!("active"), &json!("installer")));
    let other = bench.ok("POST", "/connections", of("commons", "eve", "evil")).await;
    assert_eq!(other["status"], "awaiting_authorization", "another workspace has no part in it");
    let session = bench.ok("POST", "/sessions", json!({"user": "eve"})).await;
    let token = session["token"].as_str().expect("a token");
    let request = Request::builder().method("POST").uri("/api/v1/connections");
    let request = request.header("authorization", format!("Bearer {token}"));
    let body = Body::from(of("commons", "eve", "acme").to_string());
    let (status, _, body) = bench.raw(request.body(body).expect("a request")).await;
    assert_eq!(status, 403, "a session does not say which workspace it is in: {body}");
    bench.ok("DELETE", &format!("/connections/{}", first["id"].as_str().expect("an id")), Value::Null).await;
    assert_eq!(bench.authority.seen().revoked.len(), 0, "bob's connection still has it");
    bench.ok("DELETE", &format!("/connections/{}", second["id"].as_str().expect("an id")), Value::Null).await;
    bench.revoked(second["id"].as_str().expect("an id")).await;
    let engine = &bench.host.runtime().ports().engine;
    assert_eq!(bench.authority.seen().revoked.len(), 1);
    assert_eq!(engine.secrets("credential/".to_owned(), None, 10).await.expect("secrets"), []);
    bench.end().await;
}

/// R1.4, R1.5: a key of a workspace is given once, tried before it counts, and never shown.
#[tokio::test]
async fn a_workspace_gives_its_key_once() {
    let bench = bench("shared-key", Registry::of::<Locker>().expect("a registry")).await;
    let with_key = |user: &str, key: &str| {
        let mut body = of("locker", user, "acme");
        body["options"] = json!({ "key": key });
        body
    };
    let (status, answer) = bench.ask("POST", "/connections", with_key("ada", "wrong")).await;
    assert!(status == 422 && answer["detail"].as_str().expect("a text").contains("does not know"), "{answer}");
    let (status, answer) = bench.ask("POST", "/connections", of("locker", "ada", "acme")).await;
    assert!(status == 422 && answer["errors"]["options.key"].is_string(), "{answer}");
    let first = bench.ok("POST", "/connections", with_key("ada", "sesame")).await;
    let second = bench.ok("POST", "/connections", of("locker", "bob", "acme")).await;
    assert_eq!((&second["status"], &second["name"]), (&json!("active"), &json!("The locker")));
    let (status, _) = bench.ask("POST", "/connections", of("locker", "eve", "evil")).await;
    assert_eq!(status, 422, "another workspace has its own");
    assert!(!first.to_string().contains("sesame") && !second.to_string().contains("sesame"));
    bench.end().await;
}

/// A request with a session of this user.
async fn as_user(bench: &Bench, user: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let session = bench.ok("POST", "/sessions", json!({"user": user})).await;
    let token = format!("Bearer {}", session["token"].as_str().expect("a token"));
    let request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("authorization", token);
    let (status, _, body) = bench.raw(request.body(Body::from(body.to_string())).expect("a request")).await;
    (status.as_u16(), serde_json::from_str(&body).unwrap_or_default())
}

fn id_of(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_token_of_a_workspace_is_its_installers() {
    let bench = bench("installer", Registry::of::<Commons>().expect("a registry")).await;
    let ada = bench.ok("POST", "/connections", of("commons", "ada", "acme")).await;
    // Bob begins before there is a token, and comes back when Ada has given one.
    let early = bench.ok("POST", "/connections", of("commons", "bob", "acme")).await;
    let path = |made: &Value, end: &str| format!("/connections/{}{end}", id_of(made));
    let (status, begun) = as_user(&bench, "bob", "POST", &path(&early, "/authorize"), json!({})).await;
    assert_eq!(status, 200, "{begun}");
    let of_bob = bench.authority.allow(&bench.confirmed(&begun).await, "bob");
    let of_ada = bench.authority.allow(&bench.confirmed(&ada).await, "ada");
    assert_eq!(bench.back(&of_ada).await.0, 200);
    let (status, _, page) = bench.back(&of_bob).await;
    assert!(status == 403 && page.contains("ada or an operator can replace it"), "{page}");
    let credential = async || {
        let ports = bench.host.runtime().ports();
        let secrets = ports.engine.secrets("credential/".to_owned(), None, 10).await.expect("secrets");
        assert_eq!(secrets.len(), 1);
        connector_core::credential::Credential::open(&*ports.vault, &secrets[0].name, &secrets[0].sealed)
            .expect("it opens")
    };
    let first = credential().await;
    assert_eq!(bench.authority.seen().access[first.access_token.expose()], "ada");
    assert_eq!(first.installer, Some("ada".into()));
    // Nor by a token of his own, nor through another connection.
    let late = bench.ok("POST", "/connections", of("commons", "bob", "acme")).await;
    bench.authority.seen().access.insert("own".to_owned(), "bob".to_owned());
    for made in [&early, &late] {
        for body in [json!({}), json!({"token": "own"})] {
            let (status, problem) = as_user(&bench, "bob", "POST", &path(made, "/authorize"), body).await;
            assert_eq!((status, &problem["type"]), (403, &json!("urn:connectors:problem:forbidden")), "{problem}");
        }
    }
    assert_eq!(credential().await, first);
    // The installer may, and the operator.
    bench.authority.seen().access.insert("of-ada".to_owned(), "ada".to_owned());
    let body = json!({"token": "of-ada"});
    assert_eq!(as_user(&bench, "ada", "POST", &path(&ada, "/authorize"), body).await.0, 200);
    assert_eq!(credential().await.access_token.expose(), "of-ada");
    bench.authority.seen().access.insert("own".to_owned(), "ada".to_owned());
    bench.ok("POST", &path(&late, "/authorize"), json!({"token": "own"})).await;
    assert_eq!(credential().await.installer, Some("bob".into()), "the operator gave it to him");
    bench.end().await;
}

#[tokio::test]
async fn the_key_of_a_workspace_is_its_installers() {
    let bench = bench("installer-key", Registry::of::<Locker>().expect("a registry")).await;
    let mut body = of("locker", "ada", "acme");
    body["options"] = json!({ "key": "sesame" });
    let ada = bench.ok("POST", "/connections", body).await;
    let bob = bench.ok("POST", "/connections", of("locker", "bob", "acme")).await;
    let path = |made: &Value| format!("/connections/{}", id_of(made));
    for (user, made, status) in [("bob", &bob, 403), ("ada", &ada, 200)] {
        let (found, answer) = as_user(&bench, user, "PATCH", &path(made), key("worn")).await;
        assert_eq!(found, status, "{answer}");
    }
    assert_eq!(as_user(&bench, "bob", "PATCH", &path(&bob), json!({"name": "Mine"})).await.0, 200);
    bench.ok("PATCH", &path(&bob), key("sesame")).await;
    // A credential of before it had an installer is that of the first connection.
    let ports = bench.host.runtime().ports();
    let row = ports.engine.secrets("credential/".to_owned(), None, 1).await.expect("secrets").remove(0);
    let mut credential =
        connector_core::credential::Credential::open(&*ports.vault, &row.name, &row.sealed).expect("it opens");
    credential.installer = None;
    let sealed = credential.seal(&*ports.vault, &row.name).expect("it seals");
    let put = connector_core::engine::Write::PutSecret {
        expect: Some(row.version),
        row: connector_core::engine::SecretRow { sealed, ..row },
    };
    ports.engine.commit(connector_core::engine::WriteSet::of([put])).await.expect("it is stored");
    assert_eq!(as_user(&bench, "bob", "PATCH", &path(&bob), key("sesame")).await.0, 403);
    assert_eq!(as_user(&bench, "ada", "PATCH", &path(&ada), key("sesame")).await.0, 200);
    bench.end().await;
}

async fn comes_to(bench: &Bench, id: &str, status: &str) {
    let found = bench.until(&format!("/connections/{id}"), |found| found["status"] == status).await;
    let worn = found["status_reason"].as_str().is_some_and(|reason| reason.contains("worn"));
    assert_eq!(worn, status == "needs_reauth", "{found}");
}

async fn opened(bench: &Bench, id: &str) {
    bench.until(&format!("/connections/{id}/state"), |state| state["opened"] == true).await;
    comes_to(bench, id, "active").await;
}

fn key(key: &str) -> Value {
    json!({ "options": { "key": key } })
}

/// R3.7: another key is tried before it counts, and lets a connection go on that waited for it.
#[tokio::test]
async fn another_key_is_tried_and_resumes_the_connection() {
    let bench = bench("other-key", Registry::of::<Locker>().expect("a registry")).await;
    let body = json!({"connector": "locker", "user": "ada", "options": { "key": "worn" }});
    let made = bench.ok("POST", "/connections", body).await;
    let path = format!("/connections/{}", made["id"].as_str().expect("an id"));
    let id = &path["/connections/".len()..];
    comes_to(&bench, id, "needs_reauth").await;
    let (status, answer) = bench.ask("PATCH", &path, key("wrong")).await;
    assert!(status == 422 && answer["detail"].as_str().expect("a text").contains("does not know"), "{answer}");
    bench.ok("PATCH", &path, json!({ "name": "Mine" })).await;
    comes_to(&bench, id, "needs_reauth").await;
    let patched = bench.ok("PATCH", &path, key("sesame")).await;
    assert_eq!((&patched["status"], &patched["name"]), (&json!("active"), &json!("Mine")));
    opened(&bench, id).await;
    bench.end().await;
}

/// R1.4, R3.7: another key of a workspace is that of all its connections.
#[tokio::test]
async fn another_key_of_a_workspace_is_that_of_all() {
    let bench = bench("other-shared-key", Registry::of::<Locker>().expect("a registry")).await;
    let mut body = of("locker", "ada", "acme");
    body["options"] = json!({ "key": "worn" });
    let made = [
        bench.ok("POST", "/connections", body).await,
        bench.ok("POST", "/connections", of("locker", "bob", "acme")).await,
    ];
    let [ada, bob] = made.map(|made| made["id"].as_str().expect("an id").to_owned());
    comes_to(&bench, &ada, "needs_reauth").await;
    comes_to(&bench, &bob, "needs_reauth").await;
    let patched = bench.ok("PATCH", &format!("/connections/{bob}"), key("sesame")).await;
    assert!(!patched.to_string().contains("sesame"));
    opened(&bench, &ada).await;
    opened(&bench, &bob).await;
    // One that works does not go on with the key before.
    bench.ok("PATCH", &format!("/connections/{ada}"), key("worn")).await;
    bench.ok("POST", &format!("/connections/{bob}/sync"), Value::Null).await;
    comes_to(&bench, &bob, "needs_reauth").await;
    bench.end().await;
}
