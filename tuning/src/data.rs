//! Seeded tensors to tune and to compare with. One seed gives the same numbers on every platform.

use dsconv_kernels::{Weights, Workload};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Owned input, residual and weights of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    /// The input, in the workload's layout.
    pub input: Vec<f32>,
    /// The residual, where the workload has one.
    pub residual: Option<Vec<f32>>,
    depthwise: Vec<f32>,
    depthwise_bias: Vec<f32>,
    depthwise_slopes: Vec<f32>,
    pointwise: Vec<f32>,
    pointwise_bias: Vec<f32>,
    pointwise_slopes: Vec<f32>,
}

impl Tensors {
    /// Integers from -4 to 4, so that sums of realistic length are exact in any order.
    pub fn integers(workload: &Workload, seed: u64) -> Self {
        Self::generate(workload, seed, |rng| f32::from(rng.random_range(-4..=4_i8)), |_| 1.0)
    }

    /// Numbers spread evenly over -1 to 1. Pointwise weights are scaled by the inverse root of
    /// their number per output, so that outputs keep the size of the inputs.
    pub fn ordinary(workload: &Workload, seed: u64) -> Self {
        Self::generate(
            workload,
            seed,
            |rng| rng.random_range(-1.0..=1.0_f32),
            |terms| (terms as f32).sqrt().recip(),
        )
    }

    fn generate(
        workload: &Workload,
        seed: u64,
        draw: fn(&mut StdRng) -> f32,
        scale: fn(usize) -> f32,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut fill = |wanted: bool, len: usize, scale: f32| -> Vec<f32> {
            let len = if wanted { len } else { 0 };
            (0..len).map(|_| draw(&mut rng) * scale).collect()
        };
        let (depthwise, pointwise) = (workload.depthwise(), workload.pointwise());
        let middle = workload.middle_channels();
        let outputs = workload.output_channels();
        let residual = pointwise.is_some_and(|stage| stage.residual);
        Self {
            input: fill(true, workload.input_len(), 1.0),
            residual: residual.then(|| fill(true, workload.output_len(), 1.0)),
            depthwise: fill(true, workload.depthwise_len(), 1.0),
            depthwise_bias: fill(depthwise.is_some_and(|s| s.bias), middle, 1.0),
            depthwise_slopes: fill(
                depthwise.is_some_and(|s| s.activation.has_slopes()),
                middle,
                1.0,
            ),
            pointwise: fill(true, workload.pointwise_len(), scale(middle)),
            pointwise_bias: fill(pointwise.is_some_and(|s| s.bias), outputs, 1.0),
            pointwise_slopes: fill(
                pointwise.is_some_and(|s| s.activation.has_slopes()),
                outputs,
                1.0,
            ),
        }
    }

    /// The weights, biases and slopes.
    pub fn weights(&self) -> Weights<'_> {
        Weights {
            depthwise: &self.depthwise,
            depthwise_bias: &self.depthwise_bias,
            depthwise_slopes: &self.depthwise_slopes,
            pointwise: &self.pointwise,
            pointwise_bias: &self.pointwise_bias,
            pointwise_slopes: &self.pointwise_slopes,
        }
    }
}
