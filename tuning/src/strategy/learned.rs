//! What the model learned on earlier workloads, to start from on the next.
//!
//! The analytic estimate errs in much the same way on all workloads of a layout: a family that it
//! thinks too well of on one block it thinks too well of on the next. So the corrections of one
//! search are where those of the next begin: means over the workloads so far, shrunk towards zero as
//! if one more workload had needed none, and further where workloads disagree. Tiles that suit one
//! block often do not suit the next, and a correction that is wrong costs more trials than a right
//! one saves. What is measured then corrects them.

use std::collections::HashMap;

use dsconv_kernels::Layout;

use super::features::Feature;

/// Workloads without a correction that the zero counts for.
const ZERO: f64 = 1.0;
/// Variance between the corrections of workloads, beyond that which is seen: a tenth in the
/// logarithm. One workload alone tells of no other.
const BETWEEN: f64 = 0.01;

/// Corrections of the estimate, from workloads of one layout on one number of threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    corrections: HashMap<Feature, Mean>,
}

/// A mean over workloads, each of which counts by how much it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    sum: f64,
    squares: f64,
    workloads: f64,
}

impl Mean {
    fn shrunk(self) -> f64 {
        let Self { sum, squares, workloads } = self;
        if workloads <= 0.0 {
            return 0.0;
        }
        let mean = sum / workloads;
        let variance = (squares / workloads - mean * mean).max(0.0) + BETWEEN;
        let signal = workloads * mean * mean;
        sum / (workloads + ZERO) * signal / (signal + variance)
    }
}

impl Learned {
    /// The correction of a feature to start from, as a logarithm; zero where nothing is known.
    pub(super) fn correction(&self, feature: &Feature) -> f64 {
        self.corrections.get(feature).map_or(0.0, |mean| mean.shrunk())
    }

    /// Takes note of a workload's correction; `weight` from 0 to 1 is how much it tells.
    pub(super) fn add(&mut self, feature: &Feature, correction: f64, weight: f64) {
        let mean = self.corrections.entry(feature.clone()).or_default();
        mean.sum += weight * correction;
        mean.squares += weight * correction * correction;
        mean.workloads += weight;
    }

    /// Whether nothing was learned yet.
    pub fn is_empty(&self) -> bool {
        self.corrections.is_empty()
    }
}

/// What was learned in a batch, by layout and number of threads.
///
/// ```
/// use dsconv_kernels::Layout;
/// use dsconv_tuning::strategy::{Experience, Learned};
///
/// let mut experience = Experience::default();
/// experience.keep(Layout::Nchw, 2, Learned::default());
/// assert!(experience.of(Layout::Nhwc, 2).is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Experience {
    learned: HashMap<(Layout, usize), Learned>,
}

impl Experience {
    /// What to start from on a workload.
    pub fn of(&self, layout: Layout, threads: usize) -> Learned {
        self.learned.get(&(layout, threads)).cloned().unwrap_or_default()
    }

    /// Keeps what a search ended with, which contains what it started from.
    pub fn keep(&mut self, layout: Layout, threads: usize, learned: Learned) {
        self.learned.insert((layout, threads), learned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_are_means_shrunk_towards_zero() {
        let (family, rows) = (("family", "a".to_owned()), ("rows", "a".to_owned()));
        let mut learned = Learned::default();
        assert_eq!(learned.correction(&family), 0.0);
        learned.add(&family, 0.3, 1.0);
        // Half of it for the zero, and nine tenths of that: 0.09 against a variance of 0.01.
        assert!((learned.correction(&family) - 0.135).abs() < 1e-12);
        learned.add(&family, 0.3, 1.0);
        assert!((learned.correction(&family) - 0.2 * 0.18 / 0.19).abs() < 1e-12);
        // One that tells little moves little.
        learned.add(&family, 0.0, 0.01);
        assert!((learned.correction(&family) - 0.19).abs() < 0.01);
        assert_eq!(learned.correction(&rows), 0.0);
        // A small one is taken for chance.
        learned.add(&rows, 0.02, 1.0);
        assert!(learned.correction(&rows) < 0.001);
    }

    #[test]
    fn workloads_that_disagree_teach_little() {
        let tile = ("tile", "a".to_owned());
        let [mut alike, mut unlike] = [Learned::default(), Learned::default()];
        for (same, other) in [(0.2, 0.5), (0.2, -0.1), (0.2, 0.5), (0.2, -0.1)] {
            alike.add(&tile, same, 1.0);
            unlike.add(&tile, other, 1.0);
        }
        // Both have a mean of 0.2.
        assert!(unlike.correction(&tile) < 0.75 * alike.correction(&tile));
        assert!(unlike.correction(&tile) > 0.0);
    }

    #[test]
    fn layouts_and_threads_learn_by_themselves() {
        let mut learned = Learned::default();
        learned.add(&("family", "a".to_owned()), 0.3, 1.0);
        let mut experience = Experience::default();
        experience.keep(Layout::Nchw, 2, learned.clone());
        assert_eq!(experience.of(Layout::Nchw, 2), learned);
        assert!(experience.of(Layout::Nchw, 1).is_empty());
        assert!(experience.of(Layout::Nhwc, 2).is_empty());
    }
}
