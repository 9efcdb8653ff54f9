//! The folder and the files of the store: readable for this user only, taken by one process, and
//! checked before each answer, because SQLite goes on writing into a file that was deleted or moved.

use super::OpenError;
use crate::StoreError;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(super) const DATABASE: &str = "herald.db";
const LOCK: &str = "herald.lock";
/// All that SQLite and Herald keep there, the lock included: without it a second process could come.
const NAMES: [&str; 4] = [LOCK, DATABASE, "herald.db-wal", "herald.db-shm"];
/// How often, and after what wait, the lock is tried again.
const LOCK_TRIES: u32 = 10;
const LOCK_WAIT: Duration = Duration::from_millis(10);
pub(super) const EMPTY_BESIDE_LOG: &str = "herald.db is empty, and herald.db-wal beside it is not: nothing in it can be used without the \
     other; restore both from a backup, or move both away to begin with nothing";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes a folder that only this user can enter, with its parents. One that exists stays as it is.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    // A power cut must not take the folder with what was synced inside it.
    match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Takes the folder for this process, for as long as the file is open.
pub(super) fn take_folder(folder: &Path) -> Result<File, OpenError> {
    let unusable = |error| OpenError::Folder(folder.to_owned(), error);
    make_folder(folder).map_err(unusable)?;
    for name in NAMES {
        must_be_a_file(&folder.join(name)).map_err(unusable)?;
    }
    let lock = make_file(&folder.join(LOCK)).map_err(unusable)?;
    let mut taken = lock.try_lock();
    for _ in 0..LOCK_TRIES {
        if !matches!(taken, Err(TryLockError::WouldBlock)) {
            break;
        }
        // It may be somebody who only looks whether it is taken.
        std::thread::sleep(LOCK_WAIT);
        taken = lock.try_lock();
    }
    match taken {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    // SQLite gives its other files the mode of the database. It must not be open yet: closing any
    // descriptor of a file drops all locks that this process holds on it.
    make_file(&folder.join(DATABASE)).map_err(unusable)?;
    for name in NAMES {
        close_to_others(&folder.join(name)).map_err(unusable)?;
    }
    Ok(lock)
}

/// Whether a process has the store of a database file in use. Takes and makes nothing.
pub(super) fn is_taken(database: &Path) -> bool {
    let lock = database.parent().unwrap_or(Path::new("")).join(LOCK);
    // Whoever starts just now is told that it is in use only if it asks within these microseconds,
    // and asks again.
    File::open(lock)
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Opening a pipe waits for its other end, and the mode of a device is everybody's.
fn must_be_a_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let name = path.file_name().unwrap_or_default().display();
            Err(io::Error::other(format!("{name} is no file; move it away")))
        }
        _ => Ok(()),
    }
}

fn make_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// A file of an older version may be open to all.
fn close_to_others(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.mode() & 0o077 != 0 => {
            fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Which file it is, whatever its name.
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Identity> {
        let found = fs::metadata(path)?;
        Ok(Identity { device: found.dev(), inode: found.ino() })
    }
}

/// Where the open files were found.
pub(super) struct Files {
    opened: Vec<(PathBuf, Identity)>,
    /// What was said last, so that it is said once.
    said: Mutex<Option<String>>,
    /// A commit may have gone into a file that nobody will find: the index and the file differ.
    is_lost: AtomicBool,
}

impl Files {
    /// Notes which files they are. Called when SQLite has opened all of them.
    pub(super) fn opened(folder: &Path) -> io::Result<Files> {
        let paths = NAMES.map(|name| folder.join(name));
        let paths = std::iter::once(folder.to_owned()).chain(paths);
        let identify = |path: PathBuf| Identity::of(&path).map(|identity| (path, identity));
        let opened = paths.map(identify).collect::<io::Result<_>>()?;
        Ok(Files { opened, said: Mutex::default(), is_lost: AtomicBool::new(false) })
    }

    /// Whether what is written now will be found after a restart. Nothing may be written otherwise.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let problem = self.moved();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = if self.is_lost.load(Ordering::Relaxed) {
            // Also if they are back.
            said.clone().or(problem)
        } else {
            problem
        };
        self.say(&mut said, problem.as_deref());
        problem.map_or(Ok(()), |problem| Err(StoreError::Unavailable(problem)))
    }

    /// Whether what was just written will be found after a restart. If not, this store is never
    /// used again: some of what it was to forget may be in the file.
    pub(super) fn check_written(&self) -> Result<(), StoreError> {
        if self.moved().is_some() {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        self.check()
    }

    fn say(&self, said: &mut MutexGuard<'_, Option<String>>, problem: Option<&str>) {
        match (said.as_deref(), problem) {
            (None, Some(problem)) => tracing::error!("logins are refused: {problem}"),
            (Some(_), None) => tracing::warn!("the files of the store are back in their place"),
            _ => {}
        }
        **said = problem.map(str::to_owned);
    }

    fn moved(&self) -> Option<String> {
        self.opened.iter().find_map(|(path, identity)| {
            let what = match Identity::of(path) {
                Ok(found) if found == *identity => return None,
                Ok(_) => "was replaced by another".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    "was deleted or moved".to_owned()
                }
                Err(error) => format!("cannot be found any more ({error})"),
            };
            let path = path.display();
            Some(format!(
                "{path} {what} while it is in use, so nothing can be stored; put it back, or restart \
                 herald to begin with what is there"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        for name in NAMES {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let files = Files::opened(folder.path()).unwrap();
        (folder, files)
    }

    #[test]
    fn each_file_that_is_missed_is_named_until_the_same_one_is_back() {
        let (folder, files) = files();
        files.check().unwrap();
        for name in NAMES {
            let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            let error = files.check().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("deleted or moved"), "{error}");
            fs::write(&path, "").unwrap();
            let error = files.check().unwrap_err().to_string();
            assert!(error.contains("replaced"), "{error}");
            fs::rename(&aside, &path).unwrap();
            files.check().unwrap();
        }
    }

    #[test]
    fn what_vanished_during_a_commit_stays_lost() {
        let (folder, files) = files();
        let (path, aside) = (folder.path().join(DATABASE), folder.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        files.check_written().unwrap_err();
        fs::rename(&aside, &path).unwrap();
        files.check().unwrap_err();
    }
}
