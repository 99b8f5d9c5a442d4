//! What the workloads of one command have in common: the machine, the cache, and how to tune.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dsconv::cpu::{self, CpuModel};
use dsconv::{Database, Record, Target, Workload};
use dsconv_tuning::journal::{Identity, Journal, Past};
use dsconv_tuning::landscape::Landscape;
use dsconv_tuning::worker::Program;
use dsconv_tuning::{
    Experience, StopReason, TuneOptions, Tuned, first_schedules, peak, tune_in_worker,
};

use crate::args::{self, TuneArgs};
use crate::failure::Failure;
use crate::progress::{Progress, seconds};
use crate::report::Committed;
use crate::watch::{Interrupt, Watch};

/// Tunes one workload after the other and keeps each record at once.
pub(crate) struct Session<'a> {
    args: &'a TuneArgs,
    host: CpuModel,
    target: Target,
    program: Program,
    interrupt: Interrupt,
    pub(crate) path: PathBuf,
    pub(crate) peak_gflops: f64,
    talks: bool,
    /// What the workloads so far taught.
    experience: RefCell<Experience>,
}

/// What became of one workload.
pub(crate) struct Done {
    pub(crate) tuned: Tuned,
    pub(crate) committed: Committed,
    pub(crate) elapsed: Duration,
    /// Whether the search was cut short by the user.
    pub(crate) interrupted: bool,
}

impl<'a> Session<'a> {
    /// Finds the cache and measures the machine's peak.
    pub(crate) fn start(args: &'a TuneArgs) -> Result<Self, Failure> {
        let host = CpuModel::host();
        // Before the search, so that a missing home is not found out after it.
        let path = args::cache_path(args.machine.cache.as_ref(), &host)?;
        Ok(Self {
            args,
            host,
            target: cpu::host_target(),
            program: Program::this(["worker"]).map_err(Failure::because)?,
            interrupt: Interrupt::listen()?,
            path,
            peak_gflops: peak::fma_peak_gflops(args.machine.threads()),
            talks: !args.verbosity.quiet && !args.verbosity.json,
            experience: RefCell::default(),
        })
    }

    /// The records that the cache holds; none where there is no cache, or none to read.
    pub(crate) fn known(&self) -> Database {
        match Database::load(&self.path) {
            Ok(loaded) => loaded.database,
            Err(_) => Database::new(self.host.clone()),
        }
    }

    /// Whether the cache has a record of a workload as it would be tuned now, and one that is to be left.
    pub(crate) fn is_done(&self, workload: &Workload) -> bool {
        let wanted = (workload, self.target.isa, self.args.machine.threads(), self.args.objective);
        let known = self.known();
        let found =
            known.records().find(|it| (&it.workload, it.isa, it.threads, it.objective) == wanted);
        let is_tuned_again = |record: &Record| {
            self.args.anew || self.args.retune_contended && record.provenance.contended
        };
        found.is_some_and(|record| !is_tuned_again(record))
    }

    /// Tunes a workload and commits the record.
    pub(crate) fn tune(&self, workload: &Workload) -> Result<Done, Failure> {
        let args = self.args;
        let start = Instant::now();
        let progress = Progress::new(workload, self.peak_gflops, args.trials, self.talks);
        let mut watch = Watch::new(progress, self.interrupt);
        let mut options = self.options();
        let (layout, threads) = (workload.layout(), options.threads);
        options.learned = self.experience.borrow().of(layout, threads);
        options.first = first_schedules(&self.known(), workload, options.threads);
        let identity = Identity::new(workload, &self.target, options.threads, options.objective);
        let past = watch.resume(&self.path, &identity, args.anew);
        self.note_past(&past);
        options.budget = budget_left(options.budget, past.spent);
        options.resumed = past.trials;
        let tuned = tune_in_worker(workload, &self.target, &options, &self.program, &mut watch);
        let broken = watch.broken.take().filter(|_| self.talks);
        let journal = watch.finish();
        if let Some(reason) = broken {
            eprintln!("no journal, so that a killed run would start anew: {reason}");
        }
        let tuned = tuned.map_err(Failure::because)?;
        self.experience.borrow_mut().keep(layout, threads, tuned.learned.clone());
        if let Some(file) = &args.record_landscape {
            let landscape = Landscape::of(&tuned, &self.target, &options);
            std::fs::write(file, landscape.to_string())
                .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
        }

        let interrupted = tuned.stopped == StopReason::Cancelled;
        let mut database = Database::new(self.host.clone());
        database.insert(tuned.record.clone());
        let committed = Committed::commit(&database, &self.path);
        // Only now is nothing lost that the journal still holds.
        if committed.error.is_none()
            && !interrupted
            && let Some(Err(error)) = journal.map(Journal::remove)
        {
            tracing::debug!(%error, "the journal stays");
        }
        Ok(Done { tuned, committed, elapsed: start.elapsed(), interrupted })
    }

    fn note_past(&self, past: &Past) {
        if let Some(reason) = &past.forgotten
            && !self.args.verbosity.quiet
        {
            eprintln!("an earlier run is not continued: {reason}");
        }
        if self.talks && !past.trials.is_empty() {
            let (trials, spent) = (past.trials.len(), seconds(past.spent));
            eprintln!("continues an earlier run: {trials} trials in {spent} (--anew forgets them)");
        }
    }

    fn options(&self) -> TuneOptions {
        let args = self.args;
        let effort = args.effort.options();
        // Who names a budget, a number of trials or a strategy wants that much of it.
        let is_named = args.budget.is_some() || args.trials.is_some() || args.strategy.is_some();
        TuneOptions {
            threads: args.machine.threads(),
            budget: args.budget.unwrap_or(effort.budget),
            max_trials: args.trials,
            plateau: effort.plateau.filter(|_| !is_named),
            seed: args.seed,
            objective: args.objective,
            strategy: args.strategy.unwrap_or(effort.strategy),
            ..effort
        }
    }
}

/// What an earlier run left of the budget; enough for a confirmation in any case.
fn budget_left(budget: Duration, spent: Duration) -> Duration {
    budget.saturating_sub(spent).max(budget / 6)
}
