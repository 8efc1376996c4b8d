use super::TestStore;
use super::fixture::*;
use crate::engine::{
    CallbackRow, ChannelRow, ChannelSync, CommitError, ConnectionRow, SyncState, TaskRow, Write, WriteSet,
};
use crate::id::ConnectionId;
use crate::model::Source;

fn put(row: &ConnectionRow, expect: Option<i64>) -> Write {
    Write::PutConnection { row: Box::new(row.clone()), expect }
}

fn put_channel(row: &ChannelRow, expect: Option<i64>) -> Write {
    Write::PutChannel { row: Box::new(row.clone()), expect }
}

async fn channel(store: &TestStore, connection: ConnectionId, id: &str) -> Option<ChannelRow> {
    let id = id.into();
    store.read(|engine| engine.channel(connection, id)).await
}

/// Connections in the order of ids, of a user, of a connector, of both, in pages.
pub(super) async fn connections_are_listed_by_user_and_connector(store: TestStore) {
    let mut all = Vec::new();
    for number in 0..12 {
        let mut row = connection_row(store.id());
        row.owner = if number % 2 == 0 { "ada".into() } else { "Ada".into() };
        row.connector = if number % 3 == 0 { "github".into() } else { "git%".into() };
        store.apply([put(&row, None)]).await;
        all.push(row);
    }
    for user in [None, Some("ada"), Some("Ada"), Some("nobody")] {
        for connector in [None, Some("github"), Some("git%"), Some("git")] {
            let wanted: Vec<_> = all
                .iter()
                .filter(|row| user.is_none_or(|user| row.owner.as_str() == user))
                .filter(|row| connector.is_none_or(|connector| row.connector.as_str() == connector))
                .map(|row| row.id)
                .collect();
            for limit in [1, 5, ALL] {
                let mut found: Vec<ConnectionId> = Vec::new();
                loop {
                    let after = found.last().copied();
                    let page = store
                        .read(|engine| {
                            engine.connections(user.map(Into::into), connector.map(Into::into), after, limit)
                        })
                        .await;
                    assert!(page.len() <= limit, "a page has at most its limit");
                    if page.is_empty() {
                        break;
                    }
                    found.extend(page.iter().map(|row| row.id));
                    assert!(found.len() <= ALL, "the pages have no end");
                }
                assert_eq!(found, wanted, "of {user:?} and {connector:?} in pages of {limit}");
            }
        }
    }
}

/// A connection that was changed since it was read is not overwritten.
pub(super) async fn a_connection_row_is_versioned(store: TestStore) {
    let mut row = connection_row(store.id());
    let id = row.id;
    store.conflicts([put(&row, Some(1))]).await;
    assert_eq!(store.read(|engine| engine.connection(id)).await, None);
    row.version = 77;
    store.apply([put(&row, None)]).await;
    for version in 1..4 {
        let stored = store.read(|engine| engine.connection(id)).await.expect("it is there");
        assert_eq!(
            *stored,
            ConnectionRow { version, ..row.clone() },
            "the version counts the writes, whatever the row says"
        );
        for wrong in [None, Some(version - 1), Some(version + 1)] {
            store.conflicts([put(&row, wrong)]).await;
        }
        row.name = format!("name {version}");
        row.generation += 1;
        store.apply([put(&row, Some(version))]).await;
    }
    row.name = "within one set".to_owned();
    store.apply([put(&row, Some(4)), put(&row, Some(5))]).await;
    assert_eq!(
        store.read(|engine| engine.connection(id)).await.map(|row| row.version),
        Some(6),
        "a set sees its own writes"
    );
    store.apply([Write::DeleteConnection { id }]).await;
    store.conflicts([put(&row, Some(6))]).await;
}

fn claiming(id: i64, claims: &[&str]) -> ConnectionRow {
    ConnectionRow { claims: claims.iter().map(|claim| (*claim).to_owned()).collect(), ..connection_row(id) }
}

/// L51: a claim is free when it was given back, or when its connection is gone.
pub(super) async fn a_claim_belongs_to_one_connection(store: TestStore) {
    let (first, second) = (store.id(), store.id());
    let taken = async |row: &ConnectionRow, expect: Option<i64>, by: i64| {
        let set = WriteSet::of([put_state(row.id, "key", "value"), put(row, expect)]);
        match store.refused(set).await {
            CommitError::Taken { claim, by: found } => {
                assert_eq!((claim.as_str(), found), ("name", ConnectionId::from_number(by)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(store.value(row.id, "key").await, None, "nothing of a refused set is left");
    };
    store.apply([put(&claiming(first, &["name", "other"]), None)]).await;
    assert_eq!(
        store.read(|engine| engine.connection(ConnectionId::from_number(first))).await.expect("it is there").claims,
        ["name", "other"]
    );
    taken(&claiming(second, &["free", "name"]), None, first).await;
    store.apply([put(&claiming(second, &["free", "Name", "name "]), None)]).await;
    store.apply([put(&claiming(first, &["other", "name"]), Some(1))]).await;
    taken(&claiming(second, &["name"]), Some(1), first).await;
    // Given back and taken within one set.
    store.apply([put(&claiming(first, &["other"]), Some(2)), put(&claiming(second, &["name"]), Some(1))]).await;
    taken(&claiming(first, &["name"]), Some(3), second).await;
    store.apply([Write::DeleteConnection { id: ConnectionId::from_number(second) }]).await;
    store.apply([put(&claiming(first, &["name", "free"]), Some(3))]).await;
}

/// L51: two who ask at once do not both get it.
pub(super) async fn one_of_concurrent_claims_is_stored(store: TestStore) {
    let rows: Vec<_> = (0..8).map(|_| claiming(store.id(), &["only"])).collect();
    let commits = rows.iter().map(|row| store.engine().commit(WriteSet::of([put(row, None)])));
    let stored = futures_util::future::join_all(commits).await;
    assert_eq!(stored.iter().filter(|stored| stored.is_ok()).count(), 1);
    let refused = stored.iter().filter(|stored| matches!(stored, Err(CommitError::Taken { .. }))).count();
    assert_eq!(refused, 7, "{stored:?}");
    assert_eq!(store.read(|engine| engine.connections(None, None, None, ALL)).await.len(), 1);
}

/// R3.1: a source outlives its connection only where another connection has a link in the thread.
pub(super) async fn sources_go_with_the_last_link_of_their_thread(store: TestStore) {
    let (first, second) = (Tenant::new(&store, "first").await, Tenant::new(&store, "second").await);
    let shared = first.links[0].link.thread;
    store.apply([Write::MergeThreads { from: second.links[0].link.thread, into: shared }]).await;
    let source = |name: &str| Source::new("extra", [name]);
    let threads = [("shared", shared), ("first", first.links[1].link.thread), ("second", second.links[1].link.thread)];
    store.apply(threads.map(|(name, thread)| Write::PutSource { source: source(name), thread })).await;
    let known = async |reader: ConnectionId| {
        let sources = threads.iter().map(|(name, _)| source(name)).collect();
        let rows = store.read(|engine| engine.sources(reader, sources)).await;
        rows.into_iter().map(|row| row.thread.is_some()).collect::<Vec<_>>()
    };
    let reader = store.connection().await;
    assert_eq!(known(reader).await, [true, true, true]);
    store.apply([Write::DeleteConnection { id: first.id }]).await;
    assert_eq!(known(reader).await, [true, false, true]);
    store.apply([Write::DeleteConnection { id: second.id }]).await;
    assert_eq!(known(reader).await, [false, false, false]);
}

/// A channel that was changed since it was read is not overwritten.
pub(super) async fn a_channel_row_is_versioned(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut row = channel_row(connection, "repo");
    store.conflicts([put_channel(&row, Some(1))]).await;
    store.apply([put_channel(&row, None)]).await;
    for version in 1..4 {
        let stored = channel(&store, connection, "repo").await.expect("it is there");
        assert_eq!(stored, ChannelRow { version, ..row.clone() });
        for wrong in [None, Some(version - 1), Some(version + 1)] {
            store.conflicts([put_channel(&row, wrong)]).await;
        }
        row.enabled = !row.enabled;
        row.channel.name = format!("name {version}");
        store.apply([put_channel(&row, Some(version))]).await;
    }
    assert_eq!(channel(&store, other, "repo").await, None, "a channel belongs to its connection");
    store.apply([put_channel(&channel_row(other, "repo"), None)]).await;
}

/// Channels in the order of the bytes of their ids, whatever they hold.
pub(super) async fn channels_are_in_the_order_of_their_ids(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    store.apply([put_channel(&channel_row(other, "m"), None)]).await;
    store.apply(STRANGE.iter().rev().map(|id| put_channel(&channel_row(connection, id), None))).await;
    let mut wanted: Vec<_> = STRANGE.to_vec();
    wanted.sort_unstable();
    let found = store.read(|engine| engine.channels(connection)).await;
    assert_eq!(found.iter().map(|row| row.channel.id.as_str()).collect::<Vec<_>>(), wanted);
    for id in STRANGE {
        assert_eq!(
            channel(&store, connection, id).await.map(|row| row.channel.id.as_str().to_owned()).as_deref(),
            Some(*id)
        );
    }
}

/// A channel that the service no longer has is removed, and nothing with it.
pub(super) async fn a_channel_is_deleted_without_its_links(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let rows = [channel_row(connection, "repo"), channel_row(connection, "repo2"), channel_row(other, "repo")];
    store.apply(rows.iter().map(|row| put_channel(row, None))).await;
    let link = store.new_link(connection, &Source::new("github", ["1"])).await;
    let task = store.put_task(TaskRow { channel: Some("repo".into()), ..task_row(connection, store.id()) }).await;
    let delete = Write::DeleteChannel { connection, channel: "repo".into() };
    store.apply([delete.clone()]).await;
    store.apply([delete]).await;
    assert_eq!(channel(&store, connection, "repo").await, None);
    assert!(channel(&store, connection, "repo2").await.is_some() && channel(&store, other, "repo").await.is_some());
    assert_eq!(store.read(|engine| engine.channels(connection)).await.len(), 1);
    assert_eq!(store.link(link.link.id).await, Some(link), "its links stay as they are");
    assert_eq!(store.task(task.id).await, Some(task), "its tasks are not removed by this");
    store.conflicts([put_channel(&rows[0], Some(1))]).await;
    store.apply([put_channel(&rows[0], None)]).await;
}

/// Many dispatches count in one channel, and none of them, nor who changes the row, conflicts.
pub(super) async fn counting_what_was_saved_conflicts_with_nobody(store: TestStore) {
    let connection = store.connection().await;
    let mut row = channel_row(connection, "repo");
    row.sync = ChannelSync { state: SyncState::Syncing, saved: 5, ..ChannelSync::default() };
    store.apply([put_channel(&row, None)]).await;
    let read = channel(&store, connection, "repo").await.expect("it is there");
    let count = |saved| Write::CountSaved { connection, channel: "repo".into(), saved };
    let counting: Vec<_> = (0..20).map(|_| tokio::spawn(store.apply([count(3)]))).collect();
    for counted in counting {
        counted.await.expect("it is counted");
    }
    store.apply([count(1), count(1)]).await;
    let counted = channel(&store, connection, "repo").await.expect("it is there");
    assert_eq!(counted.sync.saved, 67);
    assert_eq!(
        ChannelRow { sync: read.sync.clone(), ..counted.clone() },
        read,
        "nothing else changes, also not the version"
    );
    row.sync = ChannelSync { state: SyncState::Synced, saved: 2, ..ChannelSync::default() };
    store.apply([put_channel(&row, Some(read.version)), count(1)]).await;
    let put = channel(&store, connection, "repo").await.expect("it is there");
    assert_eq!((put.sync.state, put.sync.saved), (SyncState::Synced, 3), "a put says what the count is from then on");
    store.apply([Write::CountSaved { connection, channel: "absent".into(), saved: 1 }]).await;
    assert_eq!(channel(&store, connection, "absent").await, None, "counting makes no channel");
}

/// R3.8: what is a connection's own goes with it; what is others' stays.
pub(super) async fn a_deleted_connection_takes_what_is_its_own_and_nothing_else(store: TestStore) {
    let tenant = Tenant::new(&store, "tenant").await;
    let other = Tenant::new(&store, "other").await;
    let shared = other.links[0].link.source.clone();
    let theirs = store.put_link(link_row(tenant.id, store.id(), other.links[0].link.thread, shared)).await;
    let running = tenant.tasks[0].clone();
    let before = other.view(&store).await;
    let committed = store.apply([Write::DeleteConnection { id: tenant.id }]).await;
    for task in &tenant.tasks {
        assert!(said_gone(&committed, task), "the commit does not say that {} is gone: {committed:?}", task.id);
    }
    assert!(tenant.view(&store).await.is_gone(), "something is left: {:#?}", tenant.view(&store).await);
    assert_eq!(store.link(theirs.link.id).await, None);
    assert_eq!(store.link(tenant.links[1].link.id).await, None);
    let note = tenant.notes[1].note.id;
    assert_eq!(store.read(|engine| engine.note(note)).await, None);
    assert_eq!(store.task(running.id).await, None);
    let key = running.key.clone().expect("it has a key");
    assert_eq!(store.read(|engine| engine.task_by_key(tenant.id, key)).await, None);
    assert_eq!(store.dead(tenant.dead).await, None);
    let sources = tenant.links.iter().map(|link| &link.link.source).collect::<Vec<_>>();
    assert_eq!(store.threads_of(&sources).await, [None, None], "no connection has these sources any more");
    assert_eq!(before, other.view(&store).await, "what is another's has changed");
    let left = store.read(|engine| engine.connections(None, None, None, ALL)).await;
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [other.id]);
    store.apply([Write::DeleteConnection { id: tenant.id }]).await;

    let revived = connection_row(tenant.id.number());
    store.apply([put(&revived, None)]).await;
    store.put_task(TaskRow { key: running.key, ..task_row(tenant.id, store.id()) }).await;
    let own = tenant.links[0].link.source.clone();
    store.put_link(link_row(tenant.id, store.id(), store.thread(), own)).await;
}

/// Callbacks that are too large for their token.
pub(super) async fn callbacks_are_stored_and_deleted(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let large = "x".repeat(300_000);
    let rows: Vec<_> =
        ["", "body", &large].iter().map(|body| CallbackRow { id: store.id(), connection, body: bytes(body) }).collect();
    let theirs = CallbackRow { id: store.id(), connection: other, body: bytes("theirs") };
    store.apply(rows.iter().chain([&theirs]).cloned().map(Write::PutCallback)).await;
    for row in rows.iter().chain([&theirs]) {
        let (owner, id) = (row.connection, row.id);
        assert_eq!(store.read(|engine| engine.callback(owner, id)).await.as_ref(), Some(row));
    }
    let (first, second) = (rows[0].id, rows[1].id);
    assert_eq!(store.read(|engine| engine.callback(other, first)).await, None, "a callback belongs to its connection");
    store
        .apply([Write::DeleteCallback { connection, id: first }, Write::DeleteCallback { connection, id: first }])
        .await;
    assert_eq!(store.read(|engine| engine.callback(connection, first)).await, None);
    assert!(store.read(|engine| engine.callback(connection, second)).await.is_some());
    store.apply([Write::DeleteCallbacks { connection }]).await;
    assert_eq!(store.read(|engine| engine.callback(connection, second)).await, None);
    let id = theirs.id;
    assert_eq!(store.read(|engine| engine.callback(other, id)).await, Some(theirs));
}

/// Callbacks that are sealed in their token are deleted by a mark.
pub(super) async fn sealed_callbacks_are_revoked(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let revoke = |connection, nonce: &str| Write::RevokeCallback { connection, nonce: nonce.to_owned() };
    let revoked = async |connection, nonce: &str| {
        let nonce = nonce.to_owned();
        store.read(|engine| engine.callback_revoked(connection, nonce)).await
    };
    store.apply([revoke(connection, "n"), revoke(connection, "n"), revoke(other, "m")]).await;
    store.apply([revoke(connection, "n")]).await;
    assert!(revoked(connection, "n").await);
    assert!(!revoked(connection, "N").await && !revoked(connection, "m").await && !revoked(other, "n").await);
    store.apply([Write::DeleteCallbacks { connection }]).await;
    assert!(!revoked(connection, "n").await, "the generation of the connection says it from now on");
    assert!(revoked(other, "m").await);
}
