//! The confirmation: the few best take turns until it is certain who leads.

use dsconv_kernels::Schedule;

use super::{Contender, Race};
use crate::bench::Bench;
use crate::measure::{Clock, median, median_bounds};

/// Rounds of a confirmation at least, if the budget allows.
pub const LEAST_ROUNDS: usize = 31;
/// Rounds after which what is not certain is left so.
pub const MOST_ROUNDS: usize = 301;
/// Slower by no more than this, a contender is as good as the first; and so it is by no more than
/// the second if it is not certain that it is slower at all.
const TIE: f64 = 1.005;
const LIKELY_TIE: f64 = 1.01;

impl<B: Bench, C: Clock> Race<'_, B, C> {
    /// Samples all contenders in turn with nothing carried over, and sorts them. Every second round
    /// runs in reverse, so that nobody always follows the same neighbour and a steady drift cancels;
    /// and before each round everything moves to other memory, so that nobody wins by its pages.
    ///
    /// Who is certainly behind is sampled no more. The others are until it is certain that none of
    /// them is faster than the leader by more than half a percent: for [`LEAST_ROUNDS`] at least, then
    /// for [`MOST_ROUNDS`] or `within_ns` after the start at most. Contenders that the end of the race
    /// leaves without a fresh sample keep what they had.
    ///
    /// They are sorted by their medians; but whoever is certainly faster than the best of them *in
    /// the same round* comes before it. A core that changes its speed meets both of a pair.
    pub fn confirm(&mut self, within_ns: u64) -> &[Contender<B::Kernel>] {
        let until_ns = self.clock.now_ns().saturating_add(within_ns);
        self.sample_afresh(until_ns, Self::settle);
        self.running.sort_by(|a, b| {
            let by_median = a.median_us().total_cmp(&b.median_us());
            a.is_settled.cmp(&b.is_settled).then(by_median)
        });
        self.sort_by_pairs();
        &self.running
    }

    /// Samples all contenders as in a [confirmation](Self::confirm), but all of them in every round,
    /// so that the times of those that lost are as good as the winner's. Sorted by their medians.
    pub fn compare(&mut self, within_ns: u64) -> &[Contender<B::Kernel>] {
        let until_ns = self.clock.now_ns().saturating_add(within_ns);
        self.sample_afresh(until_ns, |_| false);
        self.sort();
        &self.running
    }

    /// Rounds with nothing carried over, until `is_certain` says so after one of them, or there were
    /// enough.
    fn sample_afresh(&mut self, until_ns: u64, mut is_certain: impl FnMut(&mut Self) -> bool) {
        for contender in &mut self.running {
            contender.stale_us = std::mem::take(&mut contender.samples_us);
            contender.is_settled = false;
        }
        for round in 1..=MOST_ROUNDS {
            if round > 1 {
                self.relocate();
            }
            if !self.sample_each(round) {
                break;
            }
            self.running.reverse();
            self.running.retain(|contender| contender.failure.is_none());
            let is_certain = is_certain(self);
            if round >= LEAST_ROUNDS && (is_certain || self.clock.now_ns() >= until_ns) {
                break;
            }
        }
        self.running.retain(|contender| contender.failure.is_none());
        for contender in &mut self.running {
            if contender.samples_us.is_empty() {
                contender.samples_us = std::mem::take(&mut contender.stale_us);
            }
        }
    }

    /// Moves input, output and all who are still sampled to other memory, as far as time allows.
    fn relocate(&mut self) {
        if self.is_over() {
            return;
        }
        self.bench.relocate_tensors();
        let mut running = std::mem::take(&mut self.running);
        for contender in running.iter_mut().filter(|contender| !contender.is_settled) {
            if self.is_over() {
                break;
            }
            contender.failure = self.bench.relocate(&mut contender.kernel).err();
        }
        self.running = running;
    }

    /// Finds those that are certainly behind the leader, and says whether it is certain that nobody
    /// is before it.
    fn settle(&mut self) -> bool {
        let unsettled = self.running.iter().filter(|contender| !contender.is_settled);
        let leader = unsettled.min_by(|a, b| a.median_us().total_cmp(&b.median_us()));
        let Some(leader) = leader.map(|leader| leader.samples_us.clone()) else { return true };
        let mut is_certain = true;
        for contender in self.running.iter_mut().filter(|contender| !contender.is_settled) {
            let [least, _] = median_bounds(&contender.ratios(&leader));
            contender.is_settled = least > TIE;
            is_certain &= least >= 1.0 / TIE;
        }
        is_certain
    }

    /// Puts those first that are certainly faster than the first one, by their time over its time in
    /// the same round. The others stay as they are.
    fn sort_by_pairs(&mut self) {
        let Some(first) = self.running.first() else { return };
        let reference = first.samples_us.clone();
        self.running.sort_by_cached_key(|contender| {
            let ratios = contender.ratios(&reference);
            let [_, most] = median_bounds(&ratios);
            // Positive floats are ordered as their bits are.
            if most < 1.0 { median(&ratios).to_bits() } else { u64::MAX }
        });
    }

    /// After a confirmation, lets that of the least rank win among those that are as good as the
    /// first: so repeated tunings agree on one of them. Its order is as before otherwise.
    pub fn prefer(&mut self, rank: impl Fn(&Schedule) -> f64) {
        let Some(first) = self.running.first() else { return };
        let is_tied = |contender: &Contender<B::Kernel>| {
            let ratios = contender.ratios(&first.samples_us);
            let slower = median(&ratios);
            let [least, _] = median_bounds(&ratios);
            slower <= TIE || (slower <= LIKELY_TIE && least <= 1.0)
        };
        let tied = self.running.iter().enumerate().filter(|(place, it)| *place == 0 || is_tied(it));
        let ranked = tied.map(|(place, contender)| (place, rank(&contender.schedule)));
        let preferred = ranked.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place);
        self.running[..=preferred].rotate_right(1);
    }
}

impl<K> Contender<K> {
    /// Its samples over those of another in the same rounds.
    fn ratios(&self, others_us: &[f64]) -> Vec<f64> {
        self.samples_us.iter().zip(others_us).map(|(own, other)| own / other).collect()
    }
}
