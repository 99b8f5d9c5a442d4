//! `autotune verify`: every record of a file put to the proof on this machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use dsconv::cpu::CpuModel;
use dsconv::{CODE_GENERATION, Database, Isa, MergePolicy, Objective, Record};
use serde::Serialize;

use crate::args::{self, parse_budget};
use crate::caches::{self, records};
use crate::compare::{Change, Verdict, parse_percent};
use crate::failure::Failure;
use crate::output;
use crate::recheck::{self, Fate};

/// Records that seem slower are timed again this often: a busy moment is no slow schedule.
const SECOND_LOOKS: usize = 2;

/// Flags of `autotune verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The TOML cache [default: one file per CPU model in the user's cache folder]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same, as other commands have it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    cache: Option<PathBuf>,

    /// Time to spend on timing each record, such as 200ms or 2s
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = parse_budget)]
    budget: Duration,

    /// How much longer than recorded a run may take, in per cent
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = parse_percent)]
    tolerance: f64,

    /// Checks records and times none
    #[arg(long)]
    no_timing: bool,

    /// Times records that were tuned with generated code of another version beside the default and
    /// their runners-up: those that are no slower than recorded and still lead are current again
    #[arg(long, conflicts_with = "no_timing")]
    renew: bool,

    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What became of all records.
#[derive(Serialize)]
struct VerifyReport {
    cache: String,
    cpu: String,
    timed: bool,
    unreadable: usize,
    /// Records of other code that are as fast and lead with that of now, too, and were written as its.
    renewed: usize,
    records: Vec<Verified>,
}

/// What became of one record.
#[derive(Serialize)]
struct Verified {
    workload: String,
    isa: Isa,
    threads: usize,
    objective: Objective,
    outcome: Outcome,
    /// Why it is broken or unchecked.
    reason: Option<String>,
    recorded_us: f64,
    now_us: Option<f64>,
    #[serde(flatten)]
    change: Option<Change>,
    /// Whether it counts as tuned with the code that this version generates.
    is_current: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Faster,
    Slower,
    Broken,
    Unchecked,
}

/// Checks, times, reports. Slower records have an exit code of their own, since a busy machine
/// makes them, too.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let host = CpuModel::host();
    let path = args::cache_path(args.file.as_ref().or(args.cache.as_ref()), &host)?;
    let (database, unreadable) = caches::load(&path)?;
    let cpu = database.cpu();
    let is_own = cpu.is_same_model(&host);
    if !is_own && !args.no_timing && !args.json {
        let (theirs, ours) = (cpu.file_stem(), host.file_stem());
        eprintln!("note: tuned on {theirs}, this is {ours}: times do not compare, none is taken");
    }
    if args.renew && !is_own {
        let (theirs, ours) = (cpu.file_stem(), host.file_stem());
        return Err(Failure::Failed(format!(
            "--renew times records on the CPU that they are for: {theirs}, this is {ours}"
        )));
    }
    let budget = (is_own && !args.no_timing).then_some(args.budget);
    let mut renewed = Database::new(cpu.clone());
    let mut report = VerifyReport {
        cache: path.display().to_string(),
        cpu: cpu.file_stem(),
        timed: budget.is_some(),
        unreadable,
        renewed: 0,
        records: Vec::new(),
    };
    for record in database.records() {
        let mut verified = Verified::of(record, budget, args.tolerance);
        if args.renew && verified.is_to_renew() && recheck::leads(record, args.budget) == Ok(true) {
            let mut record = record.clone();
            record.provenance.code_generation = CODE_GENERATION;
            renewed.insert(record);
            verified.is_current = true;
        }
        if !args.json {
            output::print(&verified.line())?;
        }
        report.records.push(verified);
    }
    if !renewed.is_empty() {
        // What another process has tuned meanwhile is newer, and stays.
        report.renewed = renewed.commit_by(&path, MergePolicy::Newest)?.replaced;
    }
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.summary())?;
    }
    report.end()
}

impl Verified {
    fn of(record: &Record, budget: Option<Duration>, tolerance: f64) -> Self {
        let mut verified = Self {
            workload: record.workload.to_string(),
            isa: record.isa,
            threads: record.threads,
            objective: record.objective,
            outcome: Outcome::Ok,
            reason: None,
            recorded_us: record.measurement.median_us,
            now_us: None,
            change: None,
            is_current: record.is_current(),
        };
        for _ in 0..=SECOND_LOOKS {
            match recheck::recheck(record, budget) {
                Fate::Sound(None) => {}
                Fate::Sound(Some(now)) => {
                    if verified.now_us.is_none_or(|earlier| now.median_us < earlier) {
                        verified.now_us = Some(now.median_us);
                        verified.change = Some(Change::between(&record.measurement, &now));
                    }
                }
                Fate::Broken(reason) => {
                    (verified.outcome, verified.reason) = (Outcome::Broken, Some(reason));
                }
                Fate::Unchecked(reason) => {
                    (verified.outcome, verified.reason) = (Outcome::Unchecked, Some(reason));
                }
            }
            let verdict = verified.change.map(|change| change.verdict(tolerance));
            match verdict {
                Some(Verdict::Slower) => verified.outcome = Outcome::Slower,
                Some(Verdict::Faster) => verified.outcome = Outcome::Faster,
                Some(Verdict::Alike) => verified.outcome = Outcome::Ok,
                None => {}
            }
            if verdict != Some(Verdict::Slower) {
                break;
            }
        }
        verified
    }

    /// Whether its times are of other code and still hold.
    fn is_to_renew(&self) -> bool {
        !self.is_current && matches!(self.outcome, Outcome::Ok | Outcome::Faster)
    }

    /// One line: outcome, times, workload.
    fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Faster => "faster",
            Outcome::Slower => "SLOWER",
            Outcome::Broken => "BROKEN",
            Outcome::Unchecked => "unchecked",
        };
        let now = match (self.now_us, self.change) {
            (Some(now), Some(change)) => format!("now {now:>9.2} us {:>+7.1} %", change.percent),
            _ => String::new(),
        };
        let Self { recorded_us, threads, isa, workload, .. } = self;
        let reason = self.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        format!(
            "{outcome:<9} {recorded_us:>9.2} us {now:<26} {threads} x {isa}  {workload}{reason}\n"
        )
    }
}

impl VerifyReport {
    fn count(&self, outcome: Outcome) -> usize {
        self.records.iter().filter(|it| it.outcome == outcome).count()
    }

    fn summary(&self) -> String {
        let mut text = format!("{}: {}", self.cache, records(self.records.len()));
        for (outcome, name) in [
            (Outcome::Ok, "as recorded"),
            (Outcome::Faster, "faster"),
            (Outcome::Slower, "slower than recorded"),
            (Outcome::Broken, "broken"),
            (Outcome::Unchecked, "not checked"),
        ] {
            let count = self.count(outcome);
            let name = if self.timed || outcome != Outcome::Ok { name } else { "sound" };
            if count > 0 {
                text.push_str(&format!(", {count} {name}"));
            }
        }
        text.push('\n');
        if self.renewed > 0 {
            text.push_str(&format!(
                "{} of other code renewed: with that of now they are as fast and still lead\n",
                records(self.renewed)
            ));
        }
        let old = self.records.iter().filter(|it| !it.is_current).count();
        if old > 0 {
            text.push_str(&format!(
                "{} tuned with generated code of another version (now {CODE_GENERATION}): sound, \
                 but maybe no longer the fastest; try --renew, or tune again\n",
                records(old)
            ));
        }
        text
    }

    fn end(&self) -> Result<(), Failure> {
        let (broken, slower) = (self.count(Outcome::Broken), self.count(Outcome::Slower));
        if broken > 0 {
            let all = self.records.len();
            return Err(Failure::Failed(format!(
                "{broken} of {} broken; drop what is illegal with \
                `autotune prune --illegal`, tune the rest again",
                records(all)
            )));
        }
        if self.unreadable > 0 {
            return Err(Failure::Failed(format!(
                "{}: {} unreadable, see the warnings",
                self.cache,
                if self.unreadable == 1 {
                    "one part is".to_owned()
                } else {
                    format!("{} parts are", self.unreadable)
                }
            )));
        }
        if slower > 0 {
            return Err(Failure::Attention(format!("{} slower than recorded", records(slower))));
        }
        Ok(())
    }
}
