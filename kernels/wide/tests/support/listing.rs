//! Machine code looked at: disassembly, and what a loop consists of.

use clif_wide::Code;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind, Register};

/// The instructions of code.
pub(crate) fn instructions(code: &Code) -> Vec<Instruction> {
    Decoder::with_ip(64, &code.bytes[..code.code_bytes], 0, DecoderOptions::NONE)
        .into_iter()
        .collect()
}

/// Disassembly, one instruction a line.
pub(crate) fn disassembly(code: &Code) -> String {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_space_after_operand_separator(true);
    let mut text = String::new();
    for inst in instructions(code) {
        let mut line = String::new();
        formatter.format(&inst, &mut line);
        text += &format!("{:4x}  {line}\n", inst.ip());
    }
    text
}

/// The instructions of the innermost loops: from the target of a backward branch to the branch, with
/// no other such loop inside.
pub(crate) fn innermost_loops(code: &Code) -> Vec<Vec<Instruction>> {
    let all = instructions(code);
    let backward = all.iter().filter(|inst| {
        inst.op0_kind() == OpKind::NearBranch64 && inst.near_branch_target() <= inst.ip()
    });
    let ranges: Vec<(u64, u64)> =
        backward.map(|inst| (inst.near_branch_target(), inst.ip())).collect();
    let inside = |a: &(u64, u64), b: &(u64, u64)| a != b && a.0 >= b.0 && a.1 <= b.1;
    ranges
        .iter()
        .filter(|range| !ranges.iter().any(|other| inside(other, range)))
        .map(|range| {
            let body = all.iter().filter(|inst| inst.ip() >= range.0 && inst.ip() <= range.1);
            body.copied().collect()
        })
        .collect()
}

/// Whether an instruction reads or writes the frame.
pub(crate) fn touches_frame(inst: &Instruction) -> bool {
    let memory = (0..inst.op_count()).any(|n| inst.op_kind(n) == OpKind::Memory);
    memory && matches!(inst.memory_base(), Register::RSP | Register::RBP)
}

/// Whether an instruction only copies a register.
pub(crate) fn is_move(inst: &Instruction) -> bool {
    let registers = (0..inst.op_count()).all(|n| inst.op_kind(n) == OpKind::Register);
    let name = format!("{:?}", inst.mnemonic());
    registers && (name == "Mov" || name.starts_with("Vmova") || name.starts_with("Vmovu"))
}

/// How many multiply-adds there are.
pub(crate) fn multiply_adds(insts: &[Instruction]) -> usize {
    insts.iter().filter(|inst| format!("{:?}", inst.mnemonic()).starts_with("Vfmadd231")).count()
}
