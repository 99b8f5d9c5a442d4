//! The analytic rank, corrected by what was measured in this run and learned in those before.

use std::collections::HashSet;

use dsconv_kernels::{Schedule, cost};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Strategy;
use super::best::Best;
use super::features::Features;
use super::learned::Learned;
use super::regression::Regression;
use crate::space::SearchSpace;
use crate::trial::Trial;

/// Observations that the analytic estimate counts for, per feature.
const RIDGE: f64 = 1.0;
/// Standard deviations by which a prediction may be too high: what is uncertain is tried sooner.
const OPTIMISM: f64 = 1.0;
/// Standard deviation of what no feature explains, as a logarithm.
const NOISE: f64 = 0.05;
/// Part of the proposals that are drawn at random, so that a wrong model finds out.
const RANDOM_SHARE: f64 = 0.06;
/// The best so far from which steps are proposed, and of how many proposals one is such a step: what
/// is no sum of corrections is found only from where it is.
const BEST: usize = 6;
const STEP_EVERY: usize = 2;

/// Proposes the schedules that it predicts to be fastest, in turns with those that it does among the
/// neighbours of the best so far.
///
/// The prediction is a logarithm: that of the [estimate](cost::estimate), plus one correction for
/// each value of each axis. The corrections are fitted to the measurements so far by least
/// squares, with a pull towards those of earlier workloads, or else towards zero, that is towards the
/// estimate. Effects of axes are nearly additive in the logarithm, so some dozens of trials tell how
/// the other thousands will do.
#[derive(Debug)]
pub struct Model {
    candidates: Vec<Candidate>,
    features: Features,
    /// What earlier workloads taught, and its corrections by the number of the feature.
    learned: Learned,
    prior: Vec<f64>,
    /// Corrections of those.
    regression: Regression,
    /// Mean difference of measured and expected logarithms.
    offset: f64,
    observed: Vec<(Vec<usize>, f64)>,
    best: Best,
    tried: HashSet<Schedule>,
    space: SearchSpace,
    rng: StdRng,
}

#[derive(Clone, Debug)]
struct Candidate {
    schedule: Schedule,
    features: Vec<usize>,
    /// The estimate with the corrections of earlier workloads.
    expected: f64,
    is_open: bool,
}

impl Model {
    /// Estimates every schedule of `space`; `default` is left out. Corrections start from those that
    /// were `learned`.
    pub fn new(space: &SearchSpace, default: &Schedule, seed: u64, learned: &Learned) -> Self {
        let mut features = Features::default();
        let mut candidates: Vec<Candidate> = space
            .iter()
            .filter(|schedule| *schedule != default)
            .map(|&schedule| Candidate {
                schedule,
                features: features.of(&schedule),
                expected: log_estimate(space, &schedule),
                is_open: true,
            })
            .collect();
        features.of(default);
        let prior = prior(&features, learned);
        for candidate in &mut candidates {
            candidate.expected += sum(&prior, &candidate.features);
        }
        let regression = Regression::new(features.len(), RIDGE);
        Self {
            candidates,
            features,
            learned: learned.clone(),
            prior,
            regression,
            offset: 0.0,
            observed: Vec::new(),
            best: Best::new(BEST),
            tried: HashSet::new(),
            space: space.clone(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// What to expect of a candidate at its best: lower is more promising.
    fn promise(&self, candidate: &Candidate) -> f64 {
        let deviation = NOISE * self.regression.variance(&candidate.features).sqrt();
        candidate.expected + self.regression.predict(&candidate.features) - OPTIMISM * deviation
    }

    /// Place of the first of some candidates that is a step from one of the best.
    fn step(&self, indices: &[usize]) -> Option<usize> {
        indices.iter().position(|&index| self.best.has_neighbour(&self.candidates[index].schedule))
    }
}

/// The corrections to start from, by the number of the feature.
fn prior(features: &Features, learned: &Learned) -> Vec<f64> {
    let mut prior = vec![0.0; features.len()];
    for (feature, number) in features.iter() {
        prior[number] = learned.correction(feature);
    }
    prior
}

fn sum(corrections: &[f64], features: &[usize]) -> f64 {
    features.iter().map(|&feature| corrections[feature]).sum()
}

/// Logarithm of the estimate.
fn log_estimate(space: &SearchSpace, schedule: &Schedule) -> f64 {
    match schedule.check(space.workload(), space.target()) {
        Ok(checked) => cost::estimate(&checked, space.threads()).cycles().max(1.0).ln(),
        Err(_) => f64::INFINITY,
    }
}

impl Strategy for Model {
    fn propose(&mut self, count: usize) -> Vec<Schedule> {
        let mut open: Vec<usize> =
            (0..self.candidates.len()).filter(|&index| self.candidates[index].is_open).collect();
        open.sort_by_cached_key(|&index| {
            let promise = self.promise(&self.candidates[index]);
            // Ordered bits of a float.
            let bits = promise.to_bits() as i64;
            bits ^ (((bits >> 63) as u64) >> 1) as i64
        });
        let mut proposed = Vec::new();
        for rank in 0..count.min(open.len()) {
            let is_step = rank % STEP_EVERY == STEP_EVERY - 1;
            if let Some(step) = is_step.then(|| self.step(&open[rank..])).flatten() {
                open[rank..=rank + step].rotate_right(1);
            } else if self.rng.random_bool(RANDOM_SHARE) {
                let other = self.rng.random_range(rank..open.len());
                open.swap(rank, other);
            }
            let candidate = &mut self.candidates[open[rank]];
            candidate.is_open = false;
            proposed.push(candidate.schedule);
        }
        proposed
    }

    fn observe(&mut self, trial: &Trial) {
        let schedule = trial.schedule;
        if let Some(candidate) = self.candidates.iter_mut().find(|it| it.schedule == schedule) {
            candidate.is_open = false;
        }
        let Some(us) = trial.min_us().filter(|us| *us > 0.0) else { return };
        if !self.tried.insert(schedule) {
            return;
        }
        self.best.add(us, schedule);
        let estimate = log_estimate(&self.space, &schedule);
        if !estimate.is_finite() {
            return;
        }
        let features = self.features.of(&schedule);
        if self.features.len() > self.prior.len() {
            self.prior = prior(&self.features, &self.learned);
        }
        let difference = us.ln() - estimate - sum(&self.prior, &features);
        self.observed.push((features, difference));
        let mean = self.observed.iter().map(|(_, d)| d).sum::<f64>() / self.observed.len() as f64;
        let size = self.features.len();
        // Corrections are relative to the mean; when that has moved, all are fitted anew.
        if (mean - self.offset).abs() > NOISE / 5.0 || size > self.regression.size() {
            self.offset = mean;
            self.regression = Regression::new(size, RIDGE);
            for (features, difference) in &self.observed {
                self.regression.observe(features, difference - mean);
            }
        } else if let Some((features, difference)) = self.observed.last() {
            self.regression.observe(features, difference - self.offset);
        }
    }

    /// A workload tells the more of a feature, the more of its schedules with it were measured.
    fn learned(&self) -> Learned {
        let mut counts = vec![0_u32; self.features.len()];
        self.observed.iter().flat_map(|(features, _)| features).for_each(|&it| counts[it] += 1);
        let mut learned = self.learned.clone();
        for (feature, number) in self.features.iter().filter(|(_, number)| counts[*number] > 0) {
            let count = f64::from(counts[number]);
            let correction = self.prior[number] + self.regression.weight(number);
            learned.add(feature, correction, count / (count + RIDGE));
        }
        learned
    }
}
