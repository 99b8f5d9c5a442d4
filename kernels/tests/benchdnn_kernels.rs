//! oneDNN's convolution problems: generated kernels against the reference, in both layouts, at every
//! instruction set of this machine.

use dsconv_kernels::testing::{self, Tensors};
use dsconv_kernels::{CheckedSchedule, Layout, Target, Workload, WorkloadBuilder, cost};
use rand::SeedableRng;
use rand::rngs::StdRng;

mod benchdnn;
mod support;

/// A random schedule of every other case, the default of the others: for one thread and for two.
fn schedule(workload: &Workload, target: &Target, seed: u64) -> CheckedSchedule {
    let mut rng = StdRng::seed_from_u64(seed);
    if seed.is_multiple_of(2) {
        testing::random_schedule(&mut rng, workload, target)
    } else {
        cost::default_schedule(workload, target, seed as usize / 4 % 2 + 1)
    }
}

fn check_all(layout: Layout) {
    for (seed, (line, case)) in (0..).zip(benchdnn::cases()) {
        let parts = WorkloadBuilder::from(case).layout(layout);
        let workload = parts.build().expect("a layout makes no workload invalid");
        // Whole numbers and ordinary ones take turns, out of step with the schedules.
        let tensors = if seed / 2 % 2 == 0 {
            Tensors::integers(&workload, seed)
        } else {
            Tensors::ordinary(&workload, seed)
        };
        let case = format!("{line}, seed {seed}");
        // Elsewhere error bounds are computed, which would take minutes for all of these.
        for target in support::targets().into_iter().filter(|target| target.isa.has_fma()) {
            support::check(&schedule(&workload, &target, seed), &tensors, 1, &case);
        }
    }
}

#[test]
fn every_problem_is_exact_in_nchw() {
    check_all(Layout::Nchw);
}

#[test]
fn every_problem_is_exact_in_nhwc() {
    check_all(Layout::Nhwc);
}
