//! Analytic cost: the schedule of a workload that nobody has tuned.

use crate::schedule::{
    CheckedSchedule, DepthwiseTile, Family, Fusion, LoopOrder, Packing, PointwiseTile, Schedule,
    Split, Tail, Taps, Window,
};
use crate::target::Target;
use crate::workload::{Layout, Workload};

/// Rows of a depthwise register tile beyond which more rows gain little.
const DEPTHWISE_ROWS: usize = 4;

/// Smallest output plane for vectors of pixels: below, too many lanes are left over.
const SMALLEST_PIXEL_PLANE: usize = 64;

/// Register tiles of the pointwise stage, broadcasts x vectors, best first: enough accumulators to
/// hide the latency of multiply-adds, few loads a multiply-add.
const POINTWISE_TILES: [(u8, u8); 5] = [(8, 3), (6, 2), (4, 2), (2, 2), (1, 1)];

/// The schedule of an untuned workload. Every workload has one.
///
/// # Panics
///
/// If even the smallest schedule is illegal, which would be a bug of this crate.
pub fn default_schedule(workload: &Workload, target: &Target) -> CheckedSchedule {
    let [rows, cols] = workload.output_extent();
    let family = default_family(workload);
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
    candidates
        .into_iter()
        .find_map(|schedule| schedule.check(workload, target).ok())
        .unwrap_or_else(|| panic!("no default schedule for {workload}"))
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
