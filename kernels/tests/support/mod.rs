//! Running one case: a workload under a schedule, compared with the reference.

use dsconv_kernels::testing::{self, Tensors};
use dsconv_kernels::{CheckedSchedule, Isa, Kernel, Target, reference};

/// One target for each instruction set of this machine.
pub(crate) fn targets() -> Vec<Target> {
    Isa::usable().into_iter().map(Target::of).collect()
}

/// Runs a schedule and compares with the reference: bit for bit, or within the error bounds where
/// the target has no FMA. On failure the message holds the seed and the text forms of the case.
pub(crate) fn check(checked: &CheckedSchedule, tensors: &Tensors, threads: usize, case: &str) {
    let workload = checked.workload();
    let (isa, schedule) = (checked.target().isa, checked.schedule());
    let line = format!("{case}: {workload} | {schedule} | {isa}, {threads} threads");
    let expected = testing::reference(workload, tensors);
    let kernel = Kernel::compile(checked).unwrap_or_else(|error| panic!("{error}\n{line}"));
    let (weights, input, residual) = (tensors.weights(), &tensors.input, tensors.residual());
    let packed = kernel.pack(&weights).expect("tensors fit their workload");
    let mut workspace = kernel.workspace(threads);
    // The second run finds the scratch as the first one left it.
    for _ in 0..2 {
        let mut output = vec![f32::NAN; workload.output_len()];
        if threads == 1 {
            kernel.run(&packed, input, residual, &mut output, &mut workspace)
        } else {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("a pool starts");
            kernel.run_parallel(&pool, &packed, input, residual, &mut output, &mut workspace)
        }
        .unwrap_or_else(|error| panic!("{error}\n{line}"));
        if isa.has_fma() {
            testing::assert_same(&expected, &output, &line);
            continue;
        }
        let bounds = reference::error_bounds(workload, &weights, input, residual);
        let bounds = bounds.expect("tensors fit their workload");
        for (index, bound) in bounds.into_iter().enumerate() {
            let (expected, actual) = (expected[index], output[index]);
            let apart = (f64::from(expected) - f64::from(actual)).abs() > f64::from(bound);
            assert!(!apart, "output {index}: {actual}, not {expected} within {bound}\n{line}");
        }
    }
}
