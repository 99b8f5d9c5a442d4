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
        let isa = Isa::host();
        let vector_registers = if isa == Isa::Neon { 32 } else { 16 };
        Self { isa, lanes: 4, vector_registers, l1_bytes: 32 << 10, l2_bytes: 1 << 20 }
    }

    /// The same target with the given cache sizes.
    pub fn with_caches(self, l1_bytes: usize, l2_bytes: usize) -> Self {
        Self { l1_bytes, l2_bytes, ..self }
    }
}

impl Isa {
    /// Whether multiply-adds round once. Without, results follow the reference within a bound only.
    pub fn has_fma(self) -> bool {
        match self {
            Self::Sse2 => false,
            Self::Fma | Self::Neon => true,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn host() -> Self {
        // The standard library also asks the operating system whether it saves the registers.
        if std::arch::is_x86_feature_detected!("fma") { Self::Fma } else { Self::Sse2 }
    }

    #[cfg(target_arch = "aarch64")]
    fn host() -> Self {
        Self::Neon
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Sse2 => "sse2",
            Self::Fma => "fma",
            Self::Neon => "neon",
        })
    }
}
