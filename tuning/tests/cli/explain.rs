//! What would run, why, and its code.

use crate::sandbox::{Ended, Sandbox};

const SHAPE: &str = "--shape 1x8x10x10 --out-channels 16";

#[test]
fn an_untuned_workload_is_explained_by_its_default() {
    let sandbox = Sandbox::new();
    let text = sandbox.autotune(&format!("explain {SHAPE}")).stdout();
    for word in ["workload  f32 nchw 1x8x10x10", "schedule  ", "origin    ", "function ", "block0"]
    {
        assert!(text.contains(word), "{word:?} in {text}");
    }
    assert!(text.contains("\nmachine code of function 0, "), "{text}");
    if cfg!(target_arch = "x86_64") {
        assert!(text.contains("  ret"), "{text}");
        assert!(text.contains("\nL0:\n"), "loops have labels: {text}");
    }
}

#[test]
fn a_tuned_workload_is_explained_by_its_record() {
    let sandbox = Sandbox::new();
    let untuned = sandbox.autotune(&format!("explain {SHAPE} --no-clif --no-asm")).stdout();
    sandbox.autotune(&format!("{SHAPE} --trials 2 --budget 1s --cache c.toml --json")).json();
    let line = format!("explain {SHAPE} --no-clif --no-asm --cache c.toml");
    let tuned = sandbox.autotune(&line).stdout();
    let origin = |text: &str| {
        text.lines().find(|line| line.starts_with("origin")).map(str::to_owned).expect("an origin")
    };
    assert_ne!(origin(&tuned), origin(&untuned));
    let text = "f32 nchw 1x8x10x10 dw:3x3,p1,bias,relu pw:16,bias,relu";
    let line = format!("explain --workload '{text}' --no-clif --no-asm --cache c.toml");
    assert_eq!(origin(&sandbox.autotune(&line).stdout()), origin(&tuned));
}

#[test]
fn parts_can_be_left_out() {
    let sandbox = Sandbox::new();
    let clif = sandbox.autotune(&format!("explain {SHAPE} --clif-only")).stdout();
    assert!(clif.contains("function ") && !clif.contains("workload  "), "{clif}");
    let asm = sandbox.autotune(&format!("explain {SHAPE} --asm-only")).stdout();
    assert!(!asm.is_empty() && !asm.contains("function ") && !asm.contains("workload  "), "{asm}");
    let neither = sandbox.autotune(&format!("explain {SHAPE} --no-clif --no-asm")).stdout();
    assert!(!neither.contains("block0") && !neither.contains("machine code"), "{neither}");
}

#[test]
fn what_bounds_a_kernel_is_told_by_part_and_by_loop() {
    let sandbox = Sandbox::new();
    let line = format!("explain {SHAPE} --no-clif --no-asm --threads 2");
    let text = sandbox.autotune(&line).stdout();
    let estimate = text.lines().find(|line| line.starts_with("estimate  ")).expect("an estimate");
    // 2 x 100 pixels x 8 channels x (9 taps + 16 outputs) multiply-adds over lanes, ports, threads.
    let host = dsconv::cpu::host_target();
    let ports = if host.splits_vectors { 1.0 } else { 2.0 };
    let each_cycle = ports * f64::from(host.lanes);
    let least = format!("multiply-adds alone {:.0}", 20_000.0 / each_cycle / 2.0);
    assert!(estimate.contains(" on 2 threads: ") && estimate.ends_with(&least), "{text}");
    if cfg!(target_arch = "x86_64") {
        assert!(text.contains("\nloops     of function 0, innermost"), "{text}");
        assert!(text.contains("multiply-adds  arithmetic  shuffles"), "{text}");
    }
}

#[test]
fn a_cache_that_is_not_there_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox
        .autotune(&format!("explain {SHAPE} --cache none.toml"))
        .fails(1, &["error:", "none.toml"]);
}

#[test]
fn the_instruction_set_can_be_capped_by_a_name_that_is_one() {
    let sandbox = Sandbox::new();
    let explain = |isa: &str| {
        let mut command = sandbox.command(&format!("explain {SHAPE} --no-clif --no-asm"));
        Ended::of(command.env("DSCONV_MAX_ISA", isa))
    };
    assert!(explain("fma").stdout().contains("pw:l4,"));
    explain("mmx").fails(1, &["`mmx` is no instruction set", "avx512"]);
}
