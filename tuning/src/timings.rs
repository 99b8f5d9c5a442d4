//! Samples of a kernel, and which of them nothing disturbed.
//!
//! A sample that was taken beside a neighbour on the same core is one of another machine: kernels take
//! up to half as long again there, and not all alike. On an Intel Xeon two kernels took 80 us each while
//! the core was theirs, and 106 and 113 beside a neighbour; while it was theirs, they took the same time
//! within 0.2 %. So likes are compared with likes, and a few quiet samples outweigh any number of
//! others.

use dsconv::Measurement;

use crate::measure::{least, median, summarize};

/// Samples of a group, of which [`Timings::least_of_groups`] takes the least.
pub const GROUP: usize = 6;
/// Quiet samples that outweigh others, and quiet groups that show what is usual.
const ENOUGH: usize = 3;

/// A sample so many times as long as the least one of its group was not quiet, whatever it looked like
/// before and after it: a hypervisor takes a core away for less than a sample, too. Of its group only: one
/// place of memory that suits a kernel must not make disturbed samples of all those elsewhere.
const MISTAKEN: f64 = 1.15;
/// A group whose least quiet sample is so many times as long as the median of theirs had none: who shares
/// the core may leave its front end alone and use its caches, and all of a group may be beside that. On an
/// AMD EPYC up to two in five of a kernel's groups were 1.05 to 1.5 times as long as their least, most of the
/// others 1.00 to 1.03 times. Between the halves of 555 comparisons, ratios differed by 1.21 % without this
/// and by 0.75 % with it (root mean square), and the widest tenth of the bounds of their medians exceeded
/// 14 % and 5 %.
const UNUSUAL: f64 = 1.05;

/// A sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Time of a run in microseconds.
    pub us: f64,
    /// Whether nothing disturbed it, as far as is known.
    pub is_quiet: bool,
}

/// Samples in the order in which they were taken.
///
/// ```
/// use dsconv_tuning::timings::{Timing, Timings};
///
/// let quiet = |us: &[f64]| us.iter().map(|&us| Timing { us, is_quiet: true }).collect();
/// let (one, other): (Timings, Timings) = (quiet(&[2.0, 3.0]), quiet(&[1.0, 2.0]));
/// assert_eq!(one.over(&other), [2.0, 1.5]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings(Vec<Timing>);

impl FromIterator<Timing> for Timings {
    fn from_iter<I: IntoIterator<Item = Timing>>(timings: I) -> Self {
        Self(timings.into_iter().collect())
    }
}

impl Timings {
    /// Takes note of a sample, which may show that others of its group, or this one, were not as quiet as
    /// they looked.
    pub fn push(&mut self, timing: Timing) {
        let start = self.full_groups();
        self.0.push(timing);
        let group = &mut self.0[start..];
        let least_us = group.iter().map(|it| it.us).fold(f64::INFINITY, f64::min);
        group.iter_mut().for_each(|it| it.is_quiet &= it.us <= MISTAKEN * least_us);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were quiet.
    pub(crate) fn quiet(&self) -> usize {
        self.0.iter().filter(|it| it.is_quiet).count()
    }

    /// Those that were quiet, or those that were not, in microseconds.
    fn of(&self, is_quiet: bool) -> Vec<f64> {
        self.0.iter().filter(|it| it.is_quiet == is_quiet).map(|it| it.us).collect()
    }

    /// Those that count: the quiet ones, if there are a few, or else all.
    fn counted_us(&self) -> Vec<f64> {
        let quiet_us = self.of(true);
        if quiet_us.len() >= ENOUGH { quiet_us } else { self.0.iter().map(|it| it.us).collect() }
    }

    /// Those that count, in one figure each.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn measurement(&self) -> Measurement {
        summarize(&self.counted_us())
    }

    /// Median of those that count; NaN where there are none.
    pub fn median_us(&self) -> f64 {
        median(&self.counted_us())
    }

    /// Median of those that were quiet, or of those that were not.
    pub fn median_of(&self, is_quiet: bool) -> Option<f64> {
        let us = self.of(is_quiet);
        (!us.is_empty()).then(|| median(&us))
    }

    /// The least of all; infinite where there are none.
    pub fn least_us(&self) -> f64 {
        self.0.iter().map(|it| it.us).fold(f64::INFINITY, f64::min)
    }

    /// The least of those that were quiet, or of those that were not.
    pub fn least_of(&self, is_quiet: bool) -> Option<f64> {
        let us = self.of(is_quiet);
        (!us.is_empty()).then(|| least(&us))
    }

    /// How many samples are in full groups.
    fn full_groups(&self) -> usize {
        self.0.len() - self.0.len() % GROUP
    }

    /// Whether fewer samples of the group in progress were quiet than are wanted.
    pub fn lacks_quiet(&self, wanted: usize) -> bool {
        self.0[self.full_groups()..].iter().filter(|it| it.is_quiet).count() < wanted
    }

    /// Whether a sample of the last group was quiet, full or not.
    pub(crate) fn last_group_is_quiet(&self) -> bool {
        self.0.chunks(GROUP).last().is_some_and(|group| group.iter().any(|it| it.is_quiet))
    }

    /// The least of each [`GROUP`] of successive samples, a quiet one if there is any: what a kernel
    /// takes while nothing disturbs it, as far as a group had such a moment. One that is far longer than
    /// most was not quiet, whatever it looked like. Samples of a last group that is not full count only
    /// where there is no other.
    pub fn least_of_groups(&self) -> Self {
        let full = self.full_groups();
        let counted = if full > 0 { &self.0[..full] } else { &self.0[..] };
        let least = |group: &[Timing]| {
            group
                .iter()
                .copied()
                .min_by(|a, b| b.is_quiet.cmp(&a.is_quiet).then(a.us.total_cmp(&b.us)))
        };
        let mut groups: Self = counted.chunks(GROUP).filter_map(least).collect();
        let quiet_us = groups.of(true);
        if quiet_us.len() >= ENOUGH {
            let most_us = UNUSUAL * median(&quiet_us);
            groups.0.iter_mut().for_each(|it| it.is_quiet &= it.us <= most_us);
        }
        groups
    }

    /// Quotients of samples of the same place, likes over likes: those that were both quiet, if there are
    /// a few; or else, where both have quiet ones, the least of these; or else those that were both
    /// disturbed, or all.
    pub fn over(&self, others: &Self) -> Vec<f64> {
        let pairs = || self.0.iter().zip(&others.0);
        let where_both = |are_fit: fn(bool, bool) -> bool| -> Vec<f64> {
            let fit = pairs().filter(|(own, other)| are_fit(own.is_quiet, other.is_quiet));
            fit.map(|(own, other)| own.us / other.us).collect()
        };
        let quiet = where_both(|own, other| own && other);
        if quiet.len() >= ENOUGH || quiet.len() == pairs().len() {
            return quiet;
        }
        if let (Some(own), Some(other)) = (self.least_of(true), others.least_of(true)) {
            return vec![own / other];
        }
        let disturbed = where_both(|own, other| !own && !other);
        if disturbed.is_empty() { where_both(|_, _| true) } else { disturbed }
    }

    /// Quotients of the least samples of groups, group by group; of the least disturbed ones alone, if only
    /// one of both has quiet ones.
    pub fn groups_over(&self, others: &Self) -> Vec<f64> {
        if (self.quiet() == 0) == (others.quiet() == 0) {
            self.least_of_groups().over(&others.least_of_groups())
        } else {
            vec![self.least_over(others)]
        }
    }

    /// The quiet samples, or if there are none, all of them with so much of their time.
    pub fn as_if_quiet(&self, part: f64) -> Self {
        let quiet: Self = self.0.iter().copied().filter(|it| it.is_quiet).collect();
        if !quiet.is_empty() {
            return quiet;
        }
        self.0.iter().map(|it| Timing { us: part * it.us, is_quiet: true }).collect()
    }

    /// Least sample over that of others, quiet ones or else disturbed ones of both; or else of all.
    pub fn least_over(&self, others: &Self) -> f64 {
        let of = |is_quiet| Some(self.least_of(is_quiet)? / others.least_of(is_quiet)?);
        of(true).or_else(|| of(false)).unwrap_or(self.least_us() / others.least_us())
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::measure::median_bounds;

    /// Quiet samples are positive, disturbed ones negative.
    fn timings(us: &[f64]) -> Timings {
        us.iter().map(|us| Timing { us: us.abs(), is_quiet: *us > 0.0 }).collect()
    }

    #[test]
    fn groups_give_their_least_sample() {
        let us = [3.0, 2.0, 4.0, 9.0, 5.0, 6.0, 1.5, 7.0, 8.0, 1.0, 4.0, 4.0, 0.5];
        assert_eq!(timings(&us).least_of_groups(), timings(&[2.0, 1.0]));
        assert_eq!(timings(&[3.0, 2.0]).least_of_groups(), timings(&[2.0]));
        // A quiet one, if there is any: a disturbed one that is less was cut short.
        let us = [-3.0, 5.0, -4.0, 6.0, -2.0, -2.5, -9.0, -8.0, -7.0, -7.5, -6.0, -9.5];
        assert_eq!(timings(&us).least_of_groups(), timings(&[5.0, -6.0]));
        assert_eq!(Timings::default().least_of_groups(), Timings::default());
    }

    #[test]
    fn a_group_that_is_far_longer_than_most_was_not_quiet() {
        let of_groups = |us: &[f64]| {
            let all: Vec<f64> = us.iter().flat_map(|us| [*us; GROUP]).collect();
            timings(&all).least_of_groups()
        };
        let mistaken = of_groups(&[1.0, 1.3, -1.4, 1.04, 1.06, 1.01, 0.9]);
        assert_eq!(mistaken, timings(&[1.0, -1.3, -1.4, 1.04, 1.06, 1.01, 0.9]));
        // Nothing tells which of two is.
        assert_eq!(of_groups(&[1.0, 1.3, -1.3]), timings(&[1.0, 1.3, -1.3]));
    }

    #[test]
    fn neighbours_that_no_look_sees_hide_no_difference() {
        // A percent apart. In two of five groups each sample is up to 1.8 times as long.
        const COMPARISONS: u64 = 200;
        let is_certain = |seed: &u64| {
            let mut random = StdRng::seed_from_u64(*seed);
            let [mut one, mut other] = [Timings::default(), Timings::default()];
            for _ in 0..24 {
                let most = if random.random_bool(0.4) { 1.8 } else { 1.0 };
                for _ in 0..GROUP {
                    let mut beside = |us: f64| {
                        us * random.random_range(1.0..=most) * random.random_range(1.0..1.02)
                    };
                    one.push(Timing { us: beside(100.0), is_quiet: true });
                    other.push(Timing { us: beside(101.0), is_quiet: true });
                }
            }
            median_bounds(&other.groups_over(&one))[0] > 1.0
        };
        let certain = (0..COMPARISONS).filter(is_certain).count();
        println!("{certain} of {COMPARISONS} are certain");
        assert!(certain >= 190, "{certain}");
    }

    #[test]
    fn a_few_quiet_samples_count_alone() {
        assert_eq!(timings(&[-9.0, -8.0, 5.0, 6.0, -7.0, 4.0]).measurement().median_us, 5.0);
        assert_eq!(timings(&[-9.0, -8.0, 5.0, -7.0]).median_us(), 7.5);
        assert_eq!(timings(&[-9.0, 5.0]).median_of(false), Some(9.0));
        assert_eq!(timings(&[-9.0]).median_of(true), None);
    }

    #[test]
    fn likes_are_compared_with_likes() {
        let other = timings(&[1.0, 1.0, 1.0, -2.0, -2.0, -2.0]);
        assert_eq!(timings(&[1.5, 1.5, 1.5, -2.0, -2.0, 2.0]).over(&other), [1.5, 1.5, 1.5]);
        assert_eq!(timings(&[1.5, 1.4, -4.0, -2.0, 1.0, 1.0]).over(&other), [1.0]);
        assert_eq!(timings(&[-3.0, -3.0]).over(&other), [3.0, 3.0]);
        assert_eq!(timings(&[-3.0, -3.0]).over(&timings(&[-2.0, 3.0])), [1.5]);
        assert_eq!(timings(&[3.0, 3.0]).over(&timings(&[2.0, 3.0])), [1.5, 1.0]);
        assert_eq!(timings(&[3.0, -4.0]).least_over(&other), 3.0);
        assert_eq!(timings(&[-3.0, -4.0]).least_over(&other), 1.5);
        assert_eq!(timings(&[-3.0]).least_over(&timings(&[2.0])), 1.5);
    }

    #[test]
    fn who_had_no_quiet_moment_is_compared_by_what_others_took_beside_the_neighbour() {
        let lucky = timings(&[-2.0, 1.0, -2.0, -2.2, -2.1, -2.0]);
        assert_eq!(timings(&[-2.2; GROUP]).groups_over(&lucky), [1.1]);
        assert_eq!(lucky.groups_over(&timings(&[-2.5; GROUP])), [0.8]);
        assert_eq!(timings(&[1.1; GROUP]).groups_over(&lucky), [1.1]);
    }

    #[test]
    fn without_quiet_samples_all_are_taken_for_part_of_their_time() {
        let mixed = timings(&[-9.0, 5.0, -8.0, 6.0]);
        assert_eq!(mixed.as_if_quiet(0.5), timings(&[5.0, 6.0]));
        assert_eq!(timings(&[-9.0, -8.0]).as_if_quiet(0.5), timings(&[4.5, 4.0]));
    }

    #[test]
    fn what_takes_far_longer_than_another_sample_was_not_quiet() {
        let mut pushed = Timings::default();
        for us in [802.3_f64, -262.8, 230.0, 240.0, -205.0] {
            pushed.push(Timing { us: us.abs(), is_quiet: us > 0.0 });
        }
        assert_eq!(pushed, timings(&[-802.3, -262.8, 230.0, -240.0, -205.0]));
        assert_eq!(pushed.as_if_quiet(0.9).median_us(), 230.0);
    }

    #[test]
    fn a_lucky_place_makes_no_disturbed_samples_of_other_groups() {
        let mut pushed = Timings::default();
        let us = [[2.0; GROUP], [2.0, 2.1, 1.6, 2.0, 1.7, 2.0], [2.0; GROUP]].concat();
        us.iter().for_each(|&us| pushed.push(Timing { us, is_quiet: true }));
        let lucky = timings(&[-2.0, -2.1, 1.6, -2.0, 1.7, -2.0]);
        let all = [timings(&[2.0; GROUP]), lucky, timings(&[2.0; GROUP])];
        assert_eq!(pushed, all.into_iter().flat_map(|it| it.0).collect());
        assert_eq!(pushed.least_of_groups(), timings(&[2.0, 1.6, 2.0]));
    }

    #[test]
    fn a_group_lacks_quiet_samples_until_it_has_them() {
        assert!(Timings::default().lacks_quiet(1));
        assert!(timings(&[-1.0; 4]).lacks_quiet(1));
        let one_quiet = timings(&[-1.0, 1.0, -1.0]);
        assert!(!one_quiet.lacks_quiet(1) && one_quiet.lacks_quiet(2));
        assert!(timings(&[1.0; GROUP]).lacks_quiet(1));
    }
}
