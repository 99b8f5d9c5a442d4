//! The figures of a machine whose least estimates are the fast schedules, one figure after the other.

use std::error::Error;
use std::fs;
use std::path::Path;

use dsconv_kernels::cost::{self, Machine};
use dsconv_kernels::{CheckedSchedule, Target};
use dsconv_tuning::landscape::Landscape;
use serde_json::{Map, Value};

/// How far an estimate may lie above the least, as a logarithm, until its schedule counts for a part
/// of 1/e.
const TEMPERATURE: f64 = 0.03;
/// Weights of what is not the first choices.
const OF_ALL: f64 = 0.1;
const OF_SCALE: f64 = 0.05;
/// Factors by which a figure is changed in turn.
const STEPS: [f64; 6] = [2.0, 0.5, 1.3, 0.77, 1.08, 0.93];
const MOST_ROUNDS: usize = 12;

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

/// Fits the figures to the landscapes of a folder, those named only where some are, and prints them.
pub(crate) fn fit(folder: &Path, pull: f64, only: &[String]) -> Result<(), Box<dyn Error>> {
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
    if let Some(unknown) = only.iter().find(|name| !found.contains_key(*name)) {
        let known: Vec<&str> = found.keys().map(String::as_str).collect();
        return Err(format!("no figure {unknown:?}; there are: {}", known.join(", ")).into());
    }
    let is_free = |name: &&String| only.is_empty() || only.contains(name);
    let names: Vec<String> = found.keys().filter(is_free).cloned().collect();
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
