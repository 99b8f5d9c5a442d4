//! Where the values of a function live: across which edges, and up to which operand.

use crate::vcode::VCode;
use regalloc2::{OperandConstraint, OperandKind, RegClass, VReg};

/// No block.
const NONE: u32 = u32::MAX;
/// Classes of registers: integers and vectors.
const CLASSES: usize = 2;

/// See the module; the memory is kept from one function to the next.
#[derive(Default)]
pub(super) struct Liveness {
    /// Of each virtual register.
    values: Vec<ValueLife>,
    blocks: Vec<BlockLife>,
    /// Of each operand: whether it is the value's last use in its block and the value does not leave
    /// the block, or a definition without use.
    dies: Vec<bool>,
    /// Values and blocks that use them without having defined them, sorted.
    uses: Vec<(VReg, u32)>,
    /// The blocks, each after those that dominate it.
    order: Vec<usize>,
}

#[derive(Clone, Copy)]
struct ValueLife {
    /// Block of the definition.
    home: u32,
    /// The last block in which something was noted of the value.
    noted: u32,
    is_used: bool,
    /// Where its part of `uses` begins, if it has one.
    first_user: u32,
}

#[derive(Default)]
struct BlockLife {
    live_in: Vec<VReg>,
    live_out: Vec<VReg>,
    /// The last values that were found live here, in and out.
    noted: [u32; 2],
    /// The most values of each class that live at one place.
    pressure: [usize; CLASSES],
}

impl Liveness {
    /// Looks at a function.
    pub(super) fn find(&mut self, vcode: &VCode) {
        self.reset(vcode);
        self.find_homes(vcode);
        self.find_crossing(vcode);
        self.find_deaths(vcode);
        definitions_first(vcode, &mut self.order);
    }

    /// Whether an operand, by its number, is the last that its value is needed for.
    pub(super) fn dies(&self, operand: usize) -> bool {
        self.dies[operand]
    }

    /// The block that defines a value.
    pub(super) fn home(&self, value: usize) -> usize {
        self.values[value].home as usize
    }

    /// Whether anything uses a value.
    pub(super) fn is_used(&self, value: VReg) -> bool {
        self.values[value.vreg()].is_used
    }

    /// The values of a class that live on from the predecessors of a block.
    pub(super) fn live_in(
        &self,
        block: usize,
        class: RegClass,
    ) -> impl Iterator<Item = usize> + Clone + '_ {
        of_class(&self.blocks[block].live_in, class)
    }

    /// The values of a class that live on in the successors of a block; not what it passes to their
    /// parameters.
    pub(super) fn live_out(
        &self,
        block: usize,
        class: RegClass,
    ) -> impl Iterator<Item = usize> + Clone + '_ {
        of_class(&self.blocks[block].live_out, class)
    }

    /// The most values of a class that live at one place of a block.
    pub(super) fn pressure(&self, block: usize, class: RegClass) -> usize {
        self.blocks[block].pressure[class as usize]
    }

    /// The blocks that use a value without having defined it, in the order of emission.
    pub(super) fn users(&self, value: usize) -> impl Iterator<Item = usize> + '_ {
        let first = self.values[value].first_user as usize;
        let own = self.uses.get(first..).unwrap_or_default().iter();
        let own = own.take_while(move |(other, _)| other.vreg() == value);
        own.map(|(_, block)| *block as usize)
    }

    /// The blocks, each after those that dominate it.
    pub(super) fn definitions_first(&self) -> &[usize] {
        &self.order
    }

    fn reset(&mut self, vcode: &VCode) {
        self.values.clear();
        let unknown = ValueLife { home: NONE, noted: NONE, is_used: false, first_user: NONE };
        self.values.resize(vcode.virtual_registers, unknown);
        self.dies.clear();
        self.dies.resize(vcode.all_operands().len(), false);
        self.blocks.resize_with(vcode.blocks.len(), BlockLife::default);
        for block in &mut self.blocks {
            block.live_in.clear();
            block.live_out.clear();
            block.noted = [NONE; 2];
        }
        self.uses.clear();
    }

    /// Notes where each value is defined, and in which blocks it is used where that is not known to
    /// be the same.
    fn find_homes(&mut self, vcode: &VCode) {
        let uses = &mut self.uses;
        let mut used = |value: &mut ValueLife, register: VReg, block: u32| {
            value.is_used = true;
            if value.home != block && value.noted != block {
                value.noted = block;
                uses.push((register, block));
            }
        };
        for (number, block) in vcode.blocks.iter().enumerate() {
            let number = number as u32;
            for param in &block.params {
                self.values[param.vreg()].home = number;
            }
            for inst in &vcode.insts[block.insts.clone()] {
                for operand in vcode.operands(inst) {
                    let value = &mut self.values[operand.vreg().vreg()];
                    match operand.kind() {
                        OperandKind::Use => used(value, operand.vreg(), number),
                        OperandKind::Def => value.home = number,
                    }
                }
            }
            for argument in block.arguments.iter().flatten() {
                used(&mut self.values[argument.vreg()], *argument, number);
            }
        }
        let values = &self.values;
        self.uses.retain(|(value, block)| values[value.vreg()].home != *block);
        self.uses.sort_unstable();
        for (place, (value, _)) in self.uses.iter().enumerate().rev() {
            self.values[value.vreg()].first_user = place as u32;
        }
    }

    /// Finds the values that live from one block into another.
    fn find_crossing(&mut self, vcode: &VCode) {
        let mut reached = Vec::new();
        for &(value, block) in &self.uses {
            let number = value.vreg() as u32;
            let home = self.values[value.vreg()].home;
            reached.push(block);
            while let Some(block) = reached.pop() {
                let state = &mut self.blocks[block as usize];
                if state.noted[0] == number {
                    continue;
                }
                state.noted[0] = number;
                state.live_in.push(value);
                for before in &vcode.blocks[block as usize].predecessors {
                    let state = &mut self.blocks[before.index()];
                    if state.noted[1] != number {
                        state.noted[1] = number;
                        state.live_out.push(value);
                    }
                    if before.index() as u32 != home {
                        reached.push(before.index() as u32);
                    }
                }
            }
        }
    }

    /// Marks the last use of each value in each block where it dies, and definitions without use;
    /// counts the values of each class that live at once.
    fn find_deaths(&mut self, vcode: &VCode) {
        // From here on `noted` is the block at whose current place the value lives.
        self.values.iter_mut().for_each(|value| value.noted = NONE);
        for (number, block) in vcode.blocks.iter().enumerate() {
            let mark = number as u32;
            let values = &mut self.values;
            let own = &mut self.blocks[number];
            let mut living = [0; CLASSES];
            for value in own.live_out.iter().chain(block.arguments.iter().flatten()) {
                living[value.class() as usize] += usize::from(wake(values, *value, mark));
            }
            own.pressure = living;
            for inst in vcode.insts[block.insts.clone()].iter().rev() {
                let operands = vcode.operands(inst);
                let first = vcode.first_operand(inst);
                let mut unused = [0; CLASSES];
                for (index, operand) in operands.iter().enumerate() {
                    if operand.kind() == OperandKind::Def {
                        let value = &mut values[operand.vreg().vreg()];
                        let dies = std::mem::replace(&mut value.noted, NONE) != mark;
                        self.dies[first + index] = dies;
                        let class = operand.class() as usize;
                        unused[class] += usize::from(dies);
                        own.pressure[class] =
                            own.pressure[class].max(living[class] + unused[class]);
                        living[class] -= usize::from(!dies);
                    }
                }
                // An input that lives on beside the result which overwrites it takes a copy.
                let mut copies = unused;
                for (index, operand) in operands.iter().enumerate() {
                    if operand.kind() == OperandKind::Use {
                        let dies = wake(values, operand.vreg(), mark);
                        self.dies[first + index] = dies;
                        living[operand.class() as usize] += usize::from(dies);
                    }
                }
                for operand in operands {
                    if let OperandConstraint::Reuse(input) = operand.constraint() {
                        copies[operand.class() as usize] += usize::from(!self.dies[first + input]);
                    }
                }
                for class in 0..CLASSES {
                    let most = living[class] + copies[class];
                    own.pressure[class] = own.pressure[class].max(most);
                }
            }
        }
    }
}

/// Notes that a value lives at the current place of a block; says whether that is new.
fn wake(values: &mut [ValueLife], value: VReg, block: u32) -> bool {
    std::mem::replace(&mut values[value.vreg()].noted, block) != block
}

fn of_class(values: &[VReg], class: RegClass) -> impl Iterator<Item = usize> + Clone + '_ {
    let own = values.iter().filter(move |value| value.class() == class);
    own.map(|value| value.vreg())
}

/// The blocks, each after those that dominate it.
fn definitions_first(vcode: &VCode, order: &mut Vec<usize>) {
    let mut seen = vec![false; vcode.blocks.len()];
    let mut stack = vec![(0, 0)];
    order.clear();
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
}
