//! One run that several threads share: tasks that they take until none is left, phase by phase.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Arguments, Compiled};
use crate::team::{Shared, wait_until};

/// Threads come to it when they can: at the end of a run all tasks are done, whoever did them.
#[derive(Debug)]
pub(super) struct Share {
    compiled: Arc<Compiled>,
    /// Those of the caller, which has the first scratch; the others follow it.
    arguments: Arguments,
    threads: usize,
    /// Threads that have come, the caller included.
    arrived: AtomicUsize,
    phases: [Progress; MOST_PHASES],
}

/// Phases of the longest plan: one for each stage.
const MOST_PHASES: usize = 2;

#[derive(Debug)]
struct Progress {
    tasks: usize,
    /// The first task that no thread has taken.
    next: AtomicUsize,
    done: AtomicUsize,
}

impl Share {
    /// A run on so many threads, whose scratch lies one after the other, the caller's first.
    pub(super) fn new(compiled: Arc<Compiled>, arguments: Arguments, threads: usize) -> Self {
        let plan = &compiled.plan;
        let phases = std::array::from_fn(|index| Progress {
            tasks: plan.phases.get(index).map_or(0, |phase| plan.batch * phase.count),
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        });
        Self { compiled, arguments, threads, arrived: AtomicUsize::new(1), phases }
    }

    fn phases(&self) -> &[Progress] {
        &self.phases[..self.compiled.plan.phases.len()]
    }

    /// The caller's part; all is done when it comes back.
    pub(super) fn run(&self) {
        self.take_part(0);
        self.phases().iter().for_each(Progress::wait);
    }

    fn take_part(&self, member: usize) {
        if member >= self.threads {
            return;
        }
        let scratch = member * self.compiled.plan.private_len;
        let private = self.arguments.private.wrapping_add(scratch);
        let arguments = Arguments { private, ..self.arguments };
        let phases = self.phases();
        for (index, progress) in phases.iter().enumerate() {
            while let Some([first, end]) = progress.take(self.threads) {
                self.compiled.call(index, arguments, first, end);
                progress.done.fetch_add(end - first, Release);
            }
            if index + 1 < phases.len() {
                progress.wait();
            }
        }
    }
}

impl Shared for Share {
    fn help(&self) {
        self.take_part(self.arrived.fetch_add(1, Relaxed));
    }

    fn is_taken(&self) -> bool {
        self.phases().iter().all(|phase| phase.next.load(Relaxed) >= phase.tasks)
    }
}

impl Progress {
    /// Some neighbouring tasks, for they read the same rows; in the end one, so that threads end
    /// together. Who takes what matters for no result.
    fn take(&self, threads: usize) -> Option<[usize; 2]> {
        let end_of = |first: usize| {
            let left = self.tasks.checked_sub(first).filter(|&left| left > 0)?;
            Some(first + (left / (2 * threads)).max(1))
        };
        let first = self.next.fetch_update(Relaxed, Relaxed, end_of).ok()?;
        Some([first, end_of(first)?])
    }

    /// What the tasks wrote can be read after it.
    fn wait(&self) {
        wait_until(|| self.done.load(Acquire) == self.tasks);
    }
}
