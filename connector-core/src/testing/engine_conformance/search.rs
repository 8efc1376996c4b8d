use super::TestStore;
use super::fixture::*;
use crate::engine::search::{SearchQuery, SearchRank};
use crate::engine::{LinkRow, NoteRow, Write};
use crate::id::{ConnectionId, LinkId};
use crate::model::Source;

/// A new link with this title, changed at this second.
async fn titled(store: &TestStore, connection: ConnectionId, title: &str, second: i64) -> LinkRow {
    let id = store.id();
    let mut row = link_row(connection, id, store.thread(), Source::new("github", [id.to_string()]));
    row.link.title = Some(title.to_owned());
    row.link.updated_at = at(second);
    store.put_link(row).await
}

async fn noted(store: &TestStore, link: &LinkRow, text: &str) -> NoteRow {
    let id = store.id();
    let mut row = note_row(link, id, Some(&id.to_string()));
    row.note.content = text.to_owned();
    store.put_note(row).await
}

async fn found(store: &TestStore, query: SearchQuery) -> Vec<LinkId> {
    store.read(|engine| engine.search(query)).await.iter().map(|hit| hit.row.link.id).collect()
}

/// The results before the rows are indexed have to be those after.
async fn check(store: &TestStore, query: &SearchQuery, wanted: &[LinkId]) {
    assert_eq!(found(store, query.clone()).await, wanted, "{query:?}, at once");
    store.read(|engine| engine.indexed()).await;
    assert_eq!(found(store, query.clone()).await, wanted, "{query:?}, indexed");
}

fn of(text: &str) -> SearchQuery {
    SearchQuery::new(text, ALL)
}

/// UAX 15: canonical and compatible forms are equal; each word of the text is needed.
pub(super) async fn words_are_found_in_any_normal_form_and_case(store: TestStore) {
    let connection = store.connection().await;
    let texts = [
        ("Gr\u{fc}\u{df}e aus Ko\u{308}ln", vec!["K\u{d6}LN", "gru\u{308}SSe", "aus k\u{f6}ln"]),
        ("Fix THE build, 100% sure_of it", vec!["the BUILD", "100", "sure", "\"fix\" * ) OR -it"]),
        ("\u{6771}\u{4eac}\u{90fd}\u{3067}\u{4f1a}\u{8b70}", vec!["\u{4eac}\u{90fd}", "\u{4f1a}\u{8b70}", "\u{8b70}"]),
        ("\u{ff26}\u{ff35}\u{ff2c}\u{ff2c} width", vec!["full WIDTH"]),
    ];
    let mut links = Vec::new();
    for (number, (text, _)) in texts.iter().enumerate() {
        let link = titled(&store, connection, if number % 2 == 0 { text } else { "untitled" }, 1).await;
        noted(&store, &link, if number % 2 == 0 { "nothing" } else { text }).await;
        links.push(link.link.id);
    }
    for ((_, queries), link) in texts.iter().zip(links) {
        for query in queries {
            // An operator of a query language is a word like others.
            let query = query.replace(" OR", "");
            check(&store, &of(&query), &[link]).await;
        }
    }
    for absent in ["absent", "build absent", "%", "", "buil", "\u{4eac}\u{6771}", "\u{a7}1"] {
        let wanted = found(&store, of(absent)).await;
        assert!(wanted.is_empty(), "{absent:?} is nowhere: {wanted:?}");
    }
}

/// A part has at least three characters, which stand together in one word.
pub(super) async fn a_title_is_found_by_parts_of_its_words(store: TestStore) {
    let connection = store.connection().await;
    let link = titled(&store, connection, "The Budget of abcd bcde", 1).await;
    noted(&store, &link, "expenses").await;
    for part in ["udge", "GET", "bud the"] {
        check(&store, &of(part), &[link.link.id]).await;
    }
    for part in ["bu", "abcde", "expen", "getof"] {
        check(&store, &of(part), &[]).await;
    }
}

/// Words of the title, then parts of its words, then other text; in each rank the newest change first.
pub(super) async fn results_are_ranked_and_paged_by_thread(store: TestStore) {
    let connection = store.connection().await;
    let in_note = titled(&store, connection, "one", 9).await;
    noted(&store, &in_note, "the plan").await;
    noted(&store, &in_note, "the plan again").await;
    let part = titled(&store, connection, "plane", 8).await;
    let old = titled(&store, connection, "old plan", 1).await;
    let new = titled(&store, connection, "plan", 5).await;
    let id = store.id();
    let mut same = link_row(connection, id, new.link.thread, Source::new("github", [id.to_string()]));
    same.link.title = Some("a plan".to_owned());
    same.link.updated_at = at(3);
    store.put_link(same).await;
    let wanted = [new.link.id, old.link.id, part.link.id, in_note.link.id];
    check(&store, &of("PLAN"), &wanted).await;
    let mut paged = Vec::new();
    let mut query = SearchQuery::new("plan", 1);
    loop {
        let next = query.clone();
        let hits = store.read(|engine| engine.search(next)).await;
        let Some(hit) = hits.last() else { break };
        assert!(hits.len() == 1 && paged.len() < 4, "the pages have no end");
        paged.push((hit.row.link.id, hit.rank));
        query.after = Some(hit.place());
    }
    let ranks = [SearchRank::Title, SearchRank::Title, SearchRank::PartOfTitle, SearchRank::Text];
    assert_eq!(paged, wanted.into_iter().zip(ranks).collect::<Vec<_>>());
}

/// Nothing of another connection, channel, type or status is found; archived links only where they are asked for.
pub(super) async fn a_search_is_within_its_filters(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mine = titled(&store, connection, "shared word", 1).await;
    let theirs = titled(&store, other, "shared word", 2).await;
    noted(&store, &theirs, "whisper").await;
    let mut archived = titled(&store, connection, "shared word", 3).await;
    archived.link.archived = true;
    store.apply([Write::PutLink { row: Box::new(archived.clone()), expect: Some(1) }]).await;
    let scoped = |text: &str| SearchQuery { connections: Some(vec![connection]), ..of(text) };
    check(&store, &of("shared"), &[theirs.link.id, mine.link.id]).await;
    check(&store, &scoped("shared"), &[mine.link.id]).await;
    check(&store, &scoped("whisper"), &[]).await;
    check(&store, &SearchQuery { connections: Some(Vec::new()), ..of("shared") }, &[]).await;
    check(&store, &SearchQuery { connections: Some(vec![other, connection]), ..of("whisper") }, &[theirs.link.id])
        .await;
    check(&store, &SearchQuery { archived: true, ..scoped("shared") }, &[archived.link.id, mine.link.id]).await;
    check(&store, &SearchQuery { channel: Some("elsewhere".into()), ..of("shared") }, &[]).await;
    check(&store, &SearchQuery { link_type: Some("absent".to_owned()), ..of("shared") }, &[]).await;
    check(&store, &SearchQuery { status: Some("absent".to_owned()), ..of("shared") }, &[]).await;
    check(&store, &SearchQuery { limit: 0, ..of("shared") }, &[]).await;
}

/// What a title or note was before, and what was deleted, is not found.
pub(super) async fn a_search_follows_changes_and_deletions(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut link = titled(&store, connection, "first", 1).await;
    let mut note = noted(&store, &link, "written").await;
    let stays = titled(&store, other, "written first", 1).await;
    check(&store, &SearchQuery { connections: Some(vec![connection]), ..of("written") }, &[link.link.id]).await;
    link.link.title = Some("second".to_owned());
    note.note.content = "edited".to_owned();
    store
        .apply([
            Write::PutLink { row: Box::new(link.clone()), expect: Some(1) },
            Write::PutNote { row: Box::new(note.clone()), expect: Some(1) },
        ])
        .await;
    for (text, wanted) in
        [("second", vec![link.link.id]), ("edited", vec![link.link.id]), ("first", vec![stays.link.id])]
    {
        check(&store, &of(text), &wanted).await;
    }
    note.note.archived = true;
    store.apply([Write::PutNote { row: Box::new(note.clone()), expect: Some(2) }]).await;
    check(&store, &of("edited"), &[]).await;
    let gone = noted(&store, &link, "gone").await;
    store.apply([Write::DeleteNote { id: gone.note.id }]).await;
    check(&store, &of("gone"), &[]).await;
    let last = noted(&store, &link, "last").await;
    check(&store, &of("last"), &[last.note.link]).await;
    store.apply([Write::DeleteLink { id: link.link.id }]).await;
    check(&store, &of("last"), &[]).await;
    check(&store, &of("second"), &[]).await;
    store.apply([Write::DeleteConnection { id: other }]).await;
    check(&store, &of("first"), &[]).await;
}
