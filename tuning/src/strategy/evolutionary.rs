//! Mutations of the best so far.

use std::collections::HashSet;

use dsconv_kernels::Schedule;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::Strategy;
use super::best::Best;
use crate::space::{SearchSpace, distance};
use crate::trial::Trial;

/// The best so far that have descendants.
const PARENTS: usize = 12;
/// Proposals drawn at random before the first descendant.
const FOUNDERS: usize = 24;
/// Part of the later proposals that are drawn at random.
const IMMIGRANTS: f64 = 0.1;
/// Axes that a mutation changes at most.
const MOST_MUTATIONS: usize = 2;

/// Proposes schedules that differ from one of the best in an axis or two, the better ones having
/// more descendants, and some drawn at random. Ends when the space is exhausted.
#[derive(Debug)]
pub struct Evolutionary {
    /// Not yet proposed, in an order drawn from the seed.
    open: Vec<Schedule>,
    proposed: usize,
    parents: Best,
    tried: HashSet<Schedule>,
    rng: StdRng,
}

impl Evolutionary {
    /// Over the schedules of `space`; `default` is a parent once it is observed.
    pub fn new(space: &SearchSpace, default: &Schedule, seed: u64) -> Self {
        let mut open = space.sample(space.len(), seed);
        open.retain(|schedule| schedule != default);
        let (parents, tried) = (Best::new(PARENTS), HashSet::new());
        Self { open, proposed: 0, parents, tried, rng: StdRng::seed_from_u64(seed) }
    }

    /// Where a descendant of one of the parents is among the open ones.
    fn descendant(&mut self) -> Option<usize> {
        // The lower of two draws: rank counts, but nobody is out.
        let draws = [0; 2].map(|_| self.rng.random_range(0..self.parents.len().max(1)));
        let parent = self.parents.get(draws[0].min(draws[1]))?;
        let mutations = self.rng.random_range(1..=MOST_MUTATIONS);
        let near = |within: usize| -> Vec<usize> {
            let is_near = |index: &usize| distance(&self.open[*index], parent) <= within;
            (0..self.open.len()).filter(is_near).collect()
        };
        near(mutations).choose(&mut self.rng).copied()
    }
}

impl Strategy for Evolutionary {
    fn propose(&mut self, count: usize) -> Vec<Schedule> {
        let mut proposed = Vec::new();
        while proposed.len() < count && !self.open.is_empty() {
            let is_random = self.proposed < FOUNDERS || self.rng.random_bool(IMMIGRANTS);
            let descendant = if is_random { None } else { self.descendant() };
            // The order is random, so the last one is as good as any.
            let index = descendant.unwrap_or(self.open.len() - 1);
            proposed.push(self.open.swap_remove(index));
            self.proposed += 1;
        }
        proposed
    }

    fn observe(&mut self, trial: &Trial) {
        self.open.retain(|schedule| *schedule != trial.schedule);
        let Some(us) = trial.min_us() else { return };
        if self.tried.insert(trial.schedule) {
            self.parents.add(us, trial.schedule);
        }
    }
}
