//! How long a program waits before the first run: choosing a block's schedule from a loaded
//! database, checking and compiling it. Weights are not copied.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use dsconv::cpu::{self, CpuModel};
use dsconv::{
    CODE_GENERATION, Database, Dispatcher, Kernel, Layout, Measurement, Objective, Origin,
    Provenance, Record, Workload, cost,
};
use dsconv_tuning::measure;

mod common;

/// Time that a block is prepared again and again, by criterion and for the figures at the end.
const MEASUREMENT: Duration = Duration::from_millis(200);

fn prepare(criterion: &mut Criterion) {
    let blocks: Vec<(String, Workload)> = [Layout::Nchw, Layout::Nhwc]
        .into_iter()
        .flat_map(|layout| {
            let named = move |(name, block)| (format!("{layout}/{name}"), block);
            common::blocks(layout).into_iter().map(named)
        })
        .collect();
    let database = database(blocks.iter().map(|(_, block)| *block));
    let dispatcher = Dispatcher::builder().only_given().database(database).build();
    let dispatcher = dispatcher.expect("one thread is a legal number");
    let prepare = |block: &Workload| {
        let (schedule, origin) = dispatcher.lookup(block).expect("every block has a record");
        assert!(matches!(origin, Origin::Exact(_)), "{origin}");
        Kernel::compile(&schedule)
    };

    let mut group = criterion.benchmark_group("prepare");
    group.measurement_time(MEASUREMENT).warm_up_time(MEASUREMENT / 5).sample_size(10);
    let mut figures = Vec::new();
    for (name, block) in &blocks {
        let mut was_run = false;
        group.bench_function(name, |bencher| {
            was_run = true;
            bencher.iter(|| prepare(block).expect("default schedules compile"));
        });
        if was_run && !common::is_test() {
            let all = measure::time_block(MEASUREMENT, || prepare(block).map(|_| ()));
            let lookup =
                measure::time_block(MEASUREMENT / 10, || dispatcher.lookup(block).map(|_| ()));
            let all_us = all.expect("default schedules compile").median_us;
            figures.push((all_us, lookup.expect("every block has a record").median_us, name));
        }
    }
    group.finish();
    figures.sort_by(|one, other| one.0.total_cmp(&other.0));
    if let (Some((worst_us, _, worst)), Some((middle_us, lookup_us, _))) =
        (figures.last(), figures.get(figures.len() / 2))
    {
        println!(
            "prepare without copying weights: median {middle_us:.0} us, of which {lookup_us:.1} us to \
             look up, worst {worst_us:.0} us ({worst}), {} blocks",
            figures.len()
        );
    }
}

/// A database as a file holds it, with a record of the default schedule for each block.
fn database(blocks: impl Iterator<Item = Workload>) -> Database {
    let target = cpu::host_target();
    let mut database = Database::new(CpuModel::host());
    for workload in blocks {
        database.insert(Record {
            workload,
            isa: target.isa,
            threads: 1,
            objective: Objective::Warm,
            schedule: *cost::default_schedule(&workload, &target, 1).schedule(),
            measurement: Measurement { median_us: 1.0, min_us: 1.0, spread_us: 0.0, samples: 1 },
            runner_up: None,
            provenance: Provenance {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                code_generation: CODE_GENERATION,
                strategy: "default".to_owned(),
                trials: 1,
                seed: 0,
                date: "2026-01-01T00:00:00Z".to_owned(),
                default_us: 1.0,
                contended: false,
            },
        });
    }
    let loaded = Database::from_toml(&database.to_toml(), Path::new("records.toml"));
    loaded.expect("what we write is a database").database
}

criterion_group!(benches, prepare);
criterion_main!(benches);
