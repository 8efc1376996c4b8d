use super::TestStore;
use super::fixture::*;
use crate::engine::{FeedEntry, FeedKind, Write};
use crate::id::{ConnectionId, ThreadId};

async fn entries(store: &TestStore, after: u64, limit: usize) -> Vec<FeedEntry> {
    store.read(|engine| engine.feed(after, limit)).await
}

fn entry(connection: ConnectionId, id: impl ToString) -> Write {
    Write::Feed(FeedEntry::new(FeedKind::Note, connection, id))
}

/// R10.2: later commits have later positions, and entries of one commit are in its order.
pub(super) async fn feed_positions_increase_in_the_order_of_commits(store: TestStore) {
    let connection = store.connection().await;
    let mut end = store.read(|engine| engine.feed_end()).await;
    let mut wanted = Vec::new();
    for round in 0..5_u32 {
        let ids: Vec<_> = (0..=round % 3).map(|number| format!("{round}:{number}")).collect();
        let committed = store.apply(ids.iter().map(|id| entry(connection, id))).await;
        wanted.extend(ids);
        let new_end = committed.feed_end.expect("the set added to the feed");
        assert!(new_end > end, "the feed went from {end} to {new_end}");
        assert_eq!(new_end, store.read(|engine| engine.feed_end()).await);
        end = new_end;
        let committed = store.apply([put_state(connection, "key", "value")]).await;
        assert_eq!(committed.feed_end, None, "the set added nothing to the feed");
    }
    let found = entries(&store, 0, ALL).await;
    assert_eq!(found.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(), wanted);
    assert!(found.is_sorted_by(|one, next| one.position < next.position), "{found:?}");
    assert_eq!(found.last().map(|entry| entry.position), Some(end));
    assert!(found.first().is_some_and(|entry| entry.position > 0), "zero is before the first");
}

/// R10.2: a reader goes on from where it was, and gets each entry as it was written.
pub(super) async fn the_feed_is_paged(store: TestStore) {
    let connection = store.connection().await;
    let kinds = [
        FeedKind::Link,
        FeedKind::Note,
        FeedKind::Connection,
        FeedKind::Channel,
        FeedKind::Thread,
        FeedKind::Revoked,
        FeedKind::NotRevoked,
    ];
    let mut written: Vec<_> =
        kinds.into_iter().zip(STRANGE).map(|(kind, id)| FeedEntry::new(kind, connection, id)).collect();
    written.push(FeedEntry::thread(ThreadId::from_number(7)));
    written.push(FeedEntry {
        position: 4711,
        ..FeedEntry::new(FeedKind::Link, connection, "the position is not the writer's")
    });
    store.apply(written.iter().cloned().map(Write::Feed)).await;
    for limit in [1, 2, 3, ALL] {
        let mut found: Vec<FeedEntry> = Vec::new();
        loop {
            let page = entries(&store, found.last().map_or(0, |entry| entry.position), limit).await;
            assert!(page.len() <= limit, "a page has at most its limit");
            if page.is_empty() {
                break;
            }
            found.extend(page);
            assert!(found.len() <= ALL, "the pages have no end");
        }
        let wanted =
            written.iter().zip(&found).map(|(entry, found)| FeedEntry { position: found.position, ..entry.clone() });
        assert_eq!(found, wanted.collect::<Vec<_>>(), "in pages of {limit}");
        assert_eq!(found.len(), written.len(), "in pages of {limit}");
    }
    let end = store.read(|engine| engine.feed_end()).await;
    assert!(
        entries(&store, end, ALL).await.is_empty() && entries(&store, end + 100, ALL).await.is_empty(),
        "after the end there is nothing"
    );
}

/// Entries of a refused set are never seen, and leave no hole that a reader would wait at.
pub(super) async fn a_refused_set_adds_nothing_to_the_feed(store: TestStore) {
    let connection = store.connection().await;
    let conflict = Write::PutConnection { row: Box::new(connection_row(connection.number())), expect: None };
    store.apply([entry(connection, "a")]).await;
    let end = store.read(|engine| engine.feed_end()).await;
    store.conflicts([entry(connection, "refused"), conflict.clone()]).await;
    assert_eq!(store.read(|engine| engine.feed_end()).await, end, "the end of the feed is that of the last entry");
    store.apply([entry(connection, "b")]).await;
    store.conflicts([entry(connection, "refused"), entry(connection, "refused"), conflict]).await;
    store.apply([entry(connection, "c")]).await;
    let found = entries(&store, 0, ALL).await;
    assert_eq!(found.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(found.last().map(|entry| entry.position), Some(store.read(|engine| engine.feed_end()).await));
    let rest = entries(&store, end, ALL).await;
    assert_eq!(rest.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

/// R10.2: who follows the feed while others commit sees every entry, once: none becomes visible
/// behind one that was already read.
pub(super) async fn no_entry_appears_behind_a_reader(store: TestStore) {
    const WRITERS: usize = 6;
    const EACH: usize = 25;
    let connection = store.connection().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let engine = store.engine();
            tokio::spawn(async move {
                for number in 0..EACH {
                    let writes = (0..=number % 3).map(|part| entry(connection, format!("{writer}:{number}:{part}")));
                    let set =
                        crate::engine::WriteSet { connection: Some(connection), ..crate::engine::WriteSet::of(writes) };
                    let end = engine.commit(set).await.expect("it is stored").feed_end;
                    let seen = engine.feed_end().await.expect("it is read");
                    assert!(
                        end.is_some_and(|end| end <= seen),
                        "a commit at {end:?} is seen when it is answered, and the end is {seen}"
                    );
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let total = WRITERS * (0..EACH).map(|number| number % 3 + 1).sum::<usize>();
    let mut followed: Vec<FeedEntry> = Vec::new();
    let mut last_look = false;
    while !last_look {
        last_look = writers.iter().all(|writer| writer.is_finished());
        let after = followed.last().map_or(0, |entry| entry.position);
        followed.extend(entries(&store, after, ALL).await);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    assert!(followed.is_sorted_by(|one, next| one.position < next.position), "positions increase");
    assert_eq!(followed.len(), total, "an entry appeared behind the reader");
    assert_eq!(followed, entries(&store, 0, ALL).await, "who follows sees what who comes later sees");
}

/// R10.2: what nobody needs any more goes away, the last entry stays, and positions are never given again.
pub(super) async fn a_trimmed_feed_goes_on_where_it_was(store: TestStore) {
    let start = async || store.read(|engine| engine.feed_start()).await;
    assert_eq!(start().await, 0, "it is empty");
    store.apply([Write::TrimFeed { upto: 7 }]).await;
    let connection = store.connection().await;
    store.apply((0..5).map(|number| entry(connection, number))).await;
    let all = entries(&store, 0, ALL).await;
    assert_eq!(start().await, all[0].position);
    store.apply([Write::TrimFeed { upto: all[1].position }]).await;
    assert_eq!(entries(&store, 0, ALL).await, all[2..]);
    assert_eq!(start().await, all[2].position);
    store.apply([Write::TrimFeed { upto: u64::MAX }]).await;
    let last = entries(&store, 0, ALL).await;
    assert_eq!(last, all[all.len() - 1..], "the last one stays");
    store.apply([entry(connection, "next")]).await;
    let next = entries(&store, last[0].position, ALL).await;
    assert_eq!(next.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["next"]);
}
