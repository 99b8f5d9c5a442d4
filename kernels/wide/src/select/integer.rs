//! Integer and address arithmetic, loads and stores of integers.

use super::{Select, define, read, reuse};
use crate::error::Result;
use crate::vcode::{Alu, Op, Shift, Size, Unary};
use cranelift_codegen::ir::{self, InstructionData, Opcode, Value, types};

impl Select<'_> {
    /// The size of an integer.
    fn size(&self, value: Value) -> Result<Size> {
        match Size::of(self.func.dfg.value_type(value)) {
            Some(size) => Ok(size),
            None => self.unsupported("integers are of 8, 16, 32 or 64 bits"),
        }
    }

    /// Lowers an instruction that works on scalar integers.
    pub(super) fn integer(&mut self, inst: ir::Inst, opcode: Opcode, args: &[Value]) -> Result<()> {
        match (opcode, args) {
            (Opcode::Iadd, &[a, b]) => {
                let size = self.size(a)?;
                let address = self.sum(a, b, 0, size)?;
                let result = define(self.result(inst)?);
                self.emit(Op::Lea(size.arithmetic()), &[result], Some(address.source(false)));
                Ok(())
            }
            (Opcode::Isub, &[a, b]) => self.alu(inst, Alu::Sub, a, b),
            (Opcode::Imul, &[a, b]) => self.alu(inst, Alu::Mul, a, b),
            (Opcode::Band, &[a, b]) => self.alu(inst, Alu::And, a, b),
            (Opcode::Bor, &[a, b]) => self.alu(inst, Alu::Or, a, b),
            (Opcode::Bxor, &[a, b]) => self.alu(inst, Alu::Xor, a, b),
            (Opcode::Ishl, &[a, count]) => self.shift(inst, Shift::Left, a, count),
            (Opcode::Ushr, &[a, count]) => self.shift(inst, Shift::Right, a, count),
            (Opcode::Sshr, &[a, count]) => self.shift(inst, Shift::SignedRight, a, count),
            (Opcode::Icmp, &[a, b]) => {
                let InstructionData::IntCompare { cond, .. } = self.func.dfg.insts[inst] else {
                    return self.unsupported("icmp without a condition");
                };
                let (compare, operands) = self.compare_integers(cond, [a, b])?;
                self.set_if(inst, compare, &operands)
            }
            (Opcode::Select, &[condition, then, otherwise]) => {
                let size = self.size(then)?.arithmetic();
                let operands = [self.int(otherwise)?, self.int(then)?].map(read);
                let (compare, compared) = self.compare(condition)?;
                let result = reuse(self.result(inst)?, 1);
                let all = [&[result], &operands[..], &compared].concat();
                self.emit(Op::SelectInteger(compare, size), &all, None);
                Ok(())
            }
            (Opcode::Uextend, &[a]) => self.extend(inst, a, false),
            (Opcode::Sextend, &[a]) => self.extend(inst, a, true),
            _ => self.unsupported("not in the supported subset"),
        }
    }

    fn alu(&mut self, inst: ir::Inst, op: Alu, a: Value, b: Value) -> Result<()> {
        let size = self.size(a)?;
        let wide = size.arithmetic();
        let commutes = op != Alu::Sub;
        let (a, b) = match self.immediate(a, size) {
            Some(_) if commutes => (b, a),
            _ => (a, b),
        };
        let left = self.int(a)?;
        match (op, self.immediate(b, size)) {
            (Alu::Mul, Some(immediate)) => {
                let operands = [define(self.result(inst)?), read(left)];
                self.emit(Op::MulImmediate(wide, immediate), &operands, None);
            }
            (_, Some(immediate)) => {
                let operands = [reuse(self.result(inst)?, 1), read(left)];
                self.emit(Op::AluImmediate(op, wide, immediate), &operands, None);
            }
            (_, None) => {
                let right = self.int(b)?;
                let operands = [reuse(self.result(inst)?, 1), read(left), read(right)];
                self.emit(Op::Alu(op, wide), &operands, None);
            }
        }
        Ok(())
    }

    /// CLIF takes the count modulo the size; so does x86, at 32 and 64 bits.
    fn shift(&mut self, inst: ir::Inst, op: Shift, a: Value, count: Value) -> Result<()> {
        let size = self.size(a)?;
        let wide = size.arithmetic();
        self.size(count)?;
        let mut left = self.int(a)?;
        if op != Shift::Left && size != wide {
            // What is shifted in from above must be defined.
            let extended = self.temporary();
            let signed = op == Shift::SignedRight;
            let extend = Op::Extend { from: size, to: wide, signed };
            self.emit(extend, &[define(extended), read(left)], None);
            left = extended;
        }
        if let Some(count) = self.integer_constant(count, Size::B8) {
            let count = (count as u32 % size.bits()) as u8;
            let operands = [reuse(self.result(inst)?, 1), read(left)];
            self.emit(Op::ShiftImmediate(op, wide, count), &operands, None);
            return Ok(());
        }
        let mut count = self.int(count)?;
        if size != wide {
            let masked = self.temporary();
            let mask = Op::AluImmediate(Alu::And, Size::B32, size.bits() as i32 - 1);
            self.emit(mask, &[reuse(masked, 1), read(count)], None);
            count = masked;
        }
        let operands = [define(self.result(inst)?), read(left), read(count)];
        self.emit(Op::Shift(op, wide), &operands, None);
        Ok(())
    }

    fn extend(&mut self, inst: ir::Inst, a: Value, signed: bool) -> Result<()> {
        let from = self.size(a)?;
        let to = self.size(self.func.dfg.first_result(inst))?.arithmetic();
        let a = self.int(a)?;
        let operands = [define(self.result(inst)?), read(a)];
        self.emit(Op::Extend { from, to, signed }, &operands, None);
        Ok(())
    }

    /// An i32 in lane 0 of a new vector register.
    pub(super) fn integer_lane(&mut self, value: Value) -> Result<regalloc2::VReg> {
        let value = self.int(value)?;
        let lane = self.new_register(regalloc2::RegClass::Float);
        self.emit(Op::IntegerToLane, &[define(lane), read(value)], None);
        Ok(lane)
    }

    /// Lowers a load of any type.
    pub(super) fn load(
        &mut self,
        inst: ir::Inst,
        opcode: Opcode,
        pointer: Value,
        offset: i32,
    ) -> Result<()> {
        let ty = self.result_type(inst);
        let (from, signed) = match opcode {
            Opcode::Load => (Size::of(ty), false),
            Opcode::Uload8 => (Some(Size::B8), false),
            Opcode::Uload16 => (Some(Size::B16), false),
            Opcode::Uload32 => (Some(Size::B32), false),
            Opcode::Sload8 => (Some(Size::B8), true),
            Opcode::Sload16 => (Some(Size::B16), true),
            Opcode::Sload32 => (Some(Size::B32), true),
            _ => return self.unsupported("not in the supported subset"),
        };
        let op = match from {
            Some(from) => {
                let to = self.size(self.func.dfg.first_result(inst))?.arithmetic();
                Op::Extend { from, to, signed }
            }
            None => Op::Unary(Unary::Move, self.width(ty)?),
        };
        let source = self.address(pointer, offset)?.source(false);
        let result = define(self.result(inst)?);
        self.emit(op, &[result], Some(source));
        Ok(())
    }

    /// Lowers a store of any type.
    pub(super) fn store(
        &mut self,
        _inst: ir::Inst,
        opcode: Opcode,
        [value, pointer]: [Value; 2],
        offset: i32,
    ) -> Result<()> {
        let ty = self.func.dfg.value_type(value);
        let size = match opcode {
            Opcode::Store => Size::of(ty),
            Opcode::Istore8 => Some(Size::B8),
            Opcode::Istore16 => Some(Size::B16),
            Opcode::Istore32 => Some(Size::B32),
            _ => return self.unsupported("not in the supported subset"),
        };
        let (op, value) = match size {
            Some(size) => (Op::Store(size), self.int(value)?),
            None => (Op::StoreVector(self.width(ty)?), self.vector(value)?),
        };
        let source = self.address(pointer, offset)?.source(false);
        self.emit(op, &[read(value)], Some(source));
        Ok(())
    }

    /// A bit cast between an i32 and an f32; others that are supported share a register.
    pub(super) fn bitcast(&mut self, inst: ir::Inst, arg: Value) -> Result<()> {
        match (self.func.dfg.value_type(arg), self.result_type(inst)) {
            (types::F32, types::I32) => {
                let lane = self.vector(arg)?;
                let operands = [define(self.result(inst)?), read(lane)];
                self.emit(Op::LaneToInteger, &operands, None);
                Ok(())
            }
            (types::I32, types::F32) => {
                self.width(types::F32)?;
                let value = self.int(arg)?;
                let operands = [define(self.result(inst)?), read(value)];
                self.emit(Op::IntegerToLane, &operands, None);
                Ok(())
            }
            _ => self.unsupported("bit casts are between i32 and f32 and between vectors"),
        }
    }
}
