//! Files: bounded reading, and replacement of a whole file or of nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{DatabaseError, Loaded};
use super::format::MOST_RECORDS;
use super::{Database, Key, MergePolicy, Merged, Pruned, Record};

/// Far more than any tuning yields; a bound for files of strangers.
const MOST_BYTES: u64 = 32 << 20;

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
pub(super) fn commit(
    database: &Database,
    path: &Path,
    policy: MergePolicy,
) -> Result<Merged, DatabaseError> {
    let turn = Turn::take(path)?;
    let Some(Loaded { database: mut old, warnings }) = turn.existing()? else {
        turn.write(database)?;
        return Ok(Merged { added: database.len(), ..Merged::default() });
    };
    let merged = old
        .merge_by(database.clone(), policy)
        .map_err(|source| DatabaseError::OtherCpu { path: path.to_owned(), source })?;
    // What this process found out about the CPU is newer: caches and features may differ.
    old.cpu = database.cpu.clone();
    if !warnings.is_empty() {
        let backup = turn.back_up()?;
        for warning in &warnings {
            tracing::warn!(backup = %backup.display(), "{warning}");
        }
    }
    turn.write(&old)?;
    Ok(merged)
}

/// Takes records out of a file.
pub(super) fn prune(
    path: &Path,
    mut is_dropped: impl FnMut(&Record) -> bool,
) -> Result<Pruned, DatabaseError> {
    // A file that is not there is no reason to make a folder and a lock.
    if let Err(source) = fs::metadata(path) {
        return Err(DatabaseError::Read { path: path.to_owned(), source });
    }
    let turn = Turn::take(path)?;
    let Some(Loaded { mut database, .. }) = turn.existing()? else {
        return Ok(Pruned { records: Vec::new(), left: 0, backup: None });
    };
    let is_dropped = |_: &Key, record: &mut Record| is_dropped(record);
    let records: Vec<Record> =
        database.records.extract_if(.., is_dropped).map(|(_, record)| record).collect();
    let left = database.len();
    if records.is_empty() {
        return Ok(Pruned { records, left, backup: None });
    }
    let backup = Some(turn.back_up()?);
    turn.write(&database)?;
    Ok(Pruned { records, left, backup })
}

/// The right to change a file, until it is dropped.
///
/// The lock is on a file of its own, because the data file is replaced. It is never removed: a
/// writer might be waiting for it.
struct Turn {
    path: PathBuf,
    /// `None` where the file system knows no locks.
    _lock: Option<File>,
}

impl Turn {
    /// Waits until no other writer is at work on a file, whose folder is created where it does not
    /// exist.
    fn take(path: &Path) -> Result<Self, DatabaseError> {
        // A link to a file elsewhere stays a link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let failed = |source| DatabaseError::Write { path: path.clone(), source };
        fs::create_dir_all(folder(&path)).map_err(failed)?;
        let lock = lock(&path).map_err(failed)?;
        if lock.is_some() {
            remove_leftovers(&path);
        }
        Ok(Self { path, _lock: lock })
    }

    /// What the file holds; `None` where it does not exist or is blank.
    fn existing(&self) -> Result<Option<Loaded>, DatabaseError> {
        existing(&self.path)
    }

    /// Copies the file to another name, which no earlier copy has.
    fn back_up(&self) -> Result<PathBuf, DatabaseError> {
        back_up(&self.path).map_err(|source| self.failed(source))
    }

    /// Gives the file new contents.
    fn write(&self, database: &Database) -> Result<(), DatabaseError> {
        let text = database.to_toml();
        // What could not be read again would be lost.
        let found = text.len() as u64;
        if found > MOST_BYTES {
            let path = self.path.clone();
            return Err(DatabaseError::TooLarge { path, unit: "bytes", found, limit: MOST_BYTES });
        }
        if database.len() > MOST_RECORDS {
            let (found, limit) = (database.len() as u64, MOST_RECORDS as u64);
            let path = self.path.clone();
            return Err(DatabaseError::TooLarge { path, unit: "records", found, limit });
        }
        replace(&self.path, |file| file.write_all(text.as_bytes()))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> DatabaseError {
        DatabaseError::Write { path: self.path.clone(), source }
    }
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

/// Waits for the lock of a file; `None` where there are no locks.
fn lock(path: &Path) -> io::Result<Option<File>> {
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

/// Removes temporary files of writers that died. Whoever holds the lock is the only living writer.
fn remove_leftovers(path: &Path) {
    let (Some(name), Ok(entries)) = (path.file_name(), fs::read_dir(folder(path))) else { return };
    for entry in entries.flatten() {
        if is_temporary_of(&name.to_string_lossy(), &entry.file_name().to_string_lossy()) {
            // A leftover does no harm, so neither does failing here.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file name is one that [`replace`] gives.
fn is_temporary_of(name: &str, found: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    found
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp")?.split_once('-'))
        .is_some_and(|(process, serial)| is_number(process) && is_number(serial))
}

/// Copies a file to `<file>.bak`, or to `<file>.bak.1` and so on where there is an earlier copy of
/// other contents.
fn back_up(path: &Path) -> io::Result<PathBuf> {
    /// More copies than anybody looks through; the last one is overwritten then.
    const MOST_COPIES: usize = 100;
    let contents = fs::read(path)?;
    let mut copy = beside(path, ".bak");
    for index in 1..MOST_COPIES {
        match fs::read(&copy) {
            Ok(earlier) if earlier == contents => return Ok(copy),
            Ok(_) => copy = beside(path, &format!(".bak.{index}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    replace(&copy, |file| file.write_all(&contents))?;
    Ok(copy)
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
    if let Ok(folder) = File::open(folder(path)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
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
    fn leftovers_of_dead_writers_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.toml");
        let kept = ["records.toml", "records.toml.bak", "records.toml.x-1.tmp", "x.toml.7-0.tmp"];
        for name in kept.iter().chain(&["records.toml.7-0.tmp", "records.toml.123-45.tmp"]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(&path);
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, kept);
    }

    #[test]
    fn copies_of_other_contents_get_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.toml");
        for (contents, name) in [
            ("one", "records.toml.bak"),
            ("two", "records.toml.bak.1"),
            ("two", "records.toml.bak.1"),
            ("three", "records.toml.bak.2"),
            ("one", "records.toml.bak"),
        ] {
            fs::write(&path, contents).unwrap();
            let copy = back_up(&path).unwrap();
            assert_eq!(copy, folder.path().join(name));
            assert_eq!(fs::read_to_string(copy).unwrap(), contents);
        }
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
