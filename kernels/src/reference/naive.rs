//! The definition of a block, loop by loop, over any kind of number.

use super::epilogue;
use crate::activation::{Activation, Scalar};
use crate::weights::Weights;
use crate::workload::{Layout, Workload};

/// What the definition is computed with.
pub(super) trait Number: Copy {
    /// A given element.
    fn given(value: f32) -> Self;
    /// `sum + weight * self`.
    fn multiply_add(self, weight: f32, sum: Self) -> Self;
    /// `self + other`.
    fn plus(self, other: Self) -> Self;
    /// The activation of a finished sum.
    fn activate(self, activation: Activation, slope: Option<f32>) -> Self;
}

impl Number for f32 {
    fn given(value: f32) -> Self {
        value
    }

    fn multiply_add(self, weight: f32, sum: Self) -> Self {
        weight.mul_add(self, sum)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn activate(self, activation: Activation, slope: Option<f32>) -> Self {
        activation.apply(&mut Scalar, self, slope)
    }
}

/// Computes the block by the plainest loops there are, on slices of the right lengths.
pub(super) fn run<N: Number>(
    workload: &Workload,
    weights: &Weights<'_>,
    input: &[f32],
    residual: Option<&[f32]>,
) -> Vec<N> {
    let block = Block { workload, weights, input };
    let [rows, cols] = workload.output_extent();
    let channels = workload.output_channels();
    let strides = Strides::new(workload.layout(), channels, rows * cols);
    let mut output = vec![N::given(0.0); workload.output_len()];
    for image in 0..workload.batch() {
        for row in 0..rows {
            for col in 0..cols {
                let middle = block.middle(image, row, col);
                for k in 0..channels {
                    let at = image * channels * rows * cols
                        + k * strides.channel
                        + (row * cols + col) * strides.pixel;
                    let residual = residual.map(|residual| residual[at]);
                    output[at] = block.pointwise(&middle, k, residual);
                }
            }
        }
    }
    output
}

/// Where an element of one image is: `channel * channels + pixel * pixels`.
#[derive(Clone, Copy)]
struct Strides {
    channel: usize,
    pixel: usize,
}

impl Strides {
    /// Of an image of so many channels and pixels.
    fn new(layout: Layout, channels: usize, pixels: usize) -> Self {
        match layout {
            Layout::Nchw => Self { channel: pixels, pixel: 1 },
            Layout::Nhwc => Self { channel: 1, pixel: channels },
        }
    }
}

struct Block<'a> {
    workload: &'a Workload,
    weights: &'a Weights<'a>,
    input: &'a [f32],
}

impl Block<'_> {
    /// One pixel of the input with its padding; positive zero outside the input.
    fn padded<N: Number>(&self, image: usize, channel: usize, row: usize, col: usize) -> N {
        let padding = self.workload.depthwise().map(|stage| stage.padding).unwrap_or_default();
        let [_, channels, rows, cols] = self.workload.input_shape();
        let inside = |index: usize, before: u32, extent: usize| {
            index.checked_sub(before as usize).filter(|index| *index < extent)
        };
        let (Some(row), Some(col)) =
            (inside(row, padding.top, rows), inside(col, padding.left, cols))
        else {
            return N::given(0.0);
        };
        let strides = Strides::new(self.workload.layout(), channels, rows * cols);
        let image = &self.input[image * channels * rows * cols..];
        N::given(image[channel * strides.channel + (row * cols + col) * strides.pixel])
    }

    /// All middle channels that one output pixel reads.
    fn middle<N: Number>(&self, image: usize, row: usize, col: usize) -> Vec<N> {
        let [skip_rows, skip_cols] = self.workload.pointwise().map_or([1, 1], |stage| stage.stride);
        let (row, col) = (row * skip_rows as usize, col * skip_cols as usize);
        (0..self.workload.middle_channels())
            .map(|channel| self.depthwise(image, channel, row, col))
            .collect()
    }

    fn depthwise<N: Number>(&self, image: usize, channel: usize, row: usize, col: usize) -> N {
        let Some(stage) = self.workload.depthwise() else {
            return self.padded(image, channel, row, col);
        };
        let input_channel = channel / stage.multiplier as usize;
        let [kernel_rows, kernel_cols] = stage.kernel.map(|taps| taps as usize);
        let [row, col] = [row * stage.stride[0] as usize, col * stage.stride[1] as usize];
        let biases = self.weights.depthwise_bias;
        let (bias, slope) = epilogue(biases, self.weights.depthwise_slopes, channel);
        let mut sum = N::given(bias);
        for r in 0..kernel_rows {
            for s in 0..kernel_cols {
                let row = row + r * stage.dilation[0] as usize;
                let col = col + s * stage.dilation[1] as usize;
                let weight = self.weights.depthwise[(channel * kernel_rows + r) * kernel_cols + s];
                sum = self.padded::<N>(image, input_channel, row, col).multiply_add(weight, sum);
            }
        }
        sum.activate(stage.activation, slope)
    }

    fn pointwise<N: Number>(&self, middle: &[N], k: usize, residual: Option<f32>) -> N {
        let Some(stage) = self.workload.pointwise() else {
            return middle[k];
        };
        let biases = self.weights.pointwise_bias;
        let (bias, slope) = epilogue(biases, self.weights.pointwise_slopes, k);
        let mut sum = N::given(bias);
        for (c, value) in middle.iter().enumerate() {
            sum = value.multiply_add(self.weights.pointwise[k * middle.len() + c], sum);
        }
        if let Some(residual) = residual {
            sum = sum.plus(N::given(residual));
        }
        sum.activate(stage.activation, slope)
    }
}
