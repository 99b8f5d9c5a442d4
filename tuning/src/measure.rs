//! Fair times in little time: round-robin sampling, early elimination, a paired confirmation.
//!
//! ```
//! use dsconv_tuning::measure::{median, median_absolute_deviation};
//!
//! assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
//! assert_eq!(median_absolute_deviation(&[3.0, 1.0, 2.0, 10.0]), 1.0);
//! ```
//!
//! Candidates of one [`race`](Race) are sampled in turn, so that a change of clock frequency or a
//! busy neighbour meets all of them alike. A candidate leaves as soon as its *fastest* sample is
//! too far behind the best *median*: an interrupted sample costs time, never a good schedule. The
//! stored numbers come from a [`confirmation`](Race::confirm) in which the few best and the
//! untuned default take turns once more with fresh samples; a winner by one lucky sample does not
//! survive it. Users of Kernel Tuner or TVM get a mean of a few back-to-back repeats instead.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dsconv::Measurement;
use dsconv_kernels::{CheckedSchedule, Schedule};

use crate::bench::Bench;
use crate::trial::{Outcome, Trial};

/// Time that a sample lasts at least; shorter kernels run several times per sample. The clock's
/// own resolution and cost (some 30 ns) is then below 0.1 %.
const SAMPLE_NS: u64 = 50_000;
/// Runs in a sample at most.
const MOST_REPEATS: u64 = 10_000;
/// Samples taken of a candidate that stays in a race to the end.
pub const RACE_SAMPLES: usize = 5;
/// Samples per schedule in the confirmation, if the budget allows.
pub const CONFIRM_SAMPLES: usize = 31;
/// Samples per schedule before a confirmation, to choose who takes part.
pub const QUALIFYING_SAMPLES: usize = 9;
/// Rounds of a confirmation after which everybody moves to other memory.
const ROUNDS_A_PLACE: usize = 2;
/// Part of the rounds in which a contender must be faster to win against the medians. By chance 22
/// of 31 are in one case of 70.
const MOST_PAIRS: f64 = 0.7;
/// Slower by no more than this, a contender is as good as the first; and so it is by no more than
/// the second if it was not slower in most rounds.
const TIE: f64 = 1.005;
const LIKELY_TIE: f64 = 1.01;
/// How far behind the best median noise may put a contender that is no slower.
const CLOSE: f64 = 1.03;
/// Rounds of a confirmation from which on pairs decide.
const LEAST_PAIRS: usize = 5;
/// A candidate whose single run takes this many times the best's median is dropped without a
/// sample.
const HOPELESS_RUN: f64 = 3.0;
/// A single run below this time that seems hopeless is repeated once before it is believed: it
/// may have been interrupted, which takes a few milliseconds.
const SECOND_CHANCE_NS: u64 = 20_000_000;
/// Time that a candidate in progress may overrun the budget by.
const GRACE: Duration = Duration::from_secs(1);
/// How far a candidate's fastest sample may lie behind the best median, by its number of samples.
/// Noise between samples of one kernel is 1-5 % on a quiet machine.
const MARGINS: [f64; RACE_SAMPLES] = [1.5, 1.25, 1.15, 1.1, 1.07];

/// Whether something holds in most rounds, given the ratios of a pair.
fn in_most(ratios: &[f64], holds: impl Fn(f64) -> bool) -> bool {
    let count = ratios.iter().filter(|ratio| holds(**ratio)).count();
    count as f64 >= MOST_PAIRS * ratios.len() as f64
}

/// Time since some fixed moment.
pub trait Clock {
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

/// Median, minimum and spread of samples in microseconds.
///
/// # Panics
///
/// If there are no samples.
pub fn summarize(samples_us: &[f64]) -> Measurement {
    assert!(!samples_us.is_empty(), "a measurement needs a sample");
    Measurement {
        median_us: median(samples_us),
        min_us: samples_us.iter().copied().fold(f64::INFINITY, f64::min),
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
fn repeats_for(run_ns: u64) -> u64 {
    SAMPLE_NS.div_ceil(run_ns.max(1)).clamp(1, MOST_REPEATS)
}

/// Whether a sample is so short that its number of repeats rests on a run that was too slow: the
/// first ones fetch code and data.
fn is_too_short(sample_ns: u64, repeats: u64) -> bool {
    sample_ns < SAMPLE_NS / 2 && repeats < MOST_REPEATS
}

fn per_run_us(sample_ns: u64, repeats: u64) -> f64 {
    sample_ns as f64 / repeats as f64 / 1_000.0
}

/// A verified candidate in a race.
#[derive(Debug)]
pub struct Contender<K> {
    /// Its schedule.
    pub schedule: Schedule,
    kernel: K,
    repeats: u64,
    samples_us: Vec<f64>,
    /// Samples from before the confirmation.
    stale_us: Vec<f64>,
    /// What became of it, if it can no longer run.
    failure: Option<Outcome>,
    /// Whether it comes from an earlier race. It leaves by a median only: in hundreds of races two
    /// interrupted samples in a row would otherwise end the best one's run some day.
    is_incumbent: bool,
}

impl<K> Contender<K> {
    /// The samples so far, in one figure each.
    ///
    /// # Panics
    ///
    /// If the contender's first run failed. One that is in a race has a sample.
    pub fn measurement(&self) -> Measurement {
        summarize(&self.samples_us)
    }

    /// The fate of the schedule: its failure, or the samples so far.
    pub fn trial(&self) -> Trial {
        let outcome = match &self.failure {
            Some(failure) => failure.clone(),
            None => Outcome::Measured(self.measurement()),
        };
        Trial { schedule: self.schedule, outcome }
    }

    fn needs_samples(&self, wanted: usize) -> bool {
        self.failure.is_none() && self.samples_us.len() < wanted
    }

    fn median_us(&self) -> f64 {
        median(&self.samples_us)
    }

    /// Its samples over those of another in the same rounds.
    fn ratios(&self, others_us: &[f64]) -> Vec<f64> {
        self.samples_us.iter().zip(others_us).map(|(own, other)| own / other).collect()
    }

    fn is_behind(&self, best_us: f64) -> bool {
        if self.failure.is_some() || self.is_incumbent {
            return self.failure.is_some();
        }
        let fastest = self.samples_us.iter().copied().fold(f64::INFINITY, f64::min);
        let margin = MARGINS[self.samples_us.len().min(MARGINS.len()) - 1];
        fastest > margin * best_us
    }
}

/// Verified candidates that take turns, and the clock they are timed by.
#[derive(Debug)]
pub struct Race<'a, B: Bench, C> {
    bench: &'a mut B,
    clock: &'a C,
    /// Moment at which no further run starts.
    until_ns: u64,
    running: Vec<Contender<B::Kernel>>,
}

impl<'a, B: Bench, C: Clock> Race<'a, B, C> {
    /// A race with nobody in it, in which no run starts once the clock shows `until_ns`.
    pub fn new(bench: &'a mut B, clock: &'a C, until_ns: u64) -> Self {
        Self { bench, clock, until_ns, running: Vec::new() }
    }

    /// Compiles and verifies the next candidate.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    pub fn prepare(&mut self, schedule: &CheckedSchedule) -> Result<B::Kernel, Outcome> {
        self.bench.prepare(schedule, self.limit())
    }

    /// Time that the candidate in progress may take: what is left, and some seconds more, so that
    /// only a candidate that would overrun the budget by far is given up.
    fn limit(&self) -> Option<Duration> {
        let left_ns = self.until_ns.checked_sub(self.clock.now_ns());
        let is_endless = self.until_ns == u64::MAX;
        (!is_endless).then(|| Duration::from_nanos(left_ns.unwrap_or(0)) + GRACE)
    }

    /// Moves the moment at which no further run starts.
    pub fn set_until(&mut self, until_ns: u64) {
        self.until_ns = until_ns;
    }

    /// Whether the time is up.
    pub fn is_over(&self) -> bool {
        self.clock.now_ns() >= self.until_ns
    }

    /// Lowest median in the race so far.
    pub fn best_us(&self) -> Option<f64> {
        self.running
            .iter()
            .filter(|contender| contender.failure.is_none())
            .map(Contender::median_us)
            .min_by(f64::total_cmp)
    }

    /// Time that one sample of every contender takes, in nanoseconds.
    pub fn round_ns(&self) -> u64 {
        let sample_us = |c: &Contender<B::Kernel>| c.repeats as f64 * c.median_us();
        (self.running.iter().map(sample_us).sum::<f64>() * 1_000.0) as u64
    }

    /// Lets a verified candidate warm up and takes its first sample. A hopeless one is returned
    /// at once: after a single run of 3 times the best median, or after a sample of 1.5 times. A
    /// run that an interruption may explain is repeated once before it is believed.
    ///
    /// Always runs the candidate once, whatever the time.
    pub fn enter(&mut self, schedule: Schedule, kernel: B::Kernel) -> Option<Contender<B::Kernel>> {
        let (samples_us, stale_us, failure) = (Vec::new(), Vec::new(), None);
        let is_incumbent = false;
        let mut contender =
            Contender { schedule, kernel, repeats: 1, samples_us, stale_us, failure, is_incumbent };
        match self.first_look(&mut contender) {
            Ok(true) => {
                self.running.push(contender);
                None
            }
            Ok(false) => Some(contender),
            Err(outcome) => {
                contender.failure = Some(outcome);
                Some(contender)
            }
        }
    }

    /// Runs a contender, takes a sample, and tells whether it may stay.
    fn first_look(&mut self, contender: &mut Contender<B::Kernel>) -> Result<bool, Outcome> {
        let best_us = self.best_us().unwrap_or(f64::INFINITY);
        let is_slow = |run_ns: u64, margin: f64| per_run_us(run_ns, 1) > margin * best_us;

        let mut run_ns = self.time(contender)?;
        if is_slow(run_ns, HOPELESS_RUN) && run_ns < SECOND_CHANCE_NS && !self.is_over() {
            run_ns = run_ns.min(self.time(contender)?);
        }
        contender.samples_us.push(per_run_us(run_ns, 1));
        if is_slow(run_ns, HOPELESS_RUN) {
            return Ok(false);
        }
        if !self.is_over() {
            let sample_ns = self.calibrate(contender, run_ns)?;
            // Whichever is less: the run may have been the less disturbed look.
            let sample_us = per_run_us(sample_ns, contender.repeats).min(per_run_us(run_ns, 1));
            contender.samples_us = vec![sample_us];
        }
        Ok(!contender.is_behind(best_us))
    }

    /// Sets how often a contender runs in a sample, given the time of one run, and takes a sample.
    fn calibrate(
        &mut self,
        contender: &mut Contender<B::Kernel>,
        run_ns: u64,
    ) -> Result<u64, Outcome> {
        if !self.bench.is_repeatable() {
            return self.time(contender);
        }
        contender.repeats = repeats_for(run_ns);
        let sample_ns = self.time(contender)?;
        if !is_too_short(sample_ns, contender.repeats) || self.is_over() {
            return Ok(sample_ns);
        }
        contender.repeats = repeats_for(sample_ns / contender.repeats);
        self.time(contender)
    }

    /// Samples all contenders in turn until each has [`RACE_SAMPLES`] or time is up, and returns
    /// those that fell behind on the way. What stays is sorted, the best first.
    pub fn run(&mut self) -> Vec<Contender<B::Kernel>> {
        let mut dropped = Vec::new();
        while self.sample_each(RACE_SAMPLES) {
            let Some(best_us) = self.best_us() else { break };
            dropped.extend(self.running.extract_if(.., |contender| contender.is_behind(best_us)));
        }
        dropped.extend(self.running.extract_if(.., |contender| contender.failure.is_some()));
        self.sort();
        dropped
    }

    /// Keeps the best `count` for the next race; the others are returned.
    pub fn keep_best(&mut self, count: usize) -> Vec<Contender<B::Kernel>> {
        self.sort();
        self.running.split_off(count.min(self.running.len()))
    }

    /// Contenders in the race, in its order.
    pub fn running(&self) -> &[Contender<B::Kernel>] {
        &self.running
    }

    /// Whether a contender that lost is so close to the best that noise may have decided.
    pub fn is_close(&self, lost: &Contender<B::Kernel>) -> bool {
        let best_us = self.best_us().unwrap_or(0.0);
        lost.failure.is_none()
            && lost.samples_us.len() >= RACE_SAMPLES
            && lost.median_us() <= CLOSE * best_us
    }

    /// Lets a contender into the race again.
    pub fn readmit(&mut self, contender: Contender<B::Kernel>) {
        self.running.push(contender);
    }

    /// Forgets all samples but the last one of each contender, so that the next race rests on
    /// samples taken side by side.
    pub fn refresh(&mut self) {
        for contender in &mut self.running {
            contender.is_incumbent = true;
            let last = contender.samples_us.len() - 1;
            contender.samples_us.drain(..last);
        }
    }

    /// Samples all contenders in turn with nothing carried over, [`CONFIRM_SAMPLES`] each or
    /// until time is up, and sorts them. Every second round runs in reverse, so that nobody always
    /// follows the same neighbour and a steady drift cancels; and after it everybody moves to other
    /// memory, so that nobody wins by its pages. Contenders that time leaves without a fresh sample
    /// keep what they had.
    ///
    /// They are sorted by their medians; but whoever is faster than the best of them *in the same
    /// round*, in most rounds, comes before it. A core that changes its speed meets both of a pair.
    pub fn confirm(&mut self) -> &[Contender<B::Kernel>] {
        self.sample_afresh(CONFIRM_SAMPLES);
        &self.running
    }

    /// A short confirmation of [`QUALIFYING_SAMPLES`], after which the best `count` stay. The
    /// others are returned.
    pub fn qualify(&mut self, count: usize) -> Vec<Contender<B::Kernel>> {
        self.sample_afresh(QUALIFYING_SAMPLES);
        self.running.split_off(count.min(self.running.len()))
    }

    /// Samples everybody in turn with nothing carried over, and sorts.
    fn sample_afresh(&mut self, wanted: usize) {
        for contender in &mut self.running {
            contender.stale_us = std::mem::take(&mut contender.samples_us);
        }
        for round in 1.. {
            if !self.sample_each(wanted) {
                break;
            }
            self.running.reverse();
            self.running.retain(|contender| contender.failure.is_none());
            if round < wanted && round % ROUNDS_A_PLACE == 0 {
                self.relocate();
            }
        }
        self.running.retain(|contender| contender.failure.is_none());
        let has_pairs = self.running.iter().all(|it| it.samples_us.len() >= LEAST_PAIRS);
        for contender in &mut self.running {
            if contender.samples_us.is_empty() {
                contender.samples_us = std::mem::take(&mut contender.stale_us);
            }
        }
        self.sort();
        if has_pairs {
            self.sort_by_pairs();
        }
    }

    /// Moves all contenders to other memory, as far as time allows.
    fn relocate(&mut self) {
        let mut running = std::mem::take(&mut self.running);
        for contender in &mut running {
            if self.is_over() {
                break;
            }
            contender.failure = self.bench.relocate(&mut contender.kernel).err();
        }
        self.running = running;
    }

    /// Puts those first that were faster than the first one in most rounds, by their time over its
    /// time in the same round. The others stay as they are.
    fn sort_by_pairs(&mut self) {
        let Some(first) = self.running.first() else { return };
        let reference = first.samples_us.clone();
        self.running.sort_by_cached_key(|contender| {
            let ratios = contender.ratios(&reference);
            let is_certain = in_most(&ratios, |ratio| ratio < 1.0);
            // Positive floats are ordered as their bits are.
            if is_certain { median(&ratios).to_bits() } else { u64::MAX }
        });
    }

    /// After a confirmation, lets that of the least rank win among those that are as good as the
    /// first: so repeated tunings agree on one of them. Its order is as before otherwise.
    pub fn prefer(&mut self, rank: impl Fn(&Schedule) -> f64) {
        let Some(first) = self.running.first() else { return };
        let is_tied = |contender: &Contender<B::Kernel>| {
            let ratios = contender.ratios(&first.samples_us);
            let slower = median(&ratios);
            slower <= TIE || (slower <= LIKELY_TIE && !in_most(&ratios, |ratio| ratio > 1.0))
        };
        let tied = self.running.iter().enumerate().filter(|(place, it)| *place == 0 || is_tied(it));
        let ranked = tied.map(|(place, contender)| (place, rank(&contender.schedule)));
        let preferred = ranked.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place);
        self.running[..=preferred].rotate_right(1);
    }

    /// Verifies those that are to be stored once more: contenders from the first on, until so many
    /// have passed. Those that fail leave the race and are returned.
    pub fn verify_best(&mut self, count: usize) -> Vec<Contender<B::Kernel>> {
        let mut refuted = Vec::new();
        let mut place = 0;
        while place < count.min(self.running.len()) {
            match self.bench.verify_again(&mut self.running[place].kernel) {
                Ok(()) => place += 1,
                Err(outcome) => {
                    let mut contender = self.running.remove(place);
                    contender.failure = Some(outcome);
                    refuted.push(contender);
                }
            }
        }
        refuted
    }

    /// Verifies a schedule that is not in the race, both times.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    pub fn verify_alone(&mut self, schedule: &CheckedSchedule) -> Result<(), Outcome> {
        let mut kernel = self.bench.prepare(schedule, None)?;
        self.bench.verify_again(&mut kernel)
    }

    /// About the time that verifying once more takes, in nanoseconds.
    pub fn second_look_ns(&self) -> u64 {
        u64::try_from(self.bench.second_look_time().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Why the samples since the last call cannot be trusted, if something else used the machine.
    pub fn contamination(&mut self) -> Option<String> {
        self.bench.contamination()
    }

    /// One sample of each contender that has fewer than `wanted`; whether there was any and time
    /// is left.
    fn sample_each(&mut self, wanted: usize) -> bool {
        let mut running = std::mem::take(&mut self.running);
        let mut sampled = false;
        for contender in running.iter_mut().filter(|c| c.needs_samples(wanted)) {
            if self.is_over() {
                sampled = false;
                break;
            }
            match self.time(contender) {
                Ok(sample_ns) => {
                    contender.samples_us.push(per_run_us(sample_ns, contender.repeats));
                }
                Err(outcome) => contender.failure = Some(outcome),
            }
            sampled = true;
        }
        self.running = running;
        sampled
    }

    /// Nanoseconds of one sample.
    fn time(&mut self, contender: &mut Contender<B::Kernel>) -> Result<u64, Outcome> {
        let limit = self.limit();
        self.bench.sample(&mut contender.kernel, contender.repeats, limit)
    }

    /// Best first.
    fn sort(&mut self) {
        self.running.sort_by(|a, b| a.median_us().total_cmp(&b.median_us()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
