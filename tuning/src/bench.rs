//! What schedules are tried on: [`Bench`] for the driver, [`HostBench`] for this machine.
//!
//! The driver knows schedules, clocks and budgets, but not what runs them. So it is tested against
//! formulas, and the same door is open to a recorded landscape and to another
//! [process](crate::worker).

use std::time::Duration;

use dsconv_kernels::CheckedSchedule;
use serde::{Deserialize, Serialize};

use crate::measure::{Deadline, per_run_us};
use crate::timings::Timing;
use crate::trial::Outcome;

mod host;
mod neighbours;
mod tries;

pub use host::{HostBench, PoolError, Prepared};

/// Compiles, verifies and times schedules of one workload.
///
/// A bench that can interrupt a candidate gives up one that would overrun the deadline by far; others
/// finish it.
pub trait Bench {
    /// A compiled and verified schedule.
    type Kernel;

    /// Compiles a schedule, runs it once and compares its output with the reference's.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    fn prepare(
        &mut self,
        schedule: &CheckedSchedule,
        deadline: Deadline<'_>,
    ) -> Result<Self::Kernel, Outcome>;

    /// A sample of each kernel in turn, the caches being in the state that the objective asks for; or
    /// what became of its schedule instead. Before the first one, those that are to move do so. The first
    /// turn is taken whatever the time; there are fewer samples than turns once it is over.
    fn take_turns(
        &mut self,
        turns: &mut [Turn<'_, Self::Kernel>],
        deadline: Deadline<'_>,
    ) -> Vec<Result<Sample, Outcome>>;

    /// Verifies a kernel that is to be stored once more: on other data, at the edges of its buffers,
    /// and on the threads it is for.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    fn verify_again(&mut self, kernel: &mut Self::Kernel) -> Result<(), Outcome>;

    /// About the time that verifying again takes the first time.
    fn second_look_time(&self) -> Duration;

    /// Whether a sample may consist of several runs.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Why the samples since the last call cannot be trusted, if something else used the machine
    /// meanwhile.
    fn contamination(&mut self) -> Option<String> {
        None
    }
}

/// What a kernel does in a round.
#[derive(Debug)]
pub struct Turn<'a, K> {
    /// The kernel.
    pub kernel: &'a mut K,
    /// Runs, one after the other, that are its sample.
    pub repeats: u64,
    /// Whether it may wait for a quiet moment where something else uses the machine.
    pub may_wait: bool,
    /// Whether its weights and scratch are given other memory before, and with them input, residual and
    /// output. How their addresses lie to each other is luck, which decides on up to 10 % of the time of
    /// a kernel of 1 us; so is to which physical pages they fall, which decides on 5 % where the data fill
    /// the second-level cache.
    pub moves: bool,
}

/// Time of some runs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Nanoseconds.
    pub ns: u64,
    /// Whether nothing disturbed them, as far as the bench can tell.
    pub is_quiet: bool,
}

impl Sample {
    /// The one of two samples that took less.
    pub(crate) fn or_less(self, other: Self) -> Self {
        if other.ns < self.ns { other } else { self }
    }

    /// What it says of one run, being of so many.
    pub(crate) fn timing(self, repeats: u64) -> Timing {
        Timing { us: per_run_us(self.ns, repeats), is_quiet: self.is_quiet }
    }
}
