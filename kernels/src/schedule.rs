//! How to compute a workload. A schedule is plain data; [`Schedule::check`] is the only door to
//! code generation.
//!
//! ```
//! use dsconv_kernels::{Depthwise, Schedule, Target, Workload};
//!
//! let workload = Workload::builder([1, 32, 56, 56]).depthwise(Depthwise::kernel(3, 3).padding(1)).build()?;
//! let schedule: Schedule = "pixels fused rows t14 dw:l4,r4,v1,registers,overlap,copied".parse()?;
//! assert!(schedule.check(&workload, &Target::host()).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::target::Target;
use crate::workload::Workload;

mod check;
mod text;

pub use check::{IllegalSchedule, Stage};
pub use text::ParseScheduleError;

/// Which dimension fills the vectors, and how the stages hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Vectors of pixels in both stages; NCHW.
    Pixels,
    /// Vectors of pixels in the depthwise stage, of output channels in the pointwise stage, and a
    /// transposing store; NCHW.
    ChannelsPlanar,
    /// A transposing copy of the input, then vectors of channels in both stages and a transposing
    /// store; NCHW.
    ChannelsBlocked,
    /// Vectors of channels in both stages; NHWC.
    Nhwc,
}

/// Whether the tensor between the stages ever exists as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// Each tile of rows goes through both stages at once; the intermediate is one tile.
    Fused,
    /// The depthwise stage ends before the pointwise stage starts.
    Staged,
}

/// What threads divide among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Tiles of rows.
    Rows,
    /// Groups of channels: of each stage its own, so that planes of few rows busy many threads;
    /// not in fused schedules.
    Channels,
}

/// How the elements that do not fill a vector are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// The last vector ends at the last element and computes some elements a second time.
    Overlap,
    /// Narrower and narrower vectors, down to single elements.
    Narrow,
    /// A full vector that runs into the next row of the scratch tile, which is computed later.
    Overrun,
    /// A full vector whose surplus lanes are neither read nor written.
    Masked,
}

/// Where the micro-kernel keeps the depthwise taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taps {
    /// In vector registers for a whole row.
    Registers,
    /// In memory, read at each use.
    Memory,
}

/// What the depthwise stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A zero-padded copy of the rows of the tile.
    Copied,
    /// The input itself. Vectors that reach past a row are loaded under a mask, and rows of padding
    /// are zeros. A column stride above 2 of planes needs a copy.
    Direct,
}

/// Layout of the pointwise weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// One panel per register tile, contiguous along the reduction.
    Panels,
    /// As given: one row of input channels per output channel.
    RowMajor,
}

/// Nesting of the pointwise loops over one tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopOrder {
    /// Output channels outside, pixels inside.
    ChannelsOuter,
    /// Pixels outside, output channels inside.
    PixelsOuter,
}

/// Register tile and vectors of the depthwise micro-kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseTile {
    /// `f32` lanes of a vector.
    pub lanes: u8,
    /// Output rows computed at once where vectors hold pixels, output columns where they hold channels.
    pub rows: u8,
    /// Vectors side by side.
    pub vectors: u8,
    /// Where the taps are kept.
    pub taps: Taps,
    /// How the rest of a row (or of the channels) is computed.
    pub tail: Tail,
    /// What the stage reads.
    pub window: Window,
}

/// Register tile, vectors and loops of the pointwise stage.
///
/// The accumulators are `broadcasts` x `vectors` registers. Where vectors hold pixels, the
/// broadcast side is output channels; where vectors hold output channels, it is pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointwiseTile {
    /// `f32` lanes of a vector.
    pub lanes: u8,
    /// Elements of the broadcast side.
    pub broadcasts: u8,
    /// Vectors of the other side.
    pub vectors: u8,
    /// Input channels per step of the reduction loop.
    pub unroll: u8,
    /// How the rest of the vector side is computed.
    pub tail: Tail,
    /// Layout of the weights.
    pub packing: Packing,
    /// Nesting of the loops.
    pub order: LoopOrder,
}

/// How to compute a workload: plain data, from a file, a person or the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which dimension fills the vectors.
    pub family: Family,
    /// Whether the stages run tile by tile or one after the other.
    pub fusion: Fusion,
    /// What threads divide.
    pub split: Split,
    /// Output rows of a tile.
    pub tile_rows: u16,
    /// The depthwise stage, where the workload has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise: Option<DepthwiseTile>,
    /// The pointwise stage, where the workload has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointwise: Option<PointwiseTile>,
}

/// A schedule that is legal for a workload on a target: the only input of code generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedSchedule {
    schedule: Schedule,
    workload: Workload,
    target: Target,
}

impl CheckedSchedule {
    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The workload it was checked against.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// The target it was checked against.
    pub fn target(&self) -> &Target {
        &self.target
    }
}
