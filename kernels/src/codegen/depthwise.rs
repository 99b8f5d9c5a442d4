//! The depthwise stage of a tile.
//!
//! Each output is one chain of multiply-adds: the bias first, then the taps row by row. Padding takes
//! part as zeros, so that every way of reading the input gives the same bits.

use cranelift_codegen::ir::Value;

use super::emitter::{Emitter, Pointer};
use super::epilogue::Lanes;
use crate::activation::Activation;
use crate::cover::{Slot, positions};
use crate::packing::Records;
use crate::plan::{Plan, WindowPlan};
use crate::schedule::{DepthwiseTile, Taps, Window};

mod channels;
mod lines;
mod planar;

pub(super) use channels::channels;
pub(super) use planar::planar;

/// Taps of the largest kernel that is unrolled in whole; larger ones are loops over their taps.
pub(crate) const UNROLLED_TAPS: usize = 256;

/// One micro-kernel: an output channel, or a group of them.
struct Channel<'p> {
    plan: &'p Plan,
    tile: DepthwiseTile,
    activation: Activation,
    records: &'p Records,
    record: Pointer,
    /// Channels of the record.
    width: usize,
    /// Taps that stay in registers, tap by tap and vector by vector; empty when in memory.
    taps: Vec<Value>,
    /// Lanes of those registers.
    tap_lanes: usize,
    window: WindowPlan,
}

fn parts(plan: &Plan) -> (&Records, DepthwiseTile, Activation) {
    let records =
        plan.depthwise.as_ref().expect("a checked schedule plans every stage of its workload");
    let schedule = plan.schedule.depthwise.expect("a checked schedule has a tile for every stage");
    let stage = plan.workload.depthwise().expect("only called for workloads with the stage");
    (records, schedule, stage.activation)
}

/// Walks over `count` groups of `width` output columns: in a loop over those that read nothing
/// outside of the input and, before and after it, over the others, whose first column `body` is told.
/// The pointers move on by their elements a column.
fn over_groups(
    emitter: &mut Emitter<'_>,
    [count, width]: [usize; 2],
    pointers: &[(Pointer, usize)],
    is_inside: impl Fn(usize) -> bool,
    mut body: impl FnMut(&mut Emitter<'_>, Option<usize>, &[Pointer]),
) {
    let at = |group: usize| -> Vec<Pointer> {
        pointers.iter().map(|&(pointer, step)| pointer.at(group * width * step)).collect()
    };
    let start = (0..count).find(|&group| is_inside(group)).unwrap_or(count);
    let end = (start..count).find(|&group| !is_inside(group)).unwrap_or(count);
    for group in 0..start {
        body(emitter, Some(group * width), &at(group));
    }
    let steps = pointers.iter().map(|(_, step)| width * step);
    let moving: Vec<_> = at(start).into_iter().zip(steps).collect();
    emitter.for_each(end - start, &moving, |emitter, pointers| body(emitter, None, pointers));
    for group in end..count {
        body(emitter, Some(group * width), &at(group));
    }
}

impl<'p> Channel<'p> {
    /// The channels of a record, `width` of them, reading a window.
    fn new(plan: &'p Plan, record: Pointer, width: usize, window: WindowPlan) -> Self {
        let (records, tile, activation) = parts(plan);
        Self {
            plan,
            tile,
            activation,
            records,
            record,
            width,
            taps: Vec::new(),
            tap_lanes: tile.lanes.into(),
            window,
        }
    }

    /// Whether the input itself is read.
    fn is_direct(&self) -> bool {
        self.tile.window == Window::Direct
    }

    fn taps_in_all(&self) -> usize {
        self.records.reduction
    }

    fn is_unrolled(&self) -> bool {
        self.taps_in_all() <= UNROLLED_TAPS
    }

    /// Loads all taps into registers, if the schedule keeps them there.
    fn load_taps(&mut self, emitter: &mut Emitter<'_>, slots: &[Slot], lanes: Lanes) {
        if self.tile.taps != Taps::Registers {
            return;
        }
        for tap in 0..self.taps_in_all() {
            for (slot, position) in slots.iter().zip(positions(slots)) {
                let from = self.record.at(tap * self.width + position);
                self.taps.push(match lanes {
                    Lanes::Pixels => emitter.broadcast(self.tap_lanes, from),
                    Lanes::Channels => emitter.load(slot.lanes, from),
                });
            }
        }
    }

    fn bias(&self) -> Option<Pointer> {
        self.records.bias_at(self.width).map(|at| self.record.at(at))
    }

    fn slopes(&self) -> Option<Pointer> {
        self.records.slopes_at(self.width).map(|at| self.record.at(at))
    }
}
