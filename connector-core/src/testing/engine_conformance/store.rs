use super::TestStore;
use super::fixture::*;
use crate::engine::{CommitError, Counts, DeliveryRow, Expect, LinkQuery, TaskQuery, Write, WriteSet};

/// Ids of all kinds come from one sequence, whoever takes them.
pub(super) async fn ids_increase_and_are_unique_between_threads(store: TestStore) {
    let first = store.engine().take_ids(10);
    assert!(first > 0, "ids are positive, so that zero is before the first");
    let next = store.engine().take_ids(1);
    assert!(next >= first + 10, "ten ids were taken at {first}, and the next is {next}");
    let none = store.engine().take_ids(0);
    assert!(none > next, "all that were taken are smaller");
    assert_eq!(store.engine().take_ids(0), none, "none was taken");
    let takers: Vec<_> = (0..8_u32)
        .map(|taker| {
            let engine = store.engine();
            std::thread::spawn(move || {
                let mut taken = Vec::new();
                for round in 0..200 {
                    let count = 1 + (taker + round) % 3;
                    let first = engine.take_ids(count);
                    assert!(taken.last().is_none_or(|last| *last < first), "an id is greater than all before");
                    taken.extend((0..i64::from(count)).map(|number| first + number));
                }
                taken
            })
        })
        .collect();
    let mut all: Vec<i64> = takers.into_iter().flat_map(|taker| taker.join().expect("the taker ends")).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "an id was given twice");
    assert!(all.first().is_some_and(|least| *least > next), "an id is greater than all before");
}

/// Values of the whole store.
pub(super) async fn settings_are_stored_removed_and_listed(store: TestStore) {
    let put = |name: &str, value: Option<&str>| Write::PutSetting { name: name.to_owned(), value: value.map(bytes) };
    let setting = async |name: &str| {
        let name = name.to_owned();
        store.read(|engine| engine.setting(name)).await
    };
    assert_eq!(setting("absent").await, None);
    store.apply([put("name", Some("1")), put("empty", Some("")), put("absent", None)]).await;
    assert_eq!((setting("name").await, setting("empty").await), (Some(bytes("1")), Some(bytes(""))));
    store.apply([put("name", Some("2")), put("empty", None)]).await;
    assert_eq!((setting("name").await, setting("empty").await), (Some(bytes("2")), None));
    store.apply([put("name", None)]).await;
    store.apply([put("a/1", Some("1")), put("a/2", Some("2")), put("b/1", Some("3"))]).await;
    store.apply([Write::DeleteSettings { prefix: "a/".to_owned() }]).await;
    assert_eq!((setting("a/1").await, setting("a/2").await, setting("b/1").await), (None, None, Some(bytes("3"))));
    store.apply([Write::DeleteSettings { prefix: "b/".to_owned() }]).await;

    let mut all: Vec<String> = STRANGE.iter().flat_map(|text| [(*text).to_owned(), format!("{text}x")]).collect();
    store.apply(all.iter().map(|name| put(name, Some(name)))).await;
    all.sort();
    for prefix in STRANGE.iter().chain(&["", "absent"]) {
        let wanted: Vec<_> =
            all.iter().filter(|name| name.starts_with(prefix)).map(|name| (name.clone(), bytes(name))).collect();
        let prefix = (*prefix).to_owned();
        assert_eq!(
            store.read(|engine| engine.settings(prefix.clone())).await,
            wanted,
            "the settings that begin with {prefix:?}"
        );
    }
}

/// L51: what was seen absent, or with a value, is so when the set is stored.
pub(super) async fn a_setting_is_expected(store: TestStore) {
    let put = |value: &str| Write::PutSetting { name: "name".to_owned(), value: Some(bytes(value)) };
    let expecting = |value: Option<&str>, write: Write| {
        let expect = Expect::Setting { name: "name".to_owned(), value: value.map(bytes) };
        WriteSet { expects: vec![expect], ..WriteSet::of([write]) }
    };
    let stored = async || store.read(|engine| engine.setting("name".to_owned())).await;
    let steps = [
        (Some(""), None),
        (Some("1"), None),
        (None, Some("1")),
        (None, Some("1")),
        (Some(""), Some("1")),
        (Some("2"), Some("1")),
        (Some("1"), Some("")),
        (None, Some("")),
        (Some(""), Some("3")),
    ];
    let mut now: Option<&str> = None;
    for (step, (expected, next)) in steps.into_iter().enumerate() {
        let value = format!("{step}");
        let written = next.unwrap_or(&value);
        let set = expecting(expected, put(written));
        if expected == now {
            store.engine().commit(set).await.expect("it is as expected");
            now = Some(next.expect("a value"));
        } else {
            let error = store.refused(set).await;
            assert!(matches!(error, CommitError::RecordConflict), "step {step}: {error:?}");
        }
        assert_eq!(stored().await, now.map(bytes), "step {step}");
    }
    let makers = (0..8).map(|maker| store.engine().commit(expecting(Some("3"), put(&format!("maker {maker}")))));
    let made = futures_util::future::join_all(makers).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "one of those that expect the same is stored");
}

/// R13.2: how much there is.
pub(super) async fn counts_count(store: TestStore) {
    assert_eq!(store.read(|engine| engine.counts()).await, Counts::default());
    let tenant = Tenant::new(&store, "tenant").await;
    Tenant::new(&store, "other").await;
    store.apply([Write::PutFile { row: file_row(store.id()), expect: None }]).await;
    let counts = store.read(|engine| engine.counts()).await;
    assert_eq!(
        counts,
        Counts { connections: 2, links: 4, notes: 4, tasks: 4, dead: 2, deliveries: 2, delivery_bytes: 0, files: 1 }
    );
    store
        .apply([Write::DeleteTask { id: tenant.tasks[1].id }, Write::DeleteNote { id: tenant.notes[1].note.id }])
        .await;
    let counts = store.read(|engine| engine.counts()).await;
    assert_eq!(
        counts,
        Counts { connections: 2, links: 4, notes: 3, tasks: 3, dead: 2, deliveries: 2, delivery_bytes: 0, files: 1 }
    );
    store.apply([Write::DeleteConnection { id: tenant.id }]).await;
    let counts = store.read(|engine| engine.counts()).await;
    assert_eq!(
        counts,
        Counts { connections: 1, links: 2, notes: 2, tasks: 2, dead: 1, deliveries: 1, delivery_bytes: 0, files: 1 }
    );
    let row = DeliveryRow { size: 7, ..delivery_row(store.connection().await, store.id(), None) };
    store.apply([Write::PutDelivery { row, request: bytes("request") }]).await;
    assert_eq!(store.read(|engine| engine.counts()).await.delivery_bytes, 7, "the bytes of the bodies");
}

/// Nothing is in a new store, and nothing went wrong with it before.
pub(super) async fn a_new_store_is_clean_and_empty(store: TestStore) {
    assert!(!store.engine().unclean_start());
    assert!(store.read(|engine| engine.connections(None, None, None, ALL)).await.is_empty());
    let query = LinkQuery { archived: true, limit: ALL, ..LinkQuery::default() };
    assert!(store.read(|engine| engine.links(query)).await.is_empty());
    assert!(store.read(|engine| engine.tasks(TaskQuery { limit: ALL, ..TaskQuery::default() })).await.is_empty());
    assert!(store.read(|engine| engine.dead_tasks(TaskQuery { limit: ALL, ..TaskQuery::default() })).await.is_empty());
    assert!(store.read(|engine| engine.settings(String::new())).await.is_empty());
    assert!(store.read(|engine| engine.feed(0, ALL)).await.is_empty());
    assert_eq!(store.read(|engine| engine.feed_end()).await, 0);
}

/// What comes after the end is refused, and does no harm; ending twice is no error.
pub(super) async fn a_closed_store_stores_nothing(store: TestStore) {
    let connection = store.connection().await;
    store.engine().close().await.expect("the store is closed");
    let set = WriteSet::of([put_state(connection, "key", "value")]);
    let error: CommitError = store.refused(set).await;
    assert!(is_closed(&error), "{error:?}");
    store.engine().close().await.expect("it is closed already");
}

/// R7.1: everything that was committed is there after the store was closed and opened again, and ids go on.
pub(super) async fn what_was_committed_is_there_after_reopening(store: TestStore) {
    let tenant = Tenant::new(&store, "tenant").await;
    let [link, other] = &tenant.links;
    let (from, into) = (other.link.thread, link.link.thread);
    store
        .apply([
            Write::PutSource { source: extra_source(), thread: from },
            Write::MergeThreads { from, into },
            Write::PutSetting { name: "name".to_owned(), value: Some(bytes("value")) },
            feed(&tenant),
            put_state(tenant.id, "gone", "1"),
        ])
        .await;
    let version = store.value(tenant.id, "gone").await.expect("it is there").version;
    store.apply([Write::DeleteState { connection: tenant.id, key: "gone".to_owned() }]).await;
    let before = (tenant.view(&store).await, StoreView::of(&store).await);
    let last_id = store.id();
    let revision = tenant.tasks[0].revision;

    let Some(store) = store.reopen().await else {
        return;
    };
    assert!(!store.engine().unclean_start(), "it was closed properly");
    assert_eq!(before, (tenant.view(&store).await, StoreView::of(&store).await));
    assert_eq!(store.read(|engine| engine.current_thread(from)).await, into);
    assert!(store.id() > last_id, "ids go on from where they were");
    let new = store.put_value(tenant.id, "gone", "1").await;
    assert_ne!(new.version, version, "versions do not repeat, also not after reopening");
    let hastened = store.apply([Write::HastenTasks { connection: tenant.id, key_prefix: "sync:".to_owned() }]).await;
    assert!(waiting(&hastened).iter().all(|row| row.revision != revision), "nor do revisions");
    let end = store.apply([feed(&tenant)]).await.feed_end;
    assert!(end > Some(before.1.end()), "the feed goes on from where it was");
}
