//! What driver and worker say to each other, one line of JSON each.

use dsconv::Objective;
use dsconv_kernels::{Schedule, Target, Workload};
use serde::{Deserialize, Serialize};

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
    /// Run so many times, in a quiet moment perhaps.
    Sample { id: u64, repeats: u64, may_wait: bool },
    /// Give other memory to input, residual and output.
    RelocateTensors,
    /// Give other memory to weights and scratch.
    Relocate { id: u64 },
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

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The reference has been run.
    Ready,
    /// Compiled, and equal to the reference.
    Prepared,
    /// What was to be moved is elsewhere.
    Relocated,
    /// Equal to the reference on other data, too.
    Verified,
    /// What became of the schedule instead.
    Failed(Fate),
    /// Time of the runs asked for, and whether nothing disturbed them.
    Sample { ns: u64, is_quiet: bool },
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
