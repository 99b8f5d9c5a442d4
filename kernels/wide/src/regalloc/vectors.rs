//! Vector registers where there are enough of them, given in one walk over the code.
//!
//! The generator of kernels sees to it that its vectors fit the registers. Then a value can keep one
//! register for life: blocks are walked definitions first, and each value gets a register that no
//! value has which lives at its definition. In SSA this takes no more registers than values live at
//! once. Copies are needed in two places: before an instruction that overwrites an operand which
//! lives on, and where a branch passes a value that is not in its parameter's register.

use super::bank::allowed_by;
use super::liveness::Liveness;
use super::moves;
use crate::vcode::VCode;
use regalloc2::{
    Allocation, Edit, Inst, OperandConstraint, OperandKind, OperandPos, PReg, ProgPoint, RegClass,
    VReg,
};

/// No register.
const NONE: u32 = u32::MAX;

/// The registers of the vectors of a function; the memory is kept from one to the next.
#[derive(Default)]
pub(super) struct Vectors {
    /// Of each virtual register.
    values: Vec<ValueState>,
    /// Of each operand: its register.
    registers: Vec<u32>,
    copies: Vec<(ProgPoint, Edit)>,
}

#[derive(Clone, Copy)]
struct ValueState {
    register: u32,
    /// Registers that it may have.
    allowed: u32,
}

impl Vectors {
    /// Finds registers for all vectors of a function; false if there are too few of them, or if it
    /// has something in it that only regalloc2 can do.
    pub(super) fn assign(&mut self, vcode: &VCode, liveness: &Liveness, available: usize) -> bool {
        let available = u32::MAX >> (32 - available);
        self.reset(vcode, available);
        self.find_limits(vcode)
            && self.color(vcode, liveness, available)
            && self.copy_arguments(vcode, liveness, available)
    }

    /// The register of an operand, by its number.
    pub(super) fn register(&self, operand: usize) -> Allocation {
        register(self.registers[operand])
    }

    /// The copies that belong to the assignment, each before an instruction, in order.
    pub(super) fn copies(&self) -> &[(ProgPoint, Edit)] {
        &self.copies
    }

    fn reset(&mut self, vcode: &VCode, available: u32) {
        self.values.clear();
        self.values
            .resize(vcode.virtual_registers, ValueState { register: NONE, allowed: available });
        self.registers.clear();
        self.registers.resize(vcode.all_operands().len(), NONE);
        self.copies.clear();
    }

    /// Notes which registers each vector may have; false if an operand has a constraint not known
    /// here.
    fn find_limits(&mut self, vcode: &VCode) -> bool {
        let operands = vcode.all_operands().iter();
        operands.filter(|operand| operand.class() == RegClass::Float).all(|operand| {
            self.values[operand.vreg().vreg()].allowed &= allowed_by(operand.constraint());
            matches!(
                operand.constraint(),
                OperandConstraint::Reg | OperandConstraint::Reuse(_) | OperandConstraint::Limit(_)
            ) && matches!(
                (operand.kind(), operand.pos()),
                (OperandKind::Use, OperandPos::Early) | (OperandKind::Def, OperandPos::Late)
            )
        })
    }

    /// Gives each value its register; false if there is none.
    fn color(&mut self, vcode: &VCode, liveness: &Liveness, available: u32) -> bool {
        for &block in liveness.definitions_first() {
            let data = &vcode.blocks[block];
            let live_in = liveness.live_in(block, RegClass::Float);
            let mut free = available & !self.registers_of(live_in);
            if !self.color_params(vcode, liveness, block, &mut free) {
                return false;
            }
            for index in data.insts.clone() {
                if !self.color_inst(vcode, liveness, index, &mut free) {
                    return false;
                }
            }
        }
        true
    }

    fn registers_of(&self, values: impl Iterator<Item = usize>) -> u32 {
        values.fold(0, |registers, value| registers | 1 << self.values[value].register)
    }

    /// A parameter takes the register of an argument where it can, so that no copy is needed.
    fn color_params(
        &mut self,
        vcode: &VCode,
        liveness: &Liveness,
        block: usize,
        free: &mut u32,
    ) -> bool {
        let data = &vcode.blocks[block];
        for (position, param) in data.params.iter().enumerate() {
            if param.class() != RegClass::Float {
                continue;
            }
            for before in &data.predecessors {
                let before = &vcode.blocks[before.index()];
                let ways = before.successors.iter().zip(&before.arguments);
                for (_, arguments) in ways.filter(|(to, _)| to.index() == block) {
                    let argument = self.values[arguments[position].vreg()];
                    let value = &mut self.values[param.vreg()];
                    let wished = 1u32.checked_shl(argument.register).unwrap_or(0);
                    if value.register == NONE && wished & *free & value.allowed != 0 {
                        value.register = argument.register;
                        *free &= !wished;
                    }
                }
            }
        }
        let mut unused = 0;
        for param in data.params.iter().filter(|param| param.class() == RegClass::Float) {
            let number = param.vreg();
            if self.values[number].register == NONE && !self.take(number, free) {
                return false;
            }
            if !liveness.is_used(*param) {
                unused |= 1 << self.values[number].register;
            }
        }
        *free |= unused;
        true
    }

    fn color_inst(
        &mut self,
        vcode: &VCode,
        liveness: &Liveness,
        index: usize,
        free: &mut u32,
    ) -> bool {
        let inst = &vcode.insts[index];
        let operands = vcode.operands(inst);
        let first = vcode.first_operand(inst);
        let mut dying = 0;
        let mut result = None;
        for (position, operand) in operands.iter().enumerate() {
            if operand.class() != RegClass::Float {
                continue;
            }
            if operand.kind() == OperandKind::Def {
                if result.is_some() {
                    return false;
                }
                result = Some((position, *operand));
                continue;
            }
            let register = self.values[operand.vreg().vreg()].register;
            self.registers[first + position] = register;
            if liveness.dies(first + position) {
                dying |= 1 << register;
            }
        }
        let Some((position, operand)) = result else {
            *free |= dying;
            return true;
        };
        let value = operand.vreg().vreg();
        if let OperandConstraint::Reuse(input) = operand.constraint() {
            let register = self.registers[first + input];
            if dying & self.values[value].allowed & 1 << register != 0 {
                self.values[value].register = register;
                dying &= !(1 << register);
            } else {
                // The input lives on: the instruction overwrites a copy.
                if !self.take(value, free) {
                    return false;
                }
                let copy = self.values[value].register;
                self.registers[first + input] = copy;
                self.copies.push((ProgPoint::before(Inst::new(index)), copy_of(register, copy)));
            }
            *free |= dying;
        } else {
            *free |= dying;
            if !self.take(value, free) {
                return false;
            }
        }
        let register = self.values[value].register;
        self.registers[first + position] = register;
        if liveness.dies(first + position) {
            *free |= 1 << register;
        }
        true
    }

    /// Gives a value the lowest free register: those up to 15 have shorter encodings.
    fn take(&mut self, value: usize, free: &mut u32) -> bool {
        let value = &mut self.values[value];
        let possible = *free & value.allowed;
        if possible == 0 {
            return false;
        }
        value.register = possible.trailing_zeros();
        *free &= !(1 << value.register);
        true
    }

    /// Copies block arguments to the registers of their parameters.
    fn copy_arguments(&mut self, vcode: &VCode, liveness: &Liveness, available: u32) -> bool {
        let mut pending: Vec<(Allocation, Allocation)> = Vec::new();
        for (number, block) in vcode.blocks.iter().enumerate() {
            let mut passed = 0;
            for (to, arguments) in block.successors.iter().zip(&block.arguments) {
                let params = &vcode.blocks[to.index()].params;
                for (argument, param) in vectors(arguments).zip(vectors(params)) {
                    let [from, to] = [argument, param].map(|value| self.values[value].register);
                    passed |= 1 << from | 1 << to;
                    if from != to {
                        pending.push((register(from), register(to)));
                    }
                }
            }
            if pending.is_empty() {
                continue;
            }
            if block.successors.len() > 1 {
                return false;
            }
            let live_out = self.registers_of(liveness.live_out(number, RegClass::Float));
            let spare = available & !(live_out | passed);
            let aside = || (spare != 0).then(|| register(spare.trailing_zeros()));
            let point = ProgPoint::before(Inst::new(block.insts.end - 1));
            let put = |from, to| self.copies.push((point, Edit::Move { from, to }));
            if !moves::at_once(&mut pending, aside, put) {
                return false;
            }
        }
        self.copies.sort_by_key(|(point, _)| *point);
        true
    }
}

fn copy_of(from: u32, to: u32) -> Edit {
    Edit::Move { from: register(from), to: register(to) }
}

fn register(number: u32) -> Allocation {
    Allocation::reg(PReg::new(number as usize, RegClass::Float))
}

/// The numbers of the vectors among some values.
fn vectors(values: &[VReg]) -> impl Iterator<Item = usize> + '_ {
    values.iter().filter(|value| value.class() == RegClass::Float).map(|value| value.vreg())
}
