use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What another process may read about the holder.
pub(super) type LockInfo = Vec<(String, String)>;

/// Keeps a second host off the database, and tells it where the first one is.
///
/// The lock is one of the operating system, which ends with the process, however that ends. The
/// file stays: removing it could take it from under another that is just locking it.
#[derive(Debug)]
pub(super) struct LockFile(Mutex<File>);

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another has it: this one, if it says so.
    Held(Option<LockInfo>),
    /// There can be no such file.
    Io(io::Error),
}

/// The lock file of a database.
pub(super) fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Opens a file for the user of this process alone, and makes it if it is not there.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl LockFile {
    /// Takes the lock of a database.
    pub(super) fn take(database: &Path, info: &[(String, String)]) -> Result<Self, LockError> {
        let path = lock_path(database);
        let mut file = open_private(&path).map_err(LockError::Io)?;
        // Whoever asks for the holder's info holds the lock for a moment: see `holder_info`.
        let mut tries = 3;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries > 0 => {
                    tries -= 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held(read_info(&mut file).ok()));
                }
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
        }
        // One that was made by hand, or came from a backup, may be open to others.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(LockError::Io)?;
        let lock = Self(Mutex::new(file));
        lock.set_info(info).map_err(LockError::Io)?;
        Ok(lock)
    }

    /// Replaces what others read: the process id, and these lines.
    pub(super) fn set_info(&self, info: &[(String, String)]) -> io::Result<()> {
        let mut text = format!("pid: {}\n", std::process::id());
        for (name, value) in info {
            text.push_str(&one_line(name));
            text.push_str(": ");
            text.push_str(&one_line(value));
            text.push('\n');
        }
        self.rewrite(text.as_bytes())
    }

    /// Lets the next one in. The info goes, for it is true no more.
    pub(super) fn release(&self) -> io::Result<()> {
        self.rewrite(b"")?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unlock()
    }

    fn rewrite(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytes)
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn read_info(file: &mut File) -> io::Result<LockInfo> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    // The holder writes a few lines; anything longer is not from it.
    file.take(64 * 1024).read_to_string(&mut text)?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// What the holder of a database's lock says; none if nobody has it open.
pub(super) fn holder_info(database: &Path) -> Option<LockInfo> {
    let mut file = File::open(lock_path(database)).ok()?;
    // What a process left that was killed is not true any more. Only the lock tells.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_info(&mut file).ok(),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}
