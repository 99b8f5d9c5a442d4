//! Times of some schedules of a block, as a landscape.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use dsconv::cpu;
use dsconv_kernels::{Family, Schedule, Target, Workload, cost};
use dsconv_tuning::landscape::Landscape;
use dsconv_tuning::race::LEAST_ROUNDS;
use dsconv_tuning::{Effort, Quiet, SearchSpace, TuneOptions, Tuned, side_by_side, tune};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index;

/// Schedules that meet, and time for which they do: about that, where they are many.
const MOST: usize = 64;
const COMPARISON: Duration = Duration::from_secs(5);
/// Schedules of each family that meet whatever was tried.
const OF_FAMILY: usize = 4;

/// Tunes a block, lets the best of what was tried and a sample of the others meet side by side, and
/// writes their times.
pub(crate) fn record(
    workload: &Workload,
    threads: usize,
    seed: u64,
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let target = cpu::host_target();
    let options = TuneOptions { threads, seed, ..Effort::Quick.options() };
    let tuned = tune(workload, &target, &options, &mut Quiet)?;
    let mut schedules = schedules(&tuned, seed);
    schedules.extend(first_of_each_family(workload, &target, threads));
    let compared = side_by_side(workload, &target, threads, &schedules, Duration::ZERO)?;
    let least_us = compared[0].measurement.min_us;
    let times: Vec<(Schedule, f64)> =
        compared.into_iter().map(|it| (it.schedule, it.ratio * least_us)).collect();
    let landscape = Landscape::new(workload, &target, threads, tuned.default.schedule, &times);
    fs::write(path, landscape.to_string())?;
    Ok(())
}

/// The schedules of the least estimates in each family: of one that the figures rank last, a tuning
/// tries none where it has little time, and they would never be told that they are wrong.
fn first_of_each_family(
    workload: &Workload,
    target: &Target,
    threads: usize,
) -> impl Iterator<Item = Schedule> {
    let mut first: HashMap<Family, Vec<(f64, Schedule)>> = HashMap::new();
    for schedule in SearchSpace::new(workload, target, threads).iter() {
        let checked = schedule.check(workload, target).expect("a space holds legal schedules");
        let cycles = cost::estimate(&checked, threads).cycles();
        first.entry(schedule.family).or_default().push((cycles, *schedule));
    }
    first.into_values().flat_map(|mut family| {
        family.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        family.into_iter().take(OF_FAMILY).map(|(_, schedule)| schedule)
    })
}

/// The default, the winner, the best of the others and as many of the rest, drawn; fewer where a run
/// takes long.
fn schedules(tuned: &Tuned, seed: u64) -> Vec<Schedule> {
    let measured = tuned.trials.iter().filter_map(|trial| Some((trial.min_us()?, trial.schedule)));
    let mut tried: Vec<(f64, Schedule)> = measured.collect();
    tried.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let best_us = tried.first().map_or(1.0, |(us, _)| *us);
    let round_us = COMPARISON.as_secs_f64() * 1e6 / LEAST_ROUNDS as f64;
    // Most samples have one run before them that is not counted.
    let count = ((round_us / (2.0 * best_us.max(50.0))) as usize).clamp(MOST / 8, MOST);
    let (best, rest) = tried.split_at(tried.len().min(count / 2));
    let mut rng = StdRng::seed_from_u64(seed);
    let drawn = index::sample(&mut rng, rest.len(), rest.len().min(count / 2));
    let others = best.iter().chain(drawn.iter().map(|at| &rest[at])).map(|(_, it)| *it);
    [tuned.default.schedule, tuned.record.schedule].into_iter().chain(others).collect()
}
