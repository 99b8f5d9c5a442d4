//! What the benches share: the blocks, and a prepared one with its time beside the FMA peak.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use dsconv::{Dispatcher, Layout, SeparableBlock, Workload, WorkloadBuilder};
use dsconv_kernels::testing::Tensors;
use dsconv_tuning::peak;

/// Time that criterion spends on a block; with 74 of them in a run, short.
const MEASUREMENT: Duration = Duration::from_millis(500);

/// The blocks of `blocks.toml` by name, in a layout.
pub(crate) fn blocks(layout: Layout) -> Vec<(String, Workload)> {
    let blocks: BTreeMap<String, String> =
        toml::from_str(include_str!("../blocks.toml")).expect("the file is valid");
    let with_layout = |line: String| {
        let workload: Workload = line.parse().expect("the lines are workloads");
        WorkloadBuilder::from(workload).layout(layout).build().expect("layouts change no shape")
    };
    blocks.into_iter().map(|(name, line)| (name, with_layout(line))).collect()
}

/// Runs workloads in a criterion group, each by its tuned schedule where the user's cache has one,
/// else by the analytic default. Prints beforehand what share of the FMA peak each reaches, the
/// peak being measured in the same process.
pub(crate) fn bench(criterion: &mut Criterion, group: &str, workloads: &[(String, Workload)]) {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let dispatcher = Dispatcher::builder().build().expect("no database is needed");
    let mut group = criterion.benchmark_group(group);
    group.measurement_time(MEASUREMENT).warm_up_time(MEASUREMENT / 5).sample_size(10);
    for (name, workload) in workloads {
        if is_test && workload.flops() > 20_000_000 {
            continue;
        }
        let tensors = Tensors::ordinary(workload, 0);
        let mut block = dispatcher
            .prepare(workload, &tensors.weights())
            .expect("every workload has a schedule");
        let mut output = vec![0.0; workload.output_len()];
        if !is_test {
            print_share_of_peak(name, workload, &mut block, &tensors.input, &mut output);
        }
        group.throughput(Throughput::Elements(workload.flops()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| block.run(&tensors.input, &mut output).expect("tensors fit"));
        });
    }
    group.finish();
}

fn print_share_of_peak(
    name: &str,
    workload: &Workload,
    block: &mut SeparableBlock,
    input: &[f32],
    output: &mut [f32],
) {
    let mut least_us = f64::INFINITY;
    let end = Instant::now() + MEASUREMENT;
    while Instant::now() < end {
        let start = Instant::now();
        block.run(input, output).expect("tensors fit");
        least_us = least_us.min(start.elapsed().as_secs_f64() * 1e6);
    }
    let gflops = workload.flops() as f64 / least_us / 1e3;
    let share = 100.0 * gflops / peak::fma_peak_gflops(1);
    let origin = block.origin();
    println!(
        "{name:20} {least_us:9.1} us  {gflops:6.1} GFLOP/s  {share:5.1} % of FMA peak, {origin}"
    );
}
