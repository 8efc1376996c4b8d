use connector_core::id::{ConnectionId, ThreadId};
use connector_core::prelude::*;

use crate::fixture::{Bench, grace, lab_for, note, source, ticket};

async fn saves(bench: &Bench, connection: ConnectionId, links: Vec<NewLink>) {
    let outcome = bench
        .queue_on(connection, move |cx| {
            let links = links.clone();
            async move { cx.integrations().save_links(links).await }
        })
        .await;
    bench.host.settle().await;
    assert_eq!(outcome.lock().unwrap().pop().unwrap().unwrap().failed, []);
}

async fn bob(bench: &Bench) -> ConnectionId {
    bench.runtime().connect(lab_for("bob")).await.unwrap().id
}

async fn threads(bench: &Bench) -> Vec<ThreadId> {
    bench.links().await.iter().map(|row| row.link.thread).collect()
}

/// R8.3
#[tokio::test]
async fn links_whose_sources_overlap_share_a_thread() {
    let bench = Bench::enabled().await;
    let shared = Source::new("mail", ["m1"]);
    bench.save([ticket(1).also([shared.clone()]), ticket(2), ticket(3).also([shared.clone()])]).await;
    let found = threads(&bench).await;
    assert_eq!(found[0], found[2]);
    assert_ne!(found[0], found[1]);
    // In another dispatch, by the first one's own source.
    bench.save([ticket(4).also([source(2)])]).await;
    let found = threads(&bench).await;
    assert_eq!(found[1], found[3]);
    // And one whose own source another has named before it came.
    bench.save([ticket(5).also([source(6)])]).await;
    bench.save([ticket(6)]).await;
    let found = threads(&bench).await;
    assert_eq!(found[4], found[5]);
}

/// R8.3: across users; each has a link of their own, and sees it only when their connection has synced it.
#[tokio::test]
async fn two_users_with_the_same_source_share_a_thread() {
    let bench = Bench::enabled().await;
    let bob = bob(&bench).await;
    bench.save([ticket(1).title("As Ada sees it")]).await;
    let mut query = connector_core::engine::LinkQuery::all(9);
    query.connections = Some(vec![bob]);
    assert!(bench.runtime().ports().engine.links(query.clone()).await.unwrap().is_empty());
    saves(&bench, bob, vec![ticket(1).title("As Bob sees it").notes([note(1, "a", "x")])]).await;
    let links = bench.links().await;
    assert_eq!(links.len(), 2);
    assert_eq!(links[0].link.thread, links[1].link.thread);
    assert_eq!(links[0].link.title.as_deref(), Some("As Ada sees it"));
    assert!(bench.notes(links[0].id()).await.is_empty());
    let thread = links[0].link.thread;
    assert!(bench.marks(thread, "bob").await.0);
    // Bob goes: Ada keeps her link, in the same thread.
    bench.runtime().disconnect(bob).await.unwrap();
    assert_eq!(threads(&bench).await, [thread]);
}

/// R8.3: a later link joins two threads, of two users, with their notes, marks and sources.
#[tokio::test]
async fn a_later_link_joins_two_threads() {
    let bench = Bench::enabled().await;
    let bob = bob(&bench).await;
    bench.save([ticket(1)]).await;
    saves(&bench, bob, vec![ticket(2).notes([note(2, "b", "bob's")])]).await;
    let before = threads(&bench).await;
    assert_ne!(before[0], before[1]);
    let gone = before[1];
    bench.save([ticket(3).also([source(1), source(2)])]).await;
    assert_eq!(threads(&bench).await, [before[0]; 3], "the oldest stays");
    let engine = &bench.runtime().ports().engine;
    assert_eq!(engine.current_thread(gone).await.unwrap(), before[0]);
    let bobs = bench.link(&source(2)).await.unwrap();
    assert_eq!(bench.notes(bobs.id()).await[0].note.thread, before[0]);
    assert!(bench.marks(before[0], "bob").await.0, "what was unread is unread");
    // By its old id it can still be read and answered.
    bench.runtime().set_read(gone, &"bob".into(), false).await.unwrap();
    assert!(!bench.marks(before[0], "bob").await.0);
    // What comes later is of the one thread.
    saves(&bench, bob, vec![ticket(4).also([source(2)])]).await;
    assert_eq!(threads(&bench).await, [before[0]; 4]);
}

/// R8.3: a link that was there learns of another identity.
#[tokio::test]
async fn a_known_link_joins_the_thread_of_a_new_identity() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1), ticket(2), ticket(3)]).await;
    let before = threads(&bench).await;
    bench.save([ticket(3).also([source(2)])]).await;
    assert_eq!(threads(&bench).await, [before[0], before[1], before[1]]);
    bench.save([ticket(2).also([source(1)])]).await;
    assert_eq!(threads(&bench).await, [before[0]; 3]);
    // Said again, nothing changes.
    let links = bench.links().await;
    bench.save([ticket(2).also([source(1)]), ticket(3).also([source(2)])]).await;
    assert_eq!(bench.links().await, links);
}

/// R8.3: a chain of joins in one dispatch, in the worst order, with notes that are written in it.
#[tokio::test]
async fn one_dispatch_joins_many_threads() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1), ticket(2), ticket(3), ticket(4)]).await;
    let before = threads(&bench).await;
    let (x, y) = (Source::new("x", ["1"]), Source::new("y", ["1"]));
    bench
        .save([
            ticket(4).also([x.clone(), y.clone()]).notes([note(4, "a", "x")]),
            ticket(5).also([source(4), source(3), source(4)]),
            ticket(2).also([y.clone()]),
            ticket(6).also([x, source(1)]).notes([note(6, "a", "y")]),
        ])
        .await;
    assert_eq!(threads(&bench).await, [before[0]; 6]);
    for row in bench.links().await {
        for note in bench.notes(row.id()).await {
            assert_eq!(note.note.thread, before[0]);
        }
    }
    for gone in &before[1..] {
        assert_eq!(bench.runtime().ports().engine.current_thread(*gone).await.unwrap(), before[0]);
    }
}

/// R8.4, L18: who wrote it.
#[tokio::test]
async fn authors_are_kept() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1)]).await;
    assert_eq!(bench.links().await[0].link.author, Author::Person(grace()));
}
