//! Fits the figures of the cost model to what schedules really take on this machine.
//!
//! ```sh
//! cargo run --release -p dsconv-tuning --example fit -- record FOLDER                  # tunes all blocks
//! cargo run --release -p dsconv-tuning --example fit -- record FOLDER --layout nhwc
//! cargo run --release -p dsconv-tuning --example fit -- fit FOLDER                     # fits, and prints
//! ```
//!
//! `record` tunes each block of `benches/blocks.toml` (or of another file of that form), lets the best
//! of what was tried, a sample of the others and the first choices of each family meet side by side,
//! and writes their times as a [landscape](dsconv_tuning::landscape). `fit` starts from the figures for
//! the instruction set and changes one after the other, as long as the schedules of the least estimates
//! become faster: the loss of a block is the mean time over the best one's, as a logarithm, of its
//! schedules, each weighed by how near its estimate is to the least. What all other schedules take
//! counts a little, so that the figures stay near the truth where no schedule is chosen, and those that
//! hardly matter are pulled to where they were. What it prints goes to `kernels/src/cost/machine.rs`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use descent::fit;
use record::record;

mod descent;
mod record;

const BLOCKS: &str = include_str!("../../../benches/blocks.toml");

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Tunes blocks and writes what was measured
    Record {
        /// Where to
        folder: PathBuf,
        /// Names and workloads, one a line; those of `benches/blocks.toml` without
        #[arg(long)]
        blocks: Option<PathBuf>,
        /// Threads that blocks run on
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Layout of input and output: nchw or nhwc
        #[arg(long, default_value = "nchw")]
        layout: String,
        /// Fixes the order of proposals
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Fits the figures to what was measured
    Fit {
        /// Where it is
        folder: PathBuf,
        /// What a change of a figure by a factor of e has to save, as a part of the loss
        #[arg(long, default_value_t = 0.01)]
        pull: f64,
        /// Names of the figures that may change, with commas between; all without
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().what {
        What::Record { folder, blocks, threads, layout, seed } => {
            let text = blocks.map_or_else(|| Ok(BLOCKS.to_owned()), fs::read_to_string)?;
            fs::create_dir_all(&folder)?;
            for (name, line) in text.lines().filter_map(|line| line.split_once(" = ")) {
                let workload = line.trim_matches('"').replacen("nchw", &layout, 1).parse()?;
                let path = folder.join(format!("{name}-{layout}-{threads}-{seed}.txt"));
                record(&workload, threads, seed, &path)?;
                println!("{}", path.display());
            }
        }
        What::Fit { folder, pull, only } => fit(&folder, pull, &only)?,
    }
    Ok(())
}
