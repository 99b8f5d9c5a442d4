//! Kernels compiled for vectors of 256 and 512 bits on any x86-64 machine: what their innermost loops
//! consist of.

#[path = "../../wide/tests/support/listing.rs"]
mod listing;

use super::cranelift_isa;
use crate::codegen;
use crate::plan::Plan;
use crate::schedule::Schedule;
use crate::target::{Isa, Target};
use crate::workload::Workload;

/// Register tiles that reach the FMA peak: broadcasts, vectors.
const TILES: [(Isa, [(u8, u8); 3]); 2] =
    [(Isa::Avx2, [(6, 2), (4, 3), (12, 1)]), (Isa::Avx512, [(8, 3), (12, 2), (24, 1)])];

/// Input channels per step of the reduction loop.
const UNROLL: usize = 2;

fn compile(workload: &str, schedule: &str, target: &Target) -> Vec<clif_wide::Code> {
    let workload: Workload = workload.parse().expect("a workload");
    let schedule: Schedule = schedule.parse().expect("a schedule");
    let checked = schedule.check(&workload, target).expect("a legal schedule");
    let host = cranelift_isa(Target::host().isa).expect("Cranelift knows this machine");
    let isa = target.isa.wide().expect("an instruction set of the wide backend");
    let functions = codegen::lower(&Plan::new(&checked), host.frontend_config());
    let mut context = clif_wide::Context::checked();
    let compile = |function| clif_wide::compile(function, isa, &mut context).expect("it compiles");
    functions.iter().map(compile).collect()
}

#[test]
fn loops_of_pointwise_tiles_have_no_moves_and_no_spills() {
    for (isa, tiles) in TILES {
        let target = Target::of(isa);
        for (broadcasts, vectors) in tiles {
            let schedule = format!(
                "pixels fused rows t14 pw:l{},b{broadcasts},v{vectors},u{UNROLL},overlap,panels,\
                 channels_outer",
                target.lanes
            );
            let kernel = compile("f32 nchw 1x256x14x14 pw:256,bias,relu6", &schedule, &target);
            for code in kernel {
                let text = format!("{isa} {schedule}\n{}", listing::disassembly(&code));
                let loops = listing::innermost_loops(&code);
                let fmas: Vec<usize> = loops.iter().map(|l| listing::multiply_adds(l)).collect();
                let whole = usize::from(broadcasts) * usize::from(vectors) * UNROLL;
                assert!(fmas.contains(&whole), "{fmas:?} multiply-adds\n{text}");
                for (body, _) in loops.iter().zip(fmas).filter(|(_, fmas)| *fmas > 0) {
                    let moves = body.iter().filter(|inst| listing::is_move(inst)).count();
                    let spilled = body.iter().filter(|inst| listing::touches_frame(inst)).count();
                    assert_eq!((moves, spilled), (0, 0), "{text}");
                }
                // The zero of the activation is made in a register.
                let mut constants = code.bytes[code.code_bytes..].chunks(4);
                assert!(!constants.any(|bits| bits == [0; 4]), "{text}");
            }
        }
    }
}
