//! Running one case: a workload under a schedule, compared with the reference, exactly.

use dsconv_kernels::testing::{self, Tensors};
use dsconv_kernels::{Kernel, Schedule, Target, Workload};

/// Runs a schedule and compares with the reference. On failure the message holds the seed and the
/// text forms of the case.
pub fn check(
    workload: &Workload,
    schedule: &Schedule,
    tensors: &Tensors,
    threads: usize,
    case: &str,
) {
    let line = format!("{case}: {workload} | {schedule} | {threads} threads");
    let expected = testing::reference(workload, tensors);
    let checked =
        schedule.check(workload, &Target::host()).unwrap_or_else(|error| panic!("{error}\n{line}"));
    let kernel = Kernel::compile(&checked).unwrap_or_else(|error| panic!("{error}\n{line}"));
    let packed = kernel.pack(&tensors.weights()).expect("tensors fit their workload");
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
