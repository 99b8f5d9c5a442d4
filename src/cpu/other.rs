//! Architectures that the kernels are not generated for: nothing is known.

use dsconv_kernels::Isa;

use super::{Caches, Identity};

pub(super) fn identity(_core: u32) -> Identity {
    Identity::unknown()
}

pub(super) fn features() -> Vec<&'static str> {
    Vec::new()
}

/// None that code is generated for does.
pub(super) fn splits_vectors(_isa: Isa) -> bool {
    false
}

pub(super) fn caches() -> Caches {
    Caches::default()
}
