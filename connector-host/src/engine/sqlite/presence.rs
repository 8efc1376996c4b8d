//! Whether the files of a database are still those that were opened.
//!
//! A file that is deleted or replaced stays there for the process that has it open, and for nobody else: what is written
//! to it is gone when the process ends. SQLite does not notice. So the writer looks before each group of commits, and
//! once more before it answers.

use std::io;
use std::path::{Path, PathBuf};

use super::fail::Fail;
use super::writer::log_path;

/// The files of a database, by what tells a file from all others of the machine.
#[derive(Debug)]
pub(super) struct Presence {
    files: Vec<(PathBuf, Option<FileId>)>,
}

type FileId = (u64, u64);

/// Asks for the number of the file alone. Whoever asks for the times of a file as well makes its next write one with a
/// time of its own (Linux 6.13, "multigrain timestamps"), which the next flush then has to write to the disk, too: of
/// the log, with each commit.
#[cfg(target_os = "linux")]
fn file_id(path: &Path) -> io::Result<Option<FileId>> {
    use rustix::fs::{AtFlags, CWD, StatxFlags};
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::INO)?;
    let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
    Ok(Some((device, found.stx_ino)))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn file_id(path: &Path) -> io::Result<Option<FileId>> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path)?;
    Ok(Some((metadata.dev(), metadata.ino())))
}

/// Elsewhere, a file that is open is neither deleted nor replaced.
#[cfg(not(unix))]
fn file_id(path: &Path) -> io::Result<Option<FileId>> {
    std::fs::metadata(path).map(|_| None)
}

impl Presence {
    /// The database and its write-ahead log, as they are now.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let paths = [database.to_owned(), log_path(database)];
        let files = paths.into_iter().map(|path| file_id(&path).map(|id| (path, id)));
        Ok(Self { files: files.collect::<io::Result<_>>()? })
    }

    /// Fails if one of the files was deleted or replaced.
    pub(super) fn check(&self) -> Result<(), Fail> {
        for (path, opened) in &self.files {
            let what = match file_id(path) {
                Ok(found) if found == *opened => continue,
                Ok(_) => "was replaced by another file",
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was deleted or moved away",
                // Whether it is there cannot be seen, as without the right to look into its directory: the disk decides.
                Err(_) => continue,
            };
            return Err(Fail::Replaced(format!("{} {what} while it was open", path.display())));
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use connector_core::engine::{CommitError, Engine as _, EngineError, Write, WriteSet};

    use super::super::{SqliteEngine, SqliteOptions};

    /// A database that was deleted or replaced takes no writes, says so, and does not close as if all were well.
    #[tokio::test]
    async fn a_database_that_is_deleted_or_replaced_takes_no_writes() {
        for (case, name) in ["test.db", "test.db-wal"].iter().flat_map(|name| [("deleted", name), ("replaced", name)]) {
            let directory = std::env::temp_dir().join(format!("connector-{case}-{name}-{}", std::process::id()));
            fs::create_dir_all(&directory).unwrap();
            let path = directory.join("test.db");
            let options = SqliteOptions { log_size: 256 * 1024, ..SqliteOptions::default() };
            let engine = SqliteEngine::open(&path, options).unwrap();
            let put = || WriteSet::of([Write::PutSetting { name: "a".to_owned(), value: Some("1".into()) }]);
            engine.commit(put()).await.unwrap();
            let file = directory.join(name);
            let copy = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            if case == "replaced" {
                // The old number is not given again while the old file is there.
                fs::write(&file, copy).unwrap();
            }
            for _ in 0..2 {
                let error = engine.commit(put()).await.unwrap_err();
                let CommitError::Engine(EngineError::NotWritable { reason, .. }) = &error else { panic!("{error}") };
                assert!(reason.contains(case) && reason.contains("stop this process"), "{reason}");
            }
            let error = engine.close().await.unwrap_err();
            assert!(matches!(error, EngineError::NotWritable { .. }), "{case} {name}: {error}");
            fs::remove_dir_all(&directory).unwrap();
        }
    }
}
