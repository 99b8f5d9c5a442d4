//! The command line: commands and their flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use dsconv::cpu::CpuModel;
use dsconv::{Database, Objective};
use dsconv_tuning::batch::Shard;
use dsconv_tuning::{Effort, StrategyKind};

use crate::diff::DiffArgs;
use crate::export::ExportArgs;
use crate::failure::Failure;
use crate::flags::{StageFlags, WorkloadArgs};
use crate::import::ImportArgs;
use crate::merge::MergeArgs;
use crate::prune::PruneArgs;
use crate::verify::VerifyArgs;

/// Finds the fastest schedule of a depthwise-separable convolution on this CPU and keeps it in a
/// TOML cache that the dsconv crate loads.
///
/// `autotune --shape 1x32x112x112` needs no other flag.
#[derive(Parser, Debug)]
#[command(
    name = "autotune",
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) tune: TuneArgs,
}

/// Everything but tuning.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs a block on .npy or .npz files with the schedule of the cache
    Run(Box<RunArgs>),
    /// Prints the records of a cache
    Show(ShowArgs),
    /// Prints the schedule of a workload, where it came from, its CLIF and its machine code
    Explain(Box<ExplainArgs>),
    /// Checks and times every record of a cache on this machine
    ///
    /// Each schedule is checked, compiled, compared with the reference on two sets of data, and
    /// timed. Ends with exit code 1 if a record is broken or a part of the file unreadable, with 3
    /// if all are sound and some are slower than recorded.
    Verify(VerifyArgs),
    /// Compares two caches, record by record
    ///
    /// How sure a difference is follows from spread and number of samples; one counts from 99 % on.
    Diff(DiffArgs),
    /// Joins caches of one CPU model, such as those of several machines
    Merge(MergeArgs),
    /// Copies the user's cache, or a part of it, to a file to hand on
    Export(ExportArgs),
    /// Takes the records of a stranger's file into the user's cache, after checking them
    ///
    /// Each schedule is checked, compiled and compared with the reference, and timed where the file
    /// is of this CPU model: the times taken here are kept, and a record of yours goes only where a
    /// stranger's is faster when both take turns. Records of another CPU model go to that model's
    /// file. Ends with exit code 3 if a record was refused.
    Import(ImportArgs),
    /// Drops records of a cache; the file as it was stays beside it
    Prune(PruneArgs),
    /// Prints what a tuner sees of this machine and what to mend before tuning on it
    Doctor(DoctorArgs),
    /// Compiles and times schedules for another autotune process, which speaks to it in lines
    #[command(hide = true)]
    Worker,
}

/// Flags of tuning.
#[derive(Args, Debug)]
pub(crate) struct TuneArgs {
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    /// Tunes the workloads of a file instead, one a line, in their text form or as benchdnn's
    /// descriptors, a weight before them if it is not 1; the heaviest first, and none twice. A file
    /// whose name ends in .toml holds lines of name = "workload"
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Batch",
        conflicts_with_all = ["workload", "array_flags", "stage_flags", "record_landscape"]
    )]
    pub(crate) batch: Option<PathBuf>,

    /// Tunes one of N parts of the batch, such as 1/8 to 8/8
    #[arg(long, value_name = "i/N", help_heading = "Batch")]
    pub(crate) shard: Option<Shard>,

    /// Tunes those again whose records say that something else used the machine meanwhile [default:
    /// leaves what the cache has]
    #[arg(long, help_heading = "Batch")]
    pub(crate) retune_contended: bool,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    /// How much trouble to take: quick (a second or two), normal (20 s at most, less where nothing
    /// is gained) or exhaustive (the whole space); the three flags below change parts of it
    #[arg(long, value_name = "EFFORT", default_value_t, help_heading = "Tuning")]
    pub(crate) effort: Effort,

    /// Time to spend, such as 500ms, 10s or 2m; all of it, unless nothing is left to try
    #[arg(long, value_name = "TIME", value_parser = parse_budget, help_heading = "Tuning")]
    pub(crate) budget: Option<Duration>,

    /// Schedules to try at most
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Tuning"
    )]
    pub(crate) trials: Option<u64>,

    /// How schedules are proposed: model, evolutionary, random or exhaustive
    #[arg(long, value_name = "STRATEGY", help_heading = "Tuning")]
    pub(crate) strategy: Option<StrategyKind>,

    /// State of the caches before each run: warm, as the run before left them, or cold, emptied
    #[arg(
        long,
        value_name = "STATE",
        default_value = "warm",
        value_parser = parse_objective,
        help_heading = "Tuning"
    )]
    pub(crate) objective: Objective,

    /// Seed of the search and of the test data
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Tuning")]
    pub(crate) seed: u64,

    /// Starts anew where an earlier run of the same workload was cut short [default: continues it]
    #[arg(long, help_heading = "Tuning")]
    pub(crate) anew: bool,

    /// Prints the workload, the search space and the untuned default, and times nothing
    #[arg(long, help_heading = "Tuning")]
    pub(crate) dry_run: bool,

    /// Tries the whole space and writes the time of every schedule to a file, for tests of strategies
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) record_landscape: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}

/// Which records count: those of a file and of a number of threads.
#[derive(Args, Clone, Debug)]
pub(crate) struct MachineArgs {
    /// Threads that run the block
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: u16,

    /// The TOML cache [default: one file per CPU model in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,
}

/// What is printed.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct VerbosityArgs {
    /// Prints one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Prints no progress and no notes
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Flags of `autotune run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The input: an .npy file, or an .npz file that may hold the weights as well
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) input: PathBuf,

    /// All weights in one .npz file: arrays named as the flags below (depthwise_weights, ...), or
    /// a PyTorch state_dict (0.weight, 0.bias, 2.weight, 2.bias)
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) weights: Option<PathBuf>,

    /// Depthwise weights, [C*M,1,R,S] for either layout
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) depthwise_weights: Option<PathBuf>,

    /// Depthwise biases, [C*M]
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) depthwise_bias: Option<PathBuf>,

    /// Slopes of a depthwise prelu, [C*M]
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) depthwise_slopes: Option<PathBuf>,

    /// Pointwise weights, [K,C*M,1,1] or [K,C*M] for either layout
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) pointwise_weights: Option<PathBuf>,

    /// Pointwise biases, [K]
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) pointwise_bias: Option<PathBuf>,

    /// Slopes of a pointwise prelu, [K]
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) pointwise_slopes: Option<PathBuf>,

    /// Added before the last activation; of the output's shape
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) residual: Option<PathBuf>,

    /// Where the output goes, as .npy
    #[arg(long, value_name = "FILE", help_heading = "Arrays")]
    pub(crate) output: PathBuf,

    /// The workload that the arrays must fit, in its text form, instead of the flags below
    #[arg(long, value_name = "TEXT", conflicts_with = "stage_flags", help_heading = "Workload")]
    pub(crate) workload: Option<dsconv::Workload>,

    #[command(flatten)]
    pub(crate) stages: StageFlags,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    /// Prints no notes
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Flags of `autotune show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The TOML cache [default: one file per CPU model in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,

    /// Prints one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `autotune explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    /// Prints the CLIF and nothing else
    #[arg(long, conflicts_with_all = ["asm_only", "no_clif"])]
    pub(crate) clif_only: bool,

    /// Prints the machine code and nothing else
    #[arg(long, conflicts_with = "no_asm")]
    pub(crate) asm_only: bool,

    /// Leaves out the CLIF
    #[arg(long)]
    pub(crate) no_clif: bool,

    /// Leaves out the machine code
    #[arg(long)]
    pub(crate) no_asm: bool,
}

/// Flags of `autotune doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Threads that are to be tuned for
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: u16,

    /// Prints one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl DoctorArgs {
    /// Threads that are to be tuned for.
    pub(crate) fn threads(&self) -> usize {
        usize::from(self.threads)
    }
}

impl MachineArgs {
    /// Threads that run the block.
    pub(crate) fn threads(&self) -> usize {
        usize::from(self.threads)
    }
}

/// The cache file: the given one, or the user's for this CPU model.
pub(crate) fn cache_path(given: Option<&PathBuf>, cpu: &CpuModel) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => Ok(path.clone()),
        None => Database::user_path(cpu).ok_or(Failure::NoCachePath),
    }
}

fn parse_objective(text: &str) -> Result<Objective, String> {
    match text {
        "warm" => Ok(Objective::Warm),
        "cold" => Ok(Objective::Cold),
        _ => Err("caches are warm or cold".to_owned()),
    }
}

pub(crate) fn parse_budget(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("the budget is zero; try 10s".into()),
        Ok(budget) => Ok(budget),
        Err(error) => Err(format!("{error}; write 500ms, 10s or 2m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }
}
