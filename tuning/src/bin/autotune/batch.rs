//! `autotune --batch FILE`: tunes the workloads of a file, or one machine's share of them.

use std::path::Path;

use dsconv_tuning::batch::{self, Item};
use serde::Serialize;

use crate::args::TuneArgs;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::show::RecordReport;

/// What became of a batch.
#[derive(Default, Serialize)]
struct BatchReport {
    records: Vec<Tuned>,
    /// Workloads that the cache had already.
    known: Vec<String>,
    failed: Vec<Failed>,
}

/// A record, with the name that the file gives its workload.
#[derive(Serialize)]
struct Tuned {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    record: RecordReport,
}

/// A workload that could not be tuned.
#[derive(Serialize)]
struct Failed {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    workload: String,
    reason: String,
}

/// Tunes one workload after the other. One that fails does not keep the others from their turn.
pub(crate) fn tune(args: &TuneArgs, file: &Path) -> Result<(), Failure> {
    let items = items(args, file)?;
    let talks = !args.verbosity.quiet && !args.verbosity.json;
    if args.dry_run {
        // Lines that are a batch themselves, in which a name is a comment.
        let lines = items.iter().map(|Item { name, workload, weight }| {
            let name = name.as_ref().map_or_else(String::new, |name| format!("# {name}\n"));
            format!("{name}{weight} {workload}\n")
        });
        return output::print(&lines.collect::<String>());
    }
    let session = Session::start(args)?;
    let mut report = BatchReport::default();
    let mut interrupted = false;
    for (index, item) in items.iter().enumerate() {
        let workload = &item.workload;
        let named = item.name.as_ref().map_or_else(String::new, |name| format!("{name}  "));
        let place = format!("{}/{}  {named}", index + 1, items.len());
        if session.is_done(workload) {
            if talks {
                output::print(&format!("{place}{workload}: in the cache already\n"))?;
            }
            report.known.push(workload.to_string());
            continue;
        }
        let reason = match session.tune(workload) {
            Ok(done) => {
                interrupted = done.interrupted;
                let record = RecordReport::of(&done.tuned.record);
                if talks {
                    output::print(&format!(
                        "{place}{workload}: {:.2} us, {:.2}x the default's speed, {:.1} s\n",
                        record.median_us,
                        record.speedup_over_default,
                        done.elapsed.as_secs_f64(),
                    ))?;
                }
                report.records.push(Tuned { name: item.name.clone(), record });
                done.committed.error
            }
            Err(failure) => Some(failure.to_string()),
        };
        if let Some(reason) = reason {
            eprintln!("{place}{workload}: {reason}");
            let (name, workload) = (item.name.clone(), workload.to_string());
            report.failed.push(Failed { name, workload, reason });
        }
        if interrupted {
            break;
        }
    }
    if args.verbosity.json {
        output::print_json(&report)?;
    } else if talks {
        let (tuned, known, failed) =
            (report.records.len(), report.known.len(), report.failed.len());
        let path = session.path.display();
        output::print(&format!(
            "{tuned} tuned, {known} known before, {failed} failed; in {path}\n"
        ))?;
    }
    if interrupted {
        return Err(Failure::Interrupted);
    }
    match report.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("{failed} of {} workloads failed", items.len()))),
    }
}

/// The workloads of the file that are this process's to tune, in their order. A file whose name ends
/// in `.toml` gives names.
fn items(args: &TuneArgs, file: &Path) -> Result<Vec<Item>, Failure> {
    let in_file = |error: String| Failure::Failed(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| in_file(error.to_string()))?;
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    let items = if is_toml { batch::parse_toml(&text) } else { batch::parse(&text) };
    let items = items.map_err(|error| in_file(error.to_string()))?;
    if items.is_empty() {
        return Err(in_file("holds no workload, one a line is expected".to_owned()));
    }
    Ok(match args.shard {
        Some(shard) => batch::shard(items, shard),
        None => items,
    })
}
