//! One workload ready to run: code, packed weights, scratch memory.

use std::fmt;
use std::sync::Arc;

use dsconv_kernels::{Kernel, PackedWeights, RunError, Workload, Workspace};

use crate::dispatcher::Origin;

/// A depthwise-separable block, prepared by [`Dispatcher::prepare`](crate::Dispatcher::prepare).
///
/// A run looks nothing up and, on one thread, takes no lock and allocates nothing. It needs scratch memory, hence
/// `&mut self`: to run from several threads at once, give each its own [`fork`](Self::fork).
pub struct SeparableBlock {
    prepared: Arc<Prepared>,
    workspace: Workspace,
}

/// What forks share.
struct Prepared {
    kernel: Kernel,
    weights: PackedWeights,
    origin: Origin,
    threads: usize,
}

/// Why a block did not run. Nothing was written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The workload adds a residual, and none was given.
    #[error("the workload adds a residual of {expected} elements: call run_with_residual")]
    MissingResidual {
        /// Elements of the residual.
        expected: usize,
    },
    /// A residual was given, and the workload adds none.
    #[error("the workload adds no residual, {found} elements were given: call run")]
    UnexpectedResidual {
        /// Elements that were given.
        found: usize,
    },
    /// The kernel refused its arguments.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl SeparableBlock {
    pub(crate) fn new(
        kernel: Kernel,
        weights: PackedWeights,
        origin: Origin,
        threads: usize,
    ) -> Self {
        let workspace = kernel.workspace(threads);
        Self { prepared: Arc::new(Prepared { kernel, weights, origin, threads }), workspace }
    }

    /// Runs on the calling thread. Input and output are in the workload's layout, of
    /// [`input_len`](Workload::input_len) and [`output_len`](Workload::output_len) elements.
    ///
    /// # Errors
    ///
    /// When a slice has another length, or when the workload adds a residual.
    pub fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), BlockError> {
        self.run_any(input, None, output)
    }

    /// Runs on the calling thread with a residual, which has the shape of the output and is added
    /// before the pointwise activation.
    ///
    /// # Errors
    ///
    /// When a slice has another length, or when the workload adds no residual.
    pub fn run_with_residual(
        &mut self,
        input: &[f32],
        residual: &[f32],
        output: &mut [f32],
    ) -> Result<(), BlockError> {
        self.run_any(input, Some(residual), output)
    }

    fn run_any(
        &mut self,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
    ) -> Result<(), BlockError> {
        self.check_residual(residual)?;
        let Prepared { kernel, weights, .. } = &*self.prepared;
        Ok(kernel.run(weights, input, residual, output, &mut self.workspace)?)
    }

    /// Runs on the calling thread and, beside it, on threads of a pool: on as many in all as the
    /// pool has, at most as many as the dispatcher was built for. The result is the same, bit for
    /// bit.
    ///
    /// # Errors
    ///
    /// When a slice has another length, or when a residual is given or missing against the workload.
    #[cfg(feature = "parallel")]
    pub fn run_parallel(
        &mut self,
        pool: &rayon::ThreadPool,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
    ) -> Result<(), BlockError> {
        self.check_residual(residual)?;
        let Prepared { kernel, weights, .. } = &*self.prepared;
        Ok(kernel.run_parallel(pool, weights, input, residual, output, &mut self.workspace)?)
    }

    fn check_residual(&self, residual: Option<&[f32]>) -> Result<(), BlockError> {
        let workload = self.workload();
        match (workload.pointwise().is_some_and(|stage| stage.residual), residual) {
            (true, None) => Err(BlockError::MissingResidual { expected: workload.output_len() }),
            (false, Some(given)) => Err(BlockError::UnexpectedResidual { found: given.len() }),
            _ => Ok(()),
        }
    }

    /// Another block of the same code and packed weights, with scratch memory of its own.
    pub fn fork(&self) -> Self {
        let workspace = self.prepared.kernel.workspace(self.prepared.threads);
        Self { prepared: Arc::clone(&self.prepared), workspace }
    }

    /// The kernel, with its schedule and code.
    pub fn kernel(&self) -> &Kernel {
        &self.prepared.kernel
    }

    /// Where the schedule came from.
    pub fn origin(&self) -> &Origin {
        &self.prepared.origin
    }

    /// What the block computes.
    pub fn workload(&self) -> &Workload {
        self.prepared.kernel.schedule().workload()
    }

    /// Most threads of a parallel run.
    pub fn threads(&self) -> usize {
        self.prepared.threads
    }
}

impl fmt::Debug for SeparableBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeparableBlock")
            .field("schedule", self.kernel().schedule())
            .field("origin", self.origin())
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}
