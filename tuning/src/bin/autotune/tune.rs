//! `autotune --shape ...`: tunes one workload and keeps the record.

use std::time::{Duration, Instant};

use dsconv::cpu::{self, CpuModel};
use dsconv::{Database, cost};
use dsconv_tuning::journal::{Identity, Journal};
use dsconv_tuning::landscape::Landscape;
use dsconv_tuning::worker::Program;
use dsconv_tuning::{SearchSpace, StopReason, TuneOptions, peak, tune_in_worker};

use crate::args::{self, TuneArgs};
use crate::failure::Failure;
use crate::flags::Request;
use crate::output;
use crate::progress::{Progress, seconds};
use crate::report::{Committed, DryRunReport, Report, SpaceReport};
use crate::saving::Saving;
use crate::watch::{Interrupt, Watch};

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
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(&request.workload, peak_gflops, args.trials, talks);
    let mut watch = Watch::new(progress, interrupt);
    let program = Program::this(["worker"]).map_err(Failure::because)?;
    let (workload, target) = (&request.workload, cpu::host_target());
    let mut options = options(args);
    let identity = Identity::new(workload, &target, options.threads, options.objective);
    let past = watch.resume(&path, &identity, args.anew);
    if talks && !past.trials.is_empty() {
        let (trials, spent) = (past.trials.len(), seconds(past.spent));
        eprintln!("continues an earlier run: {trials} trials in {spent} (--anew forgets them)");
    }
    options.budget = budget_left(options.budget, past.spent);
    options.resumed = past.trials;
    let tuned = tune_in_worker(workload, &target, &options, &program, &mut watch);
    let interrupted = matches!(&tuned, Ok(tuned) if tuned.stopped == StopReason::Cancelled);
    let broken = watch.broken.take().filter(|_| talks);
    let journal = watch.finish();
    if let Some(reason) = broken {
        eprintln!("no journal, so that a killed run would start anew: {reason}");
    }
    let tuned = tuned.map_err(Failure::because)?;
    if let Some(file) = &args.record_landscape {
        let landscape = Landscape::of(&tuned, &target, &options);
        std::fs::write(file, landscape.to_string())
            .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    }

    let mut database = Database::new(host);
    database.insert(tuned.record.clone());
    let committed = Committed::commit(&database, &path);
    let failed = committed.error.clone();
    // Only now is nothing lost that the journal still holds.
    if failed.is_none()
        && !interrupted
        && let Some(Err(error)) = journal.map(Journal::remove)
    {
        tracing::debug!(%error, "the journal stays");
    }
    let report = Report::new(&request, &tuned, peak_gflops, start.elapsed(), committed);
    if args.verbosity.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_string())?;
    }
    match failed {
        None if interrupted => Err(Failure::Interrupted),
        None => Ok(()),
        Some(reason) => Err(Failure::NotCommitted { path, reason }),
    }
}

/// What an earlier run left of the budget; enough for a confirmation in any case.
fn budget_left(budget: Duration, spent: Duration) -> Duration {
    budget.saturating_sub(spent).max(budget / 6)
}

fn options(args: &TuneArgs) -> TuneOptions {
    let effort = args.effort.options();
    // Who names a budget, a number of trials or a strategy wants that much of it.
    let is_named = args.budget.is_some() || args.trials.is_some() || args.strategy.is_some();
    TuneOptions {
        threads: args.machine.threads(),
        budget: args.budget.unwrap_or(effort.budget),
        max_trials: args.trials,
        plateau: effort.plateau.filter(|_| !is_named),
        seed: args.seed,
        strategy: args.strategy.unwrap_or(effort.strategy),
        ..effort
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
