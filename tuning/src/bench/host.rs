//! This machine: real code on ordinary floats.

use std::time::{Duration, Instant};

use dsconv::{Measurement, Objective};
use dsconv_kernels::{
    Buffer, CheckedSchedule, CompileError, Isa, Kernel, PackedWeights, RunError, Target, Workload,
    Workspace,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::neighbours::Neighbours;
use super::tries::Tries;
use super::{Bench, Sample, Turn};
use crate::contention::{Patience, RunQueue, Watch, is_undisturbed};
use crate::cores::Cores;
use crate::data::Tensors;
use crate::measure::{Deadline, repeats_for};
use crate::timings::Timings;
use crate::trial::Outcome;
use crate::vector_units::VectorUnits;
use crate::verify::{Guarded, Mismatch, Oracle, SecondLook};

/// Times that a disturbed sample is taken again.
const MOST_RETAKES: usize = 3;
/// Time after which it is not: on a busy machine a long sample always waits at some moment.
const LONGEST_RETAKE: Duration = Duration::from_millis(10);
/// Samples of a kernel that is timed by itself.
const MOST_SAMPLES: usize = 101;

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
    /// Memory that displaces the tensors from the caches; empty where they are to stay.
    eviction: Vec<u64>,
    queue: RunQueue,
    units: VectorUnits,
    neighbours: Neighbours,
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
    pub(super) kernel: Kernel,
    pub(super) weights: PackedWeights,
    pub(super) workspace: Workspace,
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
        let neighbours = Neighbours::of(threads);
        let cores = neighbours.cores();
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
            eviction,
            queue,
            units: VectorUnits::of(target.lanes),
            neighbours,
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
            let (waiting, [elapsed, waited], are_alone) = self.on_its_threads(kernel, |tries| {
                if is_crowded {
                    tries.move_on();
                }
                let were_alone = tries.wait(left);
                let waiting = began.elapsed();
                let times = tries.sample(repeats);
                (waiting, times, were_alone && tries.are_alone())
            });
            self.patience.spend(if retake > 0 { began.elapsed() } else { waiting });
            let wakes = repeats.saturating_mul(self.threads as u64 - 1);
            let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            is_crowded = !is_undisturbed(elapsed, waited, wakes);
            let looks_quiet = are_alone && !is_crowded;
            let is_quiet = looks_quiet && self.neighbours.stayed_away(elapsed);
            let sample = Sample { ns, is_quiet };
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
            let _held = tries.hold();
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
        Tries {
            prepared,
            pool: self.pool.as_ref(),
            input: self.input.as_slice(),
            residual: self.residual.as_ref().map(Guarded::as_slice),
            output: self.output.as_mut_slice(),
            eviction: &mut self.eviction,
            queue: &mut self.queue,
            units: &self.units,
            neighbours: &mut self.neighbours,
        }
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
