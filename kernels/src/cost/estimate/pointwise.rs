//! Instructions of the pointwise stage.

use super::{Counted, Estimate, activation_instructions};
use crate::cost::machine::{LINE_BYTES, WAY_BYTES, Work, unaligned};
use crate::cover::Cover;
use crate::plan::Place;
use crate::schedule::{Family, Packing};

/// Reduction length from which row-major weights of a power-of-two pitch fall into few cache sets.
const ALIASING: usize = 256;

impl Counted<'_> {
    /// Pointwise stage over some pixels.
    pub(super) fn pointwise_stage(&self, pixels: usize) -> Estimate {
        let plan = self.plan;
        let (Some(tile), Some(records), Some(stage)) =
            (plan.schedule.pointwise, &plan.pointwise, plan.workload.pointwise())
        else {
            return Estimate::default();
        };
        let over_pixels = plan.schedule.family == Family::Pixels;
        let pixel_cover = if over_pixels {
            Cover::new(pixels, tile.lanes.into(), tile.vectors.into(), tile.tail)
        } else {
            Cover::scalars(pixels, tile.broadcasts.into())
        };
        let reduction = plan.middle_channels as f64;
        let activation = activation_instructions(stage.activation);
        // Epilogue on the accumulators, unless it waits for the residual in the transposing copy.
        let late = if plan.transposes() && stage.residual { activation + 1.0 } else { 0.0 };
        let finish = if late > 0.0 { 0.0 } else { activation };
        let residual = if stage.residual && !plan.transposes() { 1.0 } else { 0.0 };
        let crossing = match plan.middle.place {
            Place::Private => 1.0,
            _ if plan.middle.pitch.is_multiple_of(16) => 1.0,
            _ => unaligned(tile.lanes.into()),
        };
        let block = |broadcasts: usize, vectors: usize| {
            let (broadcasts, vectors) = (broadcasts as f64, vectors as f64);
            let accumulators = broadcasts * vectors;
            let loads = broadcasts + vectors * if over_pixels { crossing } else { 1.0 };
            let step = Work {
                multiply_adds: accumulators,
                loads,
                others: self.machine.loop_step / f64::from(tile.unroll),
                ..Work::default()
            };
            let steps = step.times(reduction);
            let rest = Work {
                loads: accumulators * residual,
                stores: accumulators * if over_pixels { unaligned(tile.lanes.into()) } else { 1.0 },
                others: accumulators * (1.0 + finish) + 2.0 * self.machine.loop_step,
                ..Work::default()
            };
            // Too few accumulators leave the multiply-add ports waiting for their own results.
            let idle = (reduction * self.machine.latency - steps.cycles(self.machine)).max(0.0);
            let evicted = if over_pixels { 0.0 } else { reduction * self.evicting(broadcasts) };
            // The next block begins while this one is stored.
            idle + evicted + steps.plus(rest).cycles(self.machine)
        };
        let sizes = |cover: &Cover| {
            let rest = cover.rest.iter().map(|slots| (slots.len(), 1.0));
            let whole = (cover.slots.len(), cover.full as f64);
            std::iter::once(whole).chain(rest).collect::<Vec<_>>()
        };
        let mut cycles = 0.0;
        for (channels, channel_groups) in sizes(&records.groups) {
            for (pixels, pixel_groups) in sizes(&pixel_cover) {
                let count = channel_groups * pixel_groups;
                let (broadcasts, vectors) =
                    if over_pixels { (channels, pixels) } else { (pixels, channels) };
                cycles += count * block(broadcasts, vectors);
            }
        }
        if over_pixels {
            cycles += self.masks(&pixel_cover, plan.outputs as f64).cycles(self.machine);
        } else if !plan.transposes() {
            cycles += self.masks(&records.groups, pixels as f64).cycles(self.machine);
        }
        let mut estimate = Estimate { pointwise: cycles, ..Estimate::default() };
        if plan.transposes() {
            let vectors = plan.outputs.div_ceil(tile.lanes.into()) * pixels;
            let copy = self.transposed_out().plus(Work { others: late, ..Work::default() });
            estimate.transpose = copy.times(vectors as f64).cycles(self.machine);
        }
        let aliases = tile.packing == Packing::RowMajor
            && plan.middle_channels >= ALIASING
            && plan.middle_channels.is_power_of_two();
        if aliases {
            estimate.pointwise *= 2.0;
        }
        estimate.memory = self.pointwise_waiting(&pixel_cover, pixels);
        estimate
    }

    /// Cycles of waiting in a step of a block of pixels whose rows of channels share sets of the
    /// first-level cache, and are more than fit beside the weights that pass through.
    fn evicting(&self, pixels: f64) -> f64 {
        let pitch_bytes = self.plan.middle.pitch * size_of::<f32>();
        let sets_bytes = 1_usize << pitch_bytes.trailing_zeros().min(WAY_BYTES.trailing_zeros());
        let rows_of_a_set = (pixels * sets_bytes as f64 / WAY_BYTES as f64).ceil();
        let ways = (self.plan.target.l1_bytes / WAY_BYTES) as f64;
        let lines = if rows_of_a_set >= ways { pixels } else { 0.0 };
        self.machine.conflicts * lines * LINE_BYTES / self.machine.from_l2
    }
}
