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

use crate::activation::Activation;

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
        self.kernel[0] as usize * self.kernel[1] as usize
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
        let _ = &self;
        todo!("helper: validate")
    }
}

/// Why parts make no workload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidWorkload {}

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

    /// Rows and columns between the stages, before any pointwise stride.
    pub fn middle_extent(&self) -> [usize; 2] {
        todo!("helper")
    }

    /// Output channels: K, or those of the depthwise stage where there is no pointwise stage.
    pub fn output_channels(&self) -> usize {
        self.pointwise().map_or(self.middle_channels(), |stage| stage.channels as usize)
    }

    /// Rows and columns of the output.
    pub fn output_extent(&self) -> [usize; 2] {
        todo!("helper")
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

impl std::fmt::Display for InvalidWorkload {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}
