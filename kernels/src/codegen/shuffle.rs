//! Shuffles: the intrinsics of the wide backend, and what Cranelift has for four lanes.

use clif_wide::intrinsics::Intrinsic;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value, types};

use super::emitter::{Emitter, vector_type};

/// A choice of elements from two vectors `a` and `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shuffle {
    /// Of four lanes: a0 b0 a1 b1.
    UnpackLow,
    /// Of four lanes: a2 b2 a3 b3.
    UnpackHigh,
    /// Elements of even position in `a` followed by `b`.
    Even,
}

impl Shuffle {
    fn intrinsic(self) -> Intrinsic {
        match self {
            Self::UnpackLow => Intrinsic::UnpackLow32,
            Self::UnpackHigh => Intrinsic::UnpackHigh32,
            Self::Even => Intrinsic::Even,
        }
    }

    /// Positions in `a` followed by `b`.
    fn positions(self) -> [u8; 4] {
        match self {
            Self::UnpackLow => [0, 4, 1, 5],
            Self::UnpackHigh => [2, 6, 3, 7],
            Self::Even => [0, 2, 4, 6],
        }
    }

    /// Emits the shuffle of two vectors of so many lanes; through Cranelift, these are four.
    pub(super) fn emit(self, emitter: &mut Emitter<'_>, lanes: usize, a: Value, b: Value) -> Value {
        let builder = &mut emitter.builder;
        if emitter.wide {
            let imported = self.intrinsic().import(builder.func, vector_type(lanes));
            let function = imported.expect("the shuffles exist for all vectors of f32");
            let call = builder.ins().call(function, &[a, b]);
            return builder.inst_results(call)[0];
        }
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
