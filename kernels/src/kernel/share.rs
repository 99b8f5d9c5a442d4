//! One run that several threads share: tasks that they take until none is left, phase by phase.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Arguments, Compiled};
use crate::team::{Shared, wait_until};

/// Threads come to it when they can: at the end of a run all tasks are done, whoever did them.
pub(super) struct Share {
    compiled: Arc<Compiled>,
    /// Arguments of each thread, with a scratch of its own; those of the caller come first.
    members: Vec<Arguments>,
    /// Members that have come, the caller included.
    arrived: AtomicUsize,
    phases: Vec<Progress>,
}

struct Progress {
    tasks: usize,
    /// The first task that no thread has taken.
    next: AtomicUsize,
    done: AtomicUsize,
}

impl Share {
    pub(super) fn new(compiled: Arc<Compiled>, members: Vec<Arguments>) -> Self {
        let phases = compiled.plan.phases.iter();
        let phases = phases
            .map(|phase| Progress {
                tasks: compiled.plan.batch * phase.count,
                next: AtomicUsize::new(0),
                done: AtomicUsize::new(0),
            })
            .collect();
        Self { compiled, members, arrived: AtomicUsize::new(1), phases }
    }

    /// The caller's part; all is done when it comes back.
    pub(super) fn run(&self) {
        self.take_part(0);
        self.phases.iter().for_each(Progress::wait);
    }

    fn take_part(&self, member: usize) {
        let Some(&arguments) = self.members.get(member) else { return };
        let last = self.phases.len() - 1;
        for (index, progress) in self.phases.iter().enumerate() {
            while let Some([first, end]) = progress.take(self.members.len()) {
                self.compiled.call(index, arguments, first, end);
                progress.done.fetch_add(end - first, Release);
            }
            if index < last {
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
        self.phases.iter().all(|phase| phase.next.load(Relaxed) >= phase.tasks)
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
