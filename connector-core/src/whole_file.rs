//! Files that are written whole or not at all.
//!
//! The text goes into a temporary file beside the target, to the disk, and then under its name. A process that is
//! killed, or a disk that is full, leaves the file as it was, never half a file and never an empty one. A temporary
//! file that a killed process left begins with a dot and ends with `.tmp`; it can be removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells temporary files of this process apart.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Writes a file, in place of one that is there. Its permissions are those of a new file.
///
/// # Errors
///
/// The temporary file cannot be made, written or renamed. The target is then as it was.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    written(path, false, |file| file.write_all(contents), |temporary| fs::rename(temporary, path))
}

/// Makes a file that only the user of this process can read and write (mode 0600 on Unix).
///
/// # Errors
///
/// [`AlreadyExists`](ErrorKind::AlreadyExists) if the file is there: it stays as it is, also when another process
/// makes it at the same time. Other errors as those of [`replace`].
pub fn create_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    written(path, true, |file| file.write_all(contents), |temporary| give_new_name(temporary, path))
}

/// Gives a file a name that no file has. A link fails where the name is taken; a rename would replace it.
fn give_new_name(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // The file system knows no links.
        Err(_) if path.symlink_metadata().is_ok() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(temporary, path),
    }
}

fn written(
    path: &Path,
    private: bool,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    name: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = beside(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(&temporary)?;
    let done = write(&mut file).and_then(|()| file.sync_all());
    drop(file);
    match done.and_then(|()| name(&temporary)) {
        Ok(()) => sync_folder(path),
        Err(error) => {
            // The first error is the one to report; what is left of the file is named in the module's docs.
            fs::remove_file(&temporary).ok();
            Err(error)
        }
    }
}

/// A name in the same folder that no other file has.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(temporary))
}

/// The new name of the file is on the disk, too.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("connector-whole-file-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect()
    }

    #[test]
    fn a_file_is_made_and_replaced() {
        let folder = folder("replaced");
        let path = folder.join("a");
        for text in ["one", "another"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(&folder), ["a"]);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_the_file_as_it_was() {
        let folder = folder("failed");
        let path = folder.join("a");
        let full = |file: &mut File| {
            file.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        };
        for private in [true, false] {
            let error = written(&path, private, full, |temporary| fs::rename(temporary, &path)).unwrap_err();
            assert_eq!((error.kind(), names(&folder)), (ErrorKind::StorageFull, Vec::new()));
        }
        fs::write(&path, "before").unwrap();
        written(&path, false, full, |temporary| fs::rename(temporary, &path)).unwrap_err();
        assert_eq!((fs::read_to_string(&path).unwrap(), names(&folder)), ("before".to_owned(), vec!["a".to_owned()]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_private_file_is_made_once() {
        let folder = folder("private");
        let path = folder.join("a");
        let made: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|maker: u8| {
                    let path = &path;
                    scope.spawn(move || create_private(path, &[maker; 100]).map(|()| maker))
                })
                .collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        let winners: Vec<u8> = made.iter().filter_map(|made| made.as_ref().ok().copied()).collect();
        assert_eq!(winners.len(), 1, "{made:?}");
        assert!(
            made.iter().filter_map(|made| made.as_ref().err()).all(|error| error.kind() == ErrorKind::AlreadyExists)
        );
        assert_eq!(fs::read(&path).unwrap(), [winners[0]; 100]);
        assert_eq!(names(&folder), ["a"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
