//! A compiled schedule and its call.

#![expect(unsafe_code, reason = "generated code is called with raw pointers here")]

use std::sync::Arc;
#[cfg(feature = "parallel")]
use std::time::Duration;

use crate::buffer::Buffer;
use crate::codegen;
use crate::compile;
use crate::jit::Code;
use crate::packing;
use crate::plan::Plan;
use crate::schedule::CheckedSchedule;
use crate::target::Target;
#[cfg(feature = "parallel")]
use crate::team::{self, Team};
use crate::weights::{Weights, WrongLength};

#[cfg(test)]
mod guarded;
#[cfg(feature = "parallel")]
mod share;

#[cfg(feature = "parallel")]
use share::Share;

/// A compiled schedule: machine code for one workload on one target. `Send` and `Sync`; the code
/// is freed with it and with the workspaces that it ran in on several threads.
#[derive(Debug)]
pub struct Kernel {
    schedule: CheckedSchedule,
    compiled: Arc<Compiled>,
}

/// Code, and the plan that it follows. Runs that were shared keep it alive, for threads that come
/// late.
#[derive(Debug)]
struct Compiled {
    plan: Plan,
    code: Code,
}

/// Weights in the layout of one kernel.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    schedule: CheckedSchedule,
    elements: Buffer,
}

/// Scratch memory of one kernel for a number of threads, so that a run allocates nothing, but what
/// a pool takes to wake a thread.
#[derive(Clone, Debug)]
pub struct Workspace {
    schedule: CheckedSchedule,
    #[cfg(feature = "parallel")]
    threads: usize,
    /// Scratch of the first thread, of the second, and so on.
    private: Buffer,
    shared: Buffer,
    /// The team of the pool that ran the kernel last, and the pool's address.
    #[cfg(feature = "parallel")]
    team: Option<(usize, Arc<Team>)>,
    /// The last runs on several threads. The next one takes the place of the older, which hardly
    /// ever has a thread that still looks at it.
    #[cfg(feature = "parallel")]
    runs: [Option<Arc<Share>>; 2],
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
#[derive(Clone, Copy, Debug)]
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
// tasks are done; who still has the arguments then finds no task and does not use them.
// Threads read the same input, weights and residual; their tasks, and so what they write through
// `output` and `shared`, are disjoint; each has a `private` of its own.
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
        Ok(Self { schedule: *schedule, compiled: Arc::new(Compiled { plan, code }) })
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
        let plan = &self.compiled.plan;
        let mut elements = Buffer::zeroed(plan.weights_len);
        packing::pack(plan, weights, &mut elements);
        Ok(PackedWeights { schedule: self.schedule, elements })
    }

    /// Scratch memory for runs on up to `threads` threads, at least one.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let plan = &self.compiled.plan;
        let threads = threads.max(1);
        Workspace {
            schedule: self.schedule,
            #[cfg(feature = "parallel")]
            threads,
            private: Buffer::zeroed(threads * plan.private_len),
            shared: Buffer::zeroed(plan.shared_len),
            #[cfg(feature = "parallel")]
            team: None,
            #[cfg(feature = "parallel")]
            runs: [None, None],
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
        self.compiled.run(arguments);
        Ok(())
    }

    /// Runs on the calling thread and, beside it, on threads of a pool: on as many threads in all as
    /// the pool has, at most as many as the workspace was made for. The caller waits awake; a thread
    /// that helped stays awake for 50 us, so that it need not be woken for the next run.
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
        let threads = pool.current_num_threads().min(workspace.threads);
        let threads = threads.min(self.compiled.most_tasks());
        if threads == 1 {
            self.compiled.run(arguments);
            return Ok(());
        }
        let share = Share::new(Arc::clone(&self.compiled), arguments, threads);
        let share = workspace.place(share);
        let work: Arc<dyn team::Shared> = share.clone();
        workspace.team(pool).call(pool, threads - 1, &work);
        share.run();
        Ok(())
    }

    /// The machine code of each function, in the order of the CLIF text; constants follow the code.
    pub fn functions(&self) -> impl Iterator<Item = &[u8]> {
        self.compiled.code.bytes()
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
            private: workspace.private.as_mut_ptr(),
            shared: workspace.shared.as_mut_ptr(),
            first_image: 0,
            first_task: 0,
            tasks: 0,
        })
    }
}

#[cfg(feature = "parallel")]
impl Workspace {
    /// Wakes the threads of a pool that take part in [`Kernel::run_parallel`], and waits until they
    /// run at the same time as the caller, at most for so long; says whether they do. They stay
    /// awake for 50 us after it, and after each run. For who measures, or has a deadline: a run
    /// needs no call before it, only that the first ones find threads asleep.
    pub fn gather(&mut self, pool: &rayon::ThreadPool, at_most: Duration) -> bool {
        let threads = pool.current_num_threads().min(self.threads);
        self.team(pool).gather(pool, threads - 1, at_most)
    }

    /// Puts a run where an earlier one was, or elsewhere if a thread still looks at that.
    fn place(&mut self, run: Share) -> Arc<Share> {
        self.runs.swap(0, 1);
        let place = &mut self.runs[0];
        match place.as_mut().and_then(Arc::get_mut) {
            Some(earlier) => *earlier = run,
            None => *place = Some(Arc::new(run)),
        }
        Arc::clone(place.as_ref().expect("it was just set"))
    }

    /// The team of a pool: remembered, since it is nearly always the same.
    fn team(&mut self, pool: &rayon::ThreadPool) -> &Team {
        let address = team::address_of(pool);
        let seats = pool.current_num_threads();
        let fits = |(known, team): &(usize, Arc<Team>)| *known == address && team.seats() == seats;
        if !self.team.as_ref().is_some_and(fits) {
            self.team = Some((address, Team::of(pool)));
        }
        let (_, team) = self.team.as_ref().expect("it was just set");
        team
    }
}

impl Compiled {
    /// Runs all tasks on this thread.
    fn run(&self, arguments: Arguments) {
        for (index, phase) in self.plan.phases.iter().enumerate() {
            self.call(index, arguments, 0, self.plan.batch * phase.count);
        }
    }

    /// Tasks of the phase that has most of them: more threads are of no use.
    #[cfg(feature = "parallel")]
    fn most_tasks(&self) -> usize {
        let counts = self.plan.phases.iter().map(|phase| phase.count);
        self.plan.batch * counts.max().unwrap_or(1)
    }

    /// Runs tasks `first..end` of a phase on this thread. `arguments` come from
    /// [`Kernel::arguments`], with a scratch of the workspace that no other thread uses meanwhile.
    fn call(&self, index: usize, arguments: Arguments, first: usize, end: usize) {
        let count = self.plan.phases[index].count;
        let arguments = Arguments {
            first_image: (first / count) as u64,
            first_task: (first % count) as u64,
            tasks: (end - first) as u64,
            ..arguments
        };
        // SAFETY: the generated code reads input, weights and residual, and writes output and
        // scratch, within the lengths that the plan lays down; `arguments` compared the slices with
        // them, `pack` and `workspace` allocated by them, and the caller holds all of them borrowed
        // until every task is done. The scratch is not shared; tasks of one phase write disjoint
        // parts of the output and of the shared scratch. `self.code` is mapped while `self` lives,
        // and `cranelift_isa` refused instructions that this CPU has not.
        unsafe { self.code.entry(index)(&arguments) };
    }
}
