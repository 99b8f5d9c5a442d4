//! Random legal workloads under random legal schedules, against the reference, exactly.

use dsconv_kernels::testing::{self, Limits, Tensors};
use dsconv_kernels::{Kernel, Schedule, Target, Workload, cost, reference};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Cases of one test; `DSCONV_SOAK` multiplies them.
const CASES: u64 = 400;

fn cases() -> u64 {
    let soak =
        std::env::var("DSCONV_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    CASES * soak
}

/// Runs a schedule and compares with the reference. On failure the message holds the seed and the
/// text forms of the case.
fn check(workload: &Workload, schedule: &Schedule, tensors: &Tensors, threads: usize, case: &str) {
    let line = format!("{case}: {workload} | {schedule} | {threads} threads");
    let mut expected = vec![f32::NAN; workload.output_len()];
    let weights = tensors.weights();
    reference::run(workload, &weights, &tensors.input, tensors.residual(), &mut expected)
        .expect("tensors fit their workload");
    let checked = schedule
        .check(workload, &Target::host())
        .unwrap_or_else(|error| panic!("{error}\n{line}"));
    let kernel = Kernel::compile(&checked).unwrap_or_else(|error| panic!("{error}\n{line}"));
    let packed = kernel.pack(&weights).expect("tensors fit their workload");
    let mut workspace = kernel.workspace(threads);
    // The second run finds the scratch as the first one left it.
    for _ in 0..2 {
        let mut output = vec![f32::NAN; workload.output_len()];
        let (input, residual) = (&tensors.input, tensors.residual());
        if threads == 1 {
            kernel.run(&packed, input, residual, &mut output, &mut workspace)
        } else {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("a pool starts");
            kernel.run_parallel(&pool, &packed, input, residual, &mut output, &mut workspace)
        }
        .unwrap_or_else(|error| panic!("{error}\n{line}"));
        testing::assert_same(&expected, &output, &line);
    }
}

fn check_random(seed: u64, threads: usize, tensors: fn(&Workload, u64) -> Tensors) {
    for case in 0..cases() {
        let mut rng = StdRng::seed_from_u64(seed + case);
        let workload = testing::random_workload(&mut rng, &Limits::default());
        let schedule = testing::random_schedule(&mut rng, &workload, &Target::host());
        let case_line = format!("seed {}", seed + case);
        check(&workload, schedule.schedule(), &tensors(&workload, case), threads, &case_line);
    }
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
fn random_schedules_match_the_reference_on_two_and_three_threads() {
    check_random(3 << 32, 2, Tensors::ordinary);
    check_random(4 << 32, 3, Tensors::ordinary);
}

#[test]
fn default_schedules_match_the_reference() {
    for case in 0..cases() {
        let mut rng = StdRng::seed_from_u64(case);
        let workload = testing::random_workload(&mut rng, &Limits::default());
        let schedule = cost::default_schedule(&workload, &Target::host());
        let tensors = Tensors::ordinary(&workload, case);
        check(&workload, schedule.schedule(), &tensors, 1, &format!("default, seed {case}"));
    }
}
