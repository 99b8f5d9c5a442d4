//! The registers of a class, given in one walk over the code, where there may be too few of them.
//!
//! Kernels hold more pointers than there are registers, and some more vectors, but few at a time: those of
//! the loop at hand. So a value that finds no register free takes that of the value which is needed last
//! (Belady, IBM Systems Journal 5(2), 1966), and blocks where ways meet, loops above all, begin with the
//! values that are needed next (Braun and Hack, CC 2009). In SSA a value never changes: one that must give
//! way is stored once, where it is defined, and loaded again where it is used.
//!
//! Each block is walked with the registers as a predecessor left them. Where several ways lead to a
//! block, each is given the moves and loads from what it left to what the block begins with; critical
//! edges have blocks of their own, so there is a place for them.

mod choice;

use super::bank::{Bank, allowed_by};
use super::liveness::Liveness;
use super::moves;
use crate::vcode::VCode;
use regalloc2::{
    Allocation, Edit, Inst, Operand, OperandConstraint, OperandKind, OperandPos, ProgPoint,
    SpillSlot,
};
use std::ops::RangeInclusive;

/// No value, no register, or no slot.
const NONE: u32 = u32::MAX;

/// The registers of the values of a class.
pub(super) struct Assignment {
    bank: Bank,
    /// Of each operand: its register.
    operands: Vec<u32>,
    edits: Vec<(ProgPoint, Step, Edit)>,
    /// Units of the frame that are in use, from its start on.
    frame_units: usize,
}

/// What edits at one place are for, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// What was passed to a block goes where the block wants it.
    Arrive,
    /// A value that was just defined is stored.
    Keep,
    /// The next instruction gets its inputs.
    Use,
    /// Values go where the next block wants them.
    Leave,
}

impl Assignment {
    /// Finds registers for all values of a class in a function, of whose frame so many units are in use;
    /// none if it has something in it that only regalloc2 can do.
    pub(super) fn find(
        vcode: &VCode,
        liveness: &Liveness,
        bank: Bank,
        frame_units: usize,
    ) -> Option<Self> {
        let mut walk = Walk {
            vcode,
            liveness,
            bank,
            loops: choice::loops(vcode),
            values: vec![ValueState::unknown(bank.all); vcode.virtual_registers],
            now: Registers::default(),
            entries: vec![Registers::default(); vcode.blocks.len()],
            exits: vec![None; vcode.blocks.len()],
            kept: Vec::new(),
            operands: vec![NONE; vcode.all_operands().len()],
            edits: Vec::new(),
            frame_units: frame_units.next_multiple_of(bank.slot_units),
        };
        walk.find_limits();
        for &block in liveness.definitions_first() {
            walk.enter(block)?;
            for index in vcode.blocks[block].insts.clone() {
                walk.inst(block, index)?;
            }
            walk.leave(block);
        }
        walk.pass_on();
        walk.keep();
        let Walk { operands, mut edits, frame_units, .. } = walk;
        edits.sort_by_key(|(point, step, _)| (*point, *step));
        Some(Self { bank, operands, edits, frame_units })
    }

    /// The register of an operand, by its number.
    pub(super) fn register(&self, operand: usize) -> Allocation {
        self.bank.register(self.operands[operand])
    }

    /// Moves, loads and stores that belong to the assignment, each before an instruction, in order.
    pub(super) fn edits(&self) -> impl Iterator<Item = (ProgPoint, Edit)> + '_ {
        self.edits.iter().map(|(point, _, edit)| (*point, edit.clone()))
    }

    /// Units of the frame that are in use, those from before included.
    pub(super) fn frame_units(&self) -> usize {
        self.frame_units
    }
}

/// What each register holds.
#[derive(Clone, Copy, Default)]
struct Registers {
    /// By hardware numbers; of those in use.
    values: [u32; 32],
    in_use: u32,
}

impl Registers {
    fn put(&mut self, value: usize, register: u32) {
        self.values[register as usize] = value as u32;
        self.in_use |= 1 << register;
    }

    fn of(&self, value: usize) -> Option<u32> {
        bits(self.in_use).find(|register| self.values[*register as usize] == value as u32)
    }

    /// Registers and their values.
    fn iter(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        bits(self.in_use).map(|register| (register, self.values[register as usize] as usize))
    }
}

#[derive(Clone, Copy)]
struct ValueState {
    /// Registers that it may have.
    allowed: u32,
    /// Where it is at the current place.
    register: u32,
    /// Where it has been stored.
    slot: u32,
    /// Where it best goes.
    wish: u32,
    /// The register that it was defined in, and the instruction that follows.
    born: (u32, u32),
}

impl ValueState {
    /// Of a value that is nowhere yet.
    fn unknown(allowed: u32) -> Self {
        Self { allowed, register: NONE, slot: NONE, wish: NONE, born: (NONE, NONE) }
    }
}

/// A walk over a function.
struct Walk<'c> {
    vcode: &'c VCode,
    liveness: &'c Liveness,
    bank: Bank,
    /// From the header to the last block that goes back to it.
    loops: Vec<RangeInclusive<usize>>,
    values: Vec<ValueState>,
    now: Registers,
    /// What blocks begin with that several ways lead to.
    entries: Vec<Registers>,
    /// What blocks end with, where they have been walked.
    exits: Vec<Option<Registers>>,
    /// Values that have a slot.
    kept: Vec<usize>,
    /// As in [`Assignment`].
    operands: Vec<u32>,
    edits: Vec<(ProgPoint, Step, Edit)>,
    frame_units: usize,
}

impl<'c> Walk<'c> {
    /// Notes which registers each value may have.
    fn find_limits(&mut self) {
        for operand in self.vcode.all_operands() {
            self.values[operand.vreg().vreg()].allowed &= allowed_by(operand.constraint());
        }
    }

    fn enter(&mut self, block: usize) -> Option<()> {
        match self.vcode.blocks[block].predecessors[..] {
            [] => Some(()),
            [before] => self.enter_from(before.index(), block),
            _ => self.enter_join(block),
        }
    }

    /// Begins a block that one way leads to.
    fn enter_from(&mut self, before: usize, block: usize) -> Option<()> {
        let exit = self.exits[before]?;
        for value in self.liveness.live_in(block, self.bank.class) {
            if let Some(register) = exit.of(value) {
                self.place(value, register);
            }
        }
        let first = self.vcode.blocks[block].insts.start;
        let mut pending = Vec::new();
        // Registers of parameters, which must stay until these can be stored.
        let mut taken = 0;
        for (argument, param) in self.passed(before, block) {
            match exit.of(argument) {
                Some(register) if self.suits(param, register) => {
                    self.define(param, register, first);
                    taken |= 1 << register;
                }
                Some(from) => pending.push((self.bank.register(from), param)),
                None => pending.push((self.slot(argument), param)),
            }
        }
        let mut arrivals = Vec::new();
        for (from, param) in pending {
            let to = self.take(param, block, first, taken)?;
            taken |= 1 << to;
            self.define(param, to, first);
            arrivals.push((from, self.bank.register(to)));
        }
        let free = self.bank.all & !(exit.in_use | self.now.in_use);
        self.move_at_once(&mut arrivals, free, first, Step::Arrive);
        Some(())
    }

    /// Begins a block that several ways lead to.
    fn enter_join(&mut self, block: usize) -> Option<()> {
        let data = &self.vcode.blocks[block];
        let known: Vec<usize> = data.predecessors.iter().map(|before| before.index()).collect();
        let exits: Vec<Registers> = known.iter().filter_map(|before| self.exits[*before]).collect();
        let params: Vec<usize> = self.passed(known[0], block).map(|(_, param)| param).collect();
        let room = self.bank.order.len().checked_sub(params.len())?;
        let chosen = self.choose(block, &exits, room);

        let resident = |value| exits.iter().find_map(|exit| exit.of(value));
        for &value in &chosen {
            if let Some(register) = resident(value).filter(|r| self.suits(value, *r)) {
                self.place(value, register);
            }
        }
        for before in &known {
            let Some(exit) = self.exits[*before] else { continue };
            for (argument, param) in self.passed(*before, block) {
                let from = exit.of(argument).filter(|r| self.suits(param, *r));
                if let (Some(register), NONE) = (from, self.values[param].register) {
                    self.place(param, register);
                }
            }
        }
        let registers = |walk: &Self| {
            let own = params.iter().map(|param| walk.values[*param].register);
            own.filter(|register| *register != NONE).fold(0, |all, register| all | 1 << register)
        };
        for &value in params.iter().chain(&chosen) {
            if self.values[value].register == NONE {
                let register = self.take(value, block, data.insts.start, registers(self))?;
                self.place(value, register);
            }
        }
        for &param in &params {
            self.values[param].born = (self.values[param].register, data.insts.start as u32);
        }
        for value in self.liveness.live_in(block, self.bank.class) {
            if self.values[value].register == NONE {
                self.slot(value);
            }
        }
        self.entries[block] = self.now;
        self.wish_for(block);
        Some(())
    }

    /// What comes back to the head of a loop had better be in the registers that it began with.
    fn wish_for(&mut self, block: usize) {
        for (register, value) in self.now.iter() {
            self.values[value].wish = register;
        }
        for before in &self.vcode.blocks[block].predecessors {
            if self.exits[before.index()].is_none() {
                for (argument, param) in self.passed(before.index(), block) {
                    self.values[argument].wish = self.values[param].register;
                }
            }
        }
    }

    fn inst(&mut self, block: usize, index: usize) -> Option<()> {
        let inst = &self.vcode.insts[index];
        let operands = self.vcode.operands(inst);
        let first = self.vcode.first_operand(inst);
        let class = self.bank.class;
        if operands.iter().all(|operand| operand.class() != class) {
            return Some(());
        }
        let own = operands.iter().enumerate().filter(|(_, it)| it.class() == class);
        let uses = own.clone().filter(|(_, it)| it.kind() == OperandKind::Use);
        let defs = own.filter(|(_, it)| it.kind() == OperandKind::Def);

        // Registers that the instruction reads, and those of them that are free then.
        let mut read = 0;
        let mut dying = 0;
        for (_, operand) in uses.clone() {
            read |= 1u32.checked_shl(self.values[operand.vreg().vreg()].register).unwrap_or(0);
        }
        for (position, operand) in uses {
            let register = self.input(block, index, operand, read)?;
            read |= 1 << register;
            self.operands[first + position] = register;
            if self.liveness.dies(first + position) {
                dying |= 1 << register;
            }
        }
        // Registers that it overwrites.
        let mut written = 0;
        for (position, operand) in defs.clone() {
            let value = operand.vreg().vreg();
            let register = match (operand.pos(), operand.constraint()) {
                // A temporary: it is neither an input nor the result.
                (OperandPos::Early, OperandConstraint::Reg) => {
                    self.take(value, block, index, read | written)?
                }
                (OperandPos::Late, OperandConstraint::Reuse(input)) => {
                    let register = self.operands[first + input];
                    if dying & self.values[value].allowed & 1 << register != 0 {
                        register
                    } else {
                        // The input lives on: the instruction overwrites a copy.
                        let copy = self.take(value, block, index, read | written)?;
                        let [from, to] = [register, copy].map(|it| self.bank.register(it));
                        self.put(index, Step::Use, from, to);
                        self.operands[first + input] = copy;
                        copy
                    }
                }
                _ => continue,
            };
            self.operands[first + position] = register;
            written |= 1 << register;
        }
        for register in bits(dying) {
            self.drop(register);
        }
        for (position, operand) in defs {
            let value = operand.vreg().vreg();
            let register = match (operand.pos(), operand.constraint()) {
                (OperandPos::Early, OperandConstraint::Reg) => continue,
                (OperandPos::Late, OperandConstraint::Reuse(_)) => self.operands[first + position],
                (OperandPos::Late, OperandConstraint::Reg | OperandConstraint::Limit(_)) => {
                    self.take(value, block, index + 1, written)?
                }
                (OperandPos::Late, OperandConstraint::FixedReg(fixed)) => {
                    let register = fixed.hw_enc() as u32;
                    (self.now.in_use & 1 << register == 0).then_some(register)?
                }
                _ => return None,
            };
            self.operands[first + position] = register;
            written |= 1 << register;
            self.define(value, register, index + 1);
            if self.liveness.dies(first + position) {
                self.drop(register);
            }
        }
        Some(())
    }

    /// The register that an instruction finds a value in; it must not be one of those in use there.
    fn input(&mut self, block: usize, index: usize, operand: &Operand, read: u32) -> Option<u32> {
        let value = operand.vreg().vreg();
        let now = self.values[value].register;
        match (operand.pos(), operand.constraint()) {
            (OperandPos::Early, OperandConstraint::Reg | OperandConstraint::Limit(_)) => {
                if now != NONE {
                    return Some(now);
                }
                let register = self.take(value, block, index, read)?;
                let slot = self.slot(value);
                self.put(index, Step::Use, slot, self.bank.register(register));
                self.place(value, register);
                Some(register)
            }
            // The result of the function: no other value is left.
            (OperandPos::Early, OperandConstraint::FixedReg(fixed)) => {
                let register = fixed.hw_enc() as u32;
                let from = if now == NONE { self.slot(value) } else { self.bank.register(now) };
                if now != register {
                    self.put(index, Step::Use, from, self.bank.register(register));
                }
                Some(register)
            }
            _ => None,
        }
    }

    fn leave(&mut self, block: usize) {
        for (_, value) in self.now.iter() {
            self.values[value].register = NONE;
        }
        self.exits[block] = Some(std::mem::take(&mut self.now));
    }

    /// Gives each block where ways meet what it begins with, at the end of those before it.
    fn pass_on(&mut self) {
        for (number, block) in self.vcode.blocks.iter().enumerate() {
            let ([next], Some(exit)) = (&block.successors[..], self.exits[number]) else {
                continue;
            };
            let next = next.index();
            if self.vcode.blocks[next].predecessors.len() < 2 {
                continue;
            }
            let entry = self.entries[next];
            let mut sources = entry.values;
            for (argument, param) in self.passed(number, next) {
                if let Some(register) = entry.of(param) {
                    sources[register as usize] = argument as u32;
                }
            }
            let mut pending = Vec::new();
            for to in bits(entry.in_use) {
                let value = sources[to as usize] as usize;
                let from = exit.of(value);
                if from != Some(to) {
                    let from = match from {
                        Some(register) => self.bank.register(register),
                        None => self.slot(value),
                    };
                    pending.push((from, self.bank.register(to)));
                }
            }
            let free = self.bank.all & !(exit.in_use | entry.in_use);
            self.move_at_once(&mut pending, free, block.insts.end - 1, Step::Leave);
        }
    }

    /// Stores what has a slot, where it is defined.
    fn keep(&mut self) {
        for value in std::mem::take(&mut self.kept) {
            let (register, next) = self.values[value].born;
            let slot = self.slot(value);
            self.put(next as usize, Step::Keep, self.bank.register(register), slot);
        }
    }

    /// What a block passes to another: arguments, and parameters that are used.
    fn passed(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> + use<'c> {
        let (vcode, liveness, class) = (self.vcode, self.liveness, self.bank.class);
        let from = &vcode.blocks[from];
        let way = from.successors.iter().position(|successor| successor.index() == to);
        let arguments = way.map_or(&[][..], |way| &from.arguments[way][..]);
        let pairs = arguments.iter().zip(&vcode.blocks[to].params);
        let used =
            pairs.filter(move |(_, param)| param.class() == class && liveness.is_used(**param));
        used.map(|(argument, param)| (argument.vreg(), param.vreg()))
    }

    /// A register that nothing needs now, and that is not `taken`: if possible the one that is best
    /// for the value, else that of the value which is needed last.
    fn take(&mut self, value: usize, block: usize, index: usize, taken: u32) -> Option<u32> {
        let ValueState { allowed, wish, .. } = self.values[value];
        let free = allowed & !(self.now.in_use | taken);
        let wish = (wish != NONE).then_some(wish);
        let by_order = self.bank.order.iter().copied();
        let mut possible = wish.into_iter().chain(by_order).filter(|it| free & 1 << it != 0);
        match possible.next() {
            Some(register) => Some(register),
            None => self.evict(block, index, allowed & !taken),
        }
    }

    /// The slot of a value, which is stored from now on.
    fn slot(&mut self, value: usize) -> Allocation {
        let slot = &mut self.values[value].slot;
        if *slot == NONE {
            *slot = self.frame_units as u32;
            self.frame_units += self.bank.slot_units;
            self.kept.push(value);
        }
        Allocation::stack(SpillSlot::new(*slot as usize))
    }

    /// Whether a value may have a register that no other has.
    fn suits(&self, value: usize, register: u32) -> bool {
        !self.now.in_use & self.values[value].allowed & 1 << register != 0
    }

    fn place(&mut self, value: usize, register: u32) {
        self.now.put(value, register);
        self.values[value].register = register;
    }

    /// Places a value that is new before an instruction.
    fn define(&mut self, value: usize, register: u32, next: usize) {
        self.place(value, register);
        self.values[value].born = (register, next as u32);
    }

    /// Forgets what is in a register.
    fn drop(&mut self, register: u32) {
        if self.now.in_use & 1 << register != 0 {
            self.values[self.now.values[register as usize] as usize].register = NONE;
            self.now.in_use &= !(1 << register);
        }
    }

    fn put(&mut self, index: usize, step: Step, from: Allocation, to: Allocation) {
        let point = ProgPoint::before(Inst::new(index));
        self.edits.push((point, step, Edit::Move { from, to }));
    }

    /// Moves values all at once, with the help of one of the registers that are free, or of a slot.
    fn move_at_once(
        &mut self,
        pending: &mut Vec<(Allocation, Allocation)>,
        free: u32,
        index: usize,
        step: Step,
    ) {
        let Self { bank, edits, frame_units, .. } = self;
        let aside = || {
            let register = bits(free).next().map(|register| bank.register(register));
            register.or_else(|| {
                let slot = SpillSlot::new(*frame_units);
                *frame_units += bank.slot_units;
                Some(Allocation::stack(slot))
            })
        };
        let point = ProgPoint::before(Inst::new(index));
        let put = |from, to| edits.push((point, step, Edit::Move { from, to }));
        moves::at_once(pending, aside, put);
    }
}

/// The numbers of the bits that are set.
fn bits(mut set: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(lowest)
    })
}
