//! What a core does in a cycle, and what its caches deliver.
//!
//! The figures were fitted to 12,000 timed schedules of 222 blocks, on one and two threads of an Intel
//! Xeon with AVX-512, such that the schedules of the least estimates are the fast ones. So they
//! include what is not counted apart: a latency is longer than in the manual where nothing else
//! stands for the imperfect order of instructions. A ranking needs ratios only, and those x86 cores
//! with two multiply-add ports have in common (Intel from Skylake-SP on, AMD from Zen 4 on).

use crate::target::Target;

/// Multiply-adds in a cycle.
const MULTIPLY_ADDS: f64 = 2.0;
/// Loads in a cycle.
const LOADS: f64 = 2.0;
/// Cycles by which a load beside multiply-adds delays them.
const LOADS_FELT: f64 = 0.08;
/// Stores in a cycle.
const STORES: f64 = 1.0;
/// Shuffles between lanes in a cycle.
const SHUFFLES: f64 = 1.0;
/// Instructions of any kind in a cycle, as loops of this kind reach them.
const ISSUED: f64 = 3.2;
/// Cycles from a multiply-add to one that needs its result.
pub(super) const LATENCY: f64 = 5.7;
/// Bytes of a cache line.
pub(super) const LINE_BYTES: f64 = 64.0;

/// Bytes in a cycle from the second-level cache, the third-level one, and from memory beyond what
/// the latter took, as they are felt beside computation.
const FROM_L2: f64 = 128.0;
const FROM_L3: f64 = 12.0;
const FROM_MEMORY: f64 = 3.6;
/// Part of a cache from which on a working set begins to be evicted by what else passes through,
/// and part at which all of it is.
const KEPT: f64 = 0.5;
const EVICTED: f64 = 1.8;
/// The third-level cache, or one core's part of it, over the second-level one. What a machine tells
/// of it cannot be trusted: its cores share it, and a hypervisor's guests, too.
const L3_OF_L2: f64 = 12.0;
/// Cycles until a line arrives that another core has written.
const REMOTE_LINE: f64 = 70.0;

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
    pub(super) fn cycles(self) -> f64 {
        let issued = self.multiply_adds + self.loads + self.stores + self.shuffles + self.others;
        [
            // At 512 bits, what is not loaded or stored goes through the ports of multiply-adds; of
            // the others, half are scalar. Loads that wait for a second line hold them up a little.
            (self.multiply_adds + self.shuffles + self.others / 2.0) / MULTIPLY_ADDS
                + LOADS_FELT * self.loads,
            self.loads / LOADS,
            self.stores / STORES,
            self.shuffles / SHUFFLES,
            issued / ISSUED,
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

/// Cycles that `bytes` cost because they come from the smallest cache that holds `footprint`.
pub(super) fn waiting(target: &Target, bytes: f64, footprint: f64) -> f64 {
    let missed = |capacity: f64| {
        let part = footprint / capacity;
        ((part - KEPT) / (EVICTED - KEPT)).clamp(0.0, 1.0)
    };
    let (l1, l2) = (target.l1_bytes as f64, target.l2_bytes as f64);
    bytes * (missed(l1) / FROM_L2 + missed(l2) / FROM_L3 + missed(L3_OF_L2 * l2) / FROM_MEMORY)
}

/// Cycles that `bytes` cost because other cores have written them.
pub(super) fn waiting_for_others(bytes: f64) -> f64 {
    bytes / LINE_BYTES * REMOTE_LINE
}
