//! Vector units that sleep.
//!
//! A core whose widest vectors had nothing to do for a while computes at a fraction of its speed when they
//! are wanted again, as if it had to switch their units on, which no counter tells. On an Intel Xeon
//! (family 6, model 106) it takes 0.5 to 0.8 ms without them. Multiply-adds of 512 bits then take 4.3
//! times as long, for 0.1 to 0.4 ms mostly and for 2.4 at worst: a kernel of 74 us took 278, 278, 278,
//! 246 and only then 94 and 74. Whatever precedes a sample, such as compiling a kernel or waiting for a
//! quiet moment, may be long enough for that. (Schoene et al., *Energy Efficiency Features of the Intel
//! Skylake-SP Processor and Their Impact on Performance*, 2019, describe a throttling for such vectors.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dsconv_kernels::peak::multiply_adds_of;

/// Steps of a look, which takes half a microsecond.
const STEPS: u64 = 250;
/// How many times as long as the shortest look one takes at most while the units are awake: less than
/// where they sleep, more than beside a neighbour on the same core.
const AWAKE: u64 = 3;
/// Time that waking takes at most.
const LONGEST: Duration = Duration::from_millis(3);

/// The vector units of whichever core the caller is on.
#[derive(Debug)]
pub(crate) struct VectorUnits {
    lanes: usize,
    /// Time of the shortest look so far.
    best_ns: AtomicU64,
}

impl VectorUnits {
    /// Those for so many lanes. Takes the time that they need to wake.
    pub(crate) fn of(lanes: u8) -> Self {
        let units = Self { lanes: usize::from(lanes), best_ns: AtomicU64::new(u64::MAX) };
        let start = Instant::now();
        while start.elapsed() < LONGEST {
            units.are_awake();
        }
        units
    }

    /// Wakes those of the calling thread's core. They stay awake for half a millisecond at least.
    pub(crate) fn wake(&self) {
        let start = Instant::now();
        while !self.are_awake() && start.elapsed() < LONGEST {}
    }

    fn are_awake(&self) -> bool {
        let start = Instant::now();
        multiply_adds_of(self.lanes, STEPS);
        let ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let best_ns = self.best_ns.fetch_min(ns, Ordering::Relaxed).min(ns);
        is_of_awake_units(ns, best_ns)
    }
}

fn is_of_awake_units(look_ns: u64, best_ns: u64) -> bool {
    look_ns <= best_ns.saturating_mul(AWAKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_sleep_are_told_from_a_busy_core() {
        // As seen, at the best and at a lower clock; twice that, for a neighbour; and as seen asleep.
        for (look_ns, is_awake) in
            [(566, true), (797, true), (1594, true), (1958, false), (2450, false)]
        {
            assert_eq!(is_of_awake_units(look_ns, 566), is_awake, "{look_ns}");
        }
    }

    #[test]
    fn waking_ends_even_if_they_were_never_so_fast() {
        let units = VectorUnits::of(16);
        let best_ns = units.best_ns.load(Ordering::Relaxed);
        assert!((1..1_000_000_000).contains(&best_ns), "{best_ns}");
        units.best_ns.store(0, Ordering::Relaxed);
        assert!(!units.are_awake());
        let start = Instant::now();
        units.wake();
        assert!(start.elapsed() >= LONGEST);
    }
}
