//! Architectures that the kernels are not generated for: nothing is known.

use super::{Caches, Identity};

pub(super) fn identity() -> Identity {
    Identity {
        vendor: "unknown".to_owned(),
        family: 0,
        model: 0,
        stepping: 0,
        brand: String::new(),
    }
}

pub(super) fn features() -> Vec<&'static str> {
    Vec::new()
}

pub(super) fn caches() -> Caches {
    Caches::default()
}
