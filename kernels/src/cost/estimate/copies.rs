//! Instructions of what only moves data: windows, gathered pixels, transposes.

use super::{Counted, Estimate};
use crate::cost::machine::Work;
use crate::cover::WIDTHS;

impl Counted<'_> {
    /// Copying the pixels that a strided pointwise stage reads.
    pub(super) fn gathered(&self, rows: usize) -> Estimate {
        let elements = (rows * self.plan.cols * self.plan.channels) as f64;
        let copied = Work { loads: 1.0, stores: 1.0, ..Work::default() };
        Estimate {
            window: copied.times(elements / 2.0).cycles(self.machine),
            ..Estimate::default()
        }
    }

    /// One row of a planar window: copied, and divided by phases where the stride asks for it.
    pub(super) fn copied_row(&self, cols: usize, stride: usize) -> Work {
        let lanes = usize::from(self.plan.target.lanes);
        let used = stride.min(self.plan.kernel[1]);
        let count = cols.div_ceil(stride);
        // The last vector overlaps the one before; few elements take narrower ones.
        let vectors = if count >= lanes { count.div_ceil(lanes) } else { pieces(count, lanes) };
        let each = match stride {
            1 => Work { loads: 1.1, stores: 1.1, ..Work::default() },
            2 => Work { loads: 2.5, stores: 1.1, shuffles: 1.0, ..Work::default() },
            // Element by element.
            _ => {
                Work { loads: 1.0, stores: 1.0, others: self.machine.loop_step, ..Work::default() }
                    .times(lanes as f64)
            }
        };
        let row = Work {
            others: 2.0 * self.machine.loop_step,
            stalls: self.machine.window_row,
            ..Work::default()
        };
        each.times((vectors * used) as f64).plus(row)
    }

    /// One vector of channels made of planes: four pixels of each go into its 128-bit lanes.
    pub(super) fn transposed_in(&self) -> Work {
        let parts = (f64::from(self.plan.target.lanes) / 4.0).max(1.0);
        Work {
            loads: parts,
            stores: 1.0,
            shuffles: 2.0,
            others: 2.0 * (parts - 1.0) + self.machine.loop_step / 4.0,
            ..Work::default()
        }
    }

    /// One vector of channels that goes to planes, each 128-bit lane to one of them.
    pub(super) fn transposed_out(&self) -> Work {
        let parts = (f64::from(self.plan.target.lanes) / 4.0).max(1.0);
        Work {
            loads: 1.0,
            // Each to a line of its own.
            stores: 2.0 * parts,
            shuffles: 1.0 + parts,
            others: self.machine.loop_step / 4.0,
            ..Work::default()
        }
    }
}

/// One vector that is copied.
pub(super) fn copied() -> Work {
    Work { loads: 1.25, stores: 1.25, others: 0.5, ..Work::default() }
}

/// Vectors that cover an extent exactly, the widest first.
fn pieces(extent: usize, widest: usize) -> usize {
    let mut left = extent;
    WIDTHS
        .into_iter()
        .filter(|&lanes| lanes <= widest.max(1))
        .map(|lanes| {
            let count = left / lanes;
            left %= lanes;
            count
        })
        .sum()
}
