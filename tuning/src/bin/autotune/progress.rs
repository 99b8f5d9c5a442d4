//! The progress of tuning, on standard error where that is a terminal.

use std::time::Duration;

use dsconv::Workload;
use dsconv_tuning::{Observer, SpaceSummary, Status, Trial};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::show::gflops;

/// A bar over the time budget, or over the number of trials where that is limited.
pub(crate) struct Progress {
    bar: ProgressBar,
    workload: Workload,
    peak_gflops: f64,
    max_trials: Option<u64>,
    failed: u64,
}

impl Progress {
    /// A bar that is drawn if `visible` and standard error is a terminal.
    pub(crate) fn new(
        workload: &Workload,
        peak_gflops: f64,
        max_trials: Option<u64>,
        visible: bool,
    ) -> Self {
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(1), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
            bar.set_style(style);
        }
        Self { bar, workload: *workload, peak_gflops, max_trials, failed: 0 }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn message(&self, status: &Status) -> String {
        let trials = match self.max_trials {
            Some(limit) => format!("{} of {limit} trials", status.trials),
            None => format!("{} trials", status.trials),
        };
        let failed =
            if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let best = match status.best_us {
            Some(best_us) => {
                let gflops = gflops(&self.workload, best_us);
                format!(
                    ", best {best_us:.1} us, {gflops:.1} GFLOP/s, {:.0} % of FMA peak",
                    100.0 * gflops / self.peak_gflops
                )
            }
            None => String::new(),
        };
        let left = seconds(status.remaining);
        format!("{trials}{failed}{best}, {left} left")
    }

    /// Done and to do, in one unit: whichever of time and trials ends first.
    fn position(&self, status: &Status) -> (u64, u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let time = (millis(status.elapsed), millis(status.budget).max(1));
        match self.max_trials {
            Some(limit) if status.trials as f64 / limit as f64 > time.0 as f64 / time.1 as f64 => {
                (status.trials, limit)
            }
            _ => time,
        }
    }
}

impl Observer for Progress {
    fn started(&mut self, space: &SpaceSummary) {
        self.bar.set_message(format!("{} schedules", space.size));
    }

    fn trial(&mut self, trial: &Trial, status: &Status) {
        if trial.measurement().is_none() {
            self.failed += 1;
        }
        let (done, all) = self.position(status);
        self.bar.set_length(all);
        self.bar.set_position(done.min(all));
        self.bar.set_message(self.message(status));
    }
}

/// A time for people: `9 s`, `2 min 05 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock_beyond_a_minute() {
        assert_eq!(seconds(Duration::from_millis(8_100)), "9 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(seconds(Duration::ZERO), "0 s");
    }
}
