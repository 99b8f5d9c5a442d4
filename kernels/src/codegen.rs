//! Code generation: from a plan to one CLIF function per phase.
//!
//! A function walks over its tasks (tiles of rows, or groups of output channels); a tile goes
//! through the stages that the phase holds:
//!
//! ```text
//! tile(rows) ── window ──> depthwise ──> middle ──> pointwise ──> [staging ──> transpose] ──> output
//!              (copy,      (taps in       (one tile,  (broadcasts     (families whose vectors
//!               zeros)      row order)     or all)     x vectors)      hold channels, in NCHW)
//! ```
//!
//! All extents are constants in the code. Loads and stores stay inside the slices: whatever does
//! not fill a vector is covered as [`Cover`](crate::cover::Cover) says.

use std::cell::RefCell;

use cranelift_codegen::ir::{
    self, AbiParam, Function, InstBuilder, Signature, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::cover::Slot;
use crate::packing::Records;
use crate::plan::{First, Phase, Place, Plan, Tasks};
use emitter::{Count, Emitter, Last, Pointer};

mod depthwise;
mod emitter;
mod epilogue;
mod pointwise;
mod shuffle;
mod transpose;
mod window;

pub(crate) use depthwise::UNROLLED_TAPS;

/// Offsets in the argument struct of a generated function; `kernel::Arguments` has this layout.
pub(crate) mod argument {
    pub(crate) const INPUT: usize = 0;
    pub(crate) const WEIGHTS: usize = 1;
    pub(crate) const RESIDUAL: usize = 2;
    pub(crate) const OUTPUT: usize = 3;
    pub(crate) const PRIVATE: usize = 4;
    pub(crate) const SHARED: usize = 5;
    pub(crate) const FIRST_IMAGE: usize = 6;
    pub(crate) const FIRST_TASK: usize = 7;
    pub(crate) const TASKS: usize = 8;
}

/// Buffers of a run. A pointer is read where it is needed: all of them at once would not leave enough
/// registers.
#[derive(Clone, Copy)]
struct Buffers {
    arguments: Pointer,
}

/// One tile of output rows under construction.
#[derive(Clone, Copy)]
struct Tile {
    image: Value,
    /// First output row.
    row: Value,
    /// Output rows, a constant of the code.
    rows: usize,
    /// The last tile, where that has fewer rows: the same code computes it.
    last: Option<Last>,
    /// First output column and number of them, constants of the code.
    first_col: usize,
    cols: usize,
}

/// Generates the functions of a plan, one a phase.
pub(crate) fn lower(plan: &Plan, frontend: TargetFrontendConfig) -> Vec<Function> {
    plan.phases
        .iter()
        .enumerate()
        .map(|(index, &phase)| lower_phase(plan, index, phase, frontend))
        .collect()
}

fn lower_phase(
    plan: &Plan,
    index: usize,
    phase: Phase,
    frontend: TargetFrontendConfig,
) -> Function {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(types::I64));
    let (mut function, mut context) = MEMORY.with_borrow_mut(|memory| {
        let function = memory.functions.pop().unwrap_or_else(Function::new);
        (function, memory.context.take().unwrap_or_default())
    });
    function.name = UserFuncName::user(0, index as u32);
    function.signature = signature;
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let arguments = Pointer::new(builder.block_params(entry)[0]);
    let mut emitter = Emitter::new(builder, &plan.target);

    let buffers = Buffers { arguments };
    let first = [argument::FIRST_IMAGE, argument::FIRST_TASK]
        .map(|index| buffers.argument(&mut emitter, index));
    let tasks = buffers.argument(&mut emitter, argument::TASKS);

    emitter.for_range(first, tasks, phase.count, |emitter, [image, task]| match phase.tasks {
        Tasks::Tiles => for_tile(emitter, plan, image, task, |emitter, tile| {
            if phase.first {
                first_stage(emitter, plan, &buffers, tile);
            }
            if phase.pointwise {
                pointwise::tile(emitter, plan, &buffers, tile);
            }
        }),
        Tasks::ChannelGroups if phase.first => {
            for_each_tile(emitter, plan, image, |emitter, tile| {
                depthwise_stage(emitter, plan, &buffers, tile, Some(task));
            })
        }
        Tasks::ChannelGroups => pointwise::channel_group(emitter, plan, &buffers, image, task),
    });
    emitter.builder.ins().return_(&[]);
    emitter.builder.seal_all_blocks();
    emitter.builder.finalize(frontend);
    MEMORY.with_borrow_mut(|memory| memory.context = Some(context));
    function
}

/// Memory of functions that were compiled: a tuner generates thousands of them on one thread.
#[derive(Default)]
struct Memory {
    functions: Vec<Function>,
    context: Option<FunctionBuilderContext>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Takes a function whose code is no longer needed, for its memory.
pub(crate) fn recycle(mut function: Function) {
    /// As many as a kernel has.
    const MOST: usize = 2;
    MEMORY.with_borrow_mut(|memory| {
        if memory.functions.len() < MOST {
            function.clear();
            memory.functions.push(function);
        }
    });
}

/// Emits the body for a tile: it serves a shorter last one, too.
fn for_tile(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    image: Value,
    task: Value,
    mut body: impl FnMut(&mut Emitter<'_>, Tile),
) {
    if plan.parts() > 1 {
        let row = emitter.integer(0);
        let tile = Tile { image, row, rows: 1, last: None, first_col: 0, cols: 0 };
        return for_part(emitter, plan, tile, task, 0, &mut body);
    }
    let row = emitter.builder.ins().imul_imm_s(task, plan.tile_rows as i64);
    let rest = plan.rows % plan.tile_rows;
    let last = (rest != 0).then_some(Last { task, number: plan.tiles - 1, rows: rest });
    body(emitter, Tile { image, row, rows: plan.tile_rows, last, first_col: 0, cols: plan.cols });
}

impl Tile {
    /// A number that follows from the rows of a tile.
    fn count(&self, of: impl Fn(usize) -> usize) -> Count {
        Count { whole: of(self.rows), last: self.last.map(|last| (last, of(last.rows))) }
    }
}

/// Emits the body for each part of a row, which are tasks; from that with a number on.
fn for_part(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    tile: Tile,
    task: Value,
    number: usize,
    body: &mut impl FnMut(&mut Emitter<'_>, Tile),
) {
    let cols = plan.part(number);
    let part = Tile { first_col: cols.start, cols: cols.len(), ..tile };
    if number + 1 == plan.parts() {
        return body(emitter, part);
    }
    let is_this = emitter.equals(task, number);
    emitter.branch(is_this, |emitter, is_this| {
        if is_this {
            body(emitter, part);
        } else {
            for_part(emitter, plan, tile, task, number + 1, body);
        }
    });
}

/// Emits the body for all tiles of an image, one after the other.
fn for_each_tile(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    image: Value,
    mut body: impl FnMut(&mut Emitter<'_>, Tile),
) {
    let first = emitter.integer(0);
    if plan.tiles == 1 {
        return for_tile(emitter, plan, image, first, body);
    }
    let count = emitter.integer(plan.tiles as i64);
    emitter.for_range([image, first], count, plan.tiles, |emitter, [image, number]| {
        for_tile(emitter, plan, image, number, &mut body);
    });
}

fn first_stage(emitter: &mut Emitter<'_>, plan: &Plan, buffers: &Buffers, tile: Tile) {
    match plan.first {
        First::Depthwise => depthwise_stage(emitter, plan, buffers, tile, None),
        First::Gather => window::gather(emitter, plan, buffers, tile),
        First::Input => unreachable!("a phase without a first stage"),
    }
}

/// The depthwise stage of a tile: of all groups of channels, or of the one with a number.
fn depthwise_stage(
    emitter: &mut Emitter<'_>,
    plan: &Plan,
    buffers: &Buffers,
    tile: Tile,
    group: Option<Value>,
) {
    if plan.channel_vectors() {
        depthwise::channels(emitter, plan, buffers, tile, group);
    } else {
        depthwise::planar(emitter, plan, buffers, tile, group);
    }
}

impl Buffers {
    /// An argument of the function: 64 bits, two elements.
    fn argument(&self, emitter: &mut Emitter<'_>, index: usize) -> Value {
        emitter.load_integer(self.arguments.at(2 * index))
    }

    fn input(&self, emitter: &mut Emitter<'_>) -> Pointer {
        Pointer::new(self.argument(emitter, argument::INPUT))
    }

    fn weights(&self, emitter: &mut Emitter<'_>) -> Pointer {
        Pointer::new(self.argument(emitter, argument::WEIGHTS))
    }

    fn residual(&self, emitter: &mut Emitter<'_>) -> Pointer {
        Pointer::new(self.argument(emitter, argument::RESIDUAL))
    }

    fn output(&self, emitter: &mut Emitter<'_>) -> Pointer {
        Pointer::new(self.argument(emitter, argument::OUTPUT))
    }

    fn private(&self, emitter: &mut Emitter<'_>) -> Pointer {
        Pointer::new(self.argument(emitter, argument::PRIVATE))
    }

    fn shared(&self, emitter: &mut Emitter<'_>) -> Pointer {
        Pointer::new(self.argument(emitter, argument::SHARED))
    }

    /// Output and residual; where there is no residual, only the output.
    fn outputs(&self, emitter: &mut Emitter<'_>, plan: &Plan) -> Vec<Pointer> {
        let has_residual = plan.workload.pointwise().is_some_and(|stage| stage.residual);
        let mut tensors = vec![self.output(emitter)];
        if has_residual {
            tensors.push(self.residual(emitter));
        }
        tensors
    }

    /// First element of an image of the input.
    fn image(&self, emitter: &mut Emitter<'_>, plan: &Plan, image: Value) -> Pointer {
        let input = self.input(emitter);
        emitter.index(input, image, plan.channels * plan.in_rows * plan.in_cols)
    }

    /// First element of a tile of the [`Buffers::outputs`]: of its first plane, or of its first pixel.
    fn output_tile(&self, emitter: &mut Emitter<'_>, plan: &Plan, tile: Tile) -> Vec<Pointer> {
        let image_len = plan.outputs * plan.rows * plan.cols;
        let pixel_len = if plan.planar_tensors() { 1 } else { plan.outputs };
        let row_len = plan.cols * pixel_len;
        let tensors = self.outputs(emitter, plan);
        let mut first = |tensor| {
            let image = emitter.index(tensor, tile.image, image_len);
            emitter.index(image, tile.row, row_len).at(tile.first_col * pixel_len)
        };
        tensors.into_iter().map(&mut first).collect()
    }

    /// First element of a tile of the tensor between the stages.
    fn middle_tile(&self, emitter: &mut Emitter<'_>, plan: &Plan, tile: Tile) -> Pointer {
        let middle = &plan.middle;
        let tensor = match middle.place {
            Place::Private => return self.private(emitter).at(middle.offset),
            Place::Input => self.input(emitter),
            Place::Shared => self.shared(emitter),
            Place::Output => self.output(emitter),
        };
        let image = emitter.index(tensor, tile.image, plan.middle_channels * plan.rows * plan.cols);
        let pixel_len = if middle.planes { 1 } else { plan.middle_channels };
        emitter.index(image, tile.row, plan.cols * pixel_len).at(tile.first_col * pixel_len)
    }
}

/// A group of channels under construction: its slots from where the pointers stand, and its record.
struct Group<'g> {
    slots: &'g [Slot],
    record: Pointer,
    /// 0 for whole groups, then one number a rest.
    shape: usize,
}

/// Emits `body` for every group of a stage's channels: a loop over the whole ones, straight code
/// for the others. The pointers move on by their elements a channel.
fn for_each_group(
    emitter: &mut Emitter<'_>,
    records: &Records,
    weights: Pointer,
    pointers: &[(Pointer, usize)],
    mut body: impl FnMut(&mut Emitter<'_>, &Group<'_>, &[Pointer]),
) {
    let groups = &records.groups;
    let weights = weights.at(records.offset);
    let mut moving = vec![(weights, records.record_len(groups.width))];
    moving.extend(pointers.iter().map(|&(pointer, elements)| (pointer, elements * groups.width)));
    emitter.for_each(groups.full, &moving, |emitter, moved| {
        body(emitter, &Group { slots: &groups.slots, record: moved[0], shape: 0 }, &moved[1..]);
    });
    let starts: Vec<Pointer> = pointers.iter().map(|&(pointer, _)| pointer).collect();
    for (rest, slots) in groups.rest.iter().enumerate() {
        let record = weights.at(records.rest_offset(rest));
        body(emitter, &Group { slots, record, shape: rest + 1 }, &starts);
    }
}

/// Emits `body` for the group whose number is known at run time: once for the whole ones, once for
/// each other. The pointers are those of [`for_each_group`].
fn for_numbered_group(
    emitter: &mut Emitter<'_>,
    records: &Records,
    weights: Pointer,
    pointers: &[(Pointer, usize)],
    number: Value,
    body: &mut impl FnMut(&mut Emitter<'_>, &Group<'_>, &[Pointer]),
) {
    numbered_from(emitter, 0, records, weights.at(records.offset), pointers, number, body);
}

/// The same, of whole groups and the rests from `rest` on.
fn numbered_from(
    emitter: &mut Emitter<'_>,
    rest: usize,
    records: &Records,
    weights: Pointer,
    pointers: &[(Pointer, usize)],
    number: Value,
    body: &mut impl FnMut(&mut Emitter<'_>, &Group<'_>, &[Pointer]),
) {
    let groups = &records.groups;
    let Some(slots) = groups.rest.get(rest) else {
        let record = emitter.index(weights, number, records.record_len(groups.width));
        let moved: Vec<Pointer> = pointers
            .iter()
            .map(|&(pointer, elements)| emitter.index(pointer, number, elements * groups.width))
            .collect();
        return body(emitter, &Group { slots: &groups.slots, record, shape: 0 }, &moved);
    };
    let group = Group { slots, record: weights.at(records.rest_offset(rest)), shape: rest + 1 };
    let starts: Vec<Pointer> = pointers.iter().map(|&(pointer, _)| pointer).collect();
    if groups.full == 0 && rest + 1 == groups.rest.len() {
        return body(emitter, &group, &starts);
    }
    let is_this = emitter.equals(number, groups.full + rest);
    emitter.branch(is_this, |emitter, is_this| {
        if is_this {
            body(emitter, &group, &starts);
        } else {
            numbered_from(emitter, rest + 1, records, weights, pointers, number, body);
        }
    });
}

/// The CLIF of a plan's functions, as text.
pub(crate) fn clif_text(functions: &[Function]) -> String {
    functions.iter().map(ir::Function::to_string).collect::<Vec<_>>().join("\n")
}
