//! The pointwise stage: a register tile of broadcasts x vectors, held over the whole reduction.
//!
//! Where vectors hold pixels, weights are broadcast; where they hold output channels, pixels are.
//! Either way an output is one chain of multiply-adds over the input channels in ascending order.

use cranelift_codegen::ir::Value;

use super::emitter::{Count, Emitter, Last, Pointer};
use super::epilogue::{self, Lanes};
use super::transpose::{self, Run};
use super::{Buffers, Group, Tile, for_each_group, for_numbered_group};
use crate::activation::Activation;
use crate::cover::{self, Cover, Slot, positions};
use crate::packing::Records;
use crate::plan::{Place, Plan};
use crate::schedule::{Family, LoopOrder, Packing, PointwiseTile};

/// A rest is small where all is so many times as much.
const SMALL_PART: usize = 16;

/// Input channels per step of the reduction of a small rest. On planes of 7 x 7, whose rests are not
/// small, steps of one made whole blocks up to 15 % slower (AVX-512).
const REST_UNROLL: usize = 2;

/// The stage over some pixels of an image.
struct Stage<'p> {
    plan: &'p Plan,
    records: &'p Records,
    tile: PointwiseTile,
    activation: Activation,
    has_residual: bool,
    pixels: Count,
    /// Groups of pixels: vectors of them, or single ones to broadcast.
    cover: Cover,
    /// Those of the last tile, where that has fewer rows.
    last: Option<(Last, Cover)>,
    buffers: Buffers,
}

/// Pointers that move over pixels.
#[derive(Clone, Copy)]
struct Operands {
    operand: Pointer,
    output: Pointer,
    residual: Option<Pointer>,
}

impl Operands {
    /// The operand, then the output and the residual if there is one.
    fn new(operand: Pointer, outputs: &[Pointer]) -> Self {
        Self { operand, output: outputs[0], residual: outputs.get(1).copied() }
    }

    /// Output and residual, which move on by elements of their own.
    fn outputs(&self, output_step: usize, residual_step: usize) -> Vec<(Pointer, usize)> {
        let residual = self.residual.map(|residual| (residual, residual_step));
        std::iter::once((self.output, output_step)).chain(residual).collect()
    }
}

/// One side of the register tile: where its elements start, and how far it is to the next input channel.
struct Side {
    start: Pointer,
    offsets: Vec<usize>,
    step: usize,
}

/// The stage of one tile of rows.
pub(super) fn tile(emitter: &mut Emitter<'_>, plan: &Plan, buffers: &Buffers, tile: Tile) {
    let stage = Stage::new(plan, buffers, tile.count(|rows| rows * tile.cols));
    let operand = buffers.middle_tile(emitter, plan, tile);
    let operands = Operands::new(operand, &buffers.output_tile(emitter, plan, tile));
    match stage.tile.order {
        LoopOrder::ChannelsOuter => stage.channels_outer(emitter, operands),
        LoopOrder::PixelsOuter => stage.pixels_outer(emitter, operands),
    }
}

/// The stage of one group of output channels over a whole image.
pub(super) fn channel_group(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    buffers: &Buffers,
    image: Value,
    group: Value,
) {
    let stage = Stage::new(plan, buffers, Count { whole: plan.rows * plan.cols, last: None });
    let tensor = if plan.middle.place == Place::Input {
        buffers.input(emitter)
    } else {
        buffers.shared(emitter)
    };
    let operand = emitter.index(tensor, image, plan.middle_channels * plan.rows * plan.cols);
    let image_len = plan.outputs * plan.rows * plan.cols;
    let outputs = buffers.outputs(emitter, plan);
    let outputs = outputs.into_iter().map(|tensor| emitter.index(tensor, image, image_len));
    let moving: Vec<_> = outputs.map(|output| (output, stage.channel_step())).collect();
    let weights = buffers.weights(emitter);
    for_numbered_group(
        emitter,
        stage.records,
        weights,
        &moving,
        group,
        &mut |emitter, group, pointers| {
            stage.whole_group(emitter, group, Operands::new(operand, pointers));
        },
    );
}

impl<'p> Stage<'p> {
    fn new(plan: &'p Plan, buffers: &Buffers, pixels: Count) -> Self {
        let tile = plan.schedule.pointwise.expect("a checked schedule has a tile for every stage");
        let stage = plan.workload.pointwise().expect("only called for workloads with the stage");
        let cover = |pixels| {
            if plan.schedule.family == Family::Pixels {
                Cover::new(pixels, tile.lanes.into(), tile.vectors.into(), tile.tail)
            } else {
                Cover::scalars(pixels, tile.broadcasts.into())
            }
        };
        Self {
            plan,
            records: plan
                .pointwise
                .as_ref()
                .expect("a checked schedule plans every stage of its workload"),
            tile,
            activation: stage.activation,
            has_residual: stage.residual,
            pixels,
            cover: cover(pixels.whole),
            last: pixels.last.map(|(last, pixels)| (last, cover(pixels))),
            buffers: *buffers,
        }
    }

    /// Elements from one output channel to the next.
    fn channel_step(&self) -> usize {
        if self.plan.planar_tensors() { self.plan.rows * self.plan.cols } else { 1 }
    }

    /// Elements from one pixel to the next: of the operand, of the output.
    fn pixel_steps(&self) -> [usize; 2] {
        let operand = if self.plan.middle.planes { 1 } else { self.plan.middle.pitch };
        [operand, if self.plan.planar_tensors() { 1 } else { self.plan.outputs }]
    }

    fn channels_outer(&self, emitter: &mut Emitter<'_>, operands: Operands) {
        let moving = operands.outputs(self.channel_step(), self.channel_step());
        let weights = self.buffers.weights(emitter);
        for_each_group(emitter, self.records, weights, &moving, |emitter, group, pointers| {
            self.whole_group(emitter, group, Operands::new(operands.operand, pointers));
        });
    }

    fn pixels_outer(&self, emitter: &mut Emitter<'_>, operands: Operands) {
        self.for_each_pixels(
            emitter,
            operands,
            self.pixel_steps()[1],
            |emitter, slots, operands| {
                let moving = operands.outputs(self.channel_step(), self.channel_step());
                let weights = self.buffers.weights(emitter);
                for_each_group(
                    emitter,
                    self.records,
                    weights,
                    &moving,
                    |emitter, group, pointers| {
                        let operands = Operands::new(operands.operand, pointers);
                        self.block(emitter, group, slots, operands);
                    },
                );
            },
        );
    }

    /// One group of output channels over all pixels.
    fn whole_group(&self, emitter: &mut Emitter<'_>, group: &Group<'_>, operands: Operands) {
        if !self.plan.transposes() {
            let step = self.pixel_steps()[1];
            return self.for_each_pixels(emitter, operands, step, |emitter, slots, operands| {
                self.block(emitter, group, slots, operands);
            });
        }
        let width = cover::width(group.slots);
        let staging = self.buffers.private(emitter).at(self.plan.staging);
        // The residual is added to planes, behind the transposition.
        let staged = Operands { output: staging, residual: None, ..operands };
        self.for_each_pixels(emitter, staged, width, |emitter, slots, operands| {
            self.block(emitter, group, slots, operands);
        });
        let plane = self.channel_step();
        for (slot, position) in group.slots.iter().zip(positions(group.slots)) {
            let pixels = Run { start: staging.at(position), pitch: width };
            let first = |tensor: Pointer| tensor.at(slot.start * plane);
            let planes = Run { start: first(operands.output), pitch: plane };
            let beside = operands.residual.map(first);
            let count = self.pixels;
            transpose::to_planes(
                emitter,
                slot,
                count,
                pixels,
                planes,
                beside,
                |emitter, lanes, sum, channels, beside| {
                    let Some(beside) = beside else { return sum };
                    let beside: Vec<Pointer> =
                        channels.iter().map(|channel| beside.at(channel * plane)).collect();
                    let residual = emitter.load_parts(lanes, &beside);
                    let slope = self
                        .slopes(group, position)
                        .map(|slopes| transpose::of_channels(emitter, lanes, slopes, channels));
                    epilogue::finish(emitter, lanes, sum, Some(residual), self.activation, slope)
                },
            );
        }
    }

    /// Walks over groups of pixels; `output_step` is from one pixel of the output to the next.
    fn for_each_pixels(
        &self,
        emitter: &mut Emitter<'_>,
        operands: Operands,
        output_step: usize,
        mut body: impl FnMut(&mut Emitter<'_>, &[Slot], Operands),
    ) {
        let [operand_step, residual_step] = self.pixel_steps();
        let width = self.cover.width;
        let mut moving = vec![(operands.operand, operand_step * width)];
        moving.extend(operands.outputs(output_step * width, residual_step * width));
        let last = self.last.as_ref();
        let full =
            Count { whole: self.cover.full, last: last.map(|(last, cover)| (*last, cover.full)) };
        emitter.for_each_counted(full, &moving, &[], |emitter, moved, _| {
            body(emitter, &self.cover.slots, Operands::new(moved[0], &moved[1..]));
            Vec::new()
        });
        let last = last.map(|(last, cover)| (*last, &cover.rest));
        emitter.either(&self.cover.rest, last, |emitter, rest| {
            for slots in *rest {
                body(emitter, slots, operands);
            }
        });
    }

    fn bias(&self, group: &Group<'_>, position: usize) -> Option<Pointer> {
        let at = self.records.bias_at(cover::width(group.slots))?;
        Some(group.record.at(at + position))
    }

    fn slopes(&self, group: &Group<'_>, position: usize) -> Option<Pointer> {
        let at = self.records.slopes_at(cover::width(group.slots))?;
        Some(group.record.at(at + position))
    }

    /// Input channels per step of a register tile's reduction. Tiles of small rests run seldom: there
    /// shorter steps cost no time that can be measured, and much less code.
    fn unroll(&self, group: &Group<'_>, pixels: &[Slot]) -> usize {
        let is_small = |part: usize, all: usize| SMALL_PART * part <= all;
        let valid = |slots: &[Slot]| slots.iter().map(|slot| slot.valid).sum::<usize>();
        let is_rest = is_small(valid(group.slots), self.plan.outputs) && group.shape > 0
            || is_small(valid(pixels), self.pixels.whole) && pixels != self.cover.slots;
        let unroll = usize::from(self.tile.unroll);
        if is_rest { unroll.min(REST_UNROLL) } else { unroll }
    }

    /// One register tile: a group of output channels by a group of pixels.
    fn block(
        &self,
        emitter: &mut Emitter<'_>,
        group: &Group<'_>,
        pixels: &[Slot],
        Operands { operand, output, residual }: Operands,
    ) {
        let width = cover::width(group.slots);
        let [pixel_step, output_step] = self.pixel_steps();
        let channel_step = if self.plan.middle.planes { self.plan.middle.pitch } else { 1 };
        let inputs = Side {
            start: operand,
            offsets: pixels.iter().map(|slot| slot.start * pixel_step).collect(),
            step: channel_step,
        };
        let row_major = self.tile.packing == Packing::RowMajor;
        let packed = positions(group.slots);
        let unroll = self.unroll(group, pixels);
        let weights = Side {
            start: group.record,
            offsets: packed
                .iter()
                .map(|at| if row_major { at * self.records.reduction } else { *at })
                .collect(),
            step: if row_major { 1 } else { width },
        };
        if self.plan.schedule.family == Family::Pixels {
            let start = |emitter: &mut Emitter<'_>, row: usize, lanes| {
                Lanes::Pixels.start(emitter, lanes, self.bias(group, row))
            };
            let sums = self.multiply(emitter, unroll, [&weights, &inputs], pixels, start);
            let channels = group.slots.iter().enumerate();
            for (row, channel) in channels {
                for (index, pixel) in pixels.iter().enumerate() {
                    let at = channel.start * self.channel_step() + pixel.start;
                    let residual = residual.map(|residual| residual.at(at));
                    let slope = self.slopes(group, row);
                    let sum = sums[row * pixels.len() + index];
                    let value =
                        Lanes::Pixels.finish(emitter, pixel, sum, residual, self.activation, slope);
                    emitter.store_slot(value, pixel, output.at(at));
                }
            }
            return;
        }
        // The bias of a vector is the same for every pixel.
        let mut biases =
            packed.iter().map(|&at| self.bias(group, at)).collect::<Vec<_>>().into_iter().cycle();
        let start = |emitter: &mut Emitter<'_>, _, lanes| {
            Lanes::Channels.start(emitter, lanes, biases.next().expect("a cycle of at least one"))
        };
        let sums = self.multiply(emitter, unroll, [&inputs, &weights], group.slots, start);
        for (row, pixel) in pixels.iter().enumerate() {
            for (index, slot) in group.slots.iter().enumerate() {
                let sum = sums[row * group.slots.len() + index];
                if self.plan.transposes() {
                    let to = output.at(pixel.start * width + packed[index]);
                    let value = if self.has_residual {
                        sum
                    } else {
                        let slope = self.slopes(group, packed[index]);
                        Lanes::Channels.finish(emitter, slot, sum, None, self.activation, slope)
                    };
                    emitter.store(value, to);
                    continue;
                }
                let at = pixel.start * output_step + slot.start;
                let residual = residual.map(|residual| residual.at(at));
                let slope = self.slopes(group, packed[index]);
                let value =
                    Lanes::Channels.finish(emitter, slot, sum, residual, self.activation, slope);
                emitter.store_slot(value, slot, output.at(at));
            }
        }
    }

    /// The micro-kernel: sums of broadcasts x vectors over all input channels, row by row.
    fn multiply(
        &self,
        emitter: &mut Emitter<'_>,
        unroll: usize,
        [broadcasts, vectors]: [&Side; 2],
        slots: &[Slot],
        mut start: impl FnMut(&mut Emitter<'_>, usize, usize) -> Value,
    ) -> Vec<Value> {
        let rows = broadcasts.offsets.len();
        let mut sums = Vec::new();
        for row in 0..rows {
            for slot in slots {
                sums.push(start(emitter, row, slot.lanes));
            }
        }
        let unmasked = self.records.reduction - self.masked_channels(slots);
        let steps = unmasked / unroll;
        let whole: Vec<Slot> =
            slots.iter().map(|slot| Slot::full(slot.start, slot.lanes)).collect();
        let moving =
            [(broadcasts.start, broadcasts.step * unroll), (vectors.start, vectors.step * unroll)];
        let sums = emitter.for_each_carrying(steps, &moving, &sums, |emitter, pointers, sums| {
            let mut sums = sums.to_vec();
            for channel in 0..unroll {
                rank_one(emitter, broadcasts, vectors, &whole, pointers, channel, &mut sums);
            }
            sums
        });
        let mut sums = sums;
        for channel in steps * unroll..self.records.reduction {
            let starts = [broadcasts.start, vectors.start];
            let slots = if channel < unmasked { &whole } else { slots };
            rank_one(emitter, broadcasts, vectors, slots, &starts, channel, &mut sums);
        }
        sums
    }

    /// The last input channels of which the vectors in these slots are loaded under a mask. Weights
    /// have zeros for surplus lanes, the scratch has room for them, and behind a plane that is not
    /// among the last stand others.
    fn masked_channels(&self, slots: &[Slot]) -> usize {
        let is_padded =
            self.plan.schedule.family != Family::Pixels || self.plan.middle.place == Place::Private;
        if is_padded {
            return 0;
        }
        let surplus = slots.iter().map(Slot::surplus).max().unwrap_or(0);
        surplus.div_ceil(self.plan.middle.pitch).min(self.records.reduction)
    }
}

/// Adds the products of one input channel. The smaller side is loaded first and the other streamed,
/// so that few registers are needed beside the accumulators.
fn rank_one(
    emitter: &mut Emitter<'_>,
    broadcasts: &Side,
    vectors: &Side,
    slots: &[Slot],
    pointers: &[Pointer],
    channel: usize,
    sums: &mut [Value],
) {
    let broadcast_row = pointers[0].at(channel * broadcasts.step);
    let vector_row = pointers[1].at(channel * vectors.step);
    let same_width = slots.iter().all(|slot| slot.lanes == slots[0].lanes);
    if broadcasts.offsets.len() < slots.len() && same_width {
        let weights: Vec<Value> = broadcasts
            .offsets
            .iter()
            .map(|&at| emitter.broadcast(slots[0].lanes, broadcast_row.at(at)))
            .collect();
        for (index, &at) in vectors.offsets.iter().enumerate() {
            let vector = emitter.load_slot(&slots[index], vector_row.at(at));
            for (row, &weight) in weights.iter().enumerate() {
                let sum = &mut sums[row * slots.len() + index];
                *sum = emitter.mul_add(vector, weight, *sum);
            }
        }
        return;
    }
    let loaded: Vec<Value> = vectors
        .offsets
        .iter()
        .zip(slots)
        .map(|(&at, slot)| emitter.load_slot(slot, vector_row.at(at)))
        .collect();
    for (row, &at) in broadcasts.offsets.iter().enumerate() {
        let mut weight = (0, None);
        for (index, &Slot { lanes, .. }) in slots.iter().enumerate() {
            if weight.0 != lanes {
                weight = (lanes, Some(emitter.broadcast(lanes, broadcast_row.at(at))));
            }
            let sum = &mut sums[row * slots.len() + index];
            let broadcast = weight.1.expect("lanes are never zero");
            *sum = emitter.mul_add(loaded[index], broadcast, *sum);
        }
    }
}
