//! How far two computations of a block may be apart where multiply-adds are not fused.

use super::{check_lengths, naive};
use crate::activation::Activation;
use crate::weights::{Weights, WrongLength};
use crate::workload::Workload;

/// Relative error of one rounding to nearest: 2^-24.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Absolute error of one rounding in the range of subnormal numbers, with room.
const UNDERFLOW: f64 = f32::MIN_POSITIVE as f64 * f32::EPSILON as f64;

/// Error of computing an activation from an exact argument, in roundings of its value: at most 3
/// were seen, the rest is room.
const ACTIVATION_ROUNDINGS: f64 = 16.0;

/// For each output, how far two computations of it may be apart that take the order of
/// [`run`](super::run) but round each multiply-add once or twice: a kernel for a target without
/// FMA, and the reference.
///
/// This is the running error bound of a chain (Higham, *Accuracy and Stability of Numerical
/// Algorithms*, section 3.3): every multiply-add adds 2^-24 of its product and 2^-24 of its sum, so
/// the bound grows with the reduction length and with the magnitude of what is summed, at most
/// `2 * gamma(2n) * sum(|x| |w|)`. An activation multiplies the error by its steepest slope and adds
/// 2^-20 of its value. Outputs that overflow have an infinite bound: compare with
/// `!((a - b).abs() > bound)`.
///
/// # Errors
///
/// Returns the first slice whose length is not what the workload calls for.
pub fn error_bounds(
    workload: &Workload,
    weights: &Weights<'_>,
    input: &[f32],
    residual: Option<&[f32]>,
) -> Result<Vec<f32>, WrongLength> {
    check_lengths(workload, weights, input, residual)?;
    let outputs = naive::run::<Bounded>(workload, weights, input, residual);
    let bound = |output: Bounded| {
        let apart = (2.0 * output.error) as f32;
        // Rounding to `f32` may have made it smaller.
        if apart.is_finite() { apart.next_up() } else { f32::INFINITY }
    };
    Ok(outputs.into_iter().map(bound).collect())
}

/// A number, computed in more precision, and how far from it a computation in `f32` may be.
#[derive(Clone, Copy)]
struct Bounded {
    value: f64,
    error: f64,
}

impl Bounded {
    /// The value rounded to `f32` once.
    fn rounded(self) -> Self {
        let rounding = ROUNDING * (self.value.abs() + self.error) + UNDERFLOW;
        Self { error: self.error + rounding, ..self }
    }
}

impl naive::Number for Bounded {
    fn given(value: f32) -> Self {
        Self { value: value.into(), error: 0.0 }
    }

    fn multiply_add(self, weight: f32, sum: Self) -> Self {
        let weight = f64::from(weight);
        let product = Self { value: weight * self.value, error: weight.abs() * self.error };
        product.rounded().plus(sum)
    }

    fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, error: self.error + other.error }.rounded()
    }

    fn activate(self, activation: Activation, slope: Option<f32>) -> Self {
        let value = exact(activation, self.value, slope);
        let roundings = match activation {
            Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clamp { .. } => {
                0.0
            }
            _ => ACTIVATION_ROUNDINGS * ROUNDING,
        };
        let own = match activation {
            // The exponent is itself computed, with errors that its size multiplies.
            Activation::GeluTanh => roundings * (value.abs() + 0.25),
            _ => roundings * value.abs(),
        };
        Self {
            value,
            error: steepest(activation, slope) * self.error + own + f64::from(f32::MIN_POSITIVE),
        }
    }
}

/// Largest slope of an activation.
fn steepest(activation: Activation, slope: Option<f32>) -> f64 {
    let leaky = |slope: f32| f64::from(slope).abs().max(1.0);
    match activation {
        Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clamp { .. } => 1.0,
        Activation::LeakyRelu { slope } => leaky(slope.get()),
        Activation::Prelu => leaky(slope.unwrap_or(1.0)),
        Activation::HardSwish => 1.5,
        Activation::HardSigmoid => 1.0 / 6.0,
        Activation::Silu => 1.1,
        Activation::Sigmoid => 0.25,
        Activation::GeluTanh => 1.13,
    }
}

/// An activation by its definition.
pub(crate) fn exact(activation: Activation, x: f64, slope: Option<f32>) -> f64 {
    let leaky = |slope: f32| if x > 0.0 { x } else { f64::from(slope) * x };
    let hard_sigmoid = (x + 3.0).clamp(0.0, 6.0) / 6.0;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Clamp { min, max } => x.clamp(min.get().into(), max.get().into()),
        Activation::LeakyRelu { slope } => leaky(slope.get()),
        Activation::Prelu => leaky(slope.unwrap_or(1.0)),
        Activation::HardSwish => x * hard_sigmoid,
        Activation::HardSigmoid => hard_sigmoid,
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x * sigmoid(2.0 * inner)
        }
    }
}
