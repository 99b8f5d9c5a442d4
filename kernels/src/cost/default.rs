//! The schedule of an untuned workload: a walk down the estimate, one axis after the other.

use super::estimate::estimate;
use super::tiles::register_tiles;
use crate::codegen::UNROLLED_TAPS;
use crate::schedule::{
    CheckedSchedule, DepthwiseTile, Family, Fusion, LoopOrder, Packing, PointwiseTile, Schedule,
    Split, Tail, Taps, Window,
};
use crate::target::Target;
use crate::workload::{Layout, Workload};

/// Rows of tiles that the default is chosen from, beside fractions of the plane.
const TILE_ROWS: [usize; 6] = [1, 2, 4, 7, 14, 28];

/// Tiles for each thread that it is chosen from, too: so many share the rows evenly.
const TILES_A_THREAD: [usize; 4] = [1, 2, 3, 4];

/// Rows and vectors of depthwise register tiles that it is chosen from.
const DEPTHWISE_ROWS: [u8; 6] = [1, 2, 4, 6, 7, 14];
const DEPTHWISE_VECTORS: [u8; 2] = [1, 2];

/// Pointwise register tiles that are estimated, those that waste least.
const REGISTER_TILES: usize = 10;

/// Input channels per step of the pointwise reduction.
const UNROLL: u8 = 4;

/// Part of the cycles that a multiply-add in the code of a register tile has to save.
const CODE: f64 = 5e-5;

/// Times that every axis is gone through at most.
const ROUNDS: usize = 2;

/// Cycles over the least beyond which a start is given up after the first round.
const HOPELESS: f64 = 1.25;

/// Rows of a depthwise register tile beyond which more rows gain little.
const ENOUGH_ROWS: usize = 4;

/// Register tiles of the pointwise stage, broadcasts x vectors, best first: enough accumulators to
/// hide the latency of multiply-adds, few loads a multiply-add.
const POINTWISE_TILES: [(u8, u8); 5] = [(8, 3), (6, 2), (4, 2), (2, 2), (1, 1)];

/// The schedule of an untuned workload for so many threads. Every workload has one.
///
/// From a rule of thumb in each family, one axis after the other is set to the value of the least
/// [estimate], which takes a millisecond or two.
///
/// # Panics
///
/// If even the smallest schedule is illegal, which would be a bug of this crate.
pub fn default_schedule(workload: &Workload, target: &Target, threads: usize) -> CheckedSchedule {
    let walk = Walk { workload, target, threads: threads.max(1) };
    let mut found: Vec<Found> = walk
        .starts()
        .into_iter()
        .map(|schedule| Found { cycles: walk.cycles(&schedule), schedule })
        .collect();
    for _ in 0..ROUNDS {
        found = found.into_iter().map(|start| walk.round(start)).collect();
        let least = found.iter().map(|found| found.cycles).fold(f64::INFINITY, f64::min);
        found.retain(|found| found.cycles <= HOPELESS * least);
    }
    found
        .into_iter()
        .min_by(|a, b| a.cycles.total_cmp(&b.cycles))
        .unwrap_or_else(|| panic!("no default schedule for {workload}"))
        .schedule
}

impl Schedule {
    /// Multiply-adds in the code of both register tiles.
    fn unrolled(&self, workload: &Workload) -> usize {
        let taps = workload.depthwise().map_or(0, |stage| stage.taps());
        let depthwise = self.depthwise.map_or(0, |tile| {
            usize::from(tile.rows) * usize::from(tile.vectors) * taps.min(UNROLLED_TAPS)
        });
        let pointwise = self.pointwise.map_or(0, |tile| {
            [tile.broadcasts, tile.vectors, tile.unroll].into_iter().map(usize::from).product()
        });
        depthwise + pointwise
    }
}

/// A schedule and its [`estimate`].
struct Found {
    schedule: CheckedSchedule,
    cycles: f64,
}

/// What schedules are sought for.
struct Walk<'w> {
    workload: &'w Workload,
    target: &'w Target,
    threads: usize,
}

impl Walk<'_> {
    /// The estimate, and a little for code: what is no faster should not take longer to compile.
    fn cycles(&self, schedule: &CheckedSchedule) -> f64 {
        let unrolled = schedule.schedule().unrolled(self.workload) as f64;
        estimate(schedule, self.threads).cycles() * (1.0 + CODE * unrolled)
    }

    /// A rule of thumb for each family and each way to hand over.
    fn starts(&self) -> Vec<CheckedSchedule> {
        let families: &[Family] = match self.workload.layout() {
            Layout::Nhwc => &[Family::Nhwc],
            Layout::Nchw => &[Family::Pixels, Family::ChannelsPlanar, Family::ChannelsBlocked],
        };
        let two_stages = self.workload.depthwise().is_some() && self.workload.pointwise().is_some();
        let apart = if two_stages { Fusion::Staged } else { Fusion::Fused };
        let mut hand_overs = vec![(Fusion::Fused, Split::Rows)];
        if self.threads > 1 {
            hand_overs.push((apart, Split::Channels));
        }
        families
            .iter()
            .flat_map(|&family| hand_overs.iter().map(move |&hand_over| (family, hand_over)))
            .filter_map(|(family, hand_over)| self.rule_of_thumb(family, hand_over))
            .map(|schedule| self.reading_the_input(&schedule).unwrap_or(schedule))
            .collect()
    }

    /// The same schedule without copies of the input, where that is legal: at best, copied windows
    /// are as fast, and they are up to 1.5x slower (Intel Xeon with AVX-512).
    fn reading_the_input(&self, schedule: &CheckedSchedule) -> Option<CheckedSchedule> {
        let schedule = schedule.schedule();
        let tile = DepthwiseTile { window: Window::Direct, ..schedule.depthwise? };
        let direct = Schedule { depthwise: Some(tile), ..*schedule };
        direct.check(self.workload, self.target).ok()
    }

    /// The best of those that differ in one axis after the other.
    fn round(&self, start: Found) -> Found {
        let axes = [
            Self::tile_rows,
            Self::tile_cols,
            Self::depthwise_tiles,
            Self::pointwise_tiles,
            Self::orders,
        ];
        axes.into_iter().fold(start, |mut best, axis| {
            for candidate in axis(self, best.schedule.schedule()) {
                if candidate != *best.schedule.schedule()
                    && let Ok(schedule) = candidate.check(self.workload, self.target)
                {
                    let cycles = self.cycles(&schedule);
                    if cycles < best.cycles {
                        best = Found { schedule, cycles };
                    }
                }
            }
            best
        })
    }

    fn tile_rows(&self, schedule: &Schedule) -> Vec<Schedule> {
        let [rows, _] = self.workload.output_extent();
        let even = TILES_A_THREAD.map(|tiles| rows.div_ceil(tiles * self.threads));
        let mut all: Vec<usize> =
            TILE_ROWS.into_iter().chain(even).chain([rows.div_ceil(2), rows]).collect();
        all.retain(|&tile| tile <= rows);
        all.sort_unstable();
        all.dedup();
        all.into_iter()
            .filter_map(|rows| u16::try_from(rows).ok())
            .map(|tile_rows| Schedule { tile_rows, ..*schedule })
            .collect()
    }

    /// Parts of a single row, in whole vectors.
    fn tile_cols(&self, schedule: &Schedule) -> Vec<Schedule> {
        let [rows, cols] = self.workload.output_extent();
        if rows > 1 {
            return Vec::new();
        }
        let lanes = usize::from(self.target.lanes);
        let sizes = TILES_A_THREAD
            .map(|tiles| cols.div_ceil(tiles * self.threads).next_multiple_of(lanes))
            .map(|size| u16::try_from(size).ok().filter(|&size| usize::from(size) < cols));
        sizes.map(|tile_cols| Schedule { tile_cols, ..*schedule }).to_vec()
    }

    fn depthwise_tiles(&self, schedule: &Schedule) -> Vec<Schedule> {
        let (Some(tile), Some(stage)) = (schedule.depthwise, self.workload.depthwise()) else {
            return Vec::new();
        };
        let [out_rows, out_cols] = self.workload.middle_extent();
        let (vector_side, other_side) = match schedule.family {
            Family::Pixels | Family::ChannelsPlanar => (out_cols, out_rows),
            Family::ChannelsBlocked | Family::Nhwc => (self.workload.middle_channels(), out_cols),
        };
        // Few taps always fit; beyond half of the registers they crowd out the accumulators.
        let registers = usize::from(self.target.vector_registers);
        let taps: &[Taps] = match (stage.taps() >= registers, 2 * stage.taps() > registers) {
            (true, _) => &[Taps::Memory],
            (false, true) => &[Taps::Registers, Taps::Memory],
            (false, false) => &[Taps::Registers],
        };
        let mut tiles = Vec::new();
        for lanes in self.lanes(vector_side) {
            let tails = tails(vector_side, lanes, schedule);
            for rows in DEPTHWISE_ROWS.into_iter().filter(|&rows| usize::from(rows) <= other_side) {
                for vectors in DEPTHWISE_VECTORS {
                    if usize::from(vectors - 1) * usize::from(lanes) >= vector_side {
                        continue;
                    }
                    for &taps in taps {
                        for &tail in &tails {
                            tiles.push(DepthwiseTile { lanes, rows, vectors, taps, tail, ..tile });
                        }
                    }
                }
            }
        }
        tiles.into_iter().map(|tile| Schedule { depthwise: Some(tile), ..*schedule }).collect()
    }

    fn pointwise_tiles(&self, schedule: &Schedule) -> Vec<Schedule> {
        let (Some(tile), Some(stage)) = (schedule.pointwise, self.workload.pointwise()) else {
            return Vec::new();
        };
        let [rows, cols] = self.workload.output_extent();
        let rows = match schedule.split {
            Split::Rows => rows.min(schedule.tile_rows.into()),
            Split::Channels => rows,
        };
        let (pixels, channels) = (rows * cols, stage.channels as usize);
        let (vector_side, broadcast_side) = match schedule.family {
            Family::Pixels => (pixels, channels),
            _ => (channels, pixels),
        };
        let mut tiles = Vec::new();
        for lanes in self.lanes(vector_side) {
            let registers = register_tiles(self.target, lanes, vector_side, broadcast_side);
            for (broadcasts, vectors) in registers.into_iter().take(REGISTER_TILES) {
                for tail in tails(vector_side, lanes, schedule) {
                    if tail != Tail::Overrun {
                        let unroll = UNROLL;
                        tiles.push(PointwiseTile {
                            lanes,
                            broadcasts,
                            vectors,
                            unroll,
                            tail,
                            ..tile
                        });
                    }
                }
            }
        }
        tiles.into_iter().map(|tile| Schedule { pointwise: Some(tile), ..*schedule }).collect()
    }

    fn orders(&self, schedule: &Schedule) -> Vec<Schedule> {
        let Some(tile) = schedule.pointwise else { return Vec::new() };
        [LoopOrder::ChannelsOuter, LoopOrder::PixelsOuter]
            .map(|order| Schedule { pointwise: Some(PointwiseTile { order, ..tile }), ..*schedule })
            .to_vec()
    }

    /// The widest vectors that `extent` fills, and half of those where they do not divide it.
    fn lanes(&self, extent: usize) -> Vec<u8> {
        const NARROWEST: u8 = 4;
        let mut widest = self.target.lanes;
        while widest > NARROWEST && usize::from(widest) >= 2 * extent {
            widest /= 2;
        }
        if widest > NARROWEST && usize::from(widest) > extent {
            vec![widest, widest / 2]
        } else {
            vec![widest]
        }
    }

    /// A plausible schedule of a family, if it has a legal one.
    fn rule_of_thumb(
        &self,
        family: Family,
        (fusion, split): (Fusion, Split),
    ) -> Option<CheckedSchedule> {
        let (workload, target) = (self.workload, self.target);
        let [rows, cols] = workload.output_extent();
        let tile_bytes = cols * workload.middle_channels() * size_of::<f32>();
        let fitting_rows = (target.l2_bytes / 2 / tile_bytes).clamp(1, rows);
        let fitting_rows = match split {
            Split::Rows => fitting_rows.min(rows.div_ceil(self.threads)),
            Split::Channels => rows,
        };
        // Tiles of the same size, as far as possible.
        let tile_rows = rows.div_ceil(rows.div_ceil(fitting_rows)).min(u16::MAX.into()) as u16;
        let tail = match split {
            Split::Rows => Tail::Overlap,
            Split::Channels => Tail::Narrow,
        };
        let mut candidates = Vec::new();
        for tile_rows in [tile_rows, 1] {
            for lanes in [target.lanes, 1] {
                for (broadcasts, vectors) in POINTWISE_TILES {
                    candidates.push(Schedule {
                        family,
                        fusion,
                        split,
                        tile_rows,
                        tile_cols: None,
                        depthwise: workload
                            .depthwise()
                            .map(|_| depthwise_tile(workload, target, family, lanes, tail)),
                        pointwise: workload.pointwise().map(|_| PointwiseTile {
                            lanes,
                            broadcasts,
                            vectors,
                            unroll: UNROLL,
                            tail,
                            packing: Packing::Panels,
                            order: LoopOrder::ChannelsOuter,
                        }),
                    });
                }
            }
        }
        candidates.into_iter().find_map(|schedule| schedule.check(workload, target).ok())
    }
}

/// Ways to compute what does not fill a vector; one will do where everything does.
fn tails(extent: usize, lanes: u8, schedule: &Schedule) -> Vec<Tail> {
    if extent.is_multiple_of(lanes.into()) {
        return vec![Tail::Narrow];
    }
    match schedule.split {
        Split::Rows => vec![Tail::Narrow, Tail::Overlap, Tail::Overrun, Tail::Masked],
        Split::Channels => vec![Tail::Narrow, Tail::Overrun, Tail::Masked],
    }
}

fn depthwise_tile(
    workload: &Workload,
    target: &Target,
    family: Family,
    lanes: u8,
    tail: Tail,
) -> DepthwiseTile {
    let taps = workload.depthwise().map_or(1, |stage| stage.taps());
    let registers = usize::from(target.vector_registers);
    // An input vector and, in registers, the taps stand beside the accumulators.
    let left = registers.saturating_sub(taps + 1);
    let (taps, rows) = if left >= 2 {
        (Taps::Registers, left.min(ENOUGH_ROWS))
    } else {
        (Taps::Memory, ENOUGH_ROWS)
    };
    let is_looped = workload.depthwise().is_some_and(|stage| stage.taps() > UNROLLED_TAPS);
    let rows = if is_looped && family != Family::Nhwc { 1 } else { rows };
    DepthwiseTile { lanes, rows: rows as u8, vectors: 1, taps, tail, window: Window::Copied }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::target::Isa;

    #[test]
    fn defaults_for_two_threads_have_work_for_both_in_every_phase() {
        let lines = [
            "f32 nchw 1x512x7x7 dw:3x3,p1,relu pw:512,relu",
            "f32 nhwc 1x1024x7x7 dw:3x3,p1,relu pw:1024,relu",
            "f32 nchw 1x256x1x500 dw:1x33,p0/16/0/16 pw:256,relu",
            "f32 nhwc 1x256x1x500 dw:1x33,p0/16/0/16 pw:256,relu",
            "f32 nhwc 1x512x1x250 dw:1x9,p0/4/0/4,relu",
            "f32 nchw 1x512x10x10 pw:546",
        ];
        for (line, isa) in
            lines.into_iter().flat_map(|line| [(line, Isa::Avx2), (line, Isa::Avx512)])
        {
            let workload = line.parse().expect("the lines are workloads");
            let schedule = default_schedule(&workload, &Target::of(isa), 2);
            let plan = Plan::new(&schedule);
            let least = plan.phases.iter().map(|phase| plan.batch * phase.count).min();
            assert!(least >= Some(2), "{line}, {isa}: {}", schedule.schedule());
        }
    }

    #[test]
    fn defaults_for_many_threads_are_no_slower_there_than_those_for_one() {
        let workload = "f32 nchw 1x3x4x4 dw:3x3,p1 pw:4".parse().expect("a workload");
        let of = |threads| *default_schedule(&workload, &Target::of(Isa::Avx2), threads).schedule();
        let (one, many) = (of(1), of(8));
        let cycles = |schedule: Schedule| {
            let checked = schedule.check(&workload, &Target::of(Isa::Avx2)).expect("it is legal");
            estimate(&checked, 8).cycles()
        };
        assert!(cycles(many) <= cycles(one));
    }
}
