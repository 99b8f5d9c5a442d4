//! `autotune diff`: two caches, record by record.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use dsconv::{Database, Isa, Objective, Record, Schedule};
use serde::Serialize;

use crate::caches::{self, records};
use crate::compare::{Change, Verdict, parse_percent};
use crate::failure::Failure;
use crate::output;

/// Flags of `autotune diff`.
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The TOML cache to start from
    #[arg(value_name = "A")]
    before: PathBuf,

    /// The TOML cache to compare with it
    #[arg(value_name = "B")]
    after: PathBuf,

    /// Differences that count as none, in per cent
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_percent)]
    tolerance: f64,

    /// Ends with exit code 3 if B has a slower record
    #[arg(long)]
    fail_if_slower: bool,

    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// All differences.
#[derive(Serialize)]
struct DiffReport {
    before: Side,
    after: Side,
    records: Vec<Pair>,
    /// Geometric mean of B's times over A's, of the records that both have.
    mean_ratio: Option<f64>,
}

/// One of the caches.
#[derive(Serialize)]
struct Side {
    cache: String,
    cpu: String,
}

/// A record of either cache or of both.
#[derive(Serialize)]
struct Pair {
    workload: String,
    isa: Isa,
    threads: usize,
    objective: Objective,
    outcome: Outcome,
    before_us: Option<f64>,
    after_us: Option<f64>,
    #[serde(flatten)]
    change: Option<Change>,
    schedule_before: Option<Schedule>,
    schedule_after: Option<Schedule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Alike,
    Faster,
    Slower,
    OnlyInA,
    OnlyInB,
}

/// Compares and reports.
pub(crate) fn diff(args: &DiffArgs) -> Result<(), Failure> {
    let (before, _) = caches::load(&args.before)?;
    let (after, _) = caches::load(&args.after)?;
    let report = DiffReport::of(args, &before, &after);
    if !args.json && !before.cpu().is_same_model(after.cpu()) {
        eprintln!(
            "note: A is of {}, B of {}: the machines differ",
            report.before.cpu, report.after.cpu
        );
    }
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.text())?;
    }
    match report.count(Outcome::Slower) {
        slower if slower > 0 && args.fail_if_slower => {
            Err(Failure::Attention(format!("{} slower in {}", records(slower), report.after.cache)))
        }
        _ => Ok(()),
    }
}

impl DiffReport {
    fn of(args: &DiffArgs, before: &Database, after: &Database) -> Self {
        let side = |path: &PathBuf, database: &Database| Side {
            cache: path.display().to_string(),
            cpu: database.cpu().file_stem(),
        };
        let mut pairs: BTreeMap<_, [Option<&Record>; 2]> = BTreeMap::new();
        for (index, database) in [before, after].into_iter().enumerate() {
            for record in database.records() {
                let key =
                    (record.workload.to_string(), record.isa, record.threads, record.objective);
                pairs.entry(key).or_default()[index] = Some(record);
            }
        }
        let pairs: Vec<Pair> = pairs
            .into_iter()
            .map(|((workload, isa, threads, objective), [before, after])| {
                let change = before.zip(after).map(|(before, after)| {
                    Change::between(&before.measurement, &after.measurement)
                });
                let outcome = match change.map(|change| change.verdict(args.tolerance)) {
                    Some(Verdict::Alike) => Outcome::Alike,
                    Some(Verdict::Faster) => Outcome::Faster,
                    Some(Verdict::Slower) => Outcome::Slower,
                    None if before.is_some() => Outcome::OnlyInA,
                    None => Outcome::OnlyInB,
                };
                Pair {
                    workload,
                    isa,
                    threads,
                    objective,
                    outcome,
                    before_us: before.map(|it| it.measurement.median_us),
                    after_us: after.map(|it| it.measurement.median_us),
                    change,
                    schedule_before: before.map(|it| it.schedule),
                    schedule_after: after.map(|it| it.schedule),
                }
            })
            .collect();
        Self {
            before: side(&args.before, before),
            after: side(&args.after, after),
            mean_ratio: mean_ratio(&pairs),
            records: pairs,
        }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.records.iter().filter(|it| it.outcome == outcome).count()
    }

    /// A line for each record, and for each schedule that changed; then the sum.
    fn text(&self) -> String {
        let mut text: String = self.records.iter().map(Pair::lines).collect();
        let parts: Vec<String> = [
            (Outcome::Alike, "alike"),
            (Outcome::Faster, "faster in B"),
            (Outcome::Slower, "slower in B"),
            (Outcome::OnlyInA, "only in A"),
            (Outcome::OnlyInB, "only in B"),
        ]
        .into_iter()
        .map(|(outcome, name)| (self.count(outcome), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
        text.push_str(&records(self.records.len()));
        if !parts.is_empty() {
            text.push_str(&format!(": {}", parts.join(", ")));
        }
        if let Some(ratio) = self.mean_ratio {
            text.push_str(&format!("; B takes {:.1} % of A's time on average", 100.0 * ratio));
        }
        text.push('\n');
        text
    }
}

/// Geometric mean; times of zero are left out.
fn mean_ratio(pairs: &[Pair]) -> Option<f64> {
    let logarithms: Vec<f64> = pairs
        .iter()
        .filter_map(|pair| Some(pair.after_us? / pair.before_us?))
        .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
        .map(f64::ln)
        .collect();
    let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
    (!logarithms.is_empty()).then(|| mean.exp())
}

impl Pair {
    fn lines(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Alike => "alike",
            Outcome::Faster => "faster",
            Outcome::Slower => "SLOWER",
            Outcome::OnlyInA => "only in A",
            Outcome::OnlyInB => "only in B",
        };
        let us = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |us| format!("{us:.2}"));
        let change = self.change.map_or_else(String::new, |change| {
            // Nothing measured is certain.
            let sure = |percent: f64| format!("{:.1} % sure", percent.min(99.9));
            let sure = change.confidence_percent.map_or_else(|| "unknown".to_owned(), sure);
            format!("{:>+7.1} %  {sure}", change.percent)
        });
        let (before, after) = (us(self.before_us), us(self.after_us));
        let Self { threads, isa, workload, objective, .. } = self;
        let objective = match objective {
            Objective::Warm => "",
            Objective::Cold => " cold",
        };
        let mut lines = format!(
            "{outcome:<9} {before:>9} -> {after:>9} us {change:<22} {threads} x {isa}{objective}  {workload}\n"
        );
        if let (Some(before), Some(after)) = (self.schedule_before, self.schedule_after)
            && before != after
        {
            lines.push_str(&format!("            A {before}\n            B {after}\n"));
        }
        lines
    }
}
