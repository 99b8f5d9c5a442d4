//! The oracle: every output one chain of fused multiply-adds in one fixed order.
//!
//! ```
//! use dsconv_kernels::{Pointwise, Weights, Workload, reference};
//!
//! let workload =
//!     Workload::builder([1, 2, 1, 1]).pointwise(Pointwise::channels(1).bias(false)).build()?;
//! let weights = Weights { pointwise: &[2.0, 3.0], ..Weights::default() };
//! let mut output = [0.0];
//! reference::run(&workload, &weights, &[10.0, 1.0], None, &mut output)?;
//! assert_eq!(output, [23.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The order of the operations of one output is fixed, that of the outputs is not: the loops run
//! over outputs inside and over taps or channels outside, so the compiler can use vectors.

mod dispatch;

use crate::activation::{Activation, Scalar};
use crate::weights::{Weights, WrongLength};
use crate::workload::{Layout, Workload};

/// Outputs that are computed side by side; their sums stay in registers.
const RUN: usize = 32;

/// Output channels that share one reading of the middle.
const CHANNELS: usize = 4;

/// Pixels of a pointwise register tile.
const PIXELS: usize = 16;

/// Computes the block.
///
/// The order that every kernel repeats: an accumulator starts at the bias (or at zero); a
/// depthwise sum takes its taps row by row, a tap outside the input being a multiplication by
/// positive zero like any other; a pointwise sum takes its channels in ascending order; the
/// residual is added to the finished sum; then comes the activation.
///
/// # Errors
///
/// Returns the first slice whose length is not what the workload calls for.
pub fn run(
    workload: &Workload,
    weights: &Weights<'_>,
    input: &[f32],
    residual: Option<&[f32]>,
    output: &mut [f32],
) -> Result<(), WrongLength> {
    check_lengths(workload, weights, input, residual)?;
    WrongLength::check("output", workload.output_len(), output.len())?;
    dispatch::run(Block { workload, weights, input, residual, output });
    Ok(())
}

fn check_lengths(
    workload: &Workload,
    weights: &Weights<'_>,
    input: &[f32],
    residual: Option<&[f32]>,
) -> Result<(), WrongLength> {
    weights.check(workload)?;
    WrongLength::check("input", workload.input_len(), input.len())?;
    let wanted = workload.pointwise().is_some_and(|stage| stage.residual);
    let expected = if wanted { workload.output_len() } else { 0 };
    WrongLength::check("residual", expected, residual.map_or(0, <[f32]>::len))
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

/// The bias and the slope of a channel.
fn epilogue(biases: &[f32], slopes: &[f32], channel: usize) -> (f32, Option<f32>) {
    (biases.get(channel).copied().unwrap_or(0.0), slopes.get(channel).copied())
}

/// One call of [`run`], checked.
struct Block<'a> {
    workload: &'a Workload,
    weights: &'a Weights<'a>,
    input: &'a [f32],
    residual: Option<&'a [f32]>,
    output: &'a mut [f32],
}

impl dispatch::Job for Block<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { workload, weights, input, residual, output } = self;
        let pixels = workload.output_extent().into_iter().product::<usize>();
        let in_strides = Strides::new(
            workload.layout(),
            workload.channels(),
            workload.height() * workload.width(),
        );
        let out_strides = Strides::new(workload.layout(), workload.output_channels(), pixels);
        let in_len = workload.input_len() / workload.batch();
        let out_len = workload.output_len() / workload.batch();
        let mut planes = Planes::new(workload);
        let mut middle = Middle::new(workload.middle_channels(), pixels);
        for image in 0..workload.batch() {
            let input = &input[image * in_len..][..in_len];
            let output = &mut output[image * out_len..][..out_len];
            for channel in 0..workload.channels() {
                planes.read(&input[channel * in_strides.channel..], in_strides.pixel);
                for middle_channel in planes.middle_channels(channel) {
                    planes.filter(weights, middle_channel);
                    if workload.pointwise().is_some() {
                        middle.write(middle_channel, planes.pixels());
                    } else {
                        let plane = output[middle_channel * out_strides.channel..].iter_mut();
                        for (to, from) in plane.step_by(out_strides.pixel).zip(planes.pixels()) {
                            *to = from;
                        }
                    }
                }
            }
            let residual = residual.map(|residual| &residual[image * out_len..][..out_len]);
            middle.multiply(workload, weights, residual, output, out_strides);
        }
    }
}

/// The depthwise stage of one channel.
///
/// The padded plane is kept apart by the remainders of row and column modulo the step between
/// outputs. Then all outputs read one tap from consecutive addresses, whatever the step; the sums
/// of the columns between two rows of outputs are computed and not used.
struct Planes<'a> {
    workload: &'a Workload,
    /// Rows and columns from one output to the next.
    step: [usize; 2],
    /// Rows and columns of one part of the padded plane.
    part: [usize; 2],
    /// Offset of each column of the input.
    columns: Vec<usize>,
    padded: Vec<f32>,
    sums: Vec<f32>,
}

impl<'a> Planes<'a> {
    fn new(workload: &'a Workload) -> Self {
        let after = workload.pointwise().map_or([1, 1], |stage| stage.stride);
        let stride = workload.depthwise().map_or([1, 1], |stage| stage.stride);
        let extent = workload.padded_extent();
        // A step beyond the plane leaves one output, at the origin of the first part.
        let step = [0, 1].map(|axis| {
            (stride[axis] as usize).saturating_mul(after[axis] as usize).min(extent[axis])
        });
        let part = [0, 1].map(|axis| extent[axis].div_ceil(step[axis]));
        let [rows, cols] = workload.output_extent();
        let sums = ((rows - 1) * part[1] + cols).next_multiple_of(RUN);
        let padded = vec![0.0; step[0] * step[1] * part[0] * part[1] + RUN];
        let mut planes =
            Self { workload, step, part, columns: vec![], padded, sums: vec![0.0; sums] };
        let left = workload.depthwise().map_or(0, |stage| stage.padding.left as usize);
        let read = workload.width().min(extent[1] - left);
        planes.columns = (left..left + read).map(|col| planes.offset(1, col)).collect();
        planes
    }

    /// Where a pixel of the padded plane is kept: the sum of its row's and its column's offset.
    #[inline(always)]
    fn offset(&self, axis: usize, index: usize) -> usize {
        let (part, within) = (index % self.step[axis], index / self.step[axis]);
        match axis {
            0 => (part * self.step[1] * self.part[0] + within) * self.part[1],
            _ => part * self.part[0] * self.part[1] + within,
        }
    }

    /// Reads a channel of the input, with its pixels `stride` elements apart.
    #[inline(always)]
    fn read(&mut self, plane: &[f32], stride: usize) {
        let padding = self.workload.depthwise().map(|stage| stage.padding).unwrap_or_default();
        let (top, left) = (padding.top as usize, padding.left as usize);
        let [rows, cols] = self.workload.padded_extent();
        let width = self.workload.width();
        let read = width.min(cols - left);
        for row in 0..self.workload.height().min(rows - top) {
            let from = &plane[row * width * stride..];
            let start = self.offset(0, row + top);
            if stride == 1 && self.step[1] == 1 {
                self.padded[start + left..][..read].copy_from_slice(&from[..read]);
                continue;
            }
            for (pixel, offset) in from.iter().step_by(stride).zip(&self.columns) {
                self.padded[start + offset] = *pixel;
            }
        }
    }

    fn middle_channels(&self, channel: usize) -> std::ops::Range<usize> {
        let multiplier = self.workload.depthwise().map_or(1, |stage| stage.multiplier as usize);
        channel * multiplier..(channel + 1) * multiplier
    }

    /// Computes one middle channel of the plane that was read.
    #[inline(always)]
    fn filter(&mut self, weights: &Weights<'_>, channel: usize) {
        let Some(stage) = self.workload.depthwise() else {
            let len = self.sums.len().min(self.padded.len());
            self.sums[..len].copy_from_slice(&self.padded[..len]);
            return;
        };
        let dilation = stage.dilation.map(|dilation| dilation as usize);
        let kernel = stage.kernel.map(|taps| taps as usize);
        let filter = &weights.depthwise[channel * stage.taps()..][..stage.taps()];
        let (bias, slope) = epilogue(weights.depthwise_bias, weights.depthwise_slopes, channel);
        let taps: Vec<(usize, f32)> = (0..stage.taps())
            .map(|tap| {
                let (row, col) = (tap / kernel[1], tap % kernel[1]);
                let address = self.offset(0, row * dilation[0]) + self.offset(1, col * dilation[1]);
                (address, filter[tap])
            })
            .collect();
        for start in (0..self.sums.len()).step_by(RUN) {
            let mut sums = [bias; RUN];
            for &(address, weight) in &taps {
                // The last run goes beyond the outputs; what it reads there is not used.
                let first = (address + start).min(self.padded.len() - RUN);
                let pixels: &[f32; RUN] = run_at(&self.padded, first);
                for lane in 0..RUN {
                    sums[lane] = weight.mul_add(pixels[lane], sums[lane]);
                }
            }
            activate(stage.activation, &mut sums, slope);
            self.sums[start..start + RUN].copy_from_slice(&sums);
        }
    }

    /// The outputs of the middle channel that was computed, row by row.
    fn pixels(&self) -> impl Iterator<Item = f32> {
        let [rows, cols] = self.workload.output_extent();
        (0..rows).flat_map(move |row| self.sums[row * self.part[1]..][..cols].iter().copied())
    }
}

/// The pixels of one image that the pointwise stage reads: groups of [`PIXELS`] pixels, in each
/// group all channels.
struct Middle {
    channels: usize,
    pixels: usize,
    groups: Vec<[f32; PIXELS]>,
}

impl Middle {
    fn new(channels: usize, pixels: usize) -> Self {
        let groups = pixels.div_ceil(PIXELS) * channels;
        Self { channels, pixels, groups: vec![[0.0; PIXELS]; groups] }
    }

    #[inline(always)]
    fn write(&mut self, channel: usize, pixels: impl Iterator<Item = f32>) {
        for (pixel, value) in pixels.enumerate() {
            self.groups[pixel / PIXELS * self.channels + channel][pixel % PIXELS] = value;
        }
    }

    /// The pointwise stage, where there is one.
    #[inline(always)]
    fn multiply(
        &self,
        workload: &Workload,
        weights: &Weights<'_>,
        residual: Option<&[f32]>,
        output: &mut [f32],
        strides: Strides,
    ) {
        let Some(stage) = workload.pointwise() else { return };
        let channels = stage.channels as usize;
        for (index, group) in self.groups.chunks_exact(self.channels).enumerate() {
            let first_pixel = index * PIXELS;
            let pixels = PIXELS.min(self.pixels - first_pixel);
            for first in (0..channels).step_by(CHANNELS) {
                // The last tile repeats its last channel, so that all tiles are alike.
                let tile: [usize; CHANNELS] =
                    std::array::from_fn(|index| (first + index).min(channels - 1));
                let rows = tile.map(|k| &weights.pointwise[k * self.channels..][..self.channels]);
                let mut sums = tile.map(|k| {
                    [epilogue(weights.pointwise_bias, weights.pointwise_slopes, k).0; PIXELS]
                });
                accumulate(&mut sums, rows, group);
                for (k, mut sums) in tile.into_iter().zip(sums) {
                    let start = k * strides.channel + first_pixel * strides.pixel;
                    if let Some(residual) = residual {
                        for (pixel, sum) in sums[..pixels].iter_mut().enumerate() {
                            *sum += residual[start + pixel * strides.pixel];
                        }
                    }
                    let (_, slope) = epilogue(weights.pointwise_bias, weights.pointwise_slopes, k);
                    activate(stage.activation, &mut sums, slope);
                    for (pixel, sum) in sums[..pixels].iter().enumerate() {
                        output[start + pixel * strides.pixel] = *sum;
                    }
                }
            }
        }
    }
}

/// The chains of one register tile.
#[inline(always)]
fn accumulate(
    sums: &mut [[f32; PIXELS]; CHANNELS],
    rows: [&[f32]; CHANNELS],
    group: &[[f32; PIXELS]],
) {
    let mut tile = *sums;
    let [first, second, third, fourth] = rows;
    let rows = first.iter().zip(second).zip(third.iter().zip(fourth));
    for (pixels, ((first, second), (third, fourth))) in group.iter().zip(rows) {
        let weights = [*first, *second, *third, *fourth];
        for index in 0..CHANNELS {
            for pixel in 0..PIXELS {
                tile[index][pixel] = weights[index].mul_add(pixels[pixel], tile[index][pixel]);
            }
        }
    }
    *sums = tile;
}

#[inline(always)]
fn activate<const N: usize>(activation: Activation, sums: &mut [f32; N], slope: Option<f32>) {
    for sum in sums {
        *sum = activation.apply(&mut Scalar, *sum, slope);
    }
}

#[inline(always)]
fn run_at(slice: &[f32], first: usize) -> &[f32; RUN] {
    slice[first..first + RUN].try_into().expect("a slice of this length")
}
