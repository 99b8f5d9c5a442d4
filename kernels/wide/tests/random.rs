//! Random functions against an interpreter, with all checks of the compiler on.
//!
//! A failure prints the instruction set, the lanes and the seed;
//! `CLIF_WIDE_SEED=… cargo test -p clif-wide --test random` runs that seed alone, and
//! `CLIF_WIDE_FUNCTIONS=…` more seeds than usual.
#![allow(unsafe_code, reason = "generated code is called")]

mod support;

use clif_wide::{Context, Isa};
use cranelift_codegen::settings;
use support::interpreter::{self, Memory};
use support::jit::{Executable, Floats};
use support::listing;
use support::random::{INPUT, OUTPUT, random_function};

fn seeds() -> std::ops::Range<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
    };
    match number("CLIF_WIDE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLIF_WIDE_FUNCTIONS").unwrap_or(150),
    }
}

/// What a run left: memory as bits, and the result.
fn expected(
    func: &cranelift_codegen::ir::Function,
    floats: &Floats,
    base: u64,
    args: &[u64],
) -> Option<(Vec<u32>, u64)> {
    let bytes = floats.to_vec().iter().flat_map(|float| float.to_le_bytes()).collect();
    let mut memory = Memory { base, bytes };
    let outcome = interpreter::run(func, args, &mut memory);
    let words = memory.bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes")));
    (!outcome.nan).then(|| (words.collect(), outcome.result.expect("a result")))
}

fn random_functions_equal_the_interpreter(isa: Isa) {
    let mut context = Context::checked();
    let flags = settings::Flags::new(settings::builder());
    let [mut ran, mut spilled, mut undefined] = [0; 3];
    for lanes in support::lane_counts(isa) {
        for seed in seeds() {
            let func = random_function(seed, isa, lanes);
            let name = format!("{isa}, {lanes} lanes, seed {seed}");
            cranelift_codegen::verify_function(&func, &flags)
                .unwrap_or_else(|errors| panic!("{name}: {errors}\n{func}"));
            let code = clif_wide::compile(&func, isa, &mut context)
                .unwrap_or_else(|error| panic!("{name}: {error}\n{func}"));
            spilled += usize::from(code.stats.spills > 0);
            if !isa.is_usable() {
                continue;
            }
            let mut floats = Floats::noise(INPUT + OUTPUT, seed as u32);
            let base = floats.address();
            let args = [base, base + 4 * INPUT as u64, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 3];
            let Some((memory, result)) = expected(&func, &floats, base, &args) else {
                undefined += 1;
                continue;
            };
            // SAFETY: the function accesses what the interpreter did, which checks that it is within
            // the floats; the host has the instruction set.
            let got = unsafe { Executable::new(&func, &code).call(args) };
            let left: Vec<u32> = floats.to_vec().iter().map(|float| float.to_bits()).collect();
            let differs = (0..left.len()).find(|n| left[*n] != memory[*n]);
            assert!(
                got == result && differs.is_none(),
                "{name}: result {got:#x}, expected {result:#x}; first different float {differs:?}\n\
                 {func}\n{}",
                listing::disassembly(&code)
            );
            ran += 1;
        }
    }
    eprintln!("{isa}: {ran} equal, {spilled} with spills, {undefined} with a NaN");
    if seeds().count() > 1 {
        assert!(3 * spilled > ran, "{spilled} of {ran} functions spilled");
        assert!(20 * undefined <= ran, "{undefined} functions computed a NaN, {ran} did not");
    }
}

#[test]
fn random_functions_on_avx2_equal_the_interpreter() {
    random_functions_equal_the_interpreter(Isa::Avx2);
}

#[test]
fn random_functions_on_avx512_equal_the_interpreter() {
    random_functions_equal_the_interpreter(Isa::Avx512);
}
