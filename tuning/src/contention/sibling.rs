//! Whether somebody else computes on the same core: on its other hardware thread, which on a virtual
//! machine is a neighbour's. No counter of the guest tells.
//!
//! Two threads of a core take turns at its front end. Independent additions need all that this can
//! issue, a chain of dependent ones needs one in a cycle; so a second thread slows the former and not
//! the latter, whatever it does, and the clock frequency is the same for both. The ratio of their rates
//! is a constant of the core as long as nobody shares it. On an Intel Xeon beside neighbours it was 3.0
//! to 3.4, and a kernel of 86 us took just that; or it was 1.2 to 2.6, and the kernel took 97 to 126.
//! Multiply-adds would tell less: two units of them are busy while half of the issue slots are free, and
//! for that ratio the same kernel took 86 to 120 us where it was at its best.
//!
//! Looks before and after a sample tell nothing of its middle. Neighbours come and go within
//! milliseconds, so a long sample was quiet only if nobody was seen for far longer than it took.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Steps of the computations: 1 to 2 us each.
const STEPS: u64 = 1_000;
const DEPENDENT_STEPS: u64 = 1_500;
/// Independent chains: enough for any core, and few enough for 16 registers.
const CHAINS: usize = 6;
/// Times that both are timed in one look. The fastest chain counts, since an interrupted one would pass
/// for a core that was never so free, and all of the others: who shares the core may pause.
const TIMES: usize = 2;
/// How far the ratio may lie below the best one in any case.
const MOST_SLOWED: f64 = 1.15;
/// Once so many looks were not farther, it must be one in so many as frequent as the most frequent one. On
/// an AMD EPYC 60 to 80 % of them lay within 2.5 %, the others anywhere below, where kernels of 109 to 147 us
/// took 1.13 times as long.
const ENOUGH_NEAR: u64 = 100;
const RARE: u64 = 4;
/// Steps of a ratio that are told apart, per factor of e, and one in how many of the greatest is an
/// accident: no more of them, since the core may be free as rarely.
const RESOLUTION: f64 = 200.0;
const ACCIDENTS: u64 = 1_000;

/// Length of a sample in the middle of which nobody comes and goes, mostly. Beside an Intel Xeon's
/// neighbours, half of the time that they used the core was in stretches of less than 5 ms.
const SHORT: Duration = Duration::from_millis(1);
/// Times the length of a longer one for which nobody was seen until its end.
const UNSEEN: u32 = 10;

/// Looks at a core, and what it gave in the best of them.
#[derive(Clone, Debug)]
pub struct Sibling {
    /// Looks by the logarithm of the ratio.
    seen: BTreeMap<i32, u64>,
    looks: u64,
    /// When somebody was seen last; before that, the first moment.
    alone_since: Instant,
}

impl Default for Sibling {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), looks: 0, alone_since: Instant::now() }
    }
}

impl Sibling {
    /// Whether the calling thread has its core to itself, as far as the looks so far can tell. Takes
    /// some 5 us.
    pub fn is_quiet(&mut self) -> bool {
        let ratio = ratio();
        self.is_alone(ratio)
    }

    /// Waits until the calling thread has its core to itself, but no longer than so long; whether it has.
    /// For a time of its `own`, whoever is on the core may be a thread of this process.
    pub fn wait(&mut self, own: Duration, patience: Duration) -> bool {
        let start = Instant::now();
        loop {
            if self.is_quiet() {
                return true;
            }
            let waited = start.elapsed();
            if waited >= own {
                self.alone_since = start + waited;
            }
            if waited >= patience {
                return false;
            }
        }
    }

    /// Whether nobody came and went during a sample of this length that has just ended, if nobody was on
    /// the core before and after it.
    pub(crate) fn stayed_away(&self, sample: Duration) -> bool {
        stayed_away(sample, self.alone_since.elapsed())
    }

    fn is_alone(&mut self, ratio: f64) -> bool {
        let step = (ratio.max(1e-9).ln() * RESOLUTION) as i32;
        *self.seen.entry(step).or_default() += 1;
        self.looks += 1;
        step >= self.least_alone()
    }

    /// Part of all looks in which somebody shared the core, as far as they tell what it is like when nobody
    /// does.
    pub fn shared(&self) -> f64 {
        let shared: u64 = self.seen.range(..self.least_alone()).map(|(_, count)| count).sum();
        shared as f64 / self.looks.max(1) as f64
    }

    /// The least ratio of a core that nobody shares. Such ratios are much alike; those of a core that is
    /// shared may be anything.
    fn least_alone(&self) -> i32 {
        let best = self.best();
        let least = best - (MOST_SLOWED.ln() * RESOLUTION) as i32;
        let near = || self.seen.range(least..=best);
        let [looks, most] =
            near().fold([0, 0], |[looks, most], (_, count)| [looks + count, most.max(*count)]);
        if looks < ENOUGH_NEAR {
            return least;
        }
        near().find(|(_, count)| RARE * **count >= most).map_or(least, |(step, _)| *step)
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

fn stayed_away(sample: Duration, alone: Duration) -> bool {
    sample <= SHORT || alone >= UNSEEN * sample
}

/// Rate of independent additions over that of dependent ones.
fn ratio() -> f64 {
    let (mut chain, mut all) = (Duration::MAX, Duration::ZERO);
    for _ in 0..TIMES {
        chain = chain.min(time(|| additions::<1>(DEPENDENT_STEPS)));
        all += time(|| additions::<CHAINS>(STEPS));
    }
    let per_chain = chain.as_secs_f64() / DEPENDENT_STEPS as f64;
    let per_all = all.as_secs_f64() / (TIMES as u64 * STEPS * CHAINS as u64) as f64;
    per_chain / per_all.max(1e-12)
}

fn time(compute: impl Fn()) -> Duration {
    let start = Instant::now();
    compute();
    start.elapsed()
}

/// Steps of so many chains that do not need each other. An addition and an exclusive or: a sum of one
/// term again and again would be a product to the compiler.
#[inline(never)]
fn additions<const CHAINS: usize>(steps: u64) {
    let term = black_box(0x9e37_79b9_7f4a_7c15_u64);
    let mut chains: [u64; CHAINS] = std::array::from_fn(|chain| black_box(term + chain as u64));
    for _ in 0..steps {
        for chain in &mut chains {
            *chain = (*chain ^ term).wrapping_add(*chain);
        }
    }
    black_box(chains);
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn who_shares_a_core_is_seen_by_what_is_left_of_it() {
        let mut sibling = Sibling::default();
        // The first look knows nothing better.
        assert!(sibling.is_alone(2.4));
        for ratio in [3.3, 3.2, 3.0] {
            assert!(sibling.is_alone(ratio), "{ratio}");
        }
        for ratio in [2.8, 2.4, 1.2] {
            assert!(!sibling.is_alone(ratio), "{ratio}");
        }
        // In the end it is known that the first one was slow, too.
        assert_eq!(sibling.shared(), 4.0 / 7.0);
    }

    #[test]
    fn who_takes_little_of_the_core_is_seen_once_it_is_known_what_is_usual() {
        let mut sibling = Sibling::default();
        // Half of the looks lie anywhere from 2.9 to 3.3, the others where those of a free core do.
        for look in 0..2_000 {
            let little = sibling.is_alone(2.9 + 0.01 * f64::from(look % 40));
            let free = sibling.is_alone([3.37, 3.39, 3.41][look as usize % 3]);
            assert!(look < 200 || free && !little, "look {look}: {free} {little}");
        }
        assert_eq!(sibling.shared(), 0.5);
    }

    #[test]
    fn ratios_of_a_free_core_may_differ() {
        // Anywhere from 3.05 to 3.4, as on an Intel Xeon.
        let mut sibling = Sibling::default();
        let mut random = StdRng::seed_from_u64(1);
        let mut ratio = || 3.05 + 0.35 * random.random_range(0.0..1.0);
        let alone = (0..4_000).filter(|_| sibling.is_alone(ratio())).count();
        assert!(alone > 3_600, "{alone}");
    }

    #[test]
    fn an_accident_in_a_thousand_looks_does_not_count() {
        let mut sibling = Sibling::default();
        for _ in 0..3 {
            for look in 1..ACCIDENTS {
                sibling.is_alone(if look % 2 == 0 { 3.3 } else { 3.2 });
            }
            sibling.is_alone(12.0);
            assert!(sibling.is_alone(3.2));
        }
        assert!(!sibling.is_alone(2.4));
    }

    #[test]
    fn a_core_that_is_free_one_time_in_a_hundred_is_known_for_it() {
        let mut sibling = Sibling::default();
        for look in 0..2_000 {
            let is_free = look % 100 == 99;
            let is_alone = sibling.is_alone(if is_free { 3.3 } else { 1.9 });
            assert!(look < 100 || is_alone == is_free, "look {look}");
        }
    }

    #[test]
    fn independent_additions_are_faster_than_dependent_ones() {
        let best = (0..100).map(|_| ratio()).fold(0.0, f64::max);
        assert!((1.5..30.0).contains(&best), "{best}");
    }

    #[test]
    fn patience_ends() {
        let mut sibling = never_so_free();
        let start = Instant::now();
        assert!(!sibling.wait(Duration::ZERO, Duration::from_millis(2)));
        assert!(start.elapsed() >= Duration::from_millis(2));
    }

    #[test]
    fn who_is_seen_may_have_come_and_gone_during_long_samples_before() {
        let ms = Duration::from_millis;
        assert!(stayed_away(ms(1), ms(0)));
        assert!(!stayed_away(ms(2), ms(19)) && stayed_away(ms(2), ms(20)));
        assert!(!stayed_away(ms(30), ms(299)) && stayed_away(ms(30), ms(300)));

        let mut sibling = never_so_free();
        let before = sibling.alone_since;
        sibling.wait(Duration::MAX, Duration::ZERO);
        assert_eq!(sibling.alone_since, before, "a thread of this process");
        sibling.wait(Duration::ZERO, Duration::ZERO);
        assert!(sibling.alone_since > before);
    }

    /// Looks after which no core is free.
    fn never_so_free() -> Sibling {
        let seen = BTreeMap::from([(i32::MAX / 2, 10)]);
        Sibling { seen, looks: 10, ..Sibling::default() }
    }
}
