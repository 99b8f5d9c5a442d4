//! Files: bounded reading, and replacement of a whole file or of nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Database;
use super::error::{DatabaseError, Loaded};

/// Far more than any tuning yields; a bound for files of strangers.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a file of bounded size.
pub(super) fn read(path: &Path) -> Result<String, DatabaseError> {
    let failed = |source| DatabaseError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let found = bytes.len() as u64;
    if found > MOST_BYTES {
        let path = path.to_owned();
        return Err(DatabaseError::TooLarge { path, unit: "bytes", found, limit: MOST_BYTES });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        DatabaseError::Head {
            path: path.to_owned(),
            line: 1 + good.iter().filter(|byte| **byte == b'\n').count(),
            message: "not UTF-8 text: this is no database".to_owned(),
        }
    })
}

/// Adds records to a file.
pub(super) fn commit(database: &Database, path: &Path) -> Result<(), DatabaseError> {
    // A link to a file elsewhere stays a link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    let failed = |source| DatabaseError::Write { path: path.to_owned(), source };
    if let Some(folder) = folder(path) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let _turn = take_turn(path).map_err(failed)?;
    let merged = match existing(path)? {
        None => database.clone(),
        Some(Loaded { database: mut old, warnings }) => {
            old.merge(database.clone())
                .map_err(|source| DatabaseError::OtherCpu { path: path.to_owned(), source })?;
            // What this process found out about the CPU is newer: caches and features may differ.
            old.cpu = database.cpu.clone();
            if !warnings.is_empty() {
                let backup = beside(path, ".bak");
                fs::copy(path, &backup).map_err(failed)?;
                for warning in &warnings {
                    tracing::warn!(backup = %backup.display(), "{warning}");
                }
            }
            old
        }
    };
    let text = merged.to_toml();
    replace(path, |file| file.write_all(text.as_bytes())).map_err(failed)
}

/// What the file holds; `None` where it does not exist or is blank.
fn existing(path: &Path) -> Result<Option<Loaded>, DatabaseError> {
    match read(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Database::from_toml(&text, path).map(Some),
        Err(DatabaseError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Waits until no other writer is at work on the file; the turn ends when the result is dropped.
///
/// The lock is on a file of its own, because the data file is replaced. It is never removed: a
/// writer might be waiting for it.
fn take_turn(path: &Path) -> io::Result<Option<File>> {
    let lock = OpenOptions::new().create(true).append(true).open(beside(path, ".lock"))?;
    match lock.lock() {
        Ok(()) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(path = %path.display(), "no file locks here: writers do not take turns");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Gives a file new contents, all of them or none.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let temporary = beside(path, &format!(".{}-{serial}.tmp", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let replaced = write(&mut file)
        .and_then(|()| match fs::metadata(path) {
            Ok(old) => file.set_permissions(old.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        // The first error is the one to tell; a leftover does no harm.
        let _ = fs::remove_file(&temporary);
        return replaced;
    }
    // The new name outlives a power cut where the folder can be synchronised; not all systems can.
    if let Some(folder) = folder(path).and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The folder of a file; `None` for a bare name.
fn folder(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// A file in the same folder.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.toml");
        fs::write(&path, "old").unwrap();
        let full = |file: &mut File| {
            file.write_all(b"half of the ne")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = replace(&path, full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["records.toml"]);
    }

    #[test]
    fn a_rename_that_fails_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.toml");
        fs::create_dir(&path).unwrap();
        replace(&path, |file| file.write_all(b"new")).unwrap_err();
        assert_eq!(names(folder.path()), ["records.toml"]);
    }

    #[test]
    fn a_write_that_succeeds_replaces_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.toml");
        fs::write(&path, "a longer old text").unwrap();
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["records.toml"]);
    }
}
