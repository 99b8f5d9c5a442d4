//! How good and how quick tuning is on this machine, in figures.
//!
//! ```sh
//! cargo run --release -p dsconv-tuning --example figures                      # all blocks
//! cargo run --release -p dsconv-tuning --example figures -- mbv2 effl0_5x5_7  # some of them
//! cargo run --release -p dsconv-tuning --example figures -- --exhaustive      # against all schedules
//! cargo run --release -p dsconv-tuning --example figures -- --threads 2 --layout nhwc
//! cargo run --release -p dsconv-tuning --example figures -- --winners         # who won each run
//! ```
//!
//! Each block of `benches/blocks.toml` is tuned three times with normal effort and other seeds (and
//! once exhaustively, if asked for). Then all that were ever the best of a run meet the winners and
//! the untuned default side by side: what a schedule costs here is its median there. The winners meet
//! once more by themselves, with many more samples of each, and regret is what that says; how far the
//! two comparisons disagree tells how much of a regret is this machine's noise. To see what a busy
//! machine does to it, keep a core busy meanwhile.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use clap::Parser;
use dsconv::cpu;
use dsconv_kernels::{Schedule, Target, Workload, cost};
use dsconv_tuning::measure::median;
use dsconv_tuning::{Effort, Observer, Quiet, Status, Trial, TuneOptions, side_by_side, tune};

const RUNS: u64 = 3;
/// Time for which what competed in three runs meets side by side, and the winners by themselves.
const COMPARISON: Duration = Duration::from_secs(4);
const BLOCKS: &str = include_str!("../../benches/blocks.toml");

/// The best so far, each time that there is a better one, and when.
#[derive(Default)]
struct Course {
    best_us: Option<f64>,
    bests: Vec<(Duration, Schedule)>,
}

impl Observer for Course {
    fn trial(&mut self, trial: &Trial, status: &Status) {
        if let Some(us) = trial.median_us()
            && self.best_us.is_none_or(|best| us < best)
        {
            self.best_us = Some(us);
            self.bests.push((status.elapsed, trial.schedule));
        }
    }
}

/// Figures of one block.
struct Figures {
    /// Winner of each run over the best winner.
    regrets: Vec<f64>,
    /// The same by their least times: what is left of it while nobody else uses the machine.
    undisturbed_regrets: Vec<f64>,
    /// Part by which each winner's regret differs between two comparisons.
    disagreements: Vec<f64>,
    /// Whether the run's record says that it was tuned beside other work.
    contended: Vec<bool>,
    /// The untuned default over the best.
    default: f64,
    /// When each run had a schedule within 2 % of the best.
    within_two_percent: Vec<Duration>,
}

/// What to tune, and how.
#[derive(clap::Parser)]
struct Arguments {
    /// Parts of the names of blocks; all blocks without
    names: Vec<String>,
    /// Tunes once more against all schedules
    #[arg(long)]
    exhaustive: bool,
    /// Prints each run's winner, and whether the run tried the best one of all runs
    #[arg(long)]
    winners: bool,
    /// Threads that blocks run on
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Layout of input and output: nchw or nhwc
    #[arg(long, default_value = "nchw")]
    layout: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let names = &arguments.names;
    let target = cpu::host_target();
    let mut all = Vec::new();
    println!(
        "{:<16} {:>8}  {:>13}  {:>7}  {:>10}",
        "block", "best us", "regret", "default", "2 % in"
    );
    for (name, line) in blocks() {
        if !names.is_empty() && !names.iter().any(|wanted| name.contains(wanted)) {
            continue;
        }
        let line = line.replacen("nchw", &arguments.layout, 1);
        let (best_us, figures) = figures(&line.parse()?, &target, &arguments)?;
        println!(
            "{name:<16} {best_us:>8.1}  {:>5.3} / {:>5.3}  {:>7.3}  {:>8.2} s",
            median(&figures.regrets),
            figures.regrets.iter().copied().fold(1.0, f64::max),
            figures.default,
            median_s(&figures.within_two_percent),
        );
        all.push(figures);
    }
    let regrets: Vec<f64> = all.iter().flat_map(|it| it.regrets.clone()).collect();
    let worst = regrets.iter().copied().fold(1.0, f64::max);
    let close = all.iter().filter(|it| it.default <= 1.1).count();
    let times: Vec<Duration> = all.iter().flat_map(|it| it.within_two_percent.clone()).collect();
    println!("regret between runs: median {:.3}, worst {worst:.3}", median(&regrets));
    let undisturbed: Vec<f64> = all.iter().flat_map(|it| it.undisturbed_regrets.clone()).collect();
    let worst = undisturbed.iter().copied().fold(1.0, f64::max);
    println!("the same by least times: median {:.3}, worst {worst:.3}", median(&undisturbed));
    let disagreements: Vec<f64> = all.iter().flat_map(|it| it.disagreements.clone()).collect();
    let worst = disagreements.iter().copied().fold(0.0, f64::max);
    println!("two comparisons of the same winners differ by up to {worst:.3}");
    let contended: Vec<bool> = all.iter().flat_map(|it| it.contended.clone()).collect();
    let quiet = regrets.iter().zip(&contended).filter(|(_, contended)| !**contended);
    println!(
        "flagged as contended: {} of {} runs; worst regret of the others {:.3}",
        contended.iter().filter(|contended| **contended).count(),
        contended.len(),
        quiet.map(|(regret, _)| *regret).fold(1.0, f64::max),
    );
    println!("default within 10 % of the best: {close} of {} blocks", all.len());
    println!("within 2 % of the best after {:.2} s, median of all runs", median_s(&times));
    Ok(())
}

fn median_s(times: &[Duration]) -> f64 {
    median(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())
}

/// Names and workloads of the blocks.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    BLOCKS.lines().filter_map(|line| {
        let (name, text) = line.split_once(" = ")?;
        Some((name, text.trim_matches('"')))
    })
}

fn figures(
    workload: &Workload,
    target: &Target,
    &Arguments { exhaustive, winners: shows_winners, threads, .. }: &Arguments,
) -> Result<(f64, Figures), Box<dyn Error>> {
    let default = *cost::default_schedule(workload, target, threads).schedule();
    let mut schedules = vec![default];
    let mut winners = Vec::new();
    let mut contended = Vec::new();
    let mut courses = Vec::new();
    let mut trials = Vec::new();
    for seed in 1..=RUNS {
        let mut course = Course::default();
        let options = TuneOptions { seed, threads, ..Effort::Normal.options() };
        let tuned = tune(workload, target, &options, &mut course)?;
        let record = tuned.record;
        trials.push(tuned.trials);
        winners.push(record.schedule);
        contended.push(record.provenance.contended);
        schedules.extend(course.bests.iter().map(|(_, schedule)| *schedule));
        courses.push(course);
    }
    schedules.extend(&winners);
    if exhaustive {
        let options = TuneOptions { threads, ..Effort::Exhaustive.options() };
        schedules.push(tune(workload, target, &options, &mut Quiet)?.record.schedule);
    }
    let compared = side_by_side(workload, target, threads, &schedules, COMPARISON)?;
    let median_us = compared[0].measurement.median_us;
    let times_us: HashMap<Schedule, f64> =
        compared.iter().map(|it| (it.schedule, it.ratio * median_us)).collect();
    let best_us = times_us.values().copied().fold(f64::INFINITY, f64::min);
    let alone = side_by_side(workload, target, threads, &winners, COMPARISON)?;
    let ratios = alone.iter().map(|it| (it.schedule, it.ratio)).collect();
    let least_us = alone.iter().map(|it| (it.schedule, it.measurement.min_us)).collect();
    let regrets = |times: &HashMap<Schedule, f64>| {
        let times: Vec<f64> = winners.iter().map(|it| times[it]).collect();
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        times.into_iter().map(|time| time / best).collect::<Vec<f64>>()
    };
    let (first, undisturbed_regrets, regrets) =
        (regrets(&times_us), regrets(&least_us), regrets(&ratios));
    let disagreements = first.iter().zip(&regrets).map(|(a, b)| (a / b - 1.0).abs()).collect();
    if shows_winners {
        let best = alone.first().map(|it| &it.schedule);
        for (run, winner) in winners.iter().enumerate() {
            let (trials, contended) = (&trials[run], contended[run]);
            let tried = trials.iter().any(|trial| Some(&trial.schedule) == best);
            let tried = if tried { "tried" } else { "did not try" };
            let (us, regret, first) = (times_us[winner], regrets[run], first[run]);
            let flag = if contended { ", contended" } else { "" };
            println!(
                "  {us:>8.1} us {regret:.3} ({first:.3} among all), {tried} the best winner{flag}: {winner}"
            );
        }
    }
    let within = |course: &Course| {
        let near = course.bests.iter().find(|(_, it)| times_us[it] <= 1.02 * best_us);
        near.or(course.bests.last()).map(|(when, _)| *when)
    };
    let figures = Figures {
        regrets,
        undisturbed_regrets,
        disagreements,
        contended,
        default: times_us[&default] / best_us,
        within_two_percent: courses.iter().filter_map(within).collect(),
    };
    Ok((best_us, figures))
}
