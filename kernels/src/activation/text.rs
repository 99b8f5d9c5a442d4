//! The text form of an activation: `relu6`, `clamp(-1:1)`, `leaky_relu(0.01)`.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::{Activation, Finite};

/// A text that is no activation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an activation: none, relu, relu6, clamp(<min>:<max>), leaky_relu(<slope>), prelu, \
     hard_swish, hard_sigmoid, silu, sigmoid or gelu_tanh"
)]
#[non_exhaustive]
pub struct ParseActivationError;

/// The activations without parameters.
const NAMED: [(&str, Activation); 9] = [
    ("none", Activation::None),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("prelu", Activation::Prelu),
    ("hard_swish", Activation::HardSwish),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("silu", Activation::Silu),
    ("sigmoid", Activation::Sigmoid),
    ("gelu_tanh", Activation::GeluTanh),
];

impl Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Clamp { min, max } => write!(f, "clamp({min}:{max})"),
            Self::LeakyRelu { slope } => write!(f, "leaky_relu({slope})"),
            named => {
                let name = NAMED.iter().find(|(_, activation)| *activation == named);
                f.write_str(name.expect("every activation without parameters has a name").0)
            }
        }
    }
}

impl FromStr for Activation {
    type Err = ParseActivationError;

    fn from_str(text: &str) -> Result<Self, ParseActivationError> {
        if let Some((_, activation)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*activation);
        }
        parse_parameters(text).ok_or(ParseActivationError)
    }
}

fn parse_parameters(text: &str) -> Option<Activation> {
    let (name, parameters) = text.strip_suffix(')')?.split_once('(')?;
    match name {
        "clamp" => {
            let (min, max) = parameters.split_once(':')?;
            Some(Activation::Clamp { min: parse_finite(min)?, max: parse_finite(max)? })
        }
        "leaky_relu" => Some(Activation::LeakyRelu { slope: parse_finite(parameters)? }),
        _ => None,
    }
}

/// The shortest decimal that reads back as the same number.
impl Display for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Takes the printed form only, so that equal texts and equal numbers are the same thing.
fn parse_finite(text: &str) -> Option<Finite> {
    let value = text.parse().ok().and_then(Finite::new)?;
    (value.to_string() == text).then_some(value)
}
