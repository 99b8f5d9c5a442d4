//! Analytic cost: ranks schedules before any is compiled, and so finds the schedule of a workload
//! that nobody has tuned.
//!
//! [`estimate`] counts instructions per port, footprints per cache level and tails from the same
//! plan that code generation follows.

use crate::schedule::{
    CheckedSchedule, DepthwiseTile, Family, Fusion, LoopOrder, Packing, PointwiseTile, Schedule,
    Split, Tail, Taps, Window,
};
use crate::target::Target;
use crate::workload::{Layout, Workload};

mod estimate;
mod machine;

pub use estimate::{Estimate, estimate};

/// Rows of tiles that the default is chosen from, beside fractions of the plane.
const TILE_ROWS: [usize; 6] = [1, 2, 4, 7, 14, 28];

/// Rows and vectors of depthwise register tiles that it is chosen from.
const DEPTHWISE_TILES: [(u8, u8); 9] =
    [(1, 1), (2, 1), (4, 1), (7, 1), (14, 1), (2, 2), (4, 2), (7, 2), (14, 2)];

/// Broadcasts and vectors of pointwise register tiles that it is chosen from.
const REGISTER_TILES: [(u8, u8); 10] =
    [(4, 2), (6, 2), (7, 2), (8, 2), (10, 2), (14, 2), (4, 4), (7, 3), (8, 3), (14, 1)];

/// Times that every axis is gone through at most.
const ROUNDS: usize = 2;

/// Rows of a depthwise register tile beyond which more rows gain little.
const DEPTHWISE_ROWS: usize = 4;

/// Smallest output plane for vectors of pixels: below, too many lanes are left over.
const SMALLEST_PIXEL_PLANE: usize = 64;

/// Register tiles of the pointwise stage, broadcasts x vectors, best first: enough accumulators to
/// hide the latency of multiply-adds, few loads a multiply-add.
const POINTWISE_TILES: [(u8, u8); 5] = [(8, 3), (6, 2), (4, 2), (2, 2), (1, 1)];

/// The schedule of an untuned workload. Every workload has one.
///
/// From a rule of thumb in each family, one axis after the other is set to the value of the least
/// [estimate], which takes a millisecond or two.
///
/// # Panics
///
/// If even the smallest schedule is illegal, which would be a bug of this crate.
pub fn default_schedule(workload: &Workload, target: &Target) -> CheckedSchedule {
    let own = default_family(workload);
    let improved = families(workload)
        .into_iter()
        .filter_map(|family| rule_of_thumb(workload, target, family))
        .map(|start| improved(start, workload, target))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    improved
        .map(|(schedule, _)| schedule)
        .or_else(|| rule_of_thumb(workload, target, own))
        .unwrap_or_else(|| panic!("no default schedule for {workload}"))
}

/// Families that serve the workload's layout.
fn families(workload: &Workload) -> Vec<Family> {
    match workload.layout() {
        Layout::Nhwc => vec![Family::Nhwc],
        Layout::Nchw => vec![Family::Pixels, Family::ChannelsPlanar, Family::ChannelsBlocked],
    }
}

/// The best by [`estimate`] of those that differ in one axis after the other, and its cycles.
fn improved(
    start: CheckedSchedule,
    workload: &Workload,
    target: &Target,
) -> (CheckedSchedule, f64) {
    let mut best = (start, estimate(&start, 1).cycles());
    for _ in 0..ROUNDS {
        let before = best.1;
        for axis in [tile_rows, windows, depthwise_tiles, pointwise_tiles, orders] {
            for candidate in axis(best.0.schedule(), workload) {
                if let Ok(checked) = candidate.check(workload, target) {
                    let cycles = estimate(&checked, 1).cycles();
                    if cycles < best.1 {
                        best = (checked, cycles);
                    }
                }
            }
        }
        if best.1 == before {
            break;
        }
    }
    best
}

fn tile_rows(schedule: &Schedule, workload: &Workload) -> Vec<Schedule> {
    let [rows, _] = workload.output_extent();
    let all = TILE_ROWS.into_iter().chain([rows.div_ceil(2), rows]);
    all.filter_map(|rows| u16::try_from(rows).ok())
        .map(|tile_rows| Schedule { tile_rows, ..*schedule })
        .collect()
}

fn depthwise_tiles(schedule: &Schedule, _: &Workload) -> Vec<Schedule> {
    let Some(tile) = schedule.depthwise else { return Vec::new() };
    let mut tiles = Vec::new();
    for (rows, vectors) in DEPTHWISE_TILES {
        for taps in [Taps::Registers, Taps::Memory] {
            for tail in [Tail::Overlap, Tail::Narrow, Tail::Overrun, Tail::Masked] {
                tiles.push(DepthwiseTile { rows, vectors, taps, tail, ..tile });
            }
        }
    }
    tiles.into_iter().map(|tile| Schedule { depthwise: Some(tile), ..*schedule }).collect()
}

fn windows(schedule: &Schedule, _: &Workload) -> Vec<Schedule> {
    let Some(tile) = schedule.depthwise else { return Vec::new() };
    [Window::Direct, Window::Copied]
        .map(|window| Schedule { depthwise: Some(DepthwiseTile { window, ..tile }), ..*schedule })
        .to_vec()
}

fn pointwise_tiles(schedule: &Schedule, _: &Workload) -> Vec<Schedule> {
    let Some(tile) = schedule.pointwise else { return Vec::new() };
    let with = |(broadcasts, vectors), tail| {
        let tile = PointwiseTile { broadcasts, vectors, tail, unroll: 4, ..tile };
        Schedule { pointwise: Some(tile), ..*schedule }
    };
    REGISTER_TILES
        .into_iter()
        .flat_map(|size| [Tail::Overlap, Tail::Narrow, Tail::Masked].map(|tail| with(size, tail)))
        .collect()
}

fn orders(schedule: &Schedule, _: &Workload) -> Vec<Schedule> {
    let Some(tile) = schedule.pointwise else { return Vec::new() };
    [LoopOrder::ChannelsOuter, LoopOrder::PixelsOuter]
        .map(|order| Schedule { pointwise: Some(PointwiseTile { order, ..tile }), ..*schedule })
        .to_vec()
}

/// A plausible schedule of a family, if it has a legal one.
fn rule_of_thumb(workload: &Workload, target: &Target, family: Family) -> Option<CheckedSchedule> {
    let [rows, cols] = workload.output_extent();
    let tile_bytes = cols * workload.middle_channels() * size_of::<f32>();
    let fitting_rows = (target.l2_bytes / 2 / tile_bytes).clamp(1, rows);
    // Tiles of the same size, as far as possible.
    let tile_rows = rows.div_ceil(rows.div_ceil(fitting_rows)).min(u16::MAX.into()) as u16;
    let mut candidates = Vec::new();
    for tile_rows in [tile_rows, 1] {
        for lanes in [target.lanes, 1] {
            for (broadcasts, vectors) in POINTWISE_TILES {
                candidates.push(Schedule {
                    family,
                    fusion: Fusion::Fused,
                    split: Split::Rows,
                    tile_rows,
                    tile_cols: None,
                    depthwise: workload
                        .depthwise()
                        .map(|_| depthwise_tile(workload, target, family, lanes)),
                    pointwise: workload.pointwise().map(|_| PointwiseTile {
                        lanes,
                        broadcasts,
                        vectors,
                        unroll: 2,
                        tail: Tail::Overlap,
                        packing: Packing::Panels,
                        order: LoopOrder::ChannelsOuter,
                    }),
                });
            }
        }
    }
    candidates.into_iter().find_map(|schedule| schedule.check(workload, target).ok())
}

fn default_family(workload: &Workload) -> Family {
    let [rows, cols] = workload.output_extent();
    match workload.layout() {
        Layout::Nhwc => Family::Nhwc,
        Layout::Nchw if rows * cols < SMALLEST_PIXEL_PLANE && workload.pointwise().is_some() => {
            Family::ChannelsPlanar
        }
        Layout::Nchw => Family::Pixels,
    }
}

fn depthwise_tile(
    workload: &Workload,
    target: &Target,
    family: Family,
    lanes: u8,
) -> DepthwiseTile {
    let taps = workload.depthwise().map_or(1, |stage| stage.taps());
    let registers = usize::from(target.vector_registers);
    // An input vector and, in registers, the taps stand beside the accumulators.
    let left = registers.saturating_sub(taps + 1);
    let (taps, rows) = if left >= 2 {
        (Taps::Registers, left.min(DEPTHWISE_ROWS))
    } else {
        (Taps::Memory, DEPTHWISE_ROWS)
    };
    let is_looped =
        workload.depthwise().is_some_and(|stage| stage.taps() > crate::codegen::UNROLLED_TAPS);
    let rows = if is_looped && family != Family::Nhwc { 1 } else { rows };
    DepthwiseTile {
        lanes,
        rows: rows as u8,
        vectors: 1,
        taps,
        tail: Tail::Overlap,
        window: Window::Copied,
    }
}
