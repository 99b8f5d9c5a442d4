//! Register allocation: what regalloc2 needs to know about the machine code and the machine.
//!
//! Everything that makes inner loops free of moves is said in the constraints that selection put on
//! operands; here is only the view of [`VCode`] as a regalloc2 function, the registers of the two
//! instruction sets, and the check of the result.
//!
//! Registers are given in one [walk] over the code for each class. Where its vectors fit the registers,
//! which the generator of kernels mostly sees to, a function has its vectors [coloured](vectors) instead, so
//! that each keeps one register for life. regalloc2 finds as good registers by trial, bundle by bundle: for
//! the integers alone it took more than a quarter of the time of a compilation, for vectors that do not fit
//! more than half. It is left what the walk cannot do, such as a loop that carries more vectors than there
//! are registers.

mod bank;
mod liveness;
mod moves;
mod vectors;
mod walk;

use crate::Isa;
use crate::error::{Error, Result};
use crate::vcode::{Op, VCode, Width};
use bank::Bank;
use liveness::Liveness;
use regalloc2::{
    Algorithm, Block, Function, Inst, InstRange, MachineEnv, Operand, Output, PReg, PRegSet,
    RegClass, RegallocOptions, VReg,
};
use vectors::Vectors;
use walk::Assignment;

/// Integer registers by their hardware numbers.
pub(crate) mod gpr {
    pub(crate) const RAX: usize = 0;
    pub(crate) const RCX: usize = 1;
    pub(crate) const RDX: usize = 2;
    pub(crate) const RBX: usize = 3;
    pub(crate) const RSI: usize = 6;
    pub(crate) const RDI: usize = 7;

    /// Where System V passes integer arguments.
    pub(crate) const ARGUMENTS: [usize; 6] = [RDI, RSI, RDX, RCX, 8, 9];
    /// What the callee preserves, besides `rsp` and `rbp`, which are never allocated.
    pub(crate) const CALLEE_SAVED: [usize; 5] = [RBX, 12, 13, 14, 15];
    /// What the callee may overwrite.
    pub(crate) const CALLER_SAVED: [usize; 9] = [RAX, RCX, RDX, RSI, RDI, 8, 9, 10, 11];
}

/// The integer register with a hardware number.
pub(crate) fn int(number: usize) -> PReg {
    PReg::new(number, RegClass::Int)
}

/// Bytes of one unit of a frame.
pub(crate) const SLOT_BYTES: usize = 8;

impl Function for VCode {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let insts = &self.blocks[block.index()].insts;
        InstRange::new(Inst::new(insts.start), Inst::new(insts.end))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].successors
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].predecessors
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: Inst) -> bool {
        self.insts[inst.index()].op == Op::Return
    }

    fn is_branch(&self, inst: Inst) -> bool {
        matches!(self.insts[inst.index()].op, Op::Jump | Op::Branch(_))
    }

    fn branch_blockparams(&self, block: Block, _: Inst, successor: usize) -> &[VReg] {
        &self.blocks[block.index()].arguments[successor]
    }

    fn inst_operands(&self, inst: Inst) -> &[Operand] {
        self.operands(&self.insts[inst.index()])
    }

    fn inst_clobbers(&self, _: Inst) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.virtual_registers
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        match class {
            RegClass::Int => 1,
            RegClass::Float | RegClass::Vector => self.spill_width().bytes() / SLOT_BYTES,
        }
    }
}

impl VCode {
    /// The width that vector registers are moved and spilled at.
    pub(crate) fn spill_width(&self) -> Width {
        self.widest.unwrap_or(Width::Xmm).whole()
    }
}

/// The registers that may be allocated.
///
/// Registers above 15 exist in EVEX encodings only. Code of 256 bits and less prefers those below,
/// since VEX encodings are shorter, and EVEX forms at 256 bits measured about 3 % slower (Zen 4).
fn machine(isa: Isa, widest: Width) -> MachineEnv {
    let ints = |numbers: &[usize]| numbers.iter().map(|n| int(*n)).collect::<PRegSet>();
    let vectors =
        |numbers: std::ops::Range<usize>| numbers.map(|n| PReg::new(n, RegClass::Float)).collect();
    let preferred = if widest == Width::Zmm { isa.vector_registers() } else { 16 };
    MachineEnv {
        preferred_regs_by_class: [
            ints(&gpr::CALLER_SAVED),
            vectors(0..preferred),
            PRegSet::empty(),
        ],
        non_preferred_regs_by_class: [
            ints(&gpr::CALLEE_SAVED),
            vectors(preferred..isa.vector_registers()),
            PRegSet::empty(),
        ],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

/// The allocator with its memory, kept from one function to the next.
#[derive(Default)]
pub(crate) struct Allocator {
    memory: regalloc2::Ctx,
    liveness: Liveness,
    vectors: Vectors,
    /// Registers that were found without regalloc2.
    output: Output,
    /// Whether those that were found last are regalloc2's.
    searched: bool,
}

impl Allocator {
    /// Assigns registers and spill slots. With `check`, the input is validated as SSA and the output
    /// by symbolic execution, that of regalloc2 and that of the walks.
    pub(crate) fn run(&mut self, vcode: &VCode, isa: Isa, check: bool) -> Result<&Output> {
        self.searched = !self.walk(vcode, isa);
        if !self.searched && !check {
            return Ok(&self.output);
        }
        let machine = machine(isa, vcode.spill_width());
        self.allocate(vcode, &machine, check)?;
        if check {
            check_output(vcode, &machine, &self.memory.output)?;
        }
        if self.searched {
            return Ok(&self.memory.output);
        }
        check_output(vcode, &machine, &self.output)?;
        Ok(&self.output)
    }

    /// Whether the registers that were found last are regalloc2's.
    pub(crate) fn searched(&self) -> bool {
        self.searched
    }

    /// Finds registers without regalloc2; false where that cannot be done.
    fn walk(&mut self, vcode: &VCode, isa: Isa) -> bool {
        self.liveness.find(vcode);
        let walk = |bank, frame_units| Assignment::find(vcode, &self.liveness, bank, frame_units);
        let Some(integers) = walk(Bank::integers(), 0) else {
            return false;
        };
        let registers = isa.vector_registers();
        let mut spilling = None;
        if !self.vectors.assign(vcode, &self.liveness, registers) {
            let bank = Bank::vectors(registers, vcode.spillslot_size(RegClass::Float));
            spilling = walk(bank, integers.frame_units());
            if spilling.is_none() {
                return false;
            }
        }
        let output = &mut self.output;
        let last = spilling.as_ref().unwrap_or(&integers);
        output.num_spillslots = last.frame_units();
        output.allocs.clear();
        output.inst_alloc_offsets.clear();
        for inst in &vcode.insts {
            output.inst_alloc_offsets.push(output.allocs.len() as u32);
            let first = vcode.first_operand(inst);
            let operands = vcode.operands(inst).iter().enumerate();
            output.allocs.extend(operands.map(|(position, operand)| match operand.class() {
                RegClass::Int => integers.register(first + position),
                RegClass::Float | RegClass::Vector => match &spilling {
                    Some(vectors) => vectors.register(first + position),
                    None => self.vectors.register(first + position),
                },
            }));
        }
        output.edits.clear();
        output.edits.extend(integers.edits());
        match &spilling {
            Some(vectors) => output.edits.extend(vectors.edits()),
            None => output.edits.extend_from_slice(self.vectors.copies()),
        }
        output.edits.sort_by_key(|(point, _)| *point);
        true
    }

    fn allocate(&mut self, vcode: &VCode, machine: &MachineEnv, check: bool) -> Result<()> {
        let options = RegallocOptions {
            verbose_log: false,
            validate_ssa: check,
            // Fastalloc reached 15 % of the FMA peak.
            algorithm: Algorithm::Ion,
        };
        let output = regalloc2::run_with_ctx(vcode, machine, &options, &mut self.memory);
        output.map_err(|error| Error::RegisterAllocation(format!("{error:?}")))?;
        Ok(())
    }
}

fn check_output(vcode: &VCode, machine: &MachineEnv, output: &Output) -> Result<()> {
    let mut checker = regalloc2::checker::Checker::new(vcode, machine);
    checker.prepare(output);
    let checked = checker.run();
    checked.map_err(|errors| Error::Check(format!("register allocation: {errors:?}")))
}
