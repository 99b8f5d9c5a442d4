//! Random legal workloads under random legal schedules, against the reference, exactly
//! (without FMA: within the error bounds), at every instruction set of this machine.

use dsconv_kernels::testing::{self, Limits, Tensors};
use dsconv_kernels::{CheckedSchedule, Isa, Kernel, Target, Workload, cost};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::{check, targets};

mod support;

/// Cases of one test; `DSCONV_SOAK` multiplies them.
const CASES: u64 = 250;

fn cases() -> u64 {
    let soak =
        std::env::var("DSCONV_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    CASES * soak
}

/// Draws workloads, and a schedule of each for every target, on so many threads.
fn check_drawn(
    seed: u64,
    threads: usize,
    tensors: fn(&Workload, u64) -> Tensors,
    workload: fn(&mut StdRng, &Limits) -> Workload,
    mut schedule: impl FnMut(&mut StdRng, &Workload, &Target) -> CheckedSchedule,
) {
    for seed in seed..seed + cases() {
        let mut rng = StdRng::seed_from_u64(seed);
        let workload = workload(&mut rng, &Limits::default());
        let tensors = tensors(&workload, seed);
        for target in targets() {
            let schedule = schedule(&mut rng, &workload, &target);
            check(&schedule, &tensors, threads, &format!("seed {seed}"));
        }
    }
}

fn check_random(seed: u64, threads: usize, tensors: fn(&Workload, u64) -> Tensors) {
    check_drawn(seed, threads, tensors, testing::random_workload, testing::random_schedule);
}

#[test]
fn random_schedules_match_the_reference_on_integers() {
    check_random(1 << 32, 1, Tensors::integers);
}

#[test]
fn random_schedules_match_the_reference_on_ordinary_numbers() {
    check_random(2 << 32, 1, Tensors::ordinary);
}

#[test]
fn masked_tails_match_the_reference() {
    let tensors = Tensors::ordinary;
    check_drawn(5 << 32, 1, tensors, testing::random_workload, |rng, workload, target| {
        testing::with_masked_tails(&testing::random_schedule(rng, workload, target))
    });
}

#[test]
fn parts_of_a_row_match_the_reference() {
    let mut parts = 0;
    for threads in 1..=3 {
        let seed = (5 + threads as u64) << 32;
        let tensors = Tensors::ordinary;
        check_drawn(seed, threads, tensors, testing::random_row, |rng, workload, target| {
            let schedule = testing::random_schedule_in_parts(rng, workload, target);
            parts += u64::from(schedule.schedule().tile_cols.is_some());
            schedule
        });
    }
    assert!(parts > 3 * cases() / 2, "only {parts} schedules had tiles of fewer columns");
}

#[test]
fn random_schedules_match_the_reference_on_two_and_three_threads() {
    check_random(3 << 32, 2, Tensors::ordinary);
    check_random(4 << 32, 3, Tensors::ordinary);
}

#[test]
fn default_schedules_match_the_reference() {
    for case in 0..cases() {
        let mut rng = StdRng::seed_from_u64(case);
        let workload = testing::random_workload(&mut rng, &Limits::default());
        let tensors = Tensors::ordinary(&workload, case);
        let threads = case as usize % 3 + 1;
        for target in targets() {
            let schedule = cost::default_schedule(&workload, &target, threads);
            check(&schedule, &tensors, threads, &format!("default, seed {case}"));
        }
    }
}

#[test]
fn kernels_too_large_to_unroll_match_the_reference() {
    let lines = [
        "f32 nchw 2x3x1x900 dw:1x300,p0/149/0/150,bias,relu pw:5,bias",
        "f32 nhwc 2x3x1x900 dw:1x300,p0/149/0/150,bias,relu pw:5,bias",
        "f32 nchw 1x2x60x61 dw:17x19,s2x3,d2x1,p3,bias,silu",
        "f32 nchw 1x5x40x61 dw:33x31,s1x2,p15,m2,bias pw:7,residual",
        "f32 nhwc 1x5x40x61 dw:33x31,s1x2,p15,m2,bias pw:7,residual",
    ];
    for (line, seed) in lines.into_iter().flat_map(|line| (0..6).map(move |seed| (line, seed))) {
        let workload: Workload = line.parse().expect("the lines are workloads");
        let mut rng = StdRng::seed_from_u64(seed);
        let tensors = Tensors::ordinary(&workload, seed);
        for target in targets() {
            let schedule = testing::random_schedule(&mut rng, &workload, &target);
            check(&schedule, &tensors, 1, &format!("seed {seed}"));
        }
    }
}

#[test]
fn an_instruction_set_that_the_machine_lacks_is_an_error() {
    let foreign = if cfg!(target_arch = "x86_64") { Isa::Neon } else { Isa::Avx2 };
    let workload: Workload = "f32 nchw 1x4x8x8 pw:4".parse().expect("a workload");
    let schedule = cost::default_schedule(&workload, &Target::of(foreign), 1);
    let error = Kernel::compile(&schedule).expect_err("the machine lacks it").to_string();
    assert!(error.contains(&foreign.to_string()), "{error}");
}
