//! The SQLite file, and the lock that keeps other processes off it.
//!
//! SQLite itself would let several processes in. But versions are told inside one process only, and a second writer
//! would go unseen; so it is refused at the door.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::Error;

/// A database file that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// The lock ends when it is closed, also when the process is killed.
    _lock: File,
}

impl DatabaseFile {
    /// Locks the file, and makes it where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let path = resolve(path)?;
        // The lock comes before anything else touches the file: closing it again would end SQLite's own locks on it
        // if another store of this process had it open.
        let lock = lock(&path)?;
        match private().create_new(true).open(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::File { path, source: error })
            }
            Err(_) if path.is_dir() => Err(Error::File { path, source: io::ErrorKind::IsADirectory.into() }),
            _ => Ok(Self { path, _lock: lock }),
        }
    }

    /// The file, without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where its key is kept unless another place is configured.
    pub(super) fn key_path(&self) -> PathBuf {
        beside(&self.path, ".key")
    }
}

/// Writes a new file that only its owner may read: whole, on the disk, or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = beside(path, ".new");
    let mut file = private().create(true).truncate(true).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// One name for one file, so that its lock is one.
fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    match path.canonicalize() {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    match folder.canonicalize() {
        Ok(folder) => Ok(folder.join(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::FolderMissing(folder.to_owned())),
        Err(error) => Err(failed(error)),
    }
}

fn lock(database: &Path) -> Result<File, Error> {
    let path = beside(database, ".lock");
    let failed = |source| Error::File { path: path.clone(), source };
    let file = private().create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
