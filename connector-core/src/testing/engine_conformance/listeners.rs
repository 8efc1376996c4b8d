use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;

use super::TestStore;
use super::fixture::*;
use crate::engine::{
    CommitListener, Committed, ConnectionChange, ConnectionStatus, FeedEntry, FeedKind, KeyedTask, TaskChange,
    TaskQuery, TaskRow, Write, WriteSet,
};
use crate::id::TaskId;

/// Keeps what it hears.
#[derive(Default)]
struct Heard(Mutex<Vec<Committed>>);

impl CommitListener for Heard {
    fn committed(&self, sets: &mut dyn Iterator<Item = &Committed>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(sets.cloned());
    }
}

impl Heard {
    fn by(store: &TestStore) -> Arc<Self> {
        let heard = Arc::new(Self::default());
        let listener: Weak<Self> = Arc::downgrade(&heard);
        store.engine().listen(listener);
        heard
    }

    fn sets(&self) -> Vec<Committed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tasks(&self) -> Vec<TaskRow> {
        let changes = self.sets().into_iter().flat_map(|set| set.tasks);
        changes.filter_map(|change| if let TaskChange::Waits(row) = change { Some(row) } else { None }).collect()
    }
}

fn put(task: TaskRow) -> Write {
    Write::PutTask { task, keyed: KeyedTask::Replace }
}

pub(super) async fn a_listener_hears_of_a_set_before_its_commit_answers(store: TestStore) {
    let heard = Heard::by(&store);
    let connection = store.connection().await;
    for _ in 0..20 {
        let committed = store.apply([put(task_row(connection, store.id()))]).await;
        assert_eq!(heard.sets().last(), Some(&committed));
    }
    let count = heard.sets().len();
    store
        .refused(WriteSet { expects: vec![task_gone()], ..WriteSet::of([put(task_row(connection, store.id()))]) })
        .await;
    assert_eq!(heard.sets().len(), count, "a refused set is nobody's news");
}

fn task_gone() -> crate::engine::Expect {
    crate::engine::Expect::Task { id: TaskId::from_number(i64::MAX) }
}

pub(super) async fn a_listener_hears_of_sets_in_the_order_of_the_commits(store: TestStore) {
    let heard = Heard::by(&store);
    let connection = store.connection().await;
    let mut rounds = Vec::new();
    // Groups of different sizes: an engine may tell of small and of large ones on different threads.
    for size in [1, 40, 2, 9, 1, 100, 3, 7, 8, 1] {
        let sets = (0..size).map(|_| {
            let task = TaskRow { key: Some("the same".to_owned()), ..task_row(connection, store.id()) };
            store.apply([put(task), Write::Feed(FeedEntry::new(FeedKind::Connection, connection, connection))])
        });
        rounds.extend(sets.map(tokio::spawn));
    }
    for round in rounds {
        round.await.expect("the set is stored");
    }
    let revisions: Vec<_> = heard.tasks().iter().map(|row| row.revision).collect();
    assert_eq!(revisions.len(), 172);
    assert!(revisions.is_sorted_by(|one, next| one < next), "{revisions:?}");
    let positions: Vec<_> = heard.sets().iter().filter_map(|set| set.feed_end).collect();
    assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
}

pub(super) async fn a_listener_hears_of_sets_whose_caller_went_away(store: TestStore) {
    let heard = Heard::by(&store);
    let connection = store.connection().await;
    for _ in 0..100 {
        let mut commit = std::pin::pin!(store.apply([put(task_row(connection, store.id()))]));
        // The caller goes away after the first poll.
        poll_fn(|cx| {
            let _answer: Poll<Committed> = commit.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
    }
    store.apply([put(task_row(connection, store.id()))]).await;
    let stored = store.read(|engine| engine.tasks(TaskQuery::all(ALL))).await;
    assert!(!stored.is_empty());
    let mut told = heard.tasks();
    told.sort_by_key(|row| row.id);
    assert_eq!(told, stored, "the listener knows each task of the store");
}

pub(super) async fn a_listener_hears_of_changed_connections(store: TestStore) {
    let heard = Heard::by(&store);
    let mut row = connection_row(store.id());
    let id = row.id;
    row.status = ConnectionStatus::NeedsReauth;
    store.apply([Write::PutConnection { row: Box::new(row), expect: None }]).await;
    let channel = channel_row(id, "one");
    store.apply([Write::PutChannel { row: Box::new(channel.clone()), expect: None }]).await;
    store.apply([Write::DeleteChannel { connection: id, channel: channel.channel.id }]).await;
    store.apply([Write::DeleteConnection { id }]).await;
    let changes: Vec<_> = heard.sets().into_iter().flat_map(|set| set.connections).collect();
    assert_eq!(
        changes,
        [
            ConnectionChange::Stored { id, status: ConnectionStatus::NeedsReauth },
            ConnectionChange::Channels(id),
            ConnectionChange::Channels(id),
            ConnectionChange::Ended(id),
        ]
    );
}
