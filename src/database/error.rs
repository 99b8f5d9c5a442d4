//! What can go wrong with a file of records.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Database;

/// A database and what was wrong with parts of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// All records that could be read.
    pub database: Database,
    /// One for each record or field that could not.
    pub warnings: Vec<LoadWarning>,
}

/// A part of a file that was ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadWarning {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// What was ignored and why.
    pub message: String,
}

impl fmt::Display for LoadWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file or its folder cannot be written.
    #[error("{}: cannot be written: {source}; the old file, if any, is unchanged", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is too large to be a database.
    #[error("{}: {found} {unit}, more than the {limit} that a database may have", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too many: `bytes` or `records`.
        unit: &'static str,
        /// How many there are, or were seen.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The head of the file, above the first record, is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Head {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The file was written by a later version.
    #[error(
        "{}: format {found}, this version reads up to format {supported}; use a newer version, or another file",
        path.display()
    )]
    FutureFormat {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: i64,
        /// The latest format that this version reads.
        supported: i64,
    },
    /// The file's records were measured on another CPU model.
    #[error("{}: {source}", path.display())]
    OtherCpu {
        /// The file.
        path: PathBuf,
        /// Both CPU models.
        source: OtherCpu,
    },
}

/// Records of two CPU models do not mix: their times mean nothing to each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("records of CPU {found}, not of {expected}; each CPU model needs a file of its own")]
pub struct OtherCpu {
    /// File stem of the CPU model of those records.
    pub found: String,
    /// File stem of the CPU model that was expected.
    pub expected: String,
}
