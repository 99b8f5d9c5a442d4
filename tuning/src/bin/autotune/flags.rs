//! Flags -> workload, noting each default that was taken.
//!
//! The flags come in two groups: those that describe arrays (shape, kernel, channels, which weights
//! there are) and those that no array can tell (strides, padding, activations, layout). `run` takes
//! only the second group and reads the rest off the files.

use clap::{Args, ValueEnum};
use dsconv::{Activation, Depthwise, Layout, Pointwise, Workload};

use crate::failure::Failure;
use crate::values::{self, PaddingRule, Pair, Shape};

/// A workload, by flags or as one line.
#[derive(Args, Clone, Debug)]
#[group(id = "workload_args", multiple = true)]
pub(crate) struct WorkloadArgs {
    /// The whole workload in its text form instead of single flags, such as
    /// "f32 nchw 1x32x112x112 dw:3x3,p1,bias,relu6 pw:64,bias,relu6"
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "Workload",
        conflicts_with_all = ["array_flags", "stage_flags"]
    )]
    pub(crate) workload: Option<Workload>,

    #[command(flatten)]
    arrays: ArrayFlags,

    #[command(flatten)]
    stages: StageFlags,
}

/// What the arrays of a workload would tell.
#[derive(Args, Clone, Debug)]
#[group(id = "array_flags", multiple = true)]
struct ArrayFlags {
    /// Input: batch x channels x rows x columns, in this order for either layout; 1-D has one row
    #[arg(long, value_name = "NxCxHxW", help_heading = "Workload")]
    shape: Option<Shape>,

    /// Output channels of the pointwise stage [default: as many as it reads]
    #[arg(long, value_name = "K", help_heading = "Workload")]
    out_channels: Option<u32>,

    /// Rows and columns of the depthwise kernel, such as 5 or 1x7 [default: 3x3]
    #[arg(long, value_name = "RxS", help_heading = "Workload")]
    kernel: Option<Pair>,

    /// Depthwise output channels per input channel [default: 1]
    #[arg(long, value_name = "M", help_heading = "Workload")]
    multiplier: Option<u32>,

    /// The depthwise stage adds no bias
    #[arg(long, help_heading = "Workload")]
    no_depthwise_bias: bool,

    /// The pointwise stage adds no bias
    #[arg(long, help_heading = "Workload")]
    no_bias: bool,

    /// A tensor of the output's shape is added before the last activation
    #[arg(long, help_heading = "Workload")]
    residual: bool,

    /// The pointwise stage alone
    #[arg(
        long,
        help_heading = "Workload",
        conflicts_with_all = [
            "kernel", "multiplier", "no_depthwise_bias", "stride", "padding", "dilation",
            "depthwise_activation", "no_pointwise",
        ]
    )]
    no_depthwise: bool,

    /// The depthwise stage alone
    #[arg(
        long,
        help_heading = "Workload",
        conflicts_with_all = [
            "out_channels", "no_bias", "residual", "pointwise_stride", "activation",
        ]
    )]
    no_pointwise: bool,
}

/// What no array can tell of a workload.
#[derive(Args, Clone, Debug)]
#[group(id = "stage_flags", multiple = true)]
pub(crate) struct StageFlags {
    /// Depthwise stride, such as 2 or 2x1 [default: 1]
    #[arg(long, value_name = "ROWSxCOLS", help_heading = "Workload")]
    stride: Option<Pair>,

    /// Zero pixels around the input: same (as TensorFlow), valid, 1, 1x2 or top/left/bottom/right,
    /// where a negative bottom or right crops [default: dilation x (kernel - 1) / 2, so 1 for 3x3]
    #[arg(long, value_name = "PADDING", allow_hyphen_values = true, help_heading = "Workload")]
    padding: Option<PaddingRule>,

    /// Pixels from one depthwise tap to the next, such as 2 or 2x1 [default: 1]
    #[arg(long, value_name = "ROWSxCOLS", help_heading = "Workload")]
    dilation: Option<Pair>,

    /// Activation of the depthwise stage: none, relu, relu6, clamp(MIN:MAX), leaky_relu(SLOPE),
    /// prelu, hard_swish, hard_sigmoid, silu, sigmoid or gelu_tanh [default: relu]
    #[arg(long, value_name = "ACTIVATION", help_heading = "Workload")]
    depthwise_activation: Option<Activation>,

    /// Activation of the pointwise stage [default: relu]
    #[arg(long, value_name = "ACTIVATION", help_heading = "Workload")]
    activation: Option<Activation>,

    /// Stride of the pointwise stage, such as 2 or 2x1 [default: 1]
    #[arg(long, value_name = "ROWSxCOLS", help_heading = "Workload")]
    pointwise_stride: Option<Pair>,

    /// Order of the axes of input and output in memory [default: nchw]
    #[arg(long, value_enum, value_name = "LAYOUT", help_heading = "Workload")]
    layout: Option<LayoutFlag>,
}

/// Spelling of [`Layout`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayoutFlag {
    /// Planes: batch, channels, rows, columns
    Nchw,
    /// Pixels: batch, rows, columns, channels
    Nhwc,
}

/// What arrays, or the flags in their place, tell of a workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArrayFacts {
    /// Batch, channels, rows and columns of the input.
    pub(crate) shape: [usize; 4],
    pub(crate) depthwise: Option<DepthwiseFacts>,
    pub(crate) pointwise: Option<PointwiseFacts>,
}

/// What the depthwise arrays tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthwiseFacts {
    pub(crate) kernel: [u32; 2],
    pub(crate) multiplier: u32,
    pub(crate) bias: bool,
    pub(crate) slopes: bool,
}

/// What the pointwise arrays tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PointwiseFacts {
    pub(crate) channels: u32,
    pub(crate) bias: bool,
    pub(crate) residual: bool,
    pub(crate) slopes: bool,
}

/// A workload and the defaults it took, each spelled as the flag that would have said it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) workload: Workload,
    pub(crate) defaults_taken: Vec<String>,
}

impl Request {
    /// Says on standard error which defaults were taken.
    pub(crate) fn note_defaults(&self) {
        if !self.defaults_taken.is_empty() {
            eprintln!("defaults taken: {}", self.defaults_taken.join(" "));
        }
    }
}

/// Collects the defaults that were taken.
#[derive(Default)]
struct Defaults(Vec<String>);

impl Defaults {
    /// The flag's value, or the default with a note of it.
    fn or<T>(
        &mut self,
        given: Option<T>,
        flag: &str,
        spelled: impl std::fmt::Display,
        default: T,
    ) -> T {
        given.unwrap_or_else(|| {
            self.note(flag, spelled);
            default
        })
    }

    fn note(&mut self, flag: &str, spelled: impl std::fmt::Display) {
        self.0.push(format!("--{flag} {spelled}"));
    }
}

impl WorkloadArgs {
    /// The workload that the flags describe.
    pub(crate) fn request(&self) -> Result<Request, Failure> {
        if let Some(workload) = self.workload {
            return Ok(Request { workload, defaults_taken: Vec::new() });
        }
        let flags = &self.arrays;
        let Some(Shape(shape)) = flags.shape else {
            return Err(Failure::Usage(
                "--shape NxCxHxW or --workload TEXT is required, such as --shape 1x32x112x112"
                    .into(),
            ));
        };
        let mut defaults = Defaults::default();
        let depthwise = (!flags.no_depthwise).then(|| DepthwiseFacts {
            kernel: defaults.or(flags.kernel.map(|pair| pair.0), "kernel", "3x3", [3, 3]),
            // One output channel per input channel is what everybody means by depthwise: no note.
            multiplier: flags.multiplier.unwrap_or(1),
            bias: !flags.no_depthwise_bias,
            slopes: self.stages.depthwise_activation == Some(Activation::Prelu),
        });
        let middle = u32::try_from(shape[1])
            .ok()
            .and_then(|channels| channels.checked_mul(depthwise.map_or(1, |s| s.multiplier)));
        let pointwise = if flags.no_pointwise {
            None
        } else {
            let Some(middle) = flags.out_channels.or(middle) else {
                return Err(Failure::Usage(format!(
                    "{} input channels are more than a block can have",
                    shape[1]
                )));
            };
            Some(PointwiseFacts {
                channels: defaults.or(flags.out_channels, "out-channels", middle, middle),
                bias: !flags.no_bias,
                residual: flags.residual,
                slopes: self.stages.activation == Some(Activation::Prelu),
            })
        };
        self.stages.request(&ArrayFacts { shape, depthwise, pointwise }, defaults)
    }
}

impl StageFlags {
    /// The workload of arrays and these flags.
    pub(crate) fn with_arrays(&self, facts: &ArrayFacts) -> Result<Request, Failure> {
        self.request(facts, Defaults::default())
    }

    /// Axes of the arrays: whether channels come last.
    pub(crate) fn layout(&self) -> Layout {
        match self.layout {
            Some(LayoutFlag::Nhwc) => Layout::Nhwc,
            Some(LayoutFlag::Nchw) | None => Layout::Nchw,
        }
    }

    fn request(&self, facts: &ArrayFacts, mut defaults: Defaults) -> Result<Request, Failure> {
        let mut parts = Workload::builder(facts.shape).layout(self.layout());
        if let Some(depthwise) = facts.depthwise {
            parts = parts.depthwise(self.depthwise(facts.shape, depthwise, &mut defaults));
        } else {
            let given = [
                ("--stride", self.stride.is_some()),
                ("--padding", self.padding.is_some()),
                ("--dilation", self.dilation.is_some()),
                ("--depthwise-activation", self.depthwise_activation.is_some()),
            ];
            none_given(given, "depthwise")?;
        }
        if let Some(pointwise) = facts.pointwise {
            parts = parts.pointwise(self.pointwise(pointwise, &mut defaults));
        } else {
            let given = [
                ("--activation", self.activation.is_some()),
                ("--pointwise-stride", self.pointwise_stride.is_some()),
            ];
            none_given(given, "pointwise")?;
        }
        Ok(Request { workload: parts.build()?, defaults_taken: defaults.0 })
    }

    fn depthwise(
        &self,
        [_, _, rows, cols]: [usize; 4],
        facts: DepthwiseFacts,
        defaults: &mut Defaults,
    ) -> Depthwise {
        let stage = Depthwise {
            kernel: facts.kernel,
            stride: defaults.or(self.stride.map(|pair| pair.0), "stride", 1, [1, 1]),
            dilation: self.dilation.map_or([1, 1], |pair| pair.0),
            multiplier: facts.multiplier,
            bias: facts.bias,
            ..Depthwise::kernel(1, 1)
        };
        let padding = match self.padding {
            Some(rule) => rule.sides([rows, cols], &stage),
            None => {
                let sides = values::centred(stage.kernel, stage.dilation);
                defaults.note("padding", pair(sides.top, sides.left));
                sides
            }
        };
        let default = default_activation(facts.slopes);
        let activation =
            defaults.or(self.depthwise_activation, "depthwise-activation", default, default);
        Depthwise { padding, activation, ..stage }
    }

    fn pointwise(&self, facts: PointwiseFacts, defaults: &mut Defaults) -> Pointwise {
        let activation = default_activation(facts.slopes);
        Pointwise {
            channels: facts.channels,
            stride: self.pointwise_stride.map_or([1, 1], |pair| pair.0),
            bias: facts.bias,
            residual: facts.residual,
            activation: defaults.or(self.activation, "activation", activation, activation),
        }
    }
}

/// The shortest spelling of rows and columns.
fn pair(rows: u32, cols: u32) -> String {
    if rows == cols { rows.to_string() } else { format!("{rows}x{cols}") }
}

fn default_activation(slopes: bool) -> Activation {
    if slopes { Activation::Prelu } else { Activation::Relu }
}

fn none_given<const N: usize>(flags: [(&str, bool); N], stage: &str) -> Result<(), Failure> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            Err(Failure::Usage(format!("{flag} is given, but there is no {stage} stage")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn request(flags: &str) -> Result<Request, Failure> {
        let cli = Cli::try_parse_from(["autotune"].into_iter().chain(flags.split_whitespace()))
            .unwrap_or_else(|error| panic!("{flags}: {error}"));
        cli.tune.workload.request()
    }

    #[test]
    fn each_flag_changes_its_part_of_the_workload() {
        for (flags, expected) in [
            ("", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:8,bias,relu"),
            ("--out-channels 64", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:64,bias,relu"),
            ("--kernel 5", "f32 nchw 1x8x20x20 dw:5x5,p2,bias,relu pw:8,bias,relu"),
            ("--kernel 1x7", "f32 nchw 1x8x20x20 dw:1x7,p0/3/0/3,bias,relu pw:8,bias,relu"),
            ("--stride 2", "f32 nchw 1x8x20x20 dw:3x3,s2,p1,bias,relu pw:8,bias,relu"),
            ("--stride 2x1", "f32 nchw 1x8x20x20 dw:3x3,s2x1,p1,bias,relu pw:8,bias,relu"),
            (
                "--stride 2 --padding same",
                "f32 nchw 1x8x20x20 dw:3x3,s2,p0/0/1/1,bias,relu pw:8,bias,relu",
            ),
            ("--padding valid", "f32 nchw 1x8x20x20 dw:3x3,bias,relu pw:8,bias,relu"),
            ("--padding 2", "f32 nchw 1x8x20x20 dw:3x3,p2,bias,relu pw:8,bias,relu"),
            ("--padding 1x2", "f32 nchw 1x8x20x20 dw:3x3,p1/2/1/2,bias,relu pw:8,bias,relu"),
            (
                "--padding 0/1/-1/-2",
                "f32 nchw 1x8x20x20 dw:3x3,p0/1/-1/-2,bias,relu pw:8,bias,relu",
            ),
            ("--dilation 2", "f32 nchw 1x8x20x20 dw:3x3,d2,p2,bias,relu pw:8,bias,relu"),
            ("--multiplier 2", "f32 nchw 1x8x20x20 dw:3x3,p1,m2,bias,relu pw:16,bias,relu"),
            (
                "--depthwise-activation clamp(-1:1)",
                "f32 nchw 1x8x20x20 dw:3x3,p1,bias,clamp(-1:1) pw:8,bias,relu",
            ),
            (
                "--activation leaky_relu(0.01)",
                "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:8,bias,leaky_relu(0.01)",
            ),
            ("--activation none", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:8,bias"),
            ("--no-depthwise-bias", "f32 nchw 1x8x20x20 dw:3x3,p1,relu pw:8,bias,relu"),
            ("--no-bias", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:8,relu"),
            ("--pointwise-stride 2", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:8,s2,bias,relu"),
            ("--residual", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu pw:8,bias,residual,relu"),
            ("--no-depthwise", "f32 nchw 1x8x20x20 pw:8,bias,relu"),
            ("--no-pointwise", "f32 nchw 1x8x20x20 dw:3x3,p1,bias,relu"),
            ("--layout nhwc", "f32 nhwc 1x8x20x20 dw:3x3,p1,bias,relu pw:8,bias,relu"),
        ] {
            let request = request(&format!("--shape 1x8x20x20 {flags}")).unwrap();
            assert_eq!(request.workload.to_string(), expected, "{flags}");
        }
    }

    #[test]
    fn the_defaults_that_were_taken_are_the_flags_that_would_have_said_them() {
        let short = request("--shape 1x8x20x20").unwrap();
        assert_eq!(
            short.defaults_taken,
            [
                "--kernel 3x3",
                "--out-channels 8",
                "--stride 1",
                "--padding 1",
                "--depthwise-activation relu",
                "--activation relu",
            ]
        );
        let long = request(&format!("--shape 1x8x20x20 {}", short.defaults_taken.join(" ")));
        let long = long.unwrap();
        assert_eq!(long.workload, short.workload);
        assert!(long.defaults_taken.is_empty(), "{:?}", long.defaults_taken);
    }

    #[test]
    fn a_text_and_the_flags_that_say_the_same_give_one_workload() {
        let flags = request("--shape 1x8x20x20 --layout nhwc --residual").unwrap();
        let text = flags.workload.to_string();
        let cli = Cli::try_parse_from(["autotune", "--workload", text.as_str()]).unwrap();
        assert_eq!(cli.tune.workload.request().unwrap().workload, flags.workload);
    }

    #[test]
    fn flags_that_make_no_workload_say_which_rule_they_break() {
        let failure = request("--shape 1x8x4x4 --kernel 9 --padding 0").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("kernel spans 9 rows"), "{failure}");
        for zero in ["--stride 0", "--multiplier 0", "--kernel 0", "--dilation 0"] {
            let failure = request(&format!("--shape 1x8x4x4 {zero}")).unwrap_err();
            assert!(failure.to_string().contains("is 0"), "{zero}: {failure}");
        }
        let failure = request("--shape 1x99999999999x4x4").unwrap_err();
        assert!(failure.to_string().contains("99999999999"), "{failure}");
    }
}
