//! Emission: allocated machine code to bytes.
//!
//! ```text
//! 0            code, loop headers aligned
//! code_bytes   constants, the largest first, addressed relative to rip
//! ```
//!
//! Blocks come in the order of [`VCode`]. A block that was made for an edge and got no moves is
//! threaded: branches go to its successor. Branches backwards are short where they can be; forward
//! ones are 32 bits wide and patched in the end.

mod check;
mod codes;
mod frame;
mod inst;
mod masks;

use crate::Isa;
use crate::error::{Error, Result};
use crate::vcode::{BlockKind, Compare, ConstantId, Op, VCode, Width};
use crate::{Code, Stats};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use frame::Frame;
use iced_x86::{Code as X86, Encoder, Instruction, MemoryOperand, Register};
use masks::Masks;
use regalloc2::{Allocation, Block, Edit, InstOrEdit, Output, RegClass};

/// Alignment of the headers of innermost loops: a line of the instruction cache.
const INNERMOST_ALIGNMENT: usize = 64;
/// Alignment of the headers of other loops.
const LOOP_ALIGNMENT: usize = 32;

/// Encodes a function. With `check`, all instructions are decoded again.
pub(crate) fn emit(
    vcode: &VCode,
    allocation: &Output,
    isa: Isa,
    encoder: &mut Encoder,
    check: bool,
) -> Result<Code> {
    let frame = Frame::of(vcode, allocation)?;
    let mut emitter = Emitter {
        isa,
        encoder,
        position: 0,
        labels: vec![None; vcode.blocks.len()],
        branches: Vec::new(),
        rip_operand: None,
        constants: Vec::new(),
        skips: Vec::new(),
        masks: Masks::default(),
        emitted: check.then(Vec::new),
        stats: Stats { spill_slots: frame.spill_slots(), ..Stats::default() },
    };
    let bytes = emitter.function(vcode, allocation, &frame);
    // The buffer is taken even after an error, for the next function starts with an empty one.
    let buffer = emitter.encoder.take_buffer();
    bytes?;
    emitter.finish(buffer, vcode)
}

struct Emitter<'e> {
    isa: Isa,
    encoder: &'e mut Encoder,
    /// Bytes so far.
    position: usize,
    /// Where blocks start.
    labels: Vec<Option<usize>>,
    /// Branches to patch: the end of the instruction, whose last four bytes are the distance.
    branches: Vec<(usize, Block)>,
    /// The last rip-relative operand: offset of its displacement, end of its instruction.
    rip_operand: Option<(usize, usize)>,
    /// Constants to patch.
    constants: Vec<ConstantUse>,
    /// Branches over the next instruction to patch: the end of the branch, and where it goes.
    skips: Vec<(usize, usize)>,
    masks: Masks,
    /// What was encoded where, to be compared with what a decoder sees.
    emitted: Option<Vec<(usize, Instruction)>>,
    stats: Stats,
}

/// A reference to the constant pool.
struct ConstantUse {
    /// Offset of the 32-bit displacement.
    at: usize,
    /// End of the instruction, which the displacement is relative to.
    end: usize,
    constant: ConstantId,
    /// Bytes into the constant.
    offset: usize,
}

impl Emitter<'_> {
    fn function(&mut self, vcode: &VCode, allocation: &Output, frame: &Frame) -> Result<()> {
        let target = thread_edges(vcode, allocation);
        let alignment = loop_alignment(vcode, &target);
        self.prologue(frame)?;
        for (n, block) in vcode.blocks.iter().enumerate() {
            if target[n] != n {
                continue;
            }
            if let Some(alignment) = alignment[n] {
                self.align(alignment)?;
            }
            self.labels[n] = Some(self.position);
            self.masks.forget();
            // The block that control falls into.
            let next = (n + 1..vcode.blocks.len()).find(|n| target[*n] == *n);
            let successor = |way: usize| target[block.successors[way].index()];
            for item in allocation.block_insts_and_edits(vcode, Block::new(n)) {
                match item {
                    InstOrEdit::Edit(Edit::Move { from, to }) => {
                        self.register_move(*from, *to, vcode.spill_width())?;
                    }
                    InstOrEdit::Inst(index) => {
                        let inst = &vcode.insts[index.index()];
                        let registers = allocation.inst_allocs(index);
                        match inst.op {
                            Op::Jump => {
                                if next != Some(successor(0)) {
                                    self.branch(X86::Jmp_rel8_64, successor(0))?;
                                }
                            }
                            Op::Branch(compare) => {
                                let ways = [successor(0), successor(1)];
                                self.conditional(compare, registers, ways, next)?;
                            }
                            Op::Return => self.epilogue(frame, vcode)?,
                            _ => self.inst(inst, registers)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn conditional(
        &mut self,
        compare: Compare,
        registers: &[Allocation],
        [then, otherwise]: [usize; 2],
        next: Option<usize>,
    ) -> Result<()> {
        if then == otherwise {
            if next != Some(then) {
                self.branch(X86::Jmp_rel8_64, then)?;
            }
            return Ok(());
        }
        self.compare(compare, registers)?;
        if next == Some(then) {
            return self.branch(jump_if(compare.condition.complement()), otherwise);
        }
        self.branch(jump_if(compare.condition), then)?;
        if next != Some(otherwise) {
            self.branch(X86::Jmp_rel8_64, otherwise)?;
        }
        Ok(())
    }

    /// A branch, given its short form.
    fn branch(&mut self, short: X86, block: usize) -> Result<()> {
        if let Some(label) = self.labels[block] {
            let distance = label as i64 - (self.position as i64 + 2);
            if i8::try_from(distance).is_ok() {
                return self.put(Instruction::with_branch(short, label as u64));
            }
        }
        let near = short.as_near_branch();
        self.put(Instruction::with_branch(near, self.position as u64))?;
        self.branches.push((self.position, Block::new(block)));
        Ok(())
    }

    /// A move that the register allocator asked for.
    fn register_move(&mut self, from: Allocation, to: Allocation, width: Width) -> Result<()> {
        if from == to {
            return Ok(());
        }
        let slot = |allocation: Allocation| allocation.as_stack().map(frame::slot);
        let float = from.as_reg().or(to.as_reg()).map(|register| register.class());
        match (float, slot(from), slot(to)) {
            (Some(RegClass::Float), None, None) => {
                self.stats.moves += 1;
                self.copy_vector(width, number(to)?, number(from)?)
            }
            (Some(RegClass::Float), Some(slot), None) => {
                self.stats.reloads += 1;
                self.load_vector(width, number(to)?, slot)
            }
            (Some(RegClass::Float), None, Some(slot)) => {
                self.stats.spills += 1;
                self.store_vector(width, number(from)?, slot)
            }
            (Some(RegClass::Int), None, None) => {
                self.stats.moves += 1;
                self.put(Instruction::with2(X86::Mov_r64_rm64, r64(to)?, r64(from)?))
            }
            (Some(RegClass::Int), Some(slot), None) => {
                self.stats.reloads += 1;
                self.put(Instruction::with2(X86::Mov_r64_rm64, r64(to)?, slot))
            }
            (Some(RegClass::Int), None, Some(slot)) => {
                self.stats.spills += 1;
                self.put(Instruction::with2(X86::Mov_rm64_r64, slot, r64(from)?))
            }
            _ => Err(Error::Encoding(format!("a move from {from} to {to}"))),
        }
    }

    /// Encodes an instruction.
    fn put(&mut self, inst: std::result::Result<Instruction, iced_x86::IcedError>) -> Result<()> {
        let inst = inst.map_err(|error| Error::Encoding(error.to_string()))?;
        let length = self
            .encoder
            .encode(&inst, self.position as u64)
            .map_err(|error| Error::Encoding(format!("{:?}: {error}", inst.code())))?;
        if let Some(emitted) = &mut self.emitted {
            emitted.push((self.position, inst));
        }
        if inst.memory_base() == Register::RIP {
            let at = self.position + self.encoder.get_constant_offsets().displacement_offset();
            self.rip_operand = Some((at, self.position + length));
        }
        self.position += length;
        self.stats.instructions += 1;
        Ok(())
    }

    /// Notes that the last rip-relative operand refers to a constant.
    fn refers_to(&mut self, constant: ConstantId, offset: usize) -> Result<()> {
        let (at, end) = self
            .rip_operand
            .take()
            .ok_or_else(|| Error::Encoding("a constant without a rip-relative operand".into()))?;
        self.constants.push(ConstantUse { at, end, constant, offset });
        Ok(())
    }

    fn align(&mut self, alignment: usize) -> Result<()> {
        const NOPS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x40, 0x00],
            &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
            &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
            &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        ];
        let mut missing = self.position.next_multiple_of(alignment) - self.position;
        while missing > 0 {
            let length = missing.min(NOPS.len());
            self.put(Instruction::with_declare_byte(NOPS[length - 1]))?;
            missing -= length;
        }
        Ok(())
    }

    /// Patches branches and constants, and appends the constants.
    fn finish(self, mut bytes: Vec<u8>, vcode: &VCode) -> Result<Code> {
        let code_bytes = bytes.len();
        let mut order: Vec<usize> = (0..vcode.pool.len()).collect();
        order.sort_by_key(|n| std::cmp::Reverse(vcode.pool[*n].len()));
        let mut offsets = vec![0; vcode.pool.len()];
        for n in order {
            let constant = &vcode.pool[n];
            let alignment = constant.len().next_power_of_two().min(Code::ALIGNMENT);
            bytes.resize(bytes.len().next_multiple_of(alignment), 0xcc);
            offsets[n] = bytes.len();
            bytes.extend_from_slice(constant);
        }
        if i32::try_from(bytes.len()).is_err() {
            return Err(Error::Encoding(format!("{} bytes of code", bytes.len())));
        }

        let mut patch = |at: usize, distance: i64| {
            bytes[at..at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
        };
        let mut targets = Vec::new();
        for &(end, block) in &self.branches {
            let label = self.labels[block.index()].ok_or_else(|| {
                Error::Encoding(format!("block {} was not emitted", block.index()))
            })?;
            patch(end - 4, label as i64 - end as i64);
            targets.push((end, label));
        }
        for constant in &self.constants {
            let target = offsets[constant.constant.0 as usize] + constant.offset;
            patch(constant.at, target as i64 - constant.end as i64);
            targets.push((constant.end, target));
        }
        for &(end, target) in &self.skips {
            bytes[end - 1] = (target - end) as u8;
            targets.push((end, target));
        }
        if let Some(emitted) = self.emitted {
            check::decode_again(&bytes[..code_bytes], emitted, &targets)?;
        }
        Ok(Code { bytes, code_bytes, stats: self.stats })
    }
}

/// For each block, the block that branches to it go to: itself, or the successor of an edge that got
/// no moves.
fn thread_edges(vcode: &VCode, allocation: &Output) -> Vec<usize> {
    let moves = |block: usize| {
        allocation.block_insts_and_edits(vcode, Block::new(block)).any(|item| match item {
            InstOrEdit::Edit(Edit::Move { from, to }) => from != to,
            // Constants for block arguments.
            InstOrEdit::Inst(inst) => vcode.insts[inst.index()].op != Op::Jump,
        })
    };
    let blocks = vcode.blocks.iter().enumerate();
    blocks
        .map(|(n, block)| match block.kind {
            BlockKind::Edge if !moves(n) => block.successors[0].index(),
            _ => n,
        })
        .collect()
}

/// For each header of a loop, the alignment. Loops are where control goes backwards.
fn loop_alignment(vcode: &VCode, target: &[usize]) -> Vec<Option<usize>> {
    let mut last_latch = vec![None; vcode.blocks.len()];
    for (n, block) in vcode.blocks.iter().enumerate() {
        for successor in &block.successors {
            let header = target[successor.index()];
            if header <= n {
                last_latch[header] = Some(n);
            }
        }
    }
    let alignment = |header: usize| {
        let latch = last_latch[header]?;
        let innermost = last_latch[header + 1..=latch].iter().all(Option::is_none);
        Some(if innermost { INNERMOST_ALIGNMENT } else { LOOP_ALIGNMENT })
    };
    (0..vcode.blocks.len()).map(alignment).collect()
}

/// The short conditional jump.
fn jump_if(condition: IntCC) -> X86 {
    match condition {
        IntCC::Equal => X86::Je_rel8_64,
        IntCC::NotEqual => X86::Jne_rel8_64,
        IntCC::SignedLessThan => X86::Jl_rel8_64,
        IntCC::SignedGreaterThanOrEqual => X86::Jge_rel8_64,
        IntCC::SignedGreaterThan => X86::Jg_rel8_64,
        IntCC::SignedLessThanOrEqual => X86::Jle_rel8_64,
        IntCC::UnsignedLessThan => X86::Jb_rel8_64,
        IntCC::UnsignedGreaterThanOrEqual => X86::Jae_rel8_64,
        IntCC::UnsignedGreaterThan => X86::Ja_rel8_64,
        IntCC::UnsignedLessThanOrEqual => X86::Jbe_rel8_64,
    }
}

/// The hardware number of an allocated register.
fn number(allocation: Allocation) -> Result<usize> {
    match allocation.as_reg() {
        Some(register) => Ok(register.hw_enc()),
        None => Err(Error::Encoding(format!("{allocation} where a register must be"))),
    }
}

/// An allocated integer register, 64 bits of it.
fn r64(allocation: Allocation) -> Result<Register> {
    Ok(Register::RAX + number(allocation)? as u32)
}

/// An allocated integer register, 32 bits of it.
fn r32(allocation: Allocation) -> Result<Register> {
    Ok(Register::EAX + number(allocation)? as u32)
}

/// A vector register at a width.
fn vector(width: Width, number: usize) -> Register {
    let first = match width {
        Width::Scalar | Width::Xmm => Register::XMM0,
        Width::Ymm => Register::YMM0,
        Width::Zmm => Register::ZMM0,
    };
    first + number as u32
}

/// `[base + displacement]`.
fn based(base: Register, displacement: i64) -> MemoryOperand {
    let size = u32::from(displacement != 0);
    MemoryOperand::new(base, Register::None, 1, displacement, size, false, Register::None)
}
