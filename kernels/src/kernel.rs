//! A compiled schedule and its call.

#![expect(unsafe_code, reason = "generated code is called with raw pointers here")]

#[cfg(feature = "parallel")]
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::buffer::Buffer;
use crate::codegen;
use crate::compile;
use crate::jit::Code;
use crate::packing;
use crate::plan::{Phase, Plan};
use crate::schedule::CheckedSchedule;
use crate::target::Target;
use crate::weights::{Weights, WrongLength};

#[cfg(test)]
mod guarded;

/// A compiled schedule: machine code for one workload on one target. `Send` and `Sync`; the code
/// is freed with it.
#[derive(Debug)]
pub struct Kernel {
    schedule: CheckedSchedule,
    plan: Plan,
    code: Code,
}

/// Weights in the layout of one kernel.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    schedule: CheckedSchedule,
    elements: Buffer,
}

/// Scratch memory of one kernel for a number of threads, so that a run allocates nothing.
#[derive(Clone, Debug)]
pub struct Workspace {
    schedule: CheckedSchedule,
    private: Vec<Buffer>,
    shared: Buffer,
}

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
    #[error("the weights were packed for another schedule, workload or target")]
    ForeignWeights,
    /// A workspace made by another kernel.
    #[error("the workspace was made for another schedule, workload or target")]
    ForeignWorkspace,
}

/// What a generated function takes; `codegen::argument` knows the order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    input: *const f32,
    weights: *const f32,
    residual: *const f32,
    output: *mut f32,
    private: *mut f32,
    shared: *mut f32,
    first_image: u64,
    first_task: u64,
    tasks: u64,
}

// SAFETY: the pointers are to slices that the run which made them holds borrowed until all its
// threads have joined. Threads read the same input, weights and residual; their tasks, and so what
// they write through `output` and `shared`, are disjoint; each sets `private` to its own scratch.
unsafe impl Send for Arguments {}
// SAFETY: as above; a shared reference gives no more than a copy does.
unsafe impl Sync for Arguments {}

impl Kernel {
    /// Generates and compiles the code of a schedule.
    ///
    /// # Errors
    ///
    /// Returns the backend's message; also if this machine has not the target's instruction set.
    pub fn compile(schedule: &CheckedSchedule) -> Result<Self, CompileError> {
        let plan = Plan::new(schedule);
        let isa = compile::cranelift_isa(schedule.target().isa)?;
        let functions = codegen::lower(&plan, isa.frontend_config());
        let code = Code::new(isa, schedule.target().isa.wide(), functions)?;
        Ok(Self { schedule: *schedule, plan, code })
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
        let mut elements = Buffer::zeroed(self.plan.weights_len);
        packing::pack(&self.plan, weights, &mut elements);
        Ok(PackedWeights { schedule: self.schedule, elements })
    }

    /// Scratch memory for runs on up to `threads` threads, at least one.
    pub fn workspace(&self, threads: usize) -> Workspace {
        Workspace {
            schedule: self.schedule,
            private: vec![Buffer::zeroed(self.plan.private_len); threads.max(1)],
            shared: Buffer::zeroed(self.plan.shared_len),
        }
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
        let arguments = self.arguments(weights, input, residual, output, workspace)?;
        let private = workspace.private[0].as_mut_ptr();
        for (index, &phase) in self.plan.phases.iter().enumerate() {
            let tasks = self.plan.batch * phase.count;
            self.call(index, Arguments { private, ..arguments }, phase, 0, tasks);
        }
        Ok(())
    }

    /// Runs on the calling thread and, beside it, on threads of a pool: on as many threads in all as
    /// the pool has, at most as many as the workspace was made for.
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
        let arguments = self.arguments(weights, input, residual, output, workspace)?;
        let threads = pool.current_num_threads().min(workspace.private.len());
        for (index, &phase) in self.plan.phases.iter().enumerate() {
            let tasks = self.plan.batch * phase.count;
            let threads = threads.min(tasks);
            let next = AtomicUsize::new(0);
            let share = Share { kernel: self, index, phase, tasks, threads, arguments, next };
            share.run(pool, &mut workspace.private[..threads]);
        }
        Ok(())
    }

    /// The machine code of each function, in the order of the CLIF text; constants follow the code.
    pub fn functions(&self) -> impl Iterator<Item = &[u8]> {
        self.code.bytes()
    }

    /// The CLIF text that a schedule is compiled from, for any target on any machine.
    ///
    /// # Errors
    ///
    /// If Cranelift does not know this machine.
    pub fn clif(schedule: &CheckedSchedule) -> Result<String, CompileError> {
        // Of the machine, CLIF takes only the width of pointers.
        let isa = compile::cranelift_isa(Target::host().isa)?;
        Ok(codegen::clif_text(&codegen::lower(&Plan::new(schedule), isa.frontend_config())))
    }

    /// Checks everything that a run is given, and collects the pointers.
    fn arguments(
        &self,
        weights: &PackedWeights,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<Arguments, RunError> {
        let workload = self.schedule.workload();
        let has_residual = workload.pointwise().is_some_and(|stage| stage.residual);
        let residual_len = if has_residual { workload.output_len() } else { 0 };
        WrongLength::check("input", workload.input_len(), input.len())?;
        WrongLength::check("residual", residual_len, residual.map_or(0, <[f32]>::len))?;
        WrongLength::check("output", workload.output_len(), output.len())?;
        if weights.schedule != self.schedule {
            return Err(RunError::ForeignWeights);
        }
        if workspace.schedule != self.schedule {
            return Err(RunError::ForeignWorkspace);
        }
        Ok(Arguments {
            input: input.as_ptr(),
            weights: weights.elements.as_ptr(),
            residual: residual.map_or(std::ptr::null(), <[f32]>::as_ptr),
            output: output.as_mut_ptr(),
            private: std::ptr::null_mut(),
            shared: workspace.shared.as_mut_ptr(),
            first_image: 0,
            first_task: 0,
            tasks: 0,
        })
    }

    /// Runs tasks `first..end` of a phase on this thread. `arguments` come from
    /// [`Kernel::arguments`], with a scratch that no other thread uses meanwhile.
    fn call(&self, index: usize, arguments: Arguments, phase: Phase, first: usize, end: usize) {
        let arguments = Arguments {
            first_image: (first / phase.count) as u64,
            first_task: (first % phase.count) as u64,
            tasks: (end - first) as u64,
            ..arguments
        };
        // SAFETY: the generated code reads input, weights and residual, and writes output and
        // scratch, within the lengths that the plan lays down; `arguments` compared the slices with
        // them, `pack` and `workspace` allocated by them, and the caller holds all of them borrowed
        // for the call. The scratch is not shared; tasks of one phase write disjoint parts of the
        // output and of the shared scratch. `self.code` is mapped while `self` lives, and
        // `cranelift_isa` refused instructions that this CPU has not.
        unsafe { self.code.entry(index)(&arguments) };
    }
}

/// Tasks of a phase that threads take until none is left.
#[cfg(feature = "parallel")]
struct Share<'k> {
    kernel: &'k Kernel,
    index: usize,
    phase: Phase,
    tasks: usize,
    threads: usize,
    arguments: Arguments,
    /// The first task that no thread has taken.
    next: AtomicUsize,
}

#[cfg(feature = "parallel")]
impl Share<'_> {
    /// Runs on the calling thread and on threads of the pool, one for each scratch. The caller does
    /// not wait for them to wake up: it takes tasks meanwhile, and a thread that comes late finds
    /// fewer.
    fn run(&self, pool: &rayon::ThreadPool, private: &mut [Buffer]) {
        let Some((own, others)) = private.split_first_mut() else { return };
        if others.is_empty() {
            return self.take(own);
        }
        pool.in_place_scope(|scope| {
            for other in others {
                scope.spawn(move |_| self.take(other));
            }
            self.take(own);
        });
    }

    /// Takes tasks and runs them. Neighbouring ones go together, for they read the same rows; in the
    /// end one by one, so that threads end together.
    fn take(&self, private: &mut Buffer) {
        let arguments = Arguments { private: private.as_mut_ptr(), ..self.arguments };
        let end_of = |first: usize| {
            let left = self.tasks.checked_sub(first).filter(|&left| left > 0)?;
            Some(first + (left / (2 * self.threads)).max(1))
        };
        // Who takes what matters for no result, and the scope's end is a barrier.
        while let Ok(first) = self.next.fetch_update(Relaxed, Relaxed, end_of) {
            let end = end_of(first).unwrap_or(first);
            self.kernel.call(self.index, arguments, self.phase, first, end);
        }
    }
}
