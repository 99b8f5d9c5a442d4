//! `autotune --shape ...`: tunes one workload and keeps the record.

use std::time::Instant;

use dsconv::cpu::{self, CpuModel};
use dsconv::{Database, cost};
use dsconv_tuning::worker::Program;
use dsconv_tuning::{SearchSpace, TuneOptions, peak, tune_in_worker};

use crate::args::{self, TuneArgs};
use crate::failure::Failure;
use crate::flags::Request;
use crate::output;
use crate::progress::Progress;
use crate::report::{Committed, DryRunReport, Report, SpaceReport};
use crate::saving::Saving;

/// Searches, commits, reports.
pub(crate) fn tune(args: &TuneArgs) -> Result<(), Failure> {
    let request = args.workload.request()?;
    let talks = !args.verbosity.quiet && !args.verbosity.json;
    if talks {
        request.note_defaults();
    }
    if args.dry_run {
        return dry_run(args, &request);
    }

    let host = CpuModel::host();
    // Before the search, so that a missing home is not found out after it.
    let path = args::cache_path(args.machine.cache.as_ref(), &host)?;
    let peak_gflops = peak::fma_peak_gflops(args.machine.threads());
    let start = Instant::now();
    let mut progress = Progress::new(&request.workload, peak_gflops, args.trials, talks);
    let program = Program::this(["worker"]).map_err(Failure::because)?;
    let (workload, target) = (&request.workload, cpu::host_target());
    let tuned = tune_in_worker(workload, &target, &options(args), &program, &mut progress);
    progress.finish();
    let tuned = tuned.map_err(Failure::because)?;

    let mut database = Database::new(host);
    database.insert(tuned.record.clone());
    let committed = Committed::commit(&database, &path);
    let failed = committed.error.clone();
    let report = Report::new(&request, &tuned, peak_gflops, start.elapsed(), committed);
    if args.verbosity.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_string())?;
    }
    match failed {
        None => Ok(()),
        Some(reason) => Err(Failure::NotCommitted { path, reason }),
    }
}

fn options(args: &TuneArgs) -> TuneOptions {
    let defaults = TuneOptions::default();
    TuneOptions {
        threads: args.machine.threads(),
        budget: args.budget,
        max_trials: args.trials,
        seed: args.seed,
        strategy: args.strategy.unwrap_or(defaults.strategy),
        ..defaults
    }
}

fn dry_run(args: &TuneArgs, request: &Request) -> Result<(), Failure> {
    let target = cpu::host_target();
    let threads = args.machine.threads();
    let space = SearchSpace::new(&request.workload, &target, threads);
    let report = DryRunReport {
        workload: request.workload.to_string(),
        threads,
        defaults_taken: request.defaults_taken.clone(),
        saving: Saving::of(&request.workload),
        default_schedule: *cost::default_schedule(&request.workload, &target).schedule(),
        space: SpaceReport::of(space.summary()),
    };
    if args.verbosity.json {
        output::print_json(&report)
    } else {
        output::print(&report.to_string())
    }
}
