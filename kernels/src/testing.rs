//! Random workloads and tensors for property tests, and the comparison that such tests end with.
//!
//! ```
//! use dsconv_kernels::testing;
//! use rand::{SeedableRng, rngs::StdRng};
//!
//! let workload = testing::random_workload(&mut StdRng::seed_from_u64(7), &testing::Limits::default());
//! let tensors = testing::Tensors::integers(&workload, 7);
//! let expected = testing::definition(&workload, &tensors);
//! let actual = testing::reference(&workload, &tensors);
//! testing::assert_same(&expected, &actual, &format!("{workload} seed 7"));
//! ```

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};

mod schedule;

pub use schedule::{random_schedule, with_masked_tails};

use crate::activation::{Activation, Finite};
use crate::weights::Weights;
use crate::workload::{Depthwise, Layout, Padding, Pointwise, Workload};

/// How large a random workload may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most images.
    pub batch: usize,
    /// Most input channels.
    pub channels: usize,
    /// Most rows, and most columns, of the input.
    pub extent: usize,
    /// Most output channels of the pointwise stage.
    pub outputs: u32,
    /// Most multiply-adds of one run.
    pub multiply_adds: u64,
}

impl Default for Limits {
    /// Small enough for thousands of workloads in an unoptimised test, large enough for the tails
    /// of the widest register tiles.
    fn default() -> Self {
        Self { batch: 3, channels: 40, extent: 40, outputs: 70, multiply_adds: 300_000 }
    }
}

/// A workload with at least one stage; over many calls every feature occurs, and the sizes at
/// which tiles end or overlap are more frequent than others.
pub fn random_workload(rng: &mut impl Rng, limits: &Limits) -> Workload {
    loop {
        let shape = [
            rng.random_range(1..=limits.batch.max(1)),
            size(rng, limits.channels),
            size(rng, limits.extent),
            size(rng, limits.extent),
        ];
        let mut builder = Workload::builder(shape);
        builder.layout = if rng.random() { Layout::Nchw } else { Layout::Nhwc };
        let stages = rng.random_range(0..4);
        if stages != 1 {
            builder.depthwise = Some(random_depthwise(rng, [shape[2], shape[3]]));
        }
        if stages != 2 {
            builder.pointwise = Some(random_pointwise(rng, limits.outputs));
        }
        // The kernel may be larger than the input and the crop may leave nothing: draw again.
        if let Ok(workload) = builder.build()
            && workload.flops() / 2 <= limits.multiply_adds
        {
            return workload;
        }
    }
}

/// A size of at most `limit`, often one at which vectors and register tiles have edges.
fn size(rng: &mut impl Rng, limit: usize) -> usize {
    const EDGES: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
    let size = if rng.random() {
        *EDGES.choose(rng).expect("there are edges")
    } else {
        rng.random_range(1..=limit.max(1))
    };
    size.clamp(1, limit.max(1))
}

fn random_depthwise(rng: &mut impl Rng, input: [usize; 2]) -> Depthwise {
    let kernel = match rng.random_range(0..4) {
        0 => [3, 3],
        1 => [5, 5],
        _ => [rng.random_range(1..=5), rng.random_range(1..=7)],
    };
    let stride = pair(rng, 3);
    let dilation = if rng.random_ratio(1, 3) { pair(rng, 3) } else { [1, 1] };
    let padding = match rng.random_range(0..4) {
        0 => Padding::default(),
        1 => Padding::tensorflow_same(input, kernel, stride, dilation),
        2 => Padding::same(kernel[0] / 2),
        _ => Padding {
            top: rng.random_range(0..=kernel[0] + 1),
            left: rng.random_range(0..=kernel[1] + 1),
            bottom: rng.random_range(-2..=kernel[0] as i32 + 1),
            right: rng.random_range(-2..=kernel[1] as i32 + 1),
        },
    };
    Depthwise {
        stride,
        dilation,
        padding,
        multiplier: if rng.random_ratio(1, 4) { rng.random_range(2..=3) } else { 1 },
        bias: rng.random(),
        activation: random_activation(rng),
        ..Depthwise::kernel(kernel[0], kernel[1])
    }
}

fn random_pointwise(rng: &mut impl Rng, outputs: u32) -> Pointwise {
    Pointwise {
        stride: if rng.random_ratio(1, 4) { pair(rng, 3) } else { [1, 1] },
        bias: rng.random(),
        residual: rng.random_ratio(1, 3),
        activation: random_activation(rng),
        ..Pointwise::channels(size(rng, outputs as usize) as u32)
    }
}

/// Two numbers of 1 to `limit`, mostly the same.
fn pair(rng: &mut impl Rng, limit: u32) -> [u32; 2] {
    let both = rng.random_range(1..=limit);
    if rng.random_ratio(1, 3) { [both, rng.random_range(1..=limit)] } else { [both, both] }
}

/// Any activation.
pub fn random_activation(rng: &mut impl Rng) -> Activation {
    let mut number =
        |quarters: std::ops::RangeInclusive<i8>| Finite::from_quarters(rng.random_range(quarters));
    let (low, high, slope) = (number(-8..=0), number(0..=8), number(-6..=6));
    let all = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::Clamp { min: low, max: high },
        Activation::LeakyRelu { slope },
        Activation::Prelu,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::GeluTanh,
    ];
    all[rng.random_range(0..all.len())]
}

/// Input, weights and residual of a workload, each with the length that it calls for.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    /// The input.
    pub input: Vec<f32>,
    /// As in [`Weights::depthwise`], and so on.
    pub depthwise: Vec<f32>,
    /// Depthwise biases.
    pub depthwise_bias: Vec<f32>,
    /// Slopes of a depthwise prelu.
    pub depthwise_slopes: Vec<f32>,
    /// Pointwise weights.
    pub pointwise: Vec<f32>,
    /// Pointwise biases.
    pub pointwise_bias: Vec<f32>,
    /// Slopes of a pointwise prelu.
    pub pointwise_slopes: Vec<f32>,
    /// The residual; empty where the workload has none.
    pub residual: Vec<f32>,
}

impl Tensors {
    /// Small integers, so that sums are exact and no order of additions can hide an error.
    ///
    /// The depthwise stage of up to 64 taps sums to less than 2^12 and the pointwise stage of up to
    /// 2^11 channels to less than 2^24; slopes are -1, 0, 1 or 2. Activations that are not piecewise
    /// linear over integers still round, each in the one way that [`Activation`] defines.
    pub fn integers(workload: &Workload, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self::filled(workload, |tensor, len| {
            let limits = match tensor {
                Tensor::Input => -7..=7,
                Tensor::Residual | Tensor::Bias => -8..=8,
                Tensor::Depthwise => -4..=4,
                Tensor::Pointwise => -2..=2,
                Tensor::Slopes => -1..=2,
            };
            (0..len).map(|_| rng.random_range(limits.clone()) as f32).collect()
        })
    }

    /// Numbers as in networks: inputs of about 1, weights whose sums stay of about 1.
    pub fn ordinary(workload: &Workload, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let taps = workload.depthwise().map_or(1, |stage| stage.taps());
        let channels = workload.middle_channels();
        Self::filled(workload, |tensor, len| {
            let scale = match tensor {
                Tensor::Depthwise => 3.0 / (taps as f32).sqrt(),
                Tensor::Pointwise => 3.0 / (channels as f32).sqrt(),
                Tensor::Input | Tensor::Residual => 2.0,
                Tensor::Bias | Tensor::Slopes => 0.5,
            };
            (0..len).map(|_| rng.random_range(-scale..=scale)).collect()
        })
    }

    fn filled(workload: &Workload, mut fill: impl FnMut(Tensor, usize) -> Vec<f32>) -> Self {
        let when = |wanted: bool, len: usize| if wanted { len } else { 0 };
        let (middle, outputs) = (workload.middle_channels(), workload.output_channels());
        let depthwise = workload.depthwise();
        let pointwise = workload.pointwise();
        let depthwise_bias = when(depthwise.is_some_and(|stage| stage.bias), middle);
        let pointwise_bias = when(pointwise.is_some_and(|stage| stage.bias), outputs);
        let depthwise_slopes =
            when(depthwise.is_some_and(|stage| stage.activation.has_slopes()), middle);
        let pointwise_slopes =
            when(pointwise.is_some_and(|stage| stage.activation.has_slopes()), outputs);
        let residual = when(pointwise.is_some_and(|stage| stage.residual), workload.output_len());
        Self {
            input: fill(Tensor::Input, workload.input_len()),
            depthwise: fill(Tensor::Depthwise, workload.depthwise_len()),
            depthwise_bias: fill(Tensor::Bias, depthwise_bias),
            depthwise_slopes: fill(Tensor::Slopes, depthwise_slopes),
            pointwise: fill(Tensor::Pointwise, workload.pointwise_len()),
            pointwise_bias: fill(Tensor::Bias, pointwise_bias),
            pointwise_slopes: fill(Tensor::Slopes, pointwise_slopes),
            residual: fill(Tensor::Residual, residual),
        }
    }

    /// The weights, borrowed.
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

    /// The residual, where the workload has one.
    pub fn residual(&self) -> Option<&[f32]> {
        (!self.residual.is_empty()).then_some(self.residual.as_slice())
    }
}

#[derive(Clone, Copy)]
enum Tensor {
    Input,
    Depthwise,
    Pointwise,
    Bias,
    Slopes,
    Residual,
}

/// What [`reference::run`](crate::reference::run) makes of the tensors.
///
/// # Panics
///
/// If the tensors are another workload's.
pub fn reference(workload: &Workload, tensors: &Tensors) -> Vec<f32> {
    let mut output = vec![f32::NAN; workload.output_len()];
    let (weights, residual) = (tensors.weights(), tensors.residual());
    crate::reference::run(workload, &weights, &tensors.input, residual, &mut output)
        .expect("the tensors are the workload's");
    output
}

/// The same by the plainest loops there are: the definition, which the reference is tested with.
/// Slow.
///
/// # Panics
///
/// If the tensors are another workload's.
pub fn definition(workload: &Workload, tensors: &Tensors) -> Vec<f32> {
    let (weights, residual) = (tensors.weights(), tensors.residual());
    crate::reference::naive::run(workload, &weights, &tensors.input, residual)
}

/// Compares two outputs bit by bit; any NaN equals any NaN. `repro` is a line that names the case.
///
/// # Panics
///
/// If they differ: with the first difference, the number of differences and the line.
#[track_caller]
pub fn assert_same(expected: &[f32], actual: &[f32], repro: &str) {
    assert_eq!(expected.len(), actual.len(), "lengths differ: {repro}");
    let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let mut differences = (0..expected.len()).filter(|&at| !same(expected[at], actual[at]));
    if let Some(first) = differences.next() {
        panic!(
            "{} of {} elements differ, the first at {first}: expected {:?} ({:#010x}), found {:?} \
             ({:#010x}): {repro}",
            1 + differences.count(),
            expected.len(),
            expected[first],
            expected[first].to_bits(),
            actual[first],
            actual[first].to_bits(),
        );
    }
}
