//! What is unique: names of API keys and connections, and the only instance of a connector (L51).

use axum::http::StatusCode;
use connector_core::engine::{ConnectionRow, Write, WriteSet};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_host::{Config, Host};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::desk::{self, Bench, Desk, OPTION, ids};

/// A connector of which each user has one instance.
#[connector(id = "badge")]
#[derive(Default)]
pub struct Badge;

#[connector]
impl Connector for Badge {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        // The others have their turn between what is looked at and the commit.
        tokio::task::yield_now().await;
        Ok(vec![Channel::new("badges", "Badges")])
    }
}

fn registry() -> Registry {
    Registry::of::<Desk>().and_then(|desk| desk.merge(Registry::of::<Badge>()?)).expect("a registry")
}

async fn bench(name: &str) -> Bench {
    Bench::of(name, Config::default(), registry()).await
}

/// The details of those that were refused with 409; one of all is done.
fn losers(answers: Vec<(StatusCode, Value)>) -> Vec<String> {
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == StatusCode::CREATED);
    assert_eq!(done.len(), 1, "{done:?}");
    assert!(refused.iter().all(|(status, _)| *status == StatusCode::CONFLICT), "{refused:?}");
    refused.into_iter().map(|(_, problem)| problem["detail"].as_str().expect("a detail").to_owned()).collect()
}

#[tokio::test]
async fn one_of_concurrent_keys_gets_the_name() {
    let bench = bench("unique-keys").await;
    let details = losers(join_all((0..12).map(|_| bench.ask("POST", "/keys", json!({"name": "dup"})))).await);
    assert_eq!(details.len(), 11);
    assert!(details.iter().all(|detail| detail.contains("`dup`")), "{details:?}");
    assert_eq!(bench.get("/keys").await["items"].as_array().map(Vec::len), Some(1));
    bench.ok("DELETE", "/keys/dup", Value::Null).await;
    bench.refused("DELETE", "/keys/dup", Value::Null, 404).await;
    bench.ok("POST", "/keys", json!({"name": "dup"})).await;
    bench.end().await;
}

/// A database of an earlier version may hold several keys with one name.
#[tokio::test]
async fn revoking_a_name_ends_all_keys_of_it() {
    let bench = bench("revoked-names").await;
    let key = bench.ok("POST", "/keys", json!({"name": "dup"})).await["key"].as_str().expect("a key").to_owned();
    let ports = bench.host.runtime().ports();
    let settings = ports.engine.settings("api_key/".to_owned()).await.expect("settings");
    let value = Some(settings[0].1.clone());
    let twins = ["1", "2"].map(|hash| Write::PutSetting { name: format!("api_key/{hash}"), value: value.clone() });
    let nameless = Write::PutSetting { name: "api_key_name/dup".to_owned(), value: None };
    ports.engine.commit(WriteSet::of(twins.into_iter().chain([nameless]))).await.expect("it is stored");
    assert_eq!(bench.get("/keys").await["items"].as_array().map(Vec::len), Some(3));
    bench.refused("POST", "/keys", json!({"name": "dup"}), 409).await;
    bench.ok("DELETE", "/keys/dup", Value::Null).await;
    assert_eq!(bench.get("/keys").await["items"], json!([]));
    let request = http::Request::builder().uri("/api/v1/keys").header("authorization", format!("Bearer {key}"));
    let (status, _) = bench.raw(request.body(axum::body::Body::empty()).expect("a request")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    bench.end().await;
}

#[tokio::test]
async fn one_of_concurrent_requests_makes_the_only_instance() {
    let bench = bench("unique-instances").await;
    let new = json!({"connector": "badge", "user": "ada"});
    let details = losers(join_all((0..12).map(|_| bench.ask("POST", "/connections", new.clone()))).await);
    let id = ids(&bench.get("/connections?connector=badge").await)[0].to_owned();
    assert!(details.iter().all(|detail| detail.contains(&id) && detail.contains("already")), "{details:?}");
    assert_eq!(ids(&bench.get("/connections?connector=badge").await).len(), 1);
    bench.ok("POST", "/connections", json!({"connector": "badge", "user": "bob"})).await;
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.ok("POST", "/connections", new).await;
    bench.end().await;
}

/// Issue 12, 29: a user has one instance, and one more in each workspace.
#[tokio::test]
async fn there_is_one_instance_for_each_workspace() {
    let bench = bench("workspaces").await;
    for workspace in [Value::Null, json!("red"), json!("blue")] {
        let new = json!({"connector": "badge", "user": "ada", "workspace": workspace});
        bench.ok("POST", "/connections", new.clone()).await;
        let detail = bench.refused("POST", "/connections", new, 409).await["detail"].clone();
        let detail = detail.as_str().expect("a text");
        assert!(workspace.as_str().is_none_or(|workspace| detail.contains(workspace)), "{detail}");
    }
    let connections = bench.get("/connections?user=ada&connector=badge").await;
    let names: Vec<_> = connections["items"].as_array().expect("items").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["Badge", "Badge 2", "Badge 3"]);
    bench.end().await;
}

/// Issue 12, 29: several instances have distinct names.
#[tokio::test]
async fn names_of_a_users_connections_differ() {
    let bench = bench("unique-names").await;
    let new = |user: &str, name: Value| {
        let mut new = json!({"connector": "desk", "user": user, "options": {"api_key": OPTION}});
        new["name"] = name;
        new
    };
    let details = losers(join_all((0..6).map(|_| bench.ask("POST", "/connections", new("ada", json!("Work"))))).await);
    assert!(details.iter().all(|detail| detail.contains("`Work`")), "{details:?}");
    bench.ok("POST", "/connections", new("bob", json!("Work"))).await;
    // Without a name, the account's, with a number.
    let answers = join_all((0..3).map(|_| bench.ok("POST", "/connections", new("ada", Value::Null)))).await;
    let mut names: Vec<_> = answers.iter().map(|answer| answer["name"].as_str().expect("a name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["The desk", "The desk 2", "The desk 3"]);
    let path = format!("/connections/{}", answers[0]["id"].as_str().expect("an id"));
    for taken in ["Work", " Work ", names[2]].iter().filter(|name| **name != answers[0]["name"]) {
        let refused = bench.refused("PATCH", &path, json!({"name": taken}), 409).await;
        assert!(refused["detail"].to_string().contains(taken), "{refused}");
    }
    bench.ok("PATCH", &path, json!({"name": "Home"})).await;
    bench.ok("PATCH", &path, json!({"name": "Home", "history_days": 9})).await;
    // The old name is free.
    bench.ok("POST", "/connections", new("ada", answers[0]["name"].clone())).await;
    bench.end().await;
}

/// R7.1: a database of an earlier version may hold twins; they stay, and nobody gets one more.
#[tokio::test]
async fn twins_of_an_earlier_version_stay_and_get_no_third() {
    let directory = desk::directory("twins");
    let host = Host::open(desk::config(&directory), registry()).await.expect("a host");
    let ports = host.runtime().ports();
    let connect = |host: Host| async move {
        host.runtime().connect(connector_core::runtime::ConnectRequest::new("badge", "ada")).await
    };
    let first = connect(host.clone()).await.expect("a connection");
    let unclaimed = ConnectionRow { claims: Vec::new(), ..ConnectionRow::clone(&first) };
    let id = connector_core::id::ConnectionId::from_number(ports.engine.take_ids(1));
    let twin = ConnectionRow { id, ..unclaimed.clone() };
    let writes = [
        Write::PutConnection { row: Box::new(unclaimed), expect: Some(first.version) },
        Write::PutConnection { row: Box::new(twin.clone()), expect: None },
        Write::PutSetting { name: "claims/badge".to_owned(), value: None },
    ];
    ports.engine.commit(WriteSet::of(writes)).await.expect("it is stored");
    host.shutdown().await.expect("an end in order");
    let host = Host::open(desk::config(&directory), registry()).await.expect("a host");
    let engine = &host.runtime().ports().engine;
    let claims = async |id| engine.connection(id).await.expect("a store").expect("a connection").claims.len();
    assert_eq!((claims(first.id).await, claims(twin.id).await), (2, 0), "the older one has them");
    assert!(connect(host.clone()).await.is_err());
    // The twin can be changed, and get a name of its own.
    let update = connector_core::runtime::ConnectionUpdate { name: Some("Other".to_owned()), ..Default::default() };
    host.runtime().update_connection(twin.id, update).await.expect("another name");
    assert_eq!(claims(twin.id).await, 1);
    host.shutdown().await.expect("an end in order");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

/// Issue 12, 29: who acts for a user reaches what this user sees, and nothing else.
#[tokio::test]
async fn acting_for_a_user_reaches_what_the_user_sees() {
    let bench = bench("acting").await;
    bench.synced("ada").await;
    let thread = ids(&bench.get("/threads?user=ada").await)[0].to_owned();
    let shown = bench.get(&format!("/threads/{thread}")).await;
    let (link, note) =
        (shown["links"][0]["id"].as_str().expect("a link"), shown["notes"][0]["id"].as_str().expect("a note"));
    let before = bench.get(&format!("/threads/{thread}")).await;
    // Eve has no connection, and Dan one that has not synced the thread.
    bench.connect("dan").await;
    for user in ["eve", "dan"] {
        for (method, path, body) in [
            ("POST", format!("/threads/{thread}/notes"), json!({"user": user, "content": "C"})),
            ("PATCH", format!("/links/{link}"), json!({"user": user, "status": "closed"})),
            ("PUT", format!("/threads/{thread}/read"), json!({"user": user})),
            ("PUT", format!("/threads/{thread}/todo"), json!({"user": user, "todo": true})),
            ("PUT", format!("/notes/{note}/reactions/👍?user={user}"), Value::Null),
        ] {
            let path = path.replace('👍', "%F0%9F%91%8D");
            let refused = bench.refused(method, &path, body, 404).await;
            assert!(refused["detail"].to_string().contains(user), "{refused}");
        }
    }
    assert_eq!(bench.get(&format!("/threads/{thread}")).await, before);
    bench.ok("PATCH", &format!("/links/{link}"), json!({"user": "ada", "status": "closed"})).await;
    bench.end().await;
}
