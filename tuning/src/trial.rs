//! One schedule's fate. A failure is a value with a name, never a large number.

use std::time::Duration;

use dsconv::Measurement;
use dsconv_kernels::{CompileError, IllegalSchedule, Schedule};

use crate::verify::Mismatch;

/// A schedule that was tried, and what became of it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The schedule.
    pub schedule: Schedule,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one schedule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Verified against the reference and timed. A schedule that was dropped early has few samples.
    Measured(Measurement),
    /// Rejected before code generation.
    Illegal(IllegalSchedule),
    /// Rejected by a backend, with its message.
    NotCompiled(CompileError),
    /// Compiled and run, but the output is not the reference's.
    Wrong(Mismatch),
    /// Brought down the process that compiled and ran it. Says how: the signal or the exit code.
    Crashed(String),
    /// Given up after this time: an endless loop, or a candidate that the budget did not cover.
    TimedOut(Duration),
}

impl Trial {
    /// The measurement, where the schedule was timed.
    pub fn measurement(&self) -> Option<&Measurement> {
        match &self.outcome {
            Outcome::Measured(measurement) => Some(measurement),
            _ => None,
        }
    }

    /// Median time of a run in microseconds, where the schedule was timed.
    pub fn median_us(&self) -> Option<f64> {
        self.measurement().map(|measurement| measurement.median_us)
    }

    /// Least time of a sample in microseconds, where the schedule was timed: after few samples, what
    /// tells most of how fast it is.
    pub fn min_us(&self) -> Option<f64> {
        self.measurement().map(|measurement| measurement.min_us)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Measured(m) => {
                write!(
                    f,
                    "{:.2} us (spread {:.2}, {} samples)",
                    m.median_us, m.spread_us, m.samples
                )
            }
            Self::Illegal(error) => write!(f, "illegal: {error}"),
            Self::NotCompiled(error) => write!(f, "not compiled: {error}"),
            Self::Wrong(mismatch) => write!(f, "wrong: {mismatch}"),
            Self::Crashed(how) => write!(f, "crashed: {how}"),
            Self::TimedOut(after) => {
                write!(f, "timed out: given up after {:.1} s", after.as_secs_f64())
            }
        }
    }
}
