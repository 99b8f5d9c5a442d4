//! What proposes schedules: a [`Strategy`] is asked for schedules and told what became of them.
//!
//! ```
//! use dsconv_tuning::StrategyKind;
//!
//! let kind: StrategyKind = "exhaustive".parse()?;
//! assert_eq!(kind.to_string(), "exhaustive");
//! # Ok::<(), dsconv_tuning::UnknownStrategy>(())
//! ```
//!
//! A strategy never decides when to stop and never sees a clock: the budget belongs to the driver,
//! so that one strategy can be run against hardware, a recorded landscape or a formula.

use std::fmt;
use std::str::FromStr;

use dsconv_kernels::Schedule;
use serde::{Deserialize, Serialize};

use crate::space::SearchSpace;
use crate::trial::Trial;

mod best;
mod evolutionary;
mod exhaustive;
mod features;
mod learned;
mod model;
mod random;
mod regression;

pub use evolutionary::Evolutionary;
pub use exhaustive::Exhaustive;
pub use learned::{Experience, Learned};
pub use model::Model;
pub use random::Random;

/// Proposes schedules and learns from their trials.
pub trait Strategy {
    /// The next schedules to try, at most `count`; none once the strategy has nothing left. No
    /// schedule is proposed twice.
    fn propose(&mut self, count: usize) -> Vec<Schedule>;

    /// Takes note of what became of a schedule. The untuned default is observed first, though
    /// nobody proposed it.
    fn observe(&mut self, trial: &Trial);

    /// What a search on another workload may start from, together with what this one started from.
    fn learned(&self) -> Learned {
        Learned::default()
    }
}

/// The strategies by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StrategyKind {
    /// Every schedule of the space, those nearest to the untuned default first.
    Exhaustive,
    /// Every schedule of the space in an order drawn from the seed. With a budget that suffices
    /// for the whole space it is as complete as [`StrategyKind::Exhaustive`].
    Random,
    /// Mutations of the best so far.
    Evolutionary,
    /// The schedules that an analytic estimate, corrected by what was measured, takes for the
    /// fastest.
    #[default]
    Model,
}

/// A name that no strategy has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no strategy is called {name:?}; there are: exhaustive, random, evolutionary, model")]
pub struct UnknownStrategy {
    /// The name.
    pub name: String,
}

impl StrategyKind {
    /// All strategies.
    pub const ALL: [Self; 4] = [Self::Exhaustive, Self::Random, Self::Evolutionary, Self::Model];

    /// Name of the strategy, as [`FromStr`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exhaustive => "exhaustive",
            Self::Random => "random",
            Self::Evolutionary => "evolutionary",
            Self::Model => "model",
        }
    }

    /// A strategy over `space` that does not propose `default`, which the driver tries by itself.
    pub fn build(self, space: &SearchSpace, default: &Schedule, seed: u64) -> Box<dyn Strategy> {
        self.build_from(space, default, seed, &Learned::default())
    }

    /// The same, starting from what was learned on other workloads. Only the model learns.
    pub fn build_from(
        self,
        space: &SearchSpace,
        default: &Schedule,
        seed: u64,
        learned: &Learned,
    ) -> Box<dyn Strategy> {
        match self {
            Self::Exhaustive => Box::new(Exhaustive::new(space, default)),
            Self::Random => Box::new(Random::new(space, default, seed)),
            Self::Evolutionary => Box::new(Evolutionary::new(space, default, seed)),
            Self::Model => Box::new(Model::new(space, default, seed, learned)),
        }
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StrategyKind {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownStrategy { name: text.to_owned() })
    }
}
