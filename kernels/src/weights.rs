//! Weights as users hold them, before packing.
//!
//! ```
//! use dsconv_kernels::{Pointwise, Weights, Workload};
//!
//! let workload = Workload::builder([1, 2, 8, 8]).pointwise(Pointwise::channels(3)).build()?;
//! let weights =
//!     Weights { pointwise: &[0.5; 6], pointwise_bias: &[0.0; 3], ..Weights::default() };
//! assert_eq!(weights.check(&workload), Ok(()));
//! # Ok::<(), dsconv_kernels::InvalidWorkload>(())
//! ```

use crate::Workload;

/// Borrowed weights of a block, in the order of PyTorch and ONNX. A slice that the workload does
/// not call for is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights<'a> {
    /// Depthwise filters, `[C * M][R][S]`; output channel `c * M + m` reads input channel `c`.
    pub depthwise: &'a [f32],
    /// Depthwise biases, `[C * M]`.
    pub depthwise_bias: &'a [f32],
    /// Slopes of a depthwise prelu, `[C * M]`.
    pub depthwise_slopes: &'a [f32],
    /// Pointwise weights, `[K][C * M]`.
    pub pointwise: &'a [f32],
    /// Pointwise biases, `[K]`.
    pub pointwise_bias: &'a [f32],
    /// Slopes of a pointwise prelu, `[K]`.
    pub pointwise_slopes: &'a [f32],
}

/// A slice whose length is not what the workload calls for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tensor}: {found} elements given, the workload calls for {expected}")]
pub struct WrongLength {
    /// Which tensor.
    pub tensor: &'static str,
    /// Elements that the workload calls for.
    pub expected: usize,
    /// Elements that were given.
    pub found: usize,
}

impl WrongLength {
    /// Compares a slice's length with the expected one.
    ///
    /// # Errors
    ///
    /// Returns the difference, where there is one.
    pub fn check(tensor: &'static str, expected: usize, found: usize) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self { tensor, expected, found }) }
    }
}

impl Weights<'_> {
    /// Compares all lengths with what the workload calls for.
    ///
    /// # Errors
    ///
    /// Returns the first slice of another length.
    pub fn check(&self, workload: &Workload) -> Result<(), WrongLength> {
        let depthwise = workload.depthwise();
        let pointwise = workload.pointwise();
        let middle = workload.middle_channels();
        let outputs = workload.output_channels();
        let expected = |wanted: Option<bool>, len| if wanted == Some(true) { len } else { 0 };
        for (tensor, expected, found) in [
            ("depthwise weights", workload.depthwise_len(), self.depthwise.len()),
            (
                "depthwise bias",
                expected(depthwise.map(|s| s.bias), middle),
                self.depthwise_bias.len(),
            ),
            (
                "depthwise slopes",
                expected(depthwise.map(|s| s.activation.has_slopes()), middle),
                self.depthwise_slopes.len(),
            ),
            ("pointwise weights", workload.pointwise_len(), self.pointwise.len()),
            (
                "pointwise bias",
                expected(pointwise.map(|s| s.bias), outputs),
                self.pointwise_bias.len(),
            ),
            (
                "pointwise slopes",
                expected(pointwise.map(|s| s.activation.has_slopes()), outputs),
                self.pointwise_slopes.len(),
            ),
        ] {
            WrongLength::check(tensor, expected, found)?;
        }
        Ok(())
    }
}
