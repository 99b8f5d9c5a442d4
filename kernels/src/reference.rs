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
//! over outputs inside and over taps or channels outside, so the compiler can use vectors. All of
//! it works on planes; NHWC tensors are transposed before and after.

pub(crate) mod bounds;
mod dispatch;
mod naive;

use std::borrow::Cow;

use crate::activation::{Activation, Scalar};
use crate::weights::{Weights, WrongLength};
use crate::workload::{Layout, Workload};

pub use bounds::error_bounds;

/// Outputs that are computed side by side; their sums stay in registers.
const RUN: usize = 64;

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
        let images = Images::new(workload);
        let mut planes = Planes::new(workload);
        let mut middle = Middle::new(workload.middle_channels(), images.out_pixels);
        for image in 0..workload.batch() {
            let input = images.planar(input, image, images.in_pixels);
            let residual =
                residual.map(|residual| images.planar(residual, image, images.out_pixels));
            let mut planar = vec![0.0; workload.output_len() / workload.batch()];
            for channel in 0..workload.channels() {
                planes.read(&input[channel * images.in_pixels..][..images.in_pixels]);
                for middle_channel in planes.middle_channels(channel) {
                    planes.filter(weights, middle_channel);
                    for (row, pixels) in planes.rows().enumerate() {
                        let first = row * pixels.len();
                        if workload.pointwise().is_some() {
                            middle.write(middle_channel, first, pixels);
                        } else {
                            planar[middle_channel * images.out_pixels + first..][..pixels.len()]
                                .copy_from_slice(pixels);
                        }
                    }
                }
            }
            middle.multiply(workload, weights, residual.as_deref(), &mut planar);
            images.write(output, image, &planar);
        }
    }
}

/// Takes single images out of tensors, as planes, and puts them back.
struct Images {
    layout: Layout,
    in_pixels: usize,
    out_pixels: usize,
    batch: usize,
}

impl Images {
    fn new(workload: &Workload) -> Self {
        Self {
            layout: workload.layout(),
            in_pixels: workload.height() * workload.width(),
            out_pixels: workload.output_extent().into_iter().product(),
            batch: workload.batch(),
        }
    }

    /// One image of a tensor, channel by channel.
    fn planar<'a>(&self, tensor: &'a [f32], image: usize, pixels: usize) -> Cow<'a, [f32]> {
        let len = tensor.len() / self.batch;
        let image = &tensor[image * len..][..len];
        match self.layout {
            Layout::Nchw => Cow::Borrowed(image),
            Layout::Nhwc => {
                let mut planar = vec![0.0; len];
                transpose(image, len / pixels, &mut planar);
                Cow::Owned(planar)
            }
        }
    }

    fn write(&self, output: &mut [f32], image: usize, planar: &[f32]) {
        let output = &mut output[image * planar.len()..][..planar.len()];
        match self.layout {
            Layout::Nchw => output.copy_from_slice(planar),
            Layout::Nhwc => transpose(planar, self.out_pixels, output),
        }
    }
}

/// Turns rows of `cols` elements into columns.
fn transpose(from: &[f32], cols: usize, to: &mut [f32]) {
    /// Columns at a time: the lines that are written to stay in the first-level cache.
    const BLOCK: usize = 16;
    let rows = from.len() / cols;
    for first in (0..cols).step_by(BLOCK) {
        let block = BLOCK.min(cols - first);
        for (row, elements) in from.chunks_exact(cols).enumerate() {
            for (col, element) in elements[first..first + block].iter().enumerate() {
                to[(first + col) * rows + row] = *element;
            }
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

    /// Reads a channel of the input.
    #[inline(always)]
    fn read(&mut self, plane: &[f32]) {
        let padding = self.workload.depthwise().map(|stage| stage.padding).unwrap_or_default();
        let (top, left) = (padding.top as usize, padding.left as usize);
        let width = self.workload.width();
        let rows = self.workload.padded_extent()[0] - top;
        for (row, pixels) in plane.chunks_exact(width).take(rows).enumerate() {
            let start = self.offset(0, row + top);
            if self.step[1] == 1 {
                let cols = self.columns.len();
                self.padded[start + left..][..cols].copy_from_slice(&pixels[..cols]);
                continue;
            }
            for (pixel, offset) in pixels.iter().zip(&self.columns) {
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

    /// The rows of outputs of the middle channel that was computed.
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let [rows, cols] = self.workload.output_extent();
        (0..rows).map(move |row| &self.sums[row * self.part[1]..][..cols])
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
    fn write(&mut self, channel: usize, first: usize, pixels: &[f32]) {
        for (index, value) in pixels.iter().enumerate() {
            let pixel = first + index;
            self.groups[pixel / PIXELS * self.channels + channel][pixel % PIXELS] = *value;
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
                    let place =
                        k * self.pixels + first_pixel..k * self.pixels + first_pixel + pixels;
                    if let Some(residual) = residual {
                        for (sum, residual) in sums.iter_mut().zip(&residual[place.clone()]) {
                            *sum += residual;
                        }
                    }
                    let (_, slope) = epilogue(weights.pointwise_bias, weights.pointwise_slopes, k);
                    activate(stage.activation, &mut sums, slope);
                    output[place].copy_from_slice(&sums[..pixels]);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::activation::Arithmetic;
    use crate::testing::{Limits, Tensors, assert_same, random_workload};

    fn outputs(workload: &Workload, tensors: &Tensors) -> Vec<f32> {
        let mut output = vec![f32::NAN; workload.output_len()];
        run(workload, &tensors.weights(), &tensors.input, tensors.residual(), &mut output)
            .expect("the lengths are right");
        output
    }

    fn naive<N: naive::Number>(workload: &Workload, tensors: &Tensors) -> Vec<N> {
        naive::run(workload, &tensors.weights(), &tensors.input, tensors.residual())
    }

    /// A workload, its tensors and the line that gives them again.
    fn case(seed: u64) -> (Workload, Tensors, String) {
        let workload = random_workload(&mut StdRng::seed_from_u64(seed), &Limits::default());
        let tensors = if seed % 2 == 0 {
            Tensors::ordinary(&workload, seed)
        } else {
            Tensors::integers(&workload, seed)
        };
        (workload, tensors, format!("case({seed}): {workload}"))
    }

    /// A number whose multiply-adds are rounded twice.
    #[derive(Clone, Copy)]
    struct Unfused(f32);

    impl Arithmetic for Unfused {
        type Value = f32;

        fn constant(&mut self, value: f32) -> f32 {
            value
        }
        fn add(&mut self, a: f32, b: f32) -> f32 {
            a + b
        }
        fn sub(&mut self, a: f32, b: f32) -> f32 {
            a - b
        }
        fn mul(&mut self, a: f32, b: f32) -> f32 {
            a * b
        }
        fn div(&mut self, a: f32, b: f32) -> f32 {
            a / b
        }
        fn mul_add(&mut self, a: f32, b: f32, c: f32) -> f32 {
            a * b + c
        }
        fn min(&mut self, a: f32, b: f32) -> f32 {
            Scalar.min(a, b)
        }
        fn max(&mut self, a: f32, b: f32) -> f32 {
            Scalar.max(a, b)
        }
        fn add_to_exponent(&mut self, a: f32, b: f32) -> f32 {
            Scalar.add_to_exponent(a, b)
        }
    }

    impl naive::Number for Unfused {
        fn given(value: f32) -> Self {
            Self(value)
        }
        fn multiply_add(self, weight: f32, sum: Self) -> Self {
            Self(weight * self.0 + sum.0)
        }
        fn plus(self, other: Self) -> Self {
            Self(self.0 + other.0)
        }
        fn activate(mut self, activation: Activation, slope: Option<f32>) -> Self {
            let x = self.0;
            Self(activation.apply(&mut self, x, slope))
        }
    }

    impl naive::Number for f64 {
        fn given(value: f32) -> Self {
            value.into()
        }
        fn multiply_add(self, weight: f32, sum: Self) -> Self {
            f64::from(weight) * self + sum
        }
        fn plus(self, other: Self) -> Self {
            self + other
        }
        fn activate(self, activation: Activation, slope: Option<f32>) -> Self {
            bounds::exact(activation, self, slope)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn the_reference_is_the_definition_bit_for_bit(seed: u64) {
            let (workload, tensors, repro) = case(seed);
            assert_same(&naive::<f32>(&workload, &tensors), &outputs(&workload, &tensors), &repro);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn outputs_are_within_the_bound_of_exact_and_of_unfused_ones(seed: u64) {
            let (workload, tensors, repro) = case(seed);
            let bounds = error_bounds(
                &workload, &tensors.weights(), &tensors.input, tensors.residual(),
            ).expect("the lengths are right");
            let outputs = outputs(&workload, &tensors);
            let exact = naive::<f64>(&workload, &tensors);
            let unfused = naive::<Unfused>(&workload, &tensors);
            for (at, (output, bound)) in outputs.iter().zip(&bounds).enumerate() {
                let from_exact = (f64::from(*output) - exact[at]).abs();
                let from_unfused = (output - unfused[at].0).abs();
                prop_assert!(
                    from_exact <= f64::from(*bound) / 2.0 && from_unfused <= *bound,
                    "{output} at {at}: {from_exact} from exact, {from_unfused} from unfused, bound \
                     {bound}: {repro}",
                );
            }
        }

        #[test]
        fn integer_sums_do_not_depend_on_fusing(seed: u64) {
            let limits = Limits::default();
            let mut workload = random_workload(&mut StdRng::seed_from_u64(seed), &limits);
            let mut parts = crate::WorkloadBuilder::from(workload);
            for activation in [
                parts.depthwise.as_mut().map(|stage| &mut stage.activation),
                parts.pointwise.as_mut().map(|stage| &mut stage.activation),
            ].into_iter().flatten() {
                if *activation != Activation::Prelu {
                    *activation = Activation::Relu;
                }
            }
            workload = parts.build().expect("activations change no shape");
            let tensors = Tensors::integers(&workload, seed);
            let unfused: Vec<f32> =
                naive::<Unfused>(&workload, &tensors).into_iter().map(|sum| sum.0).collect();
            let repro = format!("integers({seed}): {workload}");
            assert_same(&unfused, &outputs(&workload, &tensors), &repro);
        }
    }

    #[test]
    fn bounds_are_small_enough_to_find_a_wrong_weight() {
        let (workload, mut tensors, _) = (1..)
            .map(|seed| case(2 * seed))
            .find(|(workload, ..)| {
                workload.pointwise().is_some_and(|stage| stage.activation == Activation::None)
                    && workload.middle_channels() > 8
            })
            .expect("such workloads are frequent");
        let right = outputs(&workload, &tensors);
        let bounds =
            error_bounds(&workload, &tensors.weights(), &tensors.input, tensors.residual())
                .expect("the lengths are right");
        tensors.pointwise[0] += 0.01;
        let wrong = outputs(&workload, &tensors);
        assert!(
            (0..right.len()).any(|at| (right[at] - wrong[at]).abs() > bounds[at]),
            "{workload}"
        );
    }

    #[test]
    fn a_padding_tap_is_a_multiplication_by_positive_zero() {
        let workload: Workload = "f32 nchw 1x1x1x1 dw:1x3,p0/1/0/1".parse().expect("a workload");
        let mut tensors = Tensors::ordinary(&workload, 0);
        tensors.depthwise = vec![f32::INFINITY, 1.0, 1.0];
        assert!(outputs(&workload, &tensors)[0].is_nan());
        tensors.depthwise = vec![0.0, -0.0, -1.0];
        tensors.input = vec![0.0];
        assert_eq!(outputs(&workload, &tensors)[0].to_bits(), 0.0_f32.to_bits());
    }

    #[test]
    fn slices_of_a_wrong_length_are_refused_by_name() {
        let workload: Workload =
            "f32 nhwc 1x4x3x3 dw:3x3,p1,bias,prelu pw:5,bias,residual,prelu".parse().expect("ok");
        let right = Tensors::ordinary(&workload, 0);
        type Slice = fn(&mut Tensors) -> &mut Vec<f32>;
        let slices: [(&str, Slice); 8] = [
            ("input", |tensors| &mut tensors.input),
            ("depthwise weights", |tensors| &mut tensors.depthwise),
            ("depthwise bias", |tensors| &mut tensors.depthwise_bias),
            ("depthwise slopes", |tensors| &mut tensors.depthwise_slopes),
            ("pointwise weights", |tensors| &mut tensors.pointwise),
            ("pointwise bias", |tensors| &mut tensors.pointwise_bias),
            ("pointwise slopes", |tensors| &mut tensors.pointwise_slopes),
            ("residual", |tensors| &mut tensors.residual),
        ];
        let mut output = vec![0.0; workload.output_len()];
        for (name, slice) in slices {
            let mut tensors = right.clone();
            slice(&mut tensors).pop();
            let (weights, residual) = (tensors.weights(), tensors.residual());
            let error = run(&workload, &weights, &tensors.input, residual, &mut output);
            assert_eq!(error.map_err(|error| error.tensor), Err(name));
            let error = error_bounds(&workload, &weights, &tensors.input, residual);
            assert_eq!(error.map_err(|error| error.tensor).map(|_| ()), Err(name));
        }
        output.push(0.0);
        let error = run(&workload, &right.weights(), &right.input, right.residual(), &mut output);
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("output: 46 elements given, the workload calls for 45".to_owned())
        );
    }
}
