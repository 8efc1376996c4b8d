//! Providers as somebody else has written them: Linear, Google and Microsoft of the emulators.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use connector_core::credential::Credential;
use connector_core::network::{ProviderApi, Request as Outgoing, UrlRules};
use http::Method;

use super::*;

/// What the emulators' OAuth apps are registered with.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// The owner's name: a path of the API, or a GraphQL query.
async fn owner(api: ProviderApi<'_>, ask: &str) -> Result<Option<String>> {
    let answer: Value = match ask.strip_prefix("query ") {
        Some(_) => api.graphql(ask, &json!({})).await?,
        None => api.get(ask).fetch().await?,
    };
    let found = ["/name", "/displayName", "/viewer/name"].iter().find_map(|place| answer.pointer(place));
    Ok(found.and_then(Value::as_str).map(str::to_owned))
}

/// A module for each, as each has a callback of the same name.
macro_rules! service {
    ($module:ident, $id:literal, $name:ident, [$($scope:literal),*], $ask:literal) => {
        mod $module {
            use super::*;

            #[connector(id = $id, name = $id, provider = $name, scopes(required = [$($scope),*]))]
            #[derive(Default)]
            pub struct $name;

            #[connector]
            impl Connector for $name {
                async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
                    owner(cx.provider(), $ask).await
                }
            }

            #[connector]
            impl $name {
                /// Who the owner is, again.
                #[sync(every = "1h")]
                async fn look(&self, cx: &Context<Self>, looks: Option<u64>) -> Result<Step<u64>> {
                    let looks = looks.unwrap_or_default() + 1;
                    cx.set("owner", &owner(cx.provider(), $ask).await?).await?;
                    cx.set("looks", &looks).await?;
                    Ok(Step::Done(looks))
                }
            }
        }
    };
}

service!(linear, "linear", Linear, ["read", "write"], "query { viewer { name } }");
service!(
    google,
    "google",
    Google,
    ["openid", "https://www.googleapis.com/auth/userinfo.profile"],
    "/oauth2/v2/userinfo"
);
service!(microsoft, "microsoft", Microsoft, ["openid", "User.Read"], "/me");

/// An emulator of the test's own.
struct Emulator {
    process: Child,
    variables: HashMap<String, String>,
}

impl Emulator {
    /// None where there is nothing to start it with.
    fn start(service: &str) -> Option<Self> {
        let Ok(launch) = std::env::var("CONNECTOR_EMULATOR_LAUNCH") else {
            println!("skipped: CONNECTOR_EMULATOR_LAUNCH is not set; `cargo xtask test` sets it");
            return None;
        };
        let launch: Vec<String> = serde_json::from_str(&launch).expect("a JSON array");
        let (program, arguments) = launch.split_first().expect("a command");
        let mut command = Command::new(program);
        command.args(arguments).args(["--services", service, "--no-load"]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the emulator");
        let mut emulator = Self { process, variables: HashMap::new() };
        for line in BufReader::new(emulator.process.stdout.take().expect("its output")).lines() {
            let line = line.expect("a line");
            if line == "READY=1" {
                return Some(emulator);
            }
            let (name, value) = line.split_once('=').expect("a variable");
            emulator.variables.insert(name.to_owned(), value.to_owned());
        }
        panic!("the emulator ended before it was ready");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait().map(drop)).expect("the emulator ends");
    }
}

struct Service {
    bench: Bench,
    emulator: Emulator,
    id: &'static str,
}

impl Service {
    async fn new(id: &'static str, registry: Registry) -> Option<Self> {
        let emulator = Emulator::start(id)?;
        let directory = directory(id);
        let authority = Authority::start().await;
        let mut config = config(&directory, &authority);
        let text = |name: &str| emulator.variables[&format!("{}_{name}", id.to_uppercase())].clone();
        let url = |name: &str| Some(Url::parse(&text(name)).expect("a URL"));
        let provider = ProviderConfig {
            client_id: Some(text("CLIENT_ID")),
            client_secret: Some(Secret::new(text("CLIENT_SECRET"))),
            authorize_url: url("AUTHORIZE_URL"),
            token_url: url("TOKEN_URL"),
            revoke_url: url("REVOKE_URL"),
            api_url: url("API_URL"),
            ..ProviderConfig::default()
        };
        config.public_url = Some(Url::parse(PUBLIC_URL).expect("a URL"));
        config.providers = [(id.to_owned(), provider)].into();
        let bench = Bench::of(directory, authority, config, registry, Arc::new(SystemClock)).await;
        Some(Self { bench, emulator, id })
    }

    async fn send(&self, method: Method, url: &str, content_type: &'static str, body: String) -> (u16, Value) {
        let mut request = Outgoing::new(method, Url::parse(url).expect("a URL"));
        request.headers.insert("content-type", http::HeaderValue::from_static(content_type));
        request.body = body.into();
        let mut rules = UrlRules::default();
        rules.push_base(&request.url);
        let network = &self.bench.host.runtime().ports().network;
        let response = network.send(request, &rules).await.expect("an answer");
        (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or_default())
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.emulator.variables["EMU_CONTROL_URL"]);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.send(method, &url, "application/json", body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// What was asked of it at a path that ends so.
    async fn asked(&self, end: &str) -> Vec<Value> {
        let asked = self.control(Method::GET, &format!("/requests?service={}", self.id), Value::Null).await;
        let all = asked.as_array().or_else(|| asked["requests"].as_array()).expect("requests").clone();
        all.into_iter().filter(|one| one["path"].as_str().is_some_and(|path| path.ends_with(end))).collect()
    }

    /// The click on the consent page; then the browser comes back.
    async fn consent(&self, authorize_url: &str, user: &str, deny: bool) -> (u16, String) {
        let click = json!({ "authorize_url": authorize_url, "user": user, "deny": deny });
        let answer = self.control(Method::POST, "/oauth/approve", click).await;
        let back = Url::parse(answer["location"].as_str().unwrap_or_else(|| panic!("no way back: {answer}")));
        let parameters = back.expect("a URL").query_pairs().into_owned().collect();
        let (status, _, body) = self.bench.back(&parameters).await;
        (status, body)
    }

    async fn credential(&self) -> Credential {
        let ports = self.bench.host.runtime().ports();
        let secrets = ports.engine.secrets("credential/".to_owned(), None, 10).await.expect("secrets");
        let credential = Credential::open(&*ports.vault, &secrets[0].name, &secrets[0].sealed).expect("it opens");
        let tokens = [Some(&credential.access_token), credential.refresh_token.as_ref()];
        connector_test_support::secrets::know(tokens.into_iter().flatten().map(Secret::expose));
        credential
    }

    /// What the service says to a refresh token.
    async fn refreshed_with(&self, token: &Secret) -> (u16, Value) {
        let text = |name: &str| self.emulator.variables[&format!("{}_{name}", self.id.to_uppercase())].as_str();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token.expose())
            .append_pair("client_id", text("CLIENT_ID"))
            .append_pair("client_secret", text("CLIENT_SECRET"))
            .finish();
        self.send(Method::POST, text("TOKEN_URL"), "application/x-www-form-urlencoded", form).await
    }
}

/// R1.2, R1.3, R3.1, R8.1: denied, allowed with PKCE, refreshed when the service refuses the token, revoked.
async fn lives(id: &'static str, registry: Registry, user: &str, rotates: bool) {
    let Some(service) = Service::new(id, registry).await else { return };
    let bench = &service.bench;
    let made = bench.ok("POST", "/connections", json!({ "connector": id, "user": "ada" })).await;
    let path = format!("/connections/{}", made["id"].as_str().expect("an id"));
    let (status, body) = service.consent(&bench.confirmed(&made).await, user, true).await;
    assert!(status == 422 && body.contains("denied"), "{status} {body}");
    let again = bench.ok("POST", &format!("{path}/authorize"), json!({})).await;
    let authorize_url = bench.confirmed(&again).await;
    let (status, body) = service.consent(&authorize_url, user, false).await;
    assert_eq!(status, 200, "{body}");
    let made = bench.get(&path).await;
    assert_eq!((&made["status"], &made["name"]), (&json!("active"), &json!("Alice Nguyen")), "{made}");
    let looks = |least: u64| {
        let path = format!("{path}/state");
        async move {
            let enough = |state: &Value| state["looks"].as_u64() >= Some(least);
            assert_eq!(bench.until(&path, enough).await["owner"], "Alice Nguyen");
        }
    };
    looks(1).await;

    let authorize = Url::parse(&authorize_url).expect("a URL");
    let asked: HashMap<_, _> = authorize.query_pairs().into_owned().collect();
    assert_eq!(asked["code_challenge_method"], "S256");
    let before = service.credential().await;
    let refresh_token = before.refresh_token.clone().expect("a refresh token");
    assert!(before.expires_at.is_some());

    // The service refuses the access token before its time: nobody notices.
    service.control(Method::DELETE, "/tokens", json!({ "service": id, "token": before.access_token.expose() })).await;
    bench.ok("POST", &format!("{path}/sync"), Value::Null).await;
    looks(2).await;
    let after = service.credential().await;
    let now = after.refresh_token.clone().expect("a refresh token");
    assert_ne!(after.access_token, before.access_token);
    assert_eq!(now != refresh_token, rotates, "the refresh token");
    if rotates {
        assert_eq!(service.refreshed_with(&refresh_token).await.0, 400, "the service knows the old one no more");
    }
    assert_eq!(bench.get(&path).await["status"], "active");

    bench.ok("DELETE", &path, Value::Null).await;
    bench.revoked(made["id"].as_str().expect("an id")).await;
    let revocations = service.asked("/revoke").await;
    assert_eq!(revocations.iter().map(|one| one["status"].clone()).collect::<Vec<_>>(), [json!(200)]);
    let (status, answer) = service.refreshed_with(&now).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    service.bench.end().await;
}

#[tokio::test]
async fn linear_is_authorized_refreshed_and_revoked() {
    lives("linear", Registry::of::<linear::Linear>().expect("a registry"), "alice", true).await;
}

#[tokio::test]
async fn google_is_authorized_refreshed_and_revoked() {
    lives("google", Registry::of::<google::Google>().expect("a registry"), "alice@acme.example", false).await;
}

#[tokio::test]
async fn microsoft_is_authorized_refreshed_and_revoked() {
    lives("microsoft", Registry::of::<microsoft::Microsoft>().expect("a registry"), "alice@acme.example", true).await;
}
