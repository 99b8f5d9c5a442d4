//! What a core does in a cycle, and what its caches deliver.
//!
//! The figures were fitted to timed schedules such that those of the least estimates are the fast
//! ones, so they include what is not counted apart: a latency is longer than in the manual where
//! nothing else stands for the imperfect order of instructions. `--example fit` of the tuner does it
//! again on any machine.

use serde::{Deserialize, Serialize};

use crate::target::{Isa, Target};

/// Bytes of a cache line.
pub(super) const LINE_BYTES: f64 = 64.0;
/// Bytes of a way of the first-level cache: a page, which is what its sets can be told by before an
/// address is translated.
pub(super) const WAY_BYTES: usize = 4096;
/// Second-level cache of the cores of Ice Lake's servers, of Tiger Lake and of the first Alder Lakes: by it
/// they are told from the servers before, which have 1 MiB, and after, which have 2.
const ICE_LAKE_L2_BYTES: usize = 1280 << 10;

/// Figures of a core and its caches, by which an [estimate](super::estimate) is made. A ranking of
/// schedules needs their ratios only. One instruction is one vector, of whatever width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Multiply-adds in a cycle.
    pub multiply_adds: f64,
    /// Loads in a cycle.
    pub loads: f64,
    /// Stores in a cycle.
    pub stores: f64,
    /// Shuffles between lanes in a cycle.
    pub shuffles: f64,
    /// Instructions of any kind in a cycle, as loops of this kind reach them.
    pub issued: f64,
    /// Cycles from a multiply-add to one that needs its result.
    pub latency: f64,
    /// Part of the latency of a depthwise block's taps, one after the other, that neither its other
    /// accumulators nor the blocks around it hide.
    pub exposed: f64,
    /// Cycles by which a load beside multiply-adds delays them: one that waits for a second line
    /// holds them up a little.
    pub load_felt: f64,
    /// Part of the shuffles that go through the ports of multiply-adds.
    pub shuffles_beside: f64,
    /// Part of what is neither multiply-add, shuffle, load nor store that does; the rest are scalar,
    /// or have ports of their own.
    pub others_beside: f64,
    /// Cycles of a loop that ends: its last branch is predicted wrongly.
    pub loop_end: f64,
    /// Instructions of a loop's step beside its body: pointers, counter, branch.
    pub loop_step: f64,
    /// Stores that a masked one takes the time of, beside its own, where it reaches into a second
    /// line.
    pub masked_store: f64,
    /// Instructions that a masked load takes beside itself.
    pub masked_load: f64,
    /// Cycles of a row of a window beside its copying: whether it is padding is asked of each, and
    /// what was just stored is loaded at other offsets.
    pub window_row: f64,
    /// Instructions for each row that a block reads of the input itself: where it is, and whether it
    /// is padding.
    pub direct_row: f64,
    /// Bytes in a cycle from the second-level cache, as they are felt beside computation.
    pub from_l2: f64,
    /// The same from the third-level one.
    pub from_l3: f64,
    /// The same from memory, beyond what the latter took.
    pub from_memory: f64,
    /// Part of a cache from which on a working set begins to be evicted by what else passes through.
    pub kept: f64,
    /// Part at which all of it is.
    pub evicted: f64,
    /// The third-level cache, or one core's part of it, over the second-level one. What a machine
    /// tells of it cannot be trusted: its cores share it, and a hypervisor's guests, too.
    pub l3_of_l2: f64,
    /// Times that data cost which are met in runs too short to be fetched ahead.
    pub scattered: f64,
    /// Rows of a plane that are fetched ahead when read side by side.
    pub rows_ahead: f64,
    /// How much longer data take that are met in many more.
    pub jumps: f64,
    /// How much of its way from the second-level cache is felt of a line that was evicted because too
    /// many share its set.
    pub conflicts: f64,
    /// Part by which depthwise blocks take longer whose last vectors overlap those before.
    pub overlapping: f64,
    /// Cycles until a line arrives that another core has written.
    pub remote_line: f64,
    /// Cycles until the other threads have joined the first one.
    pub join: f64,
    /// Cycles until all threads have ended a phase and begun the next one.
    pub barrier: f64,
}

/// Intel Xeon with AVX-512, from 12,000 timed schedules of 222 blocks on one and two threads.
static AVX512: Machine = Machine {
    multiply_adds: 2.0,
    loads: 2.0,
    stores: 1.0,
    shuffles: 1.0,
    issued: 3.2,
    latency: 5.7,
    exposed: 0.0,
    load_felt: 0.08,
    shuffles_beside: 1.0,
    others_beside: 0.5,
    loop_end: 15.0,
    loop_step: 4.0,
    masked_store: 5.5,
    masked_load: 2.0,
    window_row: 8.0,
    direct_row: 0.0,
    from_l2: 128.0,
    from_l3: 12.0,
    from_memory: 3.6,
    kept: 0.5,
    evicted: 1.8,
    l3_of_l2: 12.0,
    scattered: 1.6,
    rows_ahead: 5.0,
    jumps: 0.7,
    conflicts: 0.0,
    overlapping: 0.15,
    remote_line: 70.0,
    join: 5_000.0,
    barrier: 2_500.0,
};

/// Intel Xeon with AVX-512 of the generation of Ice Lake, from 2,900 timed schedules of 28 blocks in both
/// layouts on one thread, beside other guests of the machine: as on Zen 3, fewer loads and stores in a
/// cycle stand for what they take of it. What concerns several threads is the other Xeon's.
static AVX512_ICE_LAKE: Machine = Machine {
    multiply_adds: 2.2,
    loads: 0.77,
    stores: 0.33,
    issued: 3.0,
    masked_load: 6.2,
    from_l2: 130.0,
    from_l3: 16.0,
    evicted: 2.8,
    scattered: 2.7,
    ..AVX512
};

/// AMD EPYC with AVX-512 (Zen 4, whose ports are 256 bits wide), from 7,800 timed schedules of 24
/// blocks in NCHW and 15 in NHWC on one thread. What concerns several threads is the Xeon's.
static AVX512_SPLIT: Machine = Machine {
    multiply_adds: 1.0,
    loads: 0.93,
    stores: 0.5,
    shuffles: 1.0,
    issued: 2.3,
    latency: 4.7,
    exposed: 0.1,
    load_felt: 0.08,
    shuffles_beside: 1.0,
    others_beside: 0.17,
    loop_end: 15.0,
    loop_step: 1.4,
    masked_store: 5.5,
    masked_load: 1.9,
    window_row: 8.0,
    direct_row: 1.0,
    from_l2: 110.0,
    from_l3: 240.0,
    from_memory: 5.0,
    kept: 0.54,
    evicted: 1.7,
    l3_of_l2: 12.0,
    scattered: 3.1,
    rows_ahead: 5.0,
    jumps: 0.7,
    conflicts: 1.0,
    overlapping: 0.15,
    remote_line: 70.0,
    join: 5_000.0,
    barrier: 2_500.0,
};

/// AMD EPYC with AVX2 (Zen 3), from 2,900 timed schedules of 28 blocks in both layouts on one thread,
/// beside other guests of the machine: fewer instructions and loads in a cycle than the core has ports
/// for stand for what they take of it, and a masked load for all that the edge of a plane costs. What
/// concerns memory is from 9,400 schedules of 111 blocks: large planes that are read side by side, row by
/// row, are hardly fetched ahead.
static AVX2: Machine = Machine {
    multiply_adds: 2.0,
    loads: 0.93,
    stores: 0.43,
    shuffles: 1.0,
    issued: 2.4,
    latency: 4.0,
    exposed: 0.23,
    load_felt: 0.08,
    shuffles_beside: 0.5,
    others_beside: 0.25,
    loop_end: 15.0,
    loop_step: 2.8,
    masked_store: 20.0,
    masked_load: 19.0,
    window_row: 8.0,
    direct_row: 1.7,
    from_l2: 36.0,
    from_l3: 79.0,
    from_memory: 0.9,
    kept: 0.5,
    evicted: 9.0,
    l3_of_l2: 12.0,
    scattered: 1.5,
    rows_ahead: 1.0,
    jumps: 0.5,
    conflicts: 0.0,
    overlapping: 0.02,
    remote_line: 70.0,
    join: 5_000.0,
    barrier: 2_500.0,
};

impl Machine {
    /// The figures of the machine that stands for those like the target.
    pub fn of(target: &Target) -> &'static Self {
        match target.isa {
            Isa::Avx2 => &AVX2,
            Isa::Avx512 if target.splits_vectors => &AVX512_SPLIT,
            Isa::Avx512 if target.l2_bytes == ICE_LAKE_L2_BYTES => &AVX512_ICE_LAKE,
            // The others were not measured.
            Isa::Avx512 | Isa::Sse2 | Isa::Fma | Isa::Neon => &AVX512,
        }
    }
}

/// Instructions by the port that they occupy. One is one vector, of whatever width.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) multiply_adds: f64,
    /// Loads, those that cross a cache line counted twice.
    pub(super) loads: f64,
    pub(super) stores: f64,
    pub(super) shuffles: f64,
    /// Everything else: minima, address computations, branches.
    pub(super) others: f64,
    /// Cycles in which nothing else happens: loops that end otherwise than predicted, calls.
    pub(super) stalls: f64,
}

impl Work {
    /// The same, so many times.
    pub(super) fn times(self, count: f64) -> Self {
        Self {
            multiply_adds: self.multiply_adds * count,
            loads: self.loads * count,
            stores: self.stores * count,
            shuffles: self.shuffles * count,
            others: self.others * count,
            stalls: self.stalls * count,
        }
    }

    /// Both, one after the other.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            multiply_adds: self.multiply_adds + other.multiply_adds,
            loads: self.loads + other.loads,
            stores: self.stores + other.stores,
            shuffles: self.shuffles + other.shuffles,
            others: self.others + other.others,
            stalls: self.stalls + other.stalls,
        }
    }

    /// Cycles: those of the busiest port, since the others work beside it.
    pub(super) fn cycles(self, machine: &Machine) -> f64 {
        let issued = self.multiply_adds + self.loads + self.stores + self.shuffles + self.others;
        let beside = machine.shuffles_beside * self.shuffles + machine.others_beside * self.others;
        [
            (self.multiply_adds + beside) / machine.multiply_adds + machine.load_felt * self.loads,
            self.loads / machine.loads,
            self.stores / machine.stores,
            self.shuffles / machine.shuffles,
            issued / machine.issued,
        ]
        .into_iter()
        .fold(0.0, f64::max)
            + self.stalls
    }
}

/// What one unaligned load of so many lanes counts for: the part that crosses a line is loaded
/// twice.
pub(super) fn unaligned(lanes: usize) -> f64 {
    1.0 + (lanes * size_of::<f32>()) as f64 / LINE_BYTES
}

impl Machine {
    /// Cycles that `bytes` cost because they come from the smallest cache that holds `footprint`.
    pub(super) fn waiting(&self, target: &Target, bytes: f64, footprint: f64) -> f64 {
        let missed = |capacity: f64| {
            let part = footprint / capacity;
            ((part - self.kept) / (self.evicted - self.kept)).clamp(0.0, 1.0)
        };
        let (l1, l2) = (target.l1_bytes as f64, target.l2_bytes as f64);
        let l3 = self.l3_of_l2 * l2;
        bytes
            * (missed(l1) / self.from_l2
                + missed(l2) / self.from_l3
                + missed(l3) / self.from_memory)
    }

    /// Cycles that `bytes` cost because other cores have written them.
    pub(super) fn waiting_for_others(&self, bytes: f64) -> f64 {
        bytes / LINE_BYTES * self.remote_line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_lake_is_told_by_its_second_level_cache() {
        let of = |l2_bytes| Machine::of(&Target::of(Isa::Avx512).with_caches(48 << 10, l2_bytes));
        assert_eq!(*of(1280 << 10), AVX512_ICE_LAKE);
        assert_eq!([*of(1 << 20), *of(2 << 20)], [AVX512; 2]);
    }
}
