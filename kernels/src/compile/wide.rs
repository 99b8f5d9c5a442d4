//! Kernels compiled for vectors of 256 and 512 bits on any x86-64 machine: what their innermost loops
//! consist of.

#[path = "../../wide/tests/support/listing.rs"]
mod listing;

use clif_wide::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::cranelift_isa;
use crate::codegen;
use crate::cost;
use crate::plan::Plan;
use crate::schedule::{CheckedSchedule, Schedule};
use crate::target::{Isa, Target};
use crate::testing::{self, Limits};
use crate::workload::Workload;

/// Register tiles that reach the FMA peak: broadcasts, vectors.
const TILES: [(Isa, [(u8, u8); 3]); 2] =
    [(Isa::Avx2, [(6, 2), (4, 3), (12, 1)]), (Isa::Avx512, [(8, 3), (12, 2), (24, 1)])];

/// Input channels per step of the reduction loop.
const UNROLL: usize = 2;

/// Blocks of both layouts, with small and large kernels and planes, strides and a residual.
const BLOCKS: [&str; 6] = [
    "f32 nchw 1x32x112x112 dw:3x3,p1,bias,relu6 pw:64,bias,relu6",
    "f32 nchw 1x96x112x112 dw:3x3,s2,p1,bias,relu6 pw:24,bias",
    "f32 nchw 1x240x28x28 dw:5x5,p2,bias,relu6 pw:40,bias,residual",
    "f32 nchw 1x512x14x14 dw:3x3,p1,bias,relu pw:512,bias,relu",
    "f32 nhwc 1x144x56x56 dw:3x3,p1,bias,relu6 pw:24,bias,residual",
    "f32 nhwc 1x1024x7x7 dw:3x3,p1,bias,relu pw:1024,bias,relu",
];

/// Random kernels for each instruction set.
const CASES: u64 = 300;

fn compile(schedule: &CheckedSchedule, context: &mut Context) -> Vec<clif_wide::Code> {
    let host = cranelift_isa(Target::host().isa).expect("Cranelift knows this machine");
    let isa = schedule.target().isa.wide().expect("an instruction set of the wide backend");
    let functions = codegen::lower(&Plan::new(schedule), host.frontend_config());
    let compile = |function| clif_wide::compile(function, isa, context).expect("it compiles");
    functions.iter().map(compile).collect()
}

#[test]
fn loops_of_pointwise_tiles_have_no_moves_and_no_spills() {
    let workload = "f32 nchw 1x256x14x14 pw:256,bias,relu6";
    let workload: Workload = workload.parse().expect("a workload");
    for (isa, tiles) in TILES {
        let target = Target::of(isa);
        for (broadcasts, vectors) in tiles {
            let schedule = format!(
                "pixels fused rows t14 pw:l{},b{broadcasts},v{vectors},u{UNROLL},overlap,panels,\
                 channels_outer",
                target.lanes
            );
            let parsed: Schedule = schedule.parse().expect("a schedule");
            let checked = parsed.check(&workload, &target).expect("a legal schedule");
            for code in compile(&checked, &mut Context::checked()) {
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

/// Whatever does not fit the registers is stored and loaded outside of the loops that do the work.
#[test]
fn innermost_loops_of_default_schedules_touch_no_frame() {
    let (mut loops, mut spilled) = (0, 0);
    for line in BLOCKS {
        let workload: Workload = line.parse().expect("a workload");
        for (isa, _) in TILES {
            let schedule = cost::default_schedule(&workload, &Target::of(isa), 1);
            for code in compile(&schedule, &mut Context::checked()) {
                let text =
                    format!("{workload} {}\n{}", schedule.schedule(), listing::disassembly(&code));
                spilled += usize::from(code.stats.spills > 0);
                for body in listing::innermost_loops(&code) {
                    loops += 1;
                    assert!(!body.iter().any(listing::touches_frame), "{text}");
                }
            }
        }
    }
    assert!(loops > 20, "{loops} loops");
    assert!(spilled > 5, "{spilled} functions had too few registers");
}

/// A search for registers would take longer than all else, which users wait for.
#[test]
fn random_kernels_get_their_registers_in_a_walk() {
    let mut spilled = 0;
    for (isa, _) in TILES {
        for seed in 0..CASES {
            let mut rng = StdRng::seed_from_u64(seed);
            let workload = testing::random_workload(&mut rng, &Limits::default());
            let schedule = testing::random_schedule(&mut rng, &workload, &Target::of(isa));
            for code in compile(&schedule, &mut Context::new()) {
                let text = || format!("{isa}, seed {seed}: {workload} | {}", schedule.schedule());
                assert!(!code.stats.searched, "{}", text());
                spilled += usize::from(code.stats.spills > 0);
            }
        }
    }
    assert!(spilled > CASES as usize / 10, "{spilled} functions had too few registers");
}
