//! The one place that maps an operation, a width and an instruction set to an x86 encoding.
//!
//! VEX encodings reach registers 0 to 15 at up to 256 bits; EVEX encodings, of AVX-512 only, reach all
//! and know broadcasts and masks. At 256 bits a VEX form measured about 3 % faster than its EVEX
//! twin (Zen 4), and it is shorter, so VEX is taken wherever it can express the instruction.

use crate::vcode::{Binary, Unary, Width};
use iced_x86::Code;

/// The encodings of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forms {
    /// Scalar, xmm, ymm.
    vex: [Option<Code>; 3],
    /// Scalar, xmm, ymm, zmm.
    evex: [Option<Code>; 4],
}

/// Which family of encodings an instruction needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Either; VEX where it exists.
    Any,
    /// EVEX: a register above 15, a broadcast, a mask.
    Evex,
}

impl Forms {
    /// The encoding for a width.
    pub(super) fn at(&self, width: Width, need: Need) -> Option<Code> {
        let vex = match need {
            Need::Any => self.vex.get(width as usize).copied().flatten(),
            Need::Evex => None,
        };
        vex.or(self.evex[width as usize])
    }
}

/// The encodings of `result = op(a, b)`, and its immediate.
pub(super) fn binary(op: Binary) -> (Forms, Option<u8>) {
    match op {
        Binary::Add => (ADD, None),
        Binary::Sub => (SUB, None),
        Binary::Mul => (MUL, None),
        Binary::Div => (DIV, None),
        Binary::Min => (MIN, None),
        Binary::Max => (MAX, None),
        Binary::Sqrt => (SQRT_SCALAR, None),
        Binary::And => (AND, None),
        Binary::AndNot => (AND_NOT, None),
        Binary::Or => (OR, None),
        Binary::Xor => (XOR, None),
        Binary::IntAdd => (INT_ADD, None),
        Binary::IntSub => (INT_SUB, None),
        Binary::UnpackLow32 => (UNPACK_LOW_32, None),
        Binary::UnpackHigh32 => (UNPACK_HIGH_32, None),
        Binary::UnpackLow64 => (UNPACK_LOW_64, None),
        Binary::UnpackHigh64 => (UNPACK_HIGH_64, None),
        Binary::Shuffle32(immediate) => (SHUFFLE_32, Some(immediate)),
        Binary::Swap128(immediate) => (SWAP_128, Some(immediate)),
        Binary::Permute32 => (PERMUTE_32, None),
        Binary::PermuteInLane32 => (PERMUTE_IN_LANE_32, None),
        Binary::Permute64 => (PERMUTE_64, None),
        Binary::BlendImmediate(immediate) => (BLEND_IMMEDIATE, Some(immediate)),
        Binary::Insert(immediate) => (INSERT, Some(immediate)),
    }
}

/// The encodings of `result = op(a)`, and its immediate. `memory` tells where `a` is.
pub(super) fn unary(op: Unary, memory: bool) -> (Forms, Option<u8>) {
    match op {
        Unary::Move if memory => (LOAD, None),
        Unary::Move => (COPY, None),
        Unary::Broadcast if memory => (BROADCAST_MEMORY, None),
        Unary::Broadcast => (BROADCAST_REGISTER, None),
        Unary::Sqrt => (SQRT, None),
        Unary::ShiftLeft(count) => (SHIFT_LEFT, Some(count)),
        Unary::ShiftRight(count) => (SHIFT_RIGHT, Some(count)),
        Unary::SignedShiftRight(count) => (SIGNED_SHIFT_RIGHT, Some(count)),
        Unary::Permute64(immediate) => (PERMUTE_64_IMMEDIATE, Some(immediate)),
        Unary::PermuteInLane32(immediate) => (PERMUTE_IN_LANE_32_IMMEDIATE, Some(immediate)),
    }
}

pub(super) const ADD: Forms = Forms {
    vex: [
        Some(Code::VEX_Vaddss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vaddps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vaddps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vaddss_xmm_k1z_xmm_xmmm32_er),
        Some(Code::EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er),
    ],
};

pub(super) const SUB: Forms = Forms {
    vex: [
        Some(Code::VEX_Vsubss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vsubps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vsubps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vsubss_xmm_k1z_xmm_xmmm32_er),
        Some(Code::EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er),
    ],
};

pub(super) const MUL: Forms = Forms {
    vex: [
        Some(Code::VEX_Vmulss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vmulps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vmulps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vmulss_xmm_k1z_xmm_xmmm32_er),
        Some(Code::EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er),
    ],
};

pub(super) const DIV: Forms = Forms {
    vex: [
        Some(Code::VEX_Vdivss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vdivps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vdivps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vdivss_xmm_k1z_xmm_xmmm32_er),
        Some(Code::EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er),
    ],
};

pub(super) const MIN: Forms = Forms {
    vex: [
        Some(Code::VEX_Vminss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vminps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vminps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vminss_xmm_k1z_xmm_xmmm32_sae),
        Some(Code::EVEX_Vminps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vminps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae),
    ],
};

pub(super) const MAX: Forms = Forms {
    vex: [
        Some(Code::VEX_Vmaxss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vmaxps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vmaxps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vmaxss_xmm_k1z_xmm_xmmm32_sae),
        Some(Code::EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae),
    ],
};

pub(super) const FMA: Forms = Forms {
    vex: [
        Some(Code::VEX_Vfmadd231ss_xmm_xmm_xmmm32),
        Some(Code::VEX_Vfmadd231ps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vfmadd231ss_xmm_k1z_xmm_xmmm32_er),
        Some(Code::EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er),
    ],
};

pub(super) const SQRT_SCALAR: Forms = Forms {
    vex: [Some(Code::VEX_Vsqrtss_xmm_xmm_xmmm32), None, None],
    evex: [Some(Code::EVEX_Vsqrtss_xmm_k1z_xmm_xmmm32_er), None, None, None],
};

pub(super) const AND: Forms = Forms {
    vex: [None, Some(Code::VEX_Vandps_xmm_xmm_xmmm128), Some(Code::VEX_Vandps_ymm_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vandps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vandps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vandps_zmm_k1z_zmm_zmmm512b32),
    ],
};

/// AVX2 only.
pub(super) const AND_NOT: Forms = Forms {
    vex: [None, Some(Code::VEX_Vandnps_xmm_xmm_xmmm128), Some(Code::VEX_Vandnps_ymm_ymm_ymmm256)],
    evex: [None, None, None, None],
};

pub(super) const OR: Forms = Forms {
    vex: [None, Some(Code::VEX_Vorps_xmm_xmm_xmmm128), Some(Code::VEX_Vorps_ymm_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vorps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vorps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vorps_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const XOR: Forms = Forms {
    vex: [None, Some(Code::VEX_Vxorps_xmm_xmm_xmmm128), Some(Code::VEX_Vxorps_ymm_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vxorps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vxorps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vxorps_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const INT_ADD: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpaddd_xmm_xmm_xmmm128), Some(Code::VEX_Vpaddd_ymm_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const INT_SUB: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpsubd_xmm_xmm_xmmm128), Some(Code::VEX_Vpsubd_ymm_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const UNPACK_LOW_32: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vunpcklps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vunpcklps_ymm_ymm_ymmm256),
    ],
    evex: [
        None,
        Some(Code::EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vunpcklps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const UNPACK_HIGH_32: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vunpckhps_xmm_xmm_xmmm128),
        Some(Code::VEX_Vunpckhps_ymm_ymm_ymmm256),
    ],
    evex: [
        None,
        Some(Code::EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vunpckhps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const UNPACK_LOW_64: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vunpcklpd_xmm_xmm_xmmm128),
        Some(Code::VEX_Vunpcklpd_ymm_ymm_ymmm256),
    ],
    evex: [
        None,
        Some(Code::EVEX_Vunpcklpd_xmm_k1z_xmm_xmmm128b64),
        Some(Code::EVEX_Vunpcklpd_ymm_k1z_ymm_ymmm256b64),
        Some(Code::EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64),
    ],
};

pub(super) const UNPACK_HIGH_64: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vunpckhpd_xmm_xmm_xmmm128),
        Some(Code::VEX_Vunpckhpd_ymm_ymm_ymmm256),
    ],
    evex: [
        None,
        Some(Code::EVEX_Vunpckhpd_xmm_k1z_xmm_xmmm128b64),
        Some(Code::EVEX_Vunpckhpd_ymm_k1z_ymm_ymmm256b64),
        Some(Code::EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64),
    ],
};

pub(super) const SHUFFLE_32: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vshufps_xmm_xmm_xmmm128_imm8),
        Some(Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8),
    ],
    evex: [
        None,
        Some(Code::EVEX_Vshufps_xmm_k1z_xmm_xmmm128b32_imm8),
        Some(Code::EVEX_Vshufps_ymm_k1z_ymm_ymmm256b32_imm8),
        Some(Code::EVEX_Vshufps_zmm_k1z_zmm_zmmm512b32_imm8),
    ],
};

pub(super) const SWAP_128: Forms = Forms {
    vex: [None, None, Some(Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8)],
    evex: [None, None, None, Some(Code::EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8)],
};

pub(super) const PERMUTE_32: Forms = Forms {
    vex: [None, None, Some(Code::VEX_Vpermps_ymm_ymm_ymmm256)],
    evex: [
        None,
        None,
        Some(Code::EVEX_Vpermps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vpermps_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const PERMUTE_IN_LANE_32: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpermilps_xmm_xmm_xmmm128), None],
    evex: [None, Some(Code::EVEX_Vpermilps_xmm_k1z_xmm_xmmm128b32), None, None],
};

pub(super) const PERMUTE_64: Forms = Forms {
    vex: [None, None, None],
    evex: [None, None, None, Some(Code::EVEX_Vpermpd_zmm_k1z_zmm_zmmm512b64)],
};

/// AVX2 only.
pub(super) const BLEND_IMMEDIATE: Forms = Forms {
    vex: [None, None, Some(Code::VEX_Vblendps_ymm_ymm_ymmm256_imm8)],
    evex: [None, None, None, None],
};

pub(super) const INSERT: Forms = Forms {
    vex: [None, Some(Code::VEX_Vinsertps_xmm_xmm_xmmm32_imm8), None],
    evex: [None, Some(Code::EVEX_Vinsertps_xmm_xmm_xmmm32_imm8), None, None],
};

pub(super) const LOAD: Forms = Forms {
    vex: [
        Some(Code::VEX_Vmovss_xmm_m32),
        Some(Code::VEX_Vmovups_xmm_xmmm128),
        Some(Code::VEX_Vmovups_ymm_ymmm256),
    ],
    evex: [
        Some(Code::EVEX_Vmovss_xmm_k1z_m32),
        Some(Code::EVEX_Vmovups_xmm_k1z_xmmm128),
        Some(Code::EVEX_Vmovups_ymm_k1z_ymmm256),
        Some(Code::EVEX_Vmovups_zmm_k1z_zmmm512),
    ],
};

pub(super) const STORE: Forms = Forms {
    vex: [
        Some(Code::VEX_Vmovss_m32_xmm),
        Some(Code::VEX_Vmovups_xmmm128_xmm),
        Some(Code::VEX_Vmovups_ymmm256_ymm),
    ],
    evex: [
        Some(Code::EVEX_Vmovss_m32_k1_xmm),
        Some(Code::EVEX_Vmovups_xmmm128_k1z_xmm),
        Some(Code::EVEX_Vmovups_ymmm256_k1z_ymm),
        Some(Code::EVEX_Vmovups_zmmm512_k1z_zmm),
    ],
};

pub(super) const COPY: Forms = Forms {
    vex: [None, Some(Code::VEX_Vmovaps_xmm_xmmm128), Some(Code::VEX_Vmovaps_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vmovaps_xmm_k1z_xmmm128),
        Some(Code::EVEX_Vmovaps_ymm_k1z_ymmm256),
        Some(Code::EVEX_Vmovaps_zmm_k1z_zmmm512),
    ],
};

pub(super) const STORE_NON_TEMPORAL: Forms = Forms {
    vex: [None, Some(Code::VEX_Vmovntps_m128_xmm), Some(Code::VEX_Vmovntps_m256_ymm)],
    evex: [
        None,
        Some(Code::EVEX_Vmovntps_m128_xmm),
        Some(Code::EVEX_Vmovntps_m256_ymm),
        Some(Code::EVEX_Vmovntps_m512_zmm),
    ],
};

pub(super) const BROADCAST_MEMORY: Forms = Forms {
    vex: [None, Some(Code::VEX_Vbroadcastss_xmm_m32), Some(Code::VEX_Vbroadcastss_ymm_m32)],
    evex: [
        None,
        Some(Code::EVEX_Vbroadcastss_xmm_k1z_xmmm32),
        Some(Code::EVEX_Vbroadcastss_ymm_k1z_xmmm32),
        Some(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32),
    ],
};

pub(super) const BROADCAST_REGISTER: Forms = Forms {
    vex: [None, Some(Code::VEX_Vbroadcastss_xmm_xmm), Some(Code::VEX_Vbroadcastss_ymm_xmm)],
    evex: [
        None,
        Some(Code::EVEX_Vbroadcastss_xmm_k1z_xmmm32),
        Some(Code::EVEX_Vbroadcastss_ymm_k1z_xmmm32),
        Some(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32),
    ],
};

pub(super) const SQRT: Forms = Forms {
    vex: [None, Some(Code::VEX_Vsqrtps_xmm_xmmm128), Some(Code::VEX_Vsqrtps_ymm_ymmm256)],
    evex: [
        None,
        Some(Code::EVEX_Vsqrtps_xmm_k1z_xmmm128b32),
        Some(Code::EVEX_Vsqrtps_ymm_k1z_ymmm256b32),
        Some(Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er),
    ],
};

pub(super) const SHIFT_LEFT: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpslld_xmm_xmm_imm8), Some(Code::VEX_Vpslld_ymm_ymm_imm8)],
    evex: [
        None,
        Some(Code::EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8),
        Some(Code::EVEX_Vpslld_ymm_k1z_ymmm256b32_imm8),
        Some(Code::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8),
    ],
};

pub(super) const SHIFT_RIGHT: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpsrld_xmm_xmm_imm8), Some(Code::VEX_Vpsrld_ymm_ymm_imm8)],
    evex: [
        None,
        Some(Code::EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8),
        Some(Code::EVEX_Vpsrld_ymm_k1z_ymmm256b32_imm8),
        Some(Code::EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8),
    ],
};

pub(super) const SIGNED_SHIFT_RIGHT: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpsrad_xmm_xmm_imm8), Some(Code::VEX_Vpsrad_ymm_ymm_imm8)],
    evex: [
        None,
        Some(Code::EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8),
        Some(Code::EVEX_Vpsrad_ymm_k1z_ymmm256b32_imm8),
        Some(Code::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8),
    ],
};

pub(super) const PERMUTE_64_IMMEDIATE: Forms = Forms {
    vex: [None, None, Some(Code::VEX_Vpermpd_ymm_ymmm256_imm8)],
    evex: [
        None,
        None,
        Some(Code::EVEX_Vpermpd_ymm_k1z_ymmm256b64_imm8),
        Some(Code::EVEX_Vpermpd_zmm_k1z_zmmm512b64_imm8),
    ],
};

pub(super) const PERMUTE_IN_LANE_32_IMMEDIATE: Forms = Forms {
    vex: [None, Some(Code::VEX_Vpermilps_xmm_xmmm128_imm8), None],
    evex: [None, Some(Code::EVEX_Vpermilps_xmm_k1z_xmmm128b32_imm8), None, None],
};

pub(super) const COMPARE_LANES: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vcmpps_xmm_xmm_xmmm128_imm8),
        Some(Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8),
    ],
    evex: [None, None, None, None],
};

pub(super) const COMPARE_MASK: Forms = Forms {
    vex: [None, None, None],
    evex: [
        None,
        Some(Code::EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8),
        Some(Code::EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8),
        Some(Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae),
    ],
};

pub(super) const MASK_TO_LANES: Forms = Forms {
    vex: [None, None, None],
    evex: [
        None,
        Some(Code::EVEX_Vpmovm2d_xmm_kr),
        Some(Code::EVEX_Vpmovm2d_ymm_kr),
        Some(Code::EVEX_Vpmovm2d_zmm_kr),
    ],
};

pub(super) const BLEND_MASK: Forms = Forms {
    vex: [None, None, None],
    evex: [
        None,
        Some(Code::EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32),
        Some(Code::EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32),
        Some(Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32),
    ],
};

pub(super) const BLEND_LANES: Forms = Forms {
    vex: [
        None,
        Some(Code::VEX_Vblendvps_xmm_xmm_xmmm128_xmm),
        Some(Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm),
    ],
    evex: [None, None, None, None],
};

pub(super) const BLEND_BITS: Forms = Forms {
    vex: [None, None, None],
    evex: [
        None,
        Some(Code::EVEX_Vpternlogd_xmm_k1z_xmm_xmmm128b32_imm8),
        Some(Code::EVEX_Vpternlogd_ymm_k1z_ymm_ymmm256b32_imm8),
        Some(Code::EVEX_Vpternlogd_zmm_k1z_zmm_zmmm512b32_imm8),
    ],
};

pub(super) const LOAD_MASKED: Forms = Forms {
    vex: [None, Some(Code::VEX_Vmaskmovps_xmm_xmm_m128), Some(Code::VEX_Vmaskmovps_ymm_ymm_m256)],
    evex: [None, None, None, None],
};

pub(super) const STORE_MASKED: Forms = Forms {
    vex: [None, Some(Code::VEX_Vmaskmovps_m128_xmm_xmm), Some(Code::VEX_Vmaskmovps_m256_ymm_ymm)],
    evex: [None, None, None, None],
};

pub(super) const EXTRACT_128: Forms = Forms {
    vex: [None, None, Some(Code::VEX_Vextractf128_xmmm128_ymm_imm8)],
    evex: [
        None,
        None,
        Some(Code::EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8),
        Some(Code::EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8),
    ],
};

pub(super) const INSERT_128: Forms = Forms {
    vex: [None, None, Some(Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8)],
    evex: [
        None,
        None,
        Some(Code::EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8),
        Some(Code::EVEX_Vinsertf32x4_zmm_k1z_zmm_xmmm128_imm8),
    ],
};
