//! Operations that CLIF has no instruction for: shuffles of wide vectors, masked memory accesses,
//! prefetches. In CLIF they are calls to external names that [`compile`](crate::compile) recognises
//! and replaces by instructions; no function of that name exists.
//!
//! ```
//! use clif_wide::intrinsics::Intrinsic;
//! use cranelift_codegen::ir::{Function, types};
//! let mut func = Function::new();
//! let even = Intrinsic::Even.import(&mut func, types::F32X16)?;
//! let masked = Intrinsic::LoadFirst.import(&mut func, types::F32X16)?;
//! assert_ne!(even, masked);
//! // … then `builder.ins().call(even, &[a, b])`, whose first result is the vector.
//! # Ok::<(), clif_wide::intrinsics::NotSupported>(())
//! ```
//!
//! Vectors are f32x4, f32x8 or f32x16; pointers are i64.

use crate::vcode::Width;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Function, Signature, Type, UserExternalName,
    types,
};
use cranelift_codegen::isa::CallConv;

/// Namespace of the external names that are intrinsics.
pub const NAMESPACE: u32 = 0x7769_6465;

/// An operation beyond CLIF. `a` and `b` are the vector arguments in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Intrinsic {
    /// `(a, b) -> v`: in each 128-bit lane, a0 b0 a1 b1 (`vunpcklps`).
    UnpackLow32,
    /// `(a, b) -> v`: in each 128-bit lane, a2 b2 a3 b3 (`vunpckhps`).
    UnpackHigh32,
    /// `(a, b) -> v`: in each 128-bit lane, a0 a1 b0 b1 (`vunpcklpd`).
    UnpackLow64,
    /// `(a, b) -> v`: in each 128-bit lane, a2 a3 b2 b3 (`vunpckhpd`).
    UnpackHigh64,
    /// `(a, b) -> v`: in each 128-bit lane two elements of a, then two of b, each chosen by two bits
    /// of the immediate, the lowest first (`vshufps`).
    Shuffle32(u8),
    /// `(a, b) -> v`, not for f32x4: whole 128-bit lanes. At 8 lanes as `vperm2f128`; at 16 lanes two
    /// lanes of a, then two of b, each chosen by two bits, the lowest first (`vshuff32x4`).
    Swap128(u8),
    /// `a -> v`, not for f32x4: in each 256-bit half, the pairs of elements chosen by two bits of the
    /// immediate each, the lowest first (`vpermpd`).
    Permute64(u8),
    /// `(a, i) -> v`: element n is `a[i[n] mod lanes]`, where i is a vector of as many i32 (`vpermps`).
    Permute32,
    /// `(a, b) -> v`: the elements of even position in a followed by b.
    Even,
    /// `(a, b) -> v`: the elements of odd position in a followed by b.
    Odd,
    /// `(pointer, n: i64) -> v`: the first n elements from memory, zeros in the others, which are not
    /// accessed. n is at most the number of lanes; otherwise the result is unspecified, and memory
    /// beyond the vector may be read.
    LoadFirst,
    /// `(a, pointer, n: i64)`: stores the first n elements and touches no others. n is at most the
    /// number of lanes; otherwise it is unspecified which elements are stored.
    StoreFirst,
    /// `pointer -> v`: the elements whose bit is set in the mask, from memory, zeros in the others,
    /// which are not accessed. Lane n is bit n; bits beyond the vector are ignored.
    LoadLanes(u16),
    /// `(a, pointer)`: stores the elements whose bit is set in the mask and touches no others. Lane
    /// n is bit n; bits beyond the vector are ignored.
    StoreLanes(u16),
    /// `(pointer…) -> v`: each 128-bit lane from an address of its own, the lowest first; as many
    /// pointers as the vector has such lanes (`vinsertf128`).
    LoadParts,
    /// `(a, pointer…)`: stores each 128-bit lane to an address of its own, the lowest first
    /// (`vextractf128`).
    StoreParts,
    /// `pointer`: asks for the cache line of an address (`prefetcht0`); any address is allowed.
    Prefetch,
    /// `(a, pointer)`: a store that passes by the caches; the pointer must be aligned to the vector
    /// (`vmovntps`). Another thread sees the data only after a store fence.
    StoreNonTemporal,
}

/// An intrinsic that does not exist for a vector type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("intrinsic {intrinsic:?} does not exist for {ty}")]
pub struct NotSupported {
    /// The intrinsic.
    pub intrinsic: Intrinsic,
    /// The type asked for.
    pub ty: Type,
}

impl Intrinsic {
    /// The external name: the kind in the low byte of the index, the immediate above it.
    pub fn name(self) -> UserExternalName {
        let (kind, immediate) = self.code();
        UserExternalName { namespace: NAMESPACE, index: kind | u32::from(immediate) << 8 }
    }

    /// The intrinsic that an external name stands for.
    pub fn from_name(name: &UserExternalName) -> Option<Self> {
        if name.namespace != NAMESPACE {
            return None;
        }
        let [kind, immediate, ..] = name.index.to_le_bytes();
        let mask = u16::try_from(name.index >> 8).ok()?;
        let intrinsic = match kind {
            0 => Self::UnpackLow32,
            1 => Self::UnpackHigh32,
            2 => Self::UnpackLow64,
            3 => Self::UnpackHigh64,
            4 => Self::Shuffle32(immediate),
            5 => Self::Swap128(immediate),
            6 => Self::Permute64(immediate),
            7 => Self::Permute32,
            8 => Self::Even,
            9 => Self::Odd,
            10 => Self::LoadFirst,
            11 => Self::StoreFirst,
            12 => Self::Prefetch,
            13 => Self::StoreNonTemporal,
            14 => Self::LoadLanes(mask),
            15 => Self::StoreLanes(mask),
            16 => Self::LoadParts,
            17 => Self::StoreParts,
            _ => return None,
        };
        (intrinsic.name() == *name).then_some(intrinsic)
    }

    fn code(self) -> (u32, u16) {
        match self {
            Self::UnpackLow32 => (0, 0),
            Self::UnpackHigh32 => (1, 0),
            Self::UnpackLow64 => (2, 0),
            Self::UnpackHigh64 => (3, 0),
            Self::Shuffle32(immediate) => (4, immediate.into()),
            Self::Swap128(immediate) => (5, immediate.into()),
            Self::Permute64(immediate) => (6, immediate.into()),
            Self::Permute32 => (7, 0),
            Self::Even => (8, 0),
            Self::Odd => (9, 0),
            Self::LoadFirst => (10, 0),
            Self::StoreFirst => (11, 0),
            Self::Prefetch => (12, 0),
            Self::StoreNonTemporal => (13, 0),
            Self::LoadLanes(mask) => (14, mask),
            Self::StoreLanes(mask) => (15, mask),
            Self::LoadParts => (16, 0),
            Self::StoreParts => (17, 0),
        }
    }

    /// The signature for vectors of a type.
    ///
    /// # Errors
    ///
    /// Returns [`NotSupported`] where the type is no vector of 4, 8 or 16 f32, or too narrow.
    pub fn signature(self, vector: Type) -> Result<Signature, NotSupported> {
        let unsupported = NotSupported { intrinsic: self, ty: vector };
        let width = Width::of(vector).filter(|_| vector.lane_type() == types::F32);
        match (self, width) {
            (_, None | Some(Width::Scalar)) => return Err(unsupported),
            (Self::Swap128(_) | Self::Permute64(_), Some(Width::Xmm)) => return Err(unsupported),
            _ => {}
        }
        let pointer = types::I64;
        let parts = vector.bytes() as usize / 16;
        let stored = [vector, pointer, pointer, pointer, pointer];
        let (params, result): (&[Type], bool) = match self {
            Self::UnpackLow32
            | Self::UnpackHigh32
            | Self::UnpackLow64
            | Self::UnpackHigh64
            | Self::Shuffle32(_)
            | Self::Swap128(_)
            | Self::Even
            | Self::Odd => (&[vector, vector], true),
            Self::Permute64(_) => (&[vector], true),
            Self::Permute32 => (&[vector, vector.as_int()], true),
            Self::LoadFirst => (&[pointer, types::I64], true),
            Self::StoreFirst => (&[vector, pointer, types::I64], false),
            Self::LoadLanes(_) => (&[pointer], true),
            Self::LoadParts => (&stored[1..=parts], true),
            Self::StoreParts => (&stored[..=parts], false),
            Self::Prefetch => (&[pointer], false),
            Self::StoreLanes(_) | Self::StoreNonTemporal => (&[vector, pointer], false),
        };
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend(params.iter().map(|ty| AbiParam::new(*ty)));
        signature.returns.extend(result.then(|| AbiParam::new(vector)));
        Ok(signature)
    }

    /// Declares the intrinsic in a function under construction, for vectors of a type.
    ///
    /// # Errors
    ///
    /// Returns [`NotSupported`] where the type is no vector of 4, 8 or 16 f32, or too narrow.
    pub fn import(self, func: &mut Function, vector: Type) -> Result<FuncRef, NotSupported> {
        let signature = func.import_signature(self.signature(vector)?);
        let name = func.declare_imported_user_function(self.name());
        Ok(func.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: false,
            patchable: false,
        }))
    }

    /// Whether a call reads memory and has no effect besides its result.
    pub(crate) fn is_load(self) -> bool {
        matches!(self, Self::LoadFirst | Self::LoadLanes(_) | Self::LoadParts)
    }

    /// Whether a call has no effect besides its result and reads no memory.
    pub(crate) fn is_pure(self) -> bool {
        let has_effect = matches!(
            self,
            Self::StoreFirst
                | Self::StoreLanes(_)
                | Self::StoreParts
                | Self::Prefetch
                | Self::StoreNonTemporal
        );
        !self.is_load() && !has_effect
    }
}
