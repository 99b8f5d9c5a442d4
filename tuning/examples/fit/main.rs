//! Fits the figures of the cost model to what schedules really take on this machine.
//!
//! ```sh
//! cargo run --release -p dsconv-tuning --example fit -- record FOLDER                  # tunes all blocks
//! cargo run --release -p dsconv-tuning --example fit -- record FOLDER --layout nhwc
//! cargo run --release -p dsconv-tuning --example fit -- fit FOLDER                     # fits, and prints
//! ```
//!
//! `record` tunes each block of `benches/blocks.toml` (or of another file of that form), lets the best
//! of what was tried and a sample of the others meet side by side, and writes their times as a
//! [landscape](dsconv_tuning::landscape). `fit` starts from the figures for the instruction set and
//! changes one after the other, as long as the schedules of the least estimates become faster: the loss
//! of a block is the mean time over the best one's, as a logarithm, of its schedules, each weighed by
//! how near its estimate is to the least. What all other schedules take counts a little, so that the
//! figures stay near the truth where no schedule is chosen, and those that hardly matter are pulled to
//! where they were. What it prints goes to `kernels/src/cost/machine.rs`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use dsconv::cpu;
use dsconv_kernels::cost::{self, Machine};
use dsconv_kernels::{CheckedSchedule, Schedule, Target, Workload};
use dsconv_tuning::landscape::Landscape;
use dsconv_tuning::race::LEAST_ROUNDS;
use dsconv_tuning::{Effort, Quiet, TuneOptions, Tuned, side_by_side, tune};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index;
use serde_json::{Map, Value};

const BLOCKS: &str = include_str!("../../benches/blocks.toml");

/// Schedules that meet, and time for which they do: about that, where they are many.
const MOST: usize = 64;
const COMPARISON: Duration = Duration::from_secs(5);
/// How far an estimate may lie above the least, as a logarithm, until its schedule counts for a part
/// of 1/e.
const TEMPERATURE: f64 = 0.03;
/// Weights of what is not the first choices.
const OF_ALL: f64 = 0.1;
const OF_SCALE: f64 = 0.05;
/// Factors by which a figure is changed in turn.
const STEPS: [f64; 6] = [2.0, 0.5, 1.3, 0.77, 1.08, 0.93];
const MOST_ROUNDS: usize = 12;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Tunes blocks and writes what was measured
    Record {
        /// Where to
        folder: PathBuf,
        /// Names and workloads, one a line; those of `benches/blocks.toml` without
        #[arg(long)]
        blocks: Option<PathBuf>,
        /// Threads that blocks run on
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Layout of input and output: nchw or nhwc
        #[arg(long, default_value = "nchw")]
        layout: String,
        /// Fixes the order of proposals
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Fits the figures to what was measured
    Fit {
        /// Where it is
        folder: PathBuf,
        /// What a change of a figure by a factor of e has to save, as a part of the loss
        #[arg(long, default_value_t = 0.01)]
        pull: f64,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().what {
        What::Record { folder, blocks, threads, layout, seed } => {
            let text = blocks.map_or_else(|| Ok(BLOCKS.to_owned()), fs::read_to_string)?;
            fs::create_dir_all(&folder)?;
            for (name, line) in text.lines().filter_map(|line| line.split_once(" = ")) {
                let workload = line.trim_matches('"').replacen("nchw", &layout, 1).parse()?;
                let path = folder.join(format!("{name}-{layout}-{threads}-{seed}.txt"));
                record(&workload, threads, seed, &path)?;
                println!("{}", path.display());
            }
        }
        What::Fit { folder, pull } => fit(&folder, pull)?,
    }
    Ok(())
}

fn record(
    workload: &Workload,
    threads: usize,
    seed: u64,
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let target = cpu::host_target();
    let options = TuneOptions { threads, seed, ..Effort::Quick.options() };
    let tuned = tune(workload, &target, &options, &mut Quiet)?;
    let schedules = schedules(&tuned, seed);
    let compared = side_by_side(workload, &target, threads, &schedules, Duration::ZERO)?;
    let least_us = compared[0].measurement.min_us;
    let times: Vec<(Schedule, f64)> =
        compared.into_iter().map(|it| (it.schedule, it.ratio * least_us)).collect();
    let landscape = Landscape::new(workload, &target, threads, tuned.default.schedule, &times);
    fs::write(path, landscape.to_string())?;
    Ok(())
}

/// The default, the winner, the best of the others and as many of the rest, drawn; fewer where a run
/// takes long.
fn schedules(tuned: &Tuned, seed: u64) -> Vec<Schedule> {
    let measured = tuned.trials.iter().filter_map(|trial| Some((trial.min_us()?, trial.schedule)));
    let mut tried: Vec<(f64, Schedule)> = measured.collect();
    tried.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let best_us = tried.first().map_or(1.0, |(us, _)| *us);
    let round_us = COMPARISON.as_secs_f64() * 1e6 / LEAST_ROUNDS as f64;
    // Each sample has a run before it that is not counted.
    let count = ((round_us / (2.0 * best_us.max(50.0))) as usize).clamp(MOST / 8, MOST);
    let (best, rest) = tried.split_at(tried.len().min(count / 2));
    let mut rng = StdRng::seed_from_u64(seed);
    let drawn = index::sample(&mut rng, rest.len(), rest.len().min(count / 2));
    let others = best.iter().chain(drawn.iter().map(|at| &rest[at])).map(|(_, it)| *it);
    [tuned.default.schedule, tuned.record.schedule].into_iter().chain(others).collect()
}

/// The schedules of a landscape with the logarithms of their times.
struct Measured {
    name: String,
    target: Target,
    threads: usize,
    best_us: f64,
    schedules: Vec<(CheckedSchedule, f64)>,
}

/// How far figures are from one block's times, as logarithms.
struct Loss {
    /// Mean time over the best one's, of those with the least estimates.
    choice: f64,
    /// Standard deviation of the estimates over the times.
    scatter: f64,
    /// Their mean.
    scale: f64,
}

impl Measured {
    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let landscape: Landscape = fs::read_to_string(path)?.parse()?;
        let best_us = landscape.best_us().ok_or("an empty landscape")?;
        let (workload, target) = (landscape.workload(), landscape.target());
        let space = landscape.space();
        let schedules = space.iter().filter_map(|schedule| {
            let us = landscape.time_us(schedule)?;
            Some((schedule.check(workload, target).ok()?, (us / best_us).ln()))
        });
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            target: *target,
            threads: space.threads(),
            best_us,
            schedules: schedules.collect(),
        })
    }

    /// Logarithms of the estimates, those of the times beside.
    fn estimates(&self, machine: &Machine) -> Vec<[f64; 2]> {
        let estimate = |schedule| cost::estimate_on(machine, schedule, self.threads).cycles().ln();
        self.schedules.iter().map(|(schedule, time)| [estimate(schedule), *time]).collect()
    }

    fn loss(&self, machine: &Machine) -> Loss {
        let estimates = self.estimates(machine);
        let least = estimates.iter().map(|[it, _]| *it).fold(f64::INFINITY, f64::min);
        let weight = |estimate: f64| ((least - estimate) / TEMPERATURE).exp();
        let all: f64 = estimates.iter().map(|[it, _]| weight(*it)).sum();
        let choice = estimates.iter().map(|[it, time]| weight(*it) * time).sum::<f64>() / all;
        let count = estimates.len() as f64;
        let off = estimates.iter().map(|[it, time]| it - time);
        let mean = off.clone().sum::<f64>() / count;
        let scatter = (off.map(|off| (off - mean).powi(2)).sum::<f64>() / count).sqrt();
        Loss { choice, scatter, scale: mean - self.best_us.ln() }
    }

    /// Time of the schedule of the least estimate over the best.
    fn regret(&self, machine: &Machine) -> f64 {
        let estimates = self.estimates(machine);
        let first = estimates.iter().min_by(|[a, _], [b, _]| a.total_cmp(b));
        first.map_or(f64::NAN, |[_, time]| time.exp())
    }
}

fn fit(folder: &Path, pull: f64) -> Result<(), Box<dyn Error>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    let all = paths.iter().map(|path| Measured::read(path)).collect::<Result<Vec<_>, _>>()?;
    let target = all.first().ok_or("the folder is empty")?.target;
    if let Some(other) = all.iter().find(|block| block.target != target) {
        return Err(format!("{} is of {:?}, others of {target:?}", other.name, other.target).into());
    }
    let before = *Machine::of(&target);
    let mut found = figures(&before)?;
    let names: Vec<String> = found.keys().cloned().collect();
    let start = found.clone();
    let pulled = |figures: &Map<String, Value>| -> Result<f64, Box<dyn Error>> {
        let machine: Machine = serde_json::from_value(Value::Object(figures.clone()))?;
        let mean = loss(&all, &machine);
        let pulls = figures.iter().map(|(name, value)| {
            let [value, from] = [value, &start[name]].map(|it| it.as_f64().unwrap_or(1.0));
            // What is zero stays so.
            if from > 0.0 { pull * (value / from).ln().abs() } else { 0.0 }
        });
        Ok(mean * (1.0 + pulls.sum::<f64>()))
    };
    let mut least = pulled(&found)?;
    println!("loss {least:.4} before");
    for round in 0..MOST_ROUNDS {
        let began = least;
        for name in &names {
            for step in STEPS {
                let mut other = found.clone();
                let value = other[name].as_f64().unwrap_or(1.0);
                other[name] = Value::from(value * step);
                let changed = pulled(&other)?;
                if changed < least {
                    (least, found) = (changed, other);
                }
            }
        }
        println!("loss {least:.4} after round {}", round + 1);
        if least > 0.998 * began {
            break;
        }
    }
    found
        .values_mut()
        .for_each(|value| *value = Value::from(rounded(value.as_f64().unwrap_or(1.0))));
    let after: Machine = serde_json::from_value(Value::Object(found))?;
    println!("{:<24} {:>9} {:>7} {:>7}", "block", "schedules", "before", "after");
    let mut close = [0; 2];
    for block in &all {
        let regrets = [before, after].map(|machine| block.regret(&machine));
        for (close, regret) in close.iter_mut().zip(regrets) {
            *close += usize::from(regret <= 1.1);
        }
        let [before, after] = regrets;
        let count = block.schedules.len();
        println!("{:<24} {count:>9} {before:>7.3} {after:>7.3}", block.name);
    }
    println!("within 10 % of the best: {} before, {} after, of {}", close[0], close[1], all.len());
    println!("{after:#?}");
    Ok(())
}

/// Two digits: finer ones are noise.
fn rounded(figure: f64) -> f64 {
    if figure <= 0.0 {
        return figure;
    }
    let scale = 10_f64.powf(1.0 - figure.log10().floor());
    (figure * scale).round() / scale
}

/// How far figures are from what was measured: by the first choices above all, but also by all the
/// others, and by how long blocks take beside each other.
fn loss(all: &[Measured], machine: &Machine) -> f64 {
    let (first, second) = all.split_at(all.len() / 2);
    let of = |half: &[Measured]| half.iter().map(|it| it.loss(machine)).collect::<Vec<_>>();
    let (mut losses, second) = rayon::join(|| of(first), || of(second));
    losses.extend(second);
    let mean = |part: fn(&Loss) -> f64| losses.iter().map(part).sum::<f64>() / losses.len() as f64;
    let scale = mean(|loss| loss.scale);
    let scales = losses.iter().map(|loss| (loss.scale - scale).powi(2)).sum::<f64>();
    mean(|loss| loss.choice)
        + OF_ALL * mean(|loss| loss.scatter)
        + OF_SCALE * (scales / losses.len() as f64).sqrt()
}

fn figures(machine: &Machine) -> Result<Map<String, Value>, Box<dyn Error>> {
    match serde_json::to_value(machine)? {
        Value::Object(figures) => Ok(figures),
        _ => Err("the figures of a machine are no object".into()),
    }
}
