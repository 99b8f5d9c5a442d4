//! Analytic cost: the schedule of a workload that nobody has tuned.

use crate::schedule::CheckedSchedule;
use crate::target::Target;
use crate::workload::Workload;

/// The schedule of an untuned workload. Every workload has one.
pub fn default_schedule(workload: &Workload, target: &Target) -> CheckedSchedule {
    let _ = (workload, target);
    todo!("in progress")
}
