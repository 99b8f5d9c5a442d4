//! What a core does in a cycle, and what its caches deliver.
//!
//! The figures are those that x86 cores with two multiply-add ports have in common (Intel from
//! Skylake-SP on, AMD from Zen 4 on); a ranking needs ratios only.

use crate::target::Target;

/// Multiply-adds in a cycle.
const MULTIPLY_ADDS: f64 = 2.0;
/// Loads in a cycle.
const LOADS: f64 = 2.0;
/// Cycles by which a load beside multiply-adds delays them.
const LOADS_FELT: f64 = 0.05;
/// Stores in a cycle.
const STORES: f64 = 1.0;
/// Shuffles between lanes in a cycle.
const SHUFFLES: f64 = 1.0;
/// Instructions of any kind in a cycle, as loops of this kind reach them.
const ISSUED: f64 = 5.0;
/// Cycles from a multiply-add to one that needs its result.
pub(super) const LATENCY: f64 = 4.0;
/// Bytes of a cache line.
pub(super) const LINE_BYTES: f64 = 64.0;

/// Bytes in a cycle from the second-level cache, the third-level one, and beyond.
const FROM_L2: f64 = 48.0;
const FROM_L3: f64 = 8.0;
/// Part of a cache from which on a working set begins to be evicted by what else passes through,
/// and part at which all of it is.
const KEPT: f64 = 0.4;
const EVICTED: f64 = 1.2;
/// Part of the time that data take to arrive which neither computation nor fetching ahead hides.
const EXPOSED: f64 = 0.18;

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
    let missed = |capacity: usize| {
        let part = footprint / capacity as f64;
        ((part - KEPT) / (EVICTED - KEPT)).clamp(0.0, 1.0)
    };
    EXPOSED * bytes * (missed(target.l1_bytes) / FROM_L2 + missed(target.l2_bytes) / FROM_L3)
}
