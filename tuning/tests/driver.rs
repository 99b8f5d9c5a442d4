//! The driver on a synthetic machine: what wins, what is reported, and that the budget holds.

mod synthetic;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use dsconv_kernels::{CheckedSchedule, Schedule};
use dsconv_tuning::space::distance;
use dsconv_tuning::{
    Observer, Outcome, Quiet, SearchSpace, SpaceSummary, Status, StopReason, StrategyKind, Trial,
    TuneError, TuneOptions, Tuned, search,
};
use synthetic::{FakeBench, Noise, block, narrow, wide};

const QUIET_MACHINE: Noise =
    Noise { jitter: 0.01, interruptions: 0.0, interruption_ns: 0, drift: 0.0, placement: 0.0 };

fn space() -> SearchSpace {
    SearchSpace::new(&block(), &narrow(), 1)
}

/// Some schedule to take for the untuned default.
fn default_of(space: &SearchSpace) -> CheckedSchedule {
    let schedule = space.sample(1, 99)[0];
    schedule.check(&block(), &narrow()).expect("the space holds legal schedules")
}

/// A landscape with one best schedule: 2 ms there, 8 % more for each axis that differs, and a
/// little of each schedule's own.
fn landscape(best: Schedule) -> impl Fn(&Schedule) -> u64 + Copy {
    move |schedule: &Schedule| {
        let mut hasher = DefaultHasher::new();
        schedule.hash(&mut hasher);
        let own = hasher.finish() % 1_000;
        2_000_000 * (100 + 8 * distance(schedule, &best) as u64) / 100 + own
    }
}

fn run<F: Fn(&Schedule) -> u64>(
    bench: &mut FakeBench<F>,
    options: &TuneOptions,
    observer: &mut dyn Observer,
) -> Result<Tuned, TuneError> {
    let space = space();
    let default = default_of(&space);
    let mut strategy = options.strategy.build(&space, default.schedule(), options.seed);
    let clock = bench.clock.clone();
    search(&default, space.summary(), options, &mut *strategy, bench, &clock, observer)
}

fn options(seconds: f64) -> TuneOptions {
    TuneOptions { budget: Duration::from_secs_f64(seconds), ..TuneOptions::default() }
}

#[test]
fn every_strategy_finds_the_best_schedule_of_the_whole_space() {
    let best = space().sample(1, 5)[0];
    for strategy in StrategyKind::ALL {
        let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(best));
        let tuned = run(&mut bench, &TuneOptions { strategy, ..options(600.0) }, &mut Quiet)
            .expect("a record");
        assert_eq!(tuned.stopped, StopReason::Exhausted, "{strategy}");
        assert_eq!(tuned.record.schedule, best, "{strategy}");
        assert_eq!(tuned.record.provenance.strategy, strategy.to_string());
        assert_eq!(tuned.trials.len(), space().len());
        let tried: HashSet<Schedule> = tuned.trials.iter().map(|trial| trial.schedule).collect();
        assert_eq!(tried.len(), tuned.trials.len(), "each schedule is tried and reported once");
        assert!(space().iter().all(|schedule| tried.contains(schedule)));
    }
}

#[test]
fn the_record_says_how_it_came_about() {
    let best = space().sample(1, 5)[0];
    let default = *default_of(&space()).schedule();
    let true_ns = landscape(best);
    let mut bench = FakeBench::new(QUIET_MACHINE, 3, true_ns);
    let options = TuneOptions { seed: 42, ..options(2.0) };
    let tuned = run(&mut bench, &options, &mut Quiet).expect("a record");
    let record = &tuned.record;
    assert_eq!((record.workload, record.isa, record.threads), (block(), narrow().isa, 1));
    let median_us = record.measurement.median_us;
    assert!((median_us * 1e3 / true_ns(&record.schedule) as f64 - 1.0).abs() < 0.01);
    assert!(record.measurement.min_us <= median_us && record.measurement.samples > 1);
    assert!((tuned.default_us() * 1e3 / true_ns(&default) as f64 - 1.0).abs() < 0.01);
    let runner_up = record.runner_up.expect("more than one was confirmed");
    assert!(runner_up.median_us >= median_us && runner_up.schedule != record.schedule);
    assert_eq!(record.provenance.seed, 42);
    assert_eq!(record.provenance.trials, tuned.trials.len() as u64);
    let date = &record.provenance.date;
    assert!(date.len() == 20 && date.ends_with('Z') && &date[10..11] == "T", "{date}");
}

#[test]
fn one_seed_tries_the_same_schedules() {
    let best = space().sample(1, 5)[0];
    let tried = |strategy, seed| -> Vec<Schedule> {
        let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(best));
        let options = TuneOptions { strategy, seed, max_trials: Some(17), ..options(60.0) };
        let tuned = run(&mut bench, &options, &mut Quiet).expect("a record");
        assert_eq!(tuned.trials.len(), 17, "{strategy}");
        tuned.trials.into_iter().map(|trial| trial.schedule).collect()
    };
    for strategy in StrategyKind::ALL {
        assert_eq!(tried(strategy, 3), tried(strategy, 3), "{strategy}");
    }
    assert_ne!(tried(StrategyKind::Random, 3), tried(StrategyKind::Random, 4));
}

#[test]
fn no_budget_still_gives_a_verified_record_of_the_default() {
    let default = *default_of(&space()).schedule();
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(default));
    let tuned = run(&mut bench, &options(0.0), &mut Quiet).expect("a record");
    assert_eq!(tuned.stopped, StopReason::Budget);
    assert_eq!(tuned.record.schedule, default);
    assert_eq!(tuned.record.measurement.samples, 1);
    assert_eq!(tuned.trials.len(), 1);
    assert!(tuned.record.runner_up.is_none());
    assert_eq!(bench.runs.len(), 1);
}

#[test]
fn the_budget_is_overrun_by_at_most_one_candidate() {
    for (seed, seconds) in (0..40).map(|i| (i, 0.05 * i as f64)) {
        let best = space().sample(1, seed)[0];
        let shared = Noise {
            jitter: 0.03,
            interruptions: 0.01,
            interruption_ns: 4_000_000,
            ..Noise::default()
        };
        let mut bench = FakeBench::new(shared, seed, landscape(best));
        bench.compile_ns = 9_000_000;
        bench.verify_ns = 1_000_000;
        run(&mut bench, &TuneOptions { seed, ..options(seconds) }, &mut Quiet).expect("a record");
        // The slowest differs in all 14 axes; a run may be interrupted, and is once verified.
        let candidate_ns = 9_000_000 + 1_000_000 + 2 * (2_000_000 * 212 / 100 + 4_000_000);
        let elapsed_ns = dsconv_tuning::measure::Clock::now_ns(&bench.clock);
        let limit_ns = (seconds * 1e9) as u64 + candidate_ns;
        assert!(elapsed_ns <= limit_ns, "seed {seed}: {elapsed_ns} ns of {limit_ns} ns");
    }
}

#[test]
fn of_a_budget_for_long_runs_half_goes_to_the_search_and_half_to_the_confirmation() {
    #[derive(Default)]
    struct Phases {
        confirming: Option<Status>,
    }
    impl Observer for Phases {
        fn confirming(&mut self, status: &Status) {
            self.confirming = Some(*status);
        }
    }
    let mut phases = Phases::default();
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(space().sample(1, 2)[0]));
    let tuned = run(&mut bench, &options(3.0), &mut phases).expect("a record");
    let status = phases.confirming.expect("it was confirmed");
    assert_eq!(tuned.stopped, StopReason::Budget);
    // Less the time of the batch in progress.
    assert!(status.remaining >= Duration::from_millis(1_400), "{status:?}");
    assert!(status.elapsed >= Duration::from_millis(1_450), "{status:?}");
}

#[test]
fn schedules_that_fail_are_reported_and_never_win() {
    fn fails(schedule: &Schedule) -> bool {
        schedule.tile_rows % 2 == 1
    }
    fn wrong(schedule: &Schedule) -> bool {
        schedule.pointwise.is_some_and(|tile| tile.unroll == 4)
    }
    let space = space();
    let is_good = |schedule: &&Schedule| !fails(schedule) && !wrong(schedule);
    let default = *space.iter().find(is_good).expect("one that works");
    let default = default.check(&block(), &narrow()).expect("legal");
    // The fastest of all computes nonsense.
    let best = *space.iter().find(|schedule| wrong(schedule)).expect("one that is wrong");
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(best));
    bench.fails_to_compile = fails;
    bench.computes_wrong = wrong;
    let options = options(60.0);
    let mut strategy = options.strategy.build(&space, default.schedule(), 0);
    let clock = bench.clock.clone();
    let tuned =
        search(&default, space.summary(), &options, &mut *strategy, &mut bench, &clock, &mut Quiet)
            .expect("a record");
    for trial in &tuned.trials {
        let expected = match &trial.outcome {
            Outcome::NotCompiled(_) => fails(&trial.schedule),
            Outcome::Wrong(_) => wrong(&trial.schedule),
            Outcome::Measured(_) => is_good(&&trial.schedule),
            _ => false,
        };
        assert!(expected, "{trial:?}");
    }
    assert!(tuned.trials.iter().any(|trial| matches!(trial.outcome, Outcome::Wrong(_))));
    assert!(tuned.trials.iter().any(|trial| matches!(trial.outcome, Outcome::NotCompiled(_))));
    assert!(is_good(&&tuned.record.schedule));
    assert!(bench.runs.iter().all(|(schedule, ..)| is_good(&schedule)));
}

#[test]
fn a_schedule_that_crashes_at_any_time_is_reported_once_and_never_wins() {
    // One in four crashes at its first run, one in four in the middle of a race, one in four in
    // the confirmation at the latest.
    fn hash(schedule: &Schedule) -> u64 {
        let mut hasher = DefaultHasher::new();
        schedule.hash(&mut hasher);
        hasher.finish() / 1_000 % 4
    }
    let space = space();
    let best = *space.iter().find(|schedule| hash(schedule) == 1).expect("one that crashes");
    let default = *space.iter().find(|schedule| hash(schedule) == 3).expect("one that does not");
    let default = default.check(&block(), &narrow()).expect("the space holds legal schedules");
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(best));
    bench.crashes = |schedule, runs| match hash(schedule) {
        0 => true,
        1 => runs >= 4,
        2 => runs >= 12,
        _ => false,
    };
    let options = options(60.0);
    let mut strategy = options.strategy.build(&space, default.schedule(), 0);
    let clock = bench.clock.clone();
    let tuned =
        search(&default, space.summary(), &options, &mut *strategy, &mut bench, &clock, &mut Quiet)
            .expect("a record");
    let tried: HashSet<Schedule> = tuned.trials.iter().map(|trial| trial.schedule).collect();
    assert_eq!(tried.len(), tuned.trials.len());
    assert!(tuned.trials.iter().any(|trial| matches!(trial.outcome, Outcome::Crashed(_))));
    assert_eq!(hash(&tuned.record.schedule), 3, "{:?}", tuned.record);
}

/// A search in which schedules with a pointwise step of four fail when they are verified again, and
/// one of them is the fastest.
fn run_with_refuted_best(
    default: &CheckedSchedule,
) -> (Schedule, Tuned, Vec<Schedule>, Vec<Trial>) {
    #[derive(Default)]
    struct Refuted(Vec<Trial>);
    impl Observer for Refuted {
        fn refuted(&mut self, trial: &Trial, _: &Status) {
            self.0.push(trial.clone());
        }
    }
    let best = *space().iter().find(|schedule| is_refuted(schedule)).expect("one of them");
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(best));
    bench.refuted = is_refuted;
    let (options, clock, mut refuted) = (options(60.0), bench.clock.clone(), Refuted::default());
    let mut strategy = options.strategy.build(&space(), default.schedule(), 0);
    let summary = space().summary().clone();
    let tuned =
        search(default, &summary, &options, &mut *strategy, &mut bench, &clock, &mut refuted)
            .expect("a record");
    (best, tuned, bench.verified_again, refuted.0)
}

fn is_refuted(schedule: &Schedule) -> bool {
    schedule.pointwise.is_some_and(|tile| tile.unroll == 4)
}

#[test]
fn a_winner_that_fails_on_other_data_is_recorded_so_and_the_next_one_taken() {
    let default = *space().iter().find(|schedule| !is_refuted(schedule)).expect("a sound one");
    let default = default.check(&block(), &narrow()).expect("legal");
    let (best, tuned, verified, reported) = run_with_refuted_best(&default);
    let record = &tuned.record;
    assert!(!is_refuted(&record.schedule), "{record:?}");
    assert!(record.runner_up.is_none_or(|second| !is_refuted(&second.schedule)), "{record:?}");
    // Whatever is stored was verified again, and whatever failed says so, and was reported.
    let stored = [Some(record.schedule), record.runner_up.map(|second| second.schedule)];
    assert!(stored.iter().flatten().all(|schedule| verified.contains(schedule)));
    let failed: Vec<&Trial> = tuned.trials.iter().filter(|it| is_wrong(it)).collect();
    assert_eq!(failed.len(), verified.iter().filter(|it| is_refuted(it)).count());
    assert!(failed.iter().any(|trial| trial.schedule == best));
    assert_eq!(reported.len(), failed.len());
    assert!(reported.iter().all(|trial| is_refuted(&trial.schedule) && is_wrong(trial)));
}

fn is_wrong(trial: &Trial) -> bool {
    matches!(trial.outcome, Outcome::Wrong(_))
}

#[test]
fn a_default_that_fails_on_other_data_is_an_error() {
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, |_: &Schedule| 1_000_000);
    bench.refuted = |_| true;
    let options = TuneOptions { max_trials: Some(20), ..options(60.0) };
    let error = run(&mut bench, &options, &mut Quiet).expect_err("nothing is right");
    assert!(matches!(&error, TuneError::Default { outcome: Outcome::Wrong(_), .. }), "{error}");
    assert!(error.to_string().contains("on other data"), "{error}");
}

#[test]
fn a_contaminated_confirmation_is_repeated_and_then_flagged() {
    // The first question begins the watch; one follows each confirmation.
    for (answers, flagged) in [
        (vec![true, false], false),
        (vec![false, true, false], false),
        (vec![false, true, true], true),
    ] {
        let best = space().sample(1, 5)[0];
        let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(best));
        bench.contaminated = answers;
        bench.contaminated.push(true);
        let options = TuneOptions { max_trials: Some(20), ..options(600.0) };
        let tuned = run(&mut bench, &options, &mut Quiet).expect("a record");
        assert_eq!(tuned.record.provenance.contended, flagged);
        assert_eq!(tuned.contaminated.is_some(), flagged);
        assert_eq!(bench.contaminated, [true], "each answer was asked for");
    }
}

#[test]
fn a_busy_search_is_flagged_where_no_time_is_left_to_confirm() {
    for contaminated in [true, false] {
        let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(space().sample(1, 5)[0]));
        bench.contaminated = vec![contaminated, true];
        let tuned = run(&mut bench, &options(0.0), &mut Quiet).expect("a record");
        assert_eq!(tuned.record.provenance.contended, contaminated);
        assert_eq!(bench.contaminated, [true], "nothing was sampled since");
    }
}

#[test]
fn a_plateau_ends_the_search() {
    let flat = |_: &Schedule| 1_000_000;
    let mut bench = FakeBench::new(Noise::default(), 0, flat);
    let flat_options = TuneOptions { plateau: Some(30), ..options(600.0) };
    let tuned = run(&mut bench, &flat_options, &mut Quiet).expect("a record");
    assert_eq!(tuned.stopped, StopReason::Plateau);
    // A race is finished before anybody asks.
    assert!((31..=31 + 2 * 8).contains(&tuned.trials.len()), "{}", tuned.trials.len());

    // Gains put it off.
    let best = space().sample(1, 5)[0];
    let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(best));
    let strategy = StrategyKind::Evolutionary;
    let options = TuneOptions { plateau: Some(30), strategy, ..options(600.0) };
    let tuned = run(&mut bench, &options, &mut Quiet).expect("a record");
    assert_eq!(tuned.stopped, StopReason::Plateau);
    assert!(tuned.trials.len() > 31 + 2 * 8, "{}", tuned.trials.len());
}

#[test]
fn a_resumed_search_repeats_nothing_and_keeps_what_was_best() {
    let best = space().sample(1, 5)[0];
    let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(best));
    let earlier = TuneOptions { max_trials: Some(200), ..options(600.0) };
    let first = run(&mut bench, &earlier, &mut Quiet).expect("a record");

    let mut bench = FakeBench::new(QUIET_MACHINE, 4, landscape(best));
    let resumed = first.trials.clone();
    let later = TuneOptions { max_trials: Some(220), resumed, ..options(600.0) };
    let second = run(&mut bench, &later, &mut Quiet).expect("a record");
    assert_eq!(second.trials.len(), 220);
    let tried: HashSet<Schedule> = second.trials.iter().map(|trial| trial.schedule).collect();
    assert_eq!(tried.len(), 220, "each schedule once");
    let true_ns = landscape(best);
    let slower = 1.02 * true_ns(&first.record.schedule) as f64;
    assert!(true_ns(&second.record.schedule) as f64 <= slower);
    // Only the new ones, the default, and the best of the old ones ran at all.
    let ran: HashSet<Schedule> = bench.runs.iter().map(|(schedule, ..)| *schedule).collect();
    assert!(ran.len() <= 20 + 1 + 3, "{}", ran.len());
}

#[test]
fn schedules_to_try_first_come_first_unless_they_are_illegal() {
    let best = space().sample(1, 5)[0];
    let mut bench = FakeBench::new(QUIET_MACHINE, 3, landscape(best));
    let illegal = Schedule { tile_rows: 999, ..best };
    let first = vec![illegal, best];
    let options = TuneOptions { max_trials: Some(2), first, ..options(600.0) };
    let tuned = run(&mut bench, &options, &mut Quiet).expect("a record");
    assert_eq!(tuned.record.schedule, best);
    assert!(!tuned.trials.iter().any(|trial| trial.schedule == illegal));
}

#[test]
fn a_default_that_fails_is_an_error_with_its_outcome() {
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, |_: &Schedule| 1_000);
    bench.computes_wrong = |_| true;
    let error = run(&mut bench, &options(1.0), &mut Quiet).expect_err("nothing is right");
    assert!(matches!(&error, TuneError::Default { outcome: Outcome::Wrong(_), .. }), "{error}");
    assert!(error.to_string().contains("1 elements were not written"), "{error}");
}

#[test]
fn the_number_of_trials_is_a_limit_that_counts_the_default() {
    for most in [0, 1, 2, 9, 30] {
        let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(space().sample(1, 2)[0]));
        let options = TuneOptions { max_trials: Some(most), ..options(60.0) };
        let tuned = run(&mut bench, &options, &mut Quiet).expect("a record");
        assert_eq!(tuned.trials.len() as u64, most.max(1));
        assert_eq!(tuned.stopped, StopReason::MaxTrials);
    }
}

#[test]
fn a_cancelled_search_keeps_its_best() {
    struct Impatient(u64);
    impl Observer for Impatient {
        fn trial(&mut self, _: &Trial, status: &Status) {
            self.0 = status.trials;
        }
        fn is_cancelled(&mut self) -> bool {
            self.0 >= 20
        }
    }
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(space().sample(1, 2)[0]));
    let tuned = run(&mut bench, &options(60.0), &mut Impatient(0)).expect("a record");
    assert_eq!(tuned.stopped, StopReason::Cancelled);
    assert!((20..40).contains(&tuned.trials.len()));
    let measured = tuned.trials.iter().filter_map(Trial::median_us);
    let fastest = measured.fold(f64::INFINITY, f64::min);
    assert!(tuned.record.measurement.median_us < 1.02 * fastest);
}

#[test]
fn the_observer_sees_the_space_first_and_a_best_that_only_improves() {
    #[derive(Default)]
    struct Log {
        started: bool,
        trials: u64,
        best_us: Option<f64>,
    }
    impl Observer for Log {
        fn started(&mut self, space: &SpaceSummary) {
            assert!(space.size > 0 && self.trials == 0);
            self.started = true;
        }
        fn trial(&mut self, trial: &Trial, status: &Status) {
            assert!(self.started);
            self.trials += 1;
            assert_eq!(status.trials, self.trials);
            assert!(status.best_us <= self.best_us || self.best_us.is_none());
            assert!(status.best_us <= trial.median_us() || trial.median_us().is_none());
            assert_eq!(status.remaining, status.budget.saturating_sub(status.elapsed));
            self.best_us = status.best_us;
        }
    }
    let mut log = Log::default();
    let mut bench = FakeBench::new(QUIET_MACHINE, 0, landscape(space().sample(1, 2)[0]));
    let tuned = run(&mut bench, &options(2.0), &mut log).expect("a record");
    assert_eq!(log.trials, tuned.trials.len() as u64);
}

#[test]
fn a_noisy_machine_gets_a_schedule_close_to_the_best() {
    let shared = Noise {
        jitter: 0.05,
        interruptions: 0.02,
        interruption_ns: 4_000_000,
        drift: 0.01,
        placement: 0.0,
    };
    for seed in 0..3 {
        let best = space().sample(1, seed)[0];
        let true_ns = landscape(best);
        let mut bench = FakeBench::new(shared, seed, true_ns);
        let tuned = run(&mut bench, &options(600.0), &mut Quiet).expect("a record");
        let regret = true_ns(&tuned.record.schedule) as f64 / true_ns(&best) as f64;
        assert!(regret < 1.09, "seed {seed}: {regret}");
    }
}

#[test]
fn zero_threads_are_refused() {
    let options = TuneOptions { threads: 0, ..TuneOptions::default() };
    let refused = dsconv_tuning::tune(&block(), &wide(), &options, &mut Quiet);
    assert!(matches!(refused, Err(TuneError::NoThreads)));
}
