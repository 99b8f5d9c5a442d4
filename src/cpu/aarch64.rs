//! What Linux tells of MIDR_EL1, the main ID register of the ARM architecture reference manual.
//! Elsewhere the CPU is `unknown`.

use super::{Caches, Identity, sysfs};

pub(super) fn identity() -> Identity {
    match sysfs::midr() {
        Some(midr) => sysfs::identity_of_midr(midr),
        None => Identity {
            vendor: "unknown".to_owned(),
            family: 0,
            model: 0,
            stepping: 0,
            brand: String::new(),
        },
    }
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
