//! What Linux tells of MIDR_EL1, the main ID register of the ARM architecture reference manual.
//! Elsewhere the CPU is `unknown`.

use super::{Caches, Identity, sysfs};

pub(super) fn identity() -> Identity {
    sysfs::midr().map_or_else(Identity::unknown, sysfs::identity_of_midr)
}

pub(super) fn features() -> Vec<&'static str> {
    let mut found = Vec::new();
    macro_rules! probe {
        ($($feature:tt)*) => {
            $(if std::arch::is_aarch64_feature_detected!($feature) { found.push($feature); })*
        };
    }
    probe!("neon" "fp16" "dotprod" "bf16" "i8mm" "sve" "sve2");
    found
}

pub(super) fn caches() -> Caches {
    Caches::default() // CLIDR and CCSIDR cannot be read by a process; sysfs tells.
}
