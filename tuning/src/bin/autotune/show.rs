//! `autotune show`: the records of a cache, as a table or as JSON.

use comfy_table::{CellAlignment, Table, presets};
use dsconv::cpu::CpuModel;
use dsconv::{Database, Isa, Objective, Record, Schedule, Workload};
use serde::Serialize;

use crate::args::{self, ShowArgs};
use crate::failure::Failure;
use crate::output;

/// One record, with its units in the names.
#[derive(Serialize)]
pub(crate) struct RecordReport {
    pub(crate) workload: String,
    pub(crate) threads: usize,
    isa: Isa,
    objective: Objective,
    pub(crate) schedule: Schedule,
    pub(crate) median_us: f64,
    min_us: f64,
    pub(crate) spread_us: f64,
    pub(crate) samples: u32,
    gflops: f64,
    pub(crate) default_us: f64,
    pub(crate) speedup_over_default: f64,
    pub(crate) runner_up: Option<RunnerUpReport>,
    version: String,
    code_generation: u32,
    pub(crate) strategy: String,
    trials: u64,
    pub(crate) seed: u64,
    date: String,
    /// Whether something else used the machine while it was timed.
    contended: bool,
}

/// The second best.
#[derive(Serialize)]
pub(crate) struct RunnerUpReport {
    schedule: Schedule,
    pub(crate) median_us: f64,
    pub(crate) slower_percent: f64,
}

/// All of a cache.
#[derive(Serialize)]
struct CacheReport {
    cache: String,
    cpu: CpuModel,
    records: Vec<RecordReport>,
    warnings: Vec<String>,
}

impl RecordReport {
    pub(crate) fn of(record: &Record) -> Self {
        let measurement = &record.measurement;
        let provenance = &record.provenance;
        Self {
            workload: record.workload.to_string(),
            threads: record.threads,
            isa: record.isa,
            objective: record.objective,
            schedule: record.schedule,
            median_us: measurement.median_us,
            min_us: measurement.min_us,
            spread_us: measurement.spread_us,
            samples: measurement.samples,
            gflops: gflops(&record.workload, measurement.median_us),
            default_us: provenance.default_us,
            speedup_over_default: provenance.default_us / measurement.median_us,
            runner_up: record.runner_up.as_ref().map(|second| RunnerUpReport {
                schedule: second.schedule,
                median_us: second.median_us,
                slower_percent: 100.0 * (second.median_us / measurement.median_us - 1.0),
            }),
            version: provenance.version.clone(),
            code_generation: provenance.code_generation,
            strategy: provenance.strategy.clone(),
            trials: provenance.trials,
            seed: provenance.seed,
            date: provenance.date.clone(),
            contended: provenance.contended,
        }
    }

    pub(crate) fn gflops(&self) -> f64 {
        self.gflops
    }
}

/// Billions of operations per second of a run that takes `us` microseconds.
pub(crate) fn gflops(workload: &Workload, us: f64) -> f64 {
    workload.flops() as f64 / us / 1e3
}

/// Prints a cache. A cache that the user did not name may be absent: nothing was tuned yet.
pub(crate) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let cpu = CpuModel::host();
    let path = args::cache_path(args.cache.as_ref(), &cpu)?;
    let (database, warnings) = if args.cache.is_none() && !path.exists() {
        (Database::new(cpu), Vec::new())
    } else {
        let loaded = Database::load(&path)?;
        (loaded.database, loaded.warnings.iter().map(ToString::to_string).collect())
    };
    let report = CacheReport {
        cache: path.display().to_string(),
        cpu: database.cpu().clone(),
        records: database.records().map(RecordReport::of).collect(),
        warnings,
    };
    if args.json {
        return output::print_json(&report);
    }
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    if report.records.is_empty() {
        return output::print(&format!("no records in {}\n", report.cache));
    }
    let count = report.records.len();
    let plural = if count == 1 { "" } else { "s" };
    let contended = report.records.iter().filter(|record| record.contended).count();
    let legend = match contended {
        0 => String::new(),
        _ => format!(
            "\n{MARK} timed while something else used the machine ({contended} of {count})\n"
        ),
    };
    output::print(&format!(
        "{}, {count} record{plural} for {}\n\n{}\n{legend}",
        report.cache,
        report.cpu.brand,
        table(&report.records)
    ))
}

/// Stands after a time that others may have disturbed.
const MARK: char = '*';

fn table(records: &[RecordReport]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "workload",
        "threads",
        "isa",
        "median us",
        "GFLOP/s",
        "over default",
        "runner-up",
        "date",
        "schedule",
    ]);
    for record in records {
        let runner_up = record
            .runner_up
            .as_ref()
            .map_or_else(|| "-".into(), |second| format!("+{:.1} %", second.slower_percent));
        table.add_row([
            record.workload.clone(),
            record.threads.to_string(),
            record.isa.to_string(),
            // The digits stay below each other.
            format!("{:.2}{}", record.median_us, if record.contended { MARK } else { ' ' }),
            format!("{:.1}", record.gflops),
            format!("{:.2}x", record.speedup_over_default),
            runner_up,
            record.date.clone(),
            record.schedule.to_string(),
        ]);
    }
    for numeric in [1, 3, 4, 5, 6] {
        if let Some(column) = table.column_mut(numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
