//! Times of given schedules of a workload, side by side.

use std::collections::HashSet;
use std::time::Duration;

use dsconv::{Measurement, Objective};
use dsconv_kernels::{Schedule, Target, Workload};

use crate::bench::{HostBench, PoolError};
use crate::measure::SystemClock;
use crate::race::Race;
use crate::trial::Outcome;

/// A schedule that met others.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Which one.
    pub schedule: Schedule,
    /// Its time over the fastest one's, group of rounds by group.
    pub ratio: f64,
    /// Its samples.
    pub measurement: Measurement,
}

/// Why schedules were not compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The pool of threads could not be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A schedule is illegal or wrong.
    #[error("{schedule}: {outcome}")]
    Failed {
        /// Which one.
        schedule: Schedule,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Lets schedules take turns as in a confirmation, all of them to the end, for about `within` or for
/// the least number of rounds. Each is verified first and counts once; the fastest comes first.
///
/// ```
/// use std::time::Duration;
///
/// use dsconv_kernels::{Target, Workload, cost};
/// use dsconv_tuning::{SearchSpace, side_by_side};
///
/// let workload: Workload = "f32 nhwc 1x16x8x8 dw:3x3,p1 pw:16".parse()?;
/// let target = Target::host();
/// let schedules = SearchSpace::new(&workload, &target, 1).sample(3, 0);
/// let compared = side_by_side(&workload, &target, 1, &schedules, Duration::ZERO)?;
/// assert_eq!(compared.len(), 3);
/// assert_eq!(compared[0].ratio, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns [`CompareError`] if threads cannot be started or one of the schedules fails.
pub fn side_by_side(
    workload: &Workload,
    target: &Target,
    threads: usize,
    schedules: &[Schedule],
    within: Duration,
) -> Result<Vec<Compared>, CompareError> {
    let mut bench = HostBench::new(workload, target, threads, Objective::Warm, 0)?;
    let clock = SystemClock::start();
    let mut race = Race::new(&mut bench, &clock, u64::MAX);
    let mut met = HashSet::new();
    for &schedule in schedules.iter().filter(|schedule| met.insert(**schedule)) {
        let kernel = schedule
            .check(workload, target)
            .map_err(Outcome::Illegal)
            .and_then(|checked| race.prepare(&checked))
            .map_err(|outcome| CompareError::Failed { schedule, outcome })?;
        // Each one's time is wanted: one slow look is no reason to leave.
        if let Some(slow) = race.enter(schedule, kernel) {
            race.readmit(slow);
        }
    }
    let ratios = race.compare(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
    let contenders = race.running().iter().zip(ratios);
    Ok(contenders
        .map(|(contender, (schedule, ratio))| Compared {
            schedule,
            ratio,
            measurement: contender.measurement(),
        })
        .collect())
}
