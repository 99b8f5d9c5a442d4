//! What schedules are tried on: [`Bench`] for the driver, [`HostBench`] for this machine.
//!
//! The driver knows schedules, clocks and budgets, but not what runs them. So it is tested against
//! formulas, and the same door is open to a recorded landscape.

use dsconv::Objective;
use dsconv_kernels::{
    Buffer, CheckedSchedule, CompileError, Kernel, PackedWeights, RunError, Target, Workload,
    Workspace,
};

use crate::data::Tensors;
use crate::verify::{GuardedOutput, Mismatch, Oracle};

/// Compiles, verifies and runs schedules of one workload.
pub trait Bench {
    /// A compiled schedule.
    type Kernel;

    /// Compiles a schedule.
    ///
    /// # Errors
    ///
    /// Returns the backend's message.
    fn compile(&mut self, schedule: &CheckedSchedule) -> Result<Self::Kernel, CompileError>;

    /// Runs a kernel once and compares its output with the reference's.
    ///
    /// # Errors
    ///
    /// Returns how they differ.
    fn verify(&mut self, kernel: &mut Self::Kernel) -> Result<(), Mismatch>;

    /// Brings the caches into the state that the objective asks for; not timed.
    fn before_sample(&mut self) {}

    /// Whether a sample may consist of several runs.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Runs a verified kernel once; timed.
    fn run(&mut self, kernel: &mut Self::Kernel);
}

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
        let input = Buffer::from(tensors.input.as_slice());
        let residual = tensors.residual().map(Buffer::from);
        Ok(Self { tensors, input, residual, oracle, output, threads, pool, eviction })
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
}

impl Bench for HostBench {
    type Kernel = Prepared;

    fn compile(&mut self, schedule: &CheckedSchedule) -> Result<Prepared, CompileError> {
        let kernel = Kernel::compile(schedule)?;
        let weights =
            kernel.pack(&self.tensors.weights()).expect("the weights were made for this workload");
        let workspace = kernel.workspace(self.threads);
        Ok(Prepared { kernel, weights, workspace })
    }

    fn verify(&mut self, kernel: &mut Prepared) -> Result<(), Mismatch> {
        self.output.reset();
        self.try_run(kernel).map_err(Mismatch::NotRun)?;
        self.oracle.check(&self.output)
    }

    /// For the cold objective, reads and writes a block of several times the second-level cache:
    /// input, weights and output leave the private caches, and a third-level cache as far as the
    /// block fills it.
    fn before_sample(&mut self) {
        for word in self.eviction.iter_mut().step_by(8) {
            *word = std::hint::black_box(word.wrapping_add(1));
        }
    }

    fn is_repeatable(&self) -> bool {
        self.eviction.is_empty()
    }

    fn run(&mut self, kernel: &mut Prepared) {
        self.try_run(kernel).expect("a kernel that was verified runs again");
    }
}
