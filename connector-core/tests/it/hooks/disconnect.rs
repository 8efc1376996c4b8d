//! What becomes of registrations when their connection goes away while the service is down.

use connector_core::engine::{ConnectionStatus, Counts, TaskQuery};
use connector_core::id::ConnectionId;
use connector_core::prelude::*;
use connector_core::runtime::{ActionError, ConnectRequest, HookError, TaskView};
use connector_core::testing::TestHost;

use super::{enable, newest, push, pushy, registered, request, service};
use crate::fixture::logged;

/// A connection with two webhooks, which its user ends while the service is down.
async fn ended() -> (TestHost, ConnectionId) {
    let (host, connection) = pushy().await;
    enable(&host, connection, "two").await;
    service(|service| service.cannot_delete = Some(|| Error::transient("down")));
    host.runtime().disconnect(connection).await.unwrap();
    (host, connection)
}

async fn dead(host: &TestHost) -> Vec<TaskView> {
    host.runtime().dead_tasks(TaskQuery::all(10)).await.unwrap()
}

async fn nothing_is_left(host: &TestHost, connection: ConnectionId) {
    let engine = &host.runtime().ports().engine;
    assert_eq!(engine.counts().await.unwrap(), Counts::default());
    assert!(engine.state_entries(connection, String::new(), 10).await.unwrap().is_empty());
    assert!(matches!(host.runtime().connection(connection).await, Err(ActionError::NotFound(_))));
}

/// R3.1, R11.5: the service is told when it is back, and until then everyone sees that it has to be.
#[tokio::test]
async fn a_service_that_is_down_is_told_when_it_is_back() {
    let (host, connection) = ended().await;
    let row = host.runtime().connection(connection).await.unwrap();
    assert_eq!(row.status, ConnectionStatus::Disabled);
    let reason = row.status_reason.as_deref().unwrap();
    assert!(reason.contains("disconnected") && reason.contains("`events` (down)"), "{reason}");
    let engine = &host.runtime().ports().engine;
    assert!(engine.channels(connection).await.unwrap().is_empty());
    let entries = engine.state_entries(connection, String::new(), 10).await.unwrap();
    assert_eq!(
        entries.len(),
        2,
        "what is registered, and nothing else: {:?}",
        entries.iter().map(|(key, _)| key).collect::<Vec<_>>()
    );
    // Nobody listens to it any more, and nobody brings it back.
    let (url, _) = newest();
    assert!(matches!(push(&host, &url, request(&host, "x")).await, Err(HookError::Unknown)));
    let update = connector_core::runtime::ConnectionUpdate::default();
    let refused = host.runtime().update_connection(connection, update).await.unwrap_err().to_string();
    assert!(refused.contains("disconnected"), "{refused}");
    // Its user connects anew meanwhile.
    let again = host.runtime().connect(ConnectRequest::new("pushy", "ada")).await.unwrap().id;
    assert_ne!(again, connection);
    let host = host.crash().await;
    host.advance(SignedDuration::from_hours(5)).await;
    assert_eq!(registered(), [1, 2], "it is tried, and the service is still down");
    // One of the two is gone there already, which is as good.
    service(|service| {
        service.cannot_delete = None;
        service.registered.remove(&1);
    });
    host.advance(SignedDuration::from_hours(1)).await;
    assert_eq!(registered(), Vec::<u32>::new());
    assert!(dead(&host).await.is_empty());
    host.runtime().disconnect(again).await.unwrap();
    nothing_is_left(&host, connection).await;
    logged();
}

/// R3.1, R6.6: it is not tried without end; then someone has to look at it, and may have it tried again.
#[tokio::test]
async fn a_service_that_stays_down_leaves_a_dead_letter() {
    let (host, connection) = ended().await;
    host.advance(SignedDuration::from_hours(24 * 5)).await;
    let letters = dead(&host).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].does.as_str(), letters[0].errors.last().unwrap().message.as_str()), ("disconnect", "down"));
    let row = host.runtime().connection(connection).await.unwrap();
    assert_eq!(row.status, ConnectionStatus::Disabled);
    service(|service| service.cannot_delete = None);
    host.runtime().retry_task(letters[0].id).await.unwrap();
    host.settle().await;
    assert_eq!(registered(), Vec::<u32>::new());
    nothing_is_left(&host, connection).await;
}

/// R3.1: who disconnects it once more wants no more of it.
#[tokio::test]
async fn disconnecting_once_more_ends_it_all_the_same() {
    let (host, connection) = ended().await;
    host.runtime().disconnect(connection).await.unwrap();
    nothing_is_left(&host, connection).await;
    host.advance(SignedDuration::from_hours(1)).await;
    assert_eq!(registered(), [1, 2]);
}

/// R3.1: a service that does not let go keeps nobody.
#[tokio::test]
async fn a_service_that_does_not_let_go_keeps_no_connection() {
    let (host, connection) = pushy().await;
    service(|service| service.cannot_delete = Some(|| Error::needs_reauth("who are you?")));
    host.runtime().disconnect(connection).await.unwrap();
    nothing_is_left(&host, connection).await;
}
