//! The best schedules so far, whose neighbours are worth a trial.

use dsconv_kernels::Schedule;

use crate::space::distance;

/// Some schedules with the least times, the best first.
#[derive(Debug)]
pub(super) struct Best {
    most: usize,
    ranked: Vec<(f64, Schedule)>,
}

impl Best {
    /// None yet, and never more than so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ranked: Vec::new() }
    }

    /// Takes note of a schedule's time.
    pub(super) fn add(&mut self, us: f64, schedule: Schedule) {
        let place = self.ranked.partition_point(|(better_us, _)| *better_us <= us);
        self.ranked.insert(place, (us, schedule));
        self.ranked.truncate(self.most);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ranked.len()
    }

    /// The one of a rank, from 0 on.
    pub(super) fn get(&self, rank: usize) -> Option<&Schedule> {
        self.ranked.get(rank).map(|(_, schedule)| schedule)
    }

    /// Whether a schedule differs from one of them in a single axis.
    pub(super) fn has_neighbour(&self, schedule: &Schedule) -> bool {
        self.ranked.iter().any(|(_, best)| distance(schedule, best) == 1)
    }
}
