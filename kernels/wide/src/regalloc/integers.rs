//! The machine code as a function of integers: its vectors have registers already.
//!
//! Instructions without integers are left out, and neighbours that only read a few are one: of the
//! multiply-adds of a tile remains one instruction that reads two pointers. What regalloc2 then says
//! of the few is said of all again.

use super::vectors::Vectors;
use crate::vcode::{Inst as Code, Op, VCode};
use regalloc2::{
    Allocation, Block, Edit, Function, Inst, InstPosition, InstRange, Operand, OperandConstraint,
    OperandKind, OperandPos, Output, PRegSet, ProgPoint, RegClass, VReg,
};
use std::ops::Range;

/// Registers that neighbours which became one may read in all: they are live together then.
const TOGETHER: usize = 4;

/// No operand.
const NONE: u32 = u32::MAX;

/// See the module.
pub(super) struct Integers<'v> {
    vcode: &'v VCode,
    insts: Vec<Kept>,
    operands: Vec<Operand>,
    /// Of each operand of the machine code, the one that stands for it here.
    places: Vec<u32>,
    blocks: Vec<KeptBlock>,
    registers: usize,
}

/// An instruction that stands for one or more of the machine code.
struct Kept {
    /// The first of them.
    first: usize,
    operands: Range<usize>,
}

struct KeptBlock {
    insts: Range<usize>,
    params: Vec<VReg>,
    arguments: Vec<Vec<VReg>>,
}

/// Virtual registers under new numbers, without gaps: regalloc2 keeps sets of them as bits.
struct Numbers {
    new: Vec<u32>,
    count: u32,
}

impl Numbers {
    fn of(&mut self, register: VReg) -> VReg {
        let number = &mut self.new[register.vreg()];
        if *number == NONE {
            *number = self.count;
            self.count += 1;
        }
        VReg::new(*number as usize, RegClass::Int)
    }
}

impl<'v> Integers<'v> {
    pub(super) fn of(vcode: &'v VCode) -> Self {
        let mut numbers = Numbers { new: vec![NONE; vcode.virtual_registers], count: 0 };
        let mut integers = |list: &Vec<VReg>| -> Vec<VReg> {
            let integers = list.iter().filter(|register| register.class() == RegClass::Int);
            integers.map(|register| numbers.of(*register)).collect()
        };
        let lists: Vec<(Vec<VReg>, Vec<Vec<VReg>>)> = vcode
            .blocks
            .iter()
            .map(|block| {
                let arguments = block.arguments.iter().map(&mut integers).collect();
                (integers(&block.params), arguments)
            })
            .collect();
        let mut all = Self {
            vcode,
            insts: Vec::new(),
            operands: Vec::new(),
            places: vec![NONE; vcode.all_operands().len()],
            blocks: Vec::with_capacity(vcode.blocks.len()),
            registers: 0,
        };
        for (block, (params, arguments)) in vcode.blocks.iter().zip(lists) {
            let start = all.insts.len();
            let mut is_open = false;
            for index in block.insts.clone() {
                is_open = all.keep(index, is_open, &mut numbers);
            }
            all.blocks.push(KeptBlock { insts: start..all.insts.len(), params, arguments });
        }
        all.registers = numbers.count as usize;
        all
    }

    /// Takes in an instruction: into the last one, which is open for it, or as one of its own. Says
    /// whether the next may join.
    fn keep(&mut self, index: usize, is_open: bool, numbers: &mut Numbers) -> bool {
        let inst = &self.vcode.insts[index];
        let first = self.vcode.first_operand(inst);
        let operands = self.vcode.operands(inst).iter().enumerate();
        let integers = operands.filter(|(_, operand)| operand.class() == RegClass::Int);
        let is_fixed = matches!(inst.op, Op::Args | Op::Jump | Op::Branch(_) | Op::Return);
        if !is_fixed && integers.clone().next().is_none() {
            return is_open;
        }
        let only_reads = !is_fixed
            && integers.clone().all(|(_, operand)| {
                let what = (operand.kind(), operand.pos(), operand.constraint());
                what == (OperandKind::Use, OperandPos::Early, OperandConstraint::Reg)
            });
        if only_reads
            && is_open
            && let Some(last) = self.insts.last()
        {
            let start = last.operands.start;
            let room = (start + TOGETHER).saturating_sub(self.operands.len());
            let known = |operands: &[Operand], register| {
                operands[start..].iter().position(|known| known.vreg() == register)
            };
            let added = integers
                .clone()
                .filter(|(_, operand)| known(&self.operands, numbers.of(operand.vreg())).is_none());
            if added.count() <= room {
                for (position, operand) in integers {
                    let register = numbers.of(operand.vreg());
                    let place = known(&self.operands, register).unwrap_or_else(|| {
                        self.operands.push(Operand::reg_use(register));
                        self.operands.len() - 1 - start
                    });
                    self.places[first + position] = (start + place) as u32;
                }
                if let Some(last) = self.insts.last_mut() {
                    last.operands.end = self.operands.len();
                }
                return true;
            }
        }
        let start = self.operands.len();
        // Where an operand is that a result reuses.
        let position_of = |input: usize| integers.clone().position(|(index, _)| index == input);
        for (position, operand) in integers.clone() {
            let register = numbers.of(operand.vreg());
            let constraint = match operand.constraint() {
                OperandConstraint::Reuse(input) => {
                    OperandConstraint::Reuse(position_of(input).unwrap_or(input))
                }
                other => other,
            };
            self.places[first + position] = self.operands.len() as u32;
            self.operands.push(Operand::new(register, constraint, operand.kind(), operand.pos()));
        }
        self.insts.push(Kept { first: index, operands: start..self.operands.len() });
        only_reads
    }

    /// The registers of all operands of the machine code, of those that regalloc2 found here and of
    /// the vectors.
    pub(super) fn expand(&self, found: &Output, vectors: &Vectors, output: &mut Output) {
        output.num_spillslots = found.num_spillslots;
        output.allocs.clear();
        output.inst_alloc_offsets.clear();
        for inst in &self.vcode.insts {
            output.inst_alloc_offsets.push(output.allocs.len() as u32);
            let first = self.vcode.first_operand(inst);
            let places = first..first + self.vcode.operands(inst).len();
            output.allocs.extend(places.map(|index| match self.places[index] {
                NONE => Allocation::reg(vectors.register(index)),
                place => found.allocs[place as usize],
            }));
        }
        output.edits.clear();
        output.edits.extend(found.edits.iter().map(|(point, edit)| {
            let kept = match point.pos() {
                InstPosition::Before => point.inst(),
                InstPosition::After => point.inst().next(),
            };
            (ProgPoint::before(Inst::new(self.insts[kept.index()].first)), edit.clone())
        }));
        let copies: &[(ProgPoint, Edit)] = vectors.copies();
        if !copies.is_empty() {
            output.edits.extend_from_slice(copies);
            output.edits.sort_by_key(|(point, _)| *point);
        }
    }

    fn code(&self, inst: Inst) -> &Code {
        &self.vcode.insts[self.insts[inst.index()].first]
    }
}

impl Function for Integers<'_> {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        self.vcode.entry_block()
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let insts = &self.blocks[block.index()].insts;
        InstRange::new(Inst::new(insts.start), Inst::new(insts.end))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        self.vcode.block_succs(block)
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        self.vcode.block_preds(block)
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: Inst) -> bool {
        self.code(inst).op == Op::Return
    }

    fn is_branch(&self, inst: Inst) -> bool {
        matches!(self.code(inst).op, Op::Jump | Op::Branch(_))
    }

    fn branch_blockparams(&self, block: Block, _: Inst, successor: usize) -> &[VReg] {
        &self.blocks[block.index()].arguments[successor]
    }

    fn inst_operands(&self, inst: Inst) -> &[Operand] {
        &self.operands[self.insts[inst.index()].operands.clone()]
    }

    fn inst_clobbers(&self, _: Inst) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.registers
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        self.vcode.spillslot_size(class)
    }
}
