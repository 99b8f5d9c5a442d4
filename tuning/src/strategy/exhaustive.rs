//! Every schedule, in an order that puts the likely ones first.

use std::vec::IntoIter;

use dsconv_kernels::Schedule;

use super::Strategy;
use crate::space::{SearchSpace, distance};
use crate::trial::Trial;

/// Proposes every schedule of the space once. Schedules that differ from the untuned default in
/// few axes come first, so that a budget that ends early was spent around a sensible schedule and
/// not in one corner of the space; among equals the order is the space's.
#[derive(Debug)]
pub struct Exhaustive {
    schedules: IntoIter<Schedule>,
}

impl Exhaustive {
    /// Orders the schedules of `space` by their distance to `default`, which itself is left out.
    pub fn new(space: &SearchSpace, default: &Schedule) -> Self {
        let mut schedules: Vec<Schedule> =
            space.iter().filter(|s| *s != default).copied().collect();
        schedules.sort_by_cached_key(|schedule| distance(schedule, default));
        Self { schedules: schedules.into_iter() }
    }
}

impl Strategy for Exhaustive {
    fn propose(&mut self, count: usize) -> Vec<Schedule> {
        self.schedules.by_ref().take(count).collect()
    }

    fn observe(&mut self, _: &Trial) {}
}
