//! What schedules are tried on: [`Bench`] for the driver, [`HostBench`] for this machine.
//!
//! The driver knows schedules, clocks and budgets, but not what runs them. So it is tested against
//! formulas, and the same door is open to a recorded landscape and to another
//! [process](crate::worker).

use std::time::{Duration, Instant};

use dsconv::Objective;
use dsconv_kernels::{
    Buffer, CheckedSchedule, CompileError, Kernel, PackedWeights, RunError, Target, Workload,
    Workspace,
};

use crate::contention::{RunQueue, Watch};
use crate::data::Tensors;
use crate::trial::Outcome;
use crate::verify::{GuardedOutput, Mismatch, Oracle};

/// Compiles, verifies and times schedules of one workload.
///
/// Each call may be given a limit. A bench that can interrupt a candidate gives it up once the
/// limit has passed; others finish it.
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
        limit: Option<Duration>,
    ) -> Result<Self::Kernel, Outcome>;

    /// Nanoseconds that `repeats` runs of a kernel take, one after the other, the caches being in
    /// the state that the objective asks for.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    fn sample(
        &mut self,
        kernel: &mut Self::Kernel,
        repeats: u64,
        limit: Option<Duration>,
    ) -> Result<u64, Outcome>;

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

/// Samples of which one in so many may be contaminated, however often it was repeated.
const CONTAMINATED: u64 = 5;
/// Times that a contaminated sample is taken again.
const MOST_RETAKES: usize = 3;
/// Time that a thread may wait after it was woken.
const WAKE_NS: u64 = 20_000;
/// Time after which it is not: on a busy machine a long sample always waits at some moment.
const LONGEST_RETAKE: Duration = Duration::from_millis(10);

/// Bytes read between samples of the cold objective, where the second-level cache is small.
const LEAST_EVICTION_BYTES: usize = 32 << 20;

/// This machine: real code on ordinary floats. Input, weights and the reference's output are made
/// once.
#[derive(Debug)]
pub struct HostBench {
    tensors: Tensors,
    input: Buffer,
    residual: Option<Buffer>,
    oracle: Oracle,
    output: GuardedOutput,
    threads: usize,
    pool: Option<rayon::ThreadPool>,
    /// Memory that displaces the tensors from the caches; empty where they are to stay.
    eviction: Vec<u64>,
    queue: RunQueue,
    /// Samples since the last question, and how many of them were contaminated.
    samples: [u64; 2],
    watch: Watch,
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
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = if threads > 1 {
            Some(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
        } else {
            None
        };
        let tensors = Tensors::ordinary(workload, seed);
        let oracle = Oracle::new(workload, &tensors, target.isa);
        let output = GuardedOutput::new(workload);
        let eviction_bytes = match objective {
            Objective::Warm => 0,
            Objective::Cold => (8 * target.l2_bytes).max(LEAST_EVICTION_BYTES),
        };
        let eviction = vec![1; eviction_bytes / size_of::<u64>()];
        let queue = if threads > 1 { RunQueue::of_process() } else { RunQueue::of_thread() };
        let watch = Watch::new(threads);
        let input = Buffer::from(tensors.input.as_slice());
        let residual = tensors.residual().map(Buffer::from);
        let samples = [0; 2];
        Ok(Self {
            tensors,
            input,
            residual,
            oracle,
            output,
            threads,
            pool,
            eviction,
            queue,
            samples,
            watch,
        })
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
        let weights =
            kernel.pack(&self.tensors.weights()).expect("the weights were made for this workload");
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

    /// Runs a verified kernel once.
    ///
    /// # Panics
    ///
    /// If the kernel is another workload's.
    pub fn run(&mut self, kernel: &mut Prepared) {
        self.try_run(kernel).expect("a kernel that was verified runs again");
    }

    fn try_run(&mut self, prepared: &mut Prepared) -> Result<(), RunError> {
        let Prepared { kernel, weights, workspace } = prepared;
        let input = &*self.input;
        let residual = self.residual.as_deref();
        let output = self.output.as_mut_slice();
        match &self.pool {
            None => kernel.run(weights, input, residual, output, workspace),
            Some(pool) => kernel.run_parallel(pool, weights, input, residual, output, workspace),
        }
    }

    /// Time that the threads of a pool may wait until they run, since each run wakes them. It is far
    /// less than the milliseconds for which another process gets a core.
    fn wakes(&self, repeats: u64) -> Duration {
        let wakes = if self.threads > 1 { self.threads as u64 * repeats } else { 0 };
        Duration::from_nanos(WAKE_NS.saturating_mul(wakes))
    }

    /// For the cold objective, reads and writes a block of several times the second-level cache:
    /// input, weights and output leave the private caches, and a third-level cache as far as the
    /// block fills it.
    pub fn before_sample(&mut self) {
        for word in self.eviction.iter_mut().step_by(8) {
            *word = std::hint::black_box(word.wrapping_add(1));
        }
    }
}

impl Bench for HostBench {
    type Kernel = Prepared;

    fn prepare(
        &mut self,
        schedule: &CheckedSchedule,
        _: Option<Duration>,
    ) -> Result<Prepared, Outcome> {
        let mut kernel = self.compile(schedule).map_err(Outcome::NotCompiled)?;
        self.verify(&mut kernel).map_err(Outcome::Wrong)?;
        Ok(kernel)
    }

    fn sample(
        &mut self,
        kernel: &mut Prepared,
        repeats: u64,
        _: Option<Duration>,
    ) -> Result<u64, Outcome> {
        let mut least = u64::MAX;
        let began = Instant::now();
        for retake in 0..=MOST_RETAKES {
            if retake > 0 && began.elapsed() > LONGEST_RETAKE {
                break;
            }
            self.before_sample();
            let waited = self.queue.waited();
            let start = Instant::now();
            for _ in 0..repeats {
                self.run(kernel);
            }
            let elapsed = start.elapsed();
            least = least.min(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
            let waited = self.queue.waited().saturating_sub(waited);
            if waited <= elapsed / 100 + self.wakes(repeats) {
                self.samples[0] += 1;
                return Ok(least);
            }
        }
        self.samples[0] += 1;
        self.samples[1] += 1;
        Ok(least)
    }

    fn contamination(&mut self) -> Option<String> {
        let [samples, contaminated] = std::mem::take(&mut self.samples);
        if contaminated * CONTAMINATED > samples {
            return Some(format!("{contaminated} of {samples} samples waited for a core"));
        }
        self.watch.contamination()
    }

    fn is_repeatable(&self) -> bool {
        self.eviction.is_empty()
    }
}
