//! `autotune --shape ...`: tunes one workload and keeps the record.

use dsconv::{cost, cpu};
use dsconv_tuning::SearchSpace;

use crate::args::TuneArgs;
use crate::batch;
use crate::failure::Failure;
use crate::flags::Request;
use crate::output;
use crate::report::{DryRunReport, Report, SpaceReport};
use crate::saving::Saving;
use crate::session::Session;

/// Searches, commits, reports.
pub(crate) fn tune(args: &TuneArgs) -> Result<(), Failure> {
    if let Some(file) = &args.batch {
        return batch::tune(args, file);
    }
    let of_batches = [
        (args.shard.is_some(), "--shard divides a batch"),
        (args.retune_contended, "--retune-contended goes through a batch"),
    ];
    if let Some((_, what)) = of_batches.into_iter().find(|(is_given, _)| *is_given) {
        let message = format!("{what}: name its file with --batch FILE");
        return Err(Failure::Usage(message));
    }
    let request = args.workload.request()?;
    if !args.verbosity.quiet && !args.verbosity.json {
        request.note_defaults();
    }
    if args.dry_run {
        return dry_run(args, &request);
    }
    let session = Session::start(args)?;
    let done = session.tune(&request.workload)?;
    let failed = done.committed.error.clone();
    let report =
        Report::new(&request, &done.tuned, session.peak_gflops, done.elapsed, done.committed);
    if args.verbosity.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_string())?;
    }
    match failed {
        None if done.interrupted => Err(Failure::Interrupted),
        None => Ok(()),
        Some(reason) => Err(Failure::NotCommitted { path: session.path, reason }),
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
        default_schedule: *cost::default_schedule(&request.workload, &target, threads).schedule(),
        space: SpaceReport::of(space.summary()),
    };
    if args.verbosity.json {
        output::print_json(&report)
    } else {
        output::print(&report.to_string())
    }
}
