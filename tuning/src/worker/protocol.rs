//! What driver and worker say to each other, one line of JSON each.

use std::time::Duration;

use dsconv::Objective;
use dsconv_kernels::{Schedule, Target, Workload};
use serde::{Deserialize, Serialize};

use crate::bench::Sample;
use crate::fate::Fate;
use crate::trial::Outcome;

/// From the driver. All but [`Request::Drop`] have one reply.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Comes first: what to prepare for.
    Hello(Hello),
    /// Compile and verify.
    Prepare { id: u64, schedule: Schedule },
    /// A round, in which no run starts after so long.
    TakeTurns { turns: Vec<RemoteTurn>, within: Option<Duration> },
    /// Verify once more, on other data.
    VerifyAgain { id: u64 },
    /// Tell why the samples since the last such request cannot be trusted.
    Contamination,
    /// Forget kernels.
    Drop { ids: Vec<u64> },
}

/// What to prepare for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    version: String,
    pub(super) workload: Workload,
    pub(super) target: Target,
    pub(super) threads: usize,
    pub(super) objective: Objective,
    pub(super) seed: u64,
}

/// A [`Turn`](crate::bench::Turn) of a kernel that the worker has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct RemoteTurn {
    pub(super) id: u64,
    pub(super) repeats: u64,
    pub(super) may_wait: bool,
    pub(super) moves: bool,
}

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The reference has been run.
    Ready,
    /// Compiled, and equal to the reference.
    Prepared,
    /// Equal to the reference on other data, too.
    Verified,
    /// What became of the schedule instead.
    Failed(Fate),
    /// Of the turns that were taken.
    Samples { samples: Vec<Sample> },
    /// Why samples cannot be trusted, if so.
    Contamination { reason: Option<String> },
    /// A request that makes no sense.
    Refused { message: String },
}

impl Hello {
    pub(super) fn new(
        workload: &Workload,
        target: &Target,
        threads: usize,
        objective: Objective,
        seed: u64,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, workload: *workload, target: *target, threads, objective, seed }
    }

    /// What is wrong with a driver of another version.
    pub(super) fn fault(&self) -> Option<String> {
        let own = env!("CARGO_PKG_VERSION");
        (self.version != own)
            .then(|| format!("the driver is version {}, the worker is {own}", self.version))
    }
}

impl Reply {
    /// What became of a schedule, given that it is not what was asked for.
    pub(super) fn failure(self) -> Outcome {
        match self {
            Self::Failed(fate) => fate
                .outcome()
                .unwrap_or_else(|| Outcome::Crashed("the worker takes it for illegal".to_owned())),
            other => Outcome::Crashed(format!("the worker answered {other:?}")),
        }
    }
}
