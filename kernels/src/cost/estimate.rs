//! Cycles of a schedule, by part: counted from the same plan that code generation follows.

use super::machine::{LINE_BYTES, Machine, WAY_BYTES, Work, unaligned};
use super::makespan;
use crate::activation::Activation;
use crate::cover::{Cover, Slot, WIDTHS};
use crate::plan::{First, LINE, Phase, Place, Plan, Tasks};
use crate::schedule::{CheckedSchedule, Family, LoopOrder, Packing, Tail, Taps, Window};

/// Reduction length from which row-major weights of a power-of-two pitch fall into few cache sets.
const ALIASING: usize = 256;

/// Cycles of one run, by part. They rank schedules of one workload; that they are near the truth
/// is not asked of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Copying the input to padded windows.
    pub window: f64,
    /// The depthwise stage.
    pub depthwise: f64,
    /// The pointwise stage.
    pub pointwise: f64,
    /// Transposing the output.
    pub transpose: f64,
    /// Waiting for data from beyond the first-level cache.
    pub memory: f64,
    /// Waiting for the other threads.
    pub imbalance: f64,
}

impl Estimate {
    /// All parts together.
    pub fn cycles(&self) -> f64 {
        self.window
            + self.depthwise
            + self.pointwise
            + self.transpose
            + self.memory
            + self.imbalance
    }

    fn plus(self, other: Self) -> Self {
        Self {
            window: self.window + other.window,
            depthwise: self.depthwise + other.depthwise,
            pointwise: self.pointwise + other.pointwise,
            transpose: self.transpose + other.transpose,
            memory: self.memory + other.memory,
            imbalance: self.imbalance + other.imbalance,
        }
    }

    fn times(self, count: f64) -> Self {
        Self {
            window: self.window * count,
            depthwise: self.depthwise * count,
            pointwise: self.pointwise * count,
            transpose: self.transpose * count,
            memory: self.memory * count,
            imbalance: self.imbalance * count,
        }
    }
}

/// Estimates a run on so many threads.
///
/// ```
/// use dsconv_kernels::{Schedule, Target, Workload, cost};
///
/// let workload: Workload = "f32 nchw 1x64x56x56 dw:3x3,p1,relu pw:64,relu".parse()?;
/// let target = Target::host();
/// let best = cost::default_schedule(&workload, &target, 1);
/// let slow = Schedule { tile_rows: 1, ..*best.schedule() }.check(&workload, &target)?;
/// assert!(cost::estimate(&best, 1).cycles() < cost::estimate(&slow, 1).cycles());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn estimate(schedule: &CheckedSchedule, threads: usize) -> Estimate {
    estimate_on(Machine::of(schedule.target()), schedule, threads)
}

/// The same by other figures of the machine.
pub fn estimate_on(machine: &Machine, schedule: &CheckedSchedule, threads: usize) -> Estimate {
    let threads = threads.max(1);
    let counted = Counted { plan: &Plan::new(schedule), machine };
    let phases = counted.plan.phases.iter().enumerate();
    phases
        .map(|(index, phase)| {
            let image = match phase.tasks {
                Tasks::Tiles => counted.image(phase.first, phase.pointwise),
                Tasks::ChannelGroups if phase.first => counted.image(true, false),
                Tasks::ChannelGroups => {
                    let pixels = counted.plan.rows * counted.plan.cols;
                    counted.pointwise_stage(pixels)
                }
            };
            let last = match phase.tasks {
                Tasks::Tiles => counted
                    .tile(counted.last_rows(), phase.first, phase.pointwise)
                    .times(counted.last_part()),
                Tasks::ChannelGroups => image.times(counted.last_group(phase)),
            };
            let batch = counted.plan.batch;
            let tasks = makespan::Tasks {
                count: batch * phase.count,
                cycles: image.cycles() * batch as f64,
                last: last.cycles(),
            };
            let late = if index == 0 { machine.join } else { 0.0 };
            let mut busiest = image.times(batch as f64 / threads as f64);
            busiest.imbalance += tasks.makespan(threads, late) - busiest.cycles();
            if threads > 1 && index > 0 {
                busiest.imbalance += machine.barrier;
                busiest.memory += counted.handed_over(phase, threads);
            }
            busiest
        })
        .fold(Estimate::default(), Estimate::plus)
}

/// A plan whose instructions are counted.
struct Counted<'p> {
    plan: &'p Plan,
    machine: &'p Machine,
}

impl Counted<'_> {
    /// All tiles of an image.
    fn image(&self, first: bool, pointwise: bool) -> Estimate {
        let plan = self.plan;
        let whole = self.tile(plan.tile_rows, first, pointwise);
        let last = if self.last_rows() == plan.tile_rows {
            whole
        } else {
            self.tile(self.last_rows(), first, pointwise)
        };
        whole.times((plan.tiles - 1) as f64).plus(last)
    }

    /// A tile of so many rows.
    fn tile(&self, rows: usize, first: bool, pointwise: bool) -> Estimate {
        let mut estimate = Estimate::default();
        if first {
            estimate = estimate.plus(self.first_stage(rows));
        }
        if pointwise {
            estimate = estimate.plus(self.pointwise_stage(rows * self.plan.cols));
        }
        estimate
    }

    /// Rows of the last tile of an image.
    fn last_rows(&self) -> usize {
        self.plan.rows - (self.plan.tiles - 1) * self.plan.tile_rows
    }

    /// Part of a row's columns that its last tile is.
    fn last_part(&self) -> f64 {
        let plan = self.plan;
        plan.part(plan.parts() - 1).len() as f64 / plan.cols as f64
    }

    /// Part of the phase's work on an image that its last group of channels is.
    fn last_group(&self, phase: &Phase) -> f64 {
        let records = if phase.first { &self.plan.depthwise } else { &self.plan.pointwise };
        let Some(groups) = records.as_ref().map(|records| &records.groups) else { return 1.0 };
        if groups.len() != phase.count {
            return 1.0 / phase.count as f64;
        }
        let rests = groups.rest.iter().map(Vec::len);
        let last = groups.rest.last().map_or(groups.slots.len(), Vec::len);
        last as f64 / (groups.full * groups.slots.len() + rests.sum::<usize>()) as f64
    }

    /// Cycles of waiting for what other threads have put into the tensor between the stages.
    fn handed_over(&self, phase: &Phase, threads: usize) -> f64 {
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

    fn first_stage(&self, rows: usize) -> Estimate {
        match self.plan.first {
            First::Input => Estimate::default(),
            First::Gather => {
                let elements = (rows * self.plan.cols * self.plan.channels) as f64;
                let copied = Work { loads: 1.0, stores: 1.0, ..Work::default() };
                Estimate {
                    window: copied.times(elements / 2.0).cycles(self.machine),
                    ..Estimate::default()
                }
            }
            First::Depthwise if self.plan.channel_vectors() => self.depthwise_channels(rows),
            First::Depthwise => self.depthwise_planar(rows),
        }
    }

    /// Depthwise stage of a tile, vectors of pixels.
    fn depthwise_planar(&self, rows: usize) -> Estimate {
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
    fn depthwise_channels(&self, rows: usize) -> Estimate {
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

    /// Pointwise stage over some pixels.
    fn pointwise_stage(&self, pixels: usize) -> Estimate {
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

    /// Cycles of waiting for operand and weights of the pointwise stage.
    fn pointwise_waiting(&self, pixel_cover: &Cover, pixels: usize) -> f64 {
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
    fn input_waiting(&self, rows: usize) -> f64 {
        let plan = self.plan;
        let row_bytes = (plan.in_cols * plan.channels) as f64 * 4.0;
        let all = plan.window_rows(rows).min(plan.in_rows);
        let new = (rows * plan.stride[0]).min(all);
        self.waiting(new as f64 * row_bytes, self.tensor_bytes())
            + self.waiting((all - new) as f64 * row_bytes, self.tile_bytes(rows))
    }

    /// Cycles of waiting to write and read a copied window, for each channel or group of them.
    fn window_waiting(&self, rows: usize, windows: f64) -> f64 {
        let plan = self.plan;
        let Some(window) = plan.windows.first().filter(|_| self.copies_windows()) else {
            return 0.0;
        };
        let bytes = (plan.window_rows(rows) * window.row_pitch) as f64 * 4.0;
        // Between writing and reading come the input that is copied and the output.
        self.waiting(2.0 * bytes * windows, 2.0 * bytes)
    }

    /// Cycles that `bytes` cost because they come from the smallest cache that holds `footprint`.
    fn waiting(&self, bytes: f64, footprint: f64) -> f64 {
        self.machine.waiting(&self.plan.target, bytes, footprint)
    }

    fn copies_windows(&self) -> bool {
        self.plan.schedule.depthwise.is_some_and(|tile| tile.window == Window::Copied)
    }

    /// Cycles of waiting to write the tensor between the stages.
    fn middle_waiting(&self, rows: usize) -> f64 {
        let plan = self.plan;
        let bytes = (rows * plan.cols * plan.middle_channels) as f64 * 4.0;
        let footprint = match plan.middle.place {
            Place::Private | Place::Input => self.tile_bytes(rows),
            Place::Shared | Place::Output => self.tensor_bytes(),
        };
        self.waiting(bytes, footprint)
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

    /// Rows of input that a tap of `rows` output rows meets.
    fn touched_rows(&self, rows: usize) -> usize {
        let all = 0..self.plan.window_rows(rows);
        all.filter(|&window_row| self.plan.meets_taps(window_row, rows)).count()
    }

    /// One row of a planar window: copied, and divided by phases where the stride asks for it.
    fn copied_row(&self, cols: usize, stride: usize) -> Work {
        let lanes = usize::from(self.plan.target.lanes);
        let used = stride.min(self.plan.kernel[1]);
        let count = cols.div_ceil(stride);
        // The last vector overlaps the one before; few elements take narrower ones.
        let vectors = if count >= lanes { count.div_ceil(lanes) } else { pieces(count, lanes) };
        let each = match stride {
            1 => Work { loads: 1.1, stores: 1.1, ..Work::default() },
            2 => Work { loads: 2.5, stores: 1.1, shuffles: 1.0, ..Work::default() },
            // Element by element.
            _ => {
                Work { loads: 1.0, stores: 1.0, others: self.machine.loop_step, ..Work::default() }
                    .times(lanes as f64)
            }
        };
        let row = Work {
            others: 2.0 * self.machine.loop_step,
            stalls: self.machine.window_row,
            ..Work::default()
        };
        each.times((vectors * used) as f64).plus(row)
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

    /// Storing the masked vectors of a cover so many times: what masks cost beside.
    fn masks(&self, cover: &Cover, times: f64) -> Work {
        let masked = cover.rest.iter().flatten().filter(|slot| slot.surplus() > 0);
        let of_slot = |slot: &Slot| match self.plan.target.isa.wide() {
            Some(_) => {
                let split = unaligned(slot.lanes) - 1.0;
                Work { stores: self.machine.masked_store * split, ..Work::default() }
            }
            // Element by element.
            None => Work { others: slot.valid as f64, ..Work::default() },
        };
        masked.map(of_slot).fold(Work::default(), Work::plus).times(times)
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

    /// One vector of channels made of planes: four pixels of each go into its 128-bit lanes.
    fn transposed_in(&self) -> Work {
        let parts = (f64::from(self.plan.target.lanes) / 4.0).max(1.0);
        Work {
            loads: parts,
            stores: 1.0,
            shuffles: 2.0,
            others: 2.0 * (parts - 1.0) + self.machine.loop_step / 4.0,
            ..Work::default()
        }
    }

    /// One vector of channels that goes to planes, each 128-bit lane to one of them.
    fn transposed_out(&self) -> Work {
        let parts = (f64::from(self.plan.target.lanes) / 4.0).max(1.0);
        Work {
            loads: 1.0,
            // Each to a line of its own.
            stores: 2.0 * parts,
            shuffles: 1.0 + parts,
            others: self.machine.loop_step / 4.0,
            ..Work::default()
        }
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

/// One vector that is copied.
fn copied() -> Work {
    Work { loads: 1.25, stores: 1.25, others: 0.5, ..Work::default() }
}

/// Vectors that cover an extent exactly, the widest first.
fn pieces(extent: usize, widest: usize) -> usize {
    let mut left = extent;
    WIDTHS
        .into_iter()
        .filter(|&lanes| lanes <= widest.max(1))
        .map(|lanes| {
            let count = left / lanes;
            left %= lanes;
            count
        })
        .sum()
}

/// Instructions of an activation on a vector, roughly.
fn activation_instructions(activation: Activation) -> f64 {
    match activation {
        Activation::None => 0.0,
        Activation::Relu => 1.0,
        Activation::Relu6 | Activation::Clamp { .. } => 2.0,
        Activation::LeakyRelu { .. } | Activation::Prelu => 3.0,
        Activation::HardSigmoid | Activation::HardSwish => 4.0,
        _ => 25.0,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::target::{Isa, Target};
    use crate::testing::random_schedule;
    use crate::workload::Workload;

    const BLOCK: &str = "f32 nchw 1x256x28x28 dw:3x3,p1,bias,relu pw:256,bias,relu";

    fn cycles(workload: &str, schedule: &str, threads: usize) -> f64 {
        cycles_on(&Target::of(Isa::Avx512), workload, schedule, threads)
    }

    fn cycles_on(target: &Target, workload: &str, schedule: &str, threads: usize) -> f64 {
        let workload: Workload = workload.parse().expect("a workload");
        let schedule: crate::Schedule = schedule.parse().expect("a schedule");
        let checked = schedule.check(&workload, target).expect("a legal schedule");
        estimate(&checked, threads).cycles()
    }

    #[test]
    fn every_legal_schedule_has_a_finite_estimate_above_zero() {
        let mut rng = StdRng::seed_from_u64(5);
        for line in [
            BLOCK,
            "f32 nhwc 2x12x9x7 dw:5x5,s2,p2,bias pw:20,bias,residual,hard_swish",
            "f32 nchw 1x8x1x50 dw:1x9,p4,bias pw:8",
            "f32 nchw 1x24x14x14 dw:3x3,d3,p3,m2,bias,silu",
            "f32 nhwc 1x32x7x7 pw:40,bias,prelu",
            "f32 nchw 1x32x9x9 pw:40,s2",
        ] {
            let workload: Workload = line.parse().expect("a workload");
            for isa in [Isa::Fma, Isa::Avx2, Isa::Avx512] {
                for threads in [1, 2, 64] {
                    let checked = random_schedule(&mut rng, &workload, &Target::of(isa));
                    let cycles = estimate(&checked, threads).cycles();
                    assert!(cycles.is_finite() && cycles > 0.0, "{line}: {}", checked.schedule());
                }
            }
        }
    }

    #[test]
    fn what_is_known_to_be_slow_is_estimated_to_be_slow() {
        const GOOD: &str = "pixels fused rows t14 dw:l16,r4,v1,registers,overlap,copied \
                            pw:l16,b8,v2,u4,narrow,panels,pixels_outer";
        for (slow, than, at_least) in [
            // Halos are read again and again.
            ("t14", "t1", 1.2),
            // One accumulator waits for its own result.
            ("b8,v2", "b1,v1", 3.0),
            // A quarter of the width.
            ("pw:l16", "pw:l4", 2.0),
        ] {
            let other = GOOD.replace(slow, than);
            let ratio = cycles(BLOCK, &other, 1) / cycles(BLOCK, GOOD, 1);
            assert!(ratio > at_least, "{other}: {ratio}");
        }
    }

    #[test]
    fn what_a_zen_3_was_seen_to_run_slowly_is_estimated_to_be_slow_there() {
        const BLOCK: &str = "f32 nchw 1x192x28x28 dw:3x3,s2,p1,bias,relu6 pw:64,bias";
        const POINTWISE: &str = "pw:l8,b4,v2,u4,narrow,panels,channels_outer";
        let target = Target::of(Isa::Avx2).with_caches(32 << 10, 512 << 10);
        let cycles = |rest: &str| cycles_on(&target, BLOCK, &format!("{rest} {POINTWISE}"), 1);
        let fast = cycles("channels_blocked fused rows t7 dw:l8,r4,v1,registers,narrow,copied");
        // 1.24 and 1.32 times as long.
        for slow in ["masked,direct", "narrow,direct"] {
            let rest = format!("channels_planar fused rows t7 dw:l8,r2,v1,registers,{slow}");
            let ratio = cycles(&rest) / fast;
            assert!(ratio > 1.1, "{rest}: {ratio}");
        }
    }

    #[test]
    fn what_a_zen_4_was_seen_to_run_slowly_is_estimated_to_be_slow_there() {
        let split = Target { splits_vectors: true, ..Target::of(Isa::Avx512) };
        let slower = |target: &Target, channels: usize| {
            let block = format!("f32 nhwc 1x{channels}x7x7 dw:3x3,p1 pw:{channels}");
            let of_pixels = |pixels: usize| {
                let schedule = format!(
                    "nhwc fused rows t7 dw:l16,r2,v2,registers,narrow,direct \
                     pw:l16,b{pixels},v2,u4,narrow,panels,channels_outer"
                );
                cycles_on(target, &block, &schedule, 1)
            };
            of_pixels(10) / of_pixels(7)
        };
        // Ten rows of 4 KiB are in the same sets of a cache that has eight ways: 1.2 to 1.4 times as
        // long.
        let [crowded, spread] = [1024, 960].map(|channels| slower(&split, channels));
        assert!(crowded > 1.1, "{crowded}");
        assert!(spread < 1.0, "{spread}");
        // Twelve ways have room for them.
        let roomy = slower(&split.with_caches(48 << 10, 1 << 20), 1024);
        assert!(roomy < 1.0, "{roomy}");
    }

    #[test]
    fn threads_help_as_far_as_there_are_tiles() {
        let tiled = |rows: usize, threads| {
            let schedule = format!(
                "pixels fused rows t{rows} dw:l16,r4,v1,registers,overlap,copied \
                 pw:l16,b8,v2,u4,narrow,panels,pixels_outer"
            );
            cycles(BLOCK, &schedule, threads)
        };
        assert!(tiled(14, 2) < 0.6 * tiled(14, 1));
        assert!(tiled(28, 2) > 0.99 * tiled(28, 1));
        // Three tiles on two threads take as long as four.
        let (three, four) = (tiled(10, 2) / tiled(10, 1), tiled(7, 2) / tiled(7, 1));
        assert!(three > four + 0.1, "{three} {four}");
    }
}
