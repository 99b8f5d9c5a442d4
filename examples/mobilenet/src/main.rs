//! Runs MobileNetV1's 13 separable blocks one after the other, each with the best schedule known.
//!
//! ```text
//! cargo run --release -p dsconv-example-mobilenet [-- DATABASE.toml]
//! ```
//!
//! Schedules come from the given file, which `autotune` wrote; without one, from the records shipped
//! with `dsconv` and from the user's cache folder. Weights are random: only times are of interest.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use dsconv::{
    Activation, Buffer, Database, Depthwise, Dispatcher, Pointwise, SeparableBlock, Weights,
    Workload,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Input channels, output channels, input rows (and columns) and stride of each block: table 1 of
/// Howard et al., "MobileNets", 2017. Each block's output is the next one's input.
const BLOCKS: [(usize, u32, usize, u32); 13] = [
    (32, 64, 112, 1),
    (64, 128, 112, 2),
    (128, 128, 56, 1),
    (128, 256, 56, 2),
    (256, 256, 28, 1),
    (256, 512, 28, 2),
    (512, 512, 14, 1),
    (512, 512, 14, 1),
    (512, 512, 14, 1),
    (512, 512, 14, 1),
    (512, 512, 14, 1),
    (512, 1024, 14, 2),
    (1024, 1024, 7, 1),
];

/// Passes over all blocks that are timed, after one that is not.
const PASSES: usize = 30;

/// Seed of weights and input.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [] => run(None),
        [file] if !file.starts_with('-') => run(Some(Path::new(file))),
        _ => Err("usage: dsconv-example-mobilenet [DATABASE.toml]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let dispatcher = dispatcher(file)?;
    let mut random = StdRng::seed_from_u64(SEED);
    let started = Instant::now();
    let mut blocks: Vec<SeparableBlock> = BLOCKS
        .iter()
        .map(|block| prepare(&dispatcher, *block, &mut random))
        .collect::<Result<_, _>>()?;
    println!("13 blocks prepared in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);

    let input = uniform(&mut random, blocks[0].workload().input_len(), 1.0);
    let input = Buffer::from(input.as_slice());
    let mut outputs: Vec<Buffer> =
        blocks.iter().map(|block| Buffer::zeroed(block.workload().output_len())).collect();
    pass(&mut blocks, &input, &mut outputs)?;
    let mut times_us = vec![Vec::with_capacity(PASSES); blocks.len()];
    for _ in 0..PASSES {
        for (times, us) in times_us.iter_mut().zip(pass(&mut blocks, &input, &mut outputs)?) {
            times.push(us);
        }
    }
    match report(&blocks, &mut times_us) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        reported => Ok(reported?),
    }
}

/// Looks up in the file, or in shipped and user's records where there is none.
fn dispatcher(file: Option<&Path>) -> Result<Dispatcher, Box<dyn Error>> {
    let mut builder = Dispatcher::builder();
    if let Some(file) = file {
        let loaded = Database::load(file)?;
        for warning in &loaded.warnings {
            eprintln!("warning: {warning}");
        }
        println!("records: {}, of {}", loaded.database.len(), loaded.database.cpu().brand);
        builder = builder.only_given().shipped_databases(true).database(loaded.database);
    }
    let dispatcher = builder.build()?;
    for warning in dispatcher.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(dispatcher)
}

/// One block with random weights, scaled so that values neither grow nor vanish from block to block.
fn prepare(
    dispatcher: &Dispatcher,
    (channels, outputs, rows, stride): (usize, u32, usize, u32),
    random: &mut StdRng,
) -> Result<SeparableBlock, Box<dyn Error>> {
    let workload = Workload::builder([1, channels, rows, rows])
        .depthwise(Depthwise::kernel(3, 3).stride(stride).padding(1).activation(Activation::Relu))
        .pointwise(Pointwise::channels(outputs).activation(Activation::Relu))
        .build()?;
    let weights = Weights {
        depthwise: &uniform(random, workload.depthwise_len(), (6.0f32 / 9.0).sqrt()),
        depthwise_bias: &uniform(random, channels, 0.1),
        pointwise: &uniform(random, workload.pointwise_len(), (6.0 / channels as f32).sqrt()),
        pointwise_bias: &uniform(random, outputs as usize, 0.1),
        ..Weights::default()
    };
    Ok(dispatcher.prepare(&workload, &weights)?)
}

fn uniform(random: &mut StdRng, len: usize, bound: f32) -> Vec<f32> {
    (0..len).map(|_| random.random_range(-bound..=bound)).collect()
}

/// Runs all blocks, each on the output of the one before; returns the microseconds of each.
fn pass(
    blocks: &mut [SeparableBlock],
    input: &[f32],
    outputs: &mut [Buffer],
) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut times_us = Vec::with_capacity(blocks.len());
    for index in 0..blocks.len() {
        let (before, here) = outputs.split_at_mut(index);
        let input = before.last().map_or(input, |output| output);
        let started = Instant::now();
        blocks[index].run(input, &mut here[0])?;
        times_us.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times_us)
}

/// Prints a line a block. A reader that has seen enough, such as `head`, is no error of ours.
fn report(blocks: &[SeparableBlock], times_us: &mut [Vec<f64>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:>18} {:>9} {:>9} {:>8}  schedule; origin",
        "block", "min us", "median", "GFLOP/s"
    )?;
    let (mut total_min, mut total_median, mut total_flops) = (0.0, 0.0, 0);
    for (block, times) in blocks.iter().zip(times_us) {
        times.sort_by(f64::total_cmp);
        let (min, median) = (times[0], times[times.len() / 2]);
        let workload = block.workload();
        let [_, channels, rows, _] = workload.input_shape();
        let name = format!("{channels}->{} at {rows}", workload.output_channels());
        writeln!(
            out,
            "{name:>18} {min:>9.1} {median:>9.1} {:>8.1}  {}; {}",
            gflops(workload.flops(), median),
            block.kernel().schedule().schedule(),
            block.origin(),
        )?;
        total_min += min;
        total_median += median;
        total_flops += workload.flops();
    }
    writeln!(
        out,
        "{:>18} {total_min:>9.1} {total_median:>9.1} {:>8.1}",
        "total",
        gflops(total_flops, total_median)
    )
}

fn gflops(flops: u64, us: f64) -> f64 {
    flops as f64 / us / 1e3
}
