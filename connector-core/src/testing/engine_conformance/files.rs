use bytes::Bytes;

use super::TestStore;
use super::fixture::*;
use crate::engine::{Expect, FileRow, NoteRow, Write, WriteSet};
use crate::id::FileId;
use crate::model::{Attachment, AttachmentRef, Source};

fn put(row: &FileRow, expect: Option<i64>) -> Write {
    Write::PutFile { row: row.clone(), expect }
}

fn put_chunk(file: FileId, index: u32, text: &str) -> Write {
    Write::PutFileChunk { file, index, bytes: bytes(text) }
}

async fn found(store: &TestStore, id: FileId) -> Option<FileRow> {
    store.read(|engine| engine.file(id)).await
}

async fn chunk(store: &TestStore, id: FileId, index: u32) -> Option<Bytes> {
    store.read(|engine| engine.file_chunk(id, index)).await
}

/// A new file, whole, of one chunk.
async fn uploaded(store: &TestStore) -> FileId {
    let row = file_row(store.id());
    let whole = FileRow { size: Some(5), ..row.clone() };
    store.apply([put(&row, None), put_chunk(row.id, 0, "bytes"), put(&whole, Some(1))]).await;
    row.id
}

/// The note with these files in place of those that it had.
fn with_files(mut row: NoteRow, files: &[FileId]) -> NoteRow {
    let attach = |file: &FileId| Attachment { at: AttachmentRef::File(*file), ..Attachment::new("a.txt", "") };
    row.note.attachments = files.iter().map(attach).collect();
    row.note.attachments.push(Attachment::new("b.txt", "at the service"));
    row
}

async fn note_with(store: &TestStore, item: &str, files: &[FileId]) -> NoteRow {
    let connection = store.connection().await;
    let link = store.new_link(connection, &Source::new("github", [item])).await;
    store.put_note(with_files(note_row(&link, store.id(), None), files)).await
}

/// R10.4: a file comes back equal, chunk by chunk.
pub(super) async fn a_file_comes_back_equal(store: TestStore) {
    let row = file_row(store.id());
    let strange = FileRow {
        owner: "日本".into(),
        name: "a%b\"c'\u{1}日本.txt".to_owned(),
        media_type: "text/plain; charset=utf-8".to_owned(),
        size: Some(u64::from(u32::MAX) + 7),
        created_at: at_micro(999_999),
        ..file_row(store.id())
    };
    let large: Bytes = (0..=255_u8).cycle().take(300_000).collect();
    let whole = Write::PutFileChunk { file: row.id, index: 1, bytes: large.clone() };
    store.apply([put(&row, None), put(&strange, None), put_chunk(row.id, 0, ""), whole]).await;
    assert_eq!(found(&store, row.id).await, Some(FileRow { version: 1, ..row.clone() }));
    assert_eq!(found(&store, strange.id).await, Some(FileRow { version: 1, ..strange.clone() }));
    assert_eq!(chunk(&store, row.id, 0).await, Some(Bytes::new()));
    assert_eq!(chunk(&store, row.id, 1).await, Some(large));
    assert_eq!((chunk(&store, row.id, 2).await, chunk(&store, strange.id, 0).await), (None, None));
    assert_eq!(found(&store, FileId::from_number(store.id())).await, None);
}

/// An upload is whole once, and by the one that began it.
pub(super) async fn a_file_row_is_versioned(store: TestStore) {
    let row = file_row(store.id());
    store.conflicts([put(&row, Some(1))]).await;
    store.apply([put(&row, None)]).await;
    for wrong in [None, Some(0), Some(2)] {
        store.conflicts([put(&row, wrong)]).await;
    }
    store.apply([put(&FileRow { size: Some(0), ..row.clone() }, Some(1))]).await;
    assert_eq!(found(&store, row.id).await, Some(FileRow { size: Some(0), version: 2, ..row }));
}

/// Nothing is added to what is whole, or gone, or there: so a late chunk leaves no orphan.
pub(super) async fn a_chunk_needs_a_file_that_is_not_whole(store: TestStore) {
    let absent = FileId::from_number(store.id());
    store.conflicts([put_chunk(absent, 0, "a")]).await;
    let row = file_row(store.id());
    store.apply([put(&row, None), put_chunk(row.id, 0, "a")]).await;
    store.conflicts([put_chunk(row.id, 0, "b")]).await;
    store.apply([put_chunk(row.id, 1, "b"), put(&FileRow { size: Some(2), ..row.clone() }, Some(1))]).await;
    store.conflicts([put_chunk(row.id, 2, "c")]).await;
    assert_eq!(chunk(&store, row.id, 0).await, Some(bytes("a")));
    assert_eq!(chunk(&store, row.id, 2).await, None);
    store.apply([Write::DeleteFiles { ids: vec![row.id, absent] }]).await;
    assert_eq!((found(&store, row.id).await, chunk(&store, row.id, 0).await), (None, None));
    store.conflicts([put_chunk(row.id, 1, "b")]).await;
}

/// A note is stored with a file only while that is there, and whole.
pub(super) async fn a_whole_file_is_expected(store: TestStore) {
    let (whole, begun) = (uploaded(&store).await, file_row(store.id()));
    store.apply([put(&begun, None)]).await;
    let setting = Write::PutSetting { name: "name".to_owned(), value: Some(bytes("value")) };
    let set = |id| WriteSet { expects: vec![Expect::File { id }], ..WriteSet::of([setting.clone()]) };
    for id in [begun.id, FileId::from_number(store.id())] {
        let error = store.refused(set(id)).await;
        assert!(matches!(error, crate::engine::CommitError::RecordConflict), "{error:?}");
    }
    assert!(store.read(|engine| engine.settings(String::new())).await.is_empty());
    store.commit(set(whole)).await;
}

/// A file goes with the last note that has it: deleted, edited, or removed with its link or connection.
pub(super) async fn a_file_goes_with_its_last_note(store: TestStore) {
    let there = async |id| (found(&store, id).await.is_some(), chunk(&store, id, 0).await.is_some());
    for number in 0..4 {
        let (file, kept) = (uploaded(&store).await, uploaded(&store).await);
        let first = note_with(&store, &format!("{number}/first"), &[file, kept]).await;
        let second = note_with(&store, &format!("{number}/second"), &[file]).await;
        store.apply([Write::DeleteFiles { ids: vec![file, kept] }]).await;
        assert_eq!(there(file).await, (true, true), "a note has it");
        store.apply([Write::DeleteNote { id: second.note.id }]).await;
        assert_eq!(there(file).await, (true, true), "another note has it");
        let end = match number {
            0 => Write::DeleteNote { id: first.note.id },
            1 => Write::DeleteLink { id: first.note.link },
            2 => Write::DeleteConnection { id: first.connection },
            _ => Write::PutNote { row: Box::new(with_files(first.clone(), &[kept])), expect: Some(1) },
        };
        store.apply([end]).await;
        assert_eq!(there(file).await, (false, false), "no note has it any more");
        let edited = number == 3;
        assert_eq!(there(kept).await, (edited, edited));
    }
}

/// What was uploaded and never used, or never became whole, is found by its age.
pub(super) async fn unused_files_are_found_by_age(store: TestStore) {
    let mut rows = Vec::new();
    for second in [3, 1, 2, 9] {
        let row = FileRow { created_at: at(second), ..file_row(store.id()) };
        store.apply([put(&row, None)]).await;
        rows.push(row.id);
    }
    let used = uploaded(&store).await;
    note_with(&store, "used", &[used]).await;
    let unused = async |before, limit| -> Vec<FileId> {
        store.read(|engine| engine.unused_files(at(before), limit)).await.iter().map(|row| row.id).collect()
    };
    assert_eq!(unused(3, ALL).await, rows[1..3]);
    assert_eq!(unused(9, ALL).await, rows[..3]);
    assert_eq!(unused(10, ALL).await, rows);
    assert_eq!(unused(10, 2).await, rows[..2]);
}

/// Files count by their owner, once they are whole and while no note has them.
pub(super) async fn unused_bytes_are_those_of_a_user(store: TestStore) {
    let bytes = async |owner: &'static str| store.read(|engine| engine.unused_bytes(owner.into())).await;
    assert_eq!(bytes("ada").await, 0);
    let mut files = Vec::new();
    for (owner, size) in [("ada", Some(5)), ("ada", Some(7)), ("ada", None), ("bob", Some(11))] {
        let row = FileRow { owner: owner.into(), size, ..file_row(store.id()) };
        store.apply([put(&row, None)]).await;
        files.push(row.id);
    }
    assert_eq!((bytes("ada").await, bytes("bob").await), (12, 11));
    note_with(&store, "used", &files[..1]).await;
    assert_eq!((bytes("ada").await, bytes("bob").await), (7, 11));
}
