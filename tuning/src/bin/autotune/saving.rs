//! What separability saves: the block against a standard convolution of the same shape.
//!
//! A standard convolution has one R x S x C filter per output channel: `2 * R * S * C * K`
//! operations per output pixel and `R * S * C * K` weights. A 3x3 block from 32 to 64 channels
//! needs `2 * (9 * 32 + 32 * 64)` and `9 * 32 + 32 * 64`, one eighth.

use std::fmt::{self, Display};

use dsconv::Workload;
use serde::Serialize;

/// Operations per run and parameters of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Effort {
    pub(crate) flops: u64,
    pub(crate) parameters: u64,
}

/// The block beside the standard convolution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Saving {
    /// Rows and columns of the standard convolution's kernel.
    kernel: [u32; 2],
    /// Its input and output channels.
    channels: [usize; 2],
    pub(crate) block: Effort,
    pub(crate) standard: Effort,
    pub(crate) flops_ratio: f64,
    pub(crate) parameters_ratio: f64,
}

impl Saving {
    /// Counts both. Numbers beyond 64 bits stay at the largest.
    pub(crate) fn of(workload: &Workload) -> Self {
        let depthwise = workload.depthwise();
        let pointwise = workload.pointwise();
        let if_any = |has: bool, channels: usize| if has { channels } else { 0 };
        let middle = workload.middle_channels();
        let outputs = workload.output_channels();
        let biases = if_any(depthwise.is_some_and(|s| s.bias), middle)
            + if_any(pointwise.is_some_and(|s| s.bias), outputs);
        let block = Effort {
            flops: workload.flops(),
            parameters: (workload.depthwise_len() + workload.pointwise_len() + biases) as u64,
        };

        let [rows, cols] = workload.output_extent();
        let taps = depthwise.map_or(1, |stage| stage.taps());
        let weights = [taps, workload.channels(), outputs]
            .iter()
            .fold(1_u64, |product, &factor| product.saturating_mul(factor as u64));
        let pixels = (workload.batch() * rows * cols) as u64;
        let last_has_bias = pointwise.map_or(depthwise.is_some_and(|s| s.bias), |s| s.bias);
        let standard = Effort {
            flops: weights.saturating_mul(pixels).saturating_mul(2),
            parameters: weights.saturating_add(if_any(last_has_bias, outputs) as u64),
        };
        Self {
            kernel: depthwise.map_or([1, 1], |stage| stage.kernel),
            channels: [workload.channels(), outputs],
            block,
            standard,
            flops_ratio: standard.flops as f64 / block.flops as f64,
            parameters_ratio: standard.parameters as f64 / block.parameters as f64,
        }
    }
}

/// Two lines of a report.
impl Display for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, standard, kernel: [rows, cols], channels: [inputs, outputs], .. } = self;
        writeln!(f, "block      {} MFLOP, {} parameters", millions(block.flops), block.parameters)?;
        writeln!(
            f,
            "standard   {} MFLOP, {} parameters by a {rows}x{cols} convolution {inputs} -> \
             {outputs}: separability saves {:.2}x the FLOPs, {:.2}x the parameters",
            millions(standard.flops),
            standard.parameters,
            self.flops_ratio,
            self.parameters_ratio,
        )
    }
}

/// Millions, with more digits where they are few.
fn millions(count: u64) -> String {
    let millions = count as f64 / 1e6;
    let digits = if millions < 1.0 { 4 } else { 1 };
    format!("{millions:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsconv::{Depthwise, Pointwise};

    #[test]
    fn a_block_of_32_to_64_channels_saves_what_the_textbook_says() {
        let workload = Workload::builder([1, 32, 112, 112])
            .depthwise(Depthwise::kernel(3, 3).padding(1))
            .pointwise(Pointwise::channels(64))
            .build()
            .unwrap();
        let saving = Saving::of(&workload);
        assert_eq!(saving.standard.flops, 2 * 9 * 32 * 64 * 112 * 112);
        assert_eq!(saving.standard.parameters, 9 * 32 * 64 + 64);
        assert_eq!(saving.block.flops, 2 * (9 * 32 + 32 * 64) * 112 * 112);
        assert_eq!(saving.block.parameters, 9 * 32 + 32 + 32 * 64 + 64);
        // The textbook ratio is 1 / (1/K + 1/(R*S)).
        assert!((saving.flops_ratio - 1.0 / (1.0 / 64.0 + 1.0 / 9.0)).abs() < 1e-9);
    }

    #[test]
    fn a_pointwise_stage_alone_is_a_standard_convolution() {
        let workload =
            Workload::builder([2, 8, 5, 5]).pointwise(Pointwise::channels(4)).build().unwrap();
        let saving = Saving::of(&workload);
        assert_eq!(saving.block, saving.standard);
    }
}
