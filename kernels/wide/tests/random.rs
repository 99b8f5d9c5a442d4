//! Random functions against an interpreter, with all checks of the compiler on.
//!
//! A failure prints the instruction set, the lanes and the seed;
//! `CLIF_WIDE_SEED=… cargo test -p clif-wide --test random` runs that seed alone, and
//! `CLIF_WIDE_FUNCTIONS=…` more seeds than usual.
#![allow(unsafe_code, reason = "generated code is called")]

mod support;

use clif_wide::{Context, Isa};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::differential::{self, Outcome};

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

fn random_functions_equal_the_interpreter(isa: Isa) {
    let mut context = Context::checked();
    let [mut equal, mut spilled, mut undefined] = [0; 3];
    for lanes in support::lane_counts(isa) {
        for seed in seeds() {
            let name = format!("{isa}, {lanes} lanes, seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            match differential::compare(&mut rng, isa, lanes, &mut context, &name) {
                Outcome::Equal(stats) => {
                    equal += 1;
                    spilled += usize::from(stats.spills > 0);
                }
                Outcome::Undefined => undefined += 1,
                Outcome::Compiled => {}
            }
        }
    }
    eprintln!("{isa}: {equal} equal, {spilled} of them spill; {undefined} with a NaN");
    if seeds().count() > 1 {
        assert!(3 * spilled >= equal, "{spilled} of {equal} functions spilled");
        assert!(10 * undefined <= equal, "{undefined} functions computed a NaN, {equal} did not");
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

#[test]
fn a_short_run_of_the_fuzz_target_finds_nothing() {
    let mut rng = StdRng::seed_from_u64(0x77_6964);
    for _ in 0..100 {
        let mut data = vec![0; (rng.next_u32() % 2000) as usize];
        rng.fill_bytes(&mut data);
        differential::fuzz(&data);
    }
}
