//! Whether the machine was ours while we measured: steal time, throttling, and others' use of the
//! cores, read before and after; threads that waited for a core; and fixed computations that ought to
//! take the same time always.
//!
//! ```
//! use dsconv_tuning::contention::Usage;
//!
//! let before = Usage::now();
//! let pressure = Usage::now().since(&before);
//! assert!(pressure.stolen >= 0.0 && pressure.stolen <= 1.0);
//! ```
//!
//! Linux tells all of it; other systems tell nothing but the computations, and nothing is taken for
//! quiet there.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

mod calibration;
mod samples;
mod usage;

pub use calibration::{Calibration, Slowdown, Speeds};
pub(crate) use samples::{RunQueue, Samples, is_undisturbed};
pub(crate) use usage::group_files_below;
pub use usage::{Pressure, Usage};

/// Time between looks at a machine that is slow just now.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Looks of which one in so many may find it slow in the end.
const SLOW: u64 = 5;
/// Time below which the counters tell nothing.
const SHORTEST_WATCH: Duration = Duration::from_millis(50);
/// Looks that find out how fast the machine is.
const FIRST_LOOKS: usize = 4;

/// Whether something slows the machine down at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calm {
    /// Nothing does.
    Calm,
    /// Something did, and has passed: what was sampled just before is worth another sample.
    Restored,
    /// Something does, and patience is at its end.
    Disturbed,
}

/// Usage and calibration from one question to the next.
#[derive(Debug)]
pub(crate) struct Watch {
    since: Usage,
    /// Of each thread.
    calibrations: Vec<Calibration>,
    looks: u64,
    slow: u64,
    /// What the last slow look saw.
    reason: Option<String>,
}

impl Watch {
    /// Finds out how fast the machine is; see [`Calibration::new`].
    pub(crate) fn new(threads: usize, l2_bytes: usize, beyond_l2: bool) -> Self {
        let calibration = |thread| Calibration::new(l2_bytes, beyond_l2, [thread, threads]);
        let calibrations: Vec<Calibration> = (0..threads).map(calibration).collect();
        for _ in 0..FIRST_LOOKS {
            calibrations[0].look();
        }
        Self { since: Usage::now(), calibrations, looks: 0, slow: 0, reason: None }
    }

    /// Looks whether something slows the machine down, on all threads, and again until nothing does
    /// or for so long.
    pub(crate) fn calm(&mut self, pool: Option<&rayon::ThreadPool>, patience: Duration) -> Calm {
        let began = Instant::now();
        self.looks += 1;
        let mut calm = Calm::Calm;
        while let Some(reason) = self.look(pool) {
            if began.elapsed() >= patience {
                self.slow += 1;
                self.reason = Some(reason);
                return Calm::Disturbed;
            }
            calm = Calm::Restored;
            std::thread::sleep(BETWEEN_LOOKS);
        }
        calm
    }

    /// What slows the machine down now.
    fn look(&self, pool: Option<&rayon::ThreadPool>) -> Option<String> {
        let look = |thread: usize| self.calibrations[thread].look().contamination();
        match pool {
            None => look(0),
            Some(pool) => pool.broadcast(|thread| look(thread.index())).into_iter().flatten().next(),
        }
    }

    /// Why the time since the last question cannot be trusted.
    pub(crate) fn contamination(&mut self) -> Option<String> {
        let now = Usage::now();
        let mut pressure = now.since(&self.since);
        if pressure.passed < SHORTEST_WATCH {
            // The counters move in steps of 10 ms.
            pressure = Pressure { throttled: pressure.throttled, ..Pressure::default() };
        }
        self.since = now;
        let (looks, slow) = (std::mem::take(&mut self.looks), std::mem::take(&mut self.slow));
        let reason = self.reason.take().filter(|_| slow * SLOW > looks);
        pressure.contamination(self.calibrations.len()).or(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch of a machine that was much faster once.
    fn watch() -> Watch {
        let watch = Watch::new(1, 64 << 10, false);
        let speeds = serde_json::json!([{"thread": [0, 1], "computation": 0, "best_ns": 1}]);
        serde_json::from_value::<Speeds>(speeds).expect("of that form").learn();
        watch
    }

    #[test]
    fn a_machine_that_stays_slow_is_waited_for_and_then_said_to_be() {
        let mut watch = watch();
        let began = Instant::now();
        assert_eq!(watch.calm(None, Duration::from_millis(12)), Calm::Disturbed);
        assert!(began.elapsed() >= Duration::from_millis(12));
        let reason = watch.contamination().expect("the only look was slow");
        assert!(reason.contains("times its best time"), "{reason}");
        assert_eq!(watch.looks, 0);
    }

    #[test]
    fn a_few_slow_looks_are_no_contention() {
        let mut watch = watch();
        assert_eq!(watch.calm(None, Duration::ZERO), Calm::Disturbed);
        watch.looks += 4;
        let said = watch.contamination();
        assert!(!said.is_some_and(|reason| reason.contains("times its best time")));
    }
}
