//! Every schedule, in an order drawn from a seed.

use std::vec::IntoIter;

use dsconv_kernels::Schedule;

use super::Strategy;
use crate::space::SearchSpace;
use crate::trial::Trial;

/// Proposes schedules drawn from the space without replacement. One seed is one order, whatever
/// the times that come back.
#[derive(Debug)]
pub struct Random {
    schedules: IntoIter<Schedule>,
}

impl Random {
    /// Draws the order of the schedules of `space`; `default` is left out.
    pub fn new(space: &SearchSpace, default: &Schedule, seed: u64) -> Self {
        let mut schedules = space.sample(space.len(), seed);
        schedules.retain(|schedule| schedule != default);
        Self { schedules: schedules.into_iter() }
    }
}

impl Strategy for Random {
    fn propose(&mut self, count: usize) -> Vec<Schedule> {
        self.schedules.by_ref().take(count).collect()
    }

    fn observe(&mut self, _: &Trial) {}
}
