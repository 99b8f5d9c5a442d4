//! The scalar oracle: every output one chain of fused multiply-adds in one fixed order.

use crate::weights::{Weights, WrongLength};
use crate::workload::Workload;

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
    let _ = (workload, weights, input, residual, output);
    todo!("helper")
}
