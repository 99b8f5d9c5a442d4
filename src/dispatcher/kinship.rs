//! How close two CPU models are.

use crate::cpu::CpuModel;

/// How close two CPU models are, the closest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kinship {
    Same,
    OtherStepping,
    /// Cores of one vendor have more in common than their instruction set.
    SameVendor,
    Other,
}

impl Kinship {
    pub(super) fn of(one: &CpuModel, other: &CpuModel) -> Self {
        if one.is_same_model(other) && one.has_same_caches(other) {
            Self::Same
        } else if one.is_same_microarchitecture(other) {
            Self::OtherStepping
        } else if one.is_same_vendor(other) {
            Self::SameVendor
        } else {
            Self::Other
        }
    }
}
