//! Where to start: schedules that won on similar workloads.

use dsconv::{Database, Record};
use dsconv_kernels::{Schedule, Workload};

/// Winners of similar workloads that are tried first.
const MOST: usize = 4;

/// The schedules of the records nearest to a workload, cut to its rows, the nearest first.
///
/// A workload is the nearer, the fewer doublings lie between the extents of the two; another
/// kernel, stride or layout, or another number of threads, counts as several.
pub fn first_schedules(database: &Database, workload: &Workload, threads: usize) -> Vec<Schedule> {
    let stages = |it: &Workload| (it.depthwise().is_some(), it.pointwise().is_some(), it.layout());
    let mut similar: Vec<(f64, Schedule)> = database
        .records()
        .filter(|record| stages(&record.workload) == stages(workload))
        .map(|record| (distance(record, workload, threads), record.schedule.fitted(workload)))
        .collect();
    similar.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut first = Vec::new();
    for (_, schedule) in similar {
        if first.len() < MOST && !first.contains(&schedule) {
            first.push(schedule);
        }
    }
    first
}

fn distance(record: &Record, workload: &Workload, threads: usize) -> f64 {
    const OTHER_LOOPS: f64 = 3.0;
    let extents = |it: &Workload, threads: usize| {
        let [rows, cols] = it.output_extent();
        [rows, cols, it.batch(), it.channels(), it.output_channels(), threads]
    };
    let pairs =
        extents(&record.workload, record.threads).into_iter().zip(extents(workload, threads));
    let doublings: f64 = pairs.map(|(a, b)| (a as f64 / b as f64).log2().abs()).sum();
    let loops = |it: &Workload| it.depthwise().map(|it| (it.kernel, it.stride, it.dilation));
    let is_other = loops(&record.workload) != loops(workload);
    doublings + if is_other { OTHER_LOOPS } else { 0.0 }
}
