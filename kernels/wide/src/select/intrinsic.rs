//! Calls that are intrinsics.

use super::callees::Callee;
use super::operand::Folds;
use super::{Select, Source, define, read, reuse};
use crate::Isa;
use crate::error::Result;
use crate::intrinsics::Intrinsic;
use crate::vcode::{Binary, Op, Size, Unary, Width};
use cranelift_codegen::ir::{self, FuncRef, Value};
use regalloc2::{Operand, OperandConstraint, OperandKind, OperandPos, RegClass, VReg};

/// `vshufps` immediates that take the even and the odd elements of two vectors.
const EVEN_ODD: [u8; 2] = [0b10_00_10_00, 0b11_01_11_01];

impl Select<'_> {
    /// Lowers a call, which must be of an intrinsic.
    pub(super) fn call(&mut self, inst: ir::Inst, func_ref: FuncRef) -> Result<()> {
        let Some(Callee { intrinsic, vector }) = self.callees.get(func_ref) else {
            return self.unsupported("only intrinsics can be called");
        };
        let Some(vector) = vector else {
            return self.unsupported("not the signature of this intrinsic");
        };
        let width = self.width(vector)?;
        match (intrinsic, self.func.dfg.inst_args(inst)) {
            (Intrinsic::UnpackLow32, &[a, b]) => self.shuffle(inst, Binary::UnpackLow32, a, b),
            (Intrinsic::UnpackHigh32, &[a, b]) => self.shuffle(inst, Binary::UnpackHigh32, a, b),
            (Intrinsic::UnpackLow64, &[a, b]) => self.shuffle(inst, Binary::UnpackLow64, a, b),
            (Intrinsic::UnpackHigh64, &[a, b]) => self.shuffle(inst, Binary::UnpackHigh64, a, b),
            (Intrinsic::Shuffle32(i), &[a, b]) => self.shuffle(inst, Binary::Shuffle32(i), a, b),
            (Intrinsic::Swap128(i), &[a, b]) => self.swap_128(inst, width, i, a, b),
            (Intrinsic::Permute64(i), &[a]) => self.unary_shuffle(inst, Unary::Permute64(i), a),
            (Intrinsic::Permute32, &[a, i]) if width == Width::Xmm => {
                self.shuffle(inst, Binary::PermuteInLane32, a, i)
            }
            (Intrinsic::Permute32, &[a, i]) => self.shuffle(inst, Binary::Permute32, i, a),
            (Intrinsic::Even, &[a, b]) => self.deinterleave(inst, width, EVEN_ODD[0], a, b),
            (Intrinsic::Odd, &[a, b]) => self.deinterleave(inst, width, EVEN_ODD[1], a, b),
            (Intrinsic::LoadFirst, &[pointer, n]) => self.load_first(inst, width, pointer, n),
            (Intrinsic::StoreFirst, &[a, pointer, n]) => self.store_first(width, a, pointer, n),
            (Intrinsic::LoadLanes(mask), &[pointer]) => self.load_lanes(inst, width, mask, pointer),
            (Intrinsic::StoreLanes(mask), &[a, pointer]) => {
                self.store_lanes(width, mask, a, pointer)
            }
            (Intrinsic::LoadParts, pointers) => self.load_parts(inst, width, pointers),
            (Intrinsic::StoreParts, &[a, ref pointers @ ..]) => {
                self.store_parts(width, a, pointers)
            }
            (Intrinsic::Prefetch, &[pointer]) => {
                let source = self.address(pointer, 0)?.source(false);
                self.emit(Op::Prefetch, &[], Some(source));
                Ok(())
            }
            (Intrinsic::StoreNonTemporal, &[a, pointer]) => {
                let a = self.vector(a)?;
                let source = self.address(pointer, 0)?.source(false);
                self.emit(Op::StoreNonTemporal(width), &[read(a)], Some(source));
                Ok(())
            }
            _ => self.unsupported("not the arguments of this intrinsic"),
        }
    }

    /// At 256 bits the instruction has a VEX form only, which knows no register above 15.
    fn swap_128(
        &mut self,
        inst: ir::Inst,
        width: Width,
        immediate: u8,
        a: Value,
        b: Value,
    ) -> Result<()> {
        let op = Binary::Swap128(immediate);
        if width == Width::Zmm {
            return self.shuffle(inst, op, a, b);
        }
        let low = |register, kind, position| {
            Operand::new(register, OperandConstraint::Limit(16), kind, position)
        };
        let low_use = |register| low(register, OperandKind::Use, OperandPos::Early);
        let a = low_use(self.vector(a)?);
        let b = self.source(b, width, Folds::Whole)?;
        let result = low(self.result(inst)?, OperandKind::Def, OperandPos::Late);
        let op = Op::Binary(op, width);
        match b {
            Source::Register(b) => self.emit(op, &[result, a, low_use(b)], None),
            memory => self.emit(op, &[result, a], Some(memory)),
        }
        Ok(())
    }

    /// One shuffle inside of 128-bit lanes, then one of 64-bit elements across them. `vpermt2ps`
    /// would do it alone, but it needs an index register all along and a copy of its first input.
    fn deinterleave(
        &mut self,
        inst: ir::Inst,
        width: Width,
        immediate: u8,
        a: Value,
        b: Value,
    ) -> Result<()> {
        if width == Width::Xmm {
            return self.shuffle(inst, Binary::Shuffle32(immediate), a, b);
        }
        let pairs = self.new_register(RegClass::Float);
        let a = self.vector(a)?;
        let b = self.source(b, width, Folds::Lanes32)?;
        let shuffle = Op::Binary(Binary::Shuffle32(immediate), width);
        self.emit(shuffle, &[define(pairs), read(a)], Some(b));
        if width == Width::Ymm {
            let result = define(self.result(inst)?);
            let op = Op::Unary(Unary::Permute64(0b11_01_10_00), width);
            self.emit(op, &[result, read(pairs)], None);
        } else {
            let order = [0u64, 2, 4, 6, 1, 3, 5, 7].iter().flat_map(|n| n.to_le_bytes()).collect();
            let order = self.pool_constant(order, width);
            let operands = [define(self.result(inst)?), read(order), read(pairs)];
            self.emit(Op::Binary(Binary::Permute64, width), &operands, None);
        }
        Ok(())
    }

    fn load_first(&mut self, inst: ir::Inst, width: Width, pointer: Value, n: Value) -> Result<()> {
        if self.all_lanes(n, width) {
            let source = self.address(pointer, 0)?.source(false);
            let result = define(self.result(inst)?);
            self.emit(Op::Unary(Unary::Move, width), &[result], Some(source));
            return Ok(());
        }
        match self.isa {
            Isa::Avx2 => {
                let mask = self.mask_of_count(n, width)?;
                let source = self.address(pointer, 0)?.source(false);
                let operands = [define(self.result(inst)?), read(mask)];
                self.emit(Op::LoadMasked(width), &operands, Some(source));
            }
            Isa::Avx512 => {
                let n = self.int(n)?;
                let temporary = Operand::reg_temp(self.temporary());
                let source = self.address(pointer, 0)?.source(false);
                let operands = [define(self.result(inst)?), temporary, read(n)];
                self.emit(Op::LoadFirst(width), &operands, Some(source));
            }
        }
        Ok(())
    }

    fn store_first(&mut self, width: Width, a: Value, pointer: Value, n: Value) -> Result<()> {
        let a = self.vector(a)?;
        if self.all_lanes(n, width) {
            let source = self.address(pointer, 0)?.source(false);
            self.emit(Op::StoreVector(width), &[read(a)], Some(source));
            return Ok(());
        }
        match self.isa {
            Isa::Avx2 => {
                let mask = self.mask_of_count(n, width)?;
                let source = self.address(pointer, 0)?.source(false);
                self.emit(Op::StoreMasked(width), &[read(a), read(mask)], Some(source));
            }
            Isa::Avx512 => {
                let n = self.int(n)?;
                let temporary = Operand::reg_temp(self.temporary());
                let source = self.address(pointer, 0)?.source(false);
                self.emit(Op::StoreFirst(width), &[temporary, read(a), read(n)], Some(source));
            }
        }
        Ok(())
    }

    fn load_lanes(
        &mut self,
        inst: ir::Inst,
        width: Width,
        mask: u16,
        pointer: Value,
    ) -> Result<()> {
        match self.isa {
            Isa::Avx2 => {
                let mask = self.mask_of_bits(mask, width);
                let source = self.address(pointer, 0)?.source(false);
                let operands = [define(self.result(inst)?), read(mask)];
                self.emit(Op::LoadMasked(width), &operands, Some(source));
            }
            Isa::Avx512 => {
                let temporary = Operand::reg_temp(self.temporary());
                let source = self.address(pointer, 0)?.source(false);
                let operands = [define(self.result(inst)?), temporary];
                self.emit(Op::LoadLanes(width, mask), &operands, Some(source));
            }
        }
        Ok(())
    }

    fn store_lanes(&mut self, width: Width, mask: u16, a: Value, pointer: Value) -> Result<()> {
        let a = self.vector(a)?;
        match self.isa {
            Isa::Avx2 => {
                let mask = self.mask_of_bits(mask, width);
                let source = self.address(pointer, 0)?.source(false);
                self.emit(Op::StoreMasked(width), &[read(a), read(mask)], Some(source));
            }
            Isa::Avx512 => {
                let temporary = Operand::reg_temp(self.temporary());
                let source = self.address(pointer, 0)?.source(false);
                self.emit(Op::StoreLanes(width, mask), &[temporary, read(a)], Some(source));
            }
        }
        Ok(())
    }

    fn load_parts(&mut self, inst: ir::Inst, width: Width, pointers: &[Value]) -> Result<()> {
        let mut loaded: Option<VReg> = None;
        for (part, &pointer) in pointers.iter().enumerate() {
            let is_last = part + 1 == pointers.len();
            let next =
                if is_last { self.result(inst)? } else { self.new_register(RegClass::Float) };
            let source = Some(self.address(pointer, 0)?.source(false));
            match loaded {
                None => self.emit(Op::Unary(Unary::Move, Width::Xmm), &[define(next)], source),
                Some(below) => {
                    let operands = [define(next), read(below)];
                    self.emit(Op::InsertPart(part as u8, width), &operands, source);
                }
            }
            loaded = Some(next);
        }
        Ok(())
    }

    fn store_parts(&mut self, width: Width, a: Value, pointers: &[Value]) -> Result<()> {
        let a = self.vector(a)?;
        for (part, &pointer) in pointers.iter().enumerate() {
            let source = self.address(pointer, 0)?.source(false);
            let op = match part {
                0 => Op::StoreVector(Width::Xmm),
                part => Op::StorePart(part as u8, width),
            };
            self.emit(op, &[read(a)], Some(source));
        }
        Ok(())
    }

    /// AVX2: lanes of ones where a bit is set.
    fn mask_of_bits(&mut self, bits: u16, width: Width) -> VReg {
        let lane = |lane| if bits >> lane & 1 == 1 { [0xff; 4] } else { [0; 4] };
        self.pool_constant((0..width.lanes()).flat_map(lane).collect(), width)
    }

    fn all_lanes(&self, n: Value, width: Width) -> bool {
        self.integer_constant(n, Size::B64) == Some(width.lanes() as i64)
    }

    /// AVX2: lanes of ones below n. A constant count is a constant mask; otherwise the mask is read
    /// from a table of ones followed by zeros, n lanes before the zeros.
    fn mask_of_count(&mut self, n: Value, width: Width) -> Result<VReg> {
        let lanes = width.lanes();
        if let Some(n) = self.integer_constant(n, Size::B64) {
            let lane = |lane| if (lane as i64) < n { [0xff; 4] } else { [0; 4] };
            return Ok(self.pool_constant((0..lanes).flat_map(lane).collect(), width));
        }
        let table = [vec![0xff; width.bytes()], vec![0; width.bytes()]].concat();
        let table = self.vcode.constant(table);
        let n = self.int(n)?;
        let negated = self.temporary();
        self.emit(Op::Negate, &[reuse(negated, 1), read(n)], None);
        let mask = self.new_register(RegClass::Float);
        let temporary = Operand::reg_temp(self.temporary());
        let operands = [define(mask), temporary, read(negated)];
        self.emit(Op::MaskOfCount(table, width), &operands, None);
        Ok(mask)
    }
}
