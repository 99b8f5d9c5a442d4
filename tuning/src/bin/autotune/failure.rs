//! Why a command ended early, and the exit code that says so.

use std::path::PathBuf;

use crate::watch::INTERRUPTED;

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Flags that make no sense together.
    #[error("{0}\n\nFor more information, try '--help'.")]
    Usage(String),
    /// Flags that make no workload.
    #[error("these flags make no workload: {0}")]
    Workload(#[from] dsconv::InvalidWorkload),
    /// A file or an array in it.
    #[error(transparent)]
    Array(#[from] crate::npy::ArrayError),
    /// The platform names no cache folder, and neither does the user.
    #[error("this platform names no cache folder for the user: name the file with --cache FILE")]
    NoCachePath,
    /// A database file.
    #[error(transparent)]
    Database(#[from] dsconv::DatabaseError),
    /// The record was found but not kept.
    #[error("the record was not written to {}: {reason}", path.display())]
    NotCommitted {
        /// The file it was meant for.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Ended by Ctrl-C or a termination signal.
    #[error("interrupted: the best so far is kept; the same command continues the search")]
    Interrupted,
    /// Anything else, said in full.
    #[error("{0}")]
    Failed(String),
    /// The command is done, and some records need attention.
    #[error("{0}")]
    Attention(String),
    /// Standard output was closed by its reader.
    #[error("standard output was closed")]
    OutputClosed,
}

impl Failure {
    /// Any error that already says all there is to say.
    pub(crate) fn because(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// 2 where the command line is to blame, 3 where records are, 130 after an interruption, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Workload(_) => 2,
            Self::Attention(_) => 3,
            Self::Interrupted => INTERRUPTED,
            _ => 1,
        }
    }
}
