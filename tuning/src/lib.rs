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
//! [`Bench`] compiles, verifies and runs them, a [`Race`] times them,
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
use dsconv_kernels::{CheckedSchedule, Schedule, Target, Workload, cost};

use bench::{Bench, HostBench};
use measure::{Clock, SystemClock};
use progress::{Conclusion, Progress};
use race::{Contender, LEAST_ROUNDS, Race};
use worker::{Program, WorkerBench, WorkerError};

pub mod batch;
pub mod bench;
mod compare;
pub mod contention;
mod cores;
pub mod data;
mod effort;
mod fate;
pub mod journal;
pub mod landscape;
pub mod machine;
pub mod measure;
pub mod peak;
mod progress;
pub mod race;
pub mod space;
pub mod strategy;
pub mod trial;
pub mod verify;
mod warm;
pub mod worker;

pub use compare::{CompareError, Compared, side_by_side};
pub use effort::{Effort, UnknownEffort};
pub use space::{SearchSpace, SpaceSummary};
pub use strategy::{Experience, Learned, Strategy, StrategyKind, UnknownStrategy};
pub use trial::{Outcome, Trial};
pub use verify::Mismatch;
pub use warm::first_schedules;

/// Schedules that race each other at once.
const BATCH: usize = 8;
/// Winners of a race that run in the next one, and in the confirmation.
const FINALISTS: usize = 3;
/// Losers by little that come back for the confirmation: no more than these, which is enough even
/// where 5 samples cannot tell most of the space apart, and no more than a round of this length holds
/// or than there is time to sample, but for a few.
const MOST_SECONDS: usize = 64;
const LEAST_SECONDS: usize = 2;
const SECONDS_NS: u64 = 20_000_000;
/// Confirmations at most, where others are contaminated.
const MOST_CONFIRMATIONS: usize = 2;
/// Part of the budget that is kept for the confirmation at most, one in so many, and contenders that
/// it should last for. What the search leaves is the confirmation's, too.
const CONFIRM_SHARE: u64 = 4;
const CONFIRMED: u64 = 16;
/// Part of the budget that is kept for verifying again at most.
const SECOND_LOOK_SHARE: u64 = 3;
/// Schedules of a record, which are verified again: winner and runner-up.
const STORED: usize = 2;

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
    #[error("could not start {threads} threads: {source}")]
    Pool {
        /// Threads that were asked for.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
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
        HostBench::new(workload, target, threads, objective, seed)
            .map_err(|source| TuneError::Pool { threads, source })
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

/// The driver behind [`tune`], on any bench and by any clock: proposes, checks, compiles,
/// verifies, races and observes, then confirms. The budget counts from the clock's zero.
///
/// # Errors
///
/// Returns [`TuneError::Default`] if `default` fails.
pub fn search<B: Bench, C: Clock>(
    default: &CheckedSchedule,
    space: &SpaceSummary,
    options: &TuneOptions,
    strategy: &mut dyn Strategy,
    bench: &mut B,
    clock: &C,
    observer: &mut dyn Observer,
) -> Result<Tuned, TuneError> {
    let (workload, target) = (default.workload(), default.target());
    let schedule = *default.schedule();
    let budget_ns = u64::try_from(options.budget.as_nanos()).unwrap_or(u64::MAX);
    let mut progress = Progress::new(options, clock, observer);
    progress.started(space);

    // The default is tried whatever the time.
    let mut race = Race::new(bench, clock, u64::MAX);
    let failed = |outcome| TuneError::Default { schedule, outcome };
    let kernel = race.prepare(default).map_err(failed)?;
    // What is to be stored is verified again at the end.
    let until_ns = budget_ns - race.second_look_ns().min(budget_ns / SECOND_LOOK_SHARE);
    race.set_until(until_ns);
    if let Some(lost) = race.enter(schedule, kernel) {
        return Err(failed(lost.trial().outcome));
    }
    race.run();
    progress.report_new(strategy, race.running());
    readmit_resumed(&mut race, &mut progress, strategy, default);

    let mut first: Vec<Schedule> = options
        .first
        .iter()
        .filter(|first| first.check(workload, target).is_ok())
        .copied()
        .collect();
    // The default may lose a race, but it comes back for the confirmation; and so do those that
    // lost by less than noise.
    let mut lost_default = None;
    let mut seconds: Vec<(f64, Contender<B::Kernel>)> = Vec::new();
    let stopped = loop {
        let count = progress.trials_left().min(BATCH);
        let mut proposed: Vec<Schedule> = first.drain(..count.min(first.len())).collect();
        if proposed.is_empty() {
            proposed = strategy.propose(count);
        }
        if proposed.is_empty() {
            break progress.why_none_proposed();
        }
        progress.retain_new(&mut proposed);
        if proposed.is_empty() {
            continue;
        }
        race.mark_incumbents();
        race.set_until(until_ns - confirmation_ns(&race, until_ns));
        let mut lost = Vec::new();
        let mut stop = None;
        for schedule in proposed {
            stop = progress.stop_reason(race.is_over());
            if stop.is_some() {
                break;
            }
            let kernel = schedule
                .check(workload, target)
                .map_err(Outcome::Illegal)
                .and_then(|checked| race.prepare(&checked));
            match kernel {
                Ok(kernel) => match race.enter(schedule, kernel) {
                    Some(contender) => lost.push(contender),
                    None => progress.entered(race.running()),
                },
                Err(outcome) => progress.report(strategy, Trial { schedule, outcome }),
            }
        }
        lost.extend(race.run());
        lost.extend(race.keep_best(FINALISTS));
        progress.report_new(strategy, race.running());
        progress.report_new(strategy, &lost);
        for contender in lost {
            if contender.schedule == schedule {
                lost_default = Some(contender);
            } else if let Some(behind) = race.closeness(&contender) {
                seconds.push((behind, contender));
            }
        }
        keep_closest(&mut seconds, SECONDS_NS);
        if let Some(reason) = stop {
            break reason;
        }
    };

    let is_default = |contender: &Contender<B::Kernel>| contender.schedule == schedule;
    progress.confirming();
    race.set_until(until_ns);
    // Few with enough samples are better than many with too few. Moving takes as long as sampling.
    let left_ns = until_ns.saturating_sub(clock.now_ns()) as f64;
    let round_ns = left_ns / (2.0 * race.overhead() * LEAST_ROUNDS as f64);
    keep_closest(&mut seconds, SECONDS_NS.min(round_ns as u64));
    seconds.into_iter().for_each(|(_, second)| race.readmit(second));
    lost_default.into_iter().for_each(|default| race.readmit(default));
    let contaminated = confirm(&mut race);
    race.prefer(|schedule| {
        let checked = schedule.check(workload, target);
        checked.map_or(f64::INFINITY, |it| cost::estimate(&it, options.threads).cycles())
    });
    let refuted = race.verify_best(STORED);
    refuted.iter().for_each(|contender| progress.refute(contender.trial()));
    if let Some(refuted) = refuted.iter().find(|contender| is_default(contender)) {
        return Err(failed(refuted.trial().outcome));
    }
    if race.running().is_empty() {
        race.verify_alone(default).map_err(failed)?;
    }
    let trials = race.running().iter().map(Contender::trial);
    let ranking: Vec<(Trial, f64)> = trials.zip(race.times_us()).collect();
    let learned = strategy.learned();
    let result = Conclusion { space: space.clone(), stopped, contaminated, learned };
    Ok(progress.finish(ranking, default, result))
}

/// Keeps the closest of those that lost by little, as many as a round of so long holds.
fn keep_closest<K>(seconds: &mut Vec<(f64, Contender<K>)>, most_ns: u64) {
    seconds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut round_ns = 0;
    let fits = |(_, second): &&(f64, Contender<K>)| {
        round_ns += second.sample_ns();
        round_ns <= most_ns
    };
    let fitting = seconds.iter().take_while(fits).count();
    seconds.truncate(fitting.clamp(LEAST_SECONDS, MOST_SECONDS));
}

/// Confirms, and again where something else used the machine meanwhile. Tells what did so in the
/// last attempt; in the search, where no time is left for one and its samples have to do.
fn confirm<B: Bench, C: Clock>(race: &mut Race<'_, B, C>) -> Option<String> {
    let while_searching = race.contamination();
    let is_over = race.is_over();
    race.confirm();
    if is_over {
        return while_searching;
    }
    let mut contaminated = race.contamination();
    for _ in 1..MOST_CONFIRMATIONS {
        if contaminated.is_none() || race.is_over() {
            break;
        }
        race.confirm();
        contaminated = race.contamination();
    }
    contaminated
}

/// Takes note of the trials of an earlier run, and lets the best of them race again.
fn readmit_resumed<B: Bench, C: Clock>(
    race: &mut Race<'_, B, C>,
    progress: &mut Progress<'_, C>,
    strategy: &mut dyn Strategy,
    default: &CheckedSchedule,
) {
    let mut best = progress.resume(strategy);
    best.retain(|schedule| schedule != default.schedule());
    for schedule in best.into_iter().take(FINALISTS) {
        if race.is_over() {
            return;
        }
        let checked = schedule.check(default.workload(), default.target());
        let kernel = checked.map_err(Outcome::Illegal).and_then(|checked| race.prepare(&checked));
        if let Ok(kernel) = kernel {
            race.enter(schedule, kernel);
        }
    }
}

/// Time to keep for the confirmation: each of its samples has a run before it that does not count.
fn confirmation_ns<B: Bench, C: Clock>(race: &Race<'_, B, C>, budget_ns: u64) -> u64 {
    let wanted = race.sample_ns().saturating_mul(2 * CONFIRMED * LEAST_ROUNDS as u64);
    wanted.min(budget_ns / CONFIRM_SHARE)
}
