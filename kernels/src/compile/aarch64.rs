//! Kernels cross-compiled for 64-bit ARM on any machine: that they compile, and what the inner loop
//! becomes.

use std::path::PathBuf;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::finish;
use crate::codegen;
use crate::plan::Plan;
use crate::schedule::CheckedSchedule;
use crate::target::{Isa, Target};
use crate::testing::{self, Limits};

/// Random kernels that are compiled.
const CASES: u64 = 60;

/// The instructions of a schedule's functions, as Cranelift prints them before encoding.
fn cross_compile(checked: &CheckedSchedule) -> String {
    let triple = "aarch64-unknown-linux-gnu".parse().expect("a triple");
    let isa = finish(isa::lookup(triple).expect("Cranelift is built with its ARM backend"))
        .expect("the flags suit every backend");
    let functions = codegen::lower(&Plan::new(checked), isa.frontend_config());
    let listings = functions.into_iter().map(|function| {
        let mut context = Context::for_function(function);
        context.set_disasm(true);
        let code = context
            .compile(&*isa, &mut ControlPlane::default())
            .unwrap_or_else(|error| panic!("{error:?}"));
        code.vcode.clone().expect("a listing was asked for")
    });
    listings.collect()
}

#[test]
fn random_kernels_compile_for_aarch64() {
    for seed in 0..CASES {
        let mut rng = StdRng::seed_from_u64(seed);
        let workload = testing::random_workload(&mut rng, &Limits::default());
        let checked = testing::random_schedule(&mut rng, &workload, &Target::of(Isa::Neon));
        println!("seed {seed}: {workload} | {}", checked.schedule());
        assert!(!cross_compile(&checked).is_empty());
    }
}

/// After a wanted change, `DSCONV_BLESS=1` writes the golden file anew.
#[test]
fn broadcast_multiply_adds_become_fmla_by_element() {
    let workload = "f32 nchw 1x8x4x8 pw:8,bias,relu".parse().expect("a workload");
    let schedule: crate::Schedule =
        "pixels fused rows t4 pw:l4,b4,v2,u1,narrow,panels,channels_outer"
            .parse()
            .expect("a schedule");
    let checked = schedule.check(&workload, &Target::of(Isa::Neon)).expect("a legal schedule");
    let listing = cross_compile(&checked);
    let by_element =
        listing.lines().filter(|line| line.contains("fmla") && line.contains(".s[")).count();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pointwise.aarch64");
    if std::env::var_os("DSCONV_BLESS").is_some() {
        std::fs::write(&path, &listing).expect("golden files can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    assert_eq!(listing, golden, "DSCONV_BLESS=1 writes the new file");
    println!("{by_element} by element of {}", listing.matches("fmla").count());
    assert!(by_element > 0, "{listing}");
}
