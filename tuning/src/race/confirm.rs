//! The confirmation: the few best take turns until it is certain who leads.
//!
//! On a shared machine the median of a kernel's samples moves by several percent from one half minute
//! to the next: neighbours take cache, memory and the other half of the core, for hundreds of samples
//! on end, and from some kernels more than from others. What they leave alone is the least time, and
//! what meets two kernels alike is what happens in the same moment. So contenders are compared by the
//! [least samples of groups](Timings::least_of_groups) of successive rounds, group by group. On an
//! AMD EPYC whose hypervisor took 1 to 6 % of the time, in 120 comparisons of some 15 kernels over 96
//! rounds, the winner was more than 2 % slower than the best (by the fifth percentiles of 600 rounds)
//! in 23 % by the medians, in 7 % by the least times and in 6 % by groups; and groups agree best with
//! themselves.

use dsconv_kernels::Schedule;

use super::{Contender, Race};
use crate::bench::Bench;
use crate::measure::{median, median_bounds};
use crate::timings::{GROUP, Timings};

/// Rounds of a confirmation at least, if the budget allows.
pub const LEAST_ROUNDS: usize = 8 * GROUP;
/// Rounds after which what is not certain is left so.
pub const MOST_ROUNDS: usize = 50 * GROUP;
/// Rounds of all contenders that a confirmation should have the time of: a group of them, the same once
/// more for half of the contenders, a quarter and so on, and for those that stay to the end.
pub const FULL_ROUNDS: usize = 3 * GROUP;
/// Contenders that are left after so many groups, where there were more.
const PLACES: [(usize, usize); 3] = [(1, 64), (2, 32), (4, 16)];
/// And at least, where there is time for few.
const LEAST_PLACES: usize = 4;
/// Times so many may be left while those beyond the places had no quiet sample.
const MOST_UNKNOWN: usize = 2;
/// Groups with a quiet sample that a confirmation or a comparison should have, and times its length that
/// a comparison may take for them.
const LEAST_QUIET: usize = 8;
const OVERTIME: u64 = 4;
/// Slower by no more than this, a contender is as good as the first; and so it is by no more than
/// the second if it is not certain that it is slower at all, by no more than the third after too few
/// rounds to be certain of anything.
const TIE: f64 = 1.005;
const LIKELY_TIE: f64 = 1.01;
const POSSIBLE_TIE: f64 = 1.05;

impl<B: Bench> Race<'_, B> {
    /// Samples all contenders in turn with nothing carried over, and sorts them, the fastest first.
    /// The order of turns is reversed from round to round, so that nobody always follows the same
    /// neighbour and a steady drift cancels; and before each round everything moves to other memory, so
    /// that nobody wins by its pages.
    ///
    /// Of many, only the first few are sampled for long. After [`LEAST_ROUNDS`], who is certainly behind
    /// is sampled no more; the others are until it is certain that none of them is faster than the
    /// leader by more than half a percent, and none that seems slower may be as fast: for
    /// [`MOST_ROUNDS`] at most. Contenders that the end of the race leaves without a fresh sample keep
    /// what they had.
    pub fn confirm(&mut self) -> &[Contender<B::Kernel>] {
        self.sample_afresh(MOST_ROUNDS, Self::settle);
        self.sort_by_groups();
        self.count_unfinished();
        &self.running
    }

    /// Samples all contenders as in a [confirmation](Self::confirm), but all of them in every round and
    /// until the time is up, so that the times of those that lost are as good as the winner's. Where the
    /// machine was hardly ever quiet, it takes some times as long. Gives each one's time over that of the
    /// first, sorted.
    pub fn compare(&mut self, within_ns: u64) -> Vec<(Schedule, f64)> {
        let start_ns = self.now_ns();
        self.sample_afresh(usize::MAX, |race, _, _| {
            let taken_ns = race.now_ns() - start_ns;
            let groups = |it: &Contender<B::Kernel>| it.timings.least_of_groups();
            let are_sure = || race.running.iter().all(|it| groups(it).quiet() >= LEAST_QUIET);
            taken_ns >= within_ns && (taken_ns >= OVERTIME.saturating_mul(within_ns) || are_sure())
        });
        self.sort_by_groups();
        self.running.iter().map(|it| it.schedule).zip(self.ratios_to_first()).collect()
    }

    /// Times of all as they are beside the first: its median, times theirs over its in the same groups
    /// of rounds. Their own medians may be from other moments.
    pub fn times_us(&self) -> Vec<f64> {
        let Some(median_us) = self.running.first().map(|first| first.timings.median_us()) else {
            return Vec::new();
        };
        self.ratios_to_first().into_iter().map(|ratio| median_us * ratio).collect()
    }

    fn ratios_to_first(&self) -> Vec<f64> {
        let first = self.running.first().map(|it| it.timings.clone()).unwrap_or_default();
        self.running.iter().map(|it| median(&it.timings.groups_over(&first))).collect()
    }

    /// Rounds with nothing carried over, until `is_certain` says so after a group of them, or there
    /// were as many as there may be. It is told how many groups there were, and how long they took.
    fn sample_afresh(
        &mut self,
        most_rounds: usize,
        mut is_certain: impl FnMut(&mut Self, usize, u64) -> bool,
    ) {
        let start_ns = self.now_ns();
        self.forget_samples();
        for round in 1..=most_rounds {
            if !self.sample_each(round, 1, |_| round > 1) {
                break;
            }
            self.running.retain(|contender| contender.failure.is_none());
            if !round.is_multiple_of(GROUP) {
                self.running.reverse();
                continue;
            }
            self.count_groups();
            let taken_ns = self.now_ns() - start_ns;
            if is_certain(self, round / GROUP, taken_ns) && round >= LEAST_ROUNDS {
                break;
            }
        }
        self.running.retain(|contender| contender.failure.is_none());
        self.recall_samples();
    }

    /// Takes note of the samples of those that are not behind, if time ran out while the first had fewer
    /// quiet ones than a median's bounds need: what is preferred among them may then be slower by more
    /// than a tie.
    fn count_unfinished(&mut self) {
        let is_known = |it: &Contender<_>| it.timings.least_of_groups().quiet() >= LEAST_QUIET;
        if !self.is_over() || self.running.first().is_none_or(is_known) {
            return;
        }
        let level: Vec<&Timings> = self.level().map(|it| &it.timings).collect();
        let samples = level.iter().map(|timings| timings.len()).sum();
        let quiet = level.iter().map(|timings| timings.quiet()).sum();
        self.disturbance.count_unfinished(samples, quiet);
    }

    /// Finds those that are behind the leader, after so many groups: by their places at first, then
    /// those that are certainly so. Says whether it is certain that nobody is before it.
    fn settle(&mut self, groups: usize, taken_ns: u64) -> bool {
        if groups * GROUP < LEAST_ROUNDS {
            let places = self.places(groups, taken_ns);
            if self.level().count() > places {
                self.sort_by_groups();
                // Beside neighbours, who would be first alone may be last; it waits for a quiet moment.
                let is_known = self.level().any(|it| it.timings.quiet() > 0);
                let behind = self.running.iter_mut().enumerate().skip(places);
                behind
                    .filter(|(place, it)| {
                        *place >= MOST_UNKNOWN * places || !is_known || it.timings.quiet() > 0
                    })
                    .for_each(|(_, it)| it.is_settled = true);
            }
            return false;
        }
        let leader = self.leader();
        let mut is_certain = true;
        for contender in self.running.iter_mut().filter(|contender| !contender.is_settled) {
            let ratios = contender.timings.groups_over(&leader);
            let [least, _] = median_bounds(&ratios);
            contender.is_settled = least > TIE;
            is_certain &= least >= 1.0 / TIE && !is_likely_tie(median(&ratios), least);
        }
        is_certain
    }

    /// How many contenders are to be left after so many groups: those that time is left for until
    /// [`LEAST_ROUNDS`], as long as all samples so far have taken, but no fewer than half of them: six
    /// samples tell too little of who is best.
    fn places(&self, groups: usize, taken_ns: u64) -> usize {
        let samples: usize = self.running.iter().map(|it| it.timings.len()).sum();
        let left_ns = self.deadline.left().map_or(f64::INFINITY, |left| left.as_nanos() as f64);
        let rounds = LEAST_ROUNDS - groups * GROUP;
        let affordable = left_ns / taken_ns as f64 * samples as f64 / rounds as f64;
        let many = PLACES.iter().find(|(when, _)| *when == groups).map_or(usize::MAX, |it| it.1);
        many.min((affordable as usize).max(self.level().count() / 2)).max(LEAST_PLACES)
    }

    /// Those that are still sampled.
    fn level(&self) -> impl Iterator<Item = &Contender<B::Kernel>> {
        self.running.iter().filter(|contender| !contender.is_settled)
    }

    /// Samples of whoever is fastest among those that are not behind: by its times over those of who has
    /// the most quiet groups, and then over the fastest one's. Whoever had no quiet sample leads only where
    /// nobody had: beside neighbours, other kernels are the fastest.
    fn leader(&self) -> Timings {
        let mut level: Vec<&Timings> = self.level().map(|contender| &contender.timings).collect();
        if level.iter().any(|timings| timings.quiet() > 0) {
            level.retain(|timings| timings.quiet() > 0);
        }
        let fastest_beside = |other: &Timings| {
            let slower = level.iter().map(|it| (median(&it.groups_over(other)), *it));
            slower.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, fastest)| fastest)
        };
        // The first of equals.
        let quiet_groups = |timings: &&Timings| timings.least_of_groups().quiet();
        let quietest = level.iter().copied().rev().max_by_key(quiet_groups);
        let leader = quietest.and_then(fastest_beside).and_then(fastest_beside);
        leader.cloned().unwrap_or_default()
    }

    /// Puts the leader first, and then the others by their times over its time in the same groups.
    fn sort_by_groups(&mut self) {
        let leader = self.leader();
        self.running.sort_by_cached_key(|contender| {
            let slower = median(&contender.timings.groups_over(&leader));
            // Positive floats are ordered as their bits are.
            let place = if contender.timings == leader { 0 } else { slower.to_bits() };
            (contender.is_settled, place)
        });
    }

    /// After a confirmation, lets that of the least rank win among those that are as good as the
    /// first: so repeated tunings agree on one of them. Its order is as before otherwise.
    pub fn prefer(&mut self, rank: impl Fn(&Schedule) -> f64) {
        let Some(first) = self.running.first() else { return };
        let first_timings = first.timings.clone();
        let is_tied = |contender: &Contender<B::Kernel>| {
            let of_groups = contender.timings.groups_over(&first_timings);
            let slower = median(&of_groups);
            // While groups are too few to be certain of anything, samples may tell.
            let groups = median_bounds(&of_groups)[0];
            let samples = || median_bounds(&contender.timings.over(&first_timings))[0];
            let least = if groups.is_finite() { groups } else { samples() };
            !contender.is_settled && (slower <= TIE || is_likely_tie(slower, least))
        };
        let tied = self.running.iter().enumerate().filter(|(place, it)| *place == 0 || is_tied(it));
        let ranked = tied.map(|(place, contender)| (place, rank(&contender.schedule)));
        let preferred = ranked.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place);
        self.running[..=preferred].rotate_right(1);
    }
}

/// Whether who seems slower by more than a tie may be as fast, given its time over the leader's and
/// what that is at least.
fn is_likely_tie(slower: f64, least: f64) -> bool {
    let likely = if least.is_finite() { LIKELY_TIE } else { POSSIBLE_TIE };
    slower > TIE && slower <= likely && least <= 1.0
}
