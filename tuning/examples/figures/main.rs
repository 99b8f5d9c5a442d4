//! How good and how quick tuning is on this machine, in figures.
//!
//! ```sh
//! cargo run --release -p dsconv-tuning --example figures                      # all blocks
//! cargo run --release -p dsconv-tuning --example figures -- mbv2 effl0_5x5_7  # some of them
//! cargo run --release -p dsconv-tuning --example figures -- --exhaustive      # against all schedules
//! cargo run --release -p dsconv-tuning --example figures -- --threads 2 --layout nhwc
//! cargo run --release -p dsconv-tuning --example figures -- --winners         # who won each run
//! ```
//!
//! Each block of `benches/blocks.toml` is tuned three times with normal effort and other seeds (and
//! once exhaustively, if asked for). Then all that were ever the best of a run meet the winners and
//! the untuned default side by side: what a schedule costs here is its time there. Candidates run in a
//! worker, as those of `autotune` do. When all blocks are tuned, the winners of each meet by themselves, in
//! several passes over the blocks: regret is the median of these. To see what a busy machine does to it,
//! keep a core busy meanwhile.

use std::error::Error;
use std::io;
use std::time::Duration;

use clap::Parser;
use dsconv_tuning::measure::median;
use dsconv_tuning::worker;

use self::block::Block;
use self::meetings::Meetings;

mod block;
mod meetings;

/// Passes over the blocks in which winners meet: minutes apart, neighbours have other moods.
const PASSES: usize = 3;
const BLOCKS: &str = include_str!("../../../benches/blocks.toml");

/// What to tune, and how.
#[derive(clap::Parser)]
struct Arguments {
    /// Parts of the names of blocks; all blocks without
    names: Vec<String>,
    /// Tunes once more against all schedules
    #[arg(long)]
    exhaustive: bool,
    /// Prints each run's winner, and whether the run tried the best one of all runs
    #[arg(long)]
    winners: bool,
    /// Threads that blocks run on
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Layout of input and output: nchw or nhwc
    #[arg(long, default_value = "nchw")]
    layout: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return Ok(worker::serve(io::stdin().lock(), io::stdout().lock())?);
    }
    let arguments = Arguments::parse();
    let names = &arguments.names;
    let mut blocks = Vec::new();
    println!(
        "{:<16} {:>8}  {:>7}  {:>10}  {:>8}",
        "block", "best us", "default", "2 % in", "trials/s"
    );
    for (name, line) in named_workloads() {
        if !names.is_empty() && !names.iter().any(|wanted| name.contains(wanted)) {
            continue;
        }
        let workload = line.replacen("nchw", &arguments.layout, 1).parse()?;
        let block = Block::tune(&workload, arguments.threads, arguments.exhaustive)?;
        println!(
            "{name:<16} {:>8.1}  {:>7.3}  {:>8.2} s  {:>8.0}",
            block.best_us,
            block.default,
            median_s(&block.within_two_percent),
            median(&block.trials_per_s),
        );
        blocks.push((name, block, Meetings::default()));
    }
    for _ in 0..PASSES {
        for (_, block, meetings) in &mut blocks {
            meetings.meet(block, arguments.threads)?;
        }
    }

    println!("\n{:<16} {:>13}  {:>5}", "block", "regret", "noise");
    for (name, block, meetings) in &blocks {
        let regrets = meetings.regrets(block);
        let (middle, worst) = (median(&regrets), most(&regrets));
        println!("{name:<16} {middle:>5.3} / {worst:>5.3}  {:>5.3}", meetings.noise(block));
        if arguments.winners {
            print_winners(block, &regrets);
        }
    }
    print_summary(&blocks);
    Ok(())
}

fn print_winners(block: &Block, regrets: &[f64]) {
    let best = block.runs.iter().zip(regrets).min_by(|a, b| a.1.total_cmp(b.1));
    for (run, regret) in block.runs.iter().zip(regrets) {
        let tried = best.is_some_and(|(best, _)| run.tried.contains(&best.winner));
        let tried = if tried { "tried" } else { "did not try" };
        let flag = if run.is_contended { ", contended" } else { "" };
        println!("  {regret:.3}, {tried} the best winner{flag}: {}", run.winner);
    }
}

fn print_summary(blocks: &[(&str, Block, Meetings)]) {
    let regrets: Vec<f64> = blocks.iter().flat_map(|(_, it, met)| met.regrets(it)).collect();
    let undisturbed: Vec<f64> =
        blocks.iter().flat_map(|(_, it, met)| met.undisturbed_regrets(it)).collect();
    let noises: Vec<f64> = blocks.iter().map(|(_, it, met)| met.noise(it)).collect();
    let contended: Vec<bool> =
        blocks.iter().flat_map(|(_, it, _)| it.runs.iter().map(|run| run.is_contended)).collect();
    let of_others = regrets.iter().zip(&contended).filter(|(_, contended)| !**contended);
    let of_others: Vec<f64> = of_others.map(|(regret, _)| *regret).collect();
    let near = blocks.iter().filter(|(_, it, _)| it.default <= 1.1).count();
    let times: Vec<Duration> =
        blocks.iter().flat_map(|(_, it, _)| it.within_two_percent.clone()).collect();

    println!("regret between runs: median {:.3}, worst {:.3}", median(&regrets), most(&regrets));
    println!(
        "the same by least times: median {:.3}, worst {:.3}",
        median(&undisturbed),
        most(&undisturbed)
    );
    println!("the same winners' regrets differ from pass to pass by up to {:.3}", most(&noises));
    println!(
        "flagged as contended: {} of {} runs; worst regret of the others {:.3}",
        contended.len() - of_others.len(),
        contended.len(),
        most(&of_others),
    );
    println!("default within 10 % of the best: {near} of {} blocks", blocks.len());
    println!("within 2 % of the best after {:.2} s, median of all runs", median_s(&times));
}

fn most(ratios: &[f64]) -> f64 {
    ratios.iter().copied().fold(0.0, f64::max)
}

fn median_s(times: &[Duration]) -> f64 {
    median(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())
}

/// Names and workloads of the blocks.
fn named_workloads() -> impl Iterator<Item = (&'static str, &'static str)> {
    BLOCKS.lines().filter_map(|line| {
        let (name, text) = line.split_once(" = ")?;
        Some((name, text.trim_matches('"')))
    })
}
