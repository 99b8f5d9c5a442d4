//! The instruction sets that code is made for.

use cranelift_codegen::ir::{Type, types};

/// An instruction set to compile for.
///
/// ```
/// use clif_wide::Isa;
/// assert_eq!((Isa::Avx2.vector_registers(), Isa::Avx512.vector_registers()), (16, 32));
/// assert!(Isa::Avx2 < Isa::Avx512);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// AVX2, FMA and BMI2: 16 vector registers of 256 bits.
    Avx2,
    /// AVX-512 F, VL, DQ and BW besides: 32 vector registers of 512 bits.
    Avx512,
}

impl Isa {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 2] = [Self::Avx2, Self::Avx512];

    /// The widest instruction set that this processor has and its operating system preserves.
    ///
    /// `None` where not even AVX2 is usable, as on every other architecture.
    pub fn host() -> Option<Self> {
        Self::ALL.into_iter().rev().find(|isa| isa.is_usable())
    }

    /// Whether this process may execute code for the instruction set.
    ///
    /// The standard library's detection is asked, which also reads XCR0: registers that the
    /// operating system does not save count as absent.
    pub fn is_usable(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi2");
            let avx512 = || {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            };
            match self {
                Self::Avx2 => avx2,
                Self::Avx512 => avx2 && avx512(),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Number of architectural vector registers.
    pub fn vector_registers(self) -> usize {
        match self {
            Self::Avx2 => 16,
            Self::Avx512 => 32,
        }
    }

    /// The widest vector, in 32-bit lanes.
    pub fn max_lanes(self) -> u32 {
        match self {
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }

    /// The widest vector type of floats.
    pub fn vector_type(self) -> Type {
        match self {
            Self::Avx2 => types::F32X8,
            Self::Avx512 => types::F32X16,
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}
