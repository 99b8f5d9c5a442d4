//! Finds the fastest schedule of a depthwise-separable convolution on this CPU.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use dsconv_kernels::{Target, Workload};
//! use dsconv_tuning::{Quiet, TuneOptions, tune};
//!
//! let workload: Workload = "f32 nchw 1x32x112x112 dw:3x3,p1,bias,relu6 pw:64,bias,relu6".parse()?;
//! let options = TuneOptions { budget: Duration::from_secs(10), ..TuneOptions::default() };
//! let tuned = tune(&workload, &Target::host(), &options, &mut Quiet)?;
//! println!("{:.1} us, untuned {:.1} us", tuned.record.measurement.median_us, tuned.default_us());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`SearchSpace`] holds the legal schedules, a [`Strategy`] proposes some of them, a
//! [`Bench`] compiles, verifies and runs them, a [`Race`](race::Race) times them,
//! and the best few meet the untuned default once more before one becomes the record:
//!
//! ```text
//! propose -> check -> compile -> verify -> race -> observe -> ... -> confirm -> verify again -> Record
//! ```
//!
//! [`tune_in_worker`] does the same with candidates in another process, so that a crash costs one of
//! them; a [`journal`] keeps the trials of a run that dies; [`batch`] reads many workloads and
//! divides them among machines; [`contention`] tells when something else used the machine.
//!
//! # What users of other tuners will look for
//!
//! - Every candidate is verified against the reference by equality, always; there is no switch. What
//!   is stored, winner and runner-up, was verified twice: again on other data, at the edges of its
//!   buffers.
//! - The budget is a promise: it covers the reference, compilation and verification, and is
//!   overrun by at most the one candidate in progress; where it is shorter than the reference takes
//!   a few times, by that. The default schedule is tried even with no budget at all, so there is
//!   always a verified record.
//! - A seed fixes the data, and the order of proposals of the strategies that do not follow the
//!   measured times. Which schedule wins still depends on the times that this machine shows.
//! - Tuning cannot change results: all legal schedules compute the same bits (on CPUs without fused
//!   multiply-adds: the same within the reference's error bound).
//! - Restrictions are the rules of code generation, counted in [`SpaceSummary`].

use std::time::Duration;

use dsconv::{Objective, Record};
use dsconv_kernels::{Schedule, Target, Workload, cost};

use bench::{Bench, HostBench, PoolError};
use measure::SystemClock;
use worker::{Program, WorkerBench, WorkerError};

pub mod batch;
pub mod bench;
mod compare;
pub mod contention;
mod cores;
pub mod data;
mod driver;
mod effort;
mod fate;
pub mod journal;
pub mod landscape;
pub mod machine;
pub mod measure;
mod observe;
pub mod peak;
mod progress;
pub mod race;
pub mod space;
pub mod strategy;
pub mod timings;
pub mod trial;
mod vector_units;
pub mod verify;
mod warm;
pub mod worker;

pub use compare::{CompareError, Compared, side_by_side};
pub use driver::search;
pub use effort::{Effort, UnknownEffort};
pub use observe::{Observer, Phase, Quiet, Status, StopReason};
pub use space::{SearchSpace, SpaceSummary};
pub use strategy::{Experience, Learned, Strategy, StrategyKind, UnknownStrategy};
pub use trial::{Outcome, Trial};
pub use verify::Mismatch;
pub use warm::first_schedules;

/// Part by which a trial must be faster than the best before it to count as a gain.
pub const GAIN: f64 = 0.005;

/// What to tune for, and for how long.
#[derive(Clone, Debug)]
pub struct TuneOptions {
    /// Threads that will run the workload.
    pub threads: usize,
    /// Wall-clock time for everything.
    pub budget: Duration,
    /// Schedules to try at most, the untuned default included.
    pub max_trials: Option<u64>,
    /// Trials that may pass without a gain of [`GAIN`] before the search ends.
    pub plateau: Option<u64>,
    /// Fixes the data and the order of proposals.
    pub seed: u64,
    /// What proposes schedules.
    pub strategy: StrategyKind,
    /// State of the caches before each run.
    pub objective: Objective,
    /// Trials of an earlier run that was cut short. They count, and are not repeated.
    pub resumed: Vec<Trial>,
    /// Schedules to try before those of the strategy, such as the winners of similar workloads.
    pub first: Vec<Schedule>,
    /// What searches on other workloads of the layout learned, as [`Tuned::learned`] has it.
    pub learned: Learned,
}

impl Default for TuneOptions {
    /// One thread, 10 s, seed 0, the model, warm caches.
    fn default() -> Self {
        Self {
            threads: 1,
            budget: Duration::from_secs(10),
            max_trials: None,
            plateau: None,
            seed: 0,
            strategy: StrategyKind::default(),
            objective: Objective::Warm,
            resumed: Vec::new(),
            first: Vec::new(),
            learned: Learned::default(),
        }
    }
}

/// What tuning found.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The best schedule, ready for a database.
    pub record: Record,
    /// Every trial, in the order in which fates were known.
    pub trials: Vec<Trial>,
    /// The untuned default, as timed in the confirmation.
    pub default: Trial,
    /// What the space held.
    pub space: SpaceSummary,
    /// Why the search ended.
    pub stopped: StopReason,
    /// What else used the machine during the confirmation, if anything did. The record then says
    /// that it is contended.
    pub contaminated: Option<String>,
    /// What the next search may start from: [`TuneOptions::learned`], and what this one added.
    pub learned: Learned,
}

impl Tuned {
    /// Time of the untuned default beside the winner in the confirmation, in microseconds.
    pub fn default_us(&self) -> f64 {
        self.record.provenance.default_us
    }
}

/// Why tuning gave no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// Zero threads.
    #[error("tuning needs at least one thread")]
    NoThreads,
    /// The pool of threads could not be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The worker process could not be started.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The untuned default did not compile or computed something else than the reference. Since
    /// that is what runs where nothing is tuned, it is reported and not worked around.
    #[error("the untuned default failed, which is a bug: {outcome}; schedule: {schedule:?}")]
    Default {
        /// The default.
        schedule: Schedule,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Finds the fastest schedule of `workload` on this machine. Candidates run in this process, so
/// one that crashes ends it: [`tune_in_worker`] is for the command line and for services.
///
/// # Errors
///
/// Returns [`TuneError`] if the threads cannot be started or the untuned default fails.
pub fn tune(
    workload: &Workload,
    target: &Target,
    options: &TuneOptions,
    observer: &mut dyn Observer,
) -> Result<Tuned, TuneError> {
    let TuneOptions { threads, objective, seed, .. } = *options;
    tune_on(workload, target, options, observer, || {
        Ok(HostBench::new(workload, target, threads, objective, seed)?)
    })
}

/// Finds the fastest schedule of `workload` on this machine, with candidates in a [`worker`]
/// process: what a candidate does there costs no more than that candidate.
///
/// # Errors
///
/// Returns [`TuneError`] if the worker cannot be started or the untuned default fails.
pub fn tune_in_worker(
    workload: &Workload,
    target: &Target,
    options: &TuneOptions,
    program: &Program,
    observer: &mut dyn Observer,
) -> Result<Tuned, TuneError> {
    let TuneOptions { threads, objective, seed, .. } = *options;
    tune_on(workload, target, options, observer, || {
        Ok(WorkerBench::start(program, workload, target, threads, objective, seed)?)
    })
}

/// Starts the clock, then makes the bench: the budget covers the reference, too.
fn tune_on<B: Bench>(
    workload: &Workload,
    target: &Target,
    options: &TuneOptions,
    observer: &mut dyn Observer,
    bench: impl FnOnce() -> Result<B, TuneError>,
) -> Result<Tuned, TuneError> {
    if options.threads == 0 {
        return Err(TuneError::NoThreads);
    }
    let clock = SystemClock::start();
    let space = SearchSpace::new(workload, target, options.threads);
    let default = cost::default_schedule(workload, target, options.threads);
    let TuneOptions { strategy, seed, learned, .. } = options;
    let mut strategy = strategy.build_from(&space, default.schedule(), *seed, learned);
    let mut bench = bench()?;
    search(&default, space.summary(), options, &mut *strategy, &mut bench, &clock, observer)
}
