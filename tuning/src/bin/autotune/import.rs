//! `autotune import`: the records of a stranger's file, checked, into the user's cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use dsconv::cpu::CpuModel;
use dsconv::{Database, DatabaseError, MergePolicy, Merged, Record};
use serde::Serialize;

use crate::args::{self, parse_budget};
use crate::caches::{self, records};
use crate::failure::Failure;
use crate::merge::Policy;
use crate::output;
use crate::recheck::{self, Fate};

/// Flags of `autotune import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file to take records from
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The TOML cache [default: one file per CPU model in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,

    /// Which stays where the cache has a record already
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,

    /// Time to spend on timing each schedule here, such as 200ms or 2s
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = parse_budget)]
    budget: Duration,

    /// Believes the times of the file instead of timing each schedule here
    #[arg(long)]
    no_timing: bool,

    /// Checks, tells and writes nothing
    #[arg(long)]
    dry_run: bool,

    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What became of the file.
#[derive(Serialize)]
struct ImportReport {
    file: String,
    cache: String,
    cpu: String,
    /// Whether this is the CPU model that the records were tuned on.
    is_this_cpu: bool,
    written: bool,
    added: usize,
    replaced: usize,
    kept: usize,
    refused: Vec<Refused>,
    unreadable: usize,
    /// Records that this machine cannot run; they passed the legality check.
    unchecked: usize,
}

/// A record that was not taken.
#[derive(Serialize)]
struct Refused {
    workload: String,
    reason: String,
}

/// Checks each record, then commits those that passed.
pub(crate) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let host = CpuModel::host();
    let (database, unreadable) = caches::load(&args.file)?;
    let is_this_cpu = database.cpu().is_same_model(&host);
    // The caches that a stranger's machine shows are no news about this one.
    let cpu = if is_this_cpu { host } else { database.cpu().clone() };
    let path = args::cache_path(args.cache.as_ref(), &cpu)?;
    let present = present(&path, &cpu)?;

    let timing = (is_this_cpu && !args.no_timing).then_some(args.budget);
    let mut sound = Database::new(cpu.clone());
    let mut report = ImportReport {
        file: args.file.display().to_string(),
        cache: path.display().to_string(),
        cpu: cpu.file_stem(),
        is_this_cpu,
        written: false,
        added: 0,
        replaced: 0,
        kept: 0,
        refused: Vec::new(),
        unreadable,
        unchecked: 0,
    };
    let mut winners = Database::new(cpu);
    for record in database.records() {
        let rival = present.find(&record.workload, record.isa, record.threads, record.objective);
        if let (Some(budget), Some(rival), Policy::Best) = (timing, rival, args.policy) {
            match recheck::contest(rival, record, budget) {
                Ok(Some(record)) => winners.insert(record),
                Ok(None) => report.kept += 1,
                Err(fate) => report.note(record, fate),
            }
            continue;
        }
        match proven(record, timing) {
            Ok(record) => sound.insert(record),
            Err(fate) => {
                if matches!(fate, Fate::Unchecked(_)) {
                    sound.insert(record.clone());
                }
                report.note(record, fate);
            }
        }
    }
    let passed = sound.len() + winners.len() + report.kept;
    if !args.dry_run {
        for (records, policy) in [(&sound, args.policy.into()), (&winners, MergePolicy::Replace)] {
            if !records.is_empty() {
                let Merged { added, replaced, kept } = records.commit_by(&path, policy)?;
                report.added += added;
                report.replaced += replaced;
                report.kept += kept;
            }
        }
        report.written = true;
    }
    report.print(args, passed)?;
    report.end()
}

/// The record as it goes into the cache: with the times of this machine, where it is the same.
fn proven(record: &Record, timing: Option<Duration>) -> Result<Record, Fate> {
    match timing {
        Some(budget) => recheck::remeasured(record, budget),
        None => match recheck::recheck(record, None) {
            Fate::Sound(_) => Ok(record.clone()),
            fate => Err(fate),
        },
    }
}

/// What the cache holds now. Says before the work what a commit would say after it.
fn present(path: &Path, cpu: &CpuModel) -> Result<Database, Failure> {
    if !path.exists() {
        return Ok(Database::new(cpu.clone()));
    }
    let mut present = Database::load(path)?.database;
    present
        .merge(Database::new(cpu.clone()))
        .map_err(|source| DatabaseError::OtherCpu { path: path.to_owned(), source })?;
    Ok(present)
}

impl ImportReport {
    /// Tells of a record that did not prove itself here.
    fn note(&mut self, record: &Record, fate: Fate) {
        let workload = record.workload.to_string();
        match fate {
            Fate::Broken(reason) => {
                eprintln!("warning: {workload}: refused: {reason}");
                self.refused.push(Refused { workload, reason });
            }
            Fate::Unchecked(reason) => {
                eprintln!("note: {workload}: not to be run here: {reason}");
                self.unchecked += 1;
            }
            Fate::Sound(_) => {}
        }
    }

    fn print(&self, args: &ImportArgs, sound: usize) -> Result<(), Failure> {
        if args.json {
            return output::print_json(self);
        }
        let Self { added, replaced, kept, cache, .. } = self;
        let mut text = if self.written {
            format!("{cache}: {added} added, {replaced} replaced, {kept} left as they were\n")
        } else {
            format!("{cache}: nothing written; {} passed\n", records(sound))
        };
        if !self.is_this_cpu {
            text.push_str(&format!(
                "tuned on {}, another CPU: used where nothing of this CPU fits\n",
                self.cpu
            ));
        }
        output::print(&text)
    }

    fn end(&self) -> Result<(), Failure> {
        let refused = self.refused.len();
        if refused == 0 && self.unreadable == 0 {
            return Ok(());
        }
        Err(Failure::Attention(format!(
            "{}: {} refused, {} unreadable; see the warnings",
            self.file,
            records(refused),
            if self.unreadable == 1 {
                "one part".to_owned()
            } else {
                format!("{} parts", self.unreadable)
            },
        )))
    }
}
