//! Inputs of machine instructions: registers, constants, folded loads.

use super::values::Constant;
use super::{Select, Source, define};
use crate::Isa;
use crate::error::Result;
use crate::vcode::{Memory, Op, Place, Size, Unary, Width};
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{self, InstructionData, Opcode, Type, Value, types};
use regalloc2::{RegClass, VReg};

/// Which memory operands an instruction can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folds {
    /// Only constants as wide as the register.
    Constants,
    /// Whole vectors, and `{1toN}` broadcasts of 32 bits on AVX-512.
    Lanes32,
    /// Whole vectors: the instruction's lanes are not 32 bits wide, or it has no broadcast.
    Whole,
}

impl Select<'_> {
    /// The value that names the same register: bit casts between vectors, truncations and lane 0
    /// cost nothing. Tells besides whether each value on the way has only one use.
    pub(super) fn strip(&self, value: Value) -> (Value, bool) {
        let known = self.known(value);
        (known.stripped(value), known.once)
    }

    /// An integer constant, sign-extended from a size.
    pub(super) fn integer_constant(&self, value: Value, size: Size) -> Option<i64> {
        match self.definition_data(self.strip(value).0)? {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                let unused = 64 - size.bits();
                Some(imm.bits() << unused >> unused)
            }
            _ => None,
        }
    }

    /// An integer constant that fits an immediate, sign-extended from a size.
    pub(super) fn immediate(&self, value: Value, size: Size) -> Option<i32> {
        i32::try_from(self.integer_constant(value, size)?).ok()
    }

    /// An integer in a register; bits beyond its size are undefined.
    pub(super) fn int(&mut self, value: Value) -> Result<VReg> {
        if let Some(constant) = self.integer_constant(value, Size::B64) {
            let register = self.new_register(RegClass::Int);
            self.emit(Op::Constant(constant), &[define(register)], None);
            return Ok(register);
        }
        let stripped = self.strip(value).0;
        if Size::of(self.func.dfg.value_type(stripped)).is_none() {
            return self.unsupported("integers are of 8, 16, 32 or 64 bits");
        }
        self.register(stripped)
    }

    /// The 32 bits that all lanes of a constant have.
    fn uniform_bits(&self, value: Value) -> Option<u32> {
        match self.known(value).constant {
            Constant::Uniform(bits) => Some(bits),
            _ => None,
        }
    }

    /// A memory operand with the same 32 bits in all lanes.
    pub(super) fn constant_source(&mut self, bits: u32, width: Width) -> Source {
        let bytes = bits.to_le_bytes();
        if self.isa == Isa::Avx512 && width == Width::Zmm {
            self.pool_operand(bytes.to_vec(), true)
        } else {
            // Below 512 bits a broadcast would force the EVEX form on what could be VEX.
            self.pool_operand(bytes.repeat(width.lanes()), false)
        }
    }

    /// The bytes of a vector constant.
    fn bytes(&self, constant: ir::Constant) -> Vec<u8> {
        self.func.dfg.constants.get(constant).as_slice().to_vec()
    }

    /// Whether two values are the same, be it as constants.
    pub(super) fn same_value(&self, a: Value, b: Value) -> bool {
        let same_bits = || {
            let bits = self.uniform_bits(a);
            bits.is_some() && bits == self.uniform_bits(b)
        };
        self.strip(a).0 == self.strip(b).0 || same_bits()
    }

    /// A vector or an f32 in a register. Constants are made anew for each use: that costs an
    /// instruction, whereas a register that lives through a loop costs an accumulator.
    pub(super) fn vector(&mut self, value: Value) -> Result<VReg> {
        let known = self.known(value);
        let stripped = known.stripped(value);
        if known.constant == Constant::None {
            return self.register(stripped);
        }
        let width = self.width(self.func.dfg.value_type(stripped))?;
        Ok(match known.constant {
            Constant::Uniform(bits) => self.uniform(bits, width),
            Constant::Bytes(constant) => self.pool_constant(self.bytes(constant), width),
            Constant::None => unreachable!("it has a register"),
        })
    }

    /// A new register with the same 32 bits in all lanes.
    fn uniform(&mut self, bits: u32, width: Width) -> VReg {
        if bits != 0 {
            return match width {
                Width::Scalar => self.pool_constant(bits.to_le_bytes().to_vec(), width),
                _ => self.pool_load(Unary::Broadcast, bits.to_le_bytes().to_vec(), width),
            };
        }
        let register = self.new_register(RegClass::Float);
        self.emit(Op::Zero, &[define(register)], None);
        register
    }

    /// A new register with a constant of the pool.
    pub(super) fn pool_constant(&mut self, bytes: Vec<u8>, width: Width) -> VReg {
        self.pool_load(Unary::Move, bytes, width)
    }

    fn pool_load(&mut self, op: Unary, bytes: Vec<u8>, width: Width) -> VReg {
        let source = self.pool_operand(bytes, false);
        let register = self.new_register(RegClass::Float);
        self.emit(Op::Unary(op, width), &[define(register)], Some(source));
        register
    }

    fn pool_operand(&mut self, bytes: Vec<u8>, broadcast: bool) -> Source {
        let place = Place::Pool(self.vcode.constant(bytes));
        Source::Memory(Memory { place, broadcast }, [None; 2])
    }

    /// The last input of an instruction of some width: in memory if it can be, else in a register.
    pub(super) fn source(&mut self, value: Value, width: Width, folds: Folds) -> Result<Source> {
        match self.memory(value, width, folds)? {
            Some(source) => Ok(source),
            None => Ok(Source::Register(self.vector(value)?)),
        }
    }

    /// The memory operand that an input can be.
    pub(super) fn memory(
        &mut self,
        value: Value,
        width: Width,
        folds: Folds,
    ) -> Result<Option<Source>> {
        let known = self.known(value);
        let (stripped, once) = (known.stripped(value), known.once);
        if self.registers[stripped].is_some() {
            return Ok(None);
        }
        let broadcasts = self.isa == Isa::Avx512 && folds == Folds::Lanes32;
        match known.constant {
            Constant::Uniform(0) => return Ok(None),
            Constant::Uniform(bits) if folds == Folds::Whole => {
                let bytes = bits.to_le_bytes().repeat(width.lanes());
                return Ok(Some(self.pool_operand(bytes, false)));
            }
            Constant::Uniform(bits) => return Ok(Some(self.constant_source(bits, width))),
            Constant::Bytes(constant) => {
                let bytes = self.bytes(constant);
                return Ok((bytes.len() == width.bytes()).then(|| self.pool_operand(bytes, false)));
            }
            Constant::None => {}
        }
        if !once || folds == Folds::Constants {
            return Ok(None);
        }
        if let Some((pointer, offset)) = self.sinkable_load(stripped) {
            return Ok(Some(self.address(pointer, offset)?.source(false)));
        }
        if broadcasts
            && width != Width::Scalar
            && let Some((pointer, offset)) = self.sinkable_splat(stripped)
        {
            return Ok(Some(self.address(pointer, offset)?.source(true)));
        }
        Ok(None)
    }

    /// The address of a load of f32 lanes that can happen at the root instead: its value is used
    /// once, in the same block, with no store between. The caller has checked the number of uses.
    fn sinkable_load(&self, value: Value) -> Option<(Value, i32)> {
        let inst = self.definition(value)?;
        match self.func.dfg.insts[inst] {
            InstructionData::Load { opcode: Opcode::Load, arg, offset, .. }
                if self.beside_root(inst) && self.demand.same_memory(inst, self.root?) =>
            {
                Some((arg, Offset32::into(offset)))
            }
            _ => None,
        }
    }

    /// The address of a 32-bit load that is splat and can happen at the root instead.
    pub(super) fn sinkable_splat(&self, value: Value) -> Option<(Value, i32)> {
        match *self.definition_data(value)? {
            InstructionData::Unary { opcode: Opcode::Splat, arg } => self.sinkable_scalar(arg),
            _ => None,
        }
    }

    /// The address of a 32-bit load, used once, that can happen at the root instead.
    pub(super) fn sinkable_scalar(&self, value: Value) -> Option<(Value, i32)> {
        let (value, once) = self.strip(value);
        let ty: Type = self.func.dfg.value_type(value);
        let untouched = once && self.registers[value].is_none();
        (untouched && matches!(ty, types::F32 | types::I32)).then(|| self.sinkable_load(value))?
    }
}
