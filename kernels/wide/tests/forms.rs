//! Every form of every instruction that the emitter can produce runs in a function whose results are
//! compared with the interpreter's; without its instruction set it is encoded and decoded again.
//!
//! Which instructions there are is read from the emitter's source, and which operands they can have
//! from the names of their encodings, so a new one fails here until a function makes use of it.
#![allow(unsafe_code, reason = "generated code is called")]

mod support;

use clif_wide::{Context, Isa};
use iced_x86::{Instruction, OpKind, Register};
use std::collections::BTreeSet;
use support::jit::Floats;
use support::{differential, directed, listing};

/// Where the operand is that can be a register or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Register,
    Memory,
    Broadcast,
}

/// An encoding, the place of its flexible operand, and whether a mask register takes part.
type Form = (String, Place, bool);

fn form(inst: &Instruction) -> Form {
    let memory = (0..inst.op_count()).any(|n| inst.op_kind(n) == OpKind::Memory);
    let place = match memory {
        true if inst.is_broadcast() => Place::Broadcast,
        true => Place::Memory,
        false => Place::Register,
    };
    (format!("{:?}", inst.code()), place, inst.op_mask() != Register::None)
}

/// The encodings that the emitter's source names, and the long ones of its branches.
fn encodings() -> BTreeSet<String> {
    let sources = [
        ("Code::", include_str!("../src/emit/codes.rs")),
        ("X86::", include_str!("../src/emit/inst.rs")),
        ("X86::", include_str!("../src/emit/frame.rs")),
        ("X86::", include_str!("../src/emit.rs")),
    ];
    let mut names = BTreeSet::new();
    for (prefix, source) in sources {
        for rest in source.split(prefix).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            names.insert(name.replace("rel8", "rel32"));
            names.insert(name.to_owned());
        }
    }
    names
}

/// Instructions whose last input selection leaves in a register though it could be in memory.
const REGISTERS_ONLY: [&str; 13] = [
    "Vmovaps",
    "Vmovd",
    "Vpxor",
    "Vsqrtss",
    "Vinsertps",
    "Vblend",
    "Vandn",
    "Vpternlogd",
    "Vpsll",
    "Vpsr",
    "Vpermilps_xmm_xmmm128_imm8",
    "Vpermilps_xmm_k1z_xmmm128b32_imm8",
    // Behind `vshufps`, in a register.
    "Vpermpd_zmm_k1z_zmm_zmmm512b64",
];

/// The forms of an encoding that can occur.
fn expected(name: &str) -> Vec<Form> {
    let any = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let operand = |starts: &[&str]| {
        let mut operands = name.split('_').skip(1);
        operands.any(|operand| starts.iter().any(|start| operand.starts_with(start)))
    };
    let vector = any(&["VEX_V"]);
    let places: &[Place] = if any(&["Vmovups", "Vmovss", "Vmovntps", "Vinsertf"]) || operand(&["m"])
    {
        &[Place::Memory]
    } else if any(&["Vextractf"]) {
        &[Place::Register, Place::Memory]
    } else if vector && any(&REGISTERS_ONLY) {
        &[Place::Register]
    } else if vector && operand(&["xmmm", "ymmm", "zmmm"]) {
        let lanes32 = any(&["128b32", "256b32", "512b32"]);
        // The other input of a comparison is used by the minimum as well, so it is not folded; of
        // constants a 512-bit operation takes one lane.
        let twice = any(&["Vmin", "Vmax"]) && !any(&["512"]);
        match lanes32 && !twice {
            true => &[Place::Register, Place::Memory, Place::Broadcast],
            false => &[Place::Register, Place::Memory],
        }
    } else if name.starts_with("Mov_rm") && !any(&["imm"]) {
        &[Place::Memory]
    } else if operand(&["rm"])
        && (name.starts_with("Mov") && !any(&["imm"]) || name == "Test_rm32_r32")
    {
        // Of the tests that of memory probes the stack.
        &[Place::Register, Place::Memory]
    } else {
        &[Place::Register]
    };
    let masks = |place: Place| -> &[bool] {
        match place {
            Place::Register if any(&["Vblendmps"]) => &[true],
            Place::Register if any(&["Vbroadcastss_ymm_k1z", "Vbroadcastss_zmm_k1z"]) => {
                &[false, true]
            }
            Place::Memory if any(&["EVEX_Vmovups"]) => &[false, true],
            _ => &[false],
        }
    };
    let forms =
        places.iter().flat_map(|place| masks(*place).iter().map(move |mask| (*place, *mask)));
    forms.map(|(place, mask)| (name.to_owned(), place, mask)).collect()
}

#[test]
fn every_form_of_every_instruction_does_what_it_should() {
    let mut context = Context::checked();
    let mut seen = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for isa in Isa::ALL {
        for lanes in [1].into_iter().chain(support::lane_counts(isa)) {
            for (n, (name, func)) in (0..).zip(directed::functions(lanes)) {
                let name = format!("{name}, {lanes} lanes");
                let floats = Floats::new(directed::FLOATS, |n| 0.5 + (n * 37 % 101) as f32 / 64.0);
                let code = differential::check(isa, &func, &name, floats, n % 4, &mut context);
                for inst in listing::instructions(&code) {
                    seen.insert(form(&inst));
                    let indexed = inst.memory_index() != Register::None;
                    let scale = if indexed { inst.memory_index_scale() } else { 0 };
                    let relative = inst.memory_base() == Register::RIP;
                    let displacement = inst.memory_displ_size().min(4);
                    if inst.memory_base() != Register::None && !relative {
                        addresses.insert((isa.to_string(), scale, displacement));
                    }
                }
            }
        }
    }
    seen.retain(|(name, ..)| !name.starts_with("Nop"));
    let expected: BTreeSet<Form> = encodings().iter().flat_map(|name| expected(name)).collect();
    let missing: Vec<_> = expected.difference(&seen).collect();
    let unknown: Vec<_> = seen.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:#?}, unknown {unknown:#?}");
    eprintln!("{} forms of {} encodings", seen.len(), encodings().len());

    for isa in Isa::ALL {
        for scale in [0, 1, 2, 4, 8] {
            for displacement in [0, 1, 4] {
                let shape = (isa.to_string(), scale, displacement);
                assert!(addresses.contains(&shape), "no address {shape:?} in {addresses:?}");
            }
        }
    }
}
