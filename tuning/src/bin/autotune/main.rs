//! `autotune`: finds the fastest schedule of a depthwise-separable convolution on this CPU.
//!
//! ```text
//! autotune --shape 1x32x112x112                      tune and keep the record
//! autotune --batch FILE --shard 1/8                  tune an eighth of the workloads of a file
//! autotune run --input x.npy --weights w.npz --output y.npy
//! autotune show                                      the records kept so far
//! autotune verify, diff, merge, export, import, prune cache files
//! autotune explain --shape 1x32x112x112              schedule, CLIF and machine code
//! autotune doctor                                    what to mend before tuning on this machine
//! ```
//!
//! Exit codes: 0 done, 1 failed, 2 the command line makes no sense, 3 done, but some records need
//! attention, 130 interrupted.

mod args;
mod batch;
mod caches;
mod compare;
mod diff;
mod disassembly;
mod doctor;
mod explain;
mod export;
mod failure;
mod flags;
mod import;
mod merge;
mod npy;
mod output;
mod ports;
mod progress;
mod prune;
mod recheck;
mod report;
mod run;
mod saving;
mod session;
mod show;
mod tensors;
mod tune;
mod values;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match carry_out(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has read enough.
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure @ Failure::Interrupted) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn carry_out(cli: &Cli) -> Result<(), Failure> {
    // The library takes a name it does not know for none; a person wants to hear of it.
    dsconv::Isa::cap().map_err(Failure::because)?;
    match &cli.command {
        None => tune::tune(&cli.tune),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Show(args)) => show::show(args),
        Some(Command::Explain(args)) => explain::explain(args),
        Some(Command::Verify(args)) => verify::verify(args),
        Some(Command::Diff(args)) => diff::diff(args),
        Some(Command::Merge(args)) => merge::merge(args),
        Some(Command::Export(args)) => export::export(args),
        Some(Command::Import(args)) => import::import(args),
        Some(Command::Prune(args)) => prune::prune(args),
        Some(Command::Doctor(args)) => doctor::doctor(args),
        Some(Command::Worker) => {
            let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
            dsconv_tuning::worker::serve(input, output).map_err(Failure::because)
        }
    }
}
