//! How long a program waits before the first run: choosing a block's schedule from a loaded
//! database, checking and compiling it. Weights are not copied.
//!
//! Prepared are the records that are shipped for this CPU, each for its number of threads, which is
//! what a user prepares; and default schedules, as of blocks without a record.

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
const MEASUREMENT: Duration = Duration::from_millis(100);

/// A block that is prepared.
struct Block {
    name: String,
    workload: Workload,
    /// Its place among the dispatchers.
    dispatcher: usize,
}

/// What preparing a block takes.
struct Figure {
    median_us: f64,
    /// The least, as beside a neighbour that is quiet for a moment.
    min_us: f64,
    lookup_us: f64,
    name: String,
}

fn prepare(criterion: &mut Criterion) {
    let mut lines = vec![with_records(criterion), with_defaults(criterion)];
    lines.retain(|line| !line.is_empty());
    if !lines.is_empty() {
        println!("prepare without copying weights: {}", lines.join("; "));
    }
}

/// The records that are shipped for this CPU.
fn with_records(criterion: &mut Criterion) -> String {
    let Some(database) = Database::shipped(&CpuModel::host()) else {
        return "no records are shipped for this CPU".to_owned();
    };
    let isa = cpu::host_target().isa;
    let records: Vec<&Record> = database
        .records()
        .filter(|record| record.isa == isa && record.objective == Objective::Warm)
        .collect();
    let mut threads: Vec<usize> = records.iter().map(|record| record.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let dispatchers: Vec<Dispatcher> =
        threads.iter().map(|&threads| dispatcher(database.clone(), threads)).collect();
    let block = |record: &&Record| Block {
        name: format!("{} threads={}", record.workload, record.threads),
        workload: record.workload,
        dispatcher: threads.iter().position(|threads| *threads == record.threads).unwrap_or(0),
    };
    let blocks: Vec<Block> = records.iter().map(block).collect();
    // One function for all of them, each in turn: there are hundreds.
    let mut was_run = false;
    let mut group = criterion.benchmark_group("prepare");
    group.sample_size(10);
    group.bench_function("records", |bencher| {
        was_run = true;
        let mut turn = blocks.iter().cycle();
        bencher.iter(|| turn.next().map(|block| compile(&dispatchers[block.dispatcher], block)));
    });
    group.finish();
    if common::is_test() {
        for block in &blocks {
            compile(&dispatchers[block.dispatcher], block);
        }
    }
    if !was_run || common::is_test() {
        return String::new();
    }
    let figures = blocks.iter().map(|block| figure(&dispatchers[block.dispatcher], block));
    summary("records", figures.collect())
}

/// Default schedules of the blocks of `blocks.toml`, read from a database as records are.
fn with_defaults(criterion: &mut Criterion) -> String {
    let blocks: Vec<Block> = [Layout::Nchw, Layout::Nhwc]
        .into_iter()
        .flat_map(|layout| {
            let named = move |(name, workload)| Block {
                name: format!("{layout}/{name}"),
                workload,
                dispatcher: 0,
            };
            common::blocks(layout).into_iter().map(named)
        })
        .collect();
    let dispatcher = dispatcher(defaults(blocks.iter().map(|block| block.workload)), 1);
    let mut group = criterion.benchmark_group("prepare");
    group.measurement_time(MEASUREMENT).warm_up_time(MEASUREMENT / 5).sample_size(10);
    let mut figures = Vec::new();
    for block in &blocks {
        let mut was_run = false;
        group.bench_function(&block.name, |bencher| {
            was_run = true;
            bencher.iter(|| compile(&dispatcher, block));
        });
        if was_run && !common::is_test() {
            figures.push(figure(&dispatcher, block));
        }
    }
    group.finish();
    summary("defaults", figures)
}

fn dispatcher(database: Database, threads: usize) -> Dispatcher {
    let builder = Dispatcher::builder().only_given().database(database).threads(threads);
    builder.build().expect("at least one thread is a legal number")
}

fn compile(dispatcher: &Dispatcher, block: &Block) -> Kernel {
    let (schedule, origin) = dispatcher.lookup(&block.workload).expect("every block has a record");
    assert!(matches!(origin, Origin::Exact(_)), "{origin}");
    Kernel::compile(&schedule).expect("schedules of records compile")
}

fn figure(dispatcher: &Dispatcher, block: &Block) -> Figure {
    let lookup = || dispatcher.lookup(&block.workload).map(|_| ());
    let all = measure::time_block(MEASUREMENT / 2, || {
        compile(dispatcher, block);
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(all) = all;
    let lookup = measure::time_block(MEASUREMENT / 50, lookup).expect("every block has a record");
    Figure {
        median_us: all.median_us,
        min_us: all.min_us,
        lookup_us: lookup.median_us,
        name: block.name.clone(),
    }
}

/// How blocks are distributed by their medians and by their least times, in words.
fn summary(what: &str, figures: Vec<Figure>) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let lookups_us: Vec<f64> = figures.iter().map(|figure| figure.lookup_us).collect();
    format!(
        "{what}: {}, {:.1} us of it to look up; in the quietest moments {}",
        distribution(&figures, |figure| figure.median_us),
        measure::median(&lookups_us),
        distribution(&figures, |figure| figure.min_us),
    )
}

/// Median, worst and what is beyond a millisecond.
fn distribution(figures: &[Figure], time_us: impl Fn(&Figure) -> f64) -> String {
    let times_us: Vec<f64> = figures.iter().map(&time_us).collect();
    let worst = figures.iter().max_by(|one, other| time_us(one).total_cmp(&time_us(other)));
    let worst = worst.map_or_else(String::new, |worst| {
        format!("worst {:.0} us ({}), ", time_us(worst), worst.name)
    });
    let beyond = times_us.iter().filter(|time_us| **time_us > 1000.0).count();
    let median_us = measure::median(&times_us);
    format!("median {median_us:.0} us, {worst}{beyond} of {} beyond 1 ms", figures.len())
}

/// A database as a file holds it, with a record of the default schedule for each block.
fn defaults(blocks: impl Iterator<Item = Workload>) -> Database {
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
