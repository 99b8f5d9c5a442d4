//! Outcomes as lines of text can hold them: between processes, and in a journal.

use std::time::Duration;

use dsconv::Measurement;
use dsconv_kernels::CompileError;
use serde::{Deserialize, Serialize};

use crate::trial::Outcome;
use crate::verify::Mismatch;

/// What became of a schedule. An illegal one is told by its message: whoever reads the line can
/// check the schedule again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    Measured { median_us: f64, min_us: f64, spread_us: f64, samples: u32 },
    Illegal { message: String },
    NotCompiled { backend: String, message: String },
    Wrong(Mismatch),
    Crashed { how: String },
    TimedOut { after_s: f64 },
}

impl From<&Outcome> for Fate {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Measured(measurement) => {
                let Measurement { median_us, min_us, spread_us, samples } = *measurement;
                Self::Measured { median_us, min_us, spread_us, samples }
            }
            Outcome::Illegal(error) => Self::Illegal { message: error.to_string() },
            Outcome::NotCompiled(error) => Self::NotCompiled {
                backend: error.backend.to_owned(),
                message: error.message.clone(),
            },
            Outcome::Wrong(mismatch) => Self::Wrong(mismatch.clone()),
            Outcome::Crashed(how) => Self::Crashed { how: how.clone() },
            Outcome::TimedOut(after) => Self::TimedOut { after_s: after.as_secs_f64() },
        }
    }
}

impl Fate {
    /// The outcome, but for an illegal schedule.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        Some(match self {
            Self::Measured { median_us, min_us, spread_us, samples } => {
                Outcome::Measured(Measurement { median_us, min_us, spread_us, samples })
            }
            Self::Illegal { .. } => return None,
            Self::NotCompiled { backend, message } => {
                Outcome::NotCompiled(CompileError { backend: name_of(&backend), message })
            }
            Self::Wrong(mismatch) => Outcome::Wrong(mismatch),
            Self::Crashed { how } => Outcome::Crashed(how),
            Self::TimedOut { after_s } => {
                Outcome::TimedOut(Duration::try_from_secs_f64(after_s).unwrap_or_default())
            }
        })
    }
}

fn name_of(backend: &str) -> &'static str {
    ["cranelift", "clif-wide"].into_iter().find(|name| *name == backend).unwrap_or("backend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_comes_back_from_its_line() {
        let (median_us, min_us, spread_us, samples) = (12.3456789, 12.0, 0.25, 5);
        let value = Mismatch::Value {
            index: 3,
            coordinates: [0, 1, 2, 3],
            expected: 1.5,
            actual: f32::NEG_INFINITY,
            count: 7,
        };
        let error = CompileError { backend: "clif-wide", message: "a \"quoted\"\nword".to_owned() };
        for outcome in [
            Outcome::Measured(Measurement { median_us, min_us, spread_us, samples }),
            Outcome::NotCompiled(error),
            Outcome::Wrong(Mismatch::SecondLook {
                data: "integers of seed 2".to_owned(),
                found: Box::new(value.clone()),
            }),
            Outcome::Wrong(Mismatch::Touched { tensor: "input".to_owned(), index: -1, count: 2 }),
            Outcome::Wrong(value),
            Outcome::Wrong(Mismatch::NotRun("no".to_owned())),
            Outcome::Crashed("SIGSEGV".to_owned()),
            Outcome::TimedOut(Duration::from_millis(2_500)),
        ] {
            let line = serde_json::to_string(&Fate::from(&outcome)).expect("a line");
            assert!(!line.contains('\n'), "{line}");
            let read: Fate = serde_json::from_str(&line).expect("the same");
            let read = read.outcome().expect("legal");
            assert_eq!(format!("{read:?}"), format!("{outcome:?}"), "{line}");
        }
    }
}
