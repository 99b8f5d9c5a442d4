//! Addresses: additions folded into `base + index * scale + displacement`.
//!
//! Constants are folded from any number of additions: it makes the addition unnecessary, and an
//! unrolled loop walks with one pointer. An addition of two registers is folded only where it is used
//! once, in the same block; elsewhere it is cheaper to do it once. Values that have a register
//! already are not taken apart, so a pointer is not kept alive beside its successor.

use super::{Select, Source};
use crate::error::Result;
use crate::vcode::{Memory, Place, Size};
use cranelift_codegen::ir::{InstructionData, Opcode, Value};
use regalloc2::VReg;

/// An address with its registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    place: Place,
    registers: [Option<VReg>; 2],
}

impl Address {
    /// The memory operand.
    pub(super) fn source(self, broadcast: bool) -> Source {
        Source::Memory(Memory { place: self.place, broadcast }, self.registers)
    }
}

impl Select<'_> {
    /// The address `pointer + offset`.
    pub(super) fn address(&mut self, pointer: Value, offset: i32) -> Result<Address> {
        let (pointer, displacement) = self.strip_constants(pointer, offset, Size::B64);
        match self.foldable_sum(pointer) {
            Some([a, b]) => self.sum(a, b, displacement, Size::B64),
            None => self.base(pointer, displacement),
        }
    }

    /// The address `a + b + displacement`, for additions of any size.
    pub(super) fn sum(
        &mut self,
        a: Value,
        b: Value,
        displacement: i32,
        size: Size,
    ) -> Result<Address> {
        // One of the two may be a constant.
        for (value, constant) in [(a, b), (b, a)] {
            let Some(constant) = self.immediate(constant, size) else { continue };
            let Some(displacement) = displacement.checked_add(constant) else { continue };
            let (value, displacement) = self.strip_constants(value, displacement, size);
            return match self.foldable_sum(value) {
                Some([a, b]) => self.indexed(a, b, displacement, size),
                None => self.base(value, displacement),
            };
        }
        self.indexed(a, b, displacement, size)
    }

    fn base(&mut self, base: Value, displacement: i32) -> Result<Address> {
        let base = self.int(base)?;
        Ok(Address { place: Place::Base { displacement }, registers: [Some(base), None] })
    }

    fn indexed(&mut self, a: Value, b: Value, displacement: i32, size: Size) -> Result<Address> {
        let (a, displacement) = self.strip_constants(a, displacement, size);
        let (b, displacement) = self.strip_constants(b, displacement, size);
        let (base, (index, scale)) = match (self.scaled(a), self.scaled(b)) {
            (Some(scaled), None) => (b, scaled),
            (_, Some(scaled)) => (a, scaled),
            (None, None) => (a, (b, 1)),
        };
        let registers = [Some(self.int(base)?), Some(self.int(index)?)];
        Ok(Address { place: Place::Indexed { scale, displacement }, registers })
    }

    /// Takes constants off a sum while the displacement has room.
    fn strip_constants(&self, value: Value, displacement: i32, size: Size) -> (Value, i32) {
        let (mut value, mut displacement) = (value, displacement);
        'sums: loop {
            value = self.strip(value).0;
            if self.registers[value].is_some() {
                return (value, displacement);
            }
            if let Some(&InstructionData::Binary { opcode: Opcode::Iadd, args: [a, b] }) =
                self.definition_data(value)
            {
                for (rest, constant) in [(a, b), (b, a)] {
                    let constant = self.immediate(constant, size);
                    if let Some(sum) = constant.and_then(|k| displacement.checked_add(k)) {
                        (value, displacement) = (rest, sum);
                        continue 'sums;
                    }
                }
            }
            return (value, displacement);
        }
    }

    /// The inputs of an addition that can be left to the address.
    fn foldable_sum(&self, value: Value) -> Option<[Value; 2]> {
        match *self.foldable(value)? {
            InstructionData::Binary { opcode: Opcode::Iadd, args } => Some(args),
            _ => None,
        }
    }

    /// The index and the scale of a shift that can be left to the address.
    fn scaled(&self, value: Value) -> Option<(Value, u8)> {
        match *self.foldable(value)? {
            InstructionData::Binary { opcode: Opcode::Ishl, args: [index, amount] } => {
                match self.integer_constant(amount, Size::B8)? {
                    amount @ 0..=3 => Some((index, 1 << amount)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn foldable(&self, value: Value) -> Option<&InstructionData> {
        let (value, once) = self.strip(value);
        let inst = self.definition(value)?;
        let free = once && self.registers[value].is_none() && self.beside_root(inst);
        free.then(|| &self.func.dfg.insts[inst])
    }
}
