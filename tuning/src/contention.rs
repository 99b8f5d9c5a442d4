//! Whether the machine was ours while we measured: steal time, throttling, and others' use of the
//! cores, read before and after; threads that waited for a core; who else computes on the same core;
//! and a calibration kernel that ought to take the same time always.
//!
//! ```
//! use dsconv_tuning::contention::Usage;
//!
//! let before = Usage::now();
//! let pressure = Usage::now().since(&before);
//! assert!(pressure.stolen >= 0.0 && pressure.stolen <= 1.0);
//! ```
//!
//! Linux tells all of it; other systems tell nothing but the calibration kernel's time, and nothing
//! is taken for quiet there.

use std::time::Duration;

mod calibration;
mod patience;
mod samples;
mod sibling;
mod usage;

pub use calibration::Calibration;
pub(crate) use patience::Patience;
pub(crate) use samples::{Disturbance, RunQueue, is_undisturbed};
pub use sibling::Sibling;
pub(crate) use usage::group_files_below;
pub use usage::{Pressure, Usage};

/// Time below which the counters tell nothing.
const SHORTEST_WATCH: Duration = Duration::from_millis(50);

/// Usage and calibration from one question to the next.
#[derive(Debug)]
pub(crate) struct Watch {
    threads: usize,
    /// The process whose requests this one serves.
    driver: Option<u32>,
    since: Usage,
    calibration: Calibration,
}

impl Watch {
    pub(crate) fn new(threads: usize) -> Self {
        let mut calibration = Calibration::default();
        calibration.slowdown();
        Self { threads, driver: None, since: Usage::now(), calibration }
    }

    /// From now on, what the process uses that drives this one is taken for our own.
    pub(crate) fn count_in(&mut self, driver: u32) {
        self.driver = Some(driver);
        self.since = self.usage();
    }

    fn usage(&self) -> Usage {
        self.driver.map_or_else(Usage::now, Usage::with)
    }

    /// Why the time since the last question cannot be trusted.
    pub(crate) fn contamination(&mut self) -> Option<String> {
        let mut pressure = self.usage().since(&self.since);
        if pressure.passed < SHORTEST_WATCH {
            // The counters move in steps of 10 ms.
            pressure = Pressure { throttled: pressure.throttled, ..Pressure::default() };
        }
        let reason =
            pressure.contamination(self.threads).or_else(|| self.calibration.contamination());
        self.since = self.usage();
        reason
    }
}
