//! What is known while tuning goes on, whom it is told to, and the record at the end.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use dsconv::{Provenance, Record, RunnerUp};
use dsconv_kernels::{CheckedSchedule, Schedule};

use crate::measure::Clock;
use crate::observe::{Observer, Phase, Status, StopReason};
use crate::race::Contender;
use crate::space::SpaceSummary;
use crate::strategy::{Learned, Strategy};
use crate::trial::Trial;
use crate::{GAIN, TuneOptions, Tuned};

/// What is known at the end beside the trials.
pub(crate) struct Conclusion {
    pub(crate) space: SpaceSummary,
    pub(crate) stopped: StopReason,
    pub(crate) contaminated: Option<String>,
    pub(crate) learned: Learned,
}

/// The trials so far and their observer.
pub(crate) struct Progress<'a, C> {
    options: &'a TuneOptions,
    clock: &'a C,
    observer: &'a mut dyn Observer,
    trials: Vec<Trial>,
    tried: HashSet<Schedule>,
    best_us: Option<f64>,
    /// Trials when the best was last improved by a gain worth the name, and the best then.
    gained: (u64, f64),
}

impl<'a, C: Clock> Progress<'a, C> {
    pub(crate) fn new(
        options: &'a TuneOptions,
        clock: &'a C,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let (trials, tried) = (Vec::new(), HashSet::new());
        let gained = (0, f64::INFINITY);
        Self { options, clock, observer, trials, tried, best_us: None, gained }
    }

    pub(crate) fn started(&mut self, space: &SpaceSummary) {
        self.observer.started(space);
    }

    pub(crate) fn confirming(&mut self) {
        let status = self.status(Phase::Confirm);
        self.observer.confirming(&status);
    }

    /// Takes over the trials of an earlier run; gives the measured schedules, the best first.
    pub(crate) fn resume(&mut self, strategy: &mut dyn Strategy) -> Vec<Schedule> {
        let mut measured: Vec<(f64, Schedule)> = Vec::new();
        for trial in &self.options.resumed {
            if self.tried.insert(trial.schedule) {
                strategy.observe(trial);
                self.trials.push(trial.clone());
            }
            if let Some(us) = trial.median_us() {
                measured.push((us, trial.schedule));
            }
        }
        measured.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some((us, _)) = measured.first() {
            self.best_us = Some(self.best_us.map_or(*us, |best| best.min(*us)));
            self.gained = (self.trials.len() as u64, *us);
        }
        measured.into_iter().map(|(_, schedule)| schedule).collect()
    }

    /// Leaves out what has been tried.
    pub(crate) fn retain_new(&self, proposed: &mut Vec<Schedule>) {
        proposed.retain(|schedule| !self.tried.contains(schedule));
    }

    /// Tells the observer of the contender that entered last.
    pub(crate) fn entered<K>(&mut self, running: &[Contender<K>]) {
        if let Some(contender) = running.last() {
            let status = self.status(Phase::Search);
            self.observer.entered(&contender.trial(), &status);
        }
    }

    /// Reports the contenders that were not reported before.
    pub(crate) fn report_new<K>(&mut self, strategy: &mut dyn Strategy, ended: &[Contender<K>]) {
        for contender in ended {
            if !self.tried.contains(&contender.schedule) {
                self.report(strategy, contender.trial_as_if_quiet());
            }
        }
    }

    /// Tells strategy and observer of a trial.
    pub(crate) fn report(&mut self, strategy: &mut dyn Strategy, trial: Trial) {
        if let Some(us) = trial.median_us() {
            self.best_us = Some(self.best_us.map_or(us, |best| best.min(us)));
            if us < (1.0 - GAIN) * self.gained.1 {
                self.gained = (self.trials.len() as u64, us);
            }
        }
        tracing::debug!(schedule = ?trial.schedule, outcome = %trial.outcome, "trial");
        strategy.observe(&trial);
        self.tried.insert(trial.schedule);
        self.trials.push(trial);
        let status = self.status(Phase::Search);
        self.observer.trial(&self.trials[self.trials.len() - 1], &status);
    }

    /// Corrects a trial that was reported as measured, and tells the observer.
    pub(crate) fn refute(&mut self, trial: Trial) {
        tracing::warn!(schedule = ?trial.schedule, outcome = %trial.outcome, "refuted");
        let status = self.status(Phase::Confirm);
        self.observer.refuted(&trial, &status);
        if let Some(earlier) = self.trials.iter_mut().find(|it| it.schedule == trial.schedule) {
            *earlier = trial;
        }
    }

    /// Trials that the options still allow.
    pub(crate) fn trials_left(&self) -> usize {
        let most = self.options.max_trials.map_or(usize::MAX, |most| most as usize);
        most.saturating_sub(self.trials.len())
    }

    /// Why a strategy that was asked for [`Progress::trials_left`] schedules proposed none.
    pub(crate) fn why_none_proposed(&self) -> StopReason {
        if self.trials_left() == 0 { StopReason::MaxTrials } else { StopReason::Exhausted }
    }

    fn is_on_plateau(&self) -> bool {
        let passed = (self.trials.len() as u64).saturating_sub(self.gained.0);
        self.options.plateau.is_some_and(|plateau| passed > plateau)
    }

    /// Why the search should end before the next candidate, if it should.
    pub(crate) fn stop_reason(&mut self, is_over: bool) -> Option<StopReason> {
        if self.observer.is_cancelled() {
            Some(StopReason::Cancelled)
        } else if self.is_on_plateau() {
            Some(StopReason::Plateau)
        } else {
            is_over.then_some(StopReason::Budget)
        }
    }

    /// The record of the first of `ranking`, which holds the time of each beside the first. It holds
    /// the default too, unless that failed in the confirmation: then its first measurement stands.
    pub(crate) fn finish(
        self,
        mut ranking: Vec<(Trial, f64)>,
        default: &CheckedSchedule,
        conclusion: Conclusion,
    ) -> Tuned {
        let Conclusion { space, stopped, contaminated, learned } = conclusion;
        let measurement =
            |trial: &Trial| *trial.measurement().expect("only measured schedules are confirmed");
        let is_default = |trial: &Trial| trial.schedule == *default.schedule();
        let of_default = ranking.iter().find(|(trial, _)| is_default(trial)).cloned();
        let (default_trial, default_us) = of_default.unwrap_or_else(|| {
            let first = self.trials.iter().find(|trial| is_default(trial));
            let trial = first.expect("the default is tried first").clone();
            let us = measurement(&trial).median_us;
            (trial, us)
        });
        if ranking.is_empty() {
            ranking.push((default_trial.clone(), default_us));
        }
        let options = self.options;
        let record = Record {
            workload: *default.workload(),
            isa: default.target().isa,
            threads: options.threads,
            objective: options.objective,
            schedule: ranking[0].0.schedule,
            measurement: measurement(&ranking[0].0),
            runner_up: ranking
                .get(1)
                .map(|(trial, us)| RunnerUp { schedule: trial.schedule, median_us: *us }),
            provenance: Provenance {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                code_generation: dsconv_kernels::CODE_GENERATION,
                strategy: options.strategy.to_string(),
                trials: self.trials.len() as u64,
                seed: options.seed,
                date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
                default_us,
                contended: contaminated.is_some(),
            },
        };
        let (trials, default) = (self.trials, default_trial);
        Tuned { record, trials, default, space, stopped, contaminated, learned }
    }

    fn status(&self, phase: Phase) -> Status {
        let elapsed = Duration::from_nanos(self.clock.now_ns());
        let budget = self.options.budget;
        Status {
            trials: self.trials.len() as u64,
            best_us: self.best_us,
            elapsed,
            budget,
            remaining: budget.saturating_sub(elapsed),
            phase,
        }
    }
}
