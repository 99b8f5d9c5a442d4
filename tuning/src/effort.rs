//! How much trouble to take, in one word.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::TuneOptions;
use crate::strategy::StrategyKind;

/// Strategy, budget and the rule to stop by, in one word.
///
/// ```
/// use dsconv_tuning::{Effort, StrategyKind, TuneOptions};
///
/// let options = TuneOptions { threads: 2, ..Effort::Quick.options() };
/// assert_eq!(options.strategy, StrategyKind::Model);
/// assert!("thorough".parse::<Effort>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effort {
    /// The model's first choices: a second or two.
    Quick,
    /// The model, until 300 trials bring nothing better: 5 to 12 s for blocks of 70 to 200 us beside busy
    /// neighbours, 20 s at most, which blocks of milliseconds need.
    #[default]
    Normal,
    /// The whole space, however long it takes: some 20 s for a block of 100 us.
    Exhaustive,
}

/// A name that is no effort.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no effort is called {name:?}; there are: quick, normal, exhaustive")]
pub struct UnknownEffort {
    name: String,
}

/// A budget that no space exhausts.
const ENDLESS: Duration = Duration::from_secs(7 * 24 * 3600);

impl Effort {
    /// All efforts, the least first.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Normal, Self::Exhaustive];

    /// The options that the word stands for; all others are the defaults.
    pub fn options(self) -> TuneOptions {
        let (strategy, budget, plateau) = match self {
            Self::Quick => (StrategyKind::Model, Duration::from_secs(2), Some(48)),
            Self::Normal => (StrategyKind::Model, Duration::from_secs(20), Some(300)),
            Self::Exhaustive => (StrategyKind::Exhaustive, ENDLESS, None),
        };
        TuneOptions { strategy, budget, plateau, ..TuneOptions::default() }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Normal => "normal",
            Self::Exhaustive => "exhaustive",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Effort {
    type Err = UnknownEffort;

    fn from_str(text: &str) -> Result<Self, UnknownEffort> {
        Self::ALL
            .into_iter()
            .find(|effort| effort.name() == text)
            .ok_or_else(|| UnknownEffort { name: text.to_owned() })
    }
}
