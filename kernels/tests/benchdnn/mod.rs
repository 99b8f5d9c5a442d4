//! The convolution problems of oneDNN's test suite as workloads. Use: `mod benchdnn;`.
//!
//! `data/benchdnn.txt` says where the problems are from and how a line reads.

use dsconv_kernels::{
    Activation, Depthwise, Finite, InvalidWorkload, Layout, Padding, Pointwise, Workload,
    WorkloadBuilder,
};

/// Most multiply-adds of a workload that [`cases`] returns.
pub(crate) const MULTIPLY_ADDS: u64 = 2_000_000;

/// [`cut`] leaves rows and columns of up to this many alone.
const EXTENT: usize = 28;

/// One line of the file.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The line.
    pub(crate) line: String,
    /// The parts of the workload, as large as in the file.
    pub(crate) parts: WorkloadBuilder,
    /// Rows and columns of the output as the line has them.
    #[allow(dead_code, reason = "not every test uses all of this module")]
    pub(crate) output: [usize; 2],
}

/// All problems, in the order of the file.
pub(crate) fn problems() -> Vec<Problem> {
    include_str!("../data/benchdnn.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .enumerate()
        .map(|(index, line)| problem(index, line))
        .collect()
}

/// All problems that are workloads, with their lines, none larger than [`MULTIPLY_ADDS`].
#[allow(dead_code, reason = "not every test uses all of this module")]
pub(crate) fn cases() -> Vec<(String, Workload)> {
    problems()
        .into_iter()
        .filter(|problem| problem.parts.build().is_ok())
        .map(|problem| {
            let workload = cut(problem.parts)
                .unwrap_or_else(|error| panic!("cut too far: {error}: {}", problem.line));
            (problem.line, workload)
        })
        .collect()
}

/// Makes a workload smaller until it has no more than [`MULTIPLY_ADDS`]: one image; then the larger
/// of rows and columns halved, down to [`EXTENT`]; then the larger of input and output channels
/// halved. Halves are rounded up.
fn cut(mut parts: WorkloadBuilder) -> Result<Workload, InvalidWorkload> {
    loop {
        let workload = parts.build()?;
        if workload.flops() / 2 <= MULTIPLY_ADDS {
            return Ok(workload);
        }
        let [batch, channels, rows, cols] = &mut parts.shape;
        if *batch > 1 {
            *batch = 1;
        } else if *rows.max(cols) > EXTENT {
            let extent = if rows > cols { rows } else { cols };
            *extent = extent.div_ceil(2);
        } else {
            match &mut parts.pointwise {
                Some(stage) if stage.channels as usize > *channels => {
                    stage.channels = stage.channels.div_ceil(2);
                }
                _ => *channels = channels.div_ceil(2),
            }
        }
    }
}

/// The problem of one line. oneDNN's problems have no epilogues and no layout; these follow from
/// the position in the file.
fn problem(index: usize, line: &str) -> Problem {
    let numbers = numbers(line);
    let find =
        |name: &str| numbers.iter().find(|(found, _)| *found == name).map(|(_, number)| *number);
    let one = |name: &str, default: u64| find(name).unwrap_or(default);
    // A number of columns that is left out equals that of rows.
    let both = |rows: &str, cols: &str, default: u64| {
        let rows = one(rows, default);
        [rows, find(cols).unwrap_or(rows)]
    };
    let narrow = |pair: [u64; 2]| pair.map(|number| number.try_into().expect("a small number"));

    let (groups, inputs, outputs) = (one("g", 1), one("ic", 1), one("oc", 1));
    let input = both("ih", "iw", 1);
    let output = both("oh", "ow", 1);
    let kernel = both("kh", "kw", 1);
    let stride = both("sh", "sw", 1);
    let before = both("ph", "pw", 0);
    let dilation = both("dh", "dw", 0).map(|between| between + 1);
    let after = [0, 1].map(|axis| {
        let read = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        let after = read as i64 - (input[axis] + before[axis]) as i64;
        // A crop of the whole input still leaves its first pixel, which no tap reads.
        (after as i32).max(1 - input[axis] as i32)
    });

    let stage = Depthwise {
        stride: narrow(stride),
        dilation: narrow(dilation),
        padding: Padding {
            top: before[0] as u32,
            left: before[1] as u32,
            bottom: after[0],
            right: after[1],
        },
        ..Depthwise::kernel(kernel[0] as u32, kernel[1] as u32)
    };
    let shape = [one("mb", 1), inputs, input[0], input[1]].map(|extent| extent as usize);
    let layout = if index.is_multiple_of(2) { Layout::Nchw } else { Layout::Nhwc };
    let mut parts = Workload::builder(shape).layout(layout);
    let activation = activation(index);
    if groups > 1 || kernel != [1, 1] {
        assert_eq!(groups, inputs, "neither depthwise nor pointwise: {line}");
        let multiplier = u32::try_from(outputs / groups).expect("a small number");
        parts = parts.depthwise(stage.multiplier(multiplier).activation(activation));
    } else {
        // More than fits is refused in any case.
        let channels = u32::try_from(outputs).unwrap_or(u32::MAX);
        let mut pointwise = Pointwise::channels(channels).activation(activation);
        pointwise.residual = index.is_multiple_of(3);
        if before == [0, 0] {
            pointwise.stride = narrow(stride);
        } else {
            // Our pointwise stage has no padding: a depthwise stage of one tap has it.
            parts = parts.depthwise(stage.bias(false));
        }
        parts = parts.pointwise(pointwise);
    }
    Problem { line: line.to_owned(), parts, output: output.map(|extent| extent as usize) }
}

/// The names and numbers of a line.
fn numbers(line: &str) -> Vec<(&str, u64)> {
    let mut numbers = vec![];
    let mut rest = line;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).expect("a number follows its name");
        let end = rest[digits..].find(|c: char| !c.is_ascii_digit());
        let end = end.map_or(rest.len(), |end| digits + end);
        numbers.push((&rest[..digits], rest[digits..end].parse().expect("a number")));
        rest = &rest[end..];
    }
    numbers
}

/// All activations in turn.
fn activation(index: usize) -> Activation {
    let number = |value| Finite::new(value).expect("a finite number");
    let all = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::Clamp { min: number(-1.0), max: number(2.5) },
        Activation::LeakyRelu { slope: number(0.1) },
        Activation::Prelu,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::GeluTanh,
    ];
    all[index % all.len()]
}
