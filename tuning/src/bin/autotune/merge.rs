//! `autotune merge`: the records of several caches in one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dsconv::{Database, DatabaseError, MergePolicy};
use serde::Serialize;

use crate::caches::{self, records};
use crate::failure::Failure;
use crate::output;

/// Flags of `autotune merge`.
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// The TOML caches, all of one CPU model
    #[arg(value_name = "FILE", required = true)]
    caches: Vec<PathBuf>,

    /// Where all records go; those that are there already take part
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Which of two records of the same workload, instruction set, threads and objective stays
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,

    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Which of two records stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// The one with the lower median
    #[default]
    Best,
    /// The one with the later date
    Newest,
}

impl From<Policy> for MergePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Best => Self::Best,
            Policy::Newest => Self::Newest,
        }
    }
}

/// What became of the caches.
#[derive(Serialize)]
struct MergeReport {
    output: String,
    records: usize,
    inputs: Vec<Input>,
}

/// One of the caches.
#[derive(Serialize)]
struct Input {
    cache: String,
    records: usize,
    /// Records of it that are in the output.
    taken: usize,
}

/// Reads all, then writes.
pub(crate) fn merge(args: &MergeArgs) -> Result<(), Failure> {
    let mut inputs = Vec::new();
    for path in &args.caches {
        inputs.push((path, caches::load(path)?.0));
    }
    let mut merged = Database::new(inputs[0].1.cpu().clone());
    for (path, database) in &inputs {
        merged
            .merge_by(database.clone(), args.policy.into())
            .map_err(|source| DatabaseError::OtherCpu { path: path.to_path_buf(), source })?;
    }
    merged.commit_by(&args.output, args.policy.into())?;
    let written = Database::load(&args.output)?.database;
    let is_taken = |record: &&dsconv::Record| {
        written.find(&record.workload, record.isa, record.threads, record.objective)
            == Some(*record)
    };
    let report = MergeReport {
        output: args.output.display().to_string(),
        records: written.len(),
        inputs: inputs
            .iter()
            .map(|(path, database)| Input {
                cache: path.display().to_string(),
                records: database.len(),
                taken: database.records().filter(is_taken).count(),
            })
            .collect(),
    };
    if args.json {
        return output::print_json(&report);
    }
    let lines = report.inputs.iter().map(|input| {
        format!("{}: {}, {} taken\n", input.cache, records(input.records), input.taken)
    });
    let text: String = lines.collect();
    output::print(&format!("{text}{}: {}\n", report.output, records(report.records)))
}
