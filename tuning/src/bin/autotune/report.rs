//! What tuning found, for people and as JSON.

use std::fmt::{self, Display};
use std::time::Duration;

use dsconv::{Database, Schedule};
use dsconv_tuning::{Outcome, SpaceSummary, Tuned};
use serde::Serialize;

use crate::flags::Request;
use crate::saving::Saving;
use crate::show::RecordReport;

/// All that tuning found; units are in the names.
#[derive(Serialize)]
pub(crate) struct Report {
    defaults_taken: Vec<String>,
    record: RecordReport,
    fma_peak_gflops: f64,
    fma_peak_percent: f64,
    default_schedule: Schedule,
    saving: Saving,
    space: SpaceReport,
    trials: TrialsReport,
    /// The first trials that were not measured.
    failures: Vec<FailureReport>,
    elapsed_s: f64,
    stopped: String,
    /// What else used the machine while the record's times were taken.
    contaminated: Option<String>,
    committed: Committed,
}

/// Where the record went.
#[derive(Serialize)]
pub(crate) struct Committed {
    /// The file it was meant for.
    pub(crate) path: String,
    /// Why it is not there, if it is not; the record follows.
    pub(crate) error: Option<String>,
    /// The record as a cache of its own, if the file could not be written.
    pub(crate) record_toml: Option<String>,
}

/// The search space in numbers.
#[derive(Serialize)]
pub(crate) struct SpaceReport {
    schedules: usize,
    product: u64,
    candidates: usize,
    cuts: Vec<String>,
    pruned: Vec<PrunedReport>,
}

/// Candidates that broke one rule.
#[derive(Serialize)]
struct PrunedReport {
    count: usize,
    example: String,
}

/// What became of the trials.
#[derive(Default, Serialize)]
struct TrialsReport {
    measured: usize,
    illegal: usize,
    not_compiled: usize,
    wrong: usize,
    crashed: usize,
    timed_out: usize,
}

/// A trial that was not measured.
#[derive(Serialize)]
struct FailureReport {
    schedule: String,
    outcome: String,
}

/// Failures in JSON, and in text.
const MOST_FAILURES: usize = 50;
const MOST_LINES: usize = 3;

/// What a dry run knows.
#[derive(Serialize)]
pub(crate) struct DryRunReport {
    pub(crate) workload: String,
    pub(crate) threads: usize,
    pub(crate) defaults_taken: Vec<String>,
    pub(crate) saving: Saving,
    pub(crate) default_schedule: Schedule,
    pub(crate) space: SpaceReport,
}

impl Report {
    pub(crate) fn new(
        request: &Request,
        tuned: &Tuned,
        fma_peak_gflops: f64,
        elapsed: Duration,
        committed: Committed,
    ) -> Self {
        let record = RecordReport::of(&tuned.record);
        Self {
            defaults_taken: request.defaults_taken.clone(),
            fma_peak_gflops,
            fma_peak_percent: 100.0 * record.gflops() / fma_peak_gflops,
            record,
            default_schedule: tuned.default.schedule,
            saving: Saving::of(&request.workload),
            space: SpaceReport::of(&tuned.space),
            trials: TrialsReport::of(tuned),
            failures: failures(tuned),
            elapsed_s: elapsed.as_secs_f64(),
            stopped: tuned.stopped.to_string(),
            contaminated: tuned.contaminated.clone(),
            committed,
        }
    }
}

impl Committed {
    /// Writes the database to the file; the record is kept in the report if that fails.
    pub(crate) fn commit(database: &Database, path: &std::path::Path) -> Self {
        let error = database.commit(path).err().map(|error| error.to_string());
        Self {
            path: path.display().to_string(),
            record_toml: error.as_ref().map(|_| database.to_toml()),
            error,
        }
    }
}

impl SpaceReport {
    pub(crate) fn of(space: &SpaceSummary) -> Self {
        Self {
            schedules: space.size,
            product: space.product,
            candidates: space.candidates,
            cuts: space.cuts.iter().map(ToString::to_string).collect(),
            pruned: space
                .pruned
                .iter()
                .map(|rule| PrunedReport { count: rule.count, example: rule.example.to_string() })
                .collect(),
        }
    }
}

fn failures(tuned: &Tuned) -> Vec<FailureReport> {
    let failed = tuned.trials.iter().filter(|trial| trial.measurement().is_none());
    failed
        .take(MOST_FAILURES)
        .map(|trial| FailureReport {
            schedule: trial.schedule.to_string(),
            outcome: trial.outcome.to_string(),
        })
        .collect()
}

impl TrialsReport {
    fn of(tuned: &Tuned) -> Self {
        let mut counts = Self::default();
        for trial in &tuned.trials {
            match trial.outcome {
                Outcome::Measured(_) => counts.measured += 1,
                Outcome::Illegal(_) => counts.illegal += 1,
                Outcome::NotCompiled(_) => counts.not_compiled += 1,
                Outcome::TimedOut(_) => counts.timed_out += 1,
                Outcome::Crashed(_) => counts.crashed += 1,
                // Whatever outcome comes later: it was not measured.
                _ => counts.wrong += 1,
            }
        }
        counts
    }

    fn all(&self) -> usize {
        let failed = self.illegal + self.not_compiled + self.wrong;
        self.measured + failed + self.crashed + self.timed_out
    }
}

/// One line of a report: a word, then what there is to say.
fn line(f: &mut fmt::Formatter<'_>, word: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "{word:<10} {text}")
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "workload", &self.record.workload)?;
        line(f, "schedule", self.record.schedule)?;
        line(
            f,
            "time",
            format_args!(
                "{:.2} us on {}, spread {:.2} us over {} samples",
                self.record.median_us,
                plural(self.record.threads, "thread"),
                self.record.spread_us,
                self.record.samples
            ),
        )?;
        line(
            f,
            "speed",
            format_args!(
                "{:.1} GFLOP/s, {:.1} % of the measured FMA peak of {:.1} GFLOP/s",
                self.record.gflops(),
                self.fma_peak_percent,
                self.fma_peak_gflops
            ),
        )?;
        line(
            f,
            "untuned",
            format_args!(
                "{:.2} us by the default schedule: tuning made it {:.2}x as fast",
                self.record.default_us, self.record.speedup_over_default
            ),
        )?;
        if let Some(second) = &self.record.runner_up {
            // Only what noise could not tell apart stands behind a slower one.
            let tied = if second.slower_percent < 0.0 { ", the same but for noise" } else { "" };
            line(
                f,
                "runner-up",
                format_args!("{:.2} us, {:+.1} %{tied}", second.median_us, second.slower_percent),
            )?;
        }
        write!(f, "{}", self.saving)?;
        line(
            f,
            "search",
            format_args!(
                "{}, seed {}: {} in {:.1} s, the space has {}; {}",
                self.record.strategy,
                self.record.seed,
                self.trials,
                self.elapsed_s,
                plural(self.space.schedules, "schedule"),
                self.stopped
            ),
        )?;
        for failure in self.failures.iter().take(MOST_LINES) {
            line(f, "failed", format_args!("{}: {}", failure.schedule, failure.outcome))?;
        }
        if let Some(reason) = &self.contaminated {
            line(f, "contended", format_args!("{reason}; the record says so"))?;
        }
        match &self.committed.error {
            None => line(f, "record", format_args!("in {}", self.committed.path)),
            Some(_) => line(f, "record", format_args!("NOT in {}, but here:", self.committed.path)),
        }?;
        match &self.committed.record_toml {
            Some(toml) => write!(f, "\n{toml}"),
            None => Ok(()),
        }
    }
}

impl Display for TrialsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tried", self.all())?;
        for (count, fate) in [
            (self.illegal, "illegal"),
            (self.not_compiled, "not compiled"),
            (self.wrong, "WRONG"),
            (self.crashed, "CRASHED"),
            (self.timed_out, "timed out"),
        ] {
            if count > 0 {
                write!(f, " ({count} {fate})")?;
            }
        }
        Ok(())
    }
}

impl Display for DryRunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "workload", &self.workload)?;
        line(f, "threads", self.threads)?;
        write!(f, "{}", self.saving)?;
        line(f, "untuned", self.default_schedule)?;
        write!(f, "{}", self.space)
    }
}

impl Display for SpaceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(
            f,
            "space",
            format_args!(
                "{} legal of {} candidates; the product of all axes is {}",
                plural(self.schedules, "schedule"),
                self.candidates,
                self.product
            ),
        )?;
        for cut in &self.cuts {
            line(f, "  cut", cut)?;
        }
        for rule in &self.pruned {
            line(f, "  pruned", format_args!("{}: {}", rule.count, rule.example))?;
        }
        Ok(())
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
