//! What bounds the innermost loops of machine code: their instructions, counted by what executes
//! them, and the cycles that these need at least.
//!
//! The rates are those of x86-64 cores with two ports for multiply-adds and two for loads (Intel
//! from Haswell, AMD from Zen 2 on; 512 bits as on Intel servers from Skylake-SP on, and in halves
//! through the ports of AMD's Zen 4). A step can take longer, when data come late, lines are crossed
//! or results are waited for; never shorter.

use std::collections::BTreeMap;
use std::fmt::Write;

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

/// Instructions that begin in a cycle.
const ISSUED: f64 = 6.0;

/// Instructions of a kind that begin in a cycle.
#[derive(Clone, Copy, Debug)]
struct Rates {
    multiply_adds: f64,
    /// On vectors, multiply-adds among them.
    on_vectors: f64,
    shuffles: f64,
    loads: f64,
    stores: f64,
}

/// Vectors of up to 256 bits.
const NARROW: Rates =
    Rates { multiply_adds: 2.0, on_vectors: 3.0, shuffles: 1.0, loads: 2.0, stores: 1.0 };
/// Vectors of 512 bits, which leave two ports for arithmetic.
const WIDEST: Rates = Rates { on_vectors: 2.0, ..NARROW };
/// Vectors of 512 bits in halves, through twice two ports for arithmetic.
const IN_HALVES: Rates =
    Rates { multiply_adds: 1.0, on_vectors: 2.0, shuffles: 1.0, loads: 1.0, stores: 0.5 };

/// Instructions of one step of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    multiply_adds: usize,
    /// On vectors: minima, additions, comparisons, what a mask adds to a load.
    arithmetic: usize,
    /// Between the lanes of vectors, which one port does.
    shuffles: usize,
    loads: usize,
    stores: usize,
    /// All instructions.
    issued: usize,
    /// Whether vectors of 512 bits are among them.
    is_widest: bool,
}

/// A loop without loops inside.
#[derive(Clone, Copy, Debug)]
struct Loop {
    start: u64,
    end: u64,
    counts: Counts,
}

/// A table of the innermost loops with multiply-adds; empty if there are none. `splits_vectors` is
/// whether 512 bits pass through the ports in halves.
pub(crate) fn table(instructions: &BTreeMap<u64, Instruction>, splits_vectors: bool) -> String {
    let loops: Vec<Loop> = innermost(instructions)
        .into_iter()
        .filter(|candidate| candidate.counts.multiply_adds > 0)
        .collect();
    let mut text = String::new();
    if loops.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "  first-last byte  multiply-adds  arithmetic  shuffles  loads  stores  all  cycles  of them multiply-adds  bound by"
    );
    for Loop { start, end, counts } in loops {
        let rates = counts.rates(splits_vectors);
        let (cycles, bound) = counts.bound(rates);
        let share = 100.0 * counts.multiply_adds as f64 / rates.multiply_adds / cycles;
        let bytes = format!("{start:x}-{end:x}");
        let Counts { multiply_adds, arithmetic, shuffles, loads, stores, issued, .. } = counts;
        let _ = writeln!(
            text,
            "  {bytes:15}  {multiply_adds:13}  {arithmetic:10}  {shuffles:8}  {loads:5}  {stores:6}  {issued:3}  {cycles:6.1}  {share:19.0} %  {bound}"
        );
    }
    text
}

/// Loops are backward branches; of those that share instructions, the shorter ones count.
fn innermost(instructions: &BTreeMap<u64, Instruction>) -> Vec<Loop> {
    let branches = instructions.values().filter(|instruction| {
        instruction.flow_control() == FlowControl::ConditionalBranch
            && instruction.near_branch_target() <= instruction.ip()
    });
    let bodies: Vec<[u64; 2]> =
        branches.map(|branch| [branch.near_branch_target(), branch.ip()]).collect();
    let holds_another = |[start, end]: [u64; 2]| {
        bodies.iter().any(|&other| other != [start, end] && other[0] >= start && other[1] <= end)
    };
    let mut infos = InstructionInfoFactory::new();
    bodies
        .iter()
        .copied()
        .filter(|&body| !holds_another(body))
        .map(|[start, end]| {
            let mut counts = Counts::default();
            for instruction in instructions.range(start..=end).map(|(_, instruction)| instruction) {
                counts.add(instruction, &mut infos);
            }
            Loop { start, end, counts }
        })
        .collect()
}

impl Counts {
    fn add(&mut self, instruction: &Instruction, infos: &mut InstructionInfoFactory) {
        self.issued += 1;
        let memory = infos.info(instruction).used_memory().first().map(|memory| memory.access());
        let reads = matches!(memory, Some(OpAccess::Read | OpAccess::CondRead));
        let writes = matches!(memory, Some(OpAccess::Write | OpAccess::CondWrite));
        self.loads += usize::from(reads);
        self.stores += usize::from(writes);
        let is_vector = (0..instruction.op_count()).any(|operand| {
            instruction.op_kind(operand) == OpKind::Register
                && instruction.op_register(operand).is_vector_register()
        });
        self.is_widest |= (0..instruction.op_count()).any(|operand| {
            instruction.op_kind(operand) == OpKind::Register
                && instruction.op_register(operand).is_zmm()
        });
        if !is_vector {
            return;
        }
        let name = format!("{:?}", instruction.mnemonic());
        let is_masked = instruction.op_mask() != Register::None;
        if name.starts_with("Vfmadd") || name.starts_with("Vfnmadd") {
            self.multiply_adds += 1;
        } else if writes || (reads && is_plain_load(instruction.mnemonic())) {
            self.arithmetic += usize::from(is_masked && reads);
        } else if is_eliminated(instruction) {
        } else if is_shuffle(&name) {
            self.shuffles += 1;
        } else {
            self.arithmetic += 1;
        }
    }

    fn rates(&self, splits_vectors: bool) -> Rates {
        match (self.is_widest, splits_vectors) {
            (false, _) => NARROW,
            (true, false) => WIDEST,
            (true, true) => IN_HALVES,
        }
    }

    /// The least cycles of a step, and what they are for.
    fn bound(&self, rates: Rates) -> (f64, &'static str) {
        let on_vectors = self.multiply_adds + self.arithmetic + self.shuffles;
        [
            (self.multiply_adds as f64 / rates.multiply_adds, "multiply-adds"),
            (on_vectors as f64 / rates.on_vectors, "vector ports"),
            (self.shuffles as f64 / rates.shuffles, "shuffles"),
            (self.loads as f64 / rates.loads, "loads"),
            (self.stores as f64 / rates.stores, "stores"),
            (self.issued as f64 / ISSUED, "number of instructions"),
        ]
        .into_iter()
        .fold((0.0, "nothing"), |most, bound| if bound.0 > most.0 { bound } else { most })
    }
}

/// Loads that no vector port sees: whole vectors, and elements that are broadcast.
fn is_plain_load(mnemonic: Mnemonic) -> bool {
    use Mnemonic::{
        Movaps, Movd, Movss, Movups, Vbroadcastf32x4, Vbroadcastss, Vmovaps, Vmovd, Vmovdqu,
        Vmovdqu32, Vmovss, Vmovups,
    };
    matches!(
        mnemonic,
        Movaps
            | Movd
            | Movss
            | Movups
            | Vbroadcastf32x4
            | Vbroadcastss
            | Vmovaps
            | Vmovd
            | Vmovdqu
            | Vmovdqu32
            | Vmovss
            | Vmovups
    )
}

/// Moves between registers and zeros, which the renaming of registers does.
fn is_eliminated(instruction: &Instruction) -> bool {
    use Mnemonic::{Movaps, Vmovaps, Vmovups, Vpxor, Vpxord, Vxorps, Xorps};
    match instruction.mnemonic() {
        Movaps | Vmovaps | Vmovups => instruction.op_mask() == Register::None,
        Vpxor | Vpxord | Vxorps => instruction.op1_register() == instruction.op2_register(),
        Xorps => instruction.op0_register() == instruction.op1_register(),
        _ => false,
    }
}

fn is_shuffle(name: &str) -> bool {
    ["Vperm", "Vshuf", "Valign", "Vunpck", "Vinsert", "Vextract", "Vbroadcast", "Shuf", "Unpck"]
        .iter()
        .any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    fn decoded(code: &[u8]) -> BTreeMap<u64, Instruction> {
        let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        decoder.into_iter().map(|instruction| (instruction.ip(), instruction)).collect()
    }

    /// `zmm0 += zmm1 * [rsi]` with more beside it, and a jump back.
    fn looped(beside: &[&[u8]]) -> Vec<u8> {
        let mut code = vec![0x62, 0xF2, 0x75, 0x48, 0xB8, 0x06]; // vfmadd231ps zmm0,zmm1,[rsi]
        code.extend(beside.concat());
        code.extend([0x48, 0xFF, 0xC9]); // dec rcx
        let back = -(code.len() as i8) - 2;
        code.extend([0x75, back as u8]); // jnz
        code.push(0xC3);
        code
    }

    #[test]
    fn instructions_are_counted_by_what_executes_them() {
        let code = looped(&[
            &[0x62, 0xF1, 0x6C, 0x48, 0x5F, 0xD0], // vmaxps zmm2,zmm2,zmm0
            &[0x62, 0xF3, 0x65, 0x48, 0x03, 0xD8, 0x01], // valignd zmm3,zmm3,zmm0,1
            &[0x62, 0xF1, 0x7C, 0x48, 0x11, 0x07], // vmovups [rdi],zmm0
            &[0x62, 0xF1, 0x7C, 0x48, 0x28, 0xE0], // vmovaps zmm4,zmm0
            &[0x62, 0xF1, 0x7C, 0xCA, 0x10, 0x2E], // vmovups zmm5{k2}{z},[rsi]
        ]);
        let loops = innermost(&decoded(&code));
        let expected = Counts {
            multiply_adds: 1,
            arithmetic: 2,
            shuffles: 1,
            loads: 2,
            stores: 1,
            issued: 8,
            is_widest: true,
        };
        assert_eq!(loops.iter().map(|found| found.counts).collect::<Vec<_>>(), [expected]);
        assert_eq!(expected.bound(expected.rates(false)), (2.0, "vector ports"));
        assert_eq!(expected.bound(expected.rates(true)), (2.0, "vector ports"));
        let loading = Counts { loads: 3, ..expected };
        assert_eq!(loading.bound(loading.rates(false)), (2.0, "vector ports"));
        assert_eq!(loading.bound(loading.rates(true)), (3.0, "loads"));
    }

    #[test]
    fn a_loop_of_multiply_adds_alone_is_bound_by_them() {
        let multiply_add: &[u8] = &[0x62, 0xF2, 0x75, 0x48, 0xB8, 0xD1]; // zmm2 += zmm1 * zmm1
        let text = table(&decoded(&looped(&[multiply_add; 7])), false);
        assert!(text.lines().nth(1).is_some_and(|line| line.contains("100 %")), "{text}");
    }

    #[test]
    fn only_loops_without_loops_inside_are_listed() {
        let mut code = looped(&[]);
        code.pop();
        code.extend([0x48, 0xFF, 0xCA]); // dec rdx
        let back = -(code.len() as i8) - 2;
        code.extend([0x75, back as u8, 0xC3]);
        let loops = innermost(&decoded(&code));
        assert_eq!(loops.len(), 1);
        assert_eq!(loops[0].start, 0);
    }

    #[test]
    fn code_without_loops_has_no_table() {
        assert_eq!(table(&decoded(&[0xC3]), false), "");
    }
}
