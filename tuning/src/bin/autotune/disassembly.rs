//! Machine code as text, with a label at each branch target.
//!
//! ```text
//!        vxorps xmm0,xmm0,xmm0
//! L1:
//!        vfmadd231ps xmm0,xmm1,[rsi+rax*4]
//!        jb L1
//! ```
//!
//! Constants follow the code, and a linear sweep would print them as instructions. So decoding
//! follows the branches from the first byte; what no instruction leads to is printed as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, IntelFormatter, SymbolResolver,
    SymbolResult,
};

/// Bytes of data per line.
const DATA_BYTES: usize = 16;

/// x86-64 code as text.
pub(crate) fn x86_64(code: &[u8]) -> String {
    let instructions = reachable(code);
    let labels = labels(&instructions, code.len() as u64);
    let mut formatter = IntelFormatter::with_options(Some(Box::new(labels.clone())), None);
    let options = formatter.options_mut();
    options.set_rip_relative_addresses(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_signed_immediate_operands(true);
    options.set_space_after_operand_separator(true);

    let mut text = String::new();
    let mut at = 0;
    while at < code.len() {
        let address = at as u64;
        if let Some(name) = labels.0.get(&address) {
            let _ = writeln!(text, "{name}:");
        }
        if let Some(instruction) = instructions.get(&address) {
            let mut line = String::new();
            formatter.format(instruction, &mut line);
            let _ = writeln!(text, "{address:6x}  {line}");
            at += instruction.len();
        } else {
            let next =
                instructions.range(address..).next().map_or(code.len(), |(&at, _)| at as usize);
            let label =
                labels.0.range(address + 1..).next().map_or(code.len(), |(&at, _)| at as usize);
            let end = next.min(label).min(at + DATA_BYTES);
            let _ = writeln!(text, "{address:6x}  {}", data_line(&code[at..end]));
            at = end;
        }
    }
    text
}

/// Any code as bytes.
pub(crate) fn bytes(code: &[u8]) -> String {
    let mut text = String::new();
    for (index, line) in code.chunks(DATA_BYTES).enumerate() {
        let _ = writeln!(text, "{:6x}  {}", index * DATA_BYTES, data_line(line));
    }
    text
}

fn data_line(bytes: &[u8]) -> String {
    let listed: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(".byte {}", listed.join(" "))
}

/// All instructions that control can reach from the first byte, by address.
pub(crate) fn reachable(code: &[u8]) -> BTreeMap<u64, Instruction> {
    let mut instructions = BTreeMap::new();
    let mut starts = vec![0_u64];
    while let Some(start) = starts.pop() {
        let Some(rest) = usize::try_from(start).ok().and_then(|start| code.get(start..)) else {
            continue;
        };
        let mut decoder = Decoder::with_ip(64, rest, start, DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() || instructions.contains_key(&instruction.ip()) {
                break;
            }
            instructions.insert(instruction.ip(), instruction);
            starts.extend(near_target(&instruction));
            let falls_through = !matches!(
                instruction.flow_control(),
                FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
                    | FlowControl::Return
                    | FlowControl::Exception
            );
            if !falls_through {
                break;
            }
        }
    }
    instructions
}

fn near_target(instruction: &Instruction) -> Option<u64> {
    let branches = matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call
    );
    let target = instruction.near_branch_target();
    (branches && target != 0).then_some(target)
}

/// Names of addresses, numbered from the top.
#[derive(Clone)]
struct Labels(BTreeMap<u64, String>);

fn labels(instructions: &BTreeMap<u64, Instruction>, code_len: u64) -> Labels {
    let mut targets = BTreeSet::new();
    let mut constants = BTreeSet::new();
    for instruction in instructions.values() {
        targets.extend(near_target(instruction).filter(|target| *target < code_len));
        if instruction.is_ip_rel_memory_operand() {
            let address = instruction.ip_rel_memory_address();
            if address < code_len && !instructions.contains_key(&address) {
                constants.insert(address);
            }
        }
    }
    let numbered = |prefix: &'static str, addresses: BTreeSet<u64>| {
        addresses.into_iter().enumerate().map(move |(index, at)| (at, format!("{prefix}{index}")))
    };
    Labels(numbered("L", targets).chain(numbered("const", constants)).collect())
}

impl SymbolResolver for Labels {
    fn symbol(
        &mut self,
        _: &Instruction,
        _: u32,
        _: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        self.0.get(&address).map(|name| SymbolResult::with_str(address, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_targets_have_labels_and_constants_stay_data() {
        // xor eax,eax; loop: inc eax; cmp eax,edi; jb loop; movss xmm0,[rip]; ret; 1.0f
        let mut code = vec![0x31, 0xC0, 0xFF, 0xC0, 0x39, 0xF8, 0x72, 0xFA];
        code.extend([0xF3, 0x0F, 0x10, 0x05, 1, 0, 0, 0, 0xC3]);
        code.extend(1.0_f32.to_le_bytes());
        let text = x86_64(&code);
        assert!(text.contains("L0:\n     2  inc eax"), "{text}");
        assert!(text.contains("jb "), "{text}");
        assert!(text.contains("L0\n"), "{text}");
        assert!(text.contains("const0:\n    11  .byte 00 00 80 3f"), "{text}");
        assert!(text.contains("[rip") || text.contains("[const0]"), "{text}");
    }

    #[test]
    fn lines_of_any_bytes_start_at_zero_and_ascend() {
        for len in 1..200_usize {
            let code: Vec<u8> = (0..len).map(|at| (at * at * 37 + len * 11) as u8).collect();
            let text = x86_64(&code);
            let addresses: Vec<usize> = text
                .lines()
                .filter_map(|line| usize::from_str_radix(line.split_whitespace().next()?, 16).ok())
                .collect();
            assert_eq!(addresses[0], 0, "{text}");
            assert!(addresses.is_sorted_by(|a, b| a < b && *b < len), "{text}");
        }
    }

    #[test]
    fn bytes_are_printed_sixteen_to_a_line() {
        let text = bytes(&[0xAB; 17]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("    10  .byte ab\n"), "{text}");
    }
}
