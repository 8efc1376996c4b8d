use std::sync::Arc;

use tokio::sync::Semaphore;

use super::authority::Mood;
use super::*;

/// The tokens of all connections end at once: the host believes so after a change of theirs in the store.
async fn expire(bench: &Bench) {
    let ports = bench.host.runtime().ports();
    for row in ports.engine.secrets("credential/".to_owned(), None, 1_000).await.expect("secrets") {
        let mut credential =
            connector_core::credential::Credential::open(&*ports.vault, &row.name, &row.sealed).expect("it opens");
        credential.expires_at = Some(ports.clock.now());
        credential.refresh_at = credential.expires_at;
        let sealed = credential.seal(&*ports.vault, &row.name).expect("it seals");
        let expect = Some(row.version);
        let row = connector_core::engine::SecretRow { sealed, ..row };
        let put = connector_core::engine::Write::PutSecret { row, expect };
        ports.engine.commit(connector_core::engine::WriteSet::of([put])).await.expect("it is stored");
    }
    bench.authority.seen().access.clear();
}

/// A host whose connections are there, and whose tokens have ended.
async fn expired(name: &str, users: usize) -> (Bench, Vec<String>) {
    let bench = Bench::new(name).await;
    let mut ids = Vec::new();
    for user in 0..users {
        ids.push(bench.connected(&format!("user-{user}")).await);
    }
    // What runs by itself with a new connection is over, or it would ask for another token before the test looks.
    for id in &ids {
        bench.until(&format!("/connections/{id}/state"), |state| state["modes"].is_array()).await;
    }
    expire(&bench).await;
    // Nothing is in memory.
    (bench.reopened(|_| {}).await, ids)
}

async fn sync_all(bench: &Bench, ids: &[String]) {
    for id in ids {
        for room in 0..4 {
            bench.ok("PUT", &format!("/connections/{id}/channels/room-{room}"), Value::Null).await;
        }
    }
    for id in ids {
        bench
            .until(&format!("/connections/{id}"), |found| {
                let channels = found["channels"].as_array().expect("channels");
                channels.len() == 4 && channels.iter().all(|channel| channel["sync"]["state"] == "synced")
            })
            .await;
    }
}

/// Issue 3, 5: fifty connections, two hundred dispatches, one refresh each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_expired_token_is_refreshed_once_however_many_wait_for_it() {
    let (bench, ids) = expired("fifty", 50).await;
    sync_all(&bench, &ids).await;
    {
        let seen = bench.authority.seen();
        assert_eq!(seen.refreshes.len(), 50);
        assert!(seen.refreshes.values().all(|count| *count == 1), "{:?}", seen.refreshes);
    }
    let metrics = bench.metrics().await;
    for line in [
        "connectors_token_refreshes_total{provider=\"office\",outcome=\"ok\"} 50\n",
        "connectors_token_refresh_seconds_count{provider=\"office\"} 50\n",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    bench.end().await;
}

/// R8.1: an access token that the service refuses before its time is replaced, and nobody notices.
#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let bench = Bench::new("refused").await;
    let id = bench.connected("ada").await;
    bench.authority.seen().access.clear();
    sync_all(&bench, std::slice::from_ref(&id)).await;
    assert_eq!(bench.authority.seen().refreshes["ada"], 1);
    assert_eq!(bench.get(&format!("/connections/{id}")).await["status"], "active");
    bench.end().await;
}

/// Bars: a lost answer, nonsense, and an error that passes: no connection is lost by them.
#[tokio::test]
async fn a_refresh_that_got_no_answer_is_asked_for_again() {
    let moods = [
        vec![Mood::Lose],
        vec![Mood::Say(200, "<html>".to_owned())],
        vec![Mood::Say(503, String::new())],
        vec![Mood::Say(200, "{\"token_type\": \"bearer\"}".to_owned())],
    ];
    for (number, moods) in moods.into_iter().enumerate() {
        let (bench, ids) = expired(&format!("lost-{number}"), 1).await;
        bench.authority.seen().moods.extend(moods);
        sync_all(&bench, &ids).await;
        assert_eq!(bench.authority.seen().renewed["user-0"], 1);
        assert_eq!(bench.get(&format!("/connections/{}", ids[0])).await["status"], "active");
        bench.end().await;
    }
}

/// R3.7: a void grant parks the tasks, and another authorization lets all syncs make up for what they missed.
#[tokio::test]
async fn a_revoked_grant_needs_reauth_and_recovers() {
    let bench = Bench::new("void").await;
    let id = bench.connected("ada").await;
    sync_all(&bench, std::slice::from_ref(&id)).await;
    bench.until(&format!("/connections/{id}"), |found| found["syncing"] == false).await;
    expire(&bench).await;
    let bench = bench.reopened(|_| {}).await;
    bench.authority.seen().moods.push_back(Mood::Say(400, json!({"error": "invalid_grant"}).to_string()));
    bench.ok("POST", &format!("/connections/{id}/sync"), Value::Null).await;
    let lost = bench.until(&format!("/connections/{id}"), |found| found["status"] == "needs_reauth").await;
    assert!(lost["status_reason"].as_str().expect("a reason").contains("invalid_grant"), "{lost}");
    assert_eq!(bench.authority.seen().refreshes["ada"], 1, "it is not asked for again");
    let counted = "connectors_token_refreshes_total{provider=\"office\",outcome=\"void\"} 1\n";
    assert!(bench.metrics().await.contains(counted));
    bench.authorized_again(&id, "ada").await;
    sync_all(&bench, std::slice::from_ref(&id)).await;
    bench
        .until(&format!("/connections/{id}/state"), |state| {
            state["modes"].as_array().is_some_and(|modes| modes.iter().any(|mode| mode == "recovery"))
        })
        .await;
    assert_eq!(bench.get("/tasks?state=dead").await["items"], json!([]));
    bench.end().await;
}

/// Bars: a host that was killed between the refresh and its storing. Another asks again with the old token when
/// the first one's time is over, and meanwhile waits.
#[tokio::test]
async fn a_host_that_died_while_it_refreshed_does_not_lose_the_connection() {
    let (bench, ids) = expired("killed", 1).await;
    let ports = bench.host.runtime().ports();
    let row = ports.engine.secrets("credential/".to_owned(), None, 1).await.expect("secrets").remove(0);
    let mut credential =
        connector_core::credential::Credential::open(&*ports.vault, &row.name, &row.sealed).expect("it opens");
    credential.refreshing_until = ports.clock.now().checked_add(SignedDuration::from_secs(1)).ok();
    let sealed = credential.seal(&*ports.vault, &row.name).expect("it seals");
    let expect = Some(row.version);
    let row = connector_core::engine::SecretRow { sealed, ..row };
    let put = connector_core::engine::Write::PutSecret { row, expect };
    ports.engine.commit(connector_core::engine::WriteSet::of([put])).await.expect("it is stored");
    // The dead host had its answer: the refresh token is used.
    bench.authority.seen().moods.push_back(Mood::Lose);
    sync_all(&bench, &ids).await;
    assert!(ports.clock.now() >= credential.refreshing_until.expect("a time"), "it waited");
    assert_eq!(bench.authority.seen().renewed["user-0"], 1);
    bench.end().await;
}

/// R8.1: what a provider answers late is stored, though nobody waits for it any more.
#[tokio::test]
async fn a_late_answer_is_not_lost() {
    let (bench, ids) = expired("late", 1).await;
    let gate = Arc::new(Semaphore::new(0));
    bench.authority.seen().moods.push_back(Mood::Wait(Arc::clone(&gate)));
    let id = ids[0].parse().expect("an id");
    let ports = bench.host.runtime().ports().clone();
    let row = ports.engine.connection(id).await.expect("a store").expect("a connection");
    {
        let mut waiting = std::pin::pin!(ports.credentials.token(&row));
        while bench.authority.seen().refreshes.is_empty() {
            let early = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx))).await;
            assert!(early.is_pending());
            tokio::task::yield_now().await;
        }
    }
    gate.add_permits(1);
    let token = ports.credentials.token(&row).await.expect("a token").expect("one");
    assert_eq!(bench.authority.seen().renewed["user-0"], 1);
    assert!(bench.authority.seen().access.contains_key(token.expose()));
    bench.end().await;
}

#[tokio::test]
async fn in_an_outage_all_accounts_share_one_backoff() {
    let (bench, clock) = Bench::timed("outage", Registry::of::<Office>().expect("a registry")).await;
    let mut rows = Vec::new();
    for user in 0..20 {
        let id = bench.connected(&format!("user-{user}")).await;
        bench.until(&format!("/connections/{id}/state"), |state| state["modes"].is_array()).await;
        rows.push(id.parse().expect("an id"));
    }
    let ports = bench.host.runtime().ports().clone();
    let ask = async |id| {
        let row = ports.engine.connection(id).await.expect("a store").expect("a connection");
        ports.credentials.token(&row).await.map(drop)
    };
    let asked = || bench.authority.seen().outage.expect("an outage");
    bench.authority.seen().outage = Some(0);
    // All tokens have ended, and the hourly syncs want one each as well.
    clock.advance(SignedDuration::from_hours(2));
    for _ in 0..3 {
        let all = futures_util::future::join_all(rows.iter().map(|id| ask(*id))).await;
        assert!(all.iter().all(|token| token.is_err()));
    }
    let first = asked();
    assert!(first <= 8, "four side by side, which each try twice: {first}");
    for pause in [2, 4, 8, 16] {
        let before = asked();
        clock.advance(SignedDuration::from_secs(pause));
        for _ in 0..3 {
            futures_util::future::join_all(rows.iter().map(|id| ask(*id))).await;
        }
        assert_eq!(asked(), before + 1, "one asks whether it is back after {pause} s");
    }
    bench.authority.seen().outage = None;
    clock.advance(SignedDuration::from_mins(5));
    while ask(rows[0]).await.is_err() {
        tokio::task::yield_now().await;
    }
    for id in rows {
        ask(id).await.expect("a token");
    }
    bench.end().await;
}
