use super::TestStore;
use super::fixture::*;
use crate::engine::{NoteRow, Write};
use crate::id::{ConnectionId, LinkId, NoteId, NoteKey};
use crate::model::{Delivery, Source};

fn put(row: &NoteRow, expect: Option<i64>) -> Write {
    Write::PutNote { row: Box::new(row.clone()), expect }
}

fn source(item: &str) -> Source {
    Source::new("github", [item])
}

async fn note(store: &TestStore, id: NoteId) -> Option<NoteRow> {
    store.read(|engine| engine.note(id)).await
}

async fn by_key(store: &TestStore, connection: ConnectionId, link: LinkId, key: &str) -> Option<NoteId> {
    let keys = vec![(link, NoteKey::from(key))];
    let mut found = store.read(|engine| engine.notes_by_key(connection, keys)).await;
    found.pop().expect("an answer for each key").map(|row| row.note.id)
}

/// A note that was changed since it was read is not overwritten.
pub(super) async fn a_note_row_is_versioned(store: TestStore) {
    let connection = store.connection().await;
    let link = store.new_link(connection, &source("1")).await;
    let mut row = note_row(&link, store.id(), Some("n"));
    let id = row.note.id;
    store.conflicts([put(&row, Some(1))]).await;
    assert_eq!(note(&store, id).await, None);
    store.apply([put(&row, None)]).await;
    for version in 1..4 {
        assert_eq!(note(&store, id).await, Some(NoteRow { version, ..row.clone() }));
        for wrong in [None, Some(version - 1), Some(version + 1)] {
            store.conflicts([put(&row, wrong)]).await;
        }
        row.note.content = format!("content {version}");
        row.baseline = (version % 2 == 0).then(|| format!("hash {version}"));
        store.apply([put(&row, Some(version))]).await;
    }
}

/// Notes by link and key, with none for the absent, and of this connection only.
pub(super) async fn notes_are_found_by_key_in_the_order_given(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let links = [store.new_link(connection, &source("1")).await, store.new_link(connection, &source("2")).await];
    let mut notes = Vec::new();
    for key in STRANGE {
        for link in &links {
            notes.push((
                (link.link.id, NoteKey::from(*key)),
                Some(store.put_note(note_row(link, store.id(), Some(key))).await),
            ));
        }
    }
    let theirs = store.new_link(other, &source("1")).await;
    store.put_note(note_row(&theirs, store.id(), Some("theirs"))).await;
    notes.reverse();
    notes.push(((links[0].link.id, "absent".into()), None));
    notes.push(((links[0].link.id, "theirs".into()), None));
    notes.push(((theirs.link.id, "theirs".into()), None));
    notes.push(notes[0].clone());
    let (keys, wanted): (Vec<_>, Vec<_>) = notes.into_iter().unzip();
    assert_eq!(store.read(|engine| engine.notes_by_key(connection, keys)).await, wanted);
    assert!(store.read(|engine| engine.notes_by_key(connection, Vec::new())).await.is_empty());
}

/// R8.2: two dispatches that both create a note of one key do not make two of it.
pub(super) async fn a_link_has_one_note_for_each_key(store: TestStore) {
    let connection = store.connection().await;
    let links = [store.new_link(connection, &source("1")).await, store.new_link(connection, &source("2")).await];
    let first = store.put_note(note_row(&links[0], store.id(), Some("n"))).await;
    let second = note_row(&links[0], store.id(), Some("n"));
    store.conflicts([put(&second, None)]).await;
    assert_eq!(note(&store, second.note.id).await, None);
    let keyless = store.put_note(note_row(&links[0], store.id(), None)).await;
    store.put_note(note_row(&links[0], store.id(), None)).await;
    let mut late = keyless.clone();
    late.note.key = Some("n".into());
    store.conflicts([put(&late, Some(1))]).await;
    store.put_note(note_row(&links[1], store.id(), Some("n"))).await;
    store.apply([put(&first, Some(1))]).await;
    assert_eq!(by_key(&store, connection, links[0].link.id, "n").await, Some(first.note.id));
    store.apply([Write::DeleteNote { id: first.note.id }, put(&late, Some(1))]).await;
    assert_eq!(by_key(&store, connection, links[0].link.id, "n").await, Some(keyless.note.id), "the key is free again");
}

/// R9.4: what a user wrote has no key until it is delivered; it may also change.
pub(super) async fn a_note_gets_its_key_later(store: TestStore) {
    let connection = store.connection().await;
    let link = store.new_link(connection, &source("1")).await;
    let mut row = note_row(&link, store.id(), None);
    row.note.delivery = Some(Delivery::Pending);
    let row = store.put_note(row).await;
    let mut delivered = row.clone();
    delivered.note.key = Some("a".into());
    delivered.note.delivery = Some(Delivery::Delivered);
    store.apply([put(&delivered, Some(1))]).await;
    assert_eq!(by_key(&store, connection, link.link.id, "a").await, Some(row.note.id));
    delivered.note.key = Some("b".into());
    store.apply([put(&delivered, Some(2))]).await;
    assert_eq!(by_key(&store, connection, link.link.id, "a").await, None);
    assert_eq!(by_key(&store, connection, link.link.id, "b").await, Some(row.note.id));
    let id = link.link.id;
    assert_eq!(store.read(|engine| engine.notes_of_link(id)).await.len(), 1, "it is one note");
}

/// Notes in the order in which they were written, not in that in which they were saved.
pub(super) async fn notes_of_a_link_are_oldest_first(store: TestStore) {
    let connection = store.connection().await;
    let links = [store.new_link(connection, &source("1")).await, store.new_link(connection, &source("2")).await];
    let mut all = Vec::new();
    for (number, micro) in [50, 7, 2_000_000, -1, 8].into_iter().enumerate() {
        for link in &links {
            let mut row = note_row(link, store.id(), (number % 2 == 0).then(|| number.to_string()).as_deref());
            row.note.occurred_at = at_micro(micro);
            row.note.archived = number == 1;
            all.push(store.put_note(row).await);
        }
    }
    let mut moved = all.remove(0);
    moved.note.occurred_at = at_micro(9);
    store.apply([put(&moved, Some(1))]).await;
    all.push(NoteRow { version: 2, ..moved });
    all.sort_by_key(|row| row.note.occurred_at);
    for link in links {
        let id = link.link.id;
        let wanted: Vec<_> = all.iter().filter(|row| row.note.link == id).cloned().collect();
        assert_eq!(store.read(|engine| engine.notes_of_link(id)).await, wanted);
    }
    let nobody = LinkId::from_number(store.id());
    assert!(store.read(|engine| engine.notes_of_link(nobody)).await.is_empty());
}

/// A discarded note is gone, and nothing else.
pub(super) async fn a_note_is_deleted(store: TestStore) {
    let connection = store.connection().await;
    let link = store.new_link(connection, &source("1")).await;
    let gone = store.put_note(note_row(&link, store.id(), Some("a"))).await;
    let stays = store.put_note(note_row(&link, store.id(), Some("b"))).await;
    let delete = Write::DeleteNote { id: gone.note.id };
    store.apply([delete.clone()]).await;
    store.apply([delete]).await;
    assert_eq!(note(&store, gone.note.id).await, None);
    assert_eq!(by_key(&store, connection, link.link.id, "a").await, None);
    let id = link.link.id;
    assert_eq!(store.read(|engine| engine.notes_of_link(id)).await, [stays]);
    store.conflicts([put(&gone, Some(1))]).await;
}
