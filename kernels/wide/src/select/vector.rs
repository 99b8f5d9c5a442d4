//! Arithmetic on f32, on vectors of f32 and on vectors of i32.

use super::operand::Folds;
use super::{Select, Source, define, read, reuse};
use crate::Isa;
use crate::error::Result;
use crate::vcode::{Binary, Op, Predicate, Size, Unary, Width};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{self, InstructionData, Opcode, Type, Value, types};
use regalloc2::{RegClass, VReg};

/// Sign bit of an f32.
const SIGN: u32 = 1 << 31;

/// The predicate of `vcmpps` for a condition, without signals for quiet NaNs.
fn predicate(condition: FloatCC) -> Predicate {
    match condition {
        FloatCC::Ordered => 0x07,
        FloatCC::Unordered => 0x03,
        FloatCC::Equal => 0x00,
        FloatCC::NotEqual => 0x04,
        FloatCC::OrderedNotEqual => 0x0c,
        FloatCC::UnorderedOrEqual => 0x08,
        FloatCC::LessThan => 0x11,
        FloatCC::LessThanOrEqual => 0x12,
        FloatCC::GreaterThan => 0x1e,
        FloatCC::GreaterThanOrEqual => 0x1d,
        FloatCC::UnorderedOrLessThan => 0x19,
        FloatCC::UnorderedOrLessThanOrEqual => 0x1a,
        FloatCC::UnorderedOrGreaterThan => 0x16,
        FloatCC::UnorderedOrGreaterThanOrEqual => 0x15,
    }
}

/// The 32-bit lanes, of two vectors of four, that a mask of bytes chooses.
fn whole_lanes(mask: &[u8]) -> Option<[u8; 4]> {
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(mask.chunks(4)) {
        *lane = bytes[0] / 4;
        let whole = (0..4).map(|byte| 4 * *lane + byte);
        if *lane > 7 || !whole.eq(bytes.iter().copied()) {
            return None;
        }
    }
    Some(lanes)
}

/// The immediate of `vshufps`: the position of each lane in its vector, two bits each.
fn chosen(lanes: [u8; 4]) -> u8 {
    lanes.iter().rev().fold(0, |immediate, lane| immediate << 2 | (lane & 3))
}

/// A comparison of floats that was found behind a mask or a condition.
#[derive(Clone, Copy)]
struct FloatCompare {
    condition: FloatCC,
    args: [Value; 2],
    /// Whether nothing else uses it, so that loads may be folded into it.
    once: bool,
}

impl Select<'_> {
    /// Lowers an instruction whose controlling type is a float or a vector.
    pub(super) fn vector_inst(
        &mut self,
        inst: ir::Inst,
        opcode: Opcode,
        args: &[Value],
    ) -> Result<()> {
        let ty = self.result_type(inst);
        let operated_on = self.func.dfg.ctrl_typevar(inst);
        if operated_on.is_vector() && operated_on.lane_bits() != 32 {
            return self.unsupported("vectors of bytes can only be shuffled and moved");
        }
        match (opcode, args) {
            (Opcode::Shuffle, &[a, b]) => self.shuffle_bytes(inst, a, b),
            (Opcode::Fadd, &[a, b]) => self.commutative(inst, Binary::Add, a, b),
            (Opcode::Fmul, &[a, b]) => self.commutative(inst, Binary::Mul, a, b),
            (Opcode::Fsub, &[a, b]) => self.binary(inst, Binary::Sub, a, b),
            (Opcode::Fdiv, &[a, b]) => self.binary(inst, Binary::Div, a, b),
            (Opcode::Sqrt, &[a]) => self.sqrt(inst, a),
            (Opcode::Fneg, &[a]) => self.with_constant(inst, Binary::Xor, a, SIGN),
            (Opcode::Fabs, &[a]) => self.with_constant(inst, Binary::And, a, !SIGN),
            (Opcode::Fma, &[a, b, accumulator]) => self.fma(inst, a, b, accumulator),
            (Opcode::Iadd, &[a, b]) => self.commutative(inst, Binary::IntAdd, a, b),
            (Opcode::Isub, &[a, b]) => self.binary(inst, Binary::IntSub, a, b),
            (Opcode::Band, &[a, b]) => self.commutative(inst, Binary::And, a, b),
            (Opcode::Bor, &[a, b]) => self.commutative(inst, Binary::Or, a, b),
            (Opcode::Bxor, &[a, b]) => self.commutative(inst, Binary::Xor, a, b),
            (Opcode::Ishl, &[a, n]) => self.shift_lanes(inst, Unary::ShiftLeft, a, n),
            (Opcode::Ushr, &[a, n]) => self.shift_lanes(inst, Unary::ShiftRight, a, n),
            (Opcode::Sshr, &[a, n]) => self.shift_lanes(inst, Unary::SignedShiftRight, a, n),
            (Opcode::Splat, &[a]) => self.splat(inst, a),
            (Opcode::Fcmp, _) => self.fcmp(inst),
            (Opcode::Bitselect, &[mask, x, y]) => self.bitselect(inst, ty, mask, x, y),
            (Opcode::Select, &[condition, x, y]) => self.select_vector(inst, ty, condition, x, y),
            (Opcode::Extractlane, &[a]) => self.extract_lane(inst, a),
            (Opcode::Insertlane, &[a, lane]) => self.insert_lane(inst, a, lane),
            (Opcode::Fmin | Opcode::Fmax, _) => self.unsupported(
                "no instruction treats NaN and -0 as CLIF does; use bitselect of fcmp",
            ),
            _ => self.unsupported("not in the supported subset"),
        }
    }

    /// `a op b`; `b` may come from memory.
    fn binary(&mut self, inst: ir::Inst, op: Binary, a: Value, b: Value) -> Result<()> {
        let (width, folds) = self.shape(inst, op)?;
        let a = self.vector(a)?;
        let b = self.source(b, width, folds)?;
        self.emit_binary(inst, op, width, a, b)
    }

    /// `a op b`; either may come from memory.
    fn commutative(&mut self, inst: ir::Inst, op: Binary, a: Value, b: Value) -> Result<()> {
        let (width, folds) = self.shape(inst, op)?;
        let (a, b) = self.commuted(a, b, width, folds)?;
        self.emit_binary(inst, op, width, a, b)
    }

    /// A register and a source for the inputs of an operation that commutes.
    fn commuted(
        &mut self,
        a: Value,
        b: Value,
        width: Width,
        folds: Folds,
    ) -> Result<(VReg, Source)> {
        Ok(match self.memory(b, width, folds)? {
            Some(b) => (self.vector(a)?, b),
            None => {
                let b = self.vector(b)?;
                match self.memory(a, width, folds)? {
                    Some(a) => (b, a),
                    None => (self.vector(a)?, Source::Register(b)),
                }
            }
        })
    }

    /// The width of an operation, and what it can fold. Bitwise operations have no scalar form, so
    /// they must not read a whole vector where there is a scalar.
    fn shape(&mut self, inst: ir::Inst, op: Binary) -> Result<(Width, Folds)> {
        let ty = self.result_type(inst);
        let width = self.width(ty)?;
        Ok(match op {
            Binary::And | Binary::AndNot | Binary::Or | Binary::Xor if width == Width::Scalar => {
                (Width::Xmm, Folds::Constants)
            }
            Binary::Sqrt => (width, Folds::Constants),
            Binary::UnpackLow64 | Binary::UnpackHigh64 => (width, Folds::Whole),
            _ => (width, Folds::Lanes32),
        })
    }

    fn emit_binary(
        &mut self,
        inst: ir::Inst,
        op: Binary,
        width: Width,
        a: VReg,
        b: Source,
    ) -> Result<()> {
        let operands = [define(self.result(inst)?), read(a)];
        self.emit(Op::Binary(op, width), &operands, Some(b));
        Ok(())
    }

    /// `a op b` of an intrinsic.
    pub(super) fn shuffle(&mut self, inst: ir::Inst, op: Binary, a: Value, b: Value) -> Result<()> {
        self.binary(inst, op, a, b)
    }

    /// CLIF's own shuffle, of the 16 bytes of two vectors each, where it moves whole 32-bit lanes.
    fn shuffle_bytes(&mut self, inst: ir::Inst, a: Value, b: Value) -> Result<()> {
        let mask = match self.func.dfg.insts[inst] {
            InstructionData::Shuffle { imm, .. } => self.func.dfg.immediates.get(imm),
            _ => None,
        };
        let Some(lanes) = mask.and_then(|mask| whole_lanes(mask.as_slice())) else {
            return self.unsupported("shuffles move whole 32-bit lanes only");
        };
        let inputs = [a, b];
        for (x, y) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
            let (first, second) = (4 * x, 4 * y);
            let op = if lanes == [first, second, first + 1, second + 1] {
                Binary::UnpackLow32
            } else if lanes == [first + 2, second + 2, first + 3, second + 3] {
                Binary::UnpackHigh32
            } else if lanes.map(|lane| lane / 4) == [x, x, y, y] {
                Binary::Shuffle32(chosen(lanes))
            } else {
                continue;
            };
            return self.binary(inst, op, inputs[usize::from(x)], inputs[usize::from(y)]);
        }
        // Each half of the result first, every lane of it twice.
        let mut half = |low: u8, high: u8| -> Result<VReg> {
            let [x, y] = [low, high].map(|lane| inputs[usize::from(lane / 4)]);
            let (x, y) = (self.vector(x)?, self.vector(y)?);
            let op = Op::Binary(Binary::Shuffle32(chosen([low, low, high, high])), Width::Xmm);
            let result = self.new_register(RegClass::Float);
            self.emit(op, &[define(result), read(x), read(y)], None);
            Ok(result)
        };
        let (low, high) = (half(lanes[0], lanes[1])?, half(lanes[2], lanes[3])?);
        let op = Binary::Shuffle32(chosen([0, 2, 0, 2]));
        self.emit_binary(inst, op, Width::Xmm, low, Source::Register(high))
    }

    /// `a op constant`, the same in all lanes.
    fn with_constant(&mut self, inst: ir::Inst, op: Binary, a: Value, bits: u32) -> Result<()> {
        let (width, _) = self.shape(inst, op)?;
        let a = self.vector(a)?;
        let constant = self.constant_source(bits, width);
        self.emit_binary(inst, op, width, a, constant)
    }

    fn sqrt(&mut self, inst: ir::Inst, a: Value) -> Result<()> {
        let width = self.width(self.result_type(inst))?;
        if width == Width::Scalar {
            // The scalar form copies the other lanes from a second input.
            let a = self.vector(a)?;
            return self.emit_binary(inst, Binary::Sqrt, width, a, Source::Register(a));
        }
        self.unary(inst, Unary::Sqrt, a)
    }

    fn unary(&mut self, inst: ir::Inst, op: Unary, a: Value) -> Result<()> {
        let width = self.width(self.result_type(inst))?;
        // The VEX forms of shifts take no memory operand.
        let folds = match op {
            Unary::Sqrt => Folds::Lanes32,
            _ => Folds::Whole,
        };
        let a = match op {
            Unary::ShiftLeft(_) | Unary::ShiftRight(_) | Unary::SignedShiftRight(_) => {
                Source::Register(self.vector(a)?)
            }
            _ => self.source(a, width, folds)?,
        };
        let result = define(self.result(inst)?);
        self.emit(Op::Unary(op, width), &[result], Some(a));
        Ok(())
    }

    /// A unary shuffle of an intrinsic.
    pub(super) fn unary_shuffle(&mut self, inst: ir::Inst, op: Unary, a: Value) -> Result<()> {
        self.unary(inst, op, a)
    }

    fn shift_lanes(
        &mut self,
        inst: ir::Inst,
        op: fn(u8) -> Unary,
        a: Value,
        count: Value,
    ) -> Result<()> {
        match self.integer_constant(count, Size::B8) {
            Some(count) => self.unary(inst, op((count & 31) as u8), a),
            None => self.unsupported("vectors are shifted by constants only"),
        }
    }

    /// Always the form that overwrites the accumulator, so that a chain stays in one register.
    fn fma(&mut self, inst: ir::Inst, a: Value, b: Value, accumulator: Value) -> Result<()> {
        let width = self.width(self.result_type(inst))?;
        let accumulator = self.vector(accumulator)?;
        let (a, b) = self.commuted(a, b, width, Folds::Lanes32)?;
        let operands = [reuse(self.result(inst)?, 1), read(accumulator), read(a)];
        self.emit(Op::Fma(width), &operands, Some(b));
        Ok(())
    }

    fn splat(&mut self, inst: ir::Inst, a: Value) -> Result<()> {
        let width = self.width(self.result_type(inst))?;
        let source = match self.sinkable_scalar(a) {
            Some((pointer, offset)) => self.address(pointer, offset)?.source(false),
            None if self.func.dfg.value_type(a) == types::I32 => {
                Source::Register(self.integer_lane(a)?)
            }
            None => Source::Register(self.vector(a)?),
        };
        let result = define(self.result(inst)?);
        self.emit(Op::Unary(Unary::Broadcast, width), &[result], Some(source));
        Ok(())
    }

    /// The comparison that makes a mask or a scalar condition, if that is what makes it.
    fn float_compare(&self, value: Value) -> Option<FloatCompare> {
        let (value, once) = self.strip(value);
        match *self.definition_data(value)? {
            InstructionData::FloatCompare { cond, args, .. } => {
                Width::of(self.func.dfg.value_type(args[0]))?;
                Some(FloatCompare { condition: cond, args, once })
            }
            _ => None,
        }
    }

    /// Which of `min(x, y)` and `max(x, y)` of x86 chooses `x` exactly where the comparison holds.
    ///
    /// `minps` gives its second input unless the first is less, so `x < y ? x : y` is that; both give
    /// the second input if one is NaN or both are zeros.
    fn min_or_max(&self, compare: FloatCompare, x: Value, y: Value) -> Option<Binary> {
        let [a, b] = compare.args;
        let (less, greater) = match compare.condition {
            FloatCC::LessThan => (a, b),
            FloatCC::GreaterThan => (b, a),
            _ => return None,
        };
        if self.same_value(less, x) && self.same_value(greater, y) {
            Some(Binary::Min)
        } else if self.same_value(less, y) && self.same_value(greater, x) {
            Some(Binary::Max)
        } else {
            None
        }
    }

    /// An `fcmp` as a value: lanes of ones, or the integer 1.
    fn fcmp(&mut self, inst: ir::Inst) -> Result<()> {
        let InstructionData::FloatCompare { cond, args, .. } = self.func.dfg.insts[inst] else {
            return self.unsupported("fcmp without a condition");
        };
        let ty = self.func.dfg.value_type(args[0]);
        let width = self.width(ty)?;
        let compare = FloatCompare { condition: cond, args, once: true };
        let (a, b) = self.compared(compare, width)?;
        let op = Op::CompareLanes(predicate(cond), width.whole());
        if width != Width::Scalar {
            let result = define(self.result(inst)?);
            self.emit(op, &[result, read(a)], Some(b));
            return Ok(());
        }
        let (lanes, integer) = (self.new_register(RegClass::Float), self.temporary());
        self.emit(op, &[define(lanes), read(a)], Some(b));
        self.emit(Op::LaneToInteger, &[define(integer), read(lanes)], None);
        let operands = [reuse(self.result(inst)?, 1), read(integer)];
        let low_bit = Op::AluImmediate(crate::vcode::Alu::And, Size::B32, 1);
        self.emit(low_bit, &operands, None);
        Ok(())
    }

    /// The inputs of a comparison.
    fn compared(&mut self, compare: FloatCompare, width: Width) -> Result<(VReg, Source)> {
        let [a, b] = compare.args;
        let a = self.vector(a)?;
        let b = if compare.once && width != Width::Scalar {
            self.source(b, width, Folds::Lanes32)?
        } else {
            Source::Register(self.vector(b)?)
        };
        Ok((a, b))
    }

    fn bitselect(
        &mut self,
        inst: ir::Inst,
        ty: Type,
        mask: Value,
        x: Value,
        y: Value,
    ) -> Result<()> {
        let width = self.width(ty)?;
        if ty.is_vector()
            && let Some(compare) = self.float_compare(mask)
            && self.width(self.func.dfg.value_type(compare.args[0]))? == width
        {
            return self.choose(inst, width, compare, mask, x, y);
        }
        let width = width.whole();
        let (mask, x, y) = (self.vector(mask)?, self.vector(x)?, self.vector(y)?);
        match self.isa {
            Isa::Avx512 => {
                let operands = [reuse(self.result(inst)?, 1), read(mask), read(x), read(y)];
                self.emit(Op::BlendBits(width), &operands, None);
            }
            Isa::Avx2 => {
                let [ones, zeros] = [(); 2].map(|()| self.new_register(RegClass::Float));
                let and = |op| Op::Binary(op, width);
                self.emit(and(Binary::And), &[define(ones), read(mask), read(x)], None);
                self.emit(and(Binary::AndNot), &[define(zeros), read(mask), read(y)], None);
                let operands = [define(self.result(inst)?), read(ones), read(zeros)];
                self.emit(Op::Binary(Binary::Or, width), &operands, None);
            }
        }
        Ok(())
    }

    /// `x` where a comparison of floats holds, else `y`. `mask` is the value of the comparison.
    fn choose(
        &mut self,
        inst: ir::Inst,
        width: Width,
        compare: FloatCompare,
        mask: Value,
        x: Value,
        y: Value,
    ) -> Result<()> {
        if let Some(op) = self.min_or_max(compare, x, y) {
            return self.binary(inst, op, x, y);
        }
        let whole = width.whole();
        let (x, y) = (self.vector(x)?, self.vector(y)?);
        match self.isa {
            Isa::Avx512 => {
                let (a, b) = self.compared(compare, width)?;
                let operands = [define(self.result(inst)?), read(x), read(y), read(a)];
                let op = Op::CompareBlend(predicate(compare.condition), whole);
                self.emit(op, &operands, Some(b));
            }
            Isa::Avx2 => {
                let mask = if width == Width::Scalar {
                    let (a, b) = self.compared(compare, width)?;
                    let lanes = self.new_register(RegClass::Float);
                    let op = Op::CompareLanes(predicate(compare.condition), whole);
                    self.emit(op, &[define(lanes), read(a)], Some(b));
                    lanes
                } else {
                    self.vector(mask)?
                };
                let operands = [define(self.result(inst)?), read(x), read(y), read(mask)];
                self.emit(Op::BlendLanes(whole), &operands, None);
            }
        }
        Ok(())
    }

    /// A `select` of floats or vectors by a scalar condition.
    fn select_vector(
        &mut self,
        inst: ir::Inst,
        ty: Type,
        condition: Value,
        x: Value,
        y: Value,
    ) -> Result<()> {
        let width = self.width(ty)?;
        if width == Width::Scalar
            && let Some(compare) = self.float_compare(condition)
        {
            return self.choose(inst, width, compare, condition, x, y);
        }
        let operands = [self.vector(y)?, self.vector(x)?].map(read);
        let (compare, compared) = self.compare(condition)?;
        let result = reuse(self.result(inst)?, 1);
        let all = [&[result], &operands[..], &compared].concat();
        self.emit(Op::SelectVector(compare, width.whole()), &all, None);
        Ok(())
    }

    fn extract_lane(&mut self, inst: ir::Inst, a: Value) -> Result<()> {
        let InstructionData::BinaryImm8 { imm: lane, .. } = self.func.dfg.insts[inst] else {
            return self.unsupported("extractlane without a lane");
        };
        let width = self.width(self.func.dfg.value_type(a))?;
        let mut register = self.vector(a)?;
        if lane >= 4 {
            let part = self.new_register(RegClass::Float);
            self.emit(Op::Extract128(lane / 4, width), &[define(part), read(register)], None);
            register = part;
        }
        let to_integer = self.result_type(inst) == types::I32;
        if lane % 4 != 0 {
            let moved =
                if to_integer { self.new_register(RegClass::Float) } else { self.result(inst)? };
            let op = Op::Unary(Unary::PermuteInLane32(lane % 4), Width::Xmm);
            self.emit(op, &[define(moved), read(register)], None);
            register = moved;
        } else if !to_integer {
            // Lane 4, 8 or 12: the part is the result already, but it has to have its register.
            let result = self.result(inst)?;
            self.emit(
                Op::Unary(Unary::PermuteInLane32(0), Width::Xmm),
                &[define(result), read(register)],
                None,
            );
        }
        if to_integer {
            let operands = [define(self.result(inst)?), read(register)];
            self.emit(Op::LaneToInteger, &operands, None);
        }
        Ok(())
    }

    fn insert_lane(&mut self, inst: ir::Inst, a: Value, scalar: Value) -> Result<()> {
        let InstructionData::TernaryImm8 { imm: lane, .. } = self.func.dfg.insts[inst] else {
            return self.unsupported("insertlane without a lane");
        };
        let width = self.width(self.result_type(inst))?;
        let vector = self.vector(a)?;
        let scalar = match self.func.dfg.value_type(scalar) {
            types::I32 => self.integer_lane(scalar)?,
            _ => self.vector(scalar)?,
        };
        match (width, self.isa) {
            (Width::Xmm, _) => {
                let op = Op::Binary(Binary::Insert(lane << 4), width);
                let operands = [define(self.result(inst)?), read(vector), read(scalar)];
                self.emit(op, &operands, None);
            }
            (_, Isa::Avx2) => {
                let all = self.new_register(RegClass::Float);
                let broadcast = Op::Unary(Unary::Broadcast, width);
                self.emit(broadcast, &[define(all), read(scalar)], None);
                let op = Op::Binary(Binary::BlendImmediate(1 << lane), width);
                let operands = [define(self.result(inst)?), read(vector), read(all)];
                self.emit(op, &operands, None);
            }
            (_, Isa::Avx512) => {
                let mask = regalloc2::Operand::reg_temp(self.temporary());
                let operands = [reuse(self.result(inst)?, 1), read(vector), read(scalar), mask];
                self.emit(Op::InsertLane(lane, width), &operands, None);
            }
        }
        Ok(())
    }
}
