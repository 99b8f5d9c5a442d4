//! Strategies on recorded landscapes: how far from the best they are after so many trials.
//!
//! `tests/data/landscapes` holds measured times of whole search spaces, written by
//! `autotune --workload … --strategy exhaustive --budget 10m --record-landscape FILE`.
//! `DSCONV_LANDSCAPES=FOLDER cargo test -p dsconv-tuning --test landscapes -- --nocapture` shows
//! the figures of other recordings.

use std::collections::HashMap;
use std::path::PathBuf;

use dsconv_kernels::{Isa, Schedule, Target, cost};
use dsconv_tuning::landscape::Landscape;
use dsconv_tuning::measure::median;
use dsconv_tuning::{Experience, SearchSpace, StrategyKind};

/// Trials in a round, as the driver asks for them.
const BATCH: usize = 8;
const SEEDS: u64 = 3;

fn folder() -> PathBuf {
    match std::env::var_os("DSCONV_LANDSCAPES") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/landscapes"),
    }
}

fn landscapes() -> Vec<(String, Landscape)> {
    let entries = std::fs::read_dir(folder()).expect("the folder of landscapes");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a landscape");
            (name, text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect()
}

/// Regrets of a strategy after so many trials, one for each seed.
fn regrets(landscape: &Landscape, kind: StrategyKind, trials: usize) -> Vec<f64> {
    let space = landscape.space();
    (0..SEEDS)
        .map(|seed| {
            let mut strategy = kind.build(&space, landscape.default_schedule(), seed);
            landscape.regret(&mut *strategy, trials, BATCH)
        })
        .collect()
}

/// Time of the schedule that the estimate ranks first, over the best.
fn regret_of_the_estimate(landscape: &Landscape) -> f64 {
    let space = landscape.space();
    let cycles = |schedule: &Schedule| {
        let checked = schedule.check(landscape.workload(), landscape.target());
        cost::estimate(&checked.expect("spaces hold legal schedules"), space.threads()).cycles()
    };
    let first = space.iter().min_by(|a, b| cycles(a).total_cmp(&cycles(b))).expect("a schedule");
    landscape.time_us(first).expect("recorded") / landscape.best_us().expect("recorded")
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[test]
fn the_model_finds_in_few_trials_what_takes_others_many() {
    let landscapes = landscapes();
    assert!(!landscapes.is_empty());
    let mut after: HashMap<(StrategyKind, usize), Vec<f64>> = HashMap::new();
    for (name, landscape) in &landscapes {
        let best_us = landscape.best_us().expect("a time");
        println!(
            "{name}: {} schedules, best {best_us} us, first by the estimate {:.3}",
            landscape.space().len(),
            regret_of_the_estimate(landscape),
        );
        for kind in StrategyKind::ALL {
            let all = [64, 256].map(|trials| regrets(landscape, kind, trials));
            let [few, many] = &all;
            println!("    {:<13} 64: {:.3}  256: {:.3}", kind.name(), median(few), median(many));
            after.entry((kind, 64)).or_default().push(median(few));
            after.entry((kind, 256)).or_default().push(median(many));
            if kind == StrategyKind::Model {
                assert!(median(few) < 1.08, "{name}: {few:?}");
                assert!(median(many) < 1.03, "{name}: {many:?}");
            }
        }
    }
    let mean = |kind, trials| geometric_mean(&after[&(kind, trials)]);
    for kind in StrategyKind::ALL {
        println!("{:<13} 64: {:.3}  256: {:.3}", kind.name(), mean(kind, 64), mean(kind, 256));
    }
    assert!(mean(StrategyKind::Model, 64) < 1.02);
    for trials in [64, 256] {
        let of_model = mean(StrategyKind::Model, trials);
        assert!(of_model < mean(StrategyKind::Evolutionary, trials));
        assert!(of_model < mean(StrategyKind::Random, trials));
    }
    assert!(mean(StrategyKind::Evolutionary, 256) < mean(StrategyKind::Random, 256));
}

/// Trials until within 2 % of the best, summed over seeds.
fn trials_needed(landscape: &Landscape, experience: &Experience) -> usize {
    let (space, default) = (landscape.space(), landscape.default_schedule());
    let learned = experience.of(landscape.workload().layout(), space.threads());
    (0..4 * SEEDS)
        .map(|seed| {
            let mut strategy = StrategyKind::Model.build_from(&space, default, seed, &learned);
            landscape.trials_until(&mut *strategy, 1.02, BATCH).expect("the best is in the space")
        })
        .sum()
}

/// What a batch of landscapes teaches, each searched as far as `--effort normal` goes at least.
fn taught_by<'a>(landscapes: impl Iterator<Item = &'a Landscape>) -> Experience {
    let mut experience = Experience::default();
    for landscape in landscapes {
        let (space, default) = (landscape.space(), landscape.default_schedule());
        let layout = landscape.workload().layout();
        let learned = experience.of(layout, space.threads());
        let mut strategy = StrategyKind::Model.build_from(&space, default, 0, &learned);
        landscape.regret(&mut *strategy, 300, BATCH);
        experience.keep(layout, space.threads(), strategy.learned());
    }
    experience
}

/// Trials on each landscape, alone and after all the others of its machine.
fn savings(landscapes: &[(String, Landscape)]) -> Vec<[usize; 2]> {
    let of = |(name, landscape): &(String, Landscape)| {
        let is_other = |other: &&(String, Landscape)| other.0 != *name;
        let is_here = |other: &&(String, Landscape)| other.1.target() == landscape.target();
        let others = landscapes.iter().filter(is_other).filter(is_here);
        let experience = taught_by(others.map(|(_, landscape)| landscape));
        let alone = trials_needed(landscape, &Experience::default());
        let taught = trials_needed(landscape, &experience);
        println!("{name}: {alone} trials alone, {taught} after the others");
        [alone, taught]
    };
    landscapes.iter().map(of).collect()
}

/// Blocks on which the estimate is off by up to 40 % for some choices, by the same on all of them,
/// and by up to 3 % for each schedule by itself.
fn landscapes_with_errors_in_common() -> Vec<(String, Landscape)> {
    let part = |text: &str| {
        // FNV-1a: the same in every build.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash >> 40) as f64 / f64::from(1 << 24)
    };
    ["1x256x28x28", "1x512x14x14", "1x128x56x56", "1x384x14x14"]
        .map(|shape| {
            let line = format!("f32 nchw {shape} dw:3x3,p1,bias,relu pw:128,bias,relu");
            let (workload, target) = (line.parse().expect("a workload"), Target::of(Isa::Avx512));
            let space = SearchSpace::new(&workload, &target, 1);
            let default = *cost::default_schedule(&workload, &target, 1).schedule();
            let mut schedules = space.sample(1_500, 5);
            schedules.retain(|schedule| *schedule != default);
            schedules.push(default);
            let times: Vec<(Schedule, f64)> = schedules
                .into_iter()
                .map(|schedule| {
                    let Schedule { family, fusion, depthwise, pointwise, .. } = schedule;
                    let (dw, pw) = (depthwise.expect("a tile"), pointwise.expect("a tile"));
                    let choices = [
                        format!("{family} {fusion}"),
                        format!("{family} {} {}", dw.taps, dw.window),
                        format!("{family} {} {}", pw.broadcasts, pw.vectors),
                    ];
                    let error: f64 = choices.iter().map(|choice| 0.4 * part(choice)).sum();
                    let own = 0.03 * part(&format!("{shape} {schedule}"));
                    let checked = schedule.check(&workload, &target).expect("a legal schedule");
                    let cycles = cost::estimate(&checked, 1).cycles();
                    (schedule, cycles * (error + own).exp())
                })
                .collect();
            (shape.to_owned(), Landscape::new(&workload, &target, 1, default, &times))
        })
        .into()
}

#[test]
fn errors_that_workloads_have_in_common_are_learned_once() {
    let savings = savings(&landscapes_with_errors_in_common());
    assert!(savings.iter().all(|[alone, taught]| taught <= alone), "{savings:?}");
    let [alone, taught] = [0, 1].map(|which| savings.iter().map(|it| it[which]).sum::<usize>());
    assert!(3 * taught < 2 * alone, "{savings:?}");
}

#[test]
fn what_recorded_workloads_teach_costs_no_trials_on_the_others() {
    let savings = savings(&landscapes());
    let ratios: Vec<f64> =
        savings.iter().map(|[alone, taught]| *taught as f64 / *alone as f64).collect();
    println!("after the others, on average {:.3} of the trials", geometric_mean(&ratios));
    // A seed that finds the best late counts for many: lengths of the earlier searches between 64
    // and 300 trials give means from 0.8 to 1.1.
    assert!(geometric_mean(&ratios) < 1.1, "{savings:?}");
}

#[test]
fn what_is_no_sum_of_effects_is_found_by_a_step_from_the_best() {
    for (name, landscape) in landscapes_with_errors_in_common() {
        let (space, default) = (landscape.space(), *landscape.default_schedule());
        let time_us = |schedule: &Schedule| landscape.time_us(schedule).expect("recorded");
        let best = *space.iter().min_by(|a, b| time_us(a).total_cmp(&time_us(b))).expect("some");
        // A step to where the sum of effects is worst leads to a tenth less.
        let neighbours = space.neighbours(&best);
        let surprise = neighbours
            .iter()
            .filter(|schedule| **schedule != default)
            .max_by(|a, b| time_us(a).total_cmp(&time_us(b)))
            .expect("a neighbour");
        let times: Vec<(Schedule, f64)> = space
            .iter()
            .map(|it| (*it, if it == surprise { 0.9 * time_us(&best) } else { time_us(it) }))
            .collect();
        let (workload, target) = (landscape.workload(), landscape.target());
        let surprising = Landscape::new(workload, target, space.threads(), default, &times);
        let trials: Vec<usize> = (0..SEEDS)
            .map(|seed| {
                let mut strategy = StrategyKind::Model.build(&space, &default, seed);
                surprising.trials_until(&mut *strategy, 1.0, BATCH).expect("it is in the space")
            })
            .collect();
        println!("{name}: {trials:?} trials, {} neighbours", neighbours.len());
        assert!(trials.iter().all(|trials| *trials < 200), "{name}: {trials:?}");
    }
}

#[test]
fn with_trials_enough_every_strategy_finds_the_best() {
    let (name, landscape) = landscapes().swap_remove(0);
    let space = landscape.space();
    for kind in StrategyKind::ALL {
        let mut strategy = kind.build(&space, landscape.default_schedule(), 1);
        let regret = landscape.regret(&mut *strategy, space.len(), 256);
        assert_eq!(regret, 1.0, "{name}: {kind}");
        assert!(strategy.propose(1).is_empty(), "{kind} has more to propose");
    }
}

#[test]
fn one_seed_is_one_search() {
    let (_, landscape) = landscapes().swap_remove(0);
    let space = landscape.space();
    for kind in [StrategyKind::Model, StrategyKind::Evolutionary] {
        let proposals = |seed: u64| {
            let mut strategy = kind.build(&space, landscape.default_schedule(), seed);
            landscape.regret(&mut *strategy, 40, BATCH);
            strategy.propose(BATCH)
        };
        assert_eq!(proposals(1), proposals(1), "{kind}");
        assert_ne!(proposals(1), proposals(2), "{kind}");
    }
}
