//! Random schedules.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use crate::schedule::{
    CheckedSchedule, DepthwiseTile, Family, Fusion, LoopOrder, Packing, PointwiseTile, Schedule,
    Split, Tail, Taps, Window,
};
use crate::target::Target;
use crate::workload::Workload;

/// Draws after which the default schedule is given instead.
const DRAWS: usize = 10_000;

/// A legal schedule of a workload, drawn from all that the types can say.
pub fn random_schedule(
    rng: &mut impl Rng,
    workload: &Workload,
    target: &Target,
) -> CheckedSchedule {
    (0..DRAWS)
        .find_map(|_| any_schedule(rng, workload).check(workload, target).ok())
        .unwrap_or_else(|| crate::cost::default_schedule(workload, target, 1))
}

/// The same for a workload of one-row planes: with tiles of fewer columns, where that is legal.
pub fn random_schedule_in_parts(
    rng: &mut impl Rng,
    workload: &Workload,
    target: &Target,
) -> CheckedSchedule {
    let in_parts = (0..DRAWS / 10).find_map(|_| {
        let schedule = any_schedule(rng, workload);
        schedule.tile_cols.and_then(|_| schedule.check(workload, target).ok())
    });
    in_parts.unwrap_or_else(|| random_schedule(rng, workload, target))
}

/// The same schedule with [`Tail::Masked`] in both stages, which is legal wherever another tail is.
///
/// # Panics
///
/// If it is not.
pub fn with_masked_tails(checked: &CheckedSchedule) -> CheckedSchedule {
    let mut schedule = *checked.schedule();
    if let Some(tile) = &mut schedule.depthwise {
        tile.tail = Tail::Masked;
    }
    if let Some(tile) = &mut schedule.pointwise {
        tile.tail = Tail::Masked;
    }
    schedule.check(checked.workload(), checked.target()).expect("masks serve every stage")
}

/// A schedule with tiles for the workload's stages, most likely illegal.
fn any_schedule(rng: &mut impl Rng, workload: &Workload) -> Schedule {
    use Family::{ChannelsBlocked, ChannelsPlanar, Nhwc, Pixels};
    let [rows, cols] = workload.output_extent().map(|extent| extent.min(64) as u16);
    Schedule {
        family: pick(rng, &[Pixels, ChannelsPlanar, ChannelsBlocked, Nhwc]),
        fusion: pick(rng, &[Fusion::Fused, Fusion::Staged]),
        split: pick(rng, &[Split::Rows, Split::Channels]),
        tile_rows: rng.random_range(1..=rows),
        tile_cols: (rows == 1 && rng.random()).then(|| rng.random_range(1..=cols)),
        depthwise: workload.depthwise().map(|_| DepthwiseTile {
            lanes: pick(rng, &[1, 4, 8, 16]),
            rows: rng.random_range(1..=6),
            vectors: rng.random_range(1..=3),
            taps: pick(rng, &[Taps::Registers, Taps::Memory]),
            tail: pick(rng, &[Tail::Overlap, Tail::Narrow, Tail::Overrun, Tail::Masked]),
            window: pick(rng, &[Window::Copied, Window::Direct]),
        }),
        pointwise: workload.pointwise().map(|_| PointwiseTile {
            lanes: pick(rng, &[1, 4, 8, 16]),
            broadcasts: rng.random_range(1..=12),
            vectors: rng.random_range(1..=4),
            unroll: rng.random_range(1..=5),
            tail: pick(rng, &[Tail::Overlap, Tail::Narrow, Tail::Masked]),
            packing: pick(rng, &[Packing::Panels, Packing::RowMajor]),
            order: pick(rng, &[LoopOrder::ChannelsOuter, LoopOrder::PixelsOuter]),
        }),
    }
}

fn pick<T: Copy>(rng: &mut impl Rng, choices: &[T]) -> T {
    *choices.choose(rng).expect("called with choices")
}
