//! Instructions of the depthwise stage.

use super::copies::copied;
use super::{Counted, Estimate, activation_instructions};
use crate::cost::machine::{LINE_BYTES, Work, unaligned};
use crate::cover::{Cover, Slot};
use crate::plan::{LINE, Place};
use crate::schedule::{Tail, Taps, Window};

impl Counted<'_> {
    /// Depthwise stage of a tile, vectors of pixels.
    pub(super) fn depthwise_planar(&self, rows: usize) -> Estimate {
        let plan = self.plan;
        let Some(tile) = plan.schedule.depthwise else { return Estimate::default() };
        let Some(cover) = plan.column_cover(plan.cols) else { return Estimate::default() };
        let [kernel_rows, kernel_cols] = plan.kernel;
        let taps = (kernel_rows * kernel_cols) as f64;
        let block = |rows: usize, slots: &[Slot]| {
            let accumulators = (rows * slots.len()) as f64;
            let row = match tile.window {
                Window::Copied => Work::default(),
                Window::Direct => Work { others: self.machine.direct_row, ..Work::default() },
            };
            let read = slots.iter().map(|slot| self.row_read(slot)).fold(row, Work::plus);
            // Taps kept in registers are of the widest vectors only; those in memory are loaded
            // once for vectors of the same width.
            let is_narrow = |slot: &&Slot| slot.lanes < tile.lanes.into();
            let broadcasts = match tile.taps {
                Taps::Registers => slots.iter().filter(is_narrow).count(),
                Taps::Memory => 1,
            };
            let pairs = if self.takes_pairs() { accumulators } else { 0.0 };
            Work {
                multiply_adds: accumulators * taps,
                loads: (broadcasts * rows) as f64 * taps,
                stores: accumulators * unaligned(tile.lanes.into()) / 1.5,
                shuffles: pairs,
                others: accumulators * (1.0 + self.depthwise_activation()) + self.machine.loop_step,
                ..Work::default()
            }
            .plus(read.times(self.touched_rows(rows) as f64))
        };
        let block = |rows: usize, slots: &[Slot]| self.exposing(block(rows, slots), taps);
        let of_rows = |rows: usize| {
            let groups = cover.groups().map(|slots| block(rows, &slots));
            // A row of one group is no loop.
            let stalls = if cover.full > 1 { self.machine.loop_end / 2.0 } else { 0.0 };
            groups.fold(Work { stalls, ..Work::default() }, Work::plus)
        };
        let group = usize::from(tile.rows).min(rows);
        let mut work = of_rows(group).times((rows / group) as f64);
        if !rows.is_multiple_of(group) {
            work = work.plus(of_rows(rows % group));
        }
        // The taps are loaded for each plane.
        let kept = if tile.taps == Taps::Registers { taps } else { 0.0 };
        let begin = Work { loads: kept, stalls: self.machine.loop_end, ..Work::default() };
        let masks = self.masks(&cover, rows as f64);
        let planes = plan.middle_channels as f64;
        let work = work.plus(masks).plus(begin).times(planes);
        let overlaps = tile.tail == Tail::Overlap && !cover.rest.is_empty();
        let depthwise =
            work.cycles(self.machine) * if overlaps { 1.0 + self.machine.overlapping } else { 1.0 };
        let mut estimate = Estimate { depthwise, ..Estimate::default() };

        let window_rows = plan.window_rows(rows) as f64;
        if tile.window == Window::Copied {
            let row = self.copied_row(plan.copied_cols, plan.stride[1]);
            estimate.window = row.times(window_rows * plan.channels as f64).cycles(self.machine);
        }
        let jumps = match tile.window {
            Window::Copied => 1.0,
            Window::Direct => {
                let side_by_side = plan.window_rows(group) as f64;
                1.0 + self.machine.jumps * (1.0 - self.machine.rows_ahead / side_by_side).max(0.0)
            }
        };
        estimate.memory = jumps * self.input_waiting(rows) + self.middle_waiting(rows);
        estimate
    }

    /// Depthwise stage of a tile, vectors of channels.
    pub(super) fn depthwise_channels(&self, rows: usize) -> Estimate {
        let plan = self.plan;
        let (Some(tile), Some(records)) = (plan.schedule.depthwise, &plan.depthwise) else {
            return Estimate::default();
        };
        let [kernel_rows, kernel_cols] = plan.kernel;
        let taps = (kernel_rows * kernel_cols) as f64;
        let activation = self.depthwise_activation();
        let is_aligned = tile.window == Window::Copied || plan.channels.is_multiple_of(LINE);
        let crossing = if is_aligned { 1.0 } else { unaligned(tile.lanes.into()) };
        let block = |cols: usize, vectors: f64| {
            let accumulators = cols as f64 * vectors;
            let weights = if tile.taps == Taps::Memory { taps * accumulators } else { 0.0 };
            // A loaded pixel serves all columns that have a tap on it.
            let pixels = distinct(
                (0..cols)
                    .flat_map(|col| (0..kernel_cols).map(move |tap| plan.window_col(col, tap))),
            );
            Work {
                multiply_adds: accumulators * taps,
                loads: (kernel_rows * pixels.len()) as f64 * vectors * crossing + weights,
                stores: accumulators,
                others: accumulators * (1.0 + activation) + self.machine.loop_step,
                ..Work::default()
            }
        };
        let block = |cols: usize, vectors: f64| self.exposing(block(cols, vectors), taps);
        let blocks = Cover::scalars(plan.cols, tile.rows.into());
        let of_group = |vectors: f64| {
            let mut row = block(blocks.width, vectors).times(blocks.full as f64);
            for rest in &blocks.rest {
                row = row.plus(block(rest.len(), vectors));
            }
            let row = row.plus(Work { stalls: self.machine.loop_end / 2.0, ..Work::default() });
            let kept = if tile.taps == Taps::Registers { taps * vectors } else { 0.0 };
            row.times(rows as f64).plus(Work {
                loads: kept,
                stalls: self.machine.loop_end,
                ..Work::default()
            })
        };
        let groups = &records.groups;
        let mut work = of_group(groups.slots.len() as f64).times(groups.full as f64);
        let mut vectors = (groups.slots.len() * groups.full) as f64;
        for rest in &groups.rest {
            work = work.plus(of_group(rest.len() as f64));
            vectors += rest.len() as f64;
        }
        if plan.middle.place != Place::Private {
            work = work.plus(self.masks(groups, (rows * plan.cols) as f64));
        }
        let mut estimate = Estimate { depthwise: work.cycles(self.machine), ..Estimate::default() };

        let window_rows = plan.window_rows(rows) as f64;
        let window_pixels = window_rows * plan.copied_cols as f64;
        if tile.window == Window::Copied {
            let pixel = if plan.planar_tensors() { self.transposed_in() } else { copied() };
            let row = Work {
                others: 2.0 * self.machine.loop_step,
                stalls: self.machine.loop_end / 2.0,
                ..Work::default()
            };
            estimate.window = pixel
                .times(window_pixels * vectors)
                .plus(row.times(window_rows * groups.len() as f64))
                .cycles(self.machine);
        }
        if plan.middle.place == Place::Output && plan.planar_tensors() {
            let pixels = (rows * plan.cols) as f64;
            estimate.transpose = self.transposed_out().times(pixels * vectors).cycles(self.machine);
        }
        // Every group of channels walks over all pixels again, a line or two of each.
        let lines = (groups.width * size_of::<f32>()) as f64 / LINE_BYTES;
        let scattered = 1.0 + (self.machine.scattered - 1.0) / lines.max(1.0).powi(2);
        let runs = if plan.planar_tensors() { 1.0 } else { scattered };
        estimate.memory = runs * (self.input_waiting(rows) + self.middle_waiting(rows))
            + self.window_waiting(rows, groups.len() as f64);
        estimate
    }

    /// Rows of input that a tap of `rows` output rows meets.
    fn touched_rows(&self, rows: usize) -> usize {
        let all = 0..self.plan.window_rows(rows);
        all.filter(|&window_row| self.plan.meets_taps(window_row, rows)).count()
    }

    /// What a vector of planes reads of one row of a window.
    fn row_read(&self, slot: &Slot) -> Work {
        let plan = self.plan;
        let crossing = unaligned(slot.lanes);
        let taps = plan.kernel[1];
        let reads_input = plan.schedule.depthwise.is_some_and(|tile| tile.window == Window::Direct);
        if !reads_input {
            return Work { loads: taps as f64 * crossing, ..Work::default() };
        }
        let start = (slot.start * plan.stride[1]) as isize - plan.pad[1] as isize;
        let offsets = (0..taps).map(|tap| start + (tap * plan.dilation[1]) as isize);
        let pairs = self.takes_pairs() && slot.lanes > 1;
        let lanes = slot.lanes as isize;
        let loads = if pairs {
            distinct(offsets.map(|at| at - at.rem_euclid(2)).flat_map(|at| [at, at + lanes]))
        } else {
            distinct(offsets)
        };
        // Masked loads occupy a port of the multiply-adds, too.
        let inside = 0..=plan.in_cols as isize - lanes;
        let masked = loads.iter().filter(|at| !inside.contains(at)).count() as f64;
        Work {
            loads: loads.len() as f64 * crossing,
            others: self.machine.masked_load * masked,
            shuffles: if pairs { taps as f64 } else { 0.0 },
            ..Work::default()
        }
    }

    /// Whether taps take even or odd elements of two vectors.
    fn takes_pairs(&self) -> bool {
        let plan = self.plan;
        plan.stride[1] == 2
            && plan.schedule.depthwise.is_some_and(|tile| tile.window == Window::Direct)
    }

    /// A depthwise block, and the part of its latency that shows: each tap waits for the one before.
    fn exposing(&self, block: Work, taps: f64) -> Work {
        let idle = (taps * self.machine.latency - block.cycles(self.machine)).max(0.0);
        Work { stalls: block.stalls + self.machine.exposed * idle, ..block }
    }

    fn depthwise_activation(&self) -> f64 {
        let stage = self.plan.workload.depthwise();
        stage.map_or(0.0, |stage| activation_instructions(stage.activation))
    }
}

/// Each value once.
fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}
