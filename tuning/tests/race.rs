//! Races on a synthetic clock: who wins and who leaves, under noise, interruptions and drift.

mod synthetic;

use dsconv_kernels::Schedule;
use dsconv_tuning::measure::Clock;
use dsconv_tuning::race::{Contender, FULL_ROUNDS, LEAST_ROUNDS, MOST_ROUNDS, RACE_SAMPLES, Race};
use dsconv_tuning::timings::GROUP;
use synthetic::{FakeBench, Noise, checked, schedules};

const FOREVER: u64 = u64::MAX;

/// Schedules whose true time is `times[i]` for the `i`-th.
fn timed(times: &[u64]) -> (Vec<Schedule>, impl Fn(&Schedule) -> u64 + use<>) {
    let all = schedules(times.len());
    assert_eq!(all.len(), times.len());
    let (keys, times) = (all.clone(), times.to_vec());
    (all, move |schedule: &Schedule| {
        times[keys.iter().position(|key| key == schedule).expect("a known schedule")]
    })
}

fn order<K>(contenders: &[Contender<K>]) -> Vec<Schedule> {
    contenders.iter().map(|contender| contender.schedule).collect()
}

#[test]
fn the_fastest_wins_on_a_noisy_machine() {
    let shared = Noise {
        jitter: 0.04,
        interruptions: 0.002,
        interruption_ns: 4_000_000,
        ..Noise::default()
    };
    for seed in 0..50 {
        // 5 % apart, between 100 us and 260 us, in an order that the seed shuffles.
        let mut times: Vec<u64> = (0..20).map(|i| (100_000.0 * 1.05_f64.powi(i)) as u64).collect();
        times.rotate_left(seed as usize % 20);
        let (all, true_ns) = timed(&times);
        let fastest = all[times.iter().enumerate().min_by_key(|(_, ns)| **ns).unwrap().0];
        let mut bench = FakeBench::new(shared, seed, true_ns);
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for schedule in all {
            race.enter(schedule, schedule);
        }
        race.run();
        let lost = race.keep_best(3);
        assert!(lost.iter().all(|lost| lost.schedule != fastest), "seed {seed}");
        assert_eq!(race.confirm()[0].schedule, fastest, "seed {seed}");
    }
}

#[test]
fn drift_that_exceeds_the_difference_does_not_change_the_winner() {
    // Within the confirmation alone the machine slows down by more than the 3 % in question.
    let slowing = Noise { drift: 40.0, ..Noise::default() };
    for reversed in [false, true] {
        let times = if reversed { [103_000, 100_000] } else { [100_000, 103_000] };
        let (all, true_ns) = timed(&times);
        let mut bench = FakeBench::new(slowing, 0, true_ns);
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for &schedule in &all {
            race.enter(schedule, schedule);
        }
        let start = clock.now_ns();
        let winner = race.confirm()[0].schedule;
        assert!((clock.now_ns() - start) as f64 / 1e9 * slowing.drift > 0.1);
        assert_eq!(winner, all[usize::from(reversed)]);
    }
}

#[test]
fn a_hopeless_run_is_not_sampled() {
    let (all, true_ns) = timed(&[2_000_000, 240_000_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    assert!(race.enter(all[0], all[0]).is_none());
    let dropped = race.enter(all[1], all[1]).expect("120 times slower");
    assert_eq!(dropped.measurement().samples, 1);
    assert_eq!(bench.runs_of(&all[1]), 1);
}

#[test]
fn a_sample_of_more_than_one_and_a_half_times_the_best_ends_a_race() {
    let (all, true_ns) = timed(&[100_000, 160_000, 140_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    assert!(race.enter(all[0], all[0]).is_none());
    assert!(race.enter(all[1], all[1]).is_some());
    assert!(race.enter(all[2], all[2]).is_none());
    assert_eq!(order(&race.run()), [all[2]]);
    assert_eq!(order(race.running()), [all[0]]);
    // One run to warm up, one sample.
    assert_eq!(bench.runs_of(&all[1]), 2);
    assert!(bench.runs_of(&all[2]) < 2 + RACE_SAMPLES);
    assert_eq!(bench.runs_of(&all[0]), 2 + RACE_SAMPLES);
}

#[test]
fn a_long_run_is_its_own_sample() {
    let (all, true_ns) = timed(&[30_000_000, 31_000_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        assert!(race.enter(schedule, schedule).is_none());
    }
    assert_eq!(race.running()[1].measurement().median_us, 31_000.0);
    assert_eq!(bench.runs_of(&all[1]), 1);
}

#[test]
fn an_interruption_alone_does_not_eliminate_the_fastest() {
    // One in five samples is interrupted for 40 times its length.
    let busy = Noise { interruptions: 0.2, interruption_ns: 4_000_000, ..Noise::default() };
    let mut eliminated = 0;
    for seed in 0..200 {
        let (all, true_ns) = timed(&[110_000, 100_000]);
        let mut bench = FakeBench::new(busy, seed, true_ns);
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        race.enter(all[0], all[0]);
        let lost = race.enter(all[1], all[1]).into_iter().chain(race.run());
        eliminated += lost.filter(|lost| lost.schedule == all[1]).count();
    }
    // It takes two in a row, in one schedule's first looks, while the other's were quiet.
    assert!(eliminated <= 200 / 20, "{eliminated} of 200");
}

#[test]
fn a_short_kernel_runs_several_times_per_sample() {
    let (all, true_ns) = timed(&[900]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    race.enter(all[0], all[0]);
    let before = clock.now_ns();
    race.run();
    let sample_ns = (clock.now_ns() - before) / RACE_SAMPLES as u64;
    assert!((50_000..51_000).contains(&sample_ns), "{sample_ns}");
    let measurement = race.running()[0].measurement();
    assert!((measurement.median_us - 0.9).abs() < 1e-9, "{measurement:?}");
}

#[test]
fn a_bench_with_cold_caches_runs_once_per_sample() {
    let (all, true_ns) = timed(&[900]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    bench.repeatable = false;
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    race.enter(all[0], all[0]);
    race.run();
    assert_eq!(bench.runs.len(), 2 + RACE_SAMPLES);
}

#[test]
fn a_long_run_is_a_sample_unless_it_costs_a_candidate_its_place() {
    let (all, true_ns) = timed(&[100_000, 101_000, 160_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    assert!(race.enter(all[0], all[0]).is_none());
    assert!(race.enter(all[1], all[1]).is_none());
    assert!(race.enter(all[2], all[2]).is_some());
    // Nothing is known to believe the first by; the last one is slow.
    assert_eq!([0, 1, 2].map(|it| bench.runs_of(&all[it])), [2, 1, 2]);
}

#[test]
fn the_confirmation_forgets_the_lucky_sample_of_a_race() {
    let (all, true_ns) = timed(&[100_000, 101_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        race.enter(schedule, schedule);
    }
    race.run();
    let ranking = race.confirm();
    assert_eq!(order(ranking), all);
    assert_eq!(samples(ranking), [LEAST_ROUNDS; 2]);
    let runs: Vec<Schedule> = bench.runs.iter().map(|(schedule, ..)| *schedule).collect();
    for pair in runs[runs.len() - 2 * LEAST_ROUNDS..].chunks(2) {
        assert_ne!(pair[0], pair[1], "the two take turns");
    }
}

#[test]
fn who_is_certainly_behind_runs_no_more() {
    let (all, true_ns) = timed(&[100_000, 100_000, 103_000]);
    let mut bench = FakeBench::new(Noise { jitter: 0.03, ..Noise::default() }, 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        race.enter(schedule, schedule);
    }
    let ranking = race.confirm();
    assert_eq!(ranking[2].schedule, all[2]);
    let [first, second, last] = samples(ranking)[..] else { panic!("three") };
    assert!(first == second && first > LEAST_ROUNDS, "two that are equal take long: {first}");
    assert!((LEAST_ROUNDS..first).contains(&last), "{last} of {first}");
}

#[test]
fn of_many_only_the_first_few_are_sampled_for_long() {
    let times: Vec<u64> = (0..48).map(|i| 100_000 + 500 * i).collect();
    let (all, true_ns) = timed(&times);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in all.iter().rev() {
        race.enter(schedule, schedule);
    }
    let ranking = race.confirm();
    assert_eq!(ranking[0].schedule, all[0]);
    let samples = samples(ranking);
    let with = |count: usize| samples.iter().filter(|&&samples| samples == count).count();
    let counts = [2 * GROUP, 4 * GROUP, LEAST_ROUNDS].map(with);
    assert_eq!(counts, [16, 16, 16], "{samples:?}");
}

#[test]
fn in_little_time_few_are_sampled_for_long_but_half_stay_after_a_group() {
    // A tenth of a percent apart; 48 rounds of all would take 200 ms.
    let times: Vec<u64> = (0..40).map(|i| 100_000 + 100 * i).collect();
    let (all, true_ns) = timed(&times);
    let noise = Noise { jitter: 0.01, ..Noise::default() };
    let mut bench = FakeBench::new(noise, 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        assert!(race.enter(schedule, schedule).is_none());
    }
    race.set_until(clock.now_ns() + (FULL_ROUNDS * all.len()) as u64 * 100_000);
    race.confirm();
    let samples = samples(race.running());
    let with_more_than = |groups: usize| samples.iter().filter(|it| **it > groups * GROUP).count();
    assert_eq!([1, 2].map(with_more_than), [20, 10], "{samples:?}");
    assert!(race.is_over());
    assert!(samples[0] >= LEAST_ROUNDS - GROUP, "{samples:?}");
    assert!(samples.iter().all(|samples| *samples >= GROUP), "{samples:?}");
}

#[test]
fn a_confirmation_that_time_ends_beside_neighbours_says_so() {
    // Every group has a quiet sample, so they alone tell nothing.
    let contamination = |alone: fn(usize, bool) -> f64, rounds: usize| {
        let (all, true_ns) = timed(&[100_000, 101_000, 102_000]);
        let noise = Noise { jitter: 0.01, ..Noise::default() };
        let mut bench = FakeBench::new(noise, 0, true_ns);
        bench.alone = alone;
        bench.beside = all.iter().map(|schedule| (*schedule, 1.1)).collect();
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for &schedule in &all {
            race.enter(schedule, schedule);
        }
        race.set_until(clock.now_ns() + (rounds * all.len()) as u64 * 100_000);
        race.confirm();
        race.contamination()
    };
    let shared = |_, may_wait| if may_wait { 1.0 } else { 0.4 };
    let reason = contamination(shared, 20).expect("too few quiet samples");
    assert!(
        reason.ends_with("samples waited for a core or shared one, and time ran out"),
        "{reason}"
    );
    assert_eq!(contamination(|_, _| 1.0, 20), None);
    assert_eq!(contamination(shared, 10 * MOST_ROUNDS), None);
}

#[test]
fn who_led_a_race_remains_close_unless_it_loses_another_by_far() {
    let (all, true_ns) = timed(&[100_000, 103_000, 130_000]);
    for (disturbed_ns, expected) in [(10_000, Some(1.0)), (40_000, Some(1.0)), (50_000, None)] {
        let is_disturbed = std::cell::Cell::new(false);
        let by_mood = |schedule: &Schedule| {
            let is_slower = is_disturbed.get() && *schedule == all[0];
            true_ns(schedule) + if is_slower { disturbed_ns } else { 0 }
        };
        let mut bench = FakeBench::new(Noise::default(), 0, by_mood);
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for &schedule in &all[..2] {
            race.enter(schedule, schedule);
        }
        assert!(race.run().is_empty());
        race.mark_incumbents();
        is_disturbed.set(true);
        race.enter(all[2], all[2]);
        let lost: Vec<_> = race.run().into_iter().chain(race.keep_best(1)).collect();
        let closeness = |schedule| {
            let contender = lost.iter().find(|it| it.schedule == schedule).expect("it lost");
            contender.closeness()
        };
        assert_eq!(closeness(all[0]), expected);
        assert_eq!(closeness(all[2]), None, "that is slower than noise explains");
    }
}

/// In how many of 100 races of eight the fastest loses its last chance to win, being faster than any other
/// by 5 %.
fn lost(disturb: impl Fn(&mut Bench2)) -> usize {
    let is_lost = |seed: &u64| {
        let mut times = [105_000; 8];
        let place = (*seed % 8) as usize;
        times[place] = 100_000;
        let (all, true_ns) = timed(&times);
        let mut bench = FakeBench::new(Noise::default(), *seed, Box::new(true_ns) as Box<_>);
        disturb(&mut bench);
        bench.beside = all.iter().map(|schedule| (*schedule, 1.1)).collect();
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        let mut lost = Vec::new();
        for schedule in &all {
            let kernel = race.prepare(&checked(schedule)).expect("it does not fail");
            lost.extend(race.enter(*schedule, kernel));
        }
        lost.extend(race.run());
        lost.extend(race.keep_best(1));
        lost.iter().any(|it| it.schedule == all[place] && it.closeness().is_none())
    };
    (0..100).filter(is_lost).count()
}

#[test]
fn a_bad_place_in_memory_ends_few_races() {
    let [stayed, moved] = [false, true].map(|moves| {
        lost(|bench| {
            bench.noise = Noise { placement: 0.4, ..Noise::default() };
            bench.moves = moves;
        })
    });
    println!("of 100 were lost {stayed} that stayed, {moved} that moved");
    assert!(stayed > 25, "{stayed}: the noise is too small to tell anything");
    assert!(moved < 12, "{moved}");
}

#[test]
fn an_interruption_in_what_seems_a_quiet_moment_ends_few_races() {
    // It takes two in a row, and three of ten samples are interrupted.
    let lost = lost(|bench| {
        bench.noise = Noise { interruptions: 0.3, interruption_ns: 300_000, ..Noise::default() };
        bench.alone = |_, may_wait| if may_wait { 0.9 } else { 0.05 };
    });
    assert!(lost < 15, "{lost}");
}

#[test]
fn an_incumbent_gets_other_memory_for_each_race() {
    let (all, true_ns) = timed(&[100_000, 101_000]);
    let mut bench = FakeBench::new(Noise { placement: 0.05, ..Noise::default() }, 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    let mut times_us = Vec::new();
    race.enter(all[0], all[0]);
    for _ in 0..3 {
        race.mark_incumbents();
        race.run();
        times_us.push(race.running()[0].measurement().min_us);
    }
    times_us.dedup();
    assert_eq!(times_us.len(), 3, "{times_us:?}");
}

#[test]
fn a_comparison_lasts_as_long_as_was_asked_and_samples_all_alike() {
    let (all, true_ns) = timed(&[100_000, 140_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        race.enter(schedule, schedule);
    }
    for within_ns in [0, 1_000_000_000] {
        let start_ns = clock.now_ns();
        let ratios = race.compare(within_ns);
        assert_eq!(ratios.iter().map(|it| it.0).collect::<Vec<_>>(), all);
        assert!((ratios[1].1 - 1.4).abs() < 0.01, "{ratios:?}");
        assert!(clock.now_ns() - start_ns >= within_ns);
        let samples = samples(race.running());
        assert_eq!(samples[0], samples[1]);
        let least = if within_ns == 0 { LEAST_ROUNDS } else { MOST_ROUNDS + 1 };
        assert!(samples[0] >= least, "{samples:?}");
    }
}

#[test]
fn what_samples_cost_beside_their_length_is_known() {
    let (all, true_ns) = timed(&[100_000, 100_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    bench.gather_ns = 300_000;
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        assert!(race.enter(schedule, schedule).is_none());
    }
    assert_eq!(race.overhead(), 4.0);
}

fn samples<K>(contenders: &[Contender<K>]) -> Vec<usize> {
    contenders.iter().map(|contender| contender.measurement().samples as usize).collect()
}

#[test]
fn no_run_starts_after_the_end() {
    for end_ns in [0, 150_000, 1_000_000, 3_333_333] {
        let (all, true_ns) = timed(&[100_000, 101_000, 102_000, 103_000]);
        let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, end_ns);
        for &schedule in &all {
            if !race.is_over() {
                race.enter(schedule, schedule);
            }
        }
        race.run();
        race.confirm();
        assert!(bench.runs.iter().all(|&(_, start_ns, _)| start_ns < end_ns), "{end_ns}");
        assert!(clock.now_ns() <= end_ns + 103_000);
    }
}

#[test]
fn contenders_without_a_fresh_sample_keep_their_old_ones() {
    let (all, true_ns) = timed(&[100_000, 101_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        race.enter(schedule, schedule);
    }
    race.set_until(clock.now_ns());
    let ranking = race.confirm();
    assert_eq!(order(ranking), all);
    assert!(ranking.iter().all(|contender| contender.measurement().samples == 1));
}

/// How often the slower of two schedules wins, and the geometric mean of the winner's true time
/// over the better one's, over many races with noise of their own.
fn flips_and_regret(percent_apart: f64, disturb: impl Fn(&mut Bench2)) -> (f64, f64) {
    const RACES: u64 = 300;
    let slower = (100_000.0 * (1.0 + percent_apart / 100.0)) as u64;
    let mut flips = 0;
    for seed in 0..RACES {
        let is_first = seed.is_multiple_of(2);
        let times = if is_first { [100_000, slower] } else { [slower, 100_000] };
        let (all, true_ns) = timed(&times);
        let true_ns: Box<dyn Fn(&Schedule) -> u64> = Box::new(true_ns);
        let mut bench = FakeBench::new(Noise::default(), seed, true_ns);
        disturb(&mut bench);
        let clock = bench.clock.clone();
        // Each race begins at another moment of whatever comes and goes.
        clock.advance(seed * 7_300_000);
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        let mut lost = Vec::new();
        for &schedule in &all {
            lost.extend(race.enter(schedule, schedule));
        }
        lost.extend(race.run());
        // As in a search, whoever is out is out.
        let winner = race.confirm()[0].schedule;
        flips += u64::from(winner != all[usize::from(!is_first)]);
    }
    let rate = flips as f64 / RACES as f64;
    (rate, (1.0 + percent_apart / 100.0).powf(rate))
}

type Bench2 = FakeBench<Box<dyn Fn(&Schedule) -> u64>>;

#[test]
fn outliers_flip_few_winners() {
    // One run in ten is interrupted for forty times its length.
    let outliers =
        Noise { jitter: 0.02, interruptions: 0.1, interruption_ns: 4_000_000, ..Noise::default() };
    let (rate, regret) = flips_and_regret(2.0, |bench| bench.noise = outliers);
    assert!(rate < 0.05 && regret < 1.001, "{rate} {regret}");
}

#[test]
fn drift_flips_few_winners() {
    // 30 % slower after each second: a race takes some 10 ms.
    let drifting = Noise { jitter: 0.02, drift: 0.3, ..Noise::default() };
    let (rate, regret) = flips_and_regret(2.0, |bench| bench.noise = drifting);
    assert!(rate < 0.03 && regret < 1.001, "{rate} {regret}");
}

#[test]
fn two_speeds_flip_few_winners() {
    // The core is a third slower half of the time, for a few samples or for whole races.
    for lasts_ns in [1_000_000, 30_000_000] {
        let (rate, regret) = flips_and_regret(2.0, |bench| {
            bench.noise = Noise { jitter: 0.01, ..Noise::default() };
            bench.second_speed = Some((1.33, lasts_ns));
        });
        assert!(rate < 0.15 && regret < 1.003, "{lasts_ns}: {rate} {regret}");
    }
}

#[test]
fn what_noise_cannot_tell_apart_costs_next_to_nothing() {
    let noisy = Noise { jitter: 0.05, ..Noise::default() };
    let (rate, regret) = flips_and_regret(0.2, |bench| bench.noise = noisy);
    assert!(rate <= 0.6 && regret < 1.002, "{rate} {regret}");
    let (rate, _) = flips_and_regret(5.0, |bench| bench.noise = noisy);
    assert!(rate < 0.02, "{rate}");
}

#[test]
fn nobody_wins_by_the_memory_that_it_happens_to_have() {
    // Pages decide on up to 6 %, the schedules differ by 2 %.
    let pages = Noise { jitter: 0.005, placement: 0.06, ..Noise::default() };
    let mut flips = [0; 2];
    for seed in 0..200 {
        for (moves, flips) in [false, true].into_iter().zip(&mut flips) {
            let (all, true_ns) = timed(&[102_000, 100_000]);
            let mut bench = FakeBench::new(pages, seed, true_ns);
            bench.moves = moves;
            let clock = bench.clock.clone();
            let mut race = Race::new(&mut bench, &clock, FOREVER);
            for &schedule in &all {
                let kernel = race.prepare(&checked(&schedule)).expect("it does not fail");
                assert!(race.enter(schedule, kernel).is_none());
            }
            *flips += usize::from(race.confirm()[0].schedule != all[1]);
        }
    }
    let [stayed, moved] = flips;
    println!("of 200 winners flipped {stayed} that stayed, {moved} that moved");
    assert!(stayed > 25, "{stayed}: the noise is too small to tell anything");
    assert!(moved < 15, "{moved}");
}

/// How often of a hundred times the second of two schedules wins, which is slower, but preferred,
/// where there is time for so many rounds.
fn preferred(times: [u64; 2], noise: Noise, rounds: u64) -> usize {
    let wins = |seed: u64| {
        let (all, true_ns) = timed(&times);
        let mut bench = FakeBench::new(noise, seed, true_ns);
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for &schedule in &all {
            assert!(race.enter(schedule, schedule).is_none());
        }
        race.set_until(clock.now_ns().saturating_add(rounds.saturating_mul(2 * times[1])));
        race.confirm();
        race.prefer(|schedule| if *schedule == all[1] { 1.0 } else { 2.0 });
        usize::from(race.running()[0].schedule == all[1])
    };
    (0..100).map(wins).sum()
}

#[test]
fn of_those_that_noise_cannot_tell_apart_the_preferred_one_wins() {
    let noisy = Noise { jitter: 0.03, placement: 0.02, ..Noise::default() };
    let equal = preferred([100_000, 100_000], noisy, FOREVER);
    assert!(equal >= 95, "{equal}");
    let clearly_slower = preferred([100_000, 104_000], noisy, FOREVER);
    assert!(clearly_slower <= 5, "{clearly_slower}");
}

#[test]
fn what_more_rounds_can_tell_apart_is_no_tie() {
    let quiet = Noise { jitter: 0.01, placement: 0.01, ..Noise::default() };
    let slower = preferred([100_000, 101_000], quiet, FOREVER);
    assert!(slower <= 10, "{slower}");
}

#[test]
fn few_rounds_that_agree_are_no_tie() {
    let quiet = Noise { jitter: 0.005, ..Noise::default() };
    let slower = preferred([30_000_000, 31_000_000], quiet, 12);
    assert!(slower <= 5, "{slower}");
    let noisy = Noise { jitter: 0.1, ..Noise::default() };
    // By chance it would be half.
    let equal = preferred([30_000_000, 30_000_000], noisy, 12);
    assert!(equal >= 75, "{equal}");
}

#[test]
fn a_neighbour_on_the_core_does_not_choose_the_winner() {
    // Who is faster by 2 % while the core is free is slower by 5 % beside a neighbour, which is there for
    // nineteen samples of twenty, or eleven where they may wait.
    for seed in 0..50 {
        let (all, true_ns) = timed(&[102_000, 100_000, 103_000, 120_000]);
        let noise = Noise { jitter: 0.005, ..Noise::default() };
        let mut bench = FakeBench::new(noise, seed, true_ns);
        bench.beside = all.iter().copied().zip([1.35, 1.45, 1.35, 1.35]).collect();
        bench.alone = |_, may_wait| if may_wait { 0.45 } else { 0.05 };
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for &schedule in &all {
            if let Some(slow) = race.enter(schedule, schedule) {
                race.readmit(slow);
            }
        }
        assert_eq!(race.confirm()[0].schedule, all[1], "seed {seed}");
        let measurement = race.running()[0].measurement();
        assert!((measurement.median_us - 100.0).abs() < 0.5, "seed {seed}: {measurement:?}");
        assert_eq!(race.contamination(), None, "seed {seed}");
    }
}

#[test]
fn a_core_that_is_never_free_is_told() {
    let (all, true_ns) = timed(&[100_000, 104_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    bench.beside = all.iter().map(|schedule| (*schedule, 1.4)).collect();
    bench.alone = |_, _| 0.0;
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for &schedule in &all {
        race.enter(schedule, schedule);
    }
    race.contamination();
    assert_eq!(race.confirm()[0].schedule, all[0]);
    assert_eq!(race.running()[0].measurement().median_us, 140.0);
    let reason = race.contamination().expect("no sample was quiet");
    assert!(reason.contains("shared"), "{reason}");
    assert_eq!(race.contamination(), None);
}

#[test]
fn a_slow_first_look_in_a_quiet_moment_ends_no_race() {
    // The caches are cold; then a neighbour comes to stay, and runs are faster all the same.
    let (all, true_ns) = timed(&[500_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    bench.beside = all.iter().map(|schedule| (*schedule, 0.3)).collect();
    bench.alone = |runs, _| if runs < 2 { 1.0 } else { 0.0 };
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    assert!(race.enter(all[0], all[0]).is_none());
    assert_eq!(order(&race.run()), []);
    assert_eq!(race.running()[0].measurement().median_us, 150.0);
}

#[test]
fn times_beside_a_neighbour_are_told_as_if_it_were_quiet() {
    let (all, true_ns) = timed(&[100_000, 90_000, 94_000]);
    let mut bench = FakeBench::new(Noise::default(), 0, true_ns);
    bench.beside = all.iter().map(|schedule| (*schedule, 1.5)).collect();
    // The neighbour comes in the middle of the first race, and stays.
    bench.alone = |runs, _| if runs < 5 { 1.0 } else { 0.0 };
    let clock = bench.clock.clone();
    let mut race = Race::new(&mut bench, &clock, FOREVER);
    for (&schedule, [us, quiet_us]) in
        all.iter().zip([[100.0, 100.0], [135.0, 90.0], [141.0, 94.0]])
    {
        assert!(race.enter(schedule, schedule).is_none());
        assert_eq!(order(&race.run()), []);
        race.mark_incumbents();
        let contender = race.running().iter().find(|it| it.schedule == schedule).unwrap();
        let as_if_quiet = *contender.trial_as_if_quiet().measurement().unwrap();
        assert_eq!(contender.measurement().median_us, us);
        assert!((as_if_quiet.median_us - quiet_us).abs() < 1e-9, "{as_if_quiet:?}");
    }
}

#[test]
fn who_led_in_quiet_does_not_lose_it_beside_a_neighbour() {
    // The second one is slower by 4 % while the core is free, and faster by 15 % beside a neighbour.
    let (all, true_ns) = timed(&[100_000, 104_000]);
    let closeness = |alone: fn(usize, bool) -> f64, beside: f64| {
        let mut bench = FakeBench::new(Noise::default(), 0, &true_ns);
        bench.beside = [(all[0], beside), (all[1], 1.2)].into();
        bench.alone = alone;
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        race.enter(all[0], all[0]);
        race.run();
        race.enter(all[1], all[1]);
        race.run();
        race.mark_incumbents();
        race.run();
        let first = race.running().iter().find(|it| it.schedule == all[0]);
        first.expect("an incumbent").closeness()
    };
    assert_eq!(closeness(|_, _| 1.0, 1.45), Some(1.0));
    assert_eq!(closeness(|runs, _| if runs < 18 { 1.0 } else { 0.0 }, 1.45), Some(1.0));
    // By more than a neighbour explains.
    assert_eq!(closeness(|runs, _| if runs < 18 { 1.0 } else { 0.0 }, 1.8), None);
}

#[test]
fn who_is_slowest_beside_a_neighbour_wins_if_it_is_the_fastest_alone() {
    // The neighbour leaves the core alone for a sample in eight, and for one in three that wait for it.
    let is_lost = |seed: &u64| {
        let mut times = vec![106_000; 90];
        let place = (*seed % 90) as usize;
        times[place] = 100_000;
        let (all, true_ns) = timed(&times);
        let mut bench = FakeBench::new(Noise::default(), *seed, true_ns);
        bench.beside = all.iter().map(|schedule| (*schedule, 1.25)).collect();
        bench.beside.insert(all[place], 1.5);
        bench.alone = |_, may_wait| if may_wait { 0.33 } else { 0.12 };
        let clock = bench.clock.clone();
        let mut race = Race::new(&mut bench, &clock, FOREVER);
        for &schedule in &all {
            let lost = race.enter(schedule, schedule);
            lost.into_iter().for_each(|lost| race.readmit(lost));
        }
        race.confirm()[0].schedule != all[place]
    };
    let lost = (0..100).filter(is_lost).count();
    println!("{lost} of 100 confirmations were lost");
    assert!(lost < 10, "{lost}");
}
