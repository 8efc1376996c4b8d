use super::TestStore;
use super::fixture::*;
use crate::engine::{CommitError, Expect, Write, WriteSet};
use crate::id::ConnectionId;

async fn keys(store: &TestStore, connection: ConnectionId, prefix: &str) -> Vec<String> {
    let prefix = prefix.to_owned();
    store.read(|engine| engine.state_entries(connection, prefix, ALL)).await.into_iter().map(|(key, _)| key).collect()
}

async fn expects(store: &TestStore, expect: Expect) -> Result<(), CommitError> {
    store.engine().commit(WriteSet { expects: vec![expect], ..WriteSet::default() }).await.map(|_| ())
}

fn is_state_conflict(answer: &Result<(), CommitError>) -> bool {
    matches!(answer, Err(CommitError::StateConflict(_)))
}

/// Values come in the order of the keys asked for, with none for the absent and each as often as asked.
pub(super) async fn state_is_read_in_the_order_of_the_keys_asked_for(store: TestStore) {
    let connection = store.connection().await;
    store
        .apply([put_state(connection, "a", "1"), put_state(connection, "b", "2"), put_state(connection, "", "empty")])
        .await;
    let asked: Vec<String> = ["b", "absent", "a", "b", ""].map(str::to_owned).to_vec();
    let values = store.read(|engine| engine.state(connection, asked)).await;
    let values: Vec<_> = values.into_iter().map(|value| value.map(|value| value.value)).collect();
    assert_eq!(values, [Some(bytes("2")), None, Some(bytes("1")), Some(bytes("2")), Some(bytes("empty"))]);
    assert!(store.read(|engine| engine.state(connection, Vec::new())).await.is_empty());
}

/// No two writes of a key have the same version, also if it was deleted between.
pub(super) async fn state_versions_never_repeat(store: TestStore) {
    let connection = store.connection().await;
    let mut seen = Vec::new();
    for round in 0..4 {
        seen.push(store.put_value(connection, "key", "same").await.version);
        seen.push(store.put_value(connection, "key", "same").await.version);
        let delete = match round % 2 {
            0 => Write::DeleteState { connection, key: "key".to_owned() },
            _ => Write::DeleteStatePrefix { connection, prefix: "ke".to_owned() },
        };
        store.apply([delete]).await;
        assert_eq!(store.value(connection, "key").await, None);
        let delete = Write::DeleteState { connection, key: "key".to_owned() };
        store.apply([put_state(connection, "key", "same"), delete, put_state(connection, "key", "same")]).await;
        seen.push(store.value(connection, "key").await.expect("it is there").version);
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "a version was given twice: {seen:?}");
}

/// A prefix is no pattern, and keys are ordered by their bytes.
pub(super) async fn state_prefixes_are_literal_and_in_order(store: TestStore) {
    let connection = store.connection().await;
    let mut all: Vec<String> =
        STRANGE.iter().flat_map(|text| [(*text).to_owned(), format!("{text}x"), format!("{text}{text}")]).collect();
    store.apply(all.iter().map(|key| put_state(connection, key, key))).await;
    all.sort();
    all.dedup();
    assert_eq!(keys(&store, connection, "").await, all);
    for prefix in STRANGE {
        let wanted: Vec<String> = all.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        assert_eq!(keys(&store, connection, prefix).await, wanted, "the keys that begin with {prefix:?}");
    }
    let entries = store.read(|engine| engine.state_entries(connection, "a".to_owned(), ALL)).await;
    for (key, value) in entries {
        assert_eq!(Some(value), store.value(connection, &key).await, "the entry of {key:?}");
    }
    for limit in [0, 1, 5] {
        let first = store.read(|engine| engine.state_entries(connection, String::new(), limit)).await;
        assert_eq!(first.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), all[..limit], "the first {limit}");
    }
}

/// Removing a prefix removes the keys that begin with it.
pub(super) async fn a_state_prefix_is_removed_and_nothing_else(store: TestStore) {
    let connection = store.connection().await;
    let all: Vec<String> =
        STRANGE.iter().flat_map(|text| [(*text).to_owned(), format!("{text}x"), format!("x{text}")]).collect();
    for prefix in STRANGE {
        store.apply(all.iter().map(|key| put_state(connection, key, key))).await;
        store.apply([Write::DeleteStatePrefix { connection, prefix: (*prefix).to_owned() }]).await;
        let mut wanted: Vec<String> = all.iter().filter(|key| !key.starts_with(prefix)).cloned().collect();
        wanted.sort();
        wanted.dedup();
        assert_eq!(keys(&store, connection, "").await, wanted, "what is left without {prefix:?}");
    }
    store.apply([Write::DeleteStatePrefix { connection, prefix: String::new() }]).await;
    assert!(keys(&store, connection, "").await.is_empty(), "an empty prefix is that of all keys");
}

/// A value that was written since it was seen stays, without a conflict.
pub(super) async fn a_state_value_is_removed_by_version(store: TestStore) {
    let connection = store.connection().await;
    let delete = |version| Write::DeleteStateVersion { connection, key: "key".to_owned(), version };
    let seen = store.put_value(connection, "key", "1").await;
    let newer = store.put_value(connection, "key", "2").await;
    store.apply([delete(seen.version), put_state(connection, "other", "1")]).await;
    assert_eq!(store.value(connection, "key").await, Some(newer.clone()), "it was written since");
    assert!(store.value(connection, "other").await.is_some(), "which is no conflict");
    store.apply([delete(newer.version)]).await;
    assert_eq!(store.value(connection, "key").await, None);
    store.apply([delete(newer.version)]).await;
    let again = store.put_value(connection, "key", "3").await;
    store.apply([delete(newer.version)]).await;
    assert_eq!(store.value(connection, "key").await, Some(again), "a new value has another version");
}

/// A commit that relied on a version is refused once the key was written or removed.
pub(super) async fn a_state_version_is_expected(store: TestStore) {
    let connection = store.connection().await;
    let version = store.put_value(connection, "key", "1").await.version;
    let expect = Expect::State { connection, key: "key".to_owned(), version: Some(version) };
    assert!(expects(&store, expect.clone()).await.is_ok(), "nothing has changed");
    store.put_value(connection, "other", "1").await;
    assert!(expects(&store, expect.clone()).await.is_ok(), "another key has changed");
    store.put_value(connection, "key", "1").await;
    match expects(&store, expect.clone()).await {
        Err(CommitError::StateConflict(key)) => {
            assert_eq!(key, "key", "the conflict names the key")
        }
        answer => panic!("the key has changed: {answer:?}"),
    }
    store.apply([Write::DeleteState { connection, key: "key".to_owned() }]).await;
    assert!(is_state_conflict(&expects(&store, expect.clone()).await), "the key is gone");
    store.put_value(connection, "key", "1").await;
    assert!(is_state_conflict(&expects(&store, expect).await), "the key is a new one");
}

/// A commit that relied on a key not being there is refused once it is.
pub(super) async fn an_absent_state_key_is_expected(store: TestStore) {
    let connection = store.connection().await;
    let expect = Expect::State { connection, key: "key".to_owned(), version: None };
    assert!(expects(&store, expect.clone()).await.is_ok());
    store.put_value(connection, "key", "1").await;
    assert!(is_state_conflict(&expects(&store, expect.clone()).await), "the key is there");
    store.apply([Write::DeleteState { connection, key: "key".to_owned() }]).await;
    assert!(expects(&store, expect).await.is_ok(), "the key is gone again");
}

/// A commit that relied on a listing is refused if a key came in, went out or changed.
pub(super) async fn a_state_prefix_is_expected(store: TestStore) {
    let connection = store.connection().await;
    for prefix in ["p:", "%", "_", "\u{1}", "日本"] {
        let none = Expect::StatePrefix { connection, prefix: prefix.to_owned(), versions: Vec::new() };
        assert!(expects(&store, none.clone()).await.is_ok(), "{prefix:?}: there is none");
        let key = |name: &str| format!("{prefix}{name}");
        store
            .apply([
                put_state(connection, &key("b"), "1"),
                put_state(connection, &key("a"), "1"),
                put_state(connection, "x", "1"),
            ])
            .await;
        assert!(is_state_conflict(&expects(&store, none).await), "{prefix:?}: there are two");

        let listed = prefix.to_owned();
        let entries = store.read(|engine| engine.state_entries(connection, listed, ALL)).await;
        let versions: Vec<_> = entries.into_iter().map(|(key, value)| (key, value.version)).collect();
        let expect = Expect::StatePrefix { connection, prefix: prefix.to_owned(), versions };
        assert!(expects(&store, expect.clone()).await.is_ok(), "{prefix:?}: nothing has changed");
        store.put_value(connection, "x", "2").await;
        assert!(expects(&store, expect.clone()).await.is_ok(), "{prefix:?}: a key outside has changed");
        store.put_value(connection, &key("c"), "1").await;
        assert!(is_state_conflict(&expects(&store, expect.clone()).await), "{prefix:?}: a key came in");
        store.apply([Write::DeleteState { connection, key: key("c") }]).await;
        assert!(expects(&store, expect.clone()).await.is_ok(), "{prefix:?}: it went out again");
        store.apply([Write::DeleteState { connection, key: key("b") }, put_state(connection, &key("d"), "1")]).await;
        assert!(is_state_conflict(&expects(&store, expect).await), "{prefix:?}: one was exchanged for another");

        let listed = prefix.to_owned();
        let entries = store.read(|engine| engine.state_entries(connection, listed, ALL)).await;
        let versions: Vec<_> = entries.into_iter().map(|(key, value)| (key, value.version)).collect();
        let expect = Expect::StatePrefix { connection, prefix: prefix.to_owned(), versions };
        store.put_value(connection, &key("a"), "1").await;
        assert!(is_state_conflict(&expects(&store, expect.clone()).await), "{prefix:?}: a key has changed");
        store.apply([Write::DeleteStatePrefix { connection, prefix: prefix.to_owned() }]).await;
        assert!(is_state_conflict(&expects(&store, expect).await), "{prefix:?}: all are gone");
    }
}

/// Two connections may use the same keys.
pub(super) async fn state_belongs_to_its_connection(store: TestStore) {
    let (ours, theirs) = (store.connection().await, store.connection().await);
    store.apply([put_state(ours, "key", "ours"), put_state(theirs, "key", "theirs")]).await;
    assert_eq!(store.value(ours, "key").await.map(|value| value.value), Some(bytes("ours")));
    store.apply([Write::DeleteStatePrefix { connection: ours, prefix: String::new() }]).await;
    assert_eq!(store.value(ours, "key").await, None);
    assert_eq!(store.value(theirs, "key").await.map(|value| value.value), Some(bytes("theirs")));
    let expect = Expect::StatePrefix { connection: ours, prefix: String::new(), versions: Vec::new() };
    assert!(expects(&store, expect).await.is_ok(), "another connection's keys are none of this one's");
}

/// R5.3: read, change and write, with what was read expected and a new try on a conflict, loses nothing.
pub(super) async fn concurrent_increments_lose_nothing(store: TestStore) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 12;
    let connection = store.connection().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let engine = store.engine();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    for tries in 0.. {
                        assert!(tries <= WRITERS * EACH, "it conflicts more often than others commit");
                        let found =
                            engine.state(connection, vec!["n".to_owned()]).await.expect("it is read").pop().flatten();
                        let n = found
                            .as_ref()
                            .map_or(0, |value| std::str::from_utf8(&value.value).unwrap().parse::<u64>().unwrap());
                        let expects = vec![Expect::State {
                            connection,
                            key: "n".to_owned(),
                            version: found.map(|value| value.version),
                        }];
                        let writes = vec![put_state(connection, "n", &(n + 1).to_string())];
                        match engine
                            .commit(WriteSet { connection: Some(connection), expects, writes, completes: None })
                            .await
                        {
                            Ok(_) => break,
                            Err(CommitError::StateConflict(_)) => tokio::task::yield_now().await,
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    let n = store.value(connection, "n").await.map(|value| value.value);
    assert_eq!(n, Some(bytes(&(WRITERS * EACH).to_string())), "an increment was lost");
}
