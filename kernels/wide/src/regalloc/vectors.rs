//! Vector registers where there are enough of them, given in one walk over the code.
//!
//! The generator of kernels sees to it that its vectors fit the registers. Then a value can keep one
//! register for life: blocks are walked definitions first, and each value gets a register that no
//! value has which lives at its definition. In SSA this takes no more registers than values live at
//! once. Copies are needed in two places: before an instruction that overwrites an operand which
//! lives on, and where a branch passes a value that is not in its parameter's register.
//!
//! regalloc2 finds the same by trial, bundle by bundle, and took half the time of a compilation. It
//! is left the integers, and all of a function whose vectors do not fit.

use crate::vcode::VCode;
use regalloc2::{
    Allocation, Edit, Inst, OperandConstraint, OperandKind, OperandPos, PReg, ProgPoint, RegClass,
    VReg,
};

/// No register, or no block.
const NONE: u32 = u32::MAX;

/// The registers of the vectors of a function; the memory is kept from one to the next.
#[derive(Default)]
pub(super) struct Vectors {
    /// Of each virtual register.
    values: Vec<ValueState>,
    /// Of each operand: its register.
    registers: Vec<u32>,
    /// Of each operand: whether it is the value's last use in its block, or a definition without use.
    dies: Vec<bool>,
    blocks: Vec<BlockState>,
    /// Values and blocks that use them.
    uses: Vec<(u32, u32)>,
    copies: Vec<(ProgPoint, Edit)>,
}

#[derive(Clone, Copy)]
struct ValueState {
    register: u32,
    /// Block of the definition.
    home: u32,
    /// The last block in which something was noted of the value.
    noted: u32,
    /// Registers that it may have.
    allowed: u32,
    is_used: bool,
}

#[derive(Default)]
struct BlockState {
    live_in: Vec<u32>,
    live_out: Vec<u32>,
    /// The last values that were found live here, in and out.
    noted: [u32; 2],
}

impl Vectors {
    /// Finds registers for all vectors of a function; false if there are too few of them, or if it
    /// has something in it that only regalloc2 can do.
    pub(super) fn assign(&mut self, vcode: &VCode, available: usize) -> bool {
        let available = u32::MAX >> (32 - available);
        self.reset(vcode, available);
        self.find_homes(vcode)
            && {
                self.find_crossing(vcode);
                self.find_deaths(vcode);
                self.color(vcode, available)
            }
            && self.copy_arguments(vcode, available)
    }

    /// The register of an operand, by its number.
    pub(super) fn register(&self, operand: usize) -> PReg {
        PReg::new(self.registers[operand] as usize, RegClass::Float)
    }

    /// The copies that belong to the assignment, each before an instruction, in order.
    pub(super) fn copies(&self) -> &[(ProgPoint, Edit)] {
        &self.copies
    }

    fn reset(&mut self, vcode: &VCode, available: u32) {
        let value = ValueState {
            register: NONE,
            home: NONE,
            noted: NONE,
            allowed: available,
            is_used: false,
        };
        self.values.clear();
        self.values.resize(vcode.virtual_registers, value);
        self.registers.clear();
        self.registers.resize(vcode.all_operands().len(), NONE);
        self.dies.clear();
        self.dies.resize(vcode.all_operands().len(), false);
        self.blocks.resize_with(vcode.blocks.len(), BlockState::default);
        for block in &mut self.blocks {
            block.live_in.clear();
            block.live_out.clear();
            block.noted = [NONE; 2];
        }
        self.copies.clear();
    }

    /// Notes where each vector is defined, and in which blocks it is used where that is not known to
    /// be the same; false if an operand has a constraint not known here.
    fn find_homes(&mut self, vcode: &VCode) -> bool {
        self.uses.clear();
        let uses = &mut self.uses;
        let mut used = |value: &mut ValueState, number: usize, block: u32| {
            value.is_used = true;
            if value.home != block && value.noted != block {
                value.noted = block;
                uses.push((number as u32, block));
            }
        };
        for (number, block) in vcode.blocks.iter().enumerate() {
            let number = number as u32;
            for param in vectors(&block.params) {
                self.values[param].home = number;
            }
            for inst in &vcode.insts[block.insts.clone()] {
                for operand in vcode.operands(inst) {
                    if operand.class() != RegClass::Float {
                        continue;
                    }
                    let index = operand.vreg().vreg();
                    let value = &mut self.values[index];
                    match (operand.kind(), operand.pos()) {
                        (OperandKind::Use, OperandPos::Early) => used(value, index, number),
                        (OperandKind::Def, OperandPos::Late) => value.home = number,
                        _ => return false,
                    }
                    match operand.constraint() {
                        OperandConstraint::Reg | OperandConstraint::Reuse(_) => {}
                        OperandConstraint::Limit(limit @ 1..32) => {
                            value.allowed &= (1 << limit) - 1;
                        }
                        _ => return false,
                    }
                }
            }
            for argument in block.arguments.iter().flat_map(|list| vectors(list)) {
                used(&mut self.values[argument], argument, number);
            }
        }
        true
    }

    /// Finds the values that live from one block into another.
    fn find_crossing(&mut self, vcode: &VCode) {
        let values = &self.values;
        let mut uses = std::mem::take(&mut self.uses);
        uses.retain(|(value, block)| values[*value as usize].home != *block);
        uses.sort_unstable();
        let mut reached = Vec::new();
        for &(value, block) in &uses {
            let home = self.values[value as usize].home;
            reached.push(block);
            while let Some(block) = reached.pop() {
                let state = &mut self.blocks[block as usize];
                if state.noted[0] == value {
                    continue;
                }
                state.noted[0] = value;
                state.live_in.push(value);
                for before in &vcode.blocks[block as usize].predecessors {
                    let state = &mut self.blocks[before.index()];
                    if state.noted[1] != value {
                        state.noted[1] = value;
                        state.live_out.push(value);
                    }
                    if before.index() as u32 != home {
                        reached.push(before.index() as u32);
                    }
                }
            }
        }
        self.uses = uses;
    }

    /// Marks the last use of each value in each block where it dies, and definitions without use.
    fn find_deaths(&mut self, vcode: &VCode) {
        // From here on `noted` is the block at whose current place the value lives.
        self.values.iter_mut().for_each(|value| value.noted = NONE);
        for (number, block) in vcode.blocks.iter().enumerate() {
            let number = number as u32;
            for value in &self.blocks[number as usize].live_out {
                self.values[*value as usize].noted = number;
            }
            for argument in block.arguments.iter().flat_map(|list| vectors(list)) {
                self.values[argument].noted = number;
            }
            for inst in vcode.insts[block.insts.clone()].iter().rev() {
                let operands = vcode.operands(inst);
                let first = vcode.first_operand(inst);
                for kind in [OperandKind::Def, OperandKind::Use] {
                    for (index, operand) in operands.iter().enumerate() {
                        if operand.class() == RegClass::Float && operand.kind() == kind {
                            let value = &mut self.values[operand.vreg().vreg()];
                            self.dies[first + index] = value.noted != number;
                            value.noted = if kind == OperandKind::Use { number } else { NONE };
                        }
                    }
                }
            }
        }
    }

    /// Gives each value its register; false if there is none.
    fn color(&mut self, vcode: &VCode, available: u32) -> bool {
        for block in definitions_first(vcode) {
            let data = &vcode.blocks[block];
            let live_in = self.blocks[block].live_in.iter();
            let live_in = live_in.map(|value| 1 << self.values[*value as usize].register);
            let mut free = available & !live_in.fold(0, std::ops::BitOr::bitor);
            if !self.color_params(vcode, block, &mut free) {
                return false;
            }
            for index in data.insts.clone() {
                if !self.color_inst(vcode, index, &mut free) {
                    return false;
                }
            }
        }
        true
    }

    /// A parameter takes the register of an argument where it can, so that no copy is needed.
    fn color_params(&mut self, vcode: &VCode, block: usize, free: &mut u32) -> bool {
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
        for param in vectors(&data.params) {
            if self.values[param].register == NONE && !self.take(param, free) {
                return false;
            }
            if !self.values[param].is_used {
                unused |= 1 << self.values[param].register;
            }
        }
        *free |= unused;
        true
    }

    fn color_inst(&mut self, vcode: &VCode, index: usize, free: &mut u32) -> bool {
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
            if self.dies[first + position] {
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
        if self.dies[first + position] {
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

    /// Copies block arguments to the registers of their parameters, all at once as it were.
    fn copy_arguments(&mut self, vcode: &VCode, available: u32) -> bool {
        let mut pending: Vec<(u32, u32)> = Vec::new();
        for (number, block) in vcode.blocks.iter().enumerate() {
            let mut passed = 0;
            for (to, arguments) in block.successors.iter().zip(&block.arguments) {
                let params = &vcode.blocks[to.index()].params;
                for (argument, param) in vectors(arguments).zip(vectors(params)) {
                    let [from, to] = [argument, param].map(|value| self.values[value].register);
                    passed |= 1 << from | 1 << to;
                    if from != to {
                        pending.push((from, to));
                    }
                }
            }
            if pending.is_empty() {
                continue;
            }
            if block.successors.len() > 1 {
                return false;
            }
            let live_out = self.blocks[number].live_out.iter();
            let live_out = live_out.map(|value| 1 << self.values[*value as usize].register);
            let spare = available & !live_out.fold(passed, std::ops::BitOr::bitor);
            let point = ProgPoint::before(Inst::new(block.insts.end - 1));
            while !pending.is_empty() {
                let is_read = |to: u32| pending.iter().any(|(from, _)| *from == to);
                match pending.iter().position(|(_, to)| !is_read(*to)) {
                    Some(next) => {
                        let (from, to) = pending.swap_remove(next);
                        self.copies.push((point, copy_of(from, to)));
                    }
                    // All go round in circles: one is broken through a spare register.
                    None if spare == 0 => return false,
                    None => {
                        let (from, _) = pending[0];
                        let aside = spare.trailing_zeros();
                        self.copies.push((point, copy_of(from, aside)));
                        for (source, _) in pending.iter_mut().filter(|(source, _)| *source == from)
                        {
                            *source = aside;
                        }
                    }
                }
            }
        }
        self.copies.sort_by_key(|(point, _)| *point);
        true
    }
}

fn copy_of(from: u32, to: u32) -> Edit {
    let [from, to] = [from, to].map(|n| Allocation::reg(PReg::new(n as usize, RegClass::Float)));
    Edit::Move { from, to }
}

/// The numbers of the vectors among some values.
fn vectors(values: &[VReg]) -> impl Iterator<Item = usize> + '_ {
    values.iter().filter(|value| value.class() == RegClass::Float).map(|value| value.vreg())
}

/// The blocks, each after those that dominate it.
fn definitions_first(vcode: &VCode) -> Vec<usize> {
    let mut seen = vec![false; vcode.blocks.len()];
    let mut order = Vec::with_capacity(vcode.blocks.len());
    let mut stack = vec![(0, 0)];
    seen[0] = true;
    while let Some((block, way)) = stack.last_mut() {
        let block_now = *block;
        match vcode.blocks[block_now].successors.get(*way) {
            Some(next) => {
                *way += 1;
                if !std::mem::replace(&mut seen[next.index()], true) {
                    stack.push((next.index(), 0));
                }
            }
            None => {
                order.push(block_now);
                stack.pop();
            }
        }
    }
    order.reverse();
    order
}
