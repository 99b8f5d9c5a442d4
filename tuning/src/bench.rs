//! What schedules are tried on: [`Bench`] for the driver, [`HostBench`] for this machine.
//!
//! The driver knows schedules, clocks and budgets, but not what runs them. So it is tested against
//! formulas, and the same door is open to a recorded landscape and to another
//! [process](crate::worker).

use std::time::{Duration, Instant};

use dsconv::{Measurement, Objective};
use dsconv_kernels::{
    Buffer, CheckedSchedule, CompileError, Isa, Kernel, PackedWeights, RunError, Target, Workload,
    Workspace,
};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::contention::{Patience, RunQueue, Sibling, Watch, is_undisturbed};
use crate::cores::Cores;
use crate::data::Tensors;
use crate::measure::{Deadline, per_run_us, repeats_for, until_warm};
use crate::timings::{Timing, Timings};
use crate::trial::Outcome;
use crate::vector_units::VectorUnits;
use crate::verify::{Guarded, Mismatch, Oracle, SecondLook};

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

/// Times that a disturbed sample is taken again.
const MOST_RETAKES: usize = 3;
/// Time after which it is not: on a busy machine a long sample always waits at some moment.
const LONGEST_RETAKE: Duration = Duration::from_millis(10);
/// Time for which threads that helped stay awake, on the other half of the core perhaps, and more.
const HELPERS_AWAKE: Duration = Duration::from_micros(100);
/// Time that a thread waits on one core, to move on to another after it. Moving takes 40 us, and the
/// second-level cache is to be filled again.
const LONGEST_STAY: Duration = Duration::from_micros(500);
/// Samples of a kernel that is timed by itself.
const MOST_SAMPLES: usize = 101;

/// Time that a sample waits for its threads.
const LONGEST_GATHERING: Duration = Duration::from_millis(5);

/// Elements of a cache line, and lines of a page: loads and stores whose addresses differ by a
/// multiple of a page may wait for each other, so where tensors start within a page matters.
const LINE: usize = 16;
const PLACES: usize = 64;

/// Bytes read between samples of the cold objective, where the second-level cache is small.
const LEAST_EVICTION_BYTES: usize = 32 << 20;

/// This machine: real code on ordinary floats. Input, weights and the reference's output are made
/// once.
#[derive(Debug)]
pub struct HostBench {
    tensors: Tensors,
    input: Guarded,
    residual: Option<Guarded>,
    oracle: Oracle,
    output: Guarded,
    /// What a second look needs; made at the first one.
    second: Vec<SecondLook>,
    /// Time that tensors and reference of one set of data took.
    oracle_time: Duration,
    workload: Workload,
    isa: Isa,
    seed: u64,
    /// Draws places.
    places: StdRng,
    threads: usize,
    pool: Option<rayon::ThreadPool>,
    cores: Option<Cores>,
    /// Memory that displaces the tensors from the caches; empty where they are to stay.
    eviction: Vec<u64>,
    queue: RunQueue,
    units: VectorUnits,
    sibling: Sibling,
    patience: Patience,
    watch: Watch,
}

/// The threads that a bench runs on could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start {threads} threads: {source}")]
pub struct PoolError {
    threads: usize,
    source: rayon::ThreadPoolBuildError,
}

/// A kernel with packed weights and scratch of its own.
#[derive(Debug)]
pub struct Prepared {
    kernel: Kernel,
    weights: PackedWeights,
    workspace: Workspace,
}

impl HostBench {
    /// Draws the tensors, runs the reference and, for more than one thread, starts a pool.
    ///
    /// # Errors
    ///
    /// If the threads cannot be started.
    pub fn new(
        workload: &Workload,
        target: &Target,
        threads: usize,
        objective: Objective,
        seed: u64,
    ) -> Result<Self, PoolError> {
        let cores = Cores::divided_among(threads);
        let pool = if threads > 1 {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let leave = move |_| cores.iter().for_each(Cores::leave_to_caller);
            let pool = builder.start_handler(leave).build();
            Some(pool.map_err(|source| PoolError { threads, source })?)
        } else {
            None
        };
        let start = Instant::now();
        let tensors = Tensors::ordinary(workload, seed);
        let oracle = Oracle::new(workload, &tensors, target.isa);
        let oracle_time = start.elapsed();
        let output = Guarded::output(workload);
        let eviction_bytes = match objective {
            Objective::Warm => 0,
            Objective::Cold => (8 * target.l2_bytes).max(LEAST_EVICTION_BYTES),
        };
        let eviction = vec![1; eviction_bytes / size_of::<u64>()];
        let queue = if threads > 1 { RunQueue::of_process() } else { RunQueue::of_thread() };
        let watch = Watch::new(threads);
        let input = Guarded::holding(&tensors.input, 0);
        let residual = tensors.residual().map(|residual| Guarded::holding(residual, 0));
        Ok(Self {
            tensors,
            input,
            residual,
            oracle,
            output,
            second: Vec::new(),
            oracle_time,
            workload: *workload,
            isa: target.isa,
            seed,
            places: StdRng::seed_from_u64(seed),
            threads,
            pool,
            cores,
            eviction,
            queue,
            units: VectorUnits::of(target.lanes),
            sibling: Sibling::default(),
            patience: Patience::start(),
            watch,
        })
    }

    /// Tells that another process drives this one: what that uses disturbs nothing, since it waits
    /// while a sample is taken.
    pub(crate) fn driven_by(&mut self, process: u32) {
        self.watch.count_in(process);
    }

    /// Compiles a schedule and packs its weights.
    ///
    /// # Errors
    ///
    /// Returns the backend's message.
    ///
    /// # Panics
    ///
    /// If the schedule was checked against another workload.
    pub fn compile(&mut self, schedule: &CheckedSchedule) -> Result<Prepared, CompileError> {
        let kernel = Kernel::compile(schedule)?;
        let weights = kernel.pack(&self.tensors.weights());
        let weights = weights.expect("the weights were made for this workload");
        let workspace = kernel.workspace(self.threads);
        Ok(Prepared { kernel, weights, workspace })
    }

    /// Runs a kernel once and compares its output with the reference's.
    ///
    /// # Errors
    ///
    /// Returns how they differ.
    pub fn verify(&mut self, kernel: &mut Prepared) -> Result<(), Mismatch> {
        self.output.reset();
        self.try_run(kernel).map_err(|error| Mismatch::NotRun(error.to_string()))?;
        self.oracle.check(&self.output)
    }

    /// Verifies a kernel on other data than the first time and at the edges of its buffers. `spoil`
    /// sees each output before it is compared, so that tests can say what a wrong one costs.
    ///
    /// # Errors
    ///
    /// Returns what is wrong.
    pub(crate) fn look_again(
        &mut self,
        prepared: &mut Prepared,
        spoil: fn(&mut [f32]),
    ) -> Result<(), Mismatch> {
        if self.second.is_empty() {
            self.second = SecondLook::set(&self.workload, self.isa, self.seed);
        }
        let Prepared { kernel, workspace, .. } = prepared;
        for look in &self.second {
            let weights = kernel
                .pack(&look.tensors().weights())
                .expect("the weights were made for this workload");
            look.examine(|(input, residual, output)| {
                match &self.pool {
                    None => kernel.run(&weights, input, residual, output, workspace),
                    Some(pool) => {
                        kernel.run_parallel(pool, &weights, input, residual, output, workspace)
                    }
                }
                .map_err(|error| error.to_string())?;
                spoil(output);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Times a verified kernel by itself: a sample at least, and then more for so long, in quiet moments
    /// as far as there are any.
    pub fn time(&mut self, kernel: &mut Prepared, budget: Duration) -> Measurement {
        let start = Instant::now();
        let first = self.taken(kernel, 1, false);
        let repeats = if self.is_repeatable() { repeats_for(first.ns) } else { 1 };
        let mut timings = Timings::default();
        while timings.is_empty() || start.elapsed() < budget && timings.len() < MOST_SAMPLES {
            timings.push(self.taken(kernel, repeats, true).timing(repeats));
        }
        timings.measurement()
    }

    /// A sample of so many runs.
    fn taken(&mut self, kernel: &mut Prepared, repeats: u64, may_wait: bool) -> Sample {
        let mut taken = Sample { ns: u64::MAX, is_quiet: false };
        // Whether another thread wanted this very core.
        let mut is_crowded = false;
        for retake in 0..=MOST_RETAKES {
            let began = Instant::now();
            let left = if may_wait { self.patience.left() } else { Duration::ZERO };
            if retake > 0 && (left.is_zero() || Duration::from_nanos(taken.ns) > LONGEST_RETAKE) {
                break;
            }
            let own = if self.pool.is_some() { HELPERS_AWAKE } else { Duration::ZERO };
            let (waiting, [elapsed, waited], is_alone) = self.on_its_threads(kernel, |tries| {
                if is_crowded {
                    tries.move_on();
                }
                let was_alone = tries.wait(own, left.max(own));
                let waiting = began.elapsed();
                let times = tries.sample(repeats);
                (waiting, times, was_alone && tries.sibling.wait(own, own))
            });
            self.patience.spend(if retake > 0 { began.elapsed() } else { waiting });
            let wakes = repeats.saturating_mul(self.threads as u64 - 1);
            let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            is_crowded = !is_undisturbed(elapsed, waited, wakes);
            let looks_quiet = is_alone && !is_crowded;
            let sample = Sample { ns, is_quiet: looks_quiet && self.sibling.stayed_away(elapsed) };
            if sample.is_quiet {
                return sample;
            }
            taken = taken.or_less(sample);
            // Another one would be too long to be quiet, too.
            if looks_quiet {
                break;
            }
        }
        taken
    }

    /// Does something with a kernel, each thread on a core of its own; on a thread of the pool, where
    /// there is one: a thread more than run the kernel would look for work on a core of theirs.
    fn on_its_threads<T: Send>(
        &mut self,
        kernel: &mut Prepared,
        measure: impl FnOnce(&mut Tries<'_>) -> T + Send,
    ) -> T {
        let mut tries = self.tries(kernel);
        let measure = |tries: &mut Tries<'_>| {
            let _held = tries.cores.map(|cores| cores.held_by_caller());
            measure(tries)
        };
        match tries.pool {
            None => measure(&mut tries),
            Some(pool) => pool.install(|| measure(&mut tries)),
        }
    }

    /// Gives other memory to those that move, as far as time allows, and to what they share.
    fn relocate(&mut self, turns: &mut [Turn<'_, Prepared>], deadline: Deadline<'_>) {
        let mut place = || LINE * self.places.random_range(0..PLACES);
        // All are there before those that they replace are given back.
        let mut moving = turns.iter_mut().filter(|turn| turn.moves).peekable();
        if moving.peek().is_some() {
            self.input = Guarded::holding(&self.tensors.input, place());
            self.residual = self.tensors.residual().map(|it| Guarded::holding(it, place()));
            self.output = Guarded::canaries(self.workload.output_len(), place());
        }
        for Turn { kernel, .. } in moving {
            if deadline.has_passed() {
                break;
            }
            let _spacer = Buffer::zeroed(place());
            let moved = (kernel.weights.clone(), kernel.kernel.workspace(self.threads));
            (kernel.weights, kernel.workspace) = moved;
        }
    }

    fn try_run(&mut self, kernel: &mut Prepared) -> Result<(), RunError> {
        self.tries(kernel).run()
    }

    fn tries<'a>(&'a mut self, prepared: &'a mut Prepared) -> Tries<'a> {
        let Self { pool, cores, input, residual, output, eviction, queue, units, sibling, .. } =
            self;
        let (input, output) = (input.as_slice(), output.as_mut_slice());
        let residual = residual.as_ref().map(Guarded::as_slice);
        let pool = pool.as_ref();
        Tries { prepared, pool, cores, input, residual, output, eviction, queue, units, sibling }
    }
}

/// A kernel with all that its runs need.
struct Tries<'a> {
    prepared: &'a mut Prepared,
    pool: Option<&'a rayon::ThreadPool>,
    cores: &'a mut Option<Cores>,
    input: &'a [f32],
    residual: Option<&'a [f32]>,
    output: &'a mut [f32],
    eviction: &'a mut [u64],
    queue: &'a mut RunQueue,
    units: &'a VectorUnits,
    sibling: &'a mut Sibling,
}

impl Tries<'_> {
    fn run(&mut self) -> Result<(), RunError> {
        let Prepared { kernel, weights, workspace } = &mut *self.prepared;
        let (input, residual) = (self.input, self.residual);
        match self.pool {
            None => kernel.run(weights, input, residual, self.output, workspace),
            Some(pool) => {
                kernel.run_parallel(pool, weights, input, residual, self.output, workspace)
            }
        }
    }

    /// Waits until the calling thread has its core to itself, or another core that it moves on to, but no
    /// longer than so long; whether it has. Threads of its `own` may be awake for a while.
    fn wait(&mut self, own: Duration, patience: Duration) -> bool {
        let start = Instant::now();
        loop {
            // Before the look, since a quiet moment is short; none is so long that they sleep again.
            self.units.wake();
            let left = patience.saturating_sub(start.elapsed());
            if self.sibling.wait(own, left.min(LONGEST_STAY)) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
            self.move_on();
        }
    }

    fn move_on(&mut self) {
        self.cores.iter_mut().for_each(Cores::move_on);
    }

    /// Threads that are awake and apart, and so are their vector units, as they are in a program that runs
    /// one block after the other; on a busy machine they may not come, and the sample shows it.
    fn gather(&mut self) {
        match self.pool {
            None => self.units.wake(),
            Some(pool) => {
                pool.broadcast(|_| self.units.wake());
                self.prepared.workspace.gather(pool, LONGEST_GATHERING);
            }
        }
    }

    /// For the cold objective, reads and writes a block of several times the second-level cache:
    /// input, weights and output leave the private caches, and a third-level cache as far as the
    /// block fills it.
    fn evict(&mut self) {
        for word in self.eviction.iter_mut().step_by(8) {
            *word = std::hint::black_box(word.wrapping_add(1));
        }
    }

    /// Time of so many runs, and time that threads of this process waited for a core meanwhile. With
    /// warm caches others go before, the last of which is the sample of a single run.
    fn sample(&mut self, repeats: u64) -> [Duration; 2] {
        self.evict();
        self.gather();
        if self.eviction.is_empty() {
            let warm = until_warm(|| self.timed(1));
            if repeats == 1 {
                return warm;
            }
        }
        self.timed(repeats)
    }

    fn timed(&mut self, repeats: u64) -> [Duration; 2] {
        let waited = self.queue.waited();
        let start = Instant::now();
        for _ in 0..repeats {
            self.run().expect("a kernel that was verified runs again");
        }
        let elapsed = start.elapsed();
        [elapsed, self.queue.waited().saturating_sub(waited)]
    }
}

impl Bench for HostBench {
    type Kernel = Prepared;

    fn prepare(
        &mut self,
        schedule: &CheckedSchedule,
        _: Deadline<'_>,
    ) -> Result<Prepared, Outcome> {
        let mut kernel = self.compile(schedule).map_err(Outcome::NotCompiled)?;
        self.verify(&mut kernel).map_err(Outcome::Wrong)?;
        Ok(kernel)
    }

    fn take_turns(
        &mut self,
        turns: &mut [Turn<'_, Prepared>],
        deadline: Deadline<'_>,
    ) -> Vec<Result<Sample, Outcome>> {
        self.relocate(turns, deadline);
        let mut samples = Vec::with_capacity(turns.len());
        for turn in turns {
            if !samples.is_empty() && deadline.has_passed() {
                break;
            }
            samples.push(Ok(self.taken(turn.kernel, turn.repeats, turn.may_wait)));
        }
        samples
    }

    fn verify_again(&mut self, kernel: &mut Prepared) -> Result<(), Outcome> {
        self.look_again(kernel, |_| {}).map_err(Outcome::Wrong)
    }

    fn second_look_time(&self) -> Duration {
        2 * self.oracle_time
    }

    fn contamination(&mut self) -> Option<String> {
        self.watch.contamination()
    }

    fn is_repeatable(&self) -> bool {
        self.eviction.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::SystemClock;
    use dsconv_kernels::cost;

    #[test]
    fn kernels_run_on_any_number_of_threads() {
        let workload = "f32 nchw 1x4x6x6 dw:3x3,p1 pw:8".parse().expect("a workload");
        let target = Target::host();
        for threads in [1, 2, 3] {
            let default = cost::default_schedule(&workload, &target, threads);
            let mut bench = HostBench::new(&workload, &target, threads, Objective::Warm, 0)
                .expect("threads start");
            let clock = SystemClock::start();
            let never = Deadline::within(&clock, None);
            let mut kernel = bench.prepare(&default, never).expect("the default is right");
            let turn = Turn { kernel: &mut kernel, repeats: 3, may_wait: true, moves: true };
            let samples = bench.take_turns(&mut [turn], never);
            assert!(matches!(samples[..], [Ok(Sample { ns: 1.., .. })]), "{samples:?}");
            assert!(bench.time(&mut kernel, Duration::ZERO).samples > 0);
        }
    }
}
