//! Activations, defined once over [`Arithmetic`] so that the reference and the generated code
//! carry out the very same operations in the very same order.
//!
//! ```
//! use dsconv_kernels::{Activation, Scalar};
//!
//! assert_eq!(Activation::HardSwish.apply(&mut Scalar, 4.0, None), 4.0);
//! assert_eq!("leaky_relu(0.5)".parse::<Activation>()?.apply(&mut Scalar, -4.0, None), -2.0);
//! # Ok::<(), dsconv_kernels::ParseActivationError>(())
//! ```

use serde::{Deserialize, Serialize};

mod text;

pub use text::ParseActivationError;

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
    /// NaN gives NaN. Relu, relu6 and clamp are exact and leaky relu and prelu, with finite slopes,
    /// rounded once; the others are within 3 units in the last place of their definition, and in
    /// addition within 2e-36 (silu), 2e-38 (sigmoid) or 1e-7 (GELU of negative numbers). Where a
    /// definition tends to zero at minus infinity, so does this, and no result is subnormal because
    /// an exponential was.
    ///
    /// # Panics
    ///
    /// If the activation has slopes and `slope` is `None`.
    #[inline(always)]
    pub fn apply<A: Arithmetic>(
        self,
        arithmetic: &mut A,
        x: A::Value,
        slope: Option<A::Value>,
    ) -> A::Value {
        let a = arithmetic;
        match self {
            Self::None => x,
            Self::Relu => at_least(a, 0.0, x),
            Self::Relu6 => clamp(a, 0.0, 6.0, x),
            Self::Clamp { min, max } => clamp(a, min.get(), max.get(), x),
            Self::LeakyRelu { slope } => {
                let slope = a.constant(slope.get());
                leaky(a, x, slope)
            }
            Self::Prelu => leaky(a, x, slope.expect("prelu has a slope per channel")),
            Self::HardSwish => {
                // From below, x = -3 stands for all smaller ones, so that -inf gives zero.
                let x = at_least(a, -3.0, x);
                let gate = hard_gate(a, x);
                a.mul(x, gate)
            }
            Self::HardSigmoid => {
                let x = at_least(a, -3.0, x);
                hard_gate(a, x)
            }
            Self::Silu => {
                let x = at_least(a, -EXP_LIMIT, x);
                let zero = a.constant(0.0);
                let minus_x = a.sub(zero, x);
                let denominator = one_plus_exp(a, minus_x);
                a.div(x, denominator)
            }
            Self::Sigmoid => {
                let x = at_least(a, -EXP_LIMIT, x);
                let zero = a.constant(0.0);
                let minus_x = a.sub(zero, x);
                let denominator = one_plus_exp(a, minus_x);
                let one = a.constant(1.0);
                a.div(one, denominator)
            }
            Self::GeluTanh => {
                let x = at_least(a, -GELU_LIMIT, x);
                let square = a.mul(x, x);
                let (linear, cubic) = (a.constant(GELU_LINEAR), a.constant(GELU_CUBIC));
                let factor = a.mul_add(square, cubic, linear);
                let exponent = a.mul(x, factor);
                let denominator = one_plus_exp(a, exponent);
                a.div(x, denominator)
            }
        }
    }
}

/// `exp` of anything between plus and minus this limit is a normal number, and so is its reciprocal.
const EXP_LIMIT: f32 = 87.0;

/// `gelu_tanh` of anything below minus this limit is closer to zero than 1.3e-37; the exponent
/// there is 87.3, which [`one_plus_exp`] takes.
const GELU_LIMIT: f32 = 10.0;

/// `-2 * sqrt(2 / pi)`. With `u = sqrt(2 / pi) * (x + 0.044715 * x^3)`, GELU is
/// `x * (1 + tanh(u)) / 2 = x / (1 + exp(-2 * u))`.
const GELU_LINEAR: f32 = -1.595_769_2;

/// `0.044715` times [`GELU_LINEAR`].
const GELU_CUBIC: f32 = -0.071_354_814;

/// `1.5 * 2^23`. A number of less than 2^22 added to it is rounded to an integer, which is then in
/// the low bits of the sum, in two's complement.
const ROUND: f32 = 12_582_912.0;

/// `ln(2)` as a sum of two numbers. The first has 10 bits, so its products with the integers that
/// occur are exact even where a multiply-add is rounded twice.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// `(exp(r) - 1 - r) / r^2`, highest power first: the minimax polynomial of degree 4 for
/// `|r| <= ln(2) / 2`. With exact arithmetic `exp` would be within 0.06 ulp.
const EXP: [f32; 5] = [0.001_382_104_2, 0.008_368_671, 0.041_668_262, 0.166_665_21, 0.499_999_94];

/// `max(limit, x)`; NaN for NaN.
#[inline(always)]
fn at_least<A: Arithmetic>(a: &mut A, limit: f32, x: A::Value) -> A::Value {
    let limit = a.constant(limit);
    a.max(limit, x)
}

/// `min(max, max(min, x))`; NaN for NaN.
#[inline(always)]
fn clamp<A: Arithmetic>(a: &mut A, min: f32, max: f32, x: A::Value) -> A::Value {
    let x = at_least(a, min, x);
    let max = a.constant(max);
    a.min(max, x)
}

/// `max(0, x) + slope * min(0, x)`: right for any finite slope, and without a branch. One of the
/// two terms is zero, so the result is rounded once.
#[inline(always)]
fn leaky<A: Arithmetic>(a: &mut A, x: A::Value, slope: A::Value) -> A::Value {
    let zero = a.constant(0.0);
    let positive = a.max(zero, x);
    let negative = a.min(zero, x);
    a.mul_add(negative, slope, positive)
}

/// `min(6, x + 3) * (1 / 6)` of a number that is at least -3.
#[inline(always)]
fn hard_gate<A: Arithmetic>(a: &mut A, x: A::Value) -> A::Value {
    let (three, six, sixth) = (a.constant(3.0), a.constant(6.0), a.constant(1.0 / 6.0));
    let sum = a.add(x, three);
    let sum = a.min(six, sum);
    a.mul(sum, sixth)
}

/// `1 + exp(x)` of a number that is at most 88; NaN for NaN.
///
/// `exp(x) = 2^n * exp(r)` with an integer `n` and `|r| <= ln(2) / 2`. The power of two is a factor
/// of its own: added to the exponent of `exp(r)`, it could turn a NaN into a number.
#[inline(always)]
fn one_plus_exp<A: Arithmetic>(a: &mut A, x: A::Value) -> A::Value {
    let x = at_least(a, -EXP_LIMIT, x);
    let (log2_e, round) = (a.constant(std::f32::consts::LOG2_E), a.constant(ROUND));
    let rounded = a.mul_add(x, log2_e, round);
    let n = a.sub(rounded, round);
    let (high, low) = (a.constant(-LN_2[0]), a.constant(-LN_2[1]));
    let r = a.mul_add(n, high, x);
    let r = a.mul_add(n, low, r);
    let mut power = a.constant(EXP[0]);
    for coefficient in &EXP[1..] {
        let coefficient = a.constant(*coefficient);
        power = a.mul_add(power, r, coefficient);
    }
    let one = a.constant(1.0);
    let power = a.mul_add(power, r, one);
    let power = a.mul_add(power, r, one);
    let scale = a.add_to_exponent(one, rounded);
    a.mul_add(power, scale, one)
}

/// [`Arithmetic`] on one number: what the reference computes with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Arithmetic for Scalar {
    type Value = f32;

    #[inline(always)]
    fn constant(&mut self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn add(&mut self, a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn sub(&mut self, a: f32, b: f32) -> f32 {
        a - b
    }

    #[inline(always)]
    fn mul(&mut self, a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn div(&mut self, a: f32, b: f32) -> f32 {
        a / b
    }

    #[inline(always)]
    fn mul_add(&mut self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn min(&mut self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }

    #[inline(always)]
    fn max(&mut self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }

    #[inline(always)]
    fn add_to_exponent(&mut self, a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits().wrapping_add(b.to_bits() << 23))
    }
}

impl Finite {
    /// The number, if it is neither infinite nor NaN. A negative zero becomes zero.
    pub fn new(value: f32) -> Option<Self> {
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// A quarter of an integer.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn from_quarters(quarters: i8) -> Self {
        Self(f32::from(quarters) / 4.0)
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
