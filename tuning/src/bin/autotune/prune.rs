//! `autotune prune`: drops records of a cache.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{ArgGroup, Args};
use dsconv::cpu::CpuModel;
use dsconv::{Database, Isa, Record};
use serde::Serialize;

use crate::args;
use crate::caches::{self, records};
use crate::failure::Failure;
use crate::output;
use crate::recheck;
use crate::show::RecordReport;

/// Flags of `autotune prune`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").multiple(true).required(true))]
pub(crate) struct PruneArgs {
    /// Records whose workload contains this text, such as nhwc
    #[arg(
        long,
        value_name = "TEXT",
        group = "what",
        help_heading = "Drops records that match all of"
    )]
    workload: Option<String>,

    /// Records of this instruction set
    #[arg(
        long,
        value_name = "ISA",
        group = "what",
        help_heading = "Drops records that match all of"
    )]
    isa: Option<Isa>,

    /// Records for this number of threads
    #[arg(
        long,
        value_name = "N",
        group = "what",
        help_heading = "Drops records that match all of"
    )]
    threads: Option<usize>,

    /// Records of an older date, such as 90days
    #[arg(
        long,
        value_name = "TIME",
        group = "what",
        value_parser = parse_age,
        help_heading = "Drops records that match all of"
    )]
    older_than: Option<Duration>,

    /// Records whose schedule this version does not allow
    #[arg(long, group = "what", help_heading = "And any of")]
    illegal: bool,

    /// Records that were tuned with generated code of another version
    #[arg(long, group = "what", help_heading = "And any of")]
    outdated: bool,

    /// The TOML cache [default: one file per CPU model in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,

    /// Prints what would be dropped and drops nothing
    #[arg(long)]
    dry_run: bool,

    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What was dropped.
#[derive(Serialize)]
struct PruneReport {
    cache: String,
    dry_run: bool,
    dropped: Vec<RecordReport>,
    left: usize,
    /// The file as it was.
    backup: Option<String>,
}

/// Drops, tells.
pub(crate) fn prune(args: &PruneArgs) -> Result<(), Failure> {
    let path = args::cache_path(args.cache.as_ref(), &CpuModel::host())?;
    let (database, _) = caches::load(&path)?;
    let cpu = database.cpu().clone();
    let now = SystemTime::now();
    let is_dropped = |record: &Record| args.matches(record, &cpu, now);
    let report = if args.dry_run {
        let (dropped, left): (Vec<&Record>, Vec<&Record>) =
            database.records().partition(|record| is_dropped(record));
        PruneReport {
            cache: path.display().to_string(),
            dry_run: true,
            dropped: dropped.into_iter().map(RecordReport::of).collect(),
            left: left.len(),
            backup: None,
        }
    } else {
        let pruned = Database::prune(&path, is_dropped)?;
        PruneReport {
            cache: path.display().to_string(),
            dry_run: false,
            dropped: pruned.records.iter().map(RecordReport::of).collect(),
            left: pruned.left,
            backup: pruned.backup.map(|path| path.display().to_string()),
        }
    };
    if args.json { output::print_json(&report) } else { output::print(&report.text()) }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write 12h, 90days or 1year"))
}

impl PruneArgs {
    fn matches(&self, record: &Record, cpu: &CpuModel, now: SystemTime) -> bool {
        let is_old = |age: Duration| {
            // A date that is none says nothing about age.
            let date = humantime::parse_rfc3339_weak(&record.provenance.date);
            date.is_ok_and(|date| now.duration_since(date).is_ok_and(|found| found > age))
        };
        let is_illegal = || {
            let target = recheck::target(record.isa, cpu);
            record.schedule.check(&record.workload, &target).is_err()
        };
        let has_no_reason = !self.illegal && !self.outdated;
        self.workload.as_ref().is_none_or(|part| record.workload.to_string().contains(part))
            && self.isa.is_none_or(|isa| record.isa == isa)
            && self.threads.is_none_or(|threads| record.threads == threads)
            && self.older_than.is_none_or(is_old)
            && (has_no_reason
                || (self.illegal && is_illegal())
                || (self.outdated && !record.is_current()))
    }
}

impl PruneReport {
    fn text(&self) -> String {
        let mut text = String::new();
        for record in &self.dropped {
            let RecordReport { workload, threads, median_us, .. } = record;
            text.push_str(&format!(
                "dropped: {median_us:.2} us on {threads} thread(s), {workload}\n"
            ));
        }
        let (count, left) = (records(self.dropped.len()), self.left);
        let verb = if self.dry_run { "would be dropped" } else { "dropped" };
        text.push_str(&format!("{}: {count} {verb}, {left} left\n", self.cache));
        if let Some(backup) = &self.backup {
            text.push_str(&format!("the file as it was: {backup}\n"));
        }
        text
    }
}
