//! The machine that code is generated for.

use serde::{Deserialize, Serialize};

/// Instruction set of generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Isa {
    /// x86-64 without fused multiply-add: SSE2 up to AVX.
    Sse2,
    /// x86-64 with FMA at 128 bits, through Cranelift.
    Fma,
    /// 64-bit ARM with NEON.
    Neon,
}

/// What code generation and the search know of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Instruction set.
    pub isa: Isa,
    /// `f32` lanes of the widest vector.
    pub lanes: u8,
    /// Vector registers.
    pub vector_registers: u8,
    /// Bytes of a core's first-level data cache.
    pub l1_bytes: usize,
    /// Bytes of a core's second-level cache.
    pub l2_bytes: usize,
}

impl Target {
    /// The machine this process runs on, as far as its instructions go; cache sizes are guesses of
    /// 32 KiB and 1 MiB until [`Target::with_caches`] sets them.
    pub fn host() -> Self {
        todo!("in progress")
    }

    /// The same target with the given cache sizes.
    pub fn with_caches(self, l1_bytes: usize, l2_bytes: usize) -> Self {
        Self { l1_bytes, l2_bytes, ..self }
    }
}
