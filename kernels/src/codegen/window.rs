//! Copies of the input: zero-padded windows for the depthwise stage, and the pixels that a strided
//! pointwise stage reads.
//!
//! Scratch starts out zeroed and the columns of padding are never written, so only rows of
//! padding are cleared again and again.

use cranelift_codegen::ir::Value;

use super::emitter::{Count, Emitter, Pointer};
use super::shuffle::Shuffle;
use super::transpose::{self, Run};
use super::{Buffers, Group, Tile};
use crate::cover::{self, Cover};
use crate::plan::{Plan, WindowPlan};
use crate::schedule::Tail;

/// Vectors that a copying loop moves in one step.
const COPY_VECTORS: usize = 4;

/// The rows of input under a tile.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    first: Value,
    count: Count,
}

impl Rows {
    pub(super) fn under(emitter: &mut Emitter<'_>, plan: &Plan, tile: Tile) -> Self {
        use cranelift_codegen::ir::InstBuilder;
        let scaled = emitter.builder.ins().imul_imm_s(tile.row, plan.stride[0] as i64);
        let first = emitter.add(scaled, -(plan.pad[0] as i64));
        Self { first, count: tile.count(|rows| plan.window_rows(rows)) }
    }

    /// Row of the input on which the window starts; negative in the padding.
    pub(super) fn first(self) -> Value {
        self.first
    }

    /// Where the first of the rows starts in a tensor whose rows have `row_pitch` elements. May be
    /// outside the tensor: only rows inside are read.
    pub(super) fn start(
        self,
        emitter: &mut Emitter<'_>,
        tensor: Pointer,
        row_pitch: usize,
    ) -> Pointer {
        emitter.index(tensor, self.first, row_pitch)
    }
}

/// Fills a planar window from a plane. `source` is where the window's first row starts in it.
pub(super) fn fill_planar(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    rows: Rows,
    source: Pointer,
    scratch: Pointer,
    window: &WindowPlan,
) {
    for_each_row(
        emitter,
        plan,
        rows,
        (source, plan.in_cols),
        scratch,
        window,
        |emitter, source, target| {
            for phase in used_phases(plan) {
                let stride = plan.stride[1];
                // First column of the phase that is not padding.
                let skipped = plan.pad[1].saturating_sub(phase).div_ceil(stride);
                let col = skipped * stride + phase - plan.pad[1];
                if col < plan.copied_cols {
                    let count = (plan.copied_cols - col).div_ceil(stride);
                    let target = target.at(phase * window.phase_pitch + skipped);
                    copy_strided(
                        emitter,
                        count,
                        plan.in_cols - col,
                        source.at(col),
                        stride,
                        target,
                    );
                }
            }
        },
    );
}

/// Fills a window of the group's channels side by side from an NHWC or NCHW input. `source` is
/// where the window's first row starts in the pointer's channel.
pub(super) fn fill_channels(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    rows: Rows,
    source: Pointer,
    group: &Group<'_>,
    scratch: Pointer,
    window: &WindowPlan,
) {
    let width = cover::width(group.slots);
    let planar = plan.planar_tensors();
    let col_pitch = if planar { 1 } else { plan.channels };
    for_each_row(
        emitter,
        plan,
        rows,
        (source, plan.in_cols * col_pitch),
        scratch,
        window,
        |emitter, source, target| {
            let target = target.at(plan.pad[1] * width);
            if planar {
                let plane = plan.in_rows * plan.in_cols;
                let mut position = 0;
                for slot in group.slots {
                    let planes = Run { start: source.at(slot.start * plane), pitch: plane };
                    let pixels = Run { start: target.at(position), pitch: width };
                    transpose::to_pixels(emitter, slot, plan.copied_cols, planes, pixels);
                    position += slot.lanes;
                }
                return;
            }
            emitter.for_each(
                plan.copied_cols,
                &[(source, col_pitch), (target, width)],
                |emitter, pointers| {
                    let mut position = 0;
                    for slot in group.slots {
                        let value = emitter.load_slot(slot, pointers[0].at(slot.start));
                        emitter.store(value, pointers[1].at(position));
                        position += slot.lanes;
                    }
                },
            );
        },
    );
}

/// Fills a window of all channels between the stages from an NHWC input, each input channel as
/// often as the depth multiplier says.
pub(super) fn fill_multiplied(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    rows: Rows,
    source: Pointer,
    scratch: Pointer,
    window: &WindowPlan,
) {
    let row_pitch = plan.in_cols * plan.channels;
    for_each_row(
        emitter,
        plan,
        rows,
        (source, row_pitch),
        scratch,
        window,
        |emitter, source, target| {
            let target = target.at(plan.pad[1] * plan.middle_channels);
            let count = plan.copied_cols * plan.channels;
            emitter.for_each(
                count,
                &[(source, 1), (target, plan.multiplier)],
                |emitter, pointers| {
                    let value = emitter.load(1, pointers[0]);
                    emitter.for_each(plan.multiplier, &[(pointers[1], 1)], |emitter, target| {
                        emitter.store(value, target[0]);
                    });
                },
            );
        },
    );
}

/// Copies the pixels that a strided pointwise stage without a depthwise stage reads.
pub(super) fn gather(emitter: &mut Emitter<'_>, plan: &Plan, buffers: &Buffers, tile: Tile) {
    let rows = Rows::under(emitter, plan, tile);
    let image = buffers.image(emitter, plan, tile.image);
    let target = buffers.private(emitter).at(plan.middle.offset);
    let [row_stride, col_stride] = plan.stride;
    if plan.middle.planes {
        let source = rows.start(emitter, image, plan.in_cols);
        let plane = plan.in_rows * plan.in_cols;
        let planes = [(source, plane), (target, plan.middle.pitch)];
        emitter.for_each(plan.channels, &planes, |emitter, plane| {
            let lines = [(plane[0], row_stride * plan.in_cols), (plane[1], plan.cols)];
            emitter.for_each_counted(tile.count(|rows| rows), &lines, &[], |emitter, line, _| {
                copy_strided(emitter, plan.cols, plan.in_cols, line[0], col_stride, line[1]);
                Vec::new()
            });
        });
        return;
    }
    let source = rows.start(emitter, image, plan.in_cols * plan.channels);
    let lines =
        [(source, row_stride * plan.in_cols * plan.channels), (target, plan.cols * plan.channels)];
    emitter.for_each_counted(tile.count(|rows| rows), &lines, &[], |emitter, line, _| {
        let pixels = [(line[0], col_stride * plan.channels), (line[1], plan.channels)];
        emitter.for_each(plan.cols, &pixels, |emitter, pixel| {
            copy(emitter, plan.channels, pixel[0], pixel[1])
        });
        Vec::new()
    });
}

/// Walks over the rows of a window: `fill` copies a row of the input, rows of padding are cleared.
fn for_each_row(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    rows: Rows,
    (source, source_pitch): (Pointer, usize),
    scratch: Pointer,
    window: &WindowPlan,
    mut fill: impl FnMut(&mut Emitter<'_>, Pointer, Pointer),
) {
    let target = scratch.at(window.offset);
    let lines = [(target, window.row_pitch), (source, source_pitch)];
    if plan.rows_are_inside() {
        return emitter.for_each_counted(rows.count, &lines, &[], |emitter, line, _| {
            fill(emitter, line[1], line[0]);
            Vec::new()
        });
    }
    emitter.for_each_counted(rows.count, &lines, &[rows.first], |emitter, line, row| {
        let inside = emitter.is_below(row[0], plan.in_rows);
        emitter.branch(inside, |emitter, inside| {
            if inside {
                fill(emitter, line[1], line[0]);
            } else {
                clear(emitter, window.row_pitch, line[0]);
            }
        });
        vec![emitter.add(row[0], 1)]
    });
}

/// Columns of a window, modulo the stride, that some tap reads.
fn used_phases(plan: &Plan) -> Vec<usize> {
    let stride = plan.stride[1];
    (0..stride)
        .filter(|&phase| (0..plan.kernel[1]).any(|tap| tap * plan.dilation[1] % stride == phase))
        .collect()
}

/// Copies `count` elements.
fn copy(emitter: &mut Emitter<'_>, count: usize, source: Pointer, target: Pointer) {
    over_vectors(emitter, count, &[(source, 1), (target, 1)], |emitter, lanes, pointers| {
        let value = emitter.load(lanes, pointers[0]);
        emitter.store(value, pointers[1]);
    });
}

/// Clears `count` elements.
fn clear(emitter: &mut Emitter<'_>, count: usize, target: Pointer) {
    over_vectors(emitter, count, &[(target, 1)], |emitter, lanes, pointers| {
        let zero = emitter.constant(lanes, 0.0);
        emitter.store(zero, pointers[0]);
    });
}

/// Copies every `stride`-th element, `count` in all; `available` elements can be read.
fn copy_strided(
    emitter: &mut Emitter<'_>,
    count: usize,
    available: usize,
    source: Pointer,
    stride: usize,
    target: Pointer,
) {
    match stride {
        1 => copy(emitter, count, source, target),
        2 => {
            // A vector takes the even elements of twice as many, so the very last may lack a partner.
            let paired = count.min(available / 2);
            over_vectors(
                emitter,
                paired,
                &[(source, 2), (target, 1)],
                |emitter, lanes, pointers| {
                    let mut value = emitter.load(lanes, pointers[0]);
                    if lanes > 1 {
                        let second = emitter.load(lanes, pointers[0].at(lanes));
                        value = Shuffle::Even.emit(emitter, lanes, value, second);
                    }
                    emitter.store(value, pointers[1]);
                },
            );
            for index in paired..count {
                let value = emitter.load(1, source.at(2 * index));
                emitter.store(value, target.at(index));
            }
        }
        _ => emitter.for_each(count, &[(source, stride), (target, 1)], |emitter, pointers| {
            let value = emitter.load(1, pointers[0]);
            emitter.store(value, pointers[1]);
        }),
    }
}

/// Walks over `count` elements by vectors; the pointers move by their elements an element.
fn over_vectors(
    emitter: &mut Emitter<'_>,
    count: usize,
    pointers: &[(Pointer, usize)],
    mut body: impl FnMut(&mut Emitter<'_>, usize, &[Pointer]),
) {
    if count == 0 {
        return;
    }
    let cover = Cover::new(count, emitter.lanes, COPY_VECTORS, Tail::Overlap);
    let moving: Vec<_> =
        pointers.iter().map(|&(pointer, step)| (pointer, step * cover.width)).collect();
    let mut emit = |emitter: &mut Emitter<'_>, slots: &[cover::Slot], from: &[Pointer]| {
        for slot in slots {
            let here: Vec<_> = from
                .iter()
                .zip(pointers)
                .map(|(pointer, &(_, step))| pointer.at(slot.start * step))
                .collect();
            body(emitter, slot.lanes, &here);
        }
    };
    emitter.for_each(cover.full, &moving, |emitter, from| emit(emitter, &cover.slots, from));
    let starts: Vec<_> = pointers.iter().map(|&(pointer, _)| pointer).collect();
    for slots in &cover.rest {
        emit(emitter, slots, &starts);
    }
}
