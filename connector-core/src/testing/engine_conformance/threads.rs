use super::TestStore;
use super::fixture::*;
use crate::engine::{CommitError, Expect, LinkQuery, UserThreadRow, Write, WriteSet};
use crate::id::ThreadId;
use crate::model::Source;

fn source(item: &str) -> Source {
    Source::new("github", [item])
}

fn mark(row: &UserThreadRow, expect: Option<i64>) -> Write {
    Write::PutUserThread { row: row.clone(), expect }
}

async fn marks(store: &TestStore, user: &str, threads: &[ThreadId]) -> Vec<Option<UserThreadRow>> {
    let (user, threads) = (user.into(), threads.to_vec());
    store.read(|engine| engine.user_threads(user, threads)).await
}

async fn current(store: &TestStore, thread: ThreadId) -> ThreadId {
    store.read(|engine| engine.current_thread(thread)).await
}

/// R8.3: a thread is found by a source that any connection has.
pub(super) async fn threads_of_sources_cross_connections(store: TestStore) {
    let (ours, theirs) = (store.connection().await, store.connection().await);
    let mine = store.new_link(ours, &source("1")).await;
    let other = store.new_link(theirs, &source("2")).await;
    let shared = store.put_link(link_row(theirs, store.id(), mine.link.thread, source("1"))).await;
    let found = store.threads_of(&[&source("2"), &source("absent"), &source("1"), &source("2")]).await;
    let (first, second) = (Some(mine.link.thread), Some(other.link.thread));
    assert_eq!(found, [second, None, first, second], "in the order given");
    store.apply([Write::DeleteConnection { id: ours }]).await;
    assert_eq!(
        store.threads_of(&[&source("1")]).await,
        [Some(shared.link.thread)],
        "the other connection still has it"
    );
    assert!(store.threads_of(&[]).await.is_empty());
}

/// R8.3: further identities of an item belong to its thread.
pub(super) async fn a_source_that_is_no_links_own_has_a_thread(store: TestStore) {
    let connection = store.connection().await;
    let link = store.new_link(connection, &source("1")).await;
    let thread = link.link.thread;
    let put = Write::PutSource { source: extra_source(), thread };
    store.apply([put.clone()]).await;
    store.apply([put]).await;
    assert_eq!(store.threads_of(&[&extra_source()]).await, [Some(thread)]);
    let asked = vec![extra_source()];
    assert_eq!(store.read(|engine| engine.links_by_source(connection, asked)).await, [None], "it is no link");
    assert_eq!(store.threads_of(&[&source("1")]).await, [Some(thread)], "the link's own is not touched");
}

/// A commit that relied on the thread of a source is refused once it has another.
pub(super) async fn the_thread_of_a_source_is_expected(store: TestStore) {
    let (ours, theirs) = (store.connection().await, store.connection().await);
    let expects = async |source: &Source, thread: Option<ThreadId>| {
        let expects = vec![Expect::SourceThread { source: source.clone(), thread }];
        match store.engine().commit(WriteSet { expects, ..WriteSet::default() }).await {
            Ok(_) => true,
            Err(CommitError::RecordConflict) => false,
            Err(error) => panic!("{error:?}"),
        }
    };
    let (own, extra) = (source("1"), extra_source());
    assert!(expects(&own, None).await && expects(&extra, None).await, "nobody has them");
    let link = store.new_link(ours, &own).await;
    let thread = link.link.thread;
    store.apply([Write::PutSource { source: extra.clone(), thread }]).await;
    for source in [&own, &extra] {
        assert!(!expects(source, None).await, "somebody has {source}");
        assert!(expects(source, Some(thread)).await, "it is as expected");
        assert!(!expects(source, Some(ThreadId::from_number(thread.number() + 1))).await, "it is another thread");
    }
    let into = store.new_link(theirs, &source("2")).await.link.thread;
    store.apply([Write::MergeThreads { from: thread, into }]).await;
    for source in [&own, &extra] {
        assert!(!expects(source, Some(thread)).await, "{source} was moved");
        assert!(expects(source, Some(into)).await, "it is there now");
    }
}

/// R8.3: links, notes and sources of both are in one thread, whoever has them.
pub(super) async fn merged_threads_are_one_in_all_connections(store: TestStore) {
    let (ours, theirs) = (store.connection().await, store.connection().await);
    let from = store.new_link(ours, &source("1")).await;
    let also_from = store.put_link(link_row(theirs, store.id(), from.link.thread, source("1"))).await;
    let into = store.new_link(theirs, &source("2")).await;
    let apart = store.new_link(ours, &source("3")).await;
    let notes = [
        store.put_note(note_row(&from, store.id(), Some("a"))).await,
        store.put_note(note_row(&also_from, store.id(), None)).await,
        store.put_note(note_row(&into, store.id(), Some("c"))).await,
    ];
    let apart_note = store.put_note(note_row(&apart, store.id(), Some("d"))).await;
    let (gone, thread) = (from.link.thread, into.link.thread);
    store.apply([Write::PutSource { source: extra_source(), thread: gone }]).await;
    store.apply([Write::MergeThreads { from: gone, into: thread }]).await;

    for row in [&from, &also_from, &into] {
        let mut wanted = row.clone();
        wanted.link.thread = thread;
        let found = store.link(row.link.id).await.map(|found| found.link);
        assert_eq!(found, Some(wanted.link), "only the thread of a link has changed");
    }
    for row in &notes {
        let mut wanted = row.clone();
        wanted.note.thread = thread;
        let id = row.note.id;
        let found = store.read(|engine| engine.note(id)).await.map(|found| found.note);
        assert_eq!(found, Some(wanted.note), "only the thread of a note has changed");
    }
    let in_list = LinkQuery { thread: Some(thread), limit: ALL, ..LinkQuery::default() };
    let listed = store.read(|engine| engine.links(in_list)).await;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|row| row.link.thread == thread), "the list says so too");
    let in_list = LinkQuery { thread: Some(gone), limit: ALL, ..LinkQuery::default() };
    assert!(store.read(|engine| engine.links(in_list)).await.is_empty());
    let asked = vec![source("1")];
    let by_source = store.read(|engine| engine.links_by_source(ours, asked)).await;
    assert_eq!(by_source, [store.link(from.link.id).await]);
    let key = vec![(from.link.id, "a".into())];
    let by_key = store.read(|engine| engine.notes_by_key(ours, key)).await;
    assert_eq!(by_key[0].as_ref().map(|row| row.note.thread), Some(thread));
    let link = also_from.link.id;
    let of_link = store.read(|engine| engine.notes_of_link(link)).await;
    assert_eq!(of_link.iter().map(|row| row.note.thread).collect::<Vec<_>>(), [thread]);
    assert_eq!(store.threads_of(&[&source("1"), &source("2"), &extra_source()]).await, [Some(thread); 3]);

    assert_eq!(store.link(apart.link.id).await, Some(apart), "another thread is not touched");
    let id = apart_note.note.id;
    assert_eq!(store.read(|engine| engine.note(id)).await, Some(apart_note));
}

/// The id of a thread that was merged leads to where it is now, through any number of merges.
pub(super) async fn merged_threads_stay_aliases_through_chains(store: TestStore) {
    let connection = store.connection().await;
    let mut threads = Vec::new();
    for item in ["a", "b", "c", "d", "e"] {
        threads.push(store.new_link(connection, &source(item)).await.link.thread);
    }
    let (a, b, c, d, e) = (threads[0], threads[1], threads[2], threads[3], threads[4]);
    assert_eq!(current(&store, a).await, a);
    store.apply([Write::MergeThreads { from: a, into: b }]).await;
    assert_eq!((current(&store, a).await, current(&store, b).await), (b, b));
    store.apply([Write::MergeThreads { from: b, into: c }]).await;
    assert_eq!((current(&store, a).await, current(&store, b).await, current(&store, c).await), (c, c, c));
    store.apply([Write::MergeThreads { from: d, into: e }, Write::MergeThreads { from: c, into: e }]).await;
    for thread in threads {
        assert_eq!(current(&store, thread).await, e, "{thread}");
    }
    let sources = ["a", "b", "c", "d", "e"].map(source);
    assert_eq!(store.threads_of(&sources.iter().collect::<Vec<_>>()).await, [Some(e); 5]);
    let unknown = store.thread();
    assert_eq!(current(&store, unknown).await, unknown, "a thread without links is itself");
}

/// A link or note that was read before its thread was merged is not put back where it was.
pub(super) async fn a_merge_changes_the_rows_that_it_moves(store: TestStore) {
    let connection = store.connection().await;
    let from = store.new_link(connection, &source("1")).await;
    let into = store.new_link(connection, &source("2")).await;
    let note = store.put_note(note_row(&from, store.id(), Some("a"))).await;
    let (gone, thread) = (from.link.thread, into.link.thread);
    store.apply([Write::MergeThreads { from: gone, into: thread }]).await;
    store.conflicts([Write::PutLink { row: Box::new(from.clone()), expect: Some(from.version) }]).await;
    store.conflicts([Write::PutNote { row: Box::new(note.clone()), expect: Some(note.version) }]).await;
    store.apply([Write::PutLink { row: Box::new(into.clone()), expect: Some(into.version) }]).await;
    let mut moved = store.link(from.link.id).await.expect("it is there");
    moved.link.title = Some("changed".to_owned());
    store.apply([Write::PutLink { row: Box::new(moved.clone()), expect: Some(moved.version) }]).await;
    let stored = store.link(from.link.id).await.map(|row| row.link);
    assert_eq!(stored, Some(moved.link));
}

/// What users do to a thread, each for themselves.
pub(super) async fn user_marks_are_versioned(store: TestStore) {
    let threads = [store.thread(), store.thread(), store.thread()];
    let mut row = mark_row("ada", threads[0]);
    store.conflicts([mark(&row, Some(1))]).await;
    store
        .apply([mark(&row, None), mark(&mark_row("Ada", threads[0]), None), mark(&mark_row("ada", threads[2]), None)])
        .await;
    for version in 1..4 {
        let wanted = UserThreadRow { version, ..row.clone() };
        let found = marks(&store, "ada", &[threads[2], threads[1], threads[0]]).await;
        let third = UserThreadRow { version: 1, ..mark_row("ada", threads[2]) };
        assert_eq!(found, [Some(third), None, Some(wanted)], "in the order given");
        for wrong in [None, Some(version - 1), Some(version + 1)] {
            store.conflicts([mark(&row, wrong)]).await;
        }
        row.unread = !row.unread;
        row.todo = !row.todo;
        row.todo_date = row.todo.then(|| jiff::civil::date(2026, 2, 28));
        row.archived = !row.archived;
        store.apply([mark(&row, Some(version))]).await;
    }
    let delete = Write::DeleteUserThread { user: "ada".into(), thread: threads[0] };
    store.apply([delete.clone(), delete]).await;
    assert_eq!(marks(&store, "ada", &[threads[0]]).await, [None]);
    assert!(marks(&store, "Ada", &[threads[0]]).await[0].is_some(), "another user's stay");
    store.conflicts([mark(&row, Some(4))]).await;
    store.apply([mark(&row, None)]).await;
    assert!(marks(&store, "ada", &[]).await.is_empty());
}

/// Where a user has marks on both threads those of the one that stays do, else they move.
pub(super) async fn user_marks_follow_a_merge(store: TestStore) {
    let connection = store.connection().await;
    let from = store.new_link(connection, &source("1")).await.link.thread;
    let into = store.new_link(connection, &source("2")).await.link.thread;
    let on_from = |user: &str| UserThreadRow { todo: true, ..mark_row(user, from) };
    let on_into = |user: &str| UserThreadRow { archived: true, ..mark_row(user, into) };
    let rows = [on_from("moves"), on_from("both"), on_into("both"), on_into("stays")];
    store.apply(rows.iter().map(|row| mark(row, None))).await;
    store.apply([Write::MergeThreads { from, into }]).await;
    for (user, wanted) in [("moves", on_from("moves")), ("both", on_into("both")), ("stays", on_into("stays"))] {
        let found = marks(&store, user, &[from, into]).await;
        assert_eq!(found[0], None, "{user} has nothing on the thread that is gone");
        let found = found[1].clone().expect("the marks are on the thread that stays");
        assert_eq!(
            UserThreadRow { version: 0, ..found },
            UserThreadRow { thread: into, ..wanted },
            "the marks of {user}"
        );
    }
    store.conflicts([mark(&on_from("moves"), Some(1))]).await;
    store.conflicts([mark(&on_into("moves"), None)]).await;
}
