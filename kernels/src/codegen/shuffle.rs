//! Shuffles: the intrinsics of the wide backend, and what Cranelift has for four lanes.

use clif_wide::intrinsics::Intrinsic;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value, types};

use super::emitter::{Emitter, vector_type};

/// A choice of elements from two vectors `a` and `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shuffle {
    /// In each four lanes: a0 b0 a1 b1.
    UnpackLow,
    /// In each four lanes: a2 b2 a3 b3.
    UnpackHigh,
    /// Elements of even position in `a` followed by `b`.
    Even,
    /// In each four lanes, the two of even position in `a`, then those in `b`.
    EvenOfQuads,
    /// In each four lanes, the two of odd position in `a`, then those in `b`.
    OddOfQuads,
}

impl Shuffle {
    fn intrinsic(self) -> Intrinsic {
        match self {
            Self::UnpackLow => Intrinsic::UnpackLow32,
            Self::UnpackHigh => Intrinsic::UnpackHigh32,
            Self::Even => Intrinsic::Even,
            Self::EvenOfQuads => Intrinsic::Shuffle32(0b10_00_10_00),
            Self::OddOfQuads => Intrinsic::Shuffle32(0b11_01_11_01),
        }
    }

    /// Positions in `a` followed by `b`.
    fn positions(self) -> [u8; 4] {
        match self {
            Self::UnpackLow => [0, 4, 1, 5],
            Self::UnpackHigh => [2, 6, 3, 7],
            Self::Even | Self::EvenOfQuads => [0, 2, 4, 6],
            Self::OddOfQuads => [1, 3, 5, 7],
        }
    }

    /// Emits the shuffle of two vectors of so many lanes; through Cranelift, these are four.
    pub(super) fn emit(self, emitter: &mut Emitter<'_>, lanes: usize, a: Value, b: Value) -> Value {
        if emitter.wide {
            let result = emitter.intrinsic(self.intrinsic(), lanes, &[a, b]);
            return result.expect("a shuffle has a result");
        }
        let builder = &mut emitter.builder;
        assert_eq!(lanes, 4, "Cranelift's vectors have four lanes");
        let bytes: Vec<u8> = self
            .positions()
            .into_iter()
            .flat_map(|lane| (0..4).map(move |byte| 4 * lane + byte))
            .collect();
        let mask = builder.func.dfg.immediates.push(ir::ConstantData::from(bytes.as_slice()));
        let flags = MemFlagsData::new().with_endianness(ir::Endianness::Little);
        let a = builder.ins().bitcast(types::I8X16, flags, a);
        let b = builder.ins().bitcast(types::I8X16, flags, b);
        let shuffled = builder.ins().shuffle(a, b, mask);
        builder.ins().bitcast(vector_type(4), flags, shuffled)
    }
}

/// Brings elements into the order of memory that [`Shuffle::EvenOfQuads`] and
/// [`Shuffle::OddOfQuads`] took out of two vectors, one after the other there.
pub(super) fn order_pairs(emitter: &mut Emitter<'_>, lanes: usize, value: Value) -> Value {
    let ordered = match lanes {
        16 => {
            let order = [0u32, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
            let order: Vec<u8> = order.iter().flat_map(|lane| lane.to_le_bytes()).collect();
            let builder = &mut emitter.builder;
            let order = builder.func.dfg.constants.insert(order.into());
            let order = builder.ins().vconst(types::I32X16, order);
            emitter.intrinsic(Intrinsic::Permute32, lanes, &[value, order])
        }
        8 => emitter.intrinsic(Intrinsic::Permute64(0b11_01_10_00), lanes, &[value]),
        _ => return value,
    };
    ordered.expect("a permutation has a result")
}

/// In each four lanes, one of their elements four times. For vectors of the wide backend.
pub(super) fn repeat(
    emitter: &mut Emitter<'_>,
    lanes: usize,
    value: Value,
    element: usize,
) -> Value {
    let shuffle = Intrinsic::Shuffle32(0b01_01_01_01 * element as u8);
    let repeated = emitter.intrinsic(shuffle, lanes, &[value, value]);
    repeated.expect("a shuffle has a result")
}
