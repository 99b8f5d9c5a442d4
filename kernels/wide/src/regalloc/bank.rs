//! The registers that a walk gives to the values of a class, and the room that it takes to store one.

use super::gpr;
use regalloc2::{Allocation, OperandConstraint, PReg, RegClass};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bank {
    pub(super) class: RegClass,
    /// Hardware numbers, in the order in which registers are taken.
    pub(super) order: &'static [u32],
    /// The same as bits.
    pub(super) all: u32,
    /// Units of the frame that a value takes.
    pub(super) slot_units: usize,
}

impl Bank {
    /// The integers. Those registers come last that the function must save, and those first that have the
    /// shorter encodings.
    pub(super) fn integers() -> Self {
        const ORDER: [u32; 14] = {
            let [rax, rcx, rdx] = [gpr::RAX as u32, gpr::RCX as u32, gpr::RDX as u32];
            let [rsi, rdi, rbx] = [gpr::RSI as u32, gpr::RDI as u32, gpr::RBX as u32];
            [rax, rcx, rdx, rsi, rdi, 8, 9, 10, 11, rbx, 12, 13, 14, 15]
        };
        Self::new(RegClass::Int, &ORDER, 1)
    }

    /// So many vectors, each of so many units of the frame. The first ones have the shorter encodings.
    pub(super) fn vectors(count: usize, slot_units: usize) -> Self {
        const ORDER: [u32; 32] = [
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31,
        ];
        Self::new(RegClass::Float, &ORDER[..count], slot_units)
    }

    fn new(class: RegClass, order: &'static [u32], slot_units: usize) -> Self {
        let all = order.iter().fold(0, |all, register| all | 1 << register);
        Self { class, order, all, slot_units }
    }

    /// A register by its number.
    pub(super) fn register(self, number: u32) -> Allocation {
        Allocation::reg(PReg::new(number as usize, self.class))
    }
}

/// Registers that an operand may be in for its constraint, as bits.
pub(super) fn allowed_by(constraint: OperandConstraint) -> u32 {
    match constraint {
        OperandConstraint::Limit(limit @ 0..32) => (1 << limit) - 1,
        _ => u32::MAX,
    }
}
