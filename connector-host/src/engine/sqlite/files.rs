//! The files of users: rows, chunks of bytes, and which notes have them.

use bytes::Bytes;
use connector_core::engine::{CommitError, FileRow};
use connector_core::id::{FileId, LinkId, NoteId, UserId};
use connector_core::model::Note;
use jiff::Timestamp;
use rusqlite::params;

use super::apply::{Applied, Apply, one_or_conflict, version_after};
use super::queries::{Found, limit};
use super::rows;
use super::statements::Statements;

pub(super) fn file(db: &Statements<'_>, id: FileId) -> Found<Option<FileRow>> {
    let sql = "SELECT id, owner, name, media_type, size, created_at, version FROM file WHERE id = ?1";
    db.first(sql, [id.number()], rows::file)
}

pub(super) fn chunk(db: &Statements<'_>, id: FileId, index: u32) -> Found<Option<Bytes>> {
    let sql = "SELECT bytes FROM file_chunk WHERE file_id = ?1 AND place = ?2";
    db.first(sql, params![id.number(), index], |row| rows::blob(row, 0))
}

pub(super) fn unused(db: &Statements<'_>, before: Timestamp, count: usize) -> Found<Vec<FileRow>> {
    let sql = "SELECT id, owner, name, media_type, size, created_at, version FROM file
               WHERE created_at < ?1 AND NOT EXISTS (SELECT 1 FROM note_file WHERE file_id = file.id)
               ORDER BY id LIMIT ?2";
    db.all(sql, params![before.as_microsecond(), limit(count)], rows::file)
}

pub(super) fn unused_bytes(db: &Statements<'_>, owner: &UserId) -> Found<u64> {
    let sql =
        "SELECT SUM(size) FROM file WHERE owner = ?1 AND NOT EXISTS (SELECT 1 FROM note_file WHERE file_id = file.id)";
    let sum = db.first(sql, [owner.as_str()], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
    Ok(sum.flatten().map_or(0, i64::unsigned_abs))
}

/// Whether it is there, and whole.
pub(super) fn is_whole(db: &Statements<'_>, id: FileId) -> Found<bool> {
    Ok(db.exists("SELECT 1 FROM file WHERE id = ?1 AND size IS NOT NULL", [id.number()])?)
}

impl Apply<'_, '_> {
    pub(super) fn put_file(&self, row: &FileRow, expect: Option<i64>) -> Applied {
        let values = params![
            row.id.number(),
            row.owner.as_str(),
            row.name,
            row.media_type,
            row.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
            row.created_at.as_microsecond(),
            version_after(expect),
        ];
        let sql = match expect {
            None => {
                "INSERT INTO file(id, owner, name, media_type, size, created_at, version) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING"
            }
            Some(_) => {
                "UPDATE file SET owner = ?2, name = ?3, media_type = ?4, size = ?5, created_at = ?6, version = ?7
                 WHERE id = ?1 AND version = ?7 - 1"
            }
        };
        one_or_conflict(self.db.run(sql, values)?)
    }

    pub(super) fn put_file_chunk(&self, file: FileId, index: u32, bytes: &Bytes) -> Applied {
        if !self.db.exists("SELECT 1 FROM file WHERE id = ?1 AND size IS NULL", [file.number()])? {
            return Err(CommitError::RecordConflict.into());
        }
        let sql = "INSERT INTO file_chunk(file_id, place, bytes) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING";
        one_or_conflict(self.db.run(sql, params![file.number(), index, bytes.as_ref()])?)
    }

    /// Says which files a note has, once it is stored. A new one had none before.
    pub(super) fn put_files_of(&self, note: &Note, new: bool) -> Applied {
        let id = note.id.number();
        let lost = if new {
            Vec::new()
        } else {
            let had = "SELECT file_id FROM note_file WHERE note_id = ?1";
            let mut lost = self.db.all(had, [id], |row| Ok(row.get::<_, i64>(0)?))?;
            lost.retain(|file| !note.files().any(|kept| kept.number() == *file));
            lost
        };
        for file in &lost {
            self.db.run("DELETE FROM note_file WHERE note_id = ?1 AND file_id = ?2", [id, *file])?;
        }
        for file in note.files() {
            self.db.run("INSERT OR IGNORE INTO note_file(note_id, file_id) VALUES(?1, ?2)", [id, file.number()])?;
        }
        self.delete_unused_files(lost)
    }

    /// Removes what says which files some notes have, by a statement that returns the files, and those that
    /// are then without a note.
    pub(super) fn lose_files(&self, sql: &'static str, of: i64) -> Applied {
        let lost = self.db.all(sql, [of], |row| Ok(row.get::<_, i64>(0)?))?;
        self.delete_unused_files(lost)
    }

    pub(super) fn delete_unused_files(&self, ids: impl IntoIterator<Item = i64>) -> Applied {
        for id in ids {
            let sql = "DELETE FROM file WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM note_file WHERE file_id = ?1)";
            if self.db.run(sql, [id])? == 1 {
                self.db.run("DELETE FROM file_chunk WHERE file_id = ?1", [id])?;
            }
        }
        Ok(())
    }

    pub(super) fn delete_note(&self, id: NoteId) -> Applied {
        self.lose_files("DELETE FROM note_file WHERE note_id = ?1 RETURNING file_id", id.number())?;
        self.db.run("DELETE FROM note WHERE id = ?1", [id.number()])?;
        Ok(())
    }

    pub(super) fn delete_link(&self, id: LinkId) -> Applied {
        let sql = "DELETE FROM note_file WHERE note_id IN (SELECT id FROM note WHERE link_id = ?1) RETURNING file_id";
        self.lose_files(sql, id.number())?;
        self.db.run("DELETE FROM note WHERE link_id = ?1", [id.number()])?;
        self.db.run("DELETE FROM link WHERE id = ?1", [id.number()])?;
        Ok(())
    }
}
