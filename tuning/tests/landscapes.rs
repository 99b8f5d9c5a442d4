//! Strategies on recorded landscapes: how far from the best they are after so many trials.
//!
//! `tests/data/landscapes` holds measured times of whole search spaces, written by
//! `autotune --workload … --strategy exhaustive --budget 10m --record-landscape FILE`.
//! `DSCONV_LANDSCAPES=FOLDER cargo test -p dsconv-tuning --test landscapes -- --nocapture` shows
//! the figures of other recordings.

use std::collections::HashMap;
use std::path::PathBuf;

use dsconv_kernels::{Schedule, cost};
use dsconv_tuning::StrategyKind;
use dsconv_tuning::landscape::Landscape;
use dsconv_tuning::measure::median;

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
    landscape.median_us(first).expect("recorded") / landscape.best_us().expect("recorded")
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
