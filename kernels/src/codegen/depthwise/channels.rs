//! The stage on pixels: vectors of channels.
//!
//! Where it reads the input itself, taps on padding multiply zeros: columns of padding are known to
//! the code, which has the blocks of columns that meet them apart from the loop over the others;
//! rows of padding are lines of zeros.

use cranelift_codegen::ir::Value;

use super::super::emitter::{Count, Emitter, Pointer};
use super::super::epilogue::Lanes;
use super::super::transpose::{self, Run};
use super::super::window::{self, Rows};
use super::super::{Buffers, Group, Tile, for_each_group, for_numbered_group};
use super::lines::{Block, Lines};
use super::{Channel, over_groups, parts};
use crate::cover::{self, Cover, Slot, positions};
use crate::plan::{Place, Plan};
use crate::schedule::Window;

/// Multiply-adds of a block that has them one after the other.
const STRAIGHT: usize = 512;

/// A group of channels is a small part where all are so many times as many.
const SMALL_PART: usize = 8;

/// Where the vectors of a channel group start: in the window, in the record, in the output.
struct Sides<'s> {
    slots: &'s [Slot],
    input: Vec<usize>,
    packed: Vec<usize>,
    output: Vec<usize>,
}

/// Where a group's tile is read and written.
#[derive(Clone, Copy)]
struct Ends {
    /// Row of the input on which `input` stands.
    first: Value,
    input: Pointer,
    output: Pointer,
    /// From one output pixel to the next.
    pitch: usize,
    /// A line of zeros, for direct windows.
    zeros: Pointer,
}

/// The stage of a tile: of all groups of channels, or of the one with a number.
pub(in super::super) fn channels(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    buffers: &Buffers,
    tile: Tile,
    number: Option<Value>,
) {
    let (records, schedule, _) = parts(plan);
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
        let private = buffers.private(emitter);
        window::fill_multiplied(emitter, plan, rows, source, private, &plan.windows[0]);
    }
    let mut moving = vec![(output, output_step)];
    if multiplied {
        moving.push((buffers.private(emitter).at(plan.windows[0].offset), 1));
    } else {
        moving.push((source, source_step));
    }
    let mut body = |emitter: &mut Emitter<'_>, group: &Group<'_>, pointers: &[Pointer]| {
        let window = plan.windows[group.shape];
        let width = cover::width(group.slots);
        let copied = !multiplied && schedule.window == Window::Copied;
        let private = buffers.private(emitter);
        let input = if copied {
            window::fill_channels(emitter, plan, rows, pointers[1], group, private, &window);
            private.at(window.offset)
        } else {
            pointers[1]
        };
        let mut channel = Channel::new(plan, tile, group.record, width, window);
        channel.load_taps(emitter, group.slots, Lanes::Channels);
        let packed = positions(group.slots);
        let own: Vec<usize> = group.slots.iter().map(|slot| slot.start).collect();
        let sides = Sides {
            slots: group.slots,
            input: if copied { packed.clone() } else { own.clone() },
            packed: packed.clone(),
            output: if is_last_stage && planar { packed } else { own },
        };
        let through_staging = is_last_stage && planar;
        let (output, pitch) = if through_staging {
            (private.at(plan.staging), width)
        } else {
            (pointers[0], plan.middle.pitch)
        };
        let zeros = private.at(window.offset);
        let ends = Ends { first: rows.first(), input, output, pitch, zeros };
        channel.channel_rows(emitter, tile.count(|rows| rows), &sides, ends);
        if !through_staging {
            return;
        }
        for (slot, &position) in group.slots.iter().zip(&sides.packed) {
            let pixels = Run { start: output.at(position), pitch };
            let plane = plan.rows * plan.cols;
            let planes = Run { start: pointers[0].at(slot.start * plane), pitch: plane };
            let count = tile.count(|rows| rows * plan.cols);
            transpose::to_planes(
                emitter,
                slot,
                count,
                pixels,
                planes,
                None,
                |_, _, value, _, _| value,
            );
        }
    };
    let weights = buffers.weights(emitter);
    match number {
        None => for_each_group(emitter, records, weights, &moving, body),
        Some(number) => {
            for_numbered_group(emitter, records, weights, &moving, number, &mut body);
        }
    }
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

/// Output columns of a block, and the first of them where the code knows it.
#[derive(Clone, Copy)]
struct Columns {
    count: usize,
    first: Option<usize>,
}

impl Channel<'_> {
    /// All output rows of a channel group's tile.
    fn channel_rows(&self, emitter: &mut Emitter<'_>, rows: Count, sides: &Sides<'_>, ends: Ends) {
        let stride = self.plan.stride[0];
        let pitch = self.window.row_pitch;
        let chooses = self.is_direct() && !self.plan.rows_are_inside();
        let known = (self.plan.tiles == 1 && rows.whole == 1).then_some(0);
        let carried: &[Value] = if chooses { &[ends.first] } else { &[] };
        let moving = [(ends.input, stride * pitch), (ends.output, self.plan.cols * ends.pitch)];
        emitter.for_each_counted(rows, &moving, carried, |emitter, pointers, carried| {
            let lines = match carried.first() {
                Some(&first) => {
                    let block = Block { rows: 1, first, known };
                    let (start, zeros) = (pointers[0], ends.zeros);
                    let lines =
                        Lines::of_input(emitter, self.plan, block, start, pitch, zeros, None);
                    if self.loops_over_rows(sides.slots) {
                        let ahead = self.window.lines as isize - self.window.offset as isize;
                        let rows = (0..self.plan.kernel[0]).map(|tap| tap * self.plan.dilation[0]);
                        lines.tabled(emitter, rows, zeros.offset(ahead), zeros)
                    } else {
                        lines
                    }
                }
                None => Lines::present(self.plan.window_rows(1), pointers[0], pitch),
            };
            self.channel_columns(emitter, sides, &lines, pointers[1], ends.pitch);
            carried.iter().map(|&first| emitter.add(first, stride as i64)).collect()
        });
    }

    /// Whether a block is so much code that it has a loop over the rows of taps.
    fn loops_over_rows(&self, slots: &[Slot]) -> bool {
        let sums = self.block_cols(slots) * slots.len();
        self.taps.is_empty() && self.is_unrolled() && sums * self.taps_in_all() > STRAIGHT
    }

    /// Output columns of a block. A group of channels that is a small part of all has blocks of half
    /// the size, since each of them is code that runs seldom.
    fn block_cols(&self, slots: &[Slot]) -> usize {
        let cols = usize::from(self.tile.rows);
        let is_small = SMALL_PART * cover::width(slots) <= self.plan.middle_channels;
        let is_whole = slots.len() == self.records.groups.slots.len()
            && cover::width(slots) == self.records.groups.width;
        if is_small && !is_whole { cols.div_ceil(2) } else { cols }
    }

    fn channel_columns(
        &self,
        emitter: &mut Emitter<'_>,
        sides: &Sides<'_>,
        lines: &Lines,
        output: Pointer,
        pitch: usize,
    ) {
        let blocks = Cover::scalars(self.cols, self.block_cols(sides.slots));
        let step = self.plan.stride[1] * self.window.col_pitch;
        let mut starts = vec![(output, pitch)];
        // Columns of the input count from the first of the tensor, those of a copy from its own.
        let padding = if self.is_direct() { self.plan.pad[1] * self.window.col_pitch } else { 0 };
        let behind = (self.first_col * step) as isize - padding as isize;
        starts.extend(lines.pointers.iter().map(|&pointer| (pointer.offset(behind), step)));
        let is_inside = |block: usize| {
            let first = self.first_col + block * blocks.width;
            !self.is_direct()
                || self.plan.columns_are_inside(first, blocks.width)
                    && sides.slots.iter().all(|slot| {
                        let last = self.plan.window_cols(blocks.width) - 1;
                        self.behind(first, last, slot) >= slot.lanes
                    })
        };
        over_groups(
            emitter,
            [blocks.full, blocks.width],
            &starts,
            is_inside,
            |emitter, first, pointers| {
                let first = first.map(|first| self.first_col + first);
                let columns = Columns { count: blocks.width, first };
                self.channel_block(emitter, columns, sides, lines, pointers, pitch);
            },
        );
        for block in &blocks.rest {
            let first = block[0].start;
            let columns = Columns { count: block.len(), first: Some(self.first_col + first) };
            let pointers: Vec<Pointer> =
                starts.iter().map(|&(pointer, step)| pointer.at(first * step)).collect();
            self.channel_block(emitter, columns, sides, lines, &pointers, pitch);
        }
    }

    /// Elements of a row of the input from a vector on, in a column inside: surplus lanes may read
    /// the pixels that follow in the row. The window is that of the output columns from `first` on.
    fn behind(&self, first: usize, window_col: usize, slot: &Slot) -> usize {
        let col = first * self.plan.stride[1] + window_col - self.plan.pad[1];
        (self.plan.in_cols - col) * self.plan.channels - slot.start
    }

    /// The micro-kernel on channels: some output columns of the group's vectors. The first pointer is
    /// to the output, the others are those of the lines.
    fn channel_block(
        &self,
        emitter: &mut Emitter<'_>,
        columns: Columns,
        sides: &Sides<'_>,
        lines: &Lines,
        pointers: &[Pointer],
        pitch: usize,
    ) {
        let vectors = sides.slots.len();
        let at =
            |base: Option<Pointer>, index: usize| base.map(|base| base.at(sides.packed[index]));
        let starts: Vec<Value> = sides
            .slots
            .iter()
            .enumerate()
            .map(|(index, slot)| Lanes::Channels.start(emitter, slot.lanes, at(self.bias(), index)))
            .collect();
        let sums = starts.repeat(columns.count);
        let sums = if self.is_unrolled() {
            self.channel_taps(emitter, columns, sides, lines, &pointers[1..], sums)
        } else {
            self.channel_tap_loops(emitter, columns.count, sides, pointers[1], sums)
        };
        // In the scratch there is room behind each pixel.
        let has_room = match self.plan.middle.place {
            Place::Output => self.plan.planar_tensors(),
            place => place == Place::Private,
        };
        for col in 0..columns.count {
            for (index, slot) in sides.slots.iter().enumerate() {
                let sum = sums[col * vectors + index];
                let slope = at(self.slopes(), index);
                let value =
                    Lanes::Channels.finish(emitter, slot, sum, None, self.activation, slope);
                let to = pointers[0].at(col * pitch + sides.output[index]);
                if has_room {
                    emitter.store(value, to);
                } else {
                    emitter.store_slot(value, slot, to);
                }
            }
        }
    }

    /// Walks over the pixels under a row of the block, so that a loaded pixel serves every output
    /// column that has a tap on it.
    fn channel_taps(
        &self,
        emitter: &mut Emitter<'_>,
        columns: Columns,
        sides: &Sides<'_>,
        lines: &Lines,
        pointers: &[Pointer],
        mut sums: Vec<Value>,
    ) -> Vec<Value> {
        let [kernel_rows, kernel_cols] = self.plan.kernel;
        if let Some(table) = lines.table {
            let rows = [(table, 2), (self.record, kernel_cols * self.width)];
            return emitter.for_each_carrying(kernel_rows, &rows, &sums, |emitter, row, sums| {
                let line = Pointer::new(emitter.load_integer(row[0]));
                let line = Some(emitter.plus(line, pointers[0]));
                self.channel_row(emitter, columns, sides, line, (row[1], &[]), sums.to_vec())
            });
        }
        let row_taps = kernel_cols * sides.slots.len();
        for tap_row in 0..kernel_rows {
            let line = lines.row(emitter, pointers, 0, tap_row * self.plan.dilation[0]);
            let record = self.record.at(tap_row * kernel_cols * self.width);
            let taps = self.taps.get(tap_row * row_taps..).unwrap_or_default();
            sums = self.channel_row(emitter, columns, sides, line, (record, taps), sums);
        }
        sums
    }

    /// A row of taps, which are in registers or in memory.
    fn channel_row(
        &self,
        emitter: &mut Emitter<'_>,
        columns: Columns,
        sides: &Sides<'_>,
        line: Option<Pointer>,
        (record, taps): (Pointer, &[Value]),
        mut sums: Vec<Value>,
    ) -> Vec<Value> {
        let kernel_cols = self.plan.kernel[1];
        let vectors = sides.slots.len();
        for window_col in 0..self.plan.window_cols(columns.count) {
            let uses: Vec<(usize, usize)> = (0..columns.count)
                .flat_map(|col| (0..kernel_cols).map(move |tap_col| (col, tap_col)))
                .filter(|&(col, tap)| self.plan.window_col(col, tap) == window_col)
                .collect();
            if uses.is_empty() {
                continue;
            }
            let first = columns.first.filter(|_| self.is_direct());
            let is_there = first.is_none_or(|first| self.plan.is_col_inside(first, window_col));
            let pixel =
                line.filter(|_| is_there).map(|line| line.at(window_col * self.window.col_pitch));
            for (index, slot) in sides.slots.iter().enumerate() {
                let value = match (pixel.map(|pixel| pixel.at(sides.input[index])), first) {
                    (Some(from), None) => emitter.load(slot.lanes, from),
                    (Some(from), Some(first)) => {
                        let behind = self.behind(first, window_col, slot) as isize;
                        emitter.load_inside(slot.lanes, from, 0..behind)
                    }
                    (None, _) => emitter.constant(slot.lanes, 0.0),
                };
                for &(col, tap_col) in &uses {
                    let weight = match taps.get(tap_col * vectors + index) {
                        Some(&weight) => weight,
                        None => {
                            let at = tap_col * self.width + sides.packed[index];
                            emitter.load(slot.lanes, record.at(at))
                        }
                    };
                    let sum = &mut sums[col * vectors + index];
                    *sum = emitter.mul_add(value, weight, *sum);
                }
            }
        }
        sums
    }

    /// A kernel too large to unroll.
    fn channel_tap_loops(
        &self,
        emitter: &mut Emitter<'_>,
        cols: usize,
        sides: &Sides<'_>,
        input: Pointer,
        sums: Vec<Value>,
    ) -> Vec<Value> {
        let [kernel_rows, kernel_cols] = self.plan.kernel;
        let row_step = self.plan.dilation[0] * self.window.row_pitch;
        let col_step = self.plan.dilation[1] * self.window.col_pitch;
        let lines = [(self.record, kernel_cols * self.width), (input, row_step)];
        emitter.for_each_carrying(kernel_rows, &lines, &sums, |emitter, line, sums| {
            let moving = [(line[0], self.width), (line[1], col_step)];
            emitter.for_each_carrying(kernel_cols, &moving, sums, |emitter, pointers, sums| {
                let mut sums = sums.to_vec();
                for (index, slot) in sides.slots.iter().enumerate() {
                    let weight = emitter.load(slot.lanes, pointers[0].at(sides.packed[index]));
                    for col in 0..cols {
                        let pixel =
                            pointers[1].at(col * self.plan.stride[1] * self.window.col_pitch);
                        let from = pixel.at(sides.input[index]);
                        let value = if self.is_direct() {
                            emitter.load_slot(slot, from)
                        } else {
                            emitter.load(slot.lanes, from)
                        };
                        let sum = &mut sums[col * sides.slots.len() + index];
                        *sum = emitter.mul_add(value, weight, *sum);
                    }
                }
                sums
            })
        })
    }
}
