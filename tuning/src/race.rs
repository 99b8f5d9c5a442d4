//! Fair times in little time: candidates that take turns, and leave as soon as they are behind.
//!
//! Candidates of one [`Race`] are sampled in turn, so that a change of clock frequency or a busy
//! neighbour meets all of them alike, and in several places of memory. A candidate leaves as soon as
//! its *fastest* sample is too far behind the best *median*: an interrupted sample costs time, never a
//! good schedule. The stored numbers come from a [confirmation](Race::confirm) in which the best, those
//! that were close and the untuned default take turns once more with fresh samples, until it is certain
//! who leads; a winner by one lucky sample does not survive it. Samples of quiet moments are compared
//! with each other, and so are those that something [disturbed](crate::timings). Users of Kernel Tuner
//! or TVM get a mean of a few back-to-back repeats instead.

use dsconv::Measurement;
use dsconv_kernels::{CheckedSchedule, Schedule};

use crate::bench::{Bench, Sample, Turn};
use crate::contention::Disturbance;
use crate::measure::{Clock, Deadline, is_too_short, median, per_run_us, repeats_for};
use crate::timings::Timings;
use crate::trial::{Outcome, Trial};

mod confirm;

pub use confirm::{FULL_ROUNDS, LEAST_ROUNDS, MOST_ROUNDS};

/// Samples taken of a candidate that stays in a race to the end.
pub const RACE_SAMPLES: usize = 5;
/// Rounds before which all contenders move to other memory: one that is good elsewhere takes up to 1.4
/// times as long where its data happen to lie badly.
const MOVES: [usize; 2] = [2, 4];
/// Quiet samples for which a contender may wait: one alone may be mistaken for one.
const WANTED_QUIET: usize = 2;
/// How far behind the best's least sample noise may put that of a contender that is no slower.
const CLOSE: f64 = 1.15;
/// How many times farther it may where not both were quiet: neighbours differ, too.
const ROUGH: f64 = 1.2;
/// How far it may lie behind in a race once it was that close in another: where data happen to lie costs
/// some kernels so much.
const MISPLACED: f64 = 1.4;
/// A candidate whose single run takes this many times the best's median is dropped without a
/// sample.
const HOPELESS_RUN: f64 = 3.0;
/// A single run of this time is believed. A shorter one that would cost a candidate its place is
/// repeated once before: it may have been interrupted, which takes a few milliseconds.
const LONG_RUN_NS: u64 = 20_000_000;
/// How far a candidate's fastest sample may lie behind the best median, by its number of samples.
/// Noise between samples of one kernel is 1-5 % on a quiet machine.
const MARGINS: [f64; RACE_SAMPLES] = [1.5, 1.4, 1.3, 1.2, 1.1];
/// How much slower who shares a core may make a kernel.
const SHARED: f64 = 1.5;

/// A verified candidate in a race.
#[derive(Debug)]
pub struct Contender<K> {
    /// Its schedule.
    pub schedule: Schedule,
    kernel: K,
    repeats: u64,
    timings: Timings,
    /// Those from before the race or confirmation in progress.
    stale: Timings,
    /// Whether it is behind in a confirmation, and sampled no more.
    is_settled: bool,
    /// What became of it, if it can no longer run.
    failure: Option<Outcome>,
    /// Whether it lost the last race by so little that noise may have decided.
    is_close: bool,
    /// Its time over the best one's in the race in which it came closest.
    closest: f64,
    /// What part of a time beside a neighbour a kernel takes in quiet, as far as was known at its last
    /// race.
    quiet_part: f64,
    /// Whether it comes from an earlier race. It leaves by a median only: in hundreds of races two
    /// interrupted samples in a row would otherwise end the best one's run some day.
    is_incumbent: bool,
}

impl<K> Contender<K> {
    /// The samples so far, in one figure each: of the quiet ones, if there are a few.
    ///
    /// # Panics
    ///
    /// If the contender's first run failed. One that is in a race has a sample.
    pub fn measurement(&self) -> Measurement {
        self.timings.measurement()
    }

    /// The fate of the schedule: its failure, or the samples so far.
    pub fn trial(&self) -> Trial {
        let outcome = match &self.failure {
            Some(failure) => failure.clone(),
            None => Outcome::Measured(self.measurement()),
        };
        Trial { schedule: self.schedule, outcome }
    }

    /// The same with times as they would be in quiet, so that no schedule is better than another because
    /// a neighbour left: of the quiet samples, or if there are none, by what a neighbour costs others.
    pub fn trial_as_if_quiet(&self) -> Trial {
        let mut trial = self.trial();
        if let Outcome::Measured(measurement) = &mut trial.outcome {
            *measurement = self.as_if_quiet().measurement();
        }
        trial
    }

    fn as_if_quiet(&self) -> Timings {
        self.timings.as_if_quiet(self.quiet_part)
    }

    /// Time that a sample takes, in nanoseconds.
    pub(crate) fn sample_ns(&self) -> u64 {
        (self.repeats as f64 * self.timings.median_us() * 1_000.0) as u64
    }

    /// How near to the best it came, where it lost the last race by so little that noise may have
    /// decided: its time over the best one's. Who led some race may lose the next one by where its data
    /// lie or by who disturbed it; who led only until there were better ones loses by more.
    pub fn closeness(&self) -> Option<f64> {
        let is_close = self.failure.is_none() && self.is_close && self.closest <= CLOSE;
        is_close.then_some(self.closest)
    }

    /// Takes note of how far behind the best of a race it was.
    fn note_distance(&mut self, best: &Timings) {
        let behind = self.timings.least_over(best);
        let are_quiet = self.timings.quiet() > 0 && best.quiet() > 0;
        let most = match (self.closest <= CLOSE, are_quiet) {
            (true, _) => MISPLACED,
            (false, true) => CLOSE,
            (false, false) => ROUGH * CLOSE,
        };
        self.is_close = behind <= most;
        self.closest = self.closest.min(behind);
    }

    fn needs_samples(&self, wanted: usize) -> bool {
        self.failure.is_none() && !self.is_settled && self.timings.len() < wanted
    }

    fn is_behind(&self, best: &Best) -> bool {
        if self.failure.is_some() || self.is_incumbent {
            return self.failure.is_some();
        }
        let margin = MARGINS[self.timings.len().min(MARGINS.len()) - 1];
        // The first look counts, too: it may have been the only one that nothing disturbed.
        let looks = [&self.timings, &self.stale];
        let least = |us: fn(&Timings) -> Option<f64>| {
            looks.into_iter().filter_map(us).min_by(f64::total_cmp)
        };
        let beside = |own_us: Option<f64>, best_us: Option<f64>| Some(own_us? / best_us?);
        // One quiet sample alone may be mistaken for one; nothing makes a sample too short.
        let quiet_us = least(|it| it.least_of(true)).and(least(|it| Some(it.least_us())));
        let quiet = beside(quiet_us, best.quiet_us);
        let disturbed = || beside(least(|it| it.least_of(false)), best.disturbed_us);
        match quiet.or_else(|| Some(disturbed()? / ROUGH)) {
            Some(slower) => slower > margin,
            None => self.timings.least_us() > margin * SHARED * best.us,
        }
    }
}

/// Lowest medians in a race: of all samples that count, of quiet ones and of others.
#[derive(Clone, Copy, Debug)]
struct Best {
    us: f64,
    quiet_us: Option<f64>,
    disturbed_us: Option<f64>,
}

/// Verified candidates that take turns, and the clock they are timed by.
#[derive(Debug)]
pub struct Race<'a, B: Bench> {
    bench: &'a mut B,
    deadline: Deadline<'a>,
    running: Vec<Contender<B::Kernel>>,
    /// Time that samples so far have taken by themselves, and with all that comes before them. Those that
    /// moved do not count.
    sampled_ns: u64,
    spent_ns: u64,
    /// Parts of the times beside a neighbour that kernels of which both are known took in quiet.
    quiet_parts: Vec<f64>,
    /// Groups of samples since the last question, and those without a quiet one.
    disturbance: Disturbance,
}

impl<'a, B: Bench> Race<'a, B> {
    /// A race with nobody in it, in which no run starts once the clock shows `until_ns`.
    pub fn new(bench: &'a mut B, clock: &'a dyn Clock, until_ns: u64) -> Self {
        Self {
            bench,
            deadline: Deadline::at(clock, until_ns),
            running: Vec::new(),
            sampled_ns: 0,
            spent_ns: 0,
            quiet_parts: Vec::new(),
            disturbance: Disturbance::default(),
        }
    }

    /// Compiles and verifies the next candidate.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    pub fn prepare(&mut self, schedule: &CheckedSchedule) -> Result<B::Kernel, Outcome> {
        self.bench.prepare(schedule, self.deadline)
    }

    /// Moves the moment at which no further run starts.
    pub fn set_until(&mut self, until_ns: u64) {
        self.deadline = Deadline::at(self.deadline.clock(), until_ns);
    }

    /// Whether the time is up.
    pub fn is_over(&self) -> bool {
        self.deadline.has_passed()
    }

    fn now_ns(&self) -> u64 {
        self.deadline.clock().now_ns()
    }

    /// The lowest medians in the race so far.
    fn best(&self) -> Option<Best> {
        let least = |median: fn(&Timings) -> Option<f64>| {
            let sound = self.running.iter().filter(|contender| contender.failure.is_none());
            sound.filter_map(|contender| median(&contender.timings)).min_by(f64::total_cmp)
        };
        Some(Best {
            us: least(|timings| (!timings.is_empty()).then(|| timings.median_us()))?,
            quiet_us: least(|timings| timings.median_of(true)),
            disturbed_us: least(|timings| timings.median_of(false)),
        })
    }

    /// Time that the longest sample of a contender takes, in nanoseconds.
    pub fn sample_ns(&self) -> u64 {
        self.running.iter().map(Contender::sample_ns).max().unwrap_or(0)
    }

    /// How many times its own length a sample takes with all that comes before it: runs to warm up,
    /// threads that gather, others that have to be waited for.
    pub fn overhead(&self) -> f64 {
        self.spent_ns as f64 / self.sampled_ns.max(1) as f64
    }

    /// Lets a verified candidate warm up and takes its first sample. A hopeless one is returned
    /// at once: after a single run of 3 times the best median, after a sample of 1.5 times, or after two
    /// of 1.4 times. Where an interruption may explain it, no candidate is dropped by one look alone.
    ///
    /// Always runs the candidate once, whatever the time.
    pub fn enter(&mut self, schedule: Schedule, kernel: B::Kernel) -> Option<Contender<B::Kernel>> {
        let mut contender = Contender {
            schedule,
            kernel,
            repeats: 1,
            timings: Timings::default(),
            stale: Timings::default(),
            is_settled: false,
            failure: None,
            is_close: false,
            closest: f64::INFINITY,
            quiet_part: 1.0,
            is_incumbent: false,
        };
        match self.first_look(&mut contender) {
            Ok(true) => {
                self.running.push(contender);
                None
            }
            Ok(false) => Some(contender),
            Err(outcome) => {
                contender.failure = Some(outcome);
                Some(contender)
            }
        }
    }

    /// Runs a contender, takes a sample where the run is none by itself, and tells whether it may
    /// stay.
    fn first_look(&mut self, contender: &mut Contender<B::Kernel>) -> Result<bool, Outcome> {
        let best = self.best();
        let best_us = best.map_or(f64::INFINITY, |best| best.us);
        let is_behind =
            |contender: &Contender<B::Kernel>| best.is_some_and(|best| contender.is_behind(&best));
        let is_hopeless = |run: Sample| per_run_us(run.ns, 1) > HOPELESS_RUN * best_us;

        let mut run = self.time(contender, false)?;
        if is_hopeless(run) && run.ns < LONG_RUN_NS && !self.is_over() {
            run = run.or_less(self.time(contender, true)?);
        }
        contender.timings.push(run.timing(1));
        if is_hopeless(run) {
            return Ok(false);
        }
        if self.bench.is_repeatable() {
            contender.repeats = repeats_for(run.ns);
        }
        // Nothing tells of the very first contender whether its run was interrupted.
        let is_credible = best.is_some() && !is_behind(contender);
        let is_sample = contender.repeats == 1 && (run.ns >= LONG_RUN_NS || is_credible);
        if !is_sample && !self.is_over() {
            let sample = self.calibrate(contender)?.timing(contender.repeats);
            // Whichever is less: the run may have been the less disturbed look.
            let looks = [sample, run.timing(1)].into_iter();
            let timing = looks.min_by(|a, b| a.us.total_cmp(&b.us));
            contender.timings = timing.into_iter().collect();
        }
        if is_behind(contender) && contender.timings.lacks_quiet(1) && !self.is_over() {
            let again = self.time(contender, true)?.timing(contender.repeats);
            contender.timings.push(again);
        }
        Ok(!is_behind(contender))
    }

    /// Takes a sample, and another of more runs if that is too short and may have more.
    fn calibrate(&mut self, contender: &mut Contender<B::Kernel>) -> Result<Sample, Outcome> {
        let sample = self.time(contender, false)?;
        let is_long_enough =
            !self.bench.is_repeatable() || !is_too_short(sample.ns, contender.repeats);
        if is_long_enough || self.is_over() {
            return Ok(sample);
        }
        contender.repeats = repeats_for(sample.ns / contender.repeats);
        self.time(contender, false)
    }

    /// Samples all contenders in turn until each has [`RACE_SAMPLES`] or time is up, and returns
    /// those that fell behind on the way. What stays is sorted, the best first. All are in several places
    /// of memory, and incumbents elsewhere than in the race before, so that nobody leads by its pages.
    /// Looks from before do not count: they were not taken side by side, and an incumbent's may be from
    /// a quieter moment.
    pub fn run(&mut self) -> Vec<Contender<B::Kernel>> {
        let mut dropped = Vec::new();
        self.forget_samples();
        for round in 1..=RACE_SAMPLES {
            let moves = |it: &Contender<_>| MOVES.contains(&round) || round == 1 && it.is_incumbent;
            if !self.sample_each(round, WANTED_QUIET, moves) {
                break;
            }
            let Some(best) = self.best() else { break };
            dropped.extend(self.running.extract_if(.., |contender| contender.is_behind(&best)));
        }
        self.count_groups();
        self.learn_quiet_part(&mut dropped);
        self.recall_samples();
        dropped.extend(self.running.extract_if(.., |contender| contender.failure.is_some()));
        self.sort();
        if let Some(best) = self.running.first().map(|contender| contender.timings.clone()) {
            for contender in self.running.iter_mut().chain(&mut dropped) {
                contender.note_distance(&best);
            }
        }
        dropped
    }

    /// Learns from those that ran in a race, those that it dropped too, and tells them, what part of a time
    /// beside a neighbour a kernel takes in quiet.
    fn learn_quiet_part(&mut self, dropped: &mut [Contender<B::Kernel>]) {
        let all = self.running.iter().chain(dropped.iter()).map(|contender| &contender.timings);
        let parts = all.filter_map(|it| Some(it.least_of(true)? / it.least_of(false)?));
        // An interruption costs more, but no kernel all of its samples.
        self.quiet_parts.extend(parts.map(|part| part.clamp(1.0 / SHARED, 1.0)));
        if !self.quiet_parts.is_empty() {
            let part = median(&self.quiet_parts);
            self.running.iter_mut().chain(dropped).for_each(|it| it.quiet_part = part);
        }
    }

    /// Keeps the best `count` for the next race; the others are returned.
    pub fn keep_best(&mut self, count: usize) -> Vec<Contender<B::Kernel>> {
        self.sort();
        self.running.split_off(count.min(self.running.len()))
    }

    /// Contenders in the race, in its order.
    pub fn running(&self) -> &[Contender<B::Kernel>] {
        &self.running
    }

    /// Lets a contender into the race again.
    pub fn readmit(&mut self, contender: Contender<B::Kernel>) {
        self.running.push(contender);
    }

    /// Those in the race are incumbents from now on.
    pub fn mark_incumbents(&mut self) {
        self.running.iter_mut().for_each(|contender| contender.is_incumbent = true);
    }

    /// Begins anew with samples that are taken side by side.
    fn forget_samples(&mut self) {
        for contender in &mut self.running {
            contender.stale = std::mem::take(&mut contender.timings);
            contender.is_settled = false;
        }
    }

    /// Gives those that got no sample since what they had before.
    fn recall_samples(&mut self) {
        for contender in self.running.iter_mut().filter(|it| it.timings.is_empty()) {
            contender.timings = std::mem::take(&mut contender.stale);
        }
    }

    /// Takes note of which contenders that are sampled had no quiet sample in the last group.
    fn count_groups(&mut self) {
        for contender in self.running.iter().filter(|it| !it.is_settled && !it.timings.is_empty()) {
            self.disturbance.count(!contender.timings.last_group_is_quiet());
        }
    }

    /// Verifies those that are to be stored once more: contenders from the first on, until so many
    /// have passed. Those that fail leave the race and are returned.
    pub fn verify_best(&mut self, count: usize) -> Vec<Contender<B::Kernel>> {
        let mut refuted = Vec::new();
        let mut place = 0;
        while place < count.min(self.running.len()) {
            match self.bench.verify_again(&mut self.running[place].kernel) {
                Ok(()) => place += 1,
                Err(outcome) => {
                    let mut contender = self.running.remove(place);
                    contender.failure = Some(outcome);
                    refuted.push(contender);
                }
            }
        }
        refuted
    }

    /// Verifies a schedule that is not in the race, both times.
    ///
    /// # Errors
    ///
    /// Returns what became of the schedule instead.
    pub fn verify_alone(&mut self, schedule: &CheckedSchedule) -> Result<(), Outcome> {
        let mut kernel =
            self.bench.prepare(schedule, Deadline::within(self.deadline.clock(), None))?;
        self.bench.verify_again(&mut kernel)
    }

    /// About the time that verifying once more takes, in nanoseconds.
    pub fn second_look_ns(&self) -> u64 {
        u64::try_from(self.bench.second_look_time().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Why the samples since the last call cannot be trusted, if something else used the machine.
    pub fn contamination(&mut self) -> Option<String> {
        let of_groups = self.disturbance();
        let of_bench = self.bench.contamination();
        of_groups.or(of_bench)
    }

    /// The same, but only as far as samples tell: whether most groups had quiet ones, and a confirmation
    /// that time ended had enough.
    pub fn disturbance(&mut self) -> Option<String> {
        std::mem::take(&mut self.disturbance).contamination()
    }

    /// One sample of each contender that has fewer than `wanted`, which may wait for a quiet moment while
    /// the contender has fewer than `quiet` in the group in progress; before, those that are to move are
    /// given other memory, and with them input and output. Whether all were sampled, and there was any.
    fn sample_each(
        &mut self,
        wanted: usize,
        quiet: usize,
        moves: impl Fn(&Contender<B::Kernel>) -> bool,
    ) -> bool {
        let mut running = std::mem::take(&mut self.running);
        let mut sampled: Vec<_> =
            running.iter_mut().filter(|it| it.needs_samples(wanted)).collect();
        let turns = sampled.iter_mut().map(|contender| {
            let (may_wait, moves) = (contender.timings.lacks_quiet(quiet), moves(contender));
            let Contender { kernel, repeats, .. } = &mut **contender;
            Turn { kernel, repeats: *repeats, may_wait, moves }
        });
        let mut turns: Vec<_> = turns.collect();
        let is_round = !turns.is_empty() && !self.is_over();
        let samples = if is_round { self.take_turns(&mut turns) } else { Vec::new() };
        let is_whole = is_round && samples.len() == sampled.len();
        for (contender, sample) in sampled.into_iter().zip(samples) {
            match sample {
                Ok(sample) => contender.timings.push(sample.timing(contender.repeats)),
                Err(outcome) => contender.failure = Some(outcome),
            }
        }
        self.running = running;
        is_whole
    }

    /// One sample, which may wait for a quiet moment or not.
    fn time(
        &mut self,
        contender: &mut Contender<B::Kernel>,
        may_wait: bool,
    ) -> Result<Sample, Outcome> {
        let Contender { kernel, repeats, .. } = contender;
        let turn = Turn { kernel, repeats: *repeats, may_wait, moves: false };
        self.take_turns(&mut [turn]).pop().expect("the first turn is always taken")
    }

    fn take_turns(&mut self, turns: &mut [Turn<'_, B::Kernel>]) -> Vec<Result<Sample, Outcome>> {
        let start_ns = self.now_ns();
        let samples = self.bench.take_turns(turns, self.deadline);
        if turns.iter().all(|turn| !turn.moves) {
            self.sampled_ns += samples.iter().flatten().map(|sample| sample.ns).sum::<u64>();
            self.spent_ns += self.now_ns() - start_ns;
        }
        samples
    }

    /// Best first: by the least of few samples, which is the least disturbed.
    fn sort(&mut self) {
        let least_us = |it: &Contender<B::Kernel>| it.as_if_quiet().least_us();
        self.running.sort_by(|a, b| least_us(a).total_cmp(&least_us(b)));
    }
}
