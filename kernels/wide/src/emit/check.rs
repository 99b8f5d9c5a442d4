//! A check for tests: what a decoder sees is what was meant.

use crate::error::{Error, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};
use std::collections::HashMap;

/// Decodes code again and compares each instruction with the one that was to be encoded there.
///
/// `targets` maps the end of an instruction with a patched branch or rip-relative operand to where it
/// must lead.
pub(super) fn decode_again(
    code: &[u8],
    emitted: Vec<(usize, Instruction)>,
    targets: &[(usize, usize)],
) -> Result<()> {
    let targets: HashMap<usize, usize> = targets.iter().copied().collect();
    let mut position = 0;
    for (start, mut meant) in emitted {
        if start != position {
            return Err(Error::Check(format!("an instruction at {start:#x}, not {position:#x}")));
        }
        if meant.code() == iced_x86::Code::DeclareByte {
            position += meant.declare_data_len();
            continue;
        }
        let mut decoder = Decoder::with_ip(64, &code[start..], start as u64, DecoderOptions::NONE);
        let seen = decoder.decode();
        position = start + seen.len();
        if let Some(&target) = targets.get(&position) {
            if meant.op0_kind() == OpKind::NearBranch64 {
                meant.set_near_branch64(target as u64);
            } else {
                meant.set_memory_displacement64(target as u64);
            }
        }
        if comparable(seen) != comparable(meant) {
            return Err(Error::Check(format!(
                "{start:#x}: meant {:?} `{meant}`, decoded {:?} `{seen}`",
                meant.code(),
                seen.code(),
            )));
        }
    }
    if position != code.len() {
        return Err(Error::Check(format!("{:#x} bytes of code, not {position:#x}", code.len())));
    }
    Ok(())
}

/// Without what an encoder is free to choose: how many bytes a displacement takes.
fn comparable(mut inst: Instruction) -> Instruction {
    inst.set_memory_displ_size(0);
    if inst.memory_index() == Register::None {
        inst.set_memory_index_scale(1);
    }
    inst
}
