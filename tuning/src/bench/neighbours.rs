//! Who else computes on the cores of the threads that are measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::contention::Sibling;
use crate::cores::Cores;

/// Time for which threads that helped stay awake, on the other half of the core perhaps, and more.
const HELPERS_AWAKE: Duration = Duration::from_micros(100);
/// Time that a thread waits on one core, to move on to another after it. Moving takes 40 us, and the
/// second-level cache is to be filled again.
const LONGEST_STAY: Duration = Duration::from_micros(500);

/// Looks at the cores that threads have, where they have one each.
///
/// Only the thread that takes samples looks, since whoever helps sleeps meanwhile: it visits the core of
/// one of them before and after each sample, another one each time. A visit takes some 0.1 ms, so that more
/// would take longer than the samples.
#[derive(Debug)]
pub(super) struct Neighbours {
    cores: Option<Cores>,
    /// On the core of the thread that takes samples.
    own: Sibling,
    /// On the cores of those that help, which may be of another kind.
    others: BTreeMap<usize, Sibling>,
    /// Whose core is visited next.
    next: usize,
    /// Time for which whoever is on a core may be a thread of this process.
    awake: Duration,
}

impl Neighbours {
    /// Of so many threads.
    pub(super) fn of(threads: usize) -> Self {
        Self {
            cores: Cores::divided_among(threads),
            own: Sibling::default(),
            others: BTreeMap::new(),
            next: 0,
            awake: if threads > 1 { HELPERS_AWAKE } else { Duration::ZERO },
        }
    }

    /// The cores, where threads have one each.
    pub(super) fn cores(&self) -> Option<Cores> {
        self.cores
    }

    /// Waits until the calling thread has its core to itself, or another core that it moves on to, and the
    /// one that helps has its own, but not much longer than so long; whether they have. Calls `before` each
    /// look at the own core.
    pub(super) fn wait(&mut self, patience: Duration, before: impl Fn()) -> bool {
        let (start, patience) = (Instant::now(), patience.max(self.awake));
        loop {
            // The own core last, which is left meanwhile.
            let is_other_quiet = self.is_other_quiet();
            before();
            let left = patience.saturating_sub(start.elapsed());
            if is_other_quiet && self.own.wait(self.awake, left.min(LONGEST_STAY)) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
            self.move_on();
        }
    }

    /// Whether both have their cores to themselves after a sample.
    pub(super) fn are_away(&mut self) -> bool {
        let are_away = self.own.wait(self.awake, self.awake) && self.is_other_quiet();
        self.next += 1;
        are_away
    }

    /// Whether nobody came and went during a sample of this length that has just ended, if nobody was on
    /// the cores before and after it.
    pub(super) fn stayed_away(&self, sample: Duration) -> bool {
        self.own.stayed_away(sample) && self.others.values().all(|it| it.stayed_away(sample))
    }

    /// Moves the calling thread to another core, if it may have one.
    pub(super) fn move_on(&mut self) {
        self.cores.iter_mut().for_each(Cores::move_on);
    }

    /// Whether the thread that helps and is looked at next has its core to itself.
    fn is_other_quiet(&mut self) -> bool {
        let Some(cores) = self.cores else { return true };
        let Some(core) = cores.of_helper(self.next) else { return true };
        let (other, awake) = (self.others.entry(core).or_default(), self.awake);
        cores.visit(core, || other.wait(awake, awake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_that_helps_is_visited_in_turn() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut neighbours = Neighbours::of(threads);
        // A thread for each core.
        let helpers = if neighbours.cores().is_some() { threads - 1 } else { 0 };
        for _ in 0..2 * helpers {
            neighbours.wait(Duration::ZERO, || {});
            neighbours.are_away();
        }
        assert_eq!(neighbours.others.len(), helpers);
    }

    #[test]
    fn a_single_thread_visits_nobody() {
        let mut neighbours = Neighbours::of(1);
        neighbours.wait(Duration::ZERO, || {});
        neighbours.are_away();
        assert!(neighbours.others.is_empty());
    }
}
