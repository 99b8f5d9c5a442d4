//! What an observer is told while tuning goes on.

use std::time::Duration;

use crate::space::SpaceSummary;
use crate::trial::Trial;

/// Told of progress while tuning.
pub trait Observer {
    /// The space is known; nothing has been tried.
    fn started(&mut self, _space: &SpaceSummary) {}

    /// A schedule was verified, has a first sample and takes part in a race. Its fate follows.
    fn entered(&mut self, _trial: &Trial, _status: &Status) {}

    /// A schedule's fate is known. Those of one race are reported together.
    fn trial(&mut self, _trial: &Trial, _status: &Status) {}

    /// A schedule that was to be stored failed when it was verified again. It was reported as
    /// measured before.
    fn refuted(&mut self, _trial: &Trial, _status: &Status) {}

    /// The search is over and the confirmation begins.
    fn confirming(&mut self, _status: &Status) {}

    /// Asked before each candidate; `true` ends the search, keeping the best so far.
    fn is_cancelled(&mut self) -> bool {
        false
    }
}

/// The observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {}

/// How far tuning is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Status {
    /// Schedules tried.
    pub trials: u64,
    /// Lowest median so far, in microseconds.
    pub best_us: Option<f64>,
    /// Time since the start.
    pub elapsed: Duration,
    /// Time for everything.
    pub budget: Duration,
    /// What is left of it.
    pub remaining: Duration,
    /// What is going on.
    pub phase: Phase,
}

/// What tuning is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Trying schedules.
    Search,
    /// Timing the best few and the untuned default side by side.
    Confirm,
}

/// Why the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The strategy has nothing left to propose.
    Exhausted,
    /// The time is up.
    Budget,
    /// The number of trials is reached.
    MaxTrials,
    /// So many trials brought no gain.
    Plateau,
    /// The observer asked for it.
    Cancelled,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Exhausted => "the whole space was tried",
            Self::Budget => "the budget was used up",
            Self::MaxTrials => "the number of trials was reached",
            Self::Plateau => "further trials brought no gain",
            Self::Cancelled => "cancelled",
        })
    }
}
