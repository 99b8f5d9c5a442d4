//! Runs of one kernel, and what is to be done before and after them.

use std::time::{Duration, Instant};

use dsconv_kernels::RunError;

use super::host::Prepared;
use super::neighbours::Neighbours;
use crate::contention::RunQueue;
use crate::measure::until_warm;
use crate::vector_units::VectorUnits;

/// Time that a sample waits for its threads.
const LONGEST_GATHERING: Duration = Duration::from_millis(5);

/// A kernel with all that its runs need.
pub(super) struct Tries<'a> {
    pub(super) prepared: &'a mut Prepared,
    pub(super) pool: Option<&'a rayon::ThreadPool>,
    pub(super) input: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) output: &'a mut [f32],
    pub(super) eviction: &'a mut [u64],
    pub(super) queue: &'a mut RunQueue,
    pub(super) units: &'a VectorUnits,
    pub(super) neighbours: &'a mut Neighbours,
}

impl Tries<'_> {
    pub(super) fn run(&mut self) -> Result<(), RunError> {
        let Prepared { kernel, weights, workspace } = &mut *self.prepared;
        let (input, residual) = (self.input, self.residual);
        match self.pool {
            None => kernel.run(weights, input, residual, self.output, workspace),
            Some(pool) => {
                kernel.run_parallel(pool, weights, input, residual, self.output, workspace)
            }
        }
    }

    /// Keeps the calling thread on its core until the guard is gone.
    pub(super) fn hold(&self) -> Option<impl Drop + use<>> {
        self.neighbours.cores().map(|cores| cores.held_by_caller())
    }

    /// Waits until the threads have their cores to themselves, but no longer than so long; whether they
    /// have.
    pub(super) fn wait(&mut self, patience: Duration) -> bool {
        // Before each look, since a quiet moment is short; none is so long that they sleep again.
        self.neighbours.wait(patience, || self.units.wake())
    }

    /// Whether they still have.
    pub(super) fn are_alone(&mut self) -> bool {
        self.neighbours.are_away()
    }

    /// Moves the calling thread to another core, if it may have one.
    pub(super) fn move_on(&mut self) {
        self.neighbours.move_on();
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
    pub(super) fn sample(&mut self, repeats: u64) -> [Duration; 2] {
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
