//! Which schedules there are for a workload on a target: legal ones, enumerated in one order.
//!
//! The axes are the fields of [`Schedule`]. Their full product is in the millions, most of it
//! without effect, so the space applies *cuts* until at most [`MOST_CANDIDATES`] are left, those
//! with the least effect on time first; [`Cut`] documents each with its measurement. What remains
//! passes [`Schedule::check`], and the [`SpaceSummary`] says how many each rule turned away.
//! Kernel Tuner calls the latter `restrictions`; here they are the rules of code generation
//! themselves, so that the space can never disagree with what compiles.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem::{Discriminant, discriminant};

use dsconv_kernels::{
    DepthwiseTile, Family, Fusion, IllegalSchedule, Layout, LoopOrder, Packing, PointwiseTile,
    Schedule, Split, Tail, Taps, Target, Window, Workload, cost,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index;

/// Candidates that a space checks at most, unless even all cuts leave more.
pub const MOST_CANDIDATES: usize = 6_000;

/// Taps of kernels that are sure to read the input where it may be read.
const MOST_TAPS_READ: usize = 128;

/// The legal schedules of one workload on one target and number of threads.
#[derive(Clone, Debug)]
pub struct SearchSpace {
    workload: Workload,
    target: Target,
    threads: usize,
    schedules: Vec<Schedule>,
    summary: SpaceSummary,
}

/// A part of the product of all axes that a space leaves out, because it hardly matters.
///
/// Where no other CPU is named, the figures are from an AMD Zen 4 with AVX-512, warm caches, worst
/// over best. They are applied in the order in which they stand here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Cut {
    /// Copied windows where the input itself can be read: at best equal, up to 1.5x slower (Intel
    /// Xeon with AVX-512).
    CopiedWindows,
    /// Row-major pointwise weights: 1-3 % where they are not a disaster (a power-of-two stride).
    Packing,
    /// One loop order, pixels outside: 1-3 %. Kept where the pointwise weights do not fit half
    /// the second-level cache, where it decides by up to 5x.
    LoopOrder,
    /// Staged schedules whose threads divide rows: at best equal to fused ones.
    Staged,
    /// All but the eight register tiles that waste least: median 1.01x.
    RegisterTiles,
    /// Depthwise rows and vectors between those that stay, where a neighbour is within 6 %.
    DepthwiseTiles,
    /// Unrolling the reduction by two: between one and four.
    Unroll,
    /// Tiles of fewer than four rows in planes of at least eight: they read halos again, 1.1-1.9x
    /// slower.
    ShortTiles,
    /// All but the four register tiles that waste least.
    MoreRegisterTiles,
    /// Channels in blocks on planes of 28 x 28 and more whose rows are multiples of four pixels, where
    /// vectors of pixels are 2-13 % ahead (2-40 % on AMD Zen 3). Not where rows leave a part of a vector
    /// over: from 33 x 33 to 257 x 257, vectors of pixels are up to 1.4x behind (Zen 3).
    BlockedChannels,
    /// Narrower vectors in the depthwise stage: at best 1.0x where the widest fill a row.
    NarrowVectors,
    /// Tails by overlap where another way is legal too.
    Overlap,
    /// Tiles that are no fraction of the plane: their neighbours differ by a few halo rows.
    OddTiles,
    /// Tails of several narrower vectors where one under a mask does: up to 3x slower (Intel Xeon
    /// with AVX-512).
    Narrow,
}

/// What a space holds and what it left out.
#[derive(Clone, Debug, Default)]
pub struct SpaceSummary {
    /// Legal schedules.
    pub size: usize,
    /// Product of all axes before any cut.
    pub product: u64,
    /// Candidates that were checked.
    pub candidates: usize,
    /// Parts of the product that were left out.
    pub cuts: Vec<Cut>,
    /// Candidates that broke a rule, by rule, the most frequent first.
    pub pruned: Vec<Pruned>,
}

/// Candidates that broke one rule.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The first of them.
    pub example: IllegalSchedule,
    /// How many.
    pub count: usize,
}

/// Number of axes in which two schedules differ. The two extents of a register tile are one axis,
/// together with where taps are kept, since wide tiles leave taps no registers; so are fusion and split.
pub fn distance(a: &Schedule, b: &Schedule) -> usize {
    let shared = [
        a.family != b.family,
        (a.fusion, a.split) != (b.fusion, b.split),
        (a.tile_rows, a.tile_cols) != (b.tile_rows, b.tile_cols),
    ];
    let depthwise = match (&a.depthwise, &b.depthwise) {
        (Some(a), Some(b)) => [
            a.lanes != b.lanes,
            (a.rows, a.vectors, a.taps) != (b.rows, b.vectors, b.taps),
            a.tail != b.tail,
            a.window != b.window,
        ],
        (a, b) => [a.is_some() != b.is_some(); 4],
    };
    let pointwise = match (&a.pointwise, &b.pointwise) {
        (Some(a), Some(b)) => [
            a.lanes != b.lanes,
            (a.broadcasts, a.vectors) != (b.broadcasts, b.vectors),
            a.unroll != b.unroll,
            a.tail != b.tail,
            a.packing != b.packing,
            a.order != b.order,
        ],
        (a, b) => [a.is_some() != b.is_some(); 6],
    };
    shared.into_iter().chain(depthwise).chain(pointwise).filter(|&differs| differs).count()
}

impl SearchSpace {
    /// Enumerates and checks. The order depends on nothing but the arguments.
    pub fn new(workload: &Workload, target: &Target, threads: usize) -> Self {
        let mut axes = Axes::new(workload, target, threads.max(1));
        let product = axes.product();
        let mut left = product;
        for cut in Cut::ALL {
            if left <= MOST_CANDIDATES as u64 {
                break;
            }
            axes.cuts.insert(cut);
            let now = axes.product();
            if now == left {
                axes.cuts.remove(&cut);
            }
            left = now;
        }

        let mut schedules = Vec::new();
        let mut pruned: HashMap<Discriminant<IllegalSchedule>, Pruned> = HashMap::new();
        let mut candidates = 0;
        axes.for_each(|schedule| {
            candidates += 1;
            match schedule.check(workload, target) {
                Ok(_) => schedules.push(schedule),
                Err(example) => {
                    pruned
                        .entry(discriminant(&example))
                        .or_insert(Pruned { example, count: 0 })
                        .count += 1;
                }
            }
        });
        let mut pruned: Vec<Pruned> = pruned.into_values().collect();
        pruned.sort_by_cached_key(|rule| (usize::MAX - rule.count, rule.example.to_string()));
        let cuts = Cut::ALL.into_iter().filter(|cut| axes.cuts.contains(cut)).collect();
        let size = schedules.len();
        let summary = SpaceSummary { size, product, candidates, cuts, pruned };
        Self { workload: *workload, target: *target, threads, schedules, summary }
    }

    /// A space of given schedules, such as those of a recorded landscape. Illegal ones are left
    /// out.
    pub fn of(
        workload: &Workload,
        target: &Target,
        threads: usize,
        mut schedules: Vec<Schedule>,
    ) -> Self {
        let candidates = schedules.len();
        schedules.retain(|schedule| schedule.check(workload, target).is_ok());
        let size = schedules.len();
        let product = candidates as u64;
        let summary = SpaceSummary { size, product, candidates, ..SpaceSummary::default() };
        Self { workload: *workload, target: *target, threads, schedules, summary }
    }

    /// What the schedules compute.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// The machine they are legal on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Threads that they are for.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Number of legal schedules.
    pub fn len(&self) -> usize {
        self.schedules.len()
    }

    /// Whether no candidate is legal. (The untuned default still is.)
    pub fn is_empty(&self) -> bool {
        self.schedules.is_empty()
    }

    /// The schedules, in the order of the space.
    pub fn iter(&self) -> std::slice::Iter<'_, Schedule> {
        self.schedules.iter()
    }

    /// Whether the space holds a schedule.
    pub fn contains(&self, schedule: &Schedule) -> bool {
        self.schedules.contains(schedule)
    }

    /// Draws `count` schedules without replacement, or all of them in random order where there
    /// are fewer.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<Schedule> {
        let mut rng = StdRng::seed_from_u64(seed);
        index::sample(&mut rng, self.len(), count.min(self.len()))
            .iter()
            .map(|index| self.schedules[index])
            .collect()
    }

    /// Schedules that differ from `schedule` in one axis. `schedule` need not be of the space.
    pub fn neighbours(&self, schedule: &Schedule) -> Vec<Schedule> {
        self.schedules.iter().filter(|other| distance(schedule, other) == 1).copied().collect()
    }

    /// What the space holds and what it left out.
    pub fn summary(&self) -> &SpaceSummary {
        &self.summary
    }
}

impl<'a> IntoIterator for &'a SearchSpace {
    type Item = &'a Schedule;
    type IntoIter = std::slice::Iter<'a, Schedule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Values of each axis, given what was cut.
struct Axes<'a> {
    workload: &'a Workload,
    target: &'a Target,
    threads: usize,
    cuts: HashSet<Cut>,
}

impl<'a> Axes<'a> {
    fn new(workload: &'a Workload, target: &'a Target, threads: usize) -> Self {
        Self { workload, target, threads, cuts: HashSet::new() }
    }

    fn is_cut(&self, cut: Cut) -> bool {
        self.cuts.contains(&cut)
    }

    fn product(&self) -> u64 {
        let of_family = |family| {
            let hand_overs = self.hand_overs().into_iter();
            let pointwise: usize =
                hand_overs.map(|(_, split)| self.pointwise_tiles(family, split).len()).sum();
            let tiles = self.tile_rows().len() * self.tile_cols().len();
            (pointwise * tiles * self.depthwise_tiles(family).len()) as u64
        };
        self.families().into_iter().map(of_family).sum()
    }

    fn for_each(&self, mut visit: impl FnMut(Schedule)) {
        for family in self.families() {
            let depthwise_tiles = self.depthwise_tiles(family);
            for (fusion, split) in self.hand_overs() {
                let pointwise_tiles = self.pointwise_tiles(family, split);
                let tiles = self
                    .tile_rows()
                    .into_iter()
                    .flat_map(|rows| self.tile_cols().into_iter().map(move |cols| (rows, cols)));
                for (tile_rows, tile_cols) in tiles {
                    for &depthwise in &depthwise_tiles {
                        for &pointwise in &pointwise_tiles {
                            visit(Schedule {
                                family,
                                fusion,
                                split,
                                tile_rows,
                                tile_cols,
                                depthwise,
                                pointwise,
                            });
                        }
                    }
                }
            }
        }
    }

    fn families(&self) -> Vec<Family> {
        if self.workload.layout() == Layout::Nhwc {
            return vec![Family::Nhwc];
        }
        // Below 28 x 28 the families are within 20 % of each other either way.
        let [rows, cols] = self.workload.output_extent();
        let large = rows >= 28 && cols >= 28 && cols.is_multiple_of(4);
        let mut families = vec![Family::Pixels];
        if self.workload.pointwise().is_some() {
            families.push(Family::ChannelsPlanar);
        }
        let is_cut = large && self.is_cut(Cut::BlockedChannels);
        if self.workload.depthwise().is_some() && !is_cut {
            families.push(Family::ChannelsBlocked);
        }
        families
    }

    fn hand_overs(&self) -> Vec<(Fusion, Split)> {
        let two_stages = self.workload.depthwise().is_some() && self.workload.pointwise().is_some();
        let mut hand_overs = vec![(Fusion::Fused, Split::Rows)];
        if two_stages && !self.is_cut(Cut::Staged) {
            hand_overs.push((Fusion::Staged, Split::Rows));
        }
        if self.threads > 1 {
            let fusion = if two_stages { Fusion::Staged } else { Fusion::Fused };
            hand_overs.push((fusion, Split::Channels));
        }
        hand_overs
    }

    /// Tiles of the usual plane sizes, and fractions of this one.
    fn tile_rows(&self) -> Vec<u16> {
        let [rows, _] = self.workload.output_extent();
        let mut candidates =
            if self.is_cut(Cut::OddTiles) { vec![] } else { vec![1, 2, 4, 7, 8, 14, 16, 28] };
        candidates.extend([rows.div_ceil(4), rows.div_ceil(2), rows.div_ceil(self.threads), rows]);
        let fewest = if rows >= 8 && self.is_cut(Cut::ShortTiles) { 4 } else { 1 };
        let most = rows.min(usize::from(u16::MAX));
        candidates.retain(|candidate| (fewest..=most).contains(candidate));
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().map(|rows| rows as u16).collect()
    }

    /// Whole rows; of a single row also parts of it, in whole vectors.
    fn tile_cols(&self) -> Vec<Option<u16>> {
        let mut candidates = vec![None];
        let [rows, cols] = self.workload.output_extent();
        if rows == 1 {
            let lanes = usize::from(self.target.lanes);
            let parts = [2, self.threads, 2 * self.threads, 8];
            let sizes = parts.map(|parts| cols.div_ceil(parts).next_multiple_of(lanes));
            let shorter = sizes.into_iter().filter(|&size| size < cols);
            candidates.extend(shorter.map(|size| u16::try_from(size).ok()));
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    fn depthwise_tiles(&self, family: Family) -> Vec<Option<DepthwiseTile>> {
        let Some(stage) = self.workload.depthwise() else { return vec![None] };
        let [out_rows, out_cols] = self.workload.middle_extent();
        let over_pixels = matches!(family, Family::Pixels | Family::ChannelsPlanar);
        let (vector_side, other_side) = if over_pixels {
            (out_cols, out_rows)
        } else {
            (self.workload.middle_channels(), out_cols)
        };
        let (rows, vectors): (&[u8], &[u8]) = if self.is_cut(Cut::DepthwiseTiles) {
            (&[1, 2, 4, 7, 14], &[1, 2])
        } else {
            (&[1, 2, 3, 4, 5, 6, 7, 8, 14], &[1, 2, 3, 4])
        };
        let reads_input = match family {
            Family::ChannelsBlocked => false,
            Family::Nhwc => stage.multiplier == 1,
            Family::Pixels | Family::ChannelsPlanar => self.workload.pixel_stride()[1] <= 2,
        };
        let windows: &[Window] = match reads_input {
            false => &[Window::Copied],
            // Of kernels that are loops over their taps, only some can read the input.
            true if self.is_cut(Cut::CopiedWindows) && stage.taps() <= MOST_TAPS_READ => {
                &[Window::Direct]
            }
            true => &[Window::Copied, Window::Direct],
        };
        // Few taps always fit; beyond half of the registers they crowd out the accumulators.
        let crowded = 2 * stage.taps() > usize::from(self.target.vector_registers);
        let hopeless = stage.taps() >= usize::from(self.target.vector_registers);
        let taps: &[Taps] = match (hopeless, crowded) {
            (true, _) => &[Taps::Memory],
            (false, true) => &[Taps::Registers, Taps::Memory],
            (false, false) => &[Taps::Registers],
        };
        let fills_tile = |vectors: u8, lanes: u8| {
            over_pixels && out_cols <= usize::from(vectors) * usize::from(lanes)
        };

        let mut tiles = Vec::new();
        for lanes in self.lanes(vector_side, self.is_cut(Cut::NarrowVectors)) {
            for &rows in rows.iter().filter(|&&rows| usize::from(rows) <= other_side) {
                for &vectors in fitting_vectors(vectors, lanes, vector_side) {
                    for &taps in taps {
                        let may_overrun =
                            fills_tile(vectors, lanes) && self.workload.pointwise().is_some();
                        for tail in self.tails(vector_side, lanes, may_overrun) {
                            for &window in windows {
                                let tile =
                                    DepthwiseTile { lanes, rows, vectors, taps, tail, window };
                                tiles.push(Some(tile));
                            }
                        }
                    }
                }
            }
        }
        tiles
    }

    fn pointwise_tiles(&self, family: Family, split: Split) -> Vec<Option<PointwiseTile>> {
        let Some(stage) = self.workload.pointwise() else { return vec![None] };
        let [rows, cols] = self.workload.output_extent();
        let (pixels, channels) = (rows * cols, stage.channels as usize);
        let (vector_side, broadcast_side) =
            if family == Family::Pixels { (pixels, channels) } else { (channels, pixels) };
        let reduction = self.workload.middle_channels();
        let unrolls: &[u8] = if self.is_cut(Cut::Unroll) { &[1, 4] } else { &[1, 2, 4] };
        let broadcasts_weights = family == Family::Pixels;
        let packings: &[Packing] = if self.is_cut(Cut::Packing) || !broadcasts_weights {
            &[Packing::Panels]
        } else {
            &[Packing::Panels, Packing::RowMajor]
        };
        let weight_bytes = self.workload.pointwise_len() * size_of::<f32>();
        let transposes = matches!(family, Family::ChannelsPlanar | Family::ChannelsBlocked);
        let orders: &[LoopOrder] = if transposes || split == Split::Channels {
            &[LoopOrder::ChannelsOuter]
        } else if self.is_cut(Cut::LoopOrder) && 2 * weight_bytes <= self.target.l2_bytes {
            &[LoopOrder::PixelsOuter]
        } else {
            &[LoopOrder::PixelsOuter, LoopOrder::ChannelsOuter]
        };

        let mut tiles = Vec::new();
        for lanes in self.lanes(vector_side, true) {
            for (broadcasts, vectors) in self.register_tiles(lanes, vector_side, broadcast_side) {
                for &unroll in unrolls.iter().filter(|&&unroll| usize::from(unroll) <= reduction) {
                    for tail in self.tails(vector_side, lanes, false) {
                        for &packing in packings {
                            for &order in orders {
                                tiles.push(Some(PointwiseTile {
                                    lanes,
                                    broadcasts,
                                    vectors,
                                    unroll,
                                    tail,
                                    packing,
                                    order,
                                }));
                            }
                        }
                    }
                }
            }
        }
        tiles
    }

    /// The widest vectors that `extent` fills, or the target's narrowest; unless `only_widest`, also
    /// half of those.
    fn lanes(&self, extent: usize, only_widest: bool) -> Vec<u8> {
        const NARROWEST: u8 = 4;
        let mut widest = self.target.lanes;
        while widest > NARROWEST && usize::from(widest) >= 2 * extent {
            widest /= 2;
        }
        // Where half a vector is enough, it may waste less than a whole one, so it is never cut.
        if widest > NARROWEST && (!only_widest || usize::from(widest) > extent) {
            vec![widest, widest / 2]
        } else {
            vec![widest]
        }
    }

    /// Ways to compute what does not fill a vector; one will do where everything does.
    fn tails(&self, extent: usize, lanes: u8, may_overrun: bool) -> Vec<Tail> {
        let is_masked = narrow_vectors(extent, lanes) > 1;
        let mut tails = match is_masked && self.is_cut(Cut::Narrow) {
            true => vec![],
            false => vec![Tail::Narrow],
        };
        if extent.is_multiple_of(usize::from(lanes)) {
            return tails;
        }
        if is_masked {
            tails.push(Tail::Masked);
        }
        if may_overrun {
            tails.push(Tail::Overrun);
        }
        // An extent of less than a vector has no overlapping one.
        if !self.is_cut(Cut::Overlap) && extent > usize::from(lanes) {
            tails.push(Tail::Overlap);
        }
        tails
    }

    /// Pointwise register tiles, those that waste least first.
    fn register_tiles(
        &self,
        lanes: u8,
        vector_side: usize,
        broadcast_side: usize,
    ) -> Vec<(u8, u8)> {
        let mut tiles = cost::register_tiles(self.target, lanes, vector_side, broadcast_side);
        if self.is_cut(Cut::MoreRegisterTiles) {
            tiles.truncate(4);
        } else if self.is_cut(Cut::RegisterTiles) {
            tiles.truncate(8);
        }
        tiles
    }
}

/// Vectors that a narrow tail takes, of at least four lanes where the extent has as many. Another
/// tail takes one: where a narrow one does, too, masks gain nothing (within 3 %, Intel Xeon with
/// AVX-512), else up to 3x.
fn narrow_vectors(extent: usize, lanes: u8) -> usize {
    let left = extent % usize::from(lanes);
    let singles = if extent >= 4 { (left % 4).min(1) } else { left };
    left / 8 + left % 8 / 4 + singles
}

/// The numbers of vectors that do not start beyond the end of `extent`.
fn fitting_vectors(vectors: &[u8], lanes: u8, extent: usize) -> impl Iterator<Item = &u8> {
    vectors.iter().filter(move |&&v| v == 1 || usize::from(v - 1) * usize::from(lanes) < extent)
}

impl Cut {
    /// All cuts, the first to be made first.
    pub const ALL: [Self; 14] = [
        Self::CopiedWindows,
        Self::Packing,
        Self::LoopOrder,
        Self::Staged,
        Self::RegisterTiles,
        Self::DepthwiseTiles,
        Self::Unroll,
        Self::ShortTiles,
        Self::MoreRegisterTiles,
        Self::BlockedChannels,
        Self::NarrowVectors,
        Self::Overlap,
        Self::OddTiles,
        Self::Narrow,
    ];
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CopiedWindows => "copied windows where the input can be read",
            Self::Packing => "row-major pointwise weights",
            Self::LoopOrder => "output channels outside in the pointwise loops",
            Self::Staged => "staged schedules that divide rows",
            Self::RegisterTiles => "all but eight pointwise register tiles",
            Self::DepthwiseTiles => "odd depthwise register tiles",
            Self::Unroll => "unrolling by two",
            Self::ShortTiles => "tiles of fewer than four rows",
            Self::MoreRegisterTiles => "all but four pointwise register tiles",
            Self::BlockedChannels => "channels in blocks on large planes",
            Self::NarrowVectors => "narrow depthwise vectors",
            Self::Overlap => "overlapping tails",
            Self::OddTiles => "tiles that are no fraction of the plane",
            Self::Narrow => "tails of several narrow vectors",
        })
    }
}

impl fmt::Display for SpaceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} legal schedules of {} candidates", self.size, self.candidates)?;
        if self.product > self.candidates as u64 {
            write!(f, " (full product {})", self.product)?;
        }
        for Pruned { example, count } in &self.pruned {
            write!(f, "\n  {count} illegal, such as: {example}")?;
        }
        for cut in &self.cuts {
            write!(f, "\n  left out: {cut}")?;
        }
        Ok(())
    }
}
