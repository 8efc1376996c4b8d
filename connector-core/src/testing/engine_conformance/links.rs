use jiff::{SignedDuration, Timestamp};

use super::TestStore;
use super::fixture::*;
use crate::engine::{LinkQuery, LinkRow, Write};
use crate::id::{ConnectionId, LinkId};
use crate::model::Source;

fn put(row: &LinkRow, expect: Option<i64>) -> Write {
    Write::PutLink { row: Box::new(row.clone()), expect }
}

fn source(item: impl ToString) -> Source {
    Source::new("github", [item.to_string()])
}

/// A new link that last changed then.
async fn link_at(store: &TestStore, connection: ConnectionId, updated_at: Timestamp) -> LinkRow {
    let id = store.id();
    let mut row = link_row(connection, id, store.thread(), source(id));
    row.link.updated_at = updated_at;
    store.put_link(row).await
}

/// All pages of a query.
async fn pages(store: &TestStore, query: &LinkQuery, limit: usize) -> Vec<LinkRow> {
    let mut found: Vec<LinkRow> = Vec::new();
    loop {
        let after = found.last().map(|row| (row.link.updated_at, row.link.id));
        let page = LinkQuery { after, limit, ..query.clone() };
        let page = store.read(|engine| engine.links(page)).await;
        assert!(page.len() <= limit, "a page has at most its limit");
        assert!(found.len() <= ALL, "the pages have no end");
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

async fn ids(store: &TestStore, query: LinkQuery) -> Vec<LinkId> {
    let query = LinkQuery { limit: ALL, ..query };
    store.read(|engine| engine.links(query)).await.iter().map(|row| row.link.id).collect()
}

/// A link that was changed since it was read is not overwritten.
pub(super) async fn a_link_row_is_versioned(store: TestStore) {
    let connection = store.connection().await;
    let mut row = link_row(connection, store.id(), store.thread(), source(1));
    let id = row.link.id;
    store.conflicts([put(&row, Some(1))]).await;
    assert_eq!(store.link(id).await, None);
    store.apply([put(&row, None)]).await;
    for version in 1..4 {
        assert_eq!(store.link(id).await, Some(LinkRow { version, ..row.clone() }));
        for wrong in [None, Some(version - 1), Some(version + 1)] {
            store.conflicts([put(&row, wrong)]).await;
        }
        row.link.title = (version % 2 == 0).then(|| format!("title {version}"));
        row.link.updated_at = at(version);
        row.link.archived = !row.link.archived;
        store.apply([put(&row, Some(version))]).await;
    }
}

/// Links of one connection by source, with none for the absent.
pub(super) async fn links_are_found_by_source_in_the_order_given(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut sources: Vec<_> = STRANGE.iter().map(source).collect();
    sources.push(Source::from_text("github:A%3a"));
    let mut links = Vec::new();
    for source in &sources {
        links.push(Some(store.new_link(connection, source).await));
    }
    let theirs = store.new_link(other, &source("theirs")).await;
    let mut asked: Vec<_> = sources.iter().rev().cloned().collect();
    asked.extend([source("absent"), theirs.link.source.clone(), sources[0].clone()]);
    let mut wanted: Vec<_> = links.iter().rev().cloned().collect();
    wanted.extend([None, None, links[0].clone()]);
    assert_eq!(store.read(|engine| engine.links_by_source(connection, asked)).await, wanted);
    let asked = vec![theirs.link.source.clone()];
    assert_eq!(store.read(|engine| engine.links_by_source(other, asked)).await, [Some(theirs)]);
    assert!(store.read(|engine| engine.links_by_source(connection, Vec::new())).await.is_empty());
}

/// R8.2: two dispatches that both create a link of one source do not make two of it.
pub(super) async fn a_connection_has_one_link_for_each_source(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut first = store.new_link(connection, &source(1)).await;
    let second = link_row(connection, store.id(), first.link.thread, source(1));
    store.conflicts([put(&second, None)]).await;
    assert_eq!(store.link(second.link.id).await, None);
    store.put_link(link_row(other, store.id(), first.link.thread, source(1))).await;
    first.link.title = Some("changed".to_owned());
    store.apply([put(&first, Some(1))]).await;
    let asked = vec![source(1)];
    let found = store.read(|engine| engine.links_by_source(connection, asked)).await;
    assert_eq!(found, [Some(LinkRow { version: 2, ..first })]);
}

/// A deleted link takes its notes, and nothing else.
pub(super) async fn a_link_is_deleted_with_its_notes(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let gone = store.new_link(connection, &source(1)).await;
    let stays = store.new_link(connection, &source(2)).await;
    let theirs = store.put_link(link_row(other, store.id(), gone.link.thread, source(1))).await;
    let note = store.put_note(note_row(&gone, store.id(), Some("a"))).await;
    let mut moved = store.put_note(note_row(&gone, store.id(), Some("b"))).await;
    let stay = [
        store.put_note(note_row(&stays, store.id(), Some("a"))).await,
        store.put_note(note_row(&theirs, store.id(), None)).await,
    ];
    moved.note.link = stays.link.id;
    let delete = Write::DeleteLink { id: gone.link.id };
    store.apply([Write::PutNote { row: Box::new(moved.clone()), expect: Some(1) }, delete.clone()]).await;
    store.apply([delete]).await;
    assert_eq!(store.link(gone.link.id).await, None);
    let asked = vec![source(1)];
    assert_eq!(store.read(|engine| engine.links_by_source(connection, asked)).await, [None]);
    let (id, link) = (note.note.id, gone.link.id);
    assert_eq!(store.read(|engine| engine.note(id)).await, None);
    assert!(store.read(|engine| engine.notes_of_link(link)).await.is_empty());
    let keys = vec![(gone.link.id, "a".into()), (gone.link.id, "b".into()), (stays.link.id, "b".into())];
    let found = store.read(|engine| engine.notes_by_key(connection, keys)).await;
    let found: Vec<_> = found.iter().map(|row| row.as_ref().map(|row| row.note.id)).collect();
    assert_eq!(found, [None, None, Some(moved.note.id)], "a note that was moved before is not its own any more");
    for row in stay {
        let id = row.note.id;
        assert_eq!(store.read(|engine| engine.note(id)).await, Some(row));
    }
    assert_eq!(store.link(theirs.link.id).await.as_ref(), Some(&theirs));
    assert_eq!(
        store.threads_of(&[&source(1)]).await,
        [Some(theirs.link.thread)],
        "another connection still has the source"
    );
    store.conflicts([put(&gone, Some(1))]).await;
    store.put_link(link_row(connection, store.id(), theirs.link.thread, source(1))).await;
}

/// The list of links: newest change first, then greatest id; pages lose and repeat nothing.
pub(super) async fn links_are_listed_newest_first_and_paged(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut all = Vec::new();
    for (number, micro) in [5, 1, 3, 3, 3, 3, 3, 2_000_000, 1, -1_000_000].into_iter().enumerate() {
        let owner = if number % 3 == 0 { other } else { connection };
        all.push(link_at(&store, owner, at_micro(micro)).await);
    }
    let mut moved = all.remove(1);
    moved.link.updated_at = at_micro(4);
    store.apply([put(&moved, Some(1))]).await;
    all.push(LinkRow { version: 2, ..moved });
    all.sort_by_key(|row| std::cmp::Reverse((row.link.updated_at, row.link.id)));
    for limit in [1, 2, 3, ALL] {
        assert_eq!(pages(&store, &LinkQuery::default(), limit).await, all, "in pages of {limit}");
    }
    let query = LinkQuery { connections: Some(vec![connection]), ..LinkQuery::default() };
    all.retain(|row| row.connection == connection);
    assert_eq!(pages(&store, &query, 2).await, all, "of one connection");
}

/// Times that an engine cannot tell apart do not make a page lose or repeat a link.
pub(super) async fn links_within_a_microsecond_are_paged_without_loss(store: TestStore) {
    let connection = store.connection().await;
    let mut all = Vec::new();
    for nano in [900, 1, 500, 999, 0, 2, 1_000, 999] {
        all.push(link_at(&store, connection, at(0) + SignedDuration::from_nanos(nano)).await.link.id);
    }
    for limit in [1, 2, 3] {
        let mut found: Vec<_> =
            pages(&store, &LinkQuery::default(), limit).await.iter().map(|row| row.link.id).collect();
        found.sort();
        assert_eq!(found, all, "in pages of {limit}");
    }
}

/// Each filter, and several at once.
pub(super) async fn links_are_filtered(store: TestStore) {
    let connections = [store.connection().await, store.connection().await, store.connection().await];
    let mut all = Vec::new();
    for number in 0_i64..24 {
        let connection = connections[usize::try_from(number % 3).unwrap()];
        let mut row = link_row(connection, store.id(), store.thread(), source(number));
        row.link.channel = if number % 2 == 0 { "repo".into() } else { "Repo".into() };
        row.link.link_type = if number % 4 == 0 { "issue".into() } else { "pull".into() };
        row.link.status =
            [None, Some("open".into()), Some("closed".into())][usize::try_from(number / 2 % 3).unwrap()].clone();
        row.link.title = (number % 5 == 0).then(|| format!("a bug, number {number}"));
        row.link.preview = (number % 7 == 0).then(|| "it is a bug".to_owned());
        row.link.archived = number % 6 == 1;
        row.link.updated_at = at(number);
        if number % 8 == 7 {
            row.link.thread = all.last().map(|last: &LinkRow| last.link.thread).unwrap();
        }
        all.push(store.put_link(row).await);
    }
    all.reverse();
    let check = async |what: &str, query: LinkQuery, wanted: &(dyn Fn(&LinkRow) -> bool + Sync)| {
        let visible = all.iter().filter(|row| query.archived || !row.link.archived).filter(|row| wanted(row));
        let visible: Vec<_> = visible.map(|row| row.link.id).collect();
        assert_eq!(ids(&store, query).await, visible, "{what}");
    };
    let none = LinkQuery::default;
    check("all", none(), &|_| true).await;
    check("with the archived", LinkQuery { archived: true, ..none() }, &|_| true).await;
    let two = vec![connections[2], connections[0]];
    check("of two connections", LinkQuery { connections: Some(two), ..none() }, &|row| {
        row.connection != connections[1]
    })
    .await;
    check("of no connection", LinkQuery { connections: Some(Vec::new()), ..none() }, &|_| false).await;
    check("in a channel", LinkQuery { channel: Some("repo".into()), ..none() }, &|row| {
        row.link.channel.as_str() == "repo"
    })
    .await;
    let of_type = LinkQuery { link_type: Some("issue".to_owned()), ..none() };
    check("of a type", of_type, &|row| row.link.link_type.as_str() == "issue").await;
    let open = |row: &LinkRow| row.link.status.as_ref().is_some_and(|status| status.as_str() == "open");
    check("in a status", LinkQuery { status: Some("open".to_owned()), ..none() }, &open).await;
    let thread = all[0].link.thread;
    check("in a thread", LinkQuery { thread: Some(thread), ..none() }, &|row| row.link.thread == thread).await;
    let several = LinkQuery {
        connections: Some(vec![connections[1], connections[2]]),
        channel: Some("Repo".into()),
        link_type: Some("pull".to_owned()),
        status: Some("open".to_owned()),
        archived: true,
        ..none()
    };
    let wanted = |row: &LinkRow| row.connection != connections[0] && row.link.channel.as_str() == "Repo" && open(row);
    check("all at once", several.clone(), &wanted).await;
    let paged: Vec<_> = pages(&store, &several, 1).await.iter().map(|row| row.link.id).collect();
    assert_eq!(paged, ids(&store, several).await, "all at once, in pages");
}
