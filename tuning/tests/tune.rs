//! Real kernels of tiny workloads, tuned for a moment. Times are never asserted.

use std::time::{Duration, Instant};

use dsconv::Objective;
use dsconv_kernels::{Isa, Kernel, Target, Workload, testing::Tensors};
use dsconv_tuning::verify::{Guarded, Oracle};
use dsconv_tuning::{
    Observer, Outcome, Quiet, Status, StopReason, Trial, TuneOptions, Tuned, tune,
};

const WORKLOADS: [&str; 5] = [
    "f32 nchw 1x16x12x12 dw:3x3,p1,bias,relu6 pw:24,bias,relu",
    "f32 nhwc 2x12x9x7 dw:5x5,s2,p2,bias pw:20,bias,residual,hard_swish",
    "f32 nchw 1x8x1x50 dw:1x9,p4,bias pw:8",
    "f32 nchw 1x24x14x14 dw:3x3,p1,bias,silu",
    "f32 nhwc 1x32x7x7 pw:40,bias,prelu",
];

fn workload(line: &str) -> Workload {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// So many trials take a second; the time is for a machine that stalls, and ends the confirmation of many
/// that are alike.
fn options(trials: u64) -> TuneOptions {
    TuneOptions {
        budget: Duration::from_secs(10),
        max_trials: Some(trials),
        seed: 7,
        ..TuneOptions::default()
    }
}

/// Compiles the schedule of the record once more and compares it on data of another seed.
#[track_caller]
fn assert_record_verifies(tuned: &Tuned, target: &Target) {
    let record = &tuned.record;
    let checked = record.schedule.check(&record.workload, target).expect("a legal schedule");
    let kernel = Kernel::compile(&checked).expect("a schedule that compiled before");
    let tensors = Tensors::ordinary(&record.workload, 1_234);
    let weights = kernel.pack(&tensors.weights()).expect("weights of this workload");
    let mut workspace = kernel.workspace(1);
    let mut output = Guarded::output(&record.workload);
    let (input, residual) = (&tensors.input, tensors.residual());
    kernel
        .run(&weights, input, residual, output.as_mut_slice(), &mut workspace)
        .expect("tensors of this workload");
    let oracle = Oracle::new(&record.workload, &tensors, target.isa);
    assert_eq!(oracle.check(&output), Ok(()), "{} {:?}", record.workload, record.schedule);
}

#[track_caller]
fn assert_all_right(tuned: &Tuned) {
    for trial in &tuned.trials {
        assert!(
            matches!(trial.outcome, Outcome::Measured(_)),
            "{} {:?}: {}",
            tuned.record.workload,
            trial.schedule,
            trial.outcome
        );
    }
}

#[test]
fn every_trial_of_every_kind_of_block_is_right_and_the_record_verifies() {
    for line in WORKLOADS {
        for threads in [1, 2] {
            let options = TuneOptions { threads, ..options(25) };
            let target = Target::host();
            let tuned = tune(&workload(line), &target, &options, &mut Quiet).expect(line);
            assert_all_right(&tuned);
            assert_eq!(tuned.trials.len(), 25, "{line}: {}", tuned.space);
            assert_eq!((tuned.record.isa, tuned.record.threads), (target.isa, threads));
            // Pairs decide, so the medians may differ either way by what is within noise.
            assert!(tuned.default_us() >= 0.8 * tuned.record.measurement.median_us);
            assert_record_verifies(&tuned, &target);
        }
    }
}

#[test]
fn every_instruction_set_of_this_cpu_can_be_tuned_for() {
    for isa in Isa::usable() {
        let target = Target::of(isa);
        let tuned = tune(&workload(WORKLOADS[0]), &target, &options(8), &mut Quiet)
            .unwrap_or_else(|error| panic!("{isa}: {error}"));
        assert_all_right(&tuned);
        assert_eq!(tuned.record.isa, isa);
        assert_record_verifies(&tuned, &target);
    }
}

#[test]
fn cold_caches_are_an_objective_of_their_own() {
    let options = TuneOptions { objective: Objective::Cold, ..options(4) };
    let tuned = tune(&workload(WORKLOADS[0]), &Target::host(), &options, &mut Quiet).expect("cold");
    assert_eq!(tuned.record.objective, Objective::Cold);
    assert_all_right(&tuned);
}

#[test]
fn a_second_ends_after_about_a_second() {
    struct Count(u64);
    impl Observer for Count {
        fn trial(&mut self, _: &Trial, status: &Status) {
            self.0 += 1;
            assert_eq!(self.0, status.trials);
        }
    }
    let workload = workload("f32 nchw 1x64x28x28 dw:3x3,p1,bias,relu pw:64,bias,relu");
    let options = TuneOptions { budget: Duration::from_secs(1), ..TuneOptions::default() };
    let mut count = Count(0);
    let start = Instant::now();
    let tuned = tune(&workload, &Target::host(), &options, &mut count).expect("a record");
    // Ten times the budget: a machine may stall, an unbounded search would not end at all.
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(matches!(tuned.stopped, StopReason::Budget | StopReason::Exhausted));
    assert_eq!(count.0, tuned.trials.len() as u64);
    assert_record_verifies(&tuned, &Target::host());
}

#[test]
fn no_budget_gives_the_default_verified() {
    let options = TuneOptions { budget: Duration::ZERO, ..TuneOptions::default() };
    let workload = workload(WORKLOADS[1]);
    let tuned = tune(&workload, &Target::host(), &options, &mut Quiet).expect("a record");
    let default = dsconv_kernels::cost::default_schedule(&workload, &Target::host(), 1);
    assert_eq!(tuned.record.schedule, *default.schedule());
    assert_eq!(tuned.trials.len(), 1);
    assert_record_verifies(&tuned, &Target::host());
}
