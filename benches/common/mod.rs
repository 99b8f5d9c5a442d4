//! What the benches share: the blocks, and a prepared one with its time beside the FMA peak.

#![allow(dead_code, reason = "each bench uses its own part")]

use std::time::Duration;

use criterion::{Criterion, Throughput};
use dsconv::{Buffer, Dispatcher, Layout, Workload, WorkloadBuilder};
use dsconv_kernels::testing::Tensors;
use dsconv_tuning::{measure, peak};

/// Time that criterion spends on a block; with 68 of them in a run, short.
const MEASUREMENT: Duration = Duration::from_millis(500);

/// The blocks of `blocks.toml` by name, in the order of the file, in a layout.
pub(crate) fn blocks(layout: Layout) -> Vec<(String, Workload)> {
    let blocks: toml::Table =
        toml::from_str(include_str!("../blocks.toml")).expect("the file is valid");
    let with_layout = |line: &toml::Value| {
        let line = line.as_str().expect("the values are texts");
        let workload: Workload = line.parse().expect("the lines are workloads");
        WorkloadBuilder::from(workload).layout(layout).build().expect("layouts change no shape")
    };
    blocks.iter().map(|(name, line)| (name.clone(), with_layout(line))).collect()
}

/// Runs workloads in a criterion group, each by the schedule that a user's `prepare` takes. Prints
/// after each what share of the FMA peak it reaches, the peak being measured in the same process,
/// and where its schedule came from.
///
/// A workload that criterion's filter leaves out is not prepared. In test mode each runs once.
pub(crate) fn bench(criterion: &mut Criterion, group: &str, workloads: &[(String, Workload)]) {
    let is_test = is_test();
    let dispatcher = Dispatcher::builder().build().expect("one thread is a legal number");
    let mut group = criterion.benchmark_group(group);
    group.measurement_time(MEASUREMENT).warm_up_time(MEASUREMENT / 5).sample_size(10);
    for (name, workload) in workloads {
        // Criterion calls the closure for warm-up and for measurement, or not at all.
        let mut prepared = None;
        group.throughput(Throughput::Elements(workload.flops()));
        group.bench_function(name, |bencher| {
            let (block, input, output) = prepared.get_or_insert_with(|| {
                let tensors = Tensors::ordinary(workload, 0);
                let block = dispatcher
                    .prepare(workload, &tensors.weights())
                    .expect("every workload has a schedule");
                let input = Buffer::from(tensors.input.as_slice());
                (block, input, Buffer::zeroed(workload.output_len()))
            });
            bencher.iter(|| block.run(input, output).expect("tensors fit"));
        });
        if let Some((block, input, output)) = &mut prepared
            && !is_test
        {
            let time = measure::time_block(MEASUREMENT, || block.run(input, output));
            let median_us = time.expect("tensors fit").median_us;
            let gflops = workload.flops() as f64 / median_us / 1e3;
            let share = 100.0 * gflops / peak::fma_peak_gflops(1);
            let origin = block.origin();
            println!(
                "{name:16} {median_us:9.1} us  {gflops:6.1} GFLOP/s  {share:5.1} % of FMA peak  {origin}"
            );
        }
    }
    group.finish();
}

/// Whether criterion runs everything once only: `cargo bench` passes `--bench`, `cargo test` does
/// not, and `--test` overrides it.
pub(crate) fn is_test() -> bool {
    let is_given = |flag: &str| std::env::args().any(|argument| argument == flag);
    is_given("--test") || !is_given("--bench")
}
