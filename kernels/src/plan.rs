//! The numbers that follow from a checked schedule: extents, scratch memory, packed weights,
//! phases. Packing, code generation and the call all read them here, so they cannot disagree.
//!
//! All lengths and pitches are in elements.

use std::ops::Range;

use crate::cover::{self, Cover};
use crate::packing::Records;
use crate::schedule::{CheckedSchedule, Family, Fusion, Schedule, Split, Tail, Window};
use crate::target::Target;
use crate::workload::{Layout, Workload};

/// Elements to which buffers and records are aligned: one cache line.
pub(crate) const LINE: usize = 16;

/// Where the operand of the pointwise stage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// A depthwise stage.
    Depthwise,
    /// No depthwise stage and a strided pointwise stage: the pixels that are read are copied.
    Gather,
    /// No depthwise stage: the input itself.
    Input,
}

/// Memory that holds the operand of the pointwise stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The input.
    Input,
    /// One tile, in each thread's scratch.
    Private,
    /// The whole tensor, shared by all threads.
    Shared,
    /// The output: there is no pointwise stage.
    Output,
}

/// The tensor between the stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Middle {
    pub(crate) place: Place,
    /// Whether it is stored as planes; else as pixels.
    pub(crate) planes: bool,
    /// From one plane, or from one pixel, to the next.
    pub(crate) pitch: usize,
    /// Where it starts in the scratch, when private.
    pub(crate) offset: usize,
}

/// What the depthwise micro-kernel reads: a zero-padded copy in the scratch, or the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowPlan {
    /// Where it starts in the scratch; of the input itself, where a line of zeros does that stands
    /// for rows of padding.
    pub(crate) offset: usize,
    /// Where there is room in the scratch for a pointer to each row that may be padding.
    pub(crate) lines: usize,
    /// From one row to the next.
    pub(crate) row_pitch: usize,
    /// From one column to the next.
    pub(crate) col_pitch: usize,
    /// Planar windows keep columns `phase`, `phase + stride`, ... side by side; from one such run
    /// to the next.
    pub(crate) phase_pitch: usize,
}

/// What threads divide among them in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// Tiles of rows.
    Tiles,
    /// Groups of channels of the stage, over whole images.
    ChannelGroups,
}

/// One generated function. All tasks of a phase end before the next phase starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) first: bool,
    pub(crate) pointwise: bool,
    pub(crate) tasks: Tasks,
    /// Tasks of one image.
    pub(crate) count: usize,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) schedule: Schedule,
    pub(crate) workload: Workload,
    pub(crate) target: Target,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) multiplier: usize,
    /// Channels between the stages.
    pub(crate) middle_channels: usize,
    pub(crate) outputs: usize,
    pub(crate) in_rows: usize,
    pub(crate) in_cols: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) kernel: [usize; 2],
    /// Input pixels from one output pixel to the next, both stages together.
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) pad: [usize; 2],
    pub(crate) tile_rows: usize,
    pub(crate) tiles: usize,
    /// Columns of a tile, fewer than all only where the plane is one row.
    pub(crate) tile_cols: usize,
    pub(crate) first: First,
    pub(crate) middle: Middle,
    /// One window per shape of a depthwise channel group: that of whole groups, then the rests.
    pub(crate) windows: Vec<WindowPlan>,
    /// Columns of the input that a copied window holds.
    pub(crate) copied_cols: usize,
    /// Tile of output pixels before the transposing store.
    pub(crate) staging: usize,
    pub(crate) depthwise: Option<Records>,
    pub(crate) pointwise: Option<Records>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) weights_len: usize,
    pub(crate) private_len: usize,
    pub(crate) shared_len: usize,
}

/// Hands out parts of a buffer.
struct Arena(usize);

impl Arena {
    fn take(&mut self, len: usize) -> usize {
        let at = self.0;
        self.0 += len.next_multiple_of(LINE);
        at
    }
}

impl Plan {
    pub(crate) fn new(checked: &CheckedSchedule) -> Self {
        let schedule = *checked.schedule();
        let workload = *checked.workload();
        let [rows, cols] = workload.output_extent();
        let depthwise = workload.depthwise();
        let pair = |[rows, cols]: [u32; 2]| [rows as usize, cols as usize];
        let stride = workload.pixel_stride();
        let first = match depthwise {
            Some(_) => First::Depthwise,
            None if stride != [1, 1] => First::Gather,
            None => First::Input,
        };
        let tile_rows = usize::from(schedule.tile_rows).min(rows);
        let mut plan = Self {
            schedule,
            workload,
            target: *checked.target(),
            batch: workload.batch(),
            channels: workload.channels(),
            multiplier: depthwise.map_or(1, |stage| stage.multiplier as usize),
            middle_channels: workload.middle_channels(),
            outputs: workload.output_channels(),
            in_rows: workload.height(),
            in_cols: workload.width(),
            rows,
            cols,
            kernel: pair(depthwise.map_or([1, 1], |stage| stage.kernel)),
            stride,
            dilation: pair(depthwise.map_or([1, 1], |stage| stage.dilation)),
            pad: depthwise.map_or([0, 0], |stage| pair([stage.padding.top, stage.padding.left])),
            tile_rows,
            tiles: rows.div_ceil(tile_rows),
            tile_cols: schedule.tile_cols.map_or(cols, usize::from).min(cols),
            first,
            middle: Middle { place: Place::Input, planes: true, pitch: 0, offset: 0 },
            windows: Vec::new(),
            copied_cols: 0,
            staging: 0,
            depthwise: None,
            pointwise: None,
            phases: Vec::new(),
            weights_len: 0,
            private_len: 0,
            shared_len: 0,
        };
        plan.lay_out_weights();
        plan.lay_out_scratch();
        plan.phases = plan.list_phases();
        plan
    }

    /// Whether the vectors of the depthwise stage hold channels.
    pub(crate) fn channel_vectors(&self) -> bool {
        matches!(self.schedule.family, Family::ChannelsBlocked | Family::Nhwc)
    }

    /// Whether output comes out transposed and goes through the staging tile.
    pub(crate) fn transposes(&self) -> bool {
        match self.schedule.family {
            Family::ChannelsPlanar | Family::ChannelsBlocked => true,
            Family::Pixels | Family::Nhwc => false,
        }
    }

    /// Pixels of a whole tile.
    pub(crate) fn tile_pixels(&self) -> usize {
        self.tile_rows * self.tile_cols
    }

    /// Tiles side by side.
    pub(crate) fn parts(&self) -> usize {
        self.cols.div_ceil(self.tile_cols)
    }

    /// Columns of the tiles with a number, counted from the left.
    pub(crate) fn part(&self, number: usize) -> Range<usize> {
        let first = number * self.tile_cols;
        first..self.cols.min(first + self.tile_cols)
    }

    /// Rows of input under `rows` output rows.
    pub(crate) fn window_rows(&self, rows: usize) -> usize {
        self.window_row(rows - 1, self.kernel[0] - 1) + 1
    }

    /// Row of input under a tap of an output row, both counted from the first.
    pub(crate) fn window_row(&self, row: usize, tap: usize) -> usize {
        row * self.stride[0] + tap * self.dilation[0]
    }

    /// Whether a row of input under `rows` output rows has a tap on it.
    pub(crate) fn meets_taps(&self, window_row: usize, rows: usize) -> bool {
        (0..rows).any(|row| (0..self.kernel[0]).any(|tap| self.window_row(row, tap) == window_row))
    }

    /// Columns of input under `cols` output columns.
    pub(crate) fn window_cols(&self, cols: usize) -> usize {
        self.window_col(cols - 1, self.kernel[1] - 1) + 1
    }

    /// Column of input under a tap of an output column, both counted from the first.
    pub(crate) fn window_col(&self, col: usize, tap: usize) -> usize {
        col * self.stride[1] + tap * self.dilation[1]
    }

    /// Whether a column of the window under the output columns from `first` on is in the input.
    pub(crate) fn is_col_inside(&self, first: usize, window_col: usize) -> bool {
        let col = first * self.stride[1] + window_col;
        (self.pad[1]..self.pad[1] + self.in_cols).contains(&col)
    }

    /// Whether all columns of input under some output columns are in the input.
    pub(crate) fn columns_are_inside(&self, first: usize, cols: usize) -> bool {
        self.is_col_inside(first, 0) && self.is_col_inside(first, self.window_cols(cols) - 1)
    }

    /// Columns of input under all output columns.
    pub(crate) fn needed_cols(&self) -> usize {
        self.window_cols(self.cols)
    }

    /// Whether no window reaches past the input, so that nothing needs padding.
    pub(crate) fn is_unpadded(&self) -> bool {
        self.pad == [0, 0] && self.rows_are_inside() && self.needed_cols() <= self.in_cols
    }

    /// Whether no window reaches above or below the input.
    pub(crate) fn rows_are_inside(&self) -> bool {
        self.pad[0] == 0 && self.window_rows(self.rows) <= self.in_rows
    }

    /// How the columns of a tile are covered by a planar depthwise stage.
    pub(crate) fn column_cover(&self, cols: usize) -> Option<Cover> {
        let tile = self.schedule.depthwise?;
        Some(Cover::new(cols, tile.lanes.into(), tile.vectors.into(), tile.tail))
    }

    fn lay_out_weights(&mut self) {
        let mut arena = Arena(0);
        if let (Some(stage), Some(tile)) = (self.workload.depthwise(), self.schedule.depthwise) {
            let groups = if self.channel_vectors() {
                Cover::new(self.middle_channels, tile.lanes.into(), tile.vectors.into(), tile.tail)
            } else {
                Cover::scalars(self.middle_channels, 1)
            };
            let records =
                Records::new(groups, stage.taps(), stage.bias, stage.activation.has_slopes());
            self.depthwise = Some(records.placed(|len| arena.take(len)));
        }
        if let (Some(stage), Some(tile)) = (self.workload.pointwise(), self.schedule.pointwise) {
            let groups = if self.schedule.family == Family::Pixels {
                Cover::scalars(self.outputs, tile.broadcasts.into())
            } else {
                Cover::new(self.outputs, tile.lanes.into(), tile.vectors.into(), tile.tail)
            };
            let records = Records::new(
                groups,
                self.middle_channels,
                stage.bias,
                stage.activation.has_slopes(),
            );
            self.pointwise = Some(records.placed(|len| arena.take(len)));
        }
        self.weights_len = arena.0;
    }

    fn lay_out_scratch(&mut self) {
        let mut arena = Arena(0);
        self.place_windows(&mut arena);
        self.place_middle(&mut arena);
        if self.transposes() {
            let stage = if self.pointwise.is_some() { &self.pointwise } else { &self.depthwise };
            let groups = stage.iter().flat_map(|records| records.groups.groups());
            let widest = groups.map(|slots| cover::width(&slots)).max().unwrap_or(0);
            let whole_images =
                self.list_phases().iter().any(|phase| phase.tasks == Tasks::ChannelGroups);
            let pixels = if whole_images { self.rows * self.cols } else { self.tile_pixels() };
            self.staging = arena.take(pixels * widest);
        }
        self.private_len = arena.0;
    }

    fn place_windows(&mut self, arena: &mut Arena) {
        let (Some(tile), Some(records)) = (self.schedule.depthwise, &self.depthwise) else {
            return;
        };
        self.copied_cols = self.in_cols.min(self.needed_cols().saturating_sub(self.pad[1]));
        if tile.window == Window::Direct {
            let col_pitch = if self.channel_vectors() { self.channels } else { 1 };
            let row_pitch = self.in_cols * col_pitch;
            let offset = if self.rows_are_inside() { 0 } else { arena.take(row_pitch) };
            let rows = if self.channel_vectors() { 1 } else { usize::from(tile.rows) };
            // A pointer has two elements.
            let pointers = 2 * self.window_rows(rows.min(self.tile_rows));
            let lines = if self.rows_are_inside() { 0 } else { arena.take(pointers) };
            let window = WindowPlan { offset, lines, row_pitch, col_pitch, phase_pitch: 0 };
            self.windows = vec![window; records.groups.rest.len() + 1];
            return;
        }
        let rows = self.window_rows(self.tile_rows);
        if !self.channel_vectors() {
            let covered = match tile.tail {
                Tail::Overrun | Tail::Masked => self.cols.next_multiple_of(tile.lanes.into()),
                Tail::Overlap | Tail::Narrow => self.cols,
            };
            let extra = (covered - self.cols) * self.stride[1];
            let phase_pitch = (self.needed_cols() + extra).div_ceil(self.stride[1]);
            let row_pitch = (phase_pitch * self.stride[1]).next_multiple_of(LINE);
            let offset = arena.take(rows * row_pitch);
            self.windows =
                vec![WindowPlan { offset, lines: 0, row_pitch, col_pitch: 1, phase_pitch }];
            return;
        }
        let shared = self.multiplier > 1;
        // Of a window of all channels, surplus lanes read the pixel that comes next.
        let behind = if shared && tile.tail == Tail::Masked { tile.lanes.into() } else { 0 };
        let mut place = |width: usize| {
            let row_pitch = self.needed_cols() * width;
            WindowPlan {
                offset: arena.take(rows * row_pitch + behind),
                lines: 0,
                row_pitch,
                col_pitch: width,
                phase_pitch: 0,
            }
        };
        self.windows = if shared {
            vec![place(self.middle_channels); records.groups.rest.len() + 1]
        } else {
            let rests = records.groups.rest.iter().map(|slots| cover::width(slots));
            let widths: Vec<usize> = std::iter::once(records.groups.width).chain(rests).collect();
            widths.into_iter().map(place).collect()
        };
    }

    fn place_middle(&mut self, arena: &mut Arena) {
        let planes = !self.channel_vectors();
        let plane = self.rows * self.cols;
        let pitch_of = |plane| if planes { plane } else { self.middle_channels };
        self.middle = if self.pointwise.is_none() {
            Middle { place: Place::Output, planes, pitch: pitch_of(plane), offset: 0 }
        } else if self.first == First::Input {
            Middle { place: Place::Input, planes, pitch: pitch_of(plane), offset: 0 }
        } else if self.schedule.fusion == Fusion::Staged && self.first == First::Depthwise {
            self.shared_len = self.batch * self.middle_channels * plane;
            Middle { place: Place::Shared, planes, pitch: pitch_of(plane), offset: 0 }
        } else {
            let mut pitch = pitch_of(self.tile_pixels().next_multiple_of(LINE));
            if let Some(tile) = self.schedule.depthwise
                && tile.tail == Tail::Masked
                && !planes
            {
                // Surplus lanes are stored behind the channels of each pixel.
                pitch = pitch.next_multiple_of(tile.lanes.into());
            }
            let count = if planes { self.middle_channels } else { self.tile_pixels() };
            // An overrunning last row of the last plane ends up to one vector late.
            let offset = arena.take(count * pitch + LINE);
            Middle { place: Place::Private, planes, pitch, offset }
        };
    }

    fn list_phases(&self) -> Vec<Phase> {
        let tiles = |first, pointwise| Phase {
            first,
            pointwise,
            tasks: Tasks::Tiles,
            count: self.tiles * self.parts(),
        };
        let first = || match self.schedule.split {
            Split::Rows => tiles(true, false),
            Split::Channels => {
                let count = self.depthwise_tasks();
                Phase { first: true, pointwise: false, tasks: Tasks::ChannelGroups, count }
            }
        };
        let Some(pointwise) = &self.pointwise else { return vec![first()] };
        let alone = match self.schedule.split {
            Split::Rows => tiles(false, true),
            Split::Channels => {
                let count = pointwise.groups.len();
                Phase { first: false, pointwise: true, tasks: Tasks::ChannelGroups, count }
            }
        };
        match (self.first, self.schedule.fusion) {
            (First::Input, _) => vec![alone],
            (First::Depthwise, Fusion::Staged) => vec![first(), alone],
            (First::Depthwise, Fusion::Fused) | (First::Gather, _) => vec![tiles(true, true)],
        }
    }

    /// Groups of channels that the depthwise stage can compute one by one: input planes with all
    /// their filters, or vectors.
    fn depthwise_tasks(&self) -> usize {
        match &self.depthwise {
            Some(records) if self.channel_vectors() => records.groups.len(),
            _ => self.channels,
        }
    }

    /// Whether tensors of the workload are planes.
    pub(crate) fn planar_tensors(&self) -> bool {
        self.workload.layout() == Layout::Nchw
    }
}
