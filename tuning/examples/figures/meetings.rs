//! What the winners of a block's runs cost, seen several times.

use std::time::Duration;

use dsconv::cpu;
use dsconv_kernels::Schedule;
use dsconv_tuning::measure::median;
use dsconv_tuning::{CompareError, Compared, side_by_side};

use crate::block::Block;

/// Time for which winners meet.
const MEETING: Duration = Duration::from_secs(2);

/// Meetings of a block's winners.
#[derive(Default)]
pub(crate) struct Meetings(Vec<Vec<Compared>>);

impl Meetings {
    /// Lets the winners of a block meet once more.
    pub(crate) fn meet(&mut self, block: &Block, threads: usize) -> Result<(), CompareError> {
        let target = cpu::host_target();
        let winners = block.winners();
        // Runs that agree leave nothing to compare.
        let agree = winners.iter().all(|winner| *winner == winners[0]);
        let within = if agree { Duration::ZERO } else { MEETING };
        self.0.push(side_by_side(&block.workload, &target, threads, &winners, within)?);
        Ok(())
    }

    /// Winner of each run over the best winner, by the median of all meetings.
    pub(crate) fn regrets(&self, block: &Block) -> Vec<f64> {
        over_best(block.winners().iter().map(|it| median(&self.ratios(block, it))).collect())
    }

    /// The same by their least times: what is left of it while nobody else uses the machine.
    pub(crate) fn undisturbed_regrets(&self, block: &Block) -> Vec<f64> {
        let least_us = |winner: &Schedule| {
            let times_us = self.0.iter().map(|met| find(met, winner).measurement.min_us);
            times_us.fold(f64::INFINITY, f64::min)
        };
        over_best(block.winners().iter().map(least_us).collect())
    }

    /// Part by which a meeting differs at most from the median of all.
    pub(crate) fn noise(&self, block: &Block) -> f64 {
        let noises = block.winners().into_iter().flat_map(|winner| {
            let ratios = self.ratios(block, &winner);
            let middle = median(&ratios);
            ratios.into_iter().map(move |ratio| (ratio / middle - 1.0).abs())
        });
        noises.fold(0.0, f64::max)
    }

    /// A winner's time over that of the first run's, meeting by meeting.
    fn ratios(&self, block: &Block, winner: &Schedule) -> Vec<f64> {
        let first = &block.runs[0].winner;
        self.0.iter().map(|met| find(met, winner).ratio / find(met, first).ratio).collect()
    }
}

fn find<'a>(met: &'a [Compared], schedule: &Schedule) -> &'a Compared {
    met.iter().find(|it| it.schedule == *schedule).expect("all winners met")
}

fn over_best(times: Vec<f64>) -> Vec<f64> {
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    times.into_iter().map(|time| time / best).collect()
}
