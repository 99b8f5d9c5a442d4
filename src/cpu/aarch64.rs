//! What Linux tells. Elsewhere the CPU is `unknown`.

use std::path::Path;

use dsconv_kernels::Isa;

use super::midr::Midr;
use super::{Caches, Identity};

pub(super) fn identity(core: u32) -> Identity {
    Midr::of_core(Path::new("/"), core).map_or_else(Identity::unknown, Midr::identity)
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

/// None that code is generated for does.
pub(super) fn splits_vectors(_isa: Isa) -> bool {
    false
}

pub(super) fn caches() -> Caches {
    Caches::default() // CLIDR and CCSIDR cannot be read by a process; sysfs tells.
}
