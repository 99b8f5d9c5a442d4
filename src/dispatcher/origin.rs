//! Where a schedule came from.

use std::fmt;

use dsconv_kernels::Workload;

/// Where the schedule of a block came from, the best first. Displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A record of this workload, instruction set and number of threads on this CPU model.
    Exact,
    /// Such a record of another stepping of this CPU model.
    SameMicroarchitecture {
        /// File stem of that CPU model.
        cpu: String,
    },
    /// Such a record of another CPU.
    SameIsa {
        /// File stem of that CPU model.
        cpu: String,
    },
    /// The adapted schedule of a similar workload.
    NearestWorkload {
        /// The workload that was tuned.
        workload: Workload,
        /// Threads it was tuned for.
        threads: usize,
        /// File stem of the CPU model it was tuned on.
        cpu: String,
    },
    /// The analytic default: nothing was measured.
    Heuristic,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => write!(f, "tuned on this CPU model"),
            Self::SameMicroarchitecture { cpu } => {
                write!(f, "tuned on another stepping of this CPU ({cpu})")
            }
            Self::SameIsa { cpu } => {
                write!(f, "tuned on another CPU with this instruction set ({cpu})")
            }
            Self::NearestWorkload { workload, threads, cpu } => write!(
                f,
                "adapted from the similar workload `{workload}`, tuned for {threads} thread(s) on {cpu}"
            ),
            Self::Heuristic => write!(f, "untuned: analytic default"),
        }
    }
}
