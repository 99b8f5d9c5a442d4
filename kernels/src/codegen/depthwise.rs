//! The depthwise stage of a tile.
//!
//! Each output is one chain of multiply-adds: the bias first, then the taps row by row. The planar
//! micro-kernel walks over the rows of input under its output rows, so that a loaded vector serves
//! every output row that has a tap on it; each output still meets its own taps in order.

use cranelift_codegen::ir::Value;

use super::emitter::{Emitter, Pointer};
use super::epilogue::Lanes;
use super::transpose::{self, Run};
use super::window::{self, Rows};
use super::{Buffers, Tile, for_each_group};
use crate::activation::Activation;
use crate::cover::{self, Cover, Slot};
use crate::packing::Records;
use crate::plan::{Plan, WindowPlan};
use crate::schedule::{DepthwiseTile, Taps, Window};

/// Taps of the largest kernel that is unrolled in whole; larger ones are loops over their taps.
pub(crate) const UNROLLED_TAPS: usize = 256;

/// Taps of a row that a loop over taps takes in one step.
const TAPS_A_STEP: usize = 16;

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

/// The stage on planes: vectors of pixels.
pub(super) fn planar(emitter: &mut Emitter<'_>, plan: &Plan, buffers: &Buffers, tile: Tile) {
    let (records, schedule, activation) = parts(plan);
    let rows = Rows::under(emitter, plan, tile);
    let image = buffers.image(emitter, plan, tile.image);
    let source = rows.start(emitter, image, plan.in_cols);
    let middle = buffers.middle_tile(emitter, plan, tile);
    let plane = plan.in_rows * plan.in_cols;
    let pitch = plan.middle.pitch;
    let record_len = records.record_len(1);
    let weights = buffers.weights.at(records.offset);
    let planes = [
        (weights, record_len * plan.multiplier),
        (source, plane),
        (middle, pitch * plan.multiplier),
    ];
    emitter.for_each(plan.channels, &planes, |emitter, pointers| {
        let window = plan.windows[0];
        let input = match schedule.window {
            Window::Direct => pointers[1],
            Window::Copied => {
                window::fill_planar(emitter, plan, rows, pointers[1], buffers.private, &window);
                buffers.private.at(window.offset)
            }
        };
        let filters = [(pointers[0], record_len), (pointers[2], pitch)];
        emitter.for_each(plan.multiplier, &filters, |emitter, pointers| {
            let mut channel = Channel {
                plan,
                tile: schedule,
                activation,
                records,
                record: pointers[0],
                width: 1,
                taps: Vec::new(),
                tap_lanes: schedule.lanes.into(),
                window,
            };
            channel.load_taps(emitter, &[Slot { start: 0, lanes: 1 }], Lanes::Pixels);
            channel.planar_rows(emitter, tile.rows, input, pointers[1]);
        });
    });
}

/// The stage on pixels: vectors of channels.
pub(super) fn channels(emitter: &mut Emitter<'_>, plan: &Plan, buffers: &Buffers, tile: Tile) {
    let (records, schedule, activation) = parts(plan);
    let rows = Rows::under(emitter, plan, tile);
    let image = buffers.image(emitter, plan, tile.image);
    let planar = plan.planar_tensors();
    let source = rows.start(emitter, image, plan.in_cols * if planar { 1 } else { plan.channels });
    let source_step = if planar { plan.in_rows * plan.in_cols } else { 1 };
    let is_last_stage = plan.pointwise.is_none();
    let output_step = if is_last_stage && planar { plan.rows * plan.cols } else { 1 };
    let output = buffers.middle_tile_of(emitter, plan, tile, is_last_stage && planar);
    let multiplied = plan.multiplier > 1;
    if multiplied {
        window::fill_multiplied(emitter, plan, rows, source, buffers.private, &plan.windows[0]);
    }
    let whole_window = buffers.private.at(plan.windows[0].offset);
    let moving = [(source, source_step), (output, output_step), (whole_window, 1)];
    for_each_group(emitter, records, buffers.weights, &moving, |emitter, group, pointers| {
        let window = plan.windows[group.shape];
        let width = cover::width(group.slots);
        let copied = !multiplied && schedule.window == Window::Copied;
        let input = if copied {
            window::fill_channels(
                emitter,
                plan,
                rows,
                pointers[0],
                group,
                buffers.private,
                &window,
            );
            buffers.private.at(window.offset)
        } else if multiplied {
            pointers[2]
        } else {
            pointers[0]
        };
        let mut channel = Channel {
            plan,
            tile: schedule,
            activation,
            records,
            record: group.record,
            width,
            taps: Vec::new(),
            tap_lanes: 0,
            window,
        };
        channel.load_taps(emitter, group.slots, Lanes::Channels);
        let packed = positions(group.slots);
        let own: Vec<usize> = group.slots.iter().map(|slot| slot.start).collect();
        let sides = Sides {
            slots: group.slots,
            input: if copied { packed.clone() } else { own.clone() },
            packed: packed.clone(),
            output: if is_last_stage && planar { packed } else { own },
        };
        if !(is_last_stage && planar) {
            channel.channel_rows(
                emitter,
                tile.rows,
                &sides,
                input,
                pointers[1],
                plan.middle_channels,
            );
            return;
        }
        let staging = buffers.private.at(plan.staging);
        channel.channel_rows(emitter, tile.rows, &sides, input, staging, width);
        for (slot, &position) in group.slots.iter().zip(&sides.packed) {
            let pixels = Run { start: staging.at(position), pitch: width };
            let plane = plan.rows * plan.cols;
            let planes = Run { start: pointers[1].at(slot.start * plane), pitch: plane };
            let count = tile.rows * plan.cols;
            transpose::to_planes(
                emitter,
                slot.lanes,
                count,
                pixels,
                planes,
                planes.start,
                |_, _, value, _, _| value,
            );
        }
    });
}

fn parts(plan: &Plan) -> (&Records, DepthwiseTile, Activation) {
    let records =
        plan.depthwise.as_ref().expect("a checked schedule plans every stage of its workload");
    let schedule = plan.schedule.depthwise.expect("a checked schedule has a tile for every stage");
    let stage = plan.workload.depthwise().expect("only called for workloads with the stage");
    (records, schedule, stage.activation)
}

/// Where each slot of a group starts in a record.
pub(super) fn positions(slots: &[Slot]) -> Vec<usize> {
    slots
        .iter()
        .scan(0, |position, slot| {
            let here = *position;
            *position += slot.lanes;
            Some(here)
        })
        .collect()
}

/// Where the vectors of a channel group start: in the window, in the record, in the output.
struct Sides<'s> {
    slots: &'s [Slot],
    input: Vec<usize>,
    packed: Vec<usize>,
    output: Vec<usize>,
}

impl Buffers {
    /// The tile of the stage's output, as the stage writes it: planes where it is transposed at last.
    fn middle_tile_of(
        &self,
        emitter: &mut Emitter<'_>,
        plan: &Plan,
        tile: Tile,
        planes: bool,
    ) -> Pointer {
        if planes {
            self.output_tile(emitter, plan, tile)[0]
        } else {
            self.middle_tile(emitter, plan, tile)
        }
    }
}

impl Channel<'_> {
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

    /// All output rows of a plane's tile.
    fn planar_rows(&self, emitter: &mut Emitter<'_>, rows: usize, input: Pointer, output: Pointer) {
        let blocks = Cover::scalars(rows, self.tile.rows.into());
        let input_step = blocks.width * self.plan.stride[0] * self.window.row_pitch;
        let moving = [(input, input_step), (output, blocks.width * self.plan.cols)];
        emitter.for_each(blocks.full, &moving, |emitter, pointers| {
            self.planar_columns(emitter, blocks.width, pointers[0], pointers[1]);
        });
        for block in &blocks.rest {
            let row = block[0].start;
            let input = input.at(row * self.plan.stride[0] * self.window.row_pitch);
            self.planar_columns(emitter, block.len(), input, output.at(row * self.plan.cols));
        }
    }

    fn planar_columns(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        input: Pointer,
        output: Pointer,
    ) {
        let columns = self.plan.column_cover().expect("the workload has the stage");
        let moving = [(input, columns.width), (output, columns.width)];
        emitter.for_each(columns.full, &moving, |emitter, pointers| {
            self.planar_block(emitter, rows, &columns.slots, pointers[0], pointers[1]);
        });
        for slots in &columns.rest {
            self.planar_block(emitter, rows, slots, input, output);
        }
    }

    /// The planar micro-kernel: `rows` rows of the given vectors.
    fn planar_block(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        slots: &[Slot],
        input: Pointer,
        output: Pointer,
    ) {
        let mut sums = Vec::new();
        for _ in 0..rows {
            for slot in slots {
                sums.push(Lanes::Pixels.start(emitter, slot.lanes, self.bias()));
            }
        }
        let sums = if self.is_unrolled() {
            self.planar_taps(emitter, rows, slots, input, sums)
        } else {
            self.planar_tap_loops(emitter, slots, input, sums)
        };
        for row in 0..rows {
            for (index, slot) in slots.iter().enumerate() {
                let sum = sums[row * slots.len() + index];
                let value = Lanes::Pixels.finish(
                    emitter,
                    slot.lanes,
                    sum,
                    None,
                    self.activation,
                    self.slopes(),
                );
                emitter.store(value, output.at(row * self.plan.cols + slot.start));
            }
        }
    }

    /// Offset of a tap's column in a window row, from the output column's.
    fn tap_column(&self, tap: usize) -> usize {
        let col = tap * self.plan.dilation[1];
        col % self.plan.stride[1] * self.window.phase_pitch + col / self.plan.stride[1]
    }

    fn planar_taps(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        slots: &[Slot],
        input: Pointer,
        mut sums: Vec<Value>,
    ) -> Vec<Value> {
        let [kernel_rows, kernel_cols] = self.plan.kernel;
        for window_row in 0..self.plan.window_rows(rows) {
            let uses: Vec<(usize, usize)> = (0..rows)
                .flat_map(|row| (0..kernel_rows).map(move |tap_row| (row, tap_row)))
                .filter(|&(row, tap)| {
                    row * self.plan.stride[0] + tap * self.plan.dilation[0] == window_row
                })
                .collect();
            if uses.is_empty() {
                continue;
            }
            let line = input.at(window_row * self.window.row_pitch);
            for tap_col in 0..kernel_cols {
                let from = line.at(self.tap_column(tap_col));
                let inputs: Vec<Value> = slots
                    .iter()
                    .map(|slot| emitter.load(slot.lanes, from.at(slot.start)))
                    .collect();
                for &(row, tap_row) in &uses {
                    let tap = tap_row * kernel_cols + tap_col;
                    for (index, slot) in slots.iter().enumerate() {
                        let weight = match self.taps.get(tap) {
                            Some(&weight) if slot.lanes == self.tap_lanes => weight,
                            _ => emitter.broadcast(slot.lanes, self.record.at(tap)),
                        };
                        let sum = &mut sums[row * slots.len() + index];
                        *sum = emitter.mul_add(inputs[index], weight, *sum);
                    }
                }
            }
        }
        sums
    }

    /// One output row under a kernel too large to unroll.
    fn planar_tap_loops(
        &self,
        emitter: &mut Emitter<'_>,
        slots: &[Slot],
        input: Pointer,
        sums: Vec<Value>,
    ) -> Vec<Value> {
        let [kernel_rows, kernel_cols] = self.plan.kernel;
        // A step of whole strides, so that each of its taps keeps its phase.
        let step = TAPS_A_STEP.next_multiple_of(self.plan.stride[1]);
        let input_step = step / self.plan.stride[1] * self.plan.dilation[1];
        let lines =
            [(self.record, kernel_cols), (input, self.plan.dilation[0] * self.window.row_pitch)];
        let run = |emitter: &mut Emitter<'_>,
                   taps: usize,
                   weights: Pointer,
                   input: Pointer,
                   mut sums: Vec<Value>| {
            for tap in 0..taps {
                for (sum, slot) in sums.iter_mut().zip(slots) {
                    let value =
                        emitter.load(slot.lanes, input.at(self.tap_column(tap) + slot.start));
                    let weight = emitter.broadcast(slot.lanes, weights.at(tap));
                    *sum = emitter.mul_add(value, weight, *sum);
                }
            }
            sums
        };
        emitter.for_each_carrying(kernel_rows, &lines, &sums, |emitter, line, sums| {
            let steps = kernel_cols / step;
            let moving = [(line[0], step), (line[1], input_step)];
            let sums =
                emitter.for_each_carrying(steps, &moving, sums, |emitter, pointers, sums| {
                    run(emitter, step, pointers[0], pointers[1], sums.to_vec())
                });
            let (weights, input) = (line[0].at(steps * step), line[1].at(steps * input_step));
            run(emitter, kernel_cols % step, weights, input, sums)
        })
    }

    /// All output rows of a channel group's tile; `pitch` is from one output pixel to the next.
    fn channel_rows(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        sides: &Sides<'_>,
        input: Pointer,
        output: Pointer,
        pitch: usize,
    ) {
        let blocks = Cover::scalars(self.plan.cols, self.tile.rows.into());
        let input_col = self.plan.stride[1] * self.window.col_pitch;
        let lines = [
            (input, self.plan.stride[0] * self.window.row_pitch),
            (output, self.plan.cols * pitch),
        ];
        emitter.for_each(rows, &lines, |emitter, line| {
            let moving = [(line[0], blocks.width * input_col), (line[1], blocks.width * pitch)];
            emitter.for_each(blocks.full, &moving, |emitter, pointers| {
                self.channel_block(emitter, blocks.width, sides, pointers[0], pointers[1], pitch);
            });
            for block in &blocks.rest {
                let col = block[0].start;
                let (input, output) = (line[0].at(col * input_col), line[1].at(col * pitch));
                self.channel_block(emitter, block.len(), sides, input, output, pitch);
            }
        });
    }

    /// The micro-kernel on channels: `cols` output columns of the group's vectors.
    fn channel_block(
        &self,
        emitter: &mut Emitter<'_>,
        cols: usize,
        sides: &Sides<'_>,
        input: Pointer,
        output: Pointer,
        pitch: usize,
    ) {
        let vectors = sides.slots.len();
        let at =
            |base: Option<Pointer>, index: usize| base.map(|base| base.at(sides.packed[index]));
        let mut sums = Vec::new();
        for _ in 0..cols {
            for (index, slot) in sides.slots.iter().enumerate() {
                sums.push(Lanes::Channels.start(emitter, slot.lanes, at(self.bias(), index)));
            }
        }
        let [kernel_rows, kernel_cols] = self.plan.kernel;
        let row_step = self.plan.dilation[0] * self.window.row_pitch;
        let col_step = self.plan.dilation[1] * self.window.col_pitch;
        let tap_at = |emitter: &mut Emitter<'_>,
                      tap: Option<usize>,
                      from: Pointer,
                      input: Pointer,
                      sums: &mut [Value]| {
            let weights: Vec<Value> = (0..vectors)
                .map(|index| match tap.and_then(|tap| self.taps.get(tap * vectors + index)) {
                    Some(&weight) => weight,
                    None => emitter.load(sides.slots[index].lanes, from.at(sides.packed[index])),
                })
                .collect();
            for col in 0..cols {
                let pixel = input.at(col * self.plan.stride[1] * self.window.col_pitch);
                for index in 0..vectors {
                    let value =
                        emitter.load(sides.slots[index].lanes, pixel.at(sides.input[index]));
                    let sum = &mut sums[col * vectors + index];
                    *sum = emitter.mul_add(value, weights[index], *sum);
                }
            }
        };
        if self.is_unrolled() {
            for tap_row in 0..kernel_rows {
                for tap_col in 0..kernel_cols {
                    let tap = tap_row * kernel_cols + tap_col;
                    let from = self.record.at(tap * self.width);
                    let input = input.at(tap_row * row_step + tap_col * col_step);
                    tap_at(emitter, Some(tap), from, input, &mut sums);
                }
            }
        } else {
            let lines = [(self.record, kernel_cols * self.width), (input, row_step)];
            sums = emitter.for_each_carrying(kernel_rows, &lines, &sums, |emitter, line, sums| {
                let moving = [(line[0], self.width), (line[1], col_step)];
                emitter.for_each_carrying(kernel_cols, &moving, sums, |emitter, pointers, sums| {
                    let mut sums = sums.to_vec();
                    tap_at(emitter, None, pointers[0], pointers[1], &mut sums);
                    sums
                })
            });
        }
        for col in 0..cols {
            for (index, slot) in sides.slots.iter().enumerate() {
                let sum = sums[col * vectors + index];
                let slope = at(self.slopes(), index);
                let value =
                    Lanes::Channels.finish(emitter, slot.lanes, sum, None, self.activation, slope);
                emitter.store(value, output.at(col * pitch + sides.output[index]));
            }
        }
    }
}
