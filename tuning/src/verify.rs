//! Whether a compiled schedule computes what the reference computes.
//!
//! Every kernel repeats the reference's operations in the reference's order, so verification is
//! equality, not tolerance; any NaN equals any NaN. Targets without fused multiply-adds are the one
//! exception: there each output has a bound that follows from its own sum.
//!
//! The output is handed to a kernel full of canaries, inside a larger buffer whose margins must
//! survive: an element that was left out and a write past either end are found whatever the values.
//!
//! What is to be stored gets a second look at the end: on other data, and on buffers that begin
//! anywhere and have guards on all sides.

use std::fmt;

use dsconv_kernels::{Isa, Layout, Workload, reference};
use serde::{Deserialize, Serialize};

use crate::data::Tensors;

mod guard;
mod second;

pub use guard::Guarded;
pub(crate) use second::SecondLook;

/// A NaN that no arithmetic makes: an element that still holds it was never written.
pub(crate) const CANARY: u32 = 0x7fde_adbe;
/// How the output of a kernel differs from the reference's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mismatch {
    /// Elements of another value.
    Value {
        /// Index of the first such element in the output.
        index: usize,
        /// Its batch, channel, row and column.
        coordinates: [usize; 4],
        /// What the reference computed.
        #[serde(with = "bits")]
        expected: f32,
        /// What the kernel computed.
        #[serde(with = "bits")]
        actual: f32,
        /// Number of such elements.
        count: usize,
    },
    /// Elements that the kernel never wrote.
    Unwritten {
        /// Index of the first such element in the output.
        index: usize,
        /// Its batch, channel, row and column.
        coordinates: [usize; 4],
        /// Number of such elements.
        count: usize,
    },
    /// Elements outside the output that the kernel wrote.
    Outside {
        /// Index of the first such element, counted from the start of the output.
        index: isize,
        /// Number of such elements.
        count: usize,
    },
    /// Elements of a tensor that is only to be read, or beside it, that the kernel wrote.
    Touched {
        /// The tensor.
        tensor: String,
        /// Index of the first such element, counted from the start of the tensor.
        index: isize,
        /// Number of such elements.
        count: usize,
    },
    /// What the second look found, where the first was satisfied.
    SecondLook {
        /// The data, and where the buffers began.
        data: String,
        /// What is wrong there.
        found: Box<Mismatch>,
    },
    /// The kernel refused its own workload's tensors, with its message.
    NotRun(String),
}

/// A number as its bits: JSON has neither NaN nor infinity.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(number.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        u32::deserialize(from).map(f32::from_bits)
    }
}

/// The reference's output for one set of tensors, computed once per tuning.
#[derive(Debug)]
pub struct Oracle {
    workload: Workload,
    expected: Vec<f32>,
    /// How far each output may be off; `None` where bits must be equal.
    bounds: Option<Vec<f32>>,
}

impl Oracle {
    /// Runs the reference, to compare kernels of the given instruction set with.
    ///
    /// # Panics
    ///
    /// If `tensors` belong to another workload.
    pub fn new(workload: &Workload, tensors: &Tensors, isa: Isa) -> Self {
        const OWN: &str = "the tensors were made for this workload";
        let (weights, input, residual) = (tensors.weights(), &tensors.input, tensors.residual());
        let mut expected = vec![0.0; workload.output_len()];
        reference::run(workload, &weights, input, residual, &mut expected).expect(OWN);
        let bounds = (!isa.has_fma())
            .then(|| reference::error_bounds(workload, &weights, input, residual).expect(OWN));
        Self { workload: *workload, expected, bounds }
    }

    /// Compares what a kernel left in `output`.
    ///
    /// # Errors
    ///
    /// Returns how it differs: first what was written outside, then what was not written, then
    /// what has another value.
    pub fn check(&self, output: &Guarded) -> Result<(), Mismatch> {
        if let Some((index, count)) = output.overwritten() {
            return Err(Mismatch::Outside { index, count });
        }
        let actual = output.as_slice();
        let expected = &self.expected;
        let unwritten = |index: &usize| actual[*index].to_bits() == CANARY;
        if let Some((index, count)) = first_and_count((0..expected.len()).filter(unwritten)) {
            return Err(Mismatch::Unwritten { index, coordinates: self.coordinates(index), count });
        }
        let differs = |&index: &usize| {
            let (expected, actual) = (expected[index], actual[index]);
            let bound = self.bounds.as_ref().map(|bounds| bounds[index]);
            !same(expected, actual)
                && !bound.is_some_and(|bound| is_within(bound, expected, actual))
        };
        if let Some((index, count)) = first_and_count((0..expected.len()).filter(differs)) {
            return Err(Mismatch::Value {
                index,
                coordinates: self.coordinates(index),
                expected: expected[index],
                actual: actual[index],
                count,
            });
        }
        Ok(())
    }

    fn coordinates(&self, index: usize) -> [usize; 4] {
        let [_, channels, rows, cols] = self.workload.output_shape();
        match self.workload.layout() {
            Layout::Nchw => [
                index / (channels * rows * cols),
                index / (rows * cols) % channels,
                index / cols % rows,
                index % cols,
            ],
            Layout::Nhwc => [
                index / (rows * cols * channels),
                index % channels,
                index / (cols * channels) % rows,
                index / channels % cols,
            ],
        }
    }
}

/// Equal bits, or two NaNs.
fn same(expected: f32, actual: f32) -> bool {
    expected.to_bits() == actual.to_bits() || (expected.is_nan() && actual.is_nan())
}

/// Two numbers at most `bound` apart; a NaN is apart from every number. An infinite bound says
/// that a sum may overflow on one side only, where nothing can be said.
fn is_within(bound: f32, expected: f32, actual: f32) -> bool {
    bound == f32::INFINITY || (expected - actual).abs() <= bound
}

fn first_and_count(mut indices: impl Iterator<Item = usize>) -> Option<(usize, usize)> {
    let first = indices.next()?;
    Some((first, 1 + indices.count()))
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |[batch, channel, row, col]: [usize; 4]| {
            format!("batch {batch}, channel {channel}, row {row}, column {col}")
        };
        match self {
            Self::Value { index, coordinates, expected, actual, count } => write!(
                f,
                "{count} elements differ, the first at {index} ({}): {actual:e} instead of {expected:e}",
                at(*coordinates),
            ),
            Self::Unwritten { index, coordinates, count } => write!(
                f,
                "{count} elements were not written, the first at {index} ({})",
                at(*coordinates),
            ),
            Self::Outside { index, count } => {
                write!(f, "{count} elements outside the output were written, the first at {index}")
            }
            Self::Touched { tensor, index, count } => write!(
                f,
                "{count} elements of the {tensor} or beside it were written, the first at {index}"
            ),
            Self::SecondLook { data, found } => write!(f, "at a second look, on {data}: {found}"),
            Self::NotRun(error) => write!(f, "the kernel did not run: {error}"),
        }
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(layout: &str) -> (Workload, Oracle) {
        let line = format!("f32 {layout} 2x3x5x4 dw:3x3,p1,bias pw:7,bias");
        let workload = line.parse().expect("a workload");
        let oracle = Oracle::new(&workload, &Tensors::ordinary(&workload, 1), Isa::Fma);
        (workload, oracle)
    }

    fn correct(workload: &Workload, oracle: &Oracle) -> Guarded {
        let mut output = Guarded::output(workload);
        output.as_mut_slice().copy_from_slice(&oracle.expected);
        output
    }

    #[test]
    fn the_references_own_output_passes() {
        let (workload, oracle) = small("nchw");
        assert_eq!(oracle.check(&correct(&workload, &oracle)), Ok(()));
    }

    #[test]
    fn one_bit_is_a_mismatch_at_its_coordinates() {
        for (layout, index) in [
            // Batch 1, channel 2, row 3, column 1 of [2, 7, 5, 4].
            ("nchw", ((7 + 2) * 5 + 3) * 4 + 1),
            ("nhwc", ((5 + 3) * 4 + 1) * 7 + 2),
        ] {
            let (workload, oracle) = small(layout);
            let mut output = correct(&workload, &oracle);
            let expected = oracle.expected[index];
            let actual = f32::from_bits(expected.to_bits() ^ 1);
            output.as_mut_slice()[index] = actual;
            let coordinates = [1, 2, 3, 1];
            let mismatch = Mismatch::Value { index, coordinates, expected, actual, count: 1 };
            assert_eq!(oracle.check(&output), Err(mismatch), "{layout}");
        }
    }

    #[test]
    fn any_nan_equals_any_nan_but_not_a_number() {
        let (workload, mut oracle) = small("nchw");
        oracle.expected[4] = f32::NAN;
        let mut output = correct(&workload, &oracle);
        output.as_mut_slice()[4] = -f32::NAN;
        assert_eq!(oracle.check(&output), Ok(()));
        output.as_mut_slice()[4] = 0.0;
        assert!(matches!(oracle.check(&output), Err(Mismatch::Value { index: 4, count: 1, .. })));
    }

    #[test]
    fn without_fused_multiply_adds_outputs_may_be_off_by_their_bounds() {
        let (workload, _) = small("nchw");
        let oracle = Oracle::new(&workload, &Tensors::ordinary(&workload, 1), Isa::Sse2);
        let bound = oracle.bounds.as_ref().expect("bounds")[9];
        let mut output = correct(&workload, &oracle);
        output.as_mut_slice()[9] = oracle.expected[9] + 0.5 * bound;
        assert_eq!(oracle.check(&output), Ok(()));
        for wrong in [oracle.expected[9] + 2.0 * bound, f32::NAN, f32::INFINITY] {
            output.as_mut_slice()[9] = wrong;
            assert!(
                matches!(oracle.check(&output), Err(Mismatch::Value { index: 9, count: 1, .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn zeros_of_different_sign_differ() {
        let (workload, mut oracle) = small("nchw");
        oracle.expected[0] = 0.0;
        let mut output = correct(&workload, &oracle);
        output.as_mut_slice()[0] = -0.0;
        assert!(matches!(oracle.check(&output), Err(Mismatch::Value { index: 0, .. })));
    }

    #[test]
    fn elements_left_out_are_counted() {
        let (workload, oracle) = small("nchw");
        let mut output = Guarded::output(&workload);
        let written = oracle.expected.len() - 3;
        output.as_mut_slice()[..written].copy_from_slice(&oracle.expected[..written]);
        let error = oracle.check(&output).expect_err("three are missing");
        assert!(matches!(error, Mismatch::Unwritten { index, count: 3, .. } if index == written));
        assert_eq!(
            error.to_string(),
            "3 elements were not written, the first at 277 (batch 1, channel 6, row 4, column 1)"
        );
    }

    #[test]
    fn a_write_past_either_end_is_found() {
        let (workload, oracle) = small("nchw");
        let len = workload.output_len();
        for index in [-1, len as isize] {
            let mut output = correct(&workload, &oracle);
            *output.at(index) = 0.0;
            assert_eq!(oracle.check(&output), Err(Mismatch::Outside { index, count: 1 }));
        }
    }

    #[test]
    fn a_reset_output_holds_nothing_of_the_run_before() {
        let (workload, oracle) = small("nchw");
        let mut output = correct(&workload, &oracle);
        output.reset();
        let count = workload.output_len();
        assert!(
            matches!(oracle.check(&output), Err(Mismatch::Unwritten { count: c, .. }) if c == count)
        );
    }
}
