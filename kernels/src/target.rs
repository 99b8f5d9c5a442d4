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
    /// x86-64 with AVX2 and FMA at 256 bits, through `clif-wide`.
    Avx2,
    /// x86-64 with AVX-512 (F, VL, DQ, BW) at 512 bits, through `clif-wide`.
    Avx512,
    /// 64-bit ARM with NEON.
    Neon,
}

/// What code generation and the search know of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether the widest vectors pass through the ports in two halves, as those of 512 bits do on
    /// AMD's Zen 4.
    #[serde(default, skip_serializing_if = "is_false")]
    pub splits_vectors: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Environment variable that names the widest instruction set to use, as [`Isa`] prints it.
pub const ISA_VARIABLE: &str = "DSCONV_MAX_ISA";

/// A name that is no instruction set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no instruction set: sse2, fma, avx2, avx512 and neon are")]
pub struct UnknownIsa(String);

impl Target {
    /// The machine this process runs on, as far as its instructions go; cache sizes are guesses of
    /// 32 KiB and 1 MiB until [`Target::with_caches`] sets them, and ports are taken for as wide as
    /// vectors.
    ///
    /// The environment variable [`ISA_VARIABLE`] caps the instruction set, so that one machine can
    /// stand for lesser ones. A value that is none ([`Isa::cap`] tells) caps nothing.
    pub fn host() -> Self {
        let cap = Isa::cap().ok().flatten();
        let isa = Isa::usable().into_iter().rev().find(|&isa| cap.is_none_or(|cap| isa <= cap));
        Self::of(isa.unwrap_or(Isa::usable()[0]))
    }

    /// A machine with an instruction set; cache sizes as in [`Target::host`].
    pub fn of(isa: Isa) -> Self {
        let (lanes, vector_registers) = match isa {
            Isa::Sse2 | Isa::Fma => (4, 16),
            Isa::Avx2 => (8, 16),
            Isa::Avx512 => (16, 32),
            Isa::Neon => (4, 32),
        };
        let (l1_bytes, l2_bytes) = (32 << 10, 1 << 20);
        Self { isa, lanes, vector_registers, l1_bytes, l2_bytes, splits_vectors: false }
    }

    /// Multiply-adds of single elements that a core begins in a cycle, if it has two ports for them.
    pub fn multiply_adds_per_cycle(&self) -> f64 {
        let ports = if self.splits_vectors { 1.0 } else { 2.0 };
        ports * f64::from(self.lanes)
    }

    /// The same target with the given cache sizes.
    pub fn with_caches(self, l1_bytes: usize, l2_bytes: usize) -> Self {
        Self { l1_bytes, l2_bytes, ..self }
    }
}

impl Isa {
    /// Whether multiply-adds round once. Without, results follow the reference within a bound only.
    pub fn has_fma(self) -> bool {
        self != Self::Sse2
    }

    /// The instruction sets that this processor has and its operating system preserves, the
    /// narrowest first. There is always one.
    #[cfg(target_arch = "x86_64")]
    pub fn usable() -> Vec<Self> {
        // The standard library also asks the operating system whether it saves the registers.
        let fma = std::arch::is_x86_feature_detected!("fma");
        let wide = |isa: clif_wide::Isa| isa.is_usable();
        [
            (Self::Sse2, true),
            (Self::Fma, fma),
            (Self::Avx2, wide(clif_wide::Isa::Avx2)),
            (Self::Avx512, wide(clif_wide::Isa::Avx512)),
        ]
        .into_iter()
        .filter_map(|(isa, usable)| usable.then_some(isa))
        .collect()
    }

    /// The instruction sets of this processor. There is always one.
    #[cfg(target_arch = "aarch64")]
    pub fn usable() -> Vec<Self> {
        vec![Self::Neon]
    }

    /// The instruction set that [`ISA_VARIABLE`] names, if it is set.
    ///
    /// # Errors
    ///
    /// If the variable names none.
    pub fn cap() -> Result<Option<Self>, UnknownIsa> {
        match std::env::var_os(ISA_VARIABLE) {
            Some(name) => name.to_string_lossy().parse().map(Some),
            None => Ok(None),
        }
    }

    /// The instruction set of the wide backend, where it is one.
    pub(crate) fn wide(self) -> Option<clif_wide::Isa> {
        match self {
            Self::Avx2 => Some(clif_wide::Isa::Avx2),
            Self::Avx512 => Some(clif_wide::Isa::Avx512),
            Self::Sse2 | Self::Fma | Self::Neon => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sse2 => "sse2",
            Self::Fma => "fma",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        [Self::Sse2, Self::Fma, Self::Avx2, Self::Avx512, Self::Neon]
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| UnknownIsa(name.chars().take(40).collect()))
    }
}
