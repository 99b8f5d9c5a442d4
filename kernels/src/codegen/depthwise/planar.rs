//! The stage on planes: vectors of pixels.
//!
//! The micro-kernel walks over the rows of input under its output rows, so that a loaded vector
//! serves every output row that has a tap on it; each output still meets its own taps in order.
//!
//! Where it reads the input itself, vectors that reach past a row are loaded lane by lane under a
//! mask; they stand at known columns, apart from the loop over the columns between them. With a
//! column stride of two, two vectors are loaded and each tap takes their even or odd elements, in
//! the order that costs one shuffle; the sums are brought into the order of the pixels in the end.

use std::ops::Range;

use cranelift_codegen::ir::Value;

use super::super::emitter::{Emitter, Pointer};
use super::super::epilogue::Lanes;
use super::super::shuffle::{self, Shuffle};
use super::super::window::{self, Rows};
use super::super::{Buffers, Tile};
use super::lines::{Block, Lines};
use super::{Channel, over_groups, parts};
use crate::cover::{Cover, Slot};
use crate::plan::Plan;
use crate::schedule::Window;

/// Taps of a row that a loop over taps takes in one step.
const TAPS_A_STEP: usize = 16;

/// A block of output columns.
struct Columns<'c> {
    slots: &'c [Slot],
    /// The column from which the slots count, where the code knows it.
    first: Option<usize>,
}

/// Pairs of vectors of the input that taps take even and odd elements of, by slot and offset: a few.
type Pairs = Vec<((usize, isize), [Value; 2])>;

/// The stage of a tile: of all planes, or of the input plane with a number.
pub(in super::super) fn planar(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    buffers: &Buffers,
    tile: Tile,
    number: Option<Value>,
) {
    let (records, schedule, _) = parts(plan);
    let rows = Rows::under(emitter, plan, tile);
    let image = buffers.image(emitter, plan, tile.image);
    let source = rows.start(emitter, image, plan.in_cols);
    let middle = buffers.middle_tile(emitter, plan, tile);
    let plane = plan.in_rows * plan.in_cols;
    let pitch = plan.middle.pitch;
    let record_len = records.record_len(1);
    let weights = buffers.weights(emitter).at(records.offset);
    let planes = [
        (weights, record_len * plan.multiplier),
        (source, plane),
        (middle, pitch * plan.multiplier),
    ];
    let window = plan.windows[0];
    let private = buffers.private(emitter);
    let scratch = private.at(window.offset);
    let plane = |emitter: &mut Emitter<'_>, pointers: &[Pointer]| {
        let input = match schedule.window {
            Window::Direct => pointers[1],
            Window::Copied => {
                window::fill_planar(emitter, plan, rows, pointers[1], private, &window);
                scratch
            }
        };
        let filters = [(pointers[0], record_len), (pointers[2], pitch)];
        emitter.for_each(plan.multiplier, &filters, |emitter, pointers| {
            let mut channel = Channel::new(plan, tile, pointers[0], 1, window);
            channel.load_taps(emitter, &[Slot::full(0, 1)], Lanes::Pixels);
            channel.planar_rows(emitter, tile, rows.first(), input, pointers[1], scratch);
        });
    };
    match number {
        None => emitter.for_each(plan.channels, &planes, plane),
        Some(number) => {
            let pointers =
                planes.map(|(pointer, elements)| emitter.index(pointer, number, elements));
            plane(emitter, &pointers);
        }
    }
}

impl Channel<'_> {
    /// Elements of a window row from one output column to the next.
    fn column_step(&self) -> usize {
        if self.is_direct() { self.plan.stride[1] } else { 1 }
    }

    /// All output rows of a plane's tile. `first` is the row of the input on which `input` stands.
    fn planar_rows(
        &self,
        emitter: &mut Emitter<'_>,
        tile: Tile,
        first: Value,
        input: Pointer,
        output: Pointer,
        zeros: Pointer,
    ) {
        let cover = |rows| Cover::scalars(rows, self.tile.rows.into());
        let blocks = cover(tile.rows);
        let stride = self.plan.stride[0];
        let pitch = self.window.row_pitch;
        let chooses = self.is_direct() && !self.plan.rows_are_inside();
        let groups = self.plan.column_cover(self.cols).expect("the workload has the stage");
        let is_straight = (0..groups.full).all(|group| !self.is_group_inside(&groups, group));
        let ahead = self.window.lines as isize - self.window.offset as isize;
        let store = is_straight.then(|| zeros.offset(ahead));
        let lines = |emitter: &mut Emitter<'_>, block: Block, start: Pointer| {
            if chooses {
                Lines::of_input(emitter, self.plan, block, start, pitch, zeros, store)
            } else {
                Lines::present(self.plan.window_rows(block.rows), start, pitch)
            }
        };
        let first_block = (self.plan.tiles == 1).then_some(0);
        let carried: &[Value] = if chooses { &[first] } else { &[] };
        let moving =
            [(input, blocks.width * stride * pitch), (output, blocks.width * self.plan.cols)];
        let full = tile.count(|rows| cover(rows).full);
        emitter.for_each_counted(full, &moving, carried, |emitter, pointers, carried| {
            let first = carried.first().copied().unwrap_or(first);
            let known = first_block.filter(|_| blocks.full == 1);
            let block = Block { rows: blocks.width, first, known };
            let lines = lines(emitter, block, pointers[0]);
            self.planar_columns(emitter, blocks.width, &lines, pointers[1]);
            let step = (blocks.width * stride) as i64;
            carried.iter().map(|&first| emitter.add(first, step)).collect()
        });
        let last = tile.last.map(|last| (last, cover(last.rows).rest));
        emitter.either(blocks.rest, last, |emitter, rest| {
            for block in rest {
                let row = block[0].start;
                let first = if chooses { emitter.add(first, (row * stride) as i64) } else { first };
                let known = first_block.map(|first| first + row);
                let block = Block { rows: block.len(), first, known };
                let lines = lines(emitter, block, input.at(row * stride * pitch));
                self.planar_columns(emitter, block.rows, &lines, output.at(row * self.plan.cols));
            }
        });
    }

    fn planar_columns(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        lines: &Lines,
        output: Pointer,
    ) {
        let cover = self.plan.column_cover(self.cols).expect("the workload has the stage");
        let step = self.column_step();
        let mut starts = vec![(output, 1)];
        let before = self.first_col * step;
        starts.extend(lines.pointers.iter().map(|&pointer| (pointer.at(before), step)));
        let is_inside = |group: usize| self.is_group_inside(&cover, group);
        over_groups(
            emitter,
            [cover.full, cover.width],
            &starts,
            is_inside,
            |emitter, first, pointers| {
                let first = first.map(|first| self.first_col + first);
                let columns = Columns { slots: &cover.slots, first };
                self.planar_block(emitter, rows, lines, &columns, pointers);
            },
        );
        let starts: Vec<Pointer> = starts.into_iter().map(|(pointer, _)| pointer).collect();
        for slots in &cover.rest {
            let columns = Columns { slots, first: Some(self.first_col) };
            self.planar_block(emitter, rows, lines, &columns, &starts);
        }
    }

    /// Whether a whole group of columns reads nothing outside of a row of the window.
    fn is_group_inside(&self, cover: &Cover, group: usize) -> bool {
        if !self.is_direct() {
            return true;
        }
        let first = ((self.first_col + group * cover.width) * self.plan.stride[1]) as isize;
        let lanes = usize::from(self.tile.lanes);
        let last_slot = ((cover.width - lanes) * self.plan.stride[1]) as isize;
        (0..self.plan.kernel[1]).map(|tap| self.reach(tap, lanes)).all(|reach| {
            first + reach.start >= 0 && first + last_slot + reach.end <= self.plan.in_cols as isize
        })
    }

    /// The planar micro-kernel: `rows` rows of some vectors. The first pointer is to the output, the
    /// others are those of the lines.
    fn planar_block(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        lines: &Lines,
        columns: &Columns<'_>,
        pointers: &[Pointer],
    ) {
        let slots = columns.slots;
        let starts: Vec<Value> = slots
            .iter()
            .map(|slot| Lanes::Pixels.start(emitter, slot.lanes, self.bias()))
            .collect();
        let sums = starts.repeat(rows);
        let sums = if self.is_unrolled() {
            self.planar_taps(emitter, rows, lines, columns, &pointers[1..], sums)
        } else {
            self.planar_tap_loops(emitter, slots, pointers[1], sums)
        };
        for row in 0..rows {
            for (index, slot) in slots.iter().enumerate() {
                let mut sum = sums[row * slots.len() + index];
                if self.takes_pairs(slot.lanes) {
                    sum = shuffle::order_pairs(emitter, slot.lanes, sum);
                }
                let value =
                    Lanes::Pixels.finish(emitter, slot, sum, None, self.activation, self.slopes());
                emitter.store_slot(value, slot, pointers[0].at(row * self.plan.cols + slot.start));
            }
        }
    }

    fn planar_taps(
        &self,
        emitter: &mut Emitter<'_>,
        rows: usize,
        lines: &Lines,
        columns: &Columns<'_>,
        pointers: &[Pointer],
        mut sums: Vec<Value>,
    ) -> Vec<Value> {
        let [kernel_rows, kernel_cols] = self.plan.kernel;
        let slots = columns.slots;
        let elements_on = columns.first.unwrap_or(0) * self.column_step();
        for window_row in 0..self.plan.window_rows(rows) {
            let uses: Vec<(usize, usize)> = (0..rows)
                .flat_map(|row| (0..kernel_rows).map(move |tap_row| (row, tap_row)))
                .filter(|&(row, tap)| self.plan.window_row(row, tap) == window_row)
                .collect();
            if uses.is_empty() {
                continue;
            }
            let line = lines.row(emitter, pointers, elements_on, window_row);
            let mut pairs = Pairs::new();
            for tap_col in 0..kernel_cols {
                let inputs: Vec<Value> = (0..slots.len())
                    .map(|slot| {
                        self.planar_input(emitter, line, columns, slot, tap_col, &mut pairs)
                    })
                    .collect();
                for &(row, tap_row) in &uses {
                    let tap = tap_row * kernel_cols + tap_col;
                    // From memory, a weight is loaded once for neighbouring vectors.
                    let mut loaded: Option<(usize, Value)> = None;
                    for (index, slot) in slots.iter().enumerate() {
                        let weight = match (self.taps.get(tap), loaded) {
                            (Some(&weight), _) if slot.lanes == self.tap_lanes => weight,
                            (_, Some((lanes, weight))) if lanes == slot.lanes => weight,
                            _ => emitter.broadcast(slot.lanes, self.record.at(tap)),
                        };
                        loaded = Some((slot.lanes, weight));
                        let sum = &mut sums[row * slots.len() + index];
                        *sum = emitter.mul_add(inputs[index], weight, *sum);
                    }
                }
            }
        }
        sums
    }

    /// What a tap of a row multiplies in one of the vectors.
    fn planar_input(
        &self,
        emitter: &mut Emitter<'_>,
        line: Option<Pointer>,
        columns: &Columns<'_>,
        slot: usize,
        tap_col: usize,
        pairs: &mut Pairs,
    ) -> Value {
        let Slot { start, lanes, .. } = columns.slots[slot];
        let Some(line) = line else { return emitter.constant(lanes, 0.0) };
        if !self.is_direct() {
            return emitter.load(lanes, line.at(self.tap_column(tap_col) + start));
        }
        let stride = self.plan.stride[1] as isize;
        let first = columns.first.map(|first| first as isize * stride);
        let mut load = |offset: isize| {
            let offset = start as isize * stride + offset;
            match first {
                None => emitter.load(lanes, line.offset(offset)),
                Some(first) => {
                    let inside = -(first + offset)..self.plan.in_cols as isize - (first + offset);
                    emitter.load_inside(lanes, line.offset(offset), inside)
                }
            }
        };
        let reach = self.reach(tap_col, lanes);
        if !self.takes_pairs(lanes) {
            return load(reach.start);
        }
        let what = (slot, reach.start);
        let known = pairs.iter().find(|(known, _)| *known == what).map(|(_, pair)| *pair);
        let pair = known.unwrap_or_else(|| {
            let pair = [load(reach.start), load(reach.start + lanes as isize)];
            pairs.push((what, pair));
            pair
        });
        let is_odd = self.tap_offset(tap_col) != reach.start;
        let shuffle = if is_odd { Shuffle::OddOfQuads } else { Shuffle::EvenOfQuads };
        shuffle.emit(emitter, lanes, pair[0], pair[1])
    }

    /// Whether vectors of so many lanes are even or odd elements of two loaded ones.
    fn takes_pairs(&self, lanes: usize) -> bool {
        self.is_direct() && self.plan.stride[1] == 2 && lanes > 1
    }

    /// Column of the input under a tap, from that of the output times the stride.
    fn tap_offset(&self, tap: usize) -> isize {
        (tap * self.plan.dilation[1]) as isize - self.plan.pad[1] as isize
    }

    /// Columns of the input that are loaded for a tap, from that of the output times the stride.
    /// Pairs start on even columns, so that neighbouring taps share them.
    fn reach(&self, tap: usize, lanes: usize) -> Range<isize> {
        let offset = self.tap_offset(tap);
        let lanes_loaded = lanes as isize;
        if self.takes_pairs(lanes) {
            let even = offset - offset.rem_euclid(2);
            return even..even + 2 * lanes_loaded;
        }
        offset..offset + lanes_loaded
    }

    /// Offset of a tap's column in a row of a copied window, from the output column's.
    fn tap_column(&self, tap: usize) -> usize {
        let col = tap * self.plan.dilation[1];
        col % self.plan.stride[1] * self.window.phase_pitch + col / self.plan.stride[1]
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
                    let from = input.at(self.tap_column(tap) + slot.start);
                    let value = if self.is_direct() {
                        emitter.load_slot(slot, from)
                    } else {
                        emitter.load(slot.lanes, from)
                    };
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
}
