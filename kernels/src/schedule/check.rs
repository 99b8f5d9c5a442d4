//! Which schedules are legal: one rule after the other, each with its numbers.

use super::{
    CheckedSchedule, DepthwiseTile, Family, Fusion, LoopOrder, Packing, PointwiseTile, Schedule,
    Split, Tail, Taps, Window,
};
use crate::codegen::UNROLLED_TAPS;
use crate::cover::{Cover, WIDTHS};
use crate::plan::{First, Plan};
use crate::target::Target;
use crate::workload::{Layout, Workload};

/// Multiply-adds of the largest micro-kernel that is unrolled, so that code stays small.
const LARGEST_MICRO_KERNEL: usize = 4096;

/// Elements of the largest scratch of a thread: beyond any memory, but sums of it cannot overflow.
const LARGEST_SCRATCH: usize = 1 << 36;

/// Largest unroll factor of the reduction.
const LARGEST_UNROLL: u8 = 16;

/// A stage of a workload, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The depthwise stage.
    Depthwise,
    /// The pointwise stage.
    Pointwise,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Depthwise => "depthwise",
            Self::Pointwise => "pointwise",
        })
    }
}

/// The rule that a schedule breaks, with the numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IllegalSchedule {
    /// A family that does not read the workload's layout.
    #[error(
        "family {family} does not serve layout {layout:?}: nhwc is for Nhwc, the others are for Nchw"
    )]
    WrongLayout {
        /// The schedule's family.
        family: Family,
        /// The workload's layout.
        layout: Layout,
    },
    /// A tile for a stage that the workload has not, or none for one that it has.
    #[error("the workload has {} {stage} stage, the schedule has {} tile for it",
        if *.in_workload { "a" } else { "no" }, if *.in_workload { "no" } else { "a" })]
    StageMismatch {
        /// The stage.
        stage: Stage,
        /// Whether the workload has it.
        in_workload: bool,
    },
    /// A family that needs a stage or a shape which the workload has not.
    #[error("family {family} needs {needed}")]
    UnfitFamily {
        /// The schedule's family.
        family: Family,
        /// What it needs.
        needed: &'static str,
    },
    /// A number outside its range.
    #[error("{field} is {found}, must be {lowest} to {highest}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        found: usize,
        /// Smallest legal value.
        lowest: usize,
        /// Largest legal value.
        highest: usize,
    },
    /// A vector width that does not exist on the target.
    #[error(
        "{stage} vectors of {found} lanes do not exist on a target of {widest} lanes: 1, 4, 8 and 16 do, up to that"
    )]
    NoSuchVector {
        /// The stage.
        stage: Stage,
        /// Lanes asked for.
        found: u8,
        /// Lanes of the target's widest vector.
        widest: u8,
    },
    /// A register tile that does not fit.
    #[error("{stage} register tile needs {needed} vector registers, target has {available}")]
    TooManyRegisters {
        /// The stage.
        stage: Stage,
        /// Registers that the micro-kernel holds at once.
        needed: usize,
        /// Registers that the target has.
        available: usize,
    },
    /// A micro-kernel of too much code.
    #[error(
        "the unrolled {stage} micro-kernel has {found} multiply-adds, at most {highest} are allowed"
    )]
    TooMuchCode {
        /// The stage.
        stage: Stage,
        /// Multiply-adds of the micro-kernel.
        found: usize,
        /// Most that are allowed.
        highest: usize,
    },
    /// A kernel that is not unrolled, with a register tile for unrolled ones.
    #[error(
        "a kernel of {taps} taps (more than {UNROLLED_TAPS}) is a loop over taps: they stay in memory, and planar \
             register tiles have 1 row"
    )]
    LoopedTaps {
        /// Taps of the kernel.
        taps: usize,
    },
    /// A tail that the stage cannot have.
    #[error("tail {tail} of the {stage} stage needs {needed}")]
    UnfitTail {
        /// The stage.
        stage: Stage,
        /// The tail.
        tail: Tail,
        /// What it needs.
        needed: &'static str,
    },
    /// A direct window where the input alone does not do.
    #[error("a direct window needs {needed}")]
    UnfitWindow {
        /// What it needs.
        needed: &'static str,
    },
    /// Fusion, split, packing or loop order that does not go with the rest.
    #[error("{choice} needs {needed}")]
    UnfitChoice {
        /// The choice.
        choice: &'static str,
        /// What it needs.
        needed: &'static str,
    },
    /// Scratch beyond all measure.
    #[error(
        "the schedule needs {found} elements of scratch per thread, at most {highest} are allowed: use fewer tile rows"
    )]
    TooMuchScratch {
        /// Elements needed.
        found: usize,
        /// Most that are allowed.
        highest: usize,
    },
}

impl Schedule {
    /// Checks the schedule against a workload and a target.
    ///
    /// Code generation takes only the checked form, so a schedule read from a file cannot reach
    /// machine code without passing here.
    ///
    /// # Errors
    ///
    /// Returns the first rule that the schedule breaks.
    pub fn check(
        self,
        workload: &Workload,
        target: &Target,
    ) -> Result<CheckedSchedule, IllegalSchedule> {
        self.check_family(workload)?;
        let rows = workload.output_extent()[0].min(u16::MAX.into());
        in_range("tile_rows", self.tile_rows.into(), rows)?;
        if let Some(tile) = &self.depthwise {
            self.check_depthwise(tile, workload, target)?;
        }
        if let Some(tile) = &self.pointwise {
            self.check_pointwise(tile, target)?;
        }
        self.check_nesting(workload)?;
        let checked = CheckedSchedule { schedule: self, workload: *workload, target: *target };
        let plan = Plan::new(&checked);
        self.check_plan(&plan)?;
        Ok(checked)
    }

    fn check_family(&self, workload: &Workload) -> Result<(), IllegalSchedule> {
        let (family, layout) = (self.family, workload.layout());
        if (family == Family::Nhwc) != (layout == Layout::Nhwc) {
            return Err(IllegalSchedule::WrongLayout { family, layout });
        }
        for (stage, in_workload, in_schedule) in [
            (Stage::Depthwise, workload.depthwise().is_some(), self.depthwise.is_some()),
            (Stage::Pointwise, workload.pointwise().is_some(), self.pointwise.is_some()),
        ] {
            if in_workload != in_schedule {
                return Err(IllegalSchedule::StageMismatch { stage, in_workload });
            }
        }
        let unfit = |needed| Err(IllegalSchedule::UnfitFamily { family, needed });
        match family {
            Family::ChannelsPlanar if workload.pointwise().is_none() => unfit("a pointwise stage"),
            Family::ChannelsBlocked if workload.depthwise().is_none() => unfit("a depthwise stage"),
            Family::ChannelsBlocked
                if workload.depthwise().is_some_and(|stage| stage.multiplier > 1) =>
            {
                unfit("a depth multiplier of 1")
            }
            _ => Ok(()),
        }
    }

    fn check_depthwise(
        &self,
        tile: &DepthwiseTile,
        workload: &Workload,
        target: &Target,
    ) -> Result<(), IllegalSchedule> {
        let stage = Stage::Depthwise;
        let channel_vectors = matches!(self.family, Family::ChannelsBlocked | Family::Nhwc);
        check_lanes(stage, tile.lanes, target)?;
        in_range("depthwise rows", tile.rows.into(), usize::from(u8::MAX))?;
        in_range("depthwise vectors", tile.vectors.into(), usize::from(u8::MAX))?;
        let taps = workload.depthwise().map_or(1, |stage| stage.taps());
        let (rows, vectors) = (usize::from(tile.rows), usize::from(tile.vectors));
        if taps > UNROLLED_TAPS && (tile.taps == Taps::Registers || (!channel_vectors && rows > 1))
        {
            return Err(IllegalSchedule::LoopedTaps { taps });
        }
        // Beside the accumulators: the taps, and the vectors of input that meet them. On planes a
        // loaded input vector meets the taps of several rows; on channels a tap meets several columns.
        let kept = match (tile.taps, channel_vectors) {
            (Taps::Registers, true) => taps * vectors,
            (Taps::Registers, false) => taps,
            (Taps::Memory, true) => vectors,
            (Taps::Memory, false) => 1,
        };
        let inputs = match tile.window {
            _ if channel_vectors => 1,
            // A pair of vectors, and its even or odd elements.
            Window::Direct if workload.pixel_stride()[1] == 2 => 3 * vectors,
            _ => vectors,
        };
        let needed = rows * vectors + kept + inputs;
        check_registers(stage, needed, target)?;
        let found = rows * vectors * taps.min(UNROLLED_TAPS);
        if found > LARGEST_MICRO_KERNEL {
            return Err(IllegalSchedule::TooMuchCode {
                stage,
                found,
                highest: LARGEST_MICRO_KERNEL,
            });
        }
        if tile.tail == Tail::Overrun {
            let unfit = |needed| Err(IllegalSchedule::UnfitTail { stage, tail: tile.tail, needed });
            if channel_vectors || self.pointwise.is_none() || self.fusion == Fusion::Staged {
                return unfit(
                    "a fused schedule of a family with planar depthwise vectors: rows go to a private tile",
                );
            }
            if workload.output_extent()[1] > vectors * usize::from(tile.lanes) {
                return unfit("rows of no more columns than the register tile");
            }
        }
        Ok(())
    }

    fn check_pointwise(
        &self,
        tile: &PointwiseTile,
        target: &Target,
    ) -> Result<(), IllegalSchedule> {
        let stage = Stage::Pointwise;
        check_lanes(stage, tile.lanes, target)?;
        in_range("pointwise broadcasts", tile.broadcasts.into(), usize::from(u8::MAX))?;
        in_range("pointwise vectors", tile.vectors.into(), usize::from(u8::MAX))?;
        in_range("pointwise unroll", tile.unroll.into(), LARGEST_UNROLL.into())?;
        let (rows, vectors) = (usize::from(tile.broadcasts), usize::from(tile.vectors));
        check_registers(stage, rows * vectors + rows.min(vectors) + 1, target)?;
        if tile.tail == Tail::Overrun {
            let needed = "a depthwise stage: outputs must not overrun";
            return Err(IllegalSchedule::UnfitTail { stage, tail: tile.tail, needed });
        }
        if tile.packing == Packing::RowMajor && self.family != Family::Pixels {
            return unfit_choice("packing row_major", "family pixels, which broadcasts weights");
        }
        if tile.order == LoopOrder::PixelsOuter {
            if matches!(self.family, Family::ChannelsPlanar | Family::ChannelsBlocked) {
                return unfit_choice(
                    "loop order pixels_outer",
                    "a family without a transposing store",
                );
            }
            if self.split == Split::Channels {
                return unfit_choice("loop order pixels_outer", "split rows");
            }
        }
        Ok(())
    }

    fn check_nesting(&self, workload: &Workload) -> Result<(), IllegalSchedule> {
        let both = workload.depthwise().is_some() && workload.pointwise().is_some();
        if self.fusion == Fusion::Staged && !both {
            return unfit_choice("fusion staged", "both stages");
        }
        if self.split == Split::Channels {
            if workload.depthwise().is_some_and(|stage| stage.multiplier > 1)
                && self.family == Family::Nhwc
            {
                return unfit_choice("split channels of nhwc", "a depth multiplier of 1");
            }
            if both && self.fusion == Fusion::Fused {
                return unfit_choice("split channels", "fusion staged");
            }
        }
        Ok(())
    }

    /// The rules that need the numbers of the plan.
    fn check_plan(&self, plan: &Plan) -> Result<(), IllegalSchedule> {
        if self.depthwise.is_some_and(|tile| tile.window == Window::Direct) {
            let unfit = |needed| Err(IllegalSchedule::UnfitWindow { needed });
            let looped = plan.kernel[0] * plan.kernel[1] > UNROLLED_TAPS;
            match self.family {
                Family::ChannelsBlocked => {
                    return unfit("a family that does not transpose its input");
                }
                Family::Nhwc if plan.multiplier > 1 => return unfit("a depth multiplier of 1"),
                _ if looped && !plan.is_unpadded() => {
                    return unfit("no padding, where the kernel is a loop over its taps");
                }
                Family::Pixels | Family::ChannelsPlanar if looped && plan.stride[1] > 1 => {
                    return unfit("a column stride of 1, where the kernel is a loop over its taps");
                }
                Family::Pixels | Family::ChannelsPlanar if plan.stride[1] > 2 => {
                    return unfit("a column stride of 1 or 2");
                }
                _ => {}
            }
        }
        if self.split == Split::Channels {
            if plan.first == First::Gather {
                return unfit_choice("split channels", "a pointwise stride of 1");
            }
            let stages = [&plan.depthwise, &plan.pointwise];
            if stages.into_iter().flatten().any(|records| overlaps(&records.groups)) {
                return unfit_choice("split channels", "vectors of channels that do not overlap");
            }
        }
        let found = plan.private_len;
        if found > LARGEST_SCRATCH {
            return Err(IllegalSchedule::TooMuchScratch { found, highest: LARGEST_SCRATCH });
        }
        Ok(())
    }
}

fn unfit_choice(choice: &'static str, needed: &'static str) -> Result<(), IllegalSchedule> {
    Err(IllegalSchedule::UnfitChoice { choice, needed })
}

fn in_range(field: &'static str, found: usize, highest: usize) -> Result<(), IllegalSchedule> {
    let lowest = 1;
    if (lowest..=highest).contains(&found) {
        return Ok(());
    }
    Err(IllegalSchedule::OutOfRange { field, found, lowest, highest })
}

fn check_lanes(stage: Stage, found: u8, target: &Target) -> Result<(), IllegalSchedule> {
    let widest = target.lanes;
    if found <= widest && WIDTHS.contains(&usize::from(found)) {
        return Ok(());
    }
    Err(IllegalSchedule::NoSuchVector { stage, found, widest })
}

fn check_registers(stage: Stage, needed: usize, target: &Target) -> Result<(), IllegalSchedule> {
    let available = usize::from(target.vector_registers);
    if needed <= available {
        Ok(())
    } else {
        Err(IllegalSchedule::TooManyRegisters { stage, needed, available })
    }
}

/// Whether two slots of a cover share an element.
fn overlaps(cover: &Cover) -> bool {
    let mut end = 0;
    cover.groups().flatten().any(|slot| {
        let shares = slot.start < end;
        end = slot.start + slot.valid;
        shares
    })
}
