use super::TestStore;
use super::fixture::*;
use crate::engine::{SecretRow, Write};
use crate::id::ConnectionId;

fn secret(name: &str, connection: Option<ConnectionId>) -> SecretRow {
    let (sealed, expires_at) = (format!("sealed {name}"), Some(at(7)));
    SecretRow { name: name.to_owned(), connection, sealed, expires_at, version: 0 }
}

fn put(row: &SecretRow, expect: Option<i64>) -> Write {
    Write::PutSecret { row: row.clone(), expect }
}

fn delete(name: &str, expect: Option<i64>) -> Write {
    Write::DeleteSecret { name: name.to_owned(), expect }
}

async fn found(store: &TestStore, name: &str) -> Option<SecretRow> {
    store.read(|engine| engine.secret(name.to_owned())).await
}

/// R8.1: a credential that another host has refreshed is not overwritten.
pub(super) async fn a_secret_row_is_versioned(store: TestStore) {
    let mut row = secret("credential/1", None);
    store.conflicts([put(&row, Some(1))]).await;
    assert_eq!(found(&store, "credential/1").await, None);
    store.apply([put(&row, None)]).await;
    for version in 1..4 {
        assert_eq!(found(&store, "credential/1").await, Some(SecretRow { version, ..row.clone() }));
        for wrong in [None, Some(version - 1), Some(version + 1)] {
            store.conflicts([put(&row, wrong)]).await;
        }
        row.sealed = format!("sealed {version}");
        row.expires_at = None;
        row.connection = Some(ConnectionId::from_number(version));
        store.apply([put(&row, Some(version))]).await;
    }
}

/// Design 7: a one-time state is one-time.
pub(super) async fn a_secret_is_used_up_once(store: TestStore) {
    store.apply([put(&secret("state", None), None)]).await;
    store.conflicts([delete("state", Some(2))]).await;
    store.apply([delete("state", Some(1))]).await;
    assert_eq!(found(&store, "state").await, None);
    store.conflicts([feed_setting("written before"), delete("state", Some(1))]).await;
    assert!(store.read(|engine| engine.settings(String::new())).await.is_empty(), "nothing of a refused set is left");
    store.apply([delete("state", None)]).await;
}

fn feed_setting(name: &str) -> Write {
    Write::PutSetting { name: name.to_owned(), value: Some(bytes("1")) }
}

/// Prefixes are literal, and pages lose nothing.
pub(super) async fn secrets_are_listed_by_prefix_and_paged(store: TestStore) {
    let names = ["a", "a%", "a/1", "a/10", "a/2", "a/\u{10ffff}", "b"];
    store.apply(names.iter().rev().map(|name| put(&secret(name, None), None))).await;
    for limit in [1, 2, ALL] {
        for (prefix, wanted) in [("a/", &names[2..6]), ("a%", &names[1..2]), ("", &names[..]), ("c", &[])] {
            let mut all: Vec<String> = Vec::new();
            loop {
                let after = all.last().cloned();
                let page = store.read(|engine| engine.secrets(prefix.to_owned(), after.clone(), limit)).await;
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                all.extend(page.into_iter().map(|row| row.name));
            }
            assert_eq!(all, wanted, "those that begin with {prefix:?}, {limit} at a time");
        }
    }
}

/// R3.1: after a disconnect no token is left.
pub(super) async fn secrets_go_with_their_connection(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    for (name, whose) in [("mine", Some(connection)), ("other", Some(other)), ("nobody's", None)] {
        store.apply([put(&secret(name, whose), None)]).await;
    }
    store.apply([Write::DeleteConnection { id: connection }]).await;
    assert_eq!(found(&store, "mine").await, None);
    assert!(found(&store, "other").await.is_some() && found(&store, "nobody's").await.is_some());
}
