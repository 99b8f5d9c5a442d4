//! A compiled schedule and its call.

use crate::schedule::CheckedSchedule;
use crate::weights::{Weights, WrongLength};

/// A compiled schedule: machine code for one workload on one target. `Send` and `Sync`; the code
/// is freed with the last owner.
#[derive(Debug)]
pub struct Kernel {
    schedule: CheckedSchedule,
}

/// Weights in the layout of one kernel.
#[derive(Clone, Debug)]
pub struct PackedWeights {}

/// Scratch memory of one kernel for a number of threads, so that a run allocates nothing.
#[derive(Debug)]
pub struct Workspace {}

/// A checked schedule that a backend rejected: a bug of this project, never of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{backend}: {message}")]
pub struct CompileError {
    /// The backend.
    pub backend: &'static str,
    /// Its message.
    pub message: String,
}

/// Arguments of a run that do not belong to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A slice of another length.
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
    /// Weights packed for another kernel.
    #[error("the weights were packed for another schedule")]
    ForeignWeights,
    /// A workspace made by another kernel.
    #[error("the workspace was made for another schedule")]
    ForeignWorkspace,
}

impl Kernel {
    /// Generates and compiles the code of a schedule.
    ///
    /// # Errors
    ///
    /// Returns the backend's message.
    pub fn compile(schedule: &CheckedSchedule) -> Result<Self, CompileError> {
        Ok(Self { schedule: *schedule })
    }

    /// The schedule that was compiled.
    pub fn schedule(&self) -> &CheckedSchedule {
        &self.schedule
    }

    /// Packs weights for this kernel.
    ///
    /// # Errors
    ///
    /// Returns the first slice whose length is not what the workload calls for.
    pub fn pack(&self, weights: &Weights<'_>) -> Result<PackedWeights, WrongLength> {
        weights.check(self.schedule.workload())?;
        Ok(PackedWeights {})
    }

    /// Scratch memory for runs on up to `threads` threads.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let _ = threads;
        Workspace {}
    }

    /// Runs on the calling thread. `residual` is `Some` exactly where the workload has one.
    ///
    /// # Errors
    ///
    /// Returns what does not belong to this kernel; nothing was written then.
    pub fn run(
        &self,
        weights: &PackedWeights,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<(), RunError> {
        let _ = (weights, input, residual, output, workspace);
        todo!("in progress")
    }

    /// Runs on the threads of a pool, at most as many as the workspace was made for.
    ///
    /// # Errors
    ///
    /// Returns what does not belong to this kernel; nothing was written then.
    #[cfg(feature = "parallel")]
    pub fn run_parallel(
        &self,
        pool: &rayon::ThreadPool,
        weights: &PackedWeights,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<(), RunError> {
        let _ = (pool, weights, input, residual, output, workspace);
        todo!("in progress")
    }

    /// The machine code, for disassembly; constants follow the code.
    pub fn code(&self) -> &[u8] {
        todo!("in progress")
    }

    /// The CLIF text that the code was compiled from.
    pub fn clif(schedule: &CheckedSchedule) -> String {
        let _ = schedule;
        todo!("in progress")
    }
}
