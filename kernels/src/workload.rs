//! What to compute: a depthwise-separable block, its shapes and its epilogues.
//!
//! ```
//! use dsconv_kernels::{Activation, Depthwise, Pointwise, Workload};
//!
//! let workload = Workload::builder([1, 32, 112, 112])
//!     .depthwise(Depthwise::kernel(3, 3).padding(1).activation(Activation::Relu6))
//!     .pointwise(Pointwise::channels(64).activation(Activation::Relu6))
//!     .build()?;
//! assert_eq!(workload.output_shape(), [1, 64, 112, 112]);
//! # Ok::<(), dsconv_kernels::InvalidWorkload>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::activation::{Activation, Finite};

mod text;

pub use text::ParseWorkloadError;

/// Order of a tensor's axes in memory, outermost first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channels, rows, columns: planes.
    #[default]
    Nchw,
    /// Batch, rows, columns, channels: pixels.
    Nhwc,
}

/// Element type of all tensors of a workload.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    #[default]
    F32,
}

/// Zero pixels around the input, per side. A negative bottom or right side crops the input instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Padding {
    /// Rows above the first.
    pub top: u32,
    /// Columns left of the first.
    pub left: u32,
    /// Rows below the last; negative leaves out that many of the last rows.
    pub bottom: i32,
    /// Columns right of the last; negative leaves out that many of the last columns.
    pub right: i32,
}

/// The depthwise stage: one R x S filter per output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depthwise {
    /// Rows and columns of the kernel (R, S).
    pub kernel: [u32; 2],
    /// Rows and columns from one output pixel to the next.
    pub stride: [u32; 2],
    /// Rows and columns from one tap to the next; 1 is a dense kernel.
    pub dilation: [u32; 2],
    /// Zero pixels around the input.
    pub padding: Padding,
    /// Output channels per input channel; output channel `c * multiplier + m` reads input channel `c`.
    pub multiplier: u32,
    /// Whether a bias per output channel starts each sum.
    pub bias: bool,
    /// Applied to each sum.
    pub activation: Activation,
}

/// The pointwise stage: a 1 x 1 convolution over all channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointwise {
    /// Output channels (K).
    pub channels: u32,
    /// Rows and columns from one pixel that is read to the next.
    pub stride: [u32; 2],
    /// Whether a bias per output channel starts each sum.
    pub bias: bool,
    /// Whether a tensor of the output's shape is added before the activation.
    pub residual: bool,
    /// Applied to each sum, after the residual.
    pub activation: Activation,
}

/// One block to compute, valid by construction: every shape is non-empty and no size overflows.
///
/// The text form ([`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr)) is one line:
///
/// ```
/// # use dsconv_kernels::Workload;
/// let line = "f32 nchw 1x32x112x112 dw:3x3,p1,bias,relu6 pw:64,bias,relu6";
/// assert_eq!(line.parse::<Workload>()?.to_string(), line);
/// # Ok::<(), dsconv_kernels::ParseWorkloadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "WorkloadBuilder", into = "WorkloadBuilder")]
pub struct Workload {
    parts: WorkloadBuilder,
}

/// Parts of a [`Workload`] before they are checked; also its serialised form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadBuilder {
    /// Batch, channels, rows and columns of the input, in this order for either layout.
    pub shape: [usize; 4],
    /// Layout of input, residual and output.
    #[serde(default)]
    pub layout: Layout,
    /// Element type.
    #[serde(default)]
    pub dtype: DType,
    /// The depthwise stage, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise: Option<Depthwise>,
    /// The pointwise stage, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointwise: Option<Pointwise>,
}

impl Padding {
    /// The same number of zero pixels on every side.
    pub fn same(pixels: u32) -> Self {
        let signed = i32::try_from(pixels).unwrap_or(i32::MAX);
        Self { top: pixels, left: pixels, bottom: signed, right: signed }
    }

    /// TensorFlow's SAME padding: the output has `ceil(input / stride)` rows and columns. Where the
    /// padding is odd, the extra pixel is at the bottom or right. Each argument is rows, columns.
    ///
    /// ```
    /// use dsconv_kernels::Padding;
    ///
    /// let padding = Padding::tensorflow_same([224, 224], [3, 3], [2, 2], [1, 1]);
    /// assert_eq!(padding, Padding { top: 0, left: 0, bottom: 1, right: 1 });
    /// ```
    ///
    /// Arguments that make no workload (a zero, a padding beyond `i32`) give some padding, and
    /// [`WorkloadBuilder::build`] names the fault.
    pub fn tensorflow_same(
        input: [usize; 2],
        kernel: [u32; 2],
        stride: [u32; 2],
        dilation: [u32; 2],
    ) -> Self {
        let sides = |axis: usize| {
            let input = input[axis] as u128;
            let stride = u128::from(stride[axis].max(1));
            let span = dilated(kernel[axis], dilation[axis]);
            let covered = (input.div_ceil(stride).saturating_sub(1) * stride).saturating_add(span);
            let total = i32::try_from(covered.saturating_sub(input)).unwrap_or(i32::MAX);
            (total.unsigned_abs() / 2, total - total / 2)
        };
        let ((top, bottom), (left, right)) = (sides(0), sides(1));
        Self { top, left, bottom, right }
    }
}

/// Pixels from the first tap to the last along one axis, both included.
fn dilated(kernel: u32, dilation: u32) -> u128 {
    u128::from(kernel.saturating_sub(1)) * u128::from(dilation) + 1
}

impl Depthwise {
    /// A dense `rows` x `cols` kernel with stride 1, no padding, multiplier 1, a bias and no activation.
    pub fn kernel(rows: u32, cols: u32) -> Self {
        Self {
            kernel: [rows, cols],
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding::default(),
            multiplier: 1,
            bias: true,
            activation: Activation::None,
        }
    }

    /// Sets both strides.
    pub fn stride(self, stride: u32) -> Self {
        Self { stride: [stride, stride], ..self }
    }

    /// Sets both dilations.
    pub fn dilation(self, dilation: u32) -> Self {
        Self { dilation: [dilation, dilation], ..self }
    }

    /// Sets the padding of every side.
    pub fn padding(self, pixels: u32) -> Self {
        Self { padding: Padding::same(pixels), ..self }
    }

    /// Sets the output channels per input channel.
    pub fn multiplier(self, multiplier: u32) -> Self {
        Self { multiplier, ..self }
    }

    /// Sets whether there is a bias.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// Sets the activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Taps of one filter: R * S.
    pub fn taps(&self) -> usize {
        (self.kernel[0] as usize).saturating_mul(self.kernel[1] as usize)
    }
}

impl Pointwise {
    /// `channels` output channels with stride 1, a bias, no residual and no activation.
    pub fn channels(channels: u32) -> Self {
        Self { channels, stride: [1, 1], bias: true, residual: false, activation: Activation::None }
    }

    /// Sets both strides.
    pub fn stride(self, stride: u32) -> Self {
        Self { stride: [stride, stride], ..self }
    }

    /// Sets whether there is a bias.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// Sets whether a residual is added before the activation.
    pub fn residual(self, residual: bool) -> Self {
        Self { residual, ..self }
    }

    /// Sets the activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

impl WorkloadBuilder {
    /// Sets the layout.
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Sets the depthwise stage.
    pub fn depthwise(self, depthwise: Depthwise) -> Self {
        Self { depthwise: Some(depthwise), ..self }
    }

    /// Sets the pointwise stage.
    pub fn pointwise(self, pointwise: Pointwise) -> Self {
        Self { pointwise: Some(pointwise), ..self }
    }

    /// Checks the parts and joins them.
    ///
    /// # Errors
    ///
    /// Returns the first rule that a part breaks.
    pub fn build(self) -> Result<Workload, InvalidWorkload> {
        self.check_positive()?;
        self.check_sizes(self.extents()?)?;
        Ok(Workload { parts: self })
    }

    /// Every count that must be at least 1, and the clamps.
    fn check_positive(&self) -> Result<(), InvalidWorkload> {
        let positive = |field: &'static str, value: u128| {
            if value == 0 { Err(InvalidWorkload::Zero { field }) } else { Ok(()) }
        };
        let both = |field: &'static str, values: [u32; 2]| {
            values.into_iter().try_for_each(|value| positive(field, value.into()))
        };
        for (field, extent) in
            ["batch", "input channels", "input rows", "input columns"].into_iter().zip(self.shape)
        {
            positive(field, extent as u128)?;
        }
        if self.depthwise.is_none() && self.pointwise.is_none() {
            return Err(InvalidWorkload::NoStage);
        }
        if let Some(stage) = &self.depthwise {
            both("depthwise kernel", stage.kernel)?;
            both("depthwise stride", stage.stride)?;
            both("depthwise dilation", stage.dilation)?;
            positive("depthwise multiplier", stage.multiplier.into())?;
            check_clamp("depthwise", stage.activation)?;
        }
        if let Some(stage) = &self.pointwise {
            positive("pointwise channels", stage.channels.into())?;
            both("pointwise stride", stage.stride)?;
            check_clamp("pointwise", stage.activation)?;
        }
        Ok(())
    }

    /// Rows and columns of each step. Wide integers, so no field overflows them.
    fn extents(&self) -> Result<Extents, InvalidWorkload> {
        let mut padded = [self.shape[2] as u128, self.shape[3] as u128];
        let mut middle = padded;
        if let Some(stage) = &self.depthwise {
            let padding = [
                ("rows", stage.padding.top, "bottom", stage.padding.bottom),
                ("columns", stage.padding.left, "right", stage.padding.right),
            ];
            for (axis, (name, before, side, after)) in padding.into_iter().enumerate() {
                let input = padded[axis];
                let crop = u128::from(after.min(0).unsigned_abs());
                if crop >= input {
                    return Err(InvalidWorkload::EmptyCrop { side, crop, axis: name, input });
                }
                padded[axis] = input - crop + u128::from(before) + after.max(0) as u128;
                let span = dilated(stage.kernel[axis], stage.dilation[axis]);
                let Some(room) = padded[axis].checked_sub(span) else {
                    let padded = padded[axis];
                    return Err(InvalidWorkload::KernelTooLarge { axis: name, span, padded });
                };
                middle[axis] = room / u128::from(stage.stride[axis]) + 1;
            }
        }
        let stride = self.pointwise.map_or([1, 1], |stage| stage.stride);
        let output = [0, 1].map(|axis| (middle[axis] - 1) / u128::from(stride[axis]) + 1);
        Ok(Extents { padded, middle, output })
    }

    /// The size of every tensor and the count of operations.
    fn check_sizes(&self, extents: Extents) -> Result<(), InvalidWorkload> {
        let Extents { padded, middle, output } = extents;
        let [batch, inputs, rows, cols] = self.shape.map(|extent| extent as u128);
        let multiplier = self.depthwise.map_or(1, |stage| stage.multiplier);
        let middles = inputs.saturating_mul(multiplier.into());
        let outputs = self.pointwise.map_or(middles, |stage| stage.channels.into());
        let taps = self
            .depthwise
            .map_or(0, |stage| u128::from(stage.kernel[0]) * u128::from(stage.kernel[1]));
        let pointwise = self.pointwise.map_or(0, |stage| u128::from(stage.channels));
        for (tensor, extents) in [
            ("input", [batch, inputs, rows, cols]),
            ("padded input", [batch, inputs, padded[0], padded[1]]),
            ("middle", [batch, middles, middle[0], middle[1]]),
            ("output", [batch, outputs, output[0], output[1]]),
            ("depthwise weights", [middles, taps, 1, 1]),
            ("pointwise weights", [middles, pointwise, 1, 1]),
        ] {
            let elements = product(extents);
            if elements > MAX_ELEMENTS {
                return Err(InvalidWorkload::TensorTooLarge { tensor, elements });
            }
        }
        // Output and middle have less than 2^31 elements, each of them the sum of less than 2^31
        // products, so the operations of either stage are less than 2^63 and `flops` cannot overflow.
        Ok(())
    }
}

/// Rows and columns of the input with its padding, of the middle before any pointwise stride, and
/// of the output.
#[derive(Clone, Copy)]
struct Extents {
    padded: [u128; 2],
    middle: [u128; 2],
    output: [u128; 2],
}

/// Most elements that one tensor may have: what an `i32` can index.
const MAX_ELEMENTS: u128 = i32::MAX as u128;

/// Extents that `build` has checked.
fn narrow(extent: [u128; 2]) -> [usize; 2] {
    extent.map(|pixels| pixels as usize)
}

fn product(factors: [u128; 4]) -> u128 {
    factors.into_iter().fold(1, u128::saturating_mul)
}

fn check_clamp(stage: &'static str, activation: Activation) -> Result<(), InvalidWorkload> {
    match activation {
        Activation::Clamp { min, max } if min.get() > max.get() => {
            Err(InvalidWorkload::EmptyClamp { stage, min, max })
        }
        _ => Ok(()),
    }
}

/// Why parts make no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWorkload {
    /// Neither stage is present.
    #[error("neither a depthwise nor a pointwise stage is given, a workload has at least one")]
    NoStage,
    /// A count of zero.
    #[error("{field} is 0, at least 1 is needed")]
    Zero {
        /// Which count.
        field: &'static str,
    },
    /// A negative padding that leaves no input.
    #[error("depthwise padding {side} of -{crop} leaves none of the {input} input {axis}")]
    EmptyCrop {
        /// `bottom` or `right`.
        side: &'static str,
        /// Rows or columns that are left out.
        crop: u128,
        /// `rows` or `columns`.
        axis: &'static str,
        /// Rows or columns of the input.
        input: u128,
    },
    /// A kernel that does not fit once.
    #[error(
        "depthwise kernel spans {span} {axis} with its dilation, the padded input has {padded}"
    )]
    KernelTooLarge {
        /// `rows` or `columns`.
        axis: &'static str,
        /// Pixels from the first tap to the last, both included.
        span: u128,
        /// Pixels of the input with its padding.
        padded: u128,
    },
    /// A clamp that no number passes.
    #[error("{stage} clamp has minimum {} above maximum {}", .min.get(), .max.get())]
    EmptyClamp {
        /// `depthwise` or `pointwise`.
        stage: &'static str,
        /// Smallest output.
        min: Finite,
        /// Largest output.
        max: Finite,
    },
    /// A tensor beyond what an `i32` can index.
    #[error("{tensor} would have {elements} elements, at most {} are supported", MAX_ELEMENTS)]
    TensorTooLarge {
        /// Which tensor.
        tensor: &'static str,
        /// Its elements; `u128::MAX` where even that is exceeded.
        elements: u128,
    },
}

impl TryFrom<WorkloadBuilder> for Workload {
    type Error = InvalidWorkload;

    fn try_from(parts: WorkloadBuilder) -> Result<Self, InvalidWorkload> {
        parts.build()
    }
}

impl From<Workload> for WorkloadBuilder {
    fn from(workload: Workload) -> Self {
        workload.parts
    }
}

impl Workload {
    /// Starts a workload from the input's batch, channels, rows and columns (in this order for
    /// either layout).
    pub fn builder(shape: [usize; 4]) -> WorkloadBuilder {
        WorkloadBuilder {
            shape,
            layout: Layout::Nchw,
            dtype: DType::F32,
            depthwise: None,
            pointwise: None,
        }
    }

    /// Images.
    pub fn batch(&self) -> usize {
        self.parts.shape[0]
    }

    /// Input channels (C).
    pub fn channels(&self) -> usize {
        self.parts.shape[1]
    }

    /// Input rows (H).
    pub fn height(&self) -> usize {
        self.parts.shape[2]
    }

    /// Input columns (W).
    pub fn width(&self) -> usize {
        self.parts.shape[3]
    }

    /// Layout of input, residual and output.
    pub fn layout(&self) -> Layout {
        self.parts.layout
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.parts.dtype
    }

    /// The depthwise stage, where there is one.
    pub fn depthwise(&self) -> Option<&Depthwise> {
        self.parts.depthwise.as_ref()
    }

    /// The pointwise stage, where there is one.
    pub fn pointwise(&self) -> Option<&Pointwise> {
        self.parts.pointwise.as_ref()
    }

    /// Channels between the stages: C times the depth multiplier.
    pub fn middle_channels(&self) -> usize {
        self.channels() * self.depthwise().map_or(1, |stage| stage.multiplier as usize)
    }

    /// Rows and columns of the input with its padding or without what is cropped.
    pub fn padded_extent(&self) -> [usize; 2] {
        narrow(self.extents().padded)
    }

    /// Input pixels from one output pixel to the next, down and across: both stages together.
    pub fn pixel_stride(&self) -> [usize; 2] {
        let strides = [
            self.depthwise().map_or([1, 1], |stage| stage.stride),
            self.pointwise().map_or([1, 1], |stage| stage.stride),
        ];
        [0, 1].map(|axis| strides.iter().map(|stride| stride[axis] as usize).product())
    }

    /// Rows and columns between the stages, before any pointwise stride.
    pub fn middle_extent(&self) -> [usize; 2] {
        narrow(self.extents().middle)
    }

    /// Output channels: K, or those of the depthwise stage where there is no pointwise stage.
    pub fn output_channels(&self) -> usize {
        self.pointwise().map_or(self.middle_channels(), |stage| stage.channels as usize)
    }

    /// Rows and columns of the output.
    pub fn output_extent(&self) -> [usize; 2] {
        narrow(self.extents().output)
    }

    fn extents(&self) -> Extents {
        self.parts.extents().expect("a workload is valid by construction")
    }

    /// Batch, channels, rows and columns of the input (in this order for either layout).
    pub fn input_shape(&self) -> [usize; 4] {
        self.parts.shape
    }

    /// Batch, channels, rows and columns of the output (in this order for either layout).
    pub fn output_shape(&self) -> [usize; 4] {
        let [rows, cols] = self.output_extent();
        [self.batch(), self.output_channels(), rows, cols]
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.input_shape().iter().product()
    }

    /// Elements of the output, and of the residual.
    pub fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// Elements of the depthwise weights, `[C * M][R][S]`.
    pub fn depthwise_len(&self) -> usize {
        self.depthwise().map_or(0, |stage| self.middle_channels() * stage.taps())
    }

    /// Elements of the pointwise weights, `[K][C * M]`.
    pub fn pointwise_len(&self) -> usize {
        self.pointwise().map_or(0, |stage| self.middle_channels() * stage.channels as usize)
    }

    /// Floating-point operations of one run: two for each multiply-add, none for epilogues. A
    /// pointwise stride spares the depthwise pixels that nobody reads.
    pub fn flops(&self) -> u64 {
        let [rows, cols] = self.output_extent();
        let pixels = (self.batch() * rows * cols) as u64;
        2 * pixels * (self.depthwise_len() + self.pointwise_len()) as u64
    }
}
