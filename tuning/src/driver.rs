//! The driver: proposes, checks, compiles, verifies, races and observes, then confirms.

use dsconv_kernels::{CheckedSchedule, Schedule, cost};

use crate::bench::Bench;
use crate::measure::Clock;
use crate::observe::Observer;
use crate::progress::{Conclusion, Progress};
use crate::race::{Contender, FULL_ROUNDS, LEAST_ROUNDS, Race};
use crate::space::SpaceSummary;
use crate::strategy::Strategy;
use crate::trial::{Outcome, Trial};
use crate::{TuneError, TuneOptions, Tuned};

/// Schedules that race each other at once.
const BATCH: usize = 8;
/// Winners of a race that run in the next one, and in the confirmation.
const FINALISTS: usize = 3;
/// Losers by little that come back for the confirmation: no more than these, which is enough even
/// where 5 samples cannot tell most of the space apart, and no more than a round of this length holds
/// or than there is time to sample, but for a few.
const MOST_SECONDS: usize = 96;
const LEAST_SECONDS: usize = 2;
const SECONDS_NS: u64 = 60_000_000;
/// Confirmations at most, where others are contaminated.
const MOST_CONFIRMATIONS: usize = 2;
/// Part of the budget that is kept for the confirmation at most, one in so many, and contenders that
/// it should last for. What the search leaves is the confirmation's, too.
const CONFIRM_SHARE: u64 = 2;
const CONFIRMED: usize = 16;
/// Part of the budget that is kept for verifying again at most.
const SECOND_LOOK_SHARE: u64 = 3;
/// Schedules of a record, which are verified again: winner and runner-up.
const STORED: usize = 2;

/// What [`tune`](crate::tune) does, on any bench and by any clock. The budget counts from the clock's
/// zero.
///
/// # Errors
///
/// Returns [`TuneError::Default`] if `default` fails.
pub fn search<B: Bench, C: Clock>(
    default: &CheckedSchedule,
    space: &SpaceSummary,
    options: &TuneOptions,
    strategy: &mut dyn Strategy,
    bench: &mut B,
    clock: &C,
    observer: &mut dyn Observer,
) -> Result<Tuned, TuneError> {
    let (workload, target) = (default.workload(), default.target());
    let schedule = *default.schedule();
    let budget_ns = u64::try_from(options.budget.as_nanos()).unwrap_or(u64::MAX);
    let mut progress = Progress::new(options, clock, observer);
    progress.started(space);

    // The default is tried whatever the time.
    let mut race = Race::new(bench, clock, u64::MAX);
    let failed = |outcome| TuneError::Default { schedule, outcome };
    let kernel = race.prepare(default).map_err(failed)?;
    // What is to be stored is verified again at the end.
    let until_ns = budget_ns - race.second_look_ns().min(budget_ns / SECOND_LOOK_SHARE);
    race.set_until(until_ns);
    if let Some(lost) = race.enter(schedule, kernel) {
        return Err(failed(lost.trial().outcome));
    }
    race.run();
    progress.report_new(strategy, race.running());
    readmit_resumed(&mut race, &mut progress, strategy, default);

    let mut first: Vec<Schedule> = options
        .first
        .iter()
        .filter(|first| first.check(workload, target).is_ok())
        .copied()
        .collect();
    // The default may lose a race, but it comes back for the confirmation; and so do those that
    // lost by less than noise.
    let mut lost_default = None;
    let mut seconds: Vec<(f64, Contender<B::Kernel>)> = Vec::new();
    let stopped = loop {
        let count = progress.trials_left().min(BATCH);
        let mut proposed: Vec<Schedule> = first.drain(..count.min(first.len())).collect();
        if proposed.is_empty() {
            proposed = strategy.propose(count);
        }
        if proposed.is_empty() {
            break progress.why_none_proposed();
        }
        progress.retain_new(&mut proposed);
        if proposed.is_empty() {
            continue;
        }
        race.mark_incumbents();
        race.set_until(until_ns - confirmation_ns(&race, until_ns));
        let mut lost = Vec::new();
        let mut stop = None;
        for schedule in proposed {
            stop = progress.stop_reason(race.is_over());
            if stop.is_some() {
                break;
            }
            let kernel = schedule
                .check(workload, target)
                .map_err(Outcome::Illegal)
                .and_then(|checked| race.prepare(&checked));
            match kernel {
                Ok(kernel) => match race.enter(schedule, kernel) {
                    Some(contender) => lost.push(contender),
                    None => progress.entered(race.running()),
                },
                Err(outcome) => progress.report(strategy, Trial { schedule, outcome }),
            }
        }
        lost.extend(race.run());
        lost.extend(race.keep_best(FINALISTS));
        progress.report_new(strategy, race.running());
        progress.report_new(strategy, &lost);
        for contender in lost {
            if contender.schedule == schedule {
                lost_default = Some(contender);
            } else if let Some(behind) = contender.closeness() {
                seconds.push((behind, contender));
            }
        }
        keep_closest(&mut seconds, SECONDS_NS);
        if let Some(reason) = stop {
            break reason;
        }
    };

    let is_default = |contender: &Contender<B::Kernel>| contender.schedule == schedule;
    progress.confirming();
    race.set_until(until_ns);
    // Moving takes as long as sampling.
    let left_ns = until_ns.saturating_sub(clock.now_ns()) as f64;
    let round_ns = left_ns / (2.0 * race.overhead() * FULL_ROUNDS as f64);
    keep_closest(&mut seconds, SECONDS_NS.min(round_ns as u64));
    seconds.into_iter().for_each(|(_, second)| race.readmit(second));
    lost_default.into_iter().for_each(|default| race.readmit(default));
    let contaminated = confirm(&mut race);
    race.prefer(|schedule| {
        let checked = schedule.check(workload, target);
        checked.map_or(f64::INFINITY, |it| cost::estimate(&it, options.threads).cycles())
    });
    let refuted = race.verify_best(STORED);
    refuted.iter().for_each(|contender| progress.refute(contender.trial()));
    if let Some(refuted) = refuted.iter().find(|contender| is_default(contender)) {
        return Err(failed(refuted.trial().outcome));
    }
    if race.running().is_empty() {
        race.verify_alone(default).map_err(failed)?;
    }
    let trials = race.running().iter().map(Contender::trial);
    let ranking: Vec<(Trial, f64)> = trials.zip(race.times_us()).collect();
    let learned = strategy.learned();
    let result = Conclusion { space: space.clone(), stopped, contaminated, learned };
    Ok(progress.finish(ranking, default, result))
}

/// Keeps the closest of those that lost by little, as many as a round of so long holds.
fn keep_closest<K>(seconds: &mut Vec<(f64, Contender<K>)>, most_ns: u64) {
    seconds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut round_ns = 0;
    let fits = |(_, second): &&(f64, Contender<K>)| {
        round_ns += second.sample_ns();
        round_ns <= most_ns
    };
    let fitting = seconds.iter().take_while(fits).count();
    seconds.truncate(fitting.clamp(LEAST_SECONDS, MOST_SECONDS));
}

/// Confirms, and again where something else used the machine meanwhile. Tells what did so in the
/// last attempt; in the search, where no time is left for one and its samples have to do, or where these
/// were so seldom quiet that it may have lost the best on the way.
fn confirm<B: Bench>(race: &mut Race<'_, B>) -> Option<String> {
    let disturbed = race.disturbance();
    let while_searching = race.contamination();
    let is_over = race.is_over();
    race.confirm();
    if is_over {
        return disturbed.or(while_searching);
    }
    let mut contaminated = race.contamination();
    for _ in 1..MOST_CONFIRMATIONS {
        if contaminated.is_none() || race.is_over() {
            break;
        }
        race.confirm();
        contaminated = race.contamination();
    }
    contaminated.or(disturbed)
}

/// Takes note of the trials of an earlier run, and lets the best of them race again.
fn readmit_resumed<B: Bench, C: Clock>(
    race: &mut Race<'_, B>,
    progress: &mut Progress<'_, C>,
    strategy: &mut dyn Strategy,
    default: &CheckedSchedule,
) {
    let mut best = progress.resume(strategy);
    best.retain(|schedule| schedule != default.schedule());
    for schedule in best.into_iter().take(FINALISTS) {
        if race.is_over() {
            return;
        }
        let checked = schedule.check(default.workload(), default.target());
        let kernel = checked.map_err(Outcome::Illegal).and_then(|checked| race.prepare(&checked));
        if let Ok(kernel) = kernel {
            race.enter(schedule, kernel);
        }
    }
}

/// Time to keep for the confirmation: half of it goes by moving.
fn confirmation_ns<B: Bench>(race: &Race<'_, B>, budget_ns: u64) -> u64 {
    let sample_ns = race.sample_ns() as f64 * race.overhead();
    let wanted = 2.0 * sample_ns * (CONFIRMED * LEAST_ROUNDS) as f64;
    (wanted as u64).min(budget_ns / CONFIRM_SHARE)
}
