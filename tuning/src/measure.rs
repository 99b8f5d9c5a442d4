//! Clocks, samples, and what they say: medians, spreads, how sure a median is.
//!
//! ```
//! use dsconv_tuning::measure::{median, median_absolute_deviation};
//!
//! assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
//! assert_eq!(median_absolute_deviation(&[3.0, 1.0, 2.0, 10.0]), 1.0);
//! ```

use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dsconv::Measurement;

/// Time that a sample lasts at least; shorter kernels run several times per sample. The clock's
/// own resolution and cost (some 30 ns) is then below 0.1 %.
const SAMPLE_NS: u64 = 50_000;
/// Runs in a sample at most.
const MOST_REPEATS: u64 = 10_000;
/// A run this long is its own warm-up: what is in the caches when it starts makes no difference, since
/// it fills them many times over.
const SELF_WARMING: Duration = Duration::from_millis(10);
/// A run that takes at least this part of the time of the one before began with warm caches.
const STEADY: f64 = 0.9;
/// Runs of which the last must be warm.
const MOST_WARM_UPS: usize = 5;

/// Time since some fixed moment.
pub trait Clock: Debug {
    /// Nanoseconds since that moment; never runs backwards.
    fn now_ns(&self) -> u64;
}

/// The monotonic clock of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that shows zero now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A moment at which no further run starts.
#[derive(Clone, Copy, Debug)]
pub struct Deadline<'a> {
    clock: &'a dyn Clock,
    until_ns: u64,
}

impl<'a> Deadline<'a> {
    /// When the clock shows so much.
    pub fn at(clock: &'a dyn Clock, until_ns: u64) -> Self {
        Self { clock, until_ns }
    }

    /// After so long from now; without that, never.
    pub fn within(clock: &'a dyn Clock, time: Option<Duration>) -> Self {
        let ns = time.and_then(|time| u64::try_from(time.as_nanos()).ok());
        Self::at(clock, ns.map_or(u64::MAX, |ns| clock.now_ns().saturating_add(ns)))
    }

    /// By which clock.
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        self.clock.now_ns() >= self.until_ns
    }

    /// Time until then, unless it never comes.
    pub fn left(&self) -> Option<Duration> {
        let left_ns = self.until_ns.saturating_sub(self.clock.now_ns());
        (self.until_ns != u64::MAX).then(|| Duration::from_nanos(left_ns))
    }
}

/// Middle value; the mean of the two middle values where their number is even, NaN where there is
/// none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Median of the distances to the median.
pub fn median_absolute_deviation(values: &[f64]) -> f64 {
    let center = median(values);
    let distances: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    median(&distances)
}

/// Between what the median of a distribution lies, given values drawn from it: wrong in one case of
/// twenty, whatever the distribution. Unbounded where there are fewer than eight values.
///
/// The order statistics of the sign test, by the normal approximation (Conover, *Practical
/// Nonparametric Statistics*, 3rd edition, section 3.2).
pub fn median_bounds(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let len = values.len();
    let outside = (len as f64 / 2.0 - (len as f64).sqrt()).floor() as usize;
    match outside.checked_sub(1) {
        Some(lower) => [sorted[lower], sorted[len - outside]],
        None => [f64::NEG_INFINITY, f64::INFINITY],
    }
}

/// The least value; infinite where there is none.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Median, minimum and spread of samples in microseconds.
///
/// # Panics
///
/// If there are no samples.
pub fn summarize(samples_us: &[f64]) -> Measurement {
    assert!(!samples_us.is_empty(), "a measurement needs a sample");
    Measurement {
        median_us: median(samples_us),
        min_us: least(samples_us),
        spread_us: median_absolute_deviation(samples_us),
        samples: u32::try_from(samples_us.len()).unwrap_or(u32::MAX),
    }
}

/// Times one prepared kernel: two runs to warm up, then samples of at least 50 us each until
/// `budget` is used up or there are 101 samples; one sample at least.
///
/// # Errors
///
/// Returns the first error of `run`.
pub fn time_block<E>(
    budget: Duration,
    mut run: impl FnMut() -> Result<(), E>,
) -> Result<Measurement, E> {
    const MOST_SAMPLES: usize = 101;
    let clock = SystemClock::start();
    let until_ns = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX);
    let mut time = |repeats: u64| -> Result<u64, E> {
        let start = clock.now_ns();
        for _ in 0..repeats {
            run()?;
        }
        Ok(black_box(clock.now_ns() - start))
    };
    time(1)?;
    let mut repeats = repeats_for(time(1)?);
    let mut samples_us = Vec::new();
    loop {
        let elapsed = time(repeats)?;
        if samples_us.is_empty() && is_too_short(elapsed, repeats) {
            repeats = repeats_for(elapsed / repeats);
        } else {
            samples_us.push(per_run_us(elapsed, repeats));
        }
        let enough = samples_us.len() >= MOST_SAMPLES || clock.now_ns() >= until_ns;
        if enough && !samples_us.is_empty() {
            return Ok(summarize(&samples_us));
        }
    }
}

/// Runs per sample of a kernel that takes `run_ns`.
pub(crate) fn repeats_for(run_ns: u64) -> u64 {
    SAMPLE_NS.div_ceil(run_ns.max(1)).clamp(1, MOST_REPEATS)
}

/// Whether a sample is so short that its number of repeats rests on a run that was too slow: the
/// first ones fetch code and data.
pub(crate) fn is_too_short(sample_ns: u64, repeats: u64) -> bool {
    sample_ns < SAMPLE_NS / 2 && repeats < MOST_REPEATS
}

/// Runs until a run is hardly faster than the one before, and gives what the last one did: the time it
/// took, and what of that it waited for a core.
///
/// After another kernel, one run brings into the second-level cache what fits there. What does not comes
/// from the third-level one only some runs later, as if that kept what it had seen to come back; this
/// costs some kernels more than others. On an Intel Xeon with 4 MiB of weights runs took 919, 796,
/// 597, 561, 557 us one after the other, and 1227, 665, 644 where one run reads the weights twice.
pub(crate) fn until_warm(mut run: impl FnMut() -> [Duration; 2]) -> [Duration; 2] {
    let mut last = run();
    for _ in 1..MOST_WARM_UPS {
        if last[0] >= SELF_WARMING {
            break;
        }
        let before = std::mem::replace(&mut last, run());
        if last[0] >= before[0].mul_f64(STEADY) {
            break;
        }
    }
    last
}

pub(crate) fn per_run_us(sample_ns: u64, repeats: u64) -> f64 {
    sample_ns as f64 / repeats as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_warm_once_a_run_is_hardly_faster_than_the_one_before() {
        for (runs_us, taken) in [
            (&[685, 663, 600][..], 2),
            (&[1227, 665, 644, 600], 3),
            (&[919, 796, 597, 561, 557], 4),
            // Interrupted at first, or in the middle.
            (&[900, 600, 600, 500], 3),
            (&[600, 900, 500], 2),
            // Long enough by itself.
            (&[18_000, 9_000], 1),
            (&[30_000, 9_000, 5_000], 1),
            // It has to end some time.
            (&[32, 16, 8, 4, 2, 1], 5),
        ] {
            let mut next = runs_us.iter().map(|us| [Duration::from_micros(*us), Duration::ZERO]);
            let [last, _] = until_warm(|| next.next().expect("it stops before"));
            assert_eq!(runs_us.len() - next.len(), taken, "{runs_us:?}");
            assert_eq!(last, Duration::from_micros(runs_us[taken - 1]), "{runs_us:?}");
        }
    }

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one() {
        assert_eq!(median(&[5.0]), 5.0);
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[100.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn the_median_of_nothing_is_not_a_number() {
        assert!(median(&[]).is_nan());
        assert!(median_absolute_deviation(&[]).is_nan());
    }

    #[test]
    fn one_outlier_moves_neither_median_nor_spread_far() {
        let samples = [10.0, 10.2, 9.8, 10.1, 900.0];
        let measurement = summarize(&samples);
        assert_eq!(measurement.median_us, 10.1);
        assert_eq!(measurement.min_us, 9.8);
        assert!((measurement.spread_us - 0.1).abs() < 1e-9);
        assert_eq!(measurement.samples, 5);
    }

    #[test]
    fn the_spread_of_an_even_number_is_a_mean_of_two_distances() {
        // Median 4.5; distances 3.5, 0.5, 0.5, 5.5.
        assert_eq!(median_absolute_deviation(&[1.0, 4.0, 5.0, 10.0]), 2.0);
    }

    #[test]
    fn short_runs_are_repeated_until_a_sample_is_long_enough() {
        for run_ns in [1, 7, 100, 49_999, 50_000, 50_001, 1_000_000_000] {
            let repeats = repeats_for(run_ns);
            let sample_ns = repeats * run_ns;
            assert!(sample_ns >= SAMPLE_NS || repeats == MOST_REPEATS, "{run_ns}");
            assert!(repeats == 1 || (repeats - 1) * run_ns < SAMPLE_NS, "{run_ns}");
        }
        assert_eq!(repeats_for(0), MOST_REPEATS);
    }

    #[test]
    fn a_block_is_timed_at_least_once_and_its_error_is_passed_on() {
        let mut runs = 0;
        let measurement = time_block(Duration::ZERO, || {
            runs += 1;
            Ok::<(), ()>(())
        });
        assert!(measurement.is_ok_and(|measurement| measurement.samples >= 1));
        assert!(runs > 2);
        assert_eq!(time_block(Duration::ZERO, || Err("broken")).err(), Some("broken"));
    }
}
