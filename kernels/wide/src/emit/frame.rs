//! The frame: saved registers, spill slots, entry and return.

use super::{Emitter, based};
use crate::error::{Error, Result};
use crate::regalloc::{SLOT_BYTES, gpr, int};
use crate::vcode::{VCode, Width};
use iced_x86::{Code as X86, Instruction, MemoryOperand, Register};
use regalloc2::{Edit, Output, PRegSet, SpillSlot};

/// A frame beyond this is refused: no kernel needs it, and a thread's stack is not endless.
const LIMIT_BYTES: usize = 256 << 10;

/// Memory is mapped by such pieces; on some systems a stack grows one at a time.
const PAGE_BYTES: usize = 4096;

/// What a function keeps on the stack.
pub(super) struct Frame {
    saved: Vec<Register>,
    spill_slots: usize,
    bytes: usize,
    alignment: usize,
}

/// A spill slot's memory.
pub(super) fn slot(slot: SpillSlot) -> MemoryOperand {
    based(Register::RSP, (slot.index() * SLOT_BYTES) as i64)
}

impl Frame {
    /// The frame that an allocation needs.
    pub(super) fn of(vcode: &VCode, allocation: &Output) -> Result<Self> {
        let mut used = PRegSet::empty();
        let moved = allocation.edits.iter().flat_map(|(_, Edit::Move { from, to })| [from, to]);
        for register in allocation.allocs.iter().chain(moved).filter_map(|a| a.as_reg()) {
            used.add(register);
        }
        let saved = gpr::CALLEE_SAVED.iter().filter(|n| used.contains(int(**n)));
        let alignment = vcode.spill_width().bytes();
        let bytes = (allocation.num_spillslots * SLOT_BYTES).next_multiple_of(alignment);
        if bytes > LIMIT_BYTES {
            return Err(Error::FrameTooLarge { needed: bytes, limit: LIMIT_BYTES });
        }
        Ok(Self {
            saved: saved.map(|n| Register::RAX + *n as u32).collect(),
            spill_slots: allocation.num_spillslots,
            bytes,
            alignment,
        })
    }

    /// Number of spill slots, in units of 8 bytes.
    pub(super) fn spill_slots(&self) -> usize {
        self.spill_slots
    }
}

impl Emitter<'_> {
    pub(super) fn prologue(&mut self, frame: &Frame) -> Result<()> {
        if frame.bytes > 0 {
            self.put(Instruction::with1(X86::Push_r64, Register::RBP))?;
            self.put(Instruction::with2(X86::Mov_r64_rm64, Register::RBP, Register::RSP))?;
        }
        for register in &frame.saved {
            self.put(Instruction::with1(X86::Push_r64, *register))?;
        }
        if frame.bytes > 0 {
            let mask = -(frame.alignment as i32);
            self.put(Instruction::with2(X86::And_rm64_imm8, Register::RSP, mask))?;
            let bytes = frame.bytes as i32;
            self.put(Instruction::with2(X86::Sub_rm64_imm32, Register::RSP, bytes))?;
            for below in (PAGE_BYTES..=frame.bytes).step_by(PAGE_BYTES) {
                let page = based(Register::RSP, (frame.bytes - below) as i64);
                self.put(Instruction::with2(X86::Test_rm32_r32, page, Register::EAX))?;
            }
        }
        Ok(())
    }

    pub(super) fn epilogue(&mut self, frame: &Frame, vcode: &VCode) -> Result<()> {
        if vcode.widest > Some(Width::Xmm) {
            // The caller may run SSE code, which is slow while upper halves are in use.
            self.put(Ok(Instruction::with(X86::VEX_Vzeroupper)))?;
        }
        if frame.bytes > 0 {
            let saved = based(Register::RBP, -((frame.saved.len() * SLOT_BYTES) as i64));
            self.put(Instruction::with2(X86::Lea_r64_m, Register::RSP, saved))?;
        }
        for register in frame.saved.iter().rev() {
            self.put(Instruction::with1(X86::Pop_r64, *register))?;
        }
        if frame.bytes > 0 {
            self.put(Instruction::with1(X86::Pop_r64, Register::RBP))?;
        }
        self.put(Ok(Instruction::with(X86::Retnq)))
    }
}
