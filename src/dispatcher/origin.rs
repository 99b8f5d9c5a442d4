//! Where a schedule came from.

use std::fmt;
use std::path::PathBuf;

use dsconv_kernels::{CODE_GENERATION, Workload};

use super::layers::Layer;

/// Where the schedule of a block came from, the best first. Displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A record of this workload, instruction set and number of threads on this CPU model.
    Exact(Source),
    /// Such a record of this CPU model with another stepping or other caches.
    SameMicroarchitecture(Source),
    /// Such a record of another CPU.
    SameIsa(Source),
    /// The adapted schedule of a similar workload.
    NearestWorkload {
        /// The workload that was tuned.
        workload: Workload,
        /// Threads it was tuned for.
        threads: usize,
        /// The record's home.
        source: Source,
    },
    /// The analytic default: nothing was measured.
    Heuristic,
}

/// The home of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The layer that answered.
    pub layer: Layer,
    /// The file, where the layer was read from one.
    pub path: Option<PathBuf>,
    /// File stem of the CPU model that it was tuned on.
    pub cpu: String,
    /// Version of the generated code that it was tuned with.
    pub code_generation: u32,
}

impl Origin {
    /// The home of the record; `None` where nothing was tuned.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Exact(source) | Self::SameMicroarchitecture(source) | Self::SameIsa(source) => {
                Some(source)
            }
            Self::NearestWorkload { source, .. } => Some(source),
            Self::Heuristic => None,
        }
    }

    /// Whether tuning here might find a faster schedule: anything but a record of this very CPU
    /// model and of the code that this version generates.
    pub fn is_improvable(&self) -> bool {
        !matches!(self, Self::Exact(source) if source.is_current())
    }
}

impl Source {
    /// Whether the record was tuned with the code that this version generates.
    pub fn is_current(&self) -> bool {
        self.code_generation == CODE_GENERATION
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(source) => write!(f, "tuned on this CPU model, {source}"),
            Self::SameMicroarchitecture(source) => write!(
                f,
                "tuned on another stepping or other caches of this CPU ({}), {source}",
                source.cpu
            ),
            Self::SameIsa(source) => write!(
                f,
                "tuned on another CPU with this instruction set ({}), {source}",
                source.cpu
            ),
            Self::NearestWorkload { workload, threads, source } => write!(
                f,
                "adapted from the similar workload `{workload}`, tuned for {threads} thread(s) on {}, \
                 {source}",
                source.cpu
            ),
            Self::Heuristic => write!(f, "untuned: analytic default"),
        }
    }
}

/// The layer, the file, and the version of the code where it is another.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layer, &self.path) {
            (Layer::Given, None) => write!(f, "database given by the program")?,
            (layer, None) => write!(f, "{layer} database")?,
            (layer, Some(path)) => write!(f, "{layer} database {}", path.display())?,
        }
        if !self.is_current() {
            let found = self.code_generation;
            write!(f, "; its code was of version {found}, now it is {CODE_GENERATION}")?;
        }
        Ok(())
    }
}
