//! The arrays of one run: gathered from files, named, and checked against each other.
//!
//! ```text
//! --depthwise-weights w.npy            one array, named by its flag
//! --weights all.npz                    arrays named as the flags: depthwise_weights, pointwise_bias, ...
//! --weights state_dict.npz             as PyTorch names them: 0.weight, 0.bias, 2.weight, 2.bias
//! --input in.npz                       any of these, and the input
//! ```
//!
//! The shape of the input, R x S, M and K follow from the shapes of the arrays; whether there is a
//! stage, a bias or a residual follows from which arrays there are.

use std::path::Path;

use dsconv::{Layout, Weights, Workload};

use crate::args::RunArgs;
use crate::flags::{ArrayFacts, DepthwiseFacts, PointwiseFacts};
use crate::npy::{self, Array, ArrayError};

/// The arrays of one run.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    arrays: [Option<Array>; NAMES.len()],
}

/// Names of arrays in archives; on the command line with dashes.
const NAMES: [&str; 8] = [
    INPUT,
    DEPTHWISE,
    DEPTHWISE_BIAS,
    DEPTHWISE_SLOPES,
    POINTWISE,
    POINTWISE_BIAS,
    POINTWISE_SLOPES,
    RESIDUAL,
];
const INPUT: &str = "input";
const DEPTHWISE: &str = "depthwise_weights";
const DEPTHWISE_BIAS: &str = "depthwise_bias";
const DEPTHWISE_SLOPES: &str = "depthwise_slopes";
const POINTWISE: &str = "pointwise_weights";
const POINTWISE_BIAS: &str = "pointwise_bias";
const POINTWISE_SLOPES: &str = "pointwise_slopes";
const RESIDUAL: &str = "residual";

impl Tensors {
    /// Reads all files that the flags name. A flag's own file wins over an archive's array.
    pub(crate) fn read(args: &RunArgs) -> Result<Self, ArrayError> {
        let mut tensors = Self::default();
        if let Some(path) = &args.weights {
            tensors.insert_archive(path)?;
        }
        if npy::is_archive(&args.input) {
            tensors.insert_archive(&args.input)?;
        } else {
            tensors.insert(INPUT, npy::read(&args.input)?);
        }
        for (name, path) in [
            (DEPTHWISE, &args.depthwise_weights),
            (DEPTHWISE_BIAS, &args.depthwise_bias),
            (DEPTHWISE_SLOPES, &args.depthwise_slopes),
            (POINTWISE, &args.pointwise_weights),
            (POINTWISE_BIAS, &args.pointwise_bias),
            (POINTWISE_SLOPES, &args.pointwise_slopes),
            (RESIDUAL, &args.residual),
        ] {
            if let Some(path) = path {
                tensors.insert(name, npy::read(path)?);
            }
        }
        Ok(tensors)
    }

    fn slot(name: &str) -> Option<usize> {
        NAMES.iter().position(|known| *known == name)
    }

    fn insert(&mut self, name: &'static str, array: Array) {
        let slot = Self::slot(name).expect("the name is one of NAMES");
        self.arrays[slot] = Some(array);
    }

    fn get(&self, name: &'static str) -> Option<&Array> {
        self.arrays[Self::slot(name).expect("the name is one of NAMES")].as_ref()
    }

    fn values(&self, name: &'static str) -> &[f32] {
        self.get(name).map_or(&[], |array| &array.values)
    }

    fn insert_archive(&mut self, path: &Path) -> Result<(), ArrayError> {
        let mut modules = Vec::new();
        for (name, array) in npy::read_archive(path)? {
            if let Some(slot) = Self::slot(&name) {
                self.arrays[slot] = Some(array);
            } else if let Some((module, part)) = name.rsplit_once('.') {
                modules.push((module.to_owned(), part.to_owned(), array));
            } else {
                let message = format!(
                    "array '{name}' is none of {}, nor a module's x.weight",
                    NAMES.join(", ")
                );
                return Err(ArrayError::Archived { path: path.into(), message });
            }
        }
        self.insert_modules(modules)
            .map_err(|message| ArrayError::Archived { path: path.into(), message })
    }

    /// Arrays of a PyTorch state_dict: convolutions in the order of their numbers, or of the file
    /// where modules have names; a weight of one axis is a PReLU's and belongs to the convolution
    /// before it.
    fn insert_modules(&mut self, mut modules: Vec<(String, String, Array)>) -> Result<(), String> {
        let number = |module: &str| module.parse::<u32>().ok();
        if modules.iter().all(|(module, ..)| number(module).is_some()) {
            modules.sort_by_key(|(module, ..)| number(module));
        }
        let convolutions: Vec<&(String, String, Array)> = modules
            .iter()
            .filter(|(_, part, array)| part == "weight" && array.shape.len() > 1)
            .collect();
        let stages = match *convolutions.as_slice() {
            [] if modules.is_empty() => return Ok(()),
            [(first, _, array)] if is_depthwise(&array.shape) => vec![(first.clone(), 0)],
            [(first, ..)] => vec![(first.clone(), 1)],
            [(first, ..), (second, ..)] => vec![(first.clone(), 0), (second.clone(), 1)],
            _ => {
                return Err(format!(
                    "{} convolutions in the state_dict; a block has one depthwise and one pointwise",
                    convolutions.len()
                ));
            }
        };
        const PLACES: [[&str; 3]; 2] = [
            [DEPTHWISE, DEPTHWISE_BIAS, DEPTHWISE_SLOPES],
            [POINTWISE, POINTWISE_BIAS, POINTWISE_SLOPES],
        ];
        let mut latest = None;
        for (module, part, array) in modules {
            if let Some(&(_, stage)) = stages.iter().find(|(name, _)| *name == module) {
                latest = Some(stage);
                match part.as_str() {
                    "weight" => self.insert(PLACES[stage][0], array),
                    "bias" => self.insert(PLACES[stage][1], array),
                    _ => return Err(format!("'{module}.{part}' is no part of a convolution")),
                }
            } else if let (Some(stage), "weight", 1) = (latest, part.as_str(), array.shape.len()) {
                self.insert(PLACES[stage][2], array);
            } else {
                return Err(format!(
                    "'{module}.{part}' belongs to no convolution or PReLU; fold batch \
                     normalisation into the weights first"
                ));
            }
        }
        Ok(())
    }

    /// What the arrays tell of the workload.
    pub(crate) fn facts(&self, layout: Layout) -> Result<ArrayFacts, ArrayError> {
        let missing = |array, hint: &str| ArrayError::Missing { array, hint: hint.into() };
        let input = self.get(INPUT).ok_or_else(|| {
            missing(INPUT, "the archive of --input needs an array of the name 'input'")
        })?;
        let Some(shape) = as_nchw(&input.shape, layout) else {
            return Err(self.wrong(INPUT, format!("four axes {}", axes_of(layout))));
        };
        let depthwise = self.depthwise_facts(shape[1])?;
        let middle = shape[1].saturating_mul(depthwise.map_or(1, |d| d.multiplier as usize));
        let pointwise = self.pointwise_facts(middle)?;
        if depthwise.is_none() && pointwise.is_none() {
            let hint = "give --weights, --depthwise-weights or --pointwise-weights";
            return Err(missing(DEPTHWISE, hint));
        }
        Ok(ArrayFacts { shape, depthwise, pointwise })
    }

    fn depthwise_facts(&self, channels: usize) -> Result<Option<DepthwiseFacts>, ArrayError> {
        let Some(weights) = self.get(DEPTHWISE) else {
            self.only_with(DEPTHWISE, &[DEPTHWISE_BIAS, DEPTHWISE_SLOPES])?;
            return Ok(None);
        };
        let expected = || format!("[C*M,1,R,S] with C = {channels} input channels");
        let [outputs, 1, rows, cols] = *weights.shape.as_slice() else {
            return Err(self.wrong(DEPTHWISE, expected()));
        };
        if channels == 0 || outputs == 0 || outputs % channels != 0 {
            return Err(self.wrong(DEPTHWISE, expected()));
        }
        let small =
            |extent: usize| u32::try_from(extent).map_err(|_| self.wrong(DEPTHWISE, expected()));
        Ok(Some(DepthwiseFacts {
            kernel: [small(rows)?, small(cols)?],
            multiplier: small(outputs / channels)?,
            bias: self.per_channel(DEPTHWISE_BIAS, outputs)?,
            slopes: self.per_channel(DEPTHWISE_SLOPES, outputs)?,
        }))
    }

    fn pointwise_facts(&self, middle: usize) -> Result<Option<PointwiseFacts>, ArrayError> {
        let Some(weights) = self.get(POINTWISE) else {
            self.only_with(POINTWISE, &[POINTWISE_BIAS, POINTWISE_SLOPES, RESIDUAL])?;
            return Ok(None);
        };
        let outputs = match *weights.shape.as_slice() {
            [outputs, inputs] | [outputs, inputs, 1, 1] if inputs == middle => outputs,
            _ => {
                let expected = format!("[K,{middle},1,1] or [K,{middle}]");
                return Err(self.wrong(POINTWISE, expected));
            }
        };
        Ok(Some(PointwiseFacts {
            channels: u32::try_from(outputs)
                .map_err(|_| self.wrong(POINTWISE, "fewer output channels".into()))?,
            bias: self.per_channel(POINTWISE_BIAS, outputs)?,
            residual: self.get(RESIDUAL).is_some(),
            slopes: self.per_channel(POINTWISE_SLOPES, outputs)?,
        }))
    }

    /// Whether there is an array with one element per channel.
    fn per_channel(&self, name: &'static str, channels: usize) -> Result<bool, ArrayError> {
        match self.get(name) {
            None => Ok(false),
            Some(array) if array.shape == [channels] => Ok(true),
            Some(_) => Err(self.wrong(name, format!("[{channels}]"))),
        }
    }

    fn only_with(&self, weights: &'static str, names: &[&'static str]) -> Result<(), ArrayError> {
        match names.iter().find(|name| self.get(name).is_some()) {
            None => Ok(()),
            Some(name) => Err(ArrayError::Missing {
                array: weights,
                hint: format!("{name} is given without it"),
            }),
        }
    }

    fn wrong(&self, name: &'static str, expected: String) -> ArrayError {
        let found =
            self.get(name).map_or_else(|| "no array".into(), |array| brackets(&array.shape));
        ArrayError::Shape { array: name.into(), expected, found }
    }

    /// Checks each array against the workload: it is there exactly where the workload has it, in
    /// the shape that the workload calls for.
    pub(crate) fn check(&self, workload: &Workload) -> Result<(), ArrayError> {
        let layout = workload.layout();
        let depthwise = workload.depthwise();
        let pointwise = workload.pointwise();
        let (middle, outputs) = (workload.middle_channels(), workload.output_channels());
        let if_any =
            |wanted: Option<bool>, channels| (wanted == Some(true)).then(|| vec![channels]);
        let in_memory = |shape| from_nchw(shape, layout).to_vec();
        for (name, expected) in [
            (INPUT, Some(in_memory(workload.input_shape()))),
            (
                DEPTHWISE,
                depthwise.map(|s| vec![middle, 1, s.kernel[0] as usize, s.kernel[1] as usize]),
            ),
            (DEPTHWISE_BIAS, if_any(depthwise.map(|s| s.bias), middle)),
            (DEPTHWISE_SLOPES, if_any(depthwise.map(|s| s.activation.has_slopes()), middle)),
            (POINTWISE, pointwise.map(|_| vec![outputs, middle])),
            (POINTWISE_BIAS, if_any(pointwise.map(|s| s.bias), outputs)),
            (POINTWISE_SLOPES, if_any(pointwise.map(|s| s.activation.has_slopes()), outputs)),
            (
                RESIDUAL,
                pointwise.filter(|s| s.residual).map(|_| in_memory(workload.output_shape())),
            ),
        ] {
            match (self.get(name), expected) {
                (None, None) => {}
                (Some(array), Some(expected)) if same_shape(&array.shape, &expected) => {}
                (Some(_), Some(expected)) => return Err(self.wrong(name, brackets(&expected))),
                (None, Some(expected)) => {
                    let hint =
                        format!("the workload calls for one of shape {}", brackets(&expected));
                    return Err(ArrayError::Missing { array: name, hint });
                }
                (Some(_), None) => {
                    return Err(self.wrong(name, "none: the workload has no use for it".into()));
                }
            }
        }
        Ok(())
    }

    /// The input.
    pub(crate) fn input(&self) -> &[f32] {
        self.values(INPUT)
    }

    /// The residual, where there is one.
    pub(crate) fn residual(&self) -> Option<&[f32]> {
        self.get(RESIDUAL).map(|array| array.values.as_slice())
    }

    /// All weights.
    pub(crate) fn weights(&self) -> Weights<'_> {
        Weights {
            depthwise: self.values(DEPTHWISE),
            depthwise_bias: self.values(DEPTHWISE_BIAS),
            depthwise_slopes: self.values(DEPTHWISE_SLOPES),
            pointwise: self.values(POINTWISE),
            pointwise_bias: self.values(POINTWISE_BIAS),
            pointwise_slopes: self.values(POINTWISE_SLOPES),
        }
    }
}

/// Whether the weights of a convolution that stands alone read one channel per filter.
fn is_depthwise(shape: &[usize]) -> bool {
    matches!(shape, [_, 1, _, _])
}

/// A shape in memory order as batch, channels, rows and columns; `None` if it has not four axes.
fn as_nchw(shape: &[usize], layout: Layout) -> Option<[usize; 4]> {
    match (layout, shape) {
        (Layout::Nchw, &[n, c, h, w]) | (Layout::Nhwc, &[n, h, w, c]) => Some([n, c, h, w]),
        _ => None,
    }
}

/// Batch, channels, rows and columns in memory order.
pub(crate) fn from_nchw([n, c, h, w]: [usize; 4], layout: Layout) -> [usize; 4] {
    match layout {
        Layout::Nchw => [n, c, h, w],
        Layout::Nhwc => [n, h, w, c],
    }
}

fn axes_of(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "[N,C,H,W]",
        Layout::Nhwc => "[N,H,W,C]",
    }
}

/// Equal up to the two trailing axes of one that pointwise weights may have.
fn same_shape(found: &[usize], expected: &[usize]) -> bool {
    found == expected
        || (expected.len() == 2
            && found.len() == 4
            && found[..2] == *expected
            && found[2..] == [1, 1])
}

fn brackets(shape: &[usize]) -> String {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", extents.join(","))
}
