//! Activations, defined once over [`Arithmetic`] so that the reference and the generated code
//! carry out the very same operations in the very same order.

use serde::{Deserialize, Serialize};

/// A finite `f32` that can be compared and hashed: a parameter of an activation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Finite(f32);

/// Applied to each output of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// The sum itself.
    #[default]
    None,
    /// `max(0, x)`.
    Relu,
    /// `min(6, max(0, x))`.
    Relu6,
    /// `min(max, max(min, x))`.
    Clamp {
        /// Smallest output.
        min: Finite,
        /// Largest output.
        max: Finite,
    },
    /// `x` where positive, else `slope * x`.
    LeakyRelu {
        /// Factor of negative inputs.
        slope: Finite,
    },
    /// `x` where positive, else the channel's slope times `x`; the slopes are weights.
    Prelu,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
    /// `relu6(x + 3) / 6`.
    HardSigmoid,
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// GELU by its tanh approximation.
    GeluTanh,
}

/// The operations that activations are made of, over scalars (reference) or over vectors of a
/// kernel under construction (code generation).
///
/// Every operation is IEEE 754 binary32, rounded to nearest even. `min(a, b)` is `if a < b { a }
/// else { b }` and `max(a, b)` is `if a > b { a } else { b }`: with a NaN on either side both
/// return `b`, as the x86 instructions do, so constants go first and a NaN input comes out again.
pub trait Arithmetic {
    /// A scalar or a vector.
    type Value: Copy;

    /// The same constant in every lane.
    fn constant(&mut self, value: f32) -> Self::Value;
    /// `a + b`.
    fn add(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a - b`.
    fn sub(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a * b`.
    fn mul(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a / b`.
    fn div(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a * b + c`, rounded once.
    fn mul_add(&mut self, a: Self::Value, b: Self::Value, c: Self::Value) -> Self::Value;
    /// `if a < b { a } else { b }`.
    fn min(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `if a > b { a } else { b }`.
    fn max(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// The bits of `a` plus the bits of `b` shifted left by 23, as wrapping 32-bit integers: adds
    /// the integer in the low bits of `b` to the exponent of `a`.
    fn add_to_exponent(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
}

impl Activation {
    /// Whether the stage's weights hold a slope per output channel.
    pub fn has_slopes(self) -> bool {
        self == Self::Prelu
    }

    /// The activation of `x`; `slope` is the channel's slope where the activation has slopes.
    ///
    /// # Panics
    ///
    /// If the activation has slopes and `slope` is `None`.
    pub fn apply<A: Arithmetic>(
        self,
        arithmetic: &mut A,
        x: A::Value,
        slope: Option<A::Value>,
    ) -> A::Value {
        let _ = (arithmetic, slope);
        let _ = x;
        todo!("helper")
    }
}

impl Finite {
    /// The number, if it is neither infinite nor NaN. A negative zero becomes zero.
    pub fn new(value: f32) -> Option<Self> {
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The number.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Finite {
    type Error = String;

    fn try_from(value: f32) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("{value} is not a finite number"))
    }
}

impl From<Finite> for f32 {
    fn from(value: Finite) -> f32 {
        value.0
    }
}

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Finite {}

impl std::hash::Hash for Finite {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}
