//! Waiting for data: how many bytes come from which cache, by what passes through it in between.

use super::Counted;
use crate::cover::Cover;
use crate::plan::{Phase, Place, Tasks};
use crate::schedule::{LoopOrder, Window};

impl Counted<'_> {
    /// Cycles of waiting for what other threads have put into the tensor between the stages.
    pub(super) fn handed_over(&self, phase: &Phase, threads: usize) -> f64 {
        let plan = self.plan;
        if plan.middle.place != Place::Shared {
            return 0.0;
        }
        let tensor = (plan.batch * plan.rows * plan.cols * plan.middle_channels) as f64 * 4.0;
        let threads = threads as f64;
        let read = match phase.tasks {
            Tasks::Tiles => tensor / threads,
            // Every output channel needs all of it.
            Tasks::ChannelGroups => tensor,
        };
        self.machine.waiting_for_others(read * (threads - 1.0) / threads)
    }

    /// Cycles of waiting for operand and weights of the pointwise stage.
    pub(super) fn pointwise_waiting(&self, pixel_cover: &Cover, pixels: usize) -> f64 {
        let plan = self.plan;
        let (Some(tile), Some(records)) = (plan.schedule.pointwise, &plan.pointwise) else {
            return 0.0;
        };
        let reduction_bytes = plan.middle_channels as f64 * 4.0;
        let operand = reduction_bytes * pixels as f64;
        let weights = reduction_bytes * plan.outputs as f64;
        let channel_groups = records.groups.len() as f64;
        let pixel_groups = pixel_cover.len() as f64;
        let operand_block = operand / pixel_groups;
        let record = weights / channel_groups;
        let output = pixels as f64 * plan.outputs as f64 * 4.0;
        // What comes before an operand or weight is met again.
        let (operand_reuse, weight_reuse) = match tile.order {
            LoopOrder::ChannelsOuter => (operand + record, record + operand_block),
            LoopOrder::PixelsOuter => (operand_block + record, weights + operand_block),
        };
        let rows = pixels.div_ceil(plan.cols);
        self.waiting((channel_groups - 1.0) * operand, operand_reuse)
            + self.waiting((pixel_groups - 1.0) * weights, weight_reuse)
            // The first touch: by the stage before, by the last tile, by the last run.
            + self.waiting(operand, self.tile_bytes(rows))
            + self.waiting(weights, self.tile_bytes(rows))
            + self.output_waiting(output)
    }

    /// Cycles of waiting to write a part of the output: on planes, a register tile ends on as many
    /// lines as it has rows, which is too short a run on each to be fetched ahead.
    fn output_waiting(&self, bytes: f64) -> f64 {
        let runs = if self.plan.planar_tensors() { self.machine.scattered } else { 1.0 };
        self.waiting(runs * bytes, self.tensor_bytes())
    }

    /// Cycles of waiting for the input under a tile: what the last run left, but for the rows that
    /// the tile above has read, too.
    pub(super) fn input_waiting(&self, rows: usize) -> f64 {
        let plan = self.plan;
        let row_bytes = (plan.in_cols * plan.channels) as f64 * 4.0;
        let all = plan.window_rows(rows).min(plan.in_rows);
        let new = (rows * plan.stride[0]).min(all);
        self.waiting(new as f64 * row_bytes, self.tensor_bytes())
            + self.waiting((all - new) as f64 * row_bytes, self.tile_bytes(rows))
    }

    /// Cycles of waiting to write and read a copied window, for each channel or group of them.
    pub(super) fn window_waiting(&self, rows: usize, windows: f64) -> f64 {
        let plan = self.plan;
        let Some(window) = plan.windows.first().filter(|_| self.copies_windows()) else {
            return 0.0;
        };
        let bytes = (plan.window_rows(rows) * window.row_pitch) as f64 * 4.0;
        // Between writing and reading come the input that is copied and the output.
        self.waiting(2.0 * bytes * windows, 2.0 * bytes)
    }

    /// Cycles of waiting to write the tensor between the stages.
    pub(super) fn middle_waiting(&self, rows: usize) -> f64 {
        let plan = self.plan;
        let bytes = (rows * plan.cols * plan.middle_channels) as f64 * 4.0;
        let footprint = match plan.middle.place {
            Place::Private | Place::Input => self.tile_bytes(rows),
            Place::Shared | Place::Output => self.tensor_bytes(),
        };
        self.waiting(bytes, footprint)
    }

    /// Cycles that `bytes` cost because they come from the smallest cache that holds `footprint`.
    fn waiting(&self, bytes: f64, footprint: f64) -> f64 {
        self.machine.waiting(&self.plan.target, bytes, footprint)
    }

    fn copies_windows(&self) -> bool {
        self.plan.schedule.depthwise.is_some_and(|tile| tile.window == Window::Copied)
    }

    /// Bytes that a tile of rows touches: its input, the tensor between the stages, its output.
    /// That much passes through the caches before the scratch of the tile is met again.
    fn tile_bytes(&self, rows: usize) -> f64 {
        let plan = self.plan;
        let input = plan.window_rows(rows) * plan.in_cols * plan.channels;
        let middle = rows * plan.cols * plan.middle_channels;
        let output = rows * plan.cols * plan.outputs;
        let weights = plan.middle_channels * plan.outputs;
        (input + middle + output + weights) as f64 * 4.0
    }

    /// Bytes of input, output and scratch together.
    fn tensor_bytes(&self) -> f64 {
        let plan = self.plan;
        let tensors = plan.workload.input_len() + plan.workload.output_len();
        (tensors + plan.shared_len + plan.private_len + plan.weights_len) as f64 * 4.0
    }
}
