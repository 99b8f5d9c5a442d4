//! What limits each block on this machine: its time beside that of its multiply-adds alone, and
//! where the cost model, which counts instructions by port and bytes by cache, sees the rest.
//!
//! ```sh
//! cargo run --release -p dsconv-tuning --example limits                                  # NCHW
//! cargo run --release -p dsconv-tuning --example limits -- --layout nhwc --threads 2 mbv2
//! ```
//!
//! Schedules are those that a program would run: of the caches, else untuned. Percentages are of
//! the estimate; `seen` and `counted` are multiply-adds a cycle over the most there can be, by the
//! clock and by the model. `autotune explain` lists a block's loops, port by port.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use dsconv::{Dispatcher, Objective, cpu};
use dsconv_kernels::{Workload, cost};
use dsconv_tuning::bench::HostBench;
use dsconv_tuning::peak::fma_peak_gflops;

const BLOCKS: &str = include_str!("../../benches/blocks.toml");

/// Time that each block is run for.
const BUDGET: Duration = Duration::from_millis(300);

/// What to look at.
#[derive(Parser)]
struct Arguments {
    /// Parts of the names of blocks; all blocks without
    names: Vec<String>,
    /// Threads that blocks run on
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Layout of input and output: nchw or nhwc
    #[arg(long, default_value = "nchw")]
    layout: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { names, threads, layout } = Arguments::parse();
    let target = cpu::host_target();
    let dispatcher = Dispatcher::builder().threads(threads).build()?;
    let peak_gflops = fma_peak_gflops(threads);
    println!(
        "| block | us | seen | counted | depthwise | pointwise | copies, transposing | memory | threads | schedule |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (mut product, mut count) = (1.0, 0);
    for (name, line) in BLOCKS.lines().filter_map(|line| line.split_once(" = ")) {
        if !names.is_empty() && !names.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let line = line.trim_matches('"').replacen("nchw", &layout, 1);
        let workload: Workload = line.parse()?;
        let (schedule, _) = dispatcher.lookup(&workload)?;
        let mut bench = HostBench::new(&workload, &target, threads, Objective::Warm, 0)?;
        let mut kernel = bench.compile(&schedule)?;
        bench.verify(&mut kernel)?;
        let us = bench.time(&mut kernel, BUDGET).min_us;
        let seen = workload.flops() as f64 / us / 1e3 / peak_gflops;

        let estimate = cost::estimate(&schedule, threads);
        let all = estimate.cycles();
        let each_cycle = 2.0 * target.multiply_adds_per_cycle() * threads as f64;
        let counted = workload.flops() as f64 / each_cycle / all;
        let percent = |part: f64| format!("{:.0} %", 100.0 * part / all);
        println!(
            "| {name} | {us:.1} | {:.0} % | {:.0} % | {} | {} | {} | {} | {} | `{}` |",
            100.0 * seen,
            100.0 * counted,
            percent(estimate.depthwise),
            percent(estimate.pointwise),
            percent(estimate.window + estimate.transpose),
            percent(estimate.memory),
            percent(estimate.imbalance),
            schedule.schedule(),
        );
        product *= seen;
        count += 1;
    }
    println!(
        "\nGeometric mean of what was seen: {:.1} % of {peak_gflops:.0} GFLOP/s.",
        100.0 * product.powf(1.0 / f64::from(count.max(1)))
    );
    Ok(())
}
