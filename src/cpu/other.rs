//! Architectures that the kernels are not generated for: nothing is known.

use super::{Caches, Identity};

pub(super) fn identity(_core: u32) -> Identity {
    Identity::unknown()
}

pub(super) fn features() -> Vec<&'static str> {
    Vec::new()
}

pub(super) fn caches() -> Caches {
    Caches::default()
}
