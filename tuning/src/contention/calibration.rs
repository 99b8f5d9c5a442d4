//! A fixed computation that ought to take the same time always.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dsconv_kernels::peak::multiply_adds;

/// How much slower than its best the computation may be.
const MOST_SLOWED: f64 = 1.10;
/// Steps of the computation: some 20 us.
const STEPS: u64 = 10_000;
/// Time of one look, of which the best sample counts: so long that [vector units](crate::vector_units) that
/// slept are awake for some of them.
const LOOK: Duration = Duration::from_millis(3);
/// Looks that a slow one is believed after, and the time between them: clock frequencies change for
/// some milliseconds, and threads that ended a sample search for work a little longer.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Multiply-adds, timed now and then: they show what no counter tells, such as a lower clock
/// frequency or a neighbour on the same core.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    best: Option<Duration>,
}

impl Calibration {
    /// Time of the computation now over the best so far; 1.0 at the first look.
    pub fn slowdown(&mut self) -> f64 {
        let began = Instant::now();
        let mut now = Duration::MAX;
        while now == Duration::MAX || began.elapsed() < LOOK {
            let start = Instant::now();
            black_box(multiply_adds(STEPS));
            now = now.min(start.elapsed());
        }
        let best = self.best.map_or(now, |best| best.min(now));
        self.best = Some(best);
        now.as_secs_f64() / best.as_secs_f64().max(1e-9)
    }

    /// Why the samples before this moment cannot be trusted; `None` if they can. Takes some looks
    /// where the first is slow.
    pub fn contamination(&mut self) -> Option<String> {
        contamination(settled(|| self.slowdown()))
    }
}

fn contamination(slowdown: f64) -> Option<String> {
    (slowdown > MOST_SLOWED)
        .then(|| format!("a fixed computation took {slowdown:.2} times its best time"))
}

/// The first look that is not slow, or the least slow of several.
fn settled(mut look: impl FnMut() -> f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..LOOKS {
        least = least.min(look());
        if least <= MOST_SLOWED {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_look_is_the_best_so_far() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.slowdown(), 1.0);
        // So is a faster one.
        let an_hour = Duration::from_secs(3600);
        let mut calibration = Calibration { best: Some(an_hour) };
        assert_eq!(calibration.slowdown(), 1.0);
        assert!(calibration.best.is_some_and(|best| best < an_hour));
    }

    #[test]
    fn a_slow_computation_is_contamination_and_a_small_step_is_none() {
        assert!(contamination(1.5).expect("slow").contains("1.50 times"));
        assert_eq!(contamination(1.02), None);
        let mut calibration = Calibration { best: Some(Duration::from_nanos(1)) };
        assert!(calibration.contamination().is_some(), "it was much faster once");
    }

    #[test]
    fn a_slow_look_is_believed_once_all_are_slow() {
        let looks = |slowdowns: &'static [f64]| {
            let mut looks = slowdowns.iter().copied();
            let settled = settled(|| looks.next().expect("no more looks than there are"));
            (settled, looks.len())
        };
        assert_eq!(looks(&[1.03, 9.0]), (1.03, 1));
        assert_eq!(looks(&[1.12, 1.19, 1.02, 9.0]), (1.02, 1));
        assert_eq!(looks(&[1.5, 1.3, 1.4, 1.6, 1.0]), (1.3, 1));
    }
}
