//! Whether somebody else computes on the same core: on its other hardware thread, which on a virtual
//! machine is a neighbour's. No counter of the guest tells.
//!
//! Independent multiply-adds take all units of the core; a chain of dependent ones takes their latency,
//! and leaves the units free. A second thread slows the former and not the latter, and the clock
//! frequency is the same for both: so the ratio of their rates is a constant of the core as long as
//! nobody shares it (8.0 with two units of four cycles; 5.0 to 7.7 on an Intel Xeon beside neighbours).

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use dsconv_kernels::peak::{dependent_multiply_adds_of, multiply_adds_of};

use super::MOST_SLOWED;

/// Steps of the computations: some 5 us each.
const STEPS: u64 = 2_000;
const DEPENDENT_STEPS: u64 = 3_000;
/// Times that both are timed in one look, of which the fastest counts: an interruption of the chain would
/// pass for a core that was never so free, and the first wide vectors after others wait for the clock.
const TIMES: usize = 2;
/// Steps of a ratio that are told apart, per factor of e, and one in how many of the greatest is an
/// accident.
const RESOLUTION: f64 = 200.0;
const ACCIDENTS: u64 = 50;

/// Looks at a core, and what it gave in the best of them.
#[derive(Clone, Debug)]
pub struct Sibling {
    /// Of the vectors that it computes with: wider ones than the kernels' might lower the clock.
    lanes: usize,
    /// Looks by the logarithm of the ratio.
    seen: BTreeMap<i32, u64>,
    looks: u64,
}

impl Sibling {
    /// No look yet; they are to compute on vectors of so many lanes. On fewer than eight both
    /// computations are left to the compiler and are hardly different, so nobody is seen.
    pub fn new(lanes: usize) -> Self {
        Self { lanes, seen: BTreeMap::new(), looks: 0 }
    }

    /// Whether the calling thread has its core to itself, as far as the looks so far can tell. It must
    /// have computed just before, on vectors as wide: a core that slept is slow for some 100 us, and
    /// passes for a shared one.
    pub fn is_quiet(&mut self) -> bool {
        let ratio = self.ratio();
        self.is_alone(ratio)
    }

    /// Rate of independent multiply-adds over that of dependent ones.
    fn ratio(&self) -> f64 {
        let mut fastest = [0.0_f64; 2];
        for _ in 0..TIMES {
            let chain = rate(|| dependent_multiply_adds_of(self.lanes, DEPENDENT_STEPS));
            let all = rate(|| multiply_adds_of(self.lanes, STEPS));
            fastest = [fastest[0].max(chain), fastest[1].max(all)];
        }
        fastest[1] / fastest[0]
    }

    fn is_alone(&mut self, ratio: f64) -> bool {
        let step = (ratio.max(1e-9).ln() * RESOLUTION) as i32;
        *self.seen.entry(step).or_default() += 1;
        self.looks += 1;
        is_alone(step, self.best())
    }

    /// Part of all looks in which somebody shared the core, by the best of them.
    pub fn shared(&self) -> f64 {
        let best = self.best();
        let shared = self.seen.iter().filter(|(step, _)| !is_alone(**step, best));
        shared.map(|(_, count)| count).sum::<u64>() as f64 / self.looks.max(1) as f64
    }

    /// The greatest ratio that was no accident.
    fn best(&self) -> i32 {
        let accidents = self.looks / ACCIDENTS;
        let mut greater = 0;
        let mut steps = self.seen.iter().rev();
        let best = steps.find(|(_, count)| {
            greater += **count;
            greater > accidents
        });
        best.map_or(0, |(step, _)| *step)
    }
}

fn is_alone(step: i32, best: i32) -> bool {
    f64::from(best - step) <= MOST_SLOWED.ln() * RESOLUTION
}

/// Operations in a second.
fn rate(compute: impl Fn() -> u64) -> f64 {
    let start = Instant::now();
    let operations = black_box(compute());
    operations as f64 / start.elapsed().as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use dsconv_kernels::Isa;

    use super::*;

    #[test]
    fn who_shares_a_core_is_seen_by_what_is_left_of_it() {
        let mut sibling = Sibling::new(usize::MAX);
        // The first look knows nothing better.
        assert!(sibling.is_alone(6.0));
        for ratio in [8.0, 7.9, 7.4] {
            assert!(sibling.is_alone(ratio), "{ratio}");
        }
        for ratio in [7.1, 6.0, 4.0] {
            assert!(!sibling.is_alone(ratio), "{ratio}");
        }
        // In the end it is known that the first one was slow, too.
        assert_eq!(sibling.shared(), 4.0 / 7.0);
    }

    #[test]
    fn an_accident_in_fifty_looks_does_not_count() {
        let mut sibling = Sibling::new(usize::MAX);
        for _ in 0..10 {
            for _ in 1..ACCIDENTS {
                sibling.is_alone(8.0);
            }
            sibling.is_alone(12.0);
            assert!(sibling.is_alone(7.9));
        }
        assert!(!sibling.is_alone(6.0));
    }

    #[test]
    fn independent_multiply_adds_are_several_times_as_fast_as_dependent_ones() {
        if !Isa::usable().contains(&Isa::Avx2) {
            return;
        }
        for lanes in [8, usize::MAX] {
            let sibling = Sibling::new(lanes);
            let best = (0..100).map(|_| sibling.ratio()).fold(0.0, f64::max);
            assert!((2.0..30.0).contains(&best), "{lanes} lanes: {best}");
        }
    }
}
