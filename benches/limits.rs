//! How near kernels come to the FMA peak when nothing else limits them: second-level cache, one
//! core, each instruction set with vectors of its own that this machine has, by the schedule that a few seconds of tuning find.
//!
//! The peak is that of the instruction set's own vectors, measured in turns with the kernel; both
//! are the best of all turns. Prints a table; criterion has no place in it, for nothing is compared
//! from run to run.

use std::time::{Duration, Instant};

use dsconv::{Buffer, Isa, Kernel, Schedule, Target, Workload};
use dsconv_kernels::peak::multiply_adds_of;
use dsconv_kernels::testing::Tensors;
use dsconv_tuning::{Quiet, TuneOptions, tune};

/// What is measured, in both layouts: a whole pointwise nest, a depthwise plane, a fused block.
const WORKLOADS: [(&str, &str); 3] = [
    ("pointwise", "1x256x14x14 pw:256,bias,relu6"),
    ("depthwise", "1x64x48x48 dw:3x3,p1"),
    ("fused", "1x64x24x48 dw:3x3,p1,bias,relu6 pw:120,bias,relu6"),
];
const LAYOUTS: [&str; 2] = ["nchw", "nhwc"];

const BUDGET: Duration = Duration::from_secs(5);
const TURNS: usize = 400;
/// Time of a turn.
const TURN: Duration = Duration::from_micros(500);
/// Steps of the peak's loop in a turn.
const PEAK_STEPS: u64 = 20_000;

fn main() {
    println!(
        "{:8} {:14} {:>9} {:>9} {:>7} {:>11}  schedule",
        "isa", "kernel", "us", "GFLOP/s", "of peak", "compile us"
    );
    let wide = |isa: &Isa| Target::of(*isa).lanes >= 8;
    for isa in Isa::usable().into_iter().filter(wide) {
        for (name, workload) in WORKLOADS {
            for layout in LAYOUTS {
                let text = format!("f32 {layout} {workload}");
                let workload: Workload = text.parse().expect("the lines are workloads");
                measure(isa, &format!("{name} {layout}"), &workload);
            }
        }
    }
}

fn measure(isa: Isa, name: &str, workload: &Workload) {
    let target = Target::of(isa);
    let options = TuneOptions { budget: BUDGET, ..TuneOptions::default() };
    let tuned = tune(workload, &target, &options, &mut Quiet).expect("defaults compile");
    let schedule: Schedule = tuned.record.schedule;
    let checked = schedule.check(workload, &target).expect("tuned schedules are legal");

    let tensors = Tensors::ordinary(workload, 0);
    let kernel = Kernel::compile(&checked).expect("tuned schedules compile");
    let weights = kernel.pack(&tensors.weights()).expect("tensors fit");
    let mut workspace = kernel.workspace(1);
    let input = Buffer::from(tensors.input.as_slice());
    let mut output = Buffer::zeroed(workload.output_len());
    let mut run = || {
        kernel
            .run(&weights, &input, tensors.residual(), &mut output, &mut workspace)
            .expect("tensors fit");
    };
    run();
    let runs = (TURN.as_nanos() / timed_ns(&mut run).max(1)).clamp(1, 10_000);
    let (mut best_us, mut peak, mut compile_us) = (f64::INFINITY, 0.0_f64, f64::INFINITY);
    for _ in 0..TURNS {
        let ns = timed_ns(|| (0..runs).for_each(|_| run()));
        best_us = best_us.min(ns as f64 / runs as f64 / 1e3);
        let mut operations = 0;
        let ns = timed_ns(|| operations = multiply_adds_of(target.lanes.into(), PEAK_STEPS));
        peak = peak.max(operations as f64 / ns as f64);
        let ns = timed_ns(|| drop(Kernel::compile(&checked)));
        compile_us = compile_us.min(ns as f64 / 1e3);
    }
    let gflops = workload.flops() as f64 / best_us / 1e3;
    let share = 100.0 * gflops / peak;
    println!(
        "{:8} {name:14} {best_us:9.2} {gflops:9.1} {share:5.1} % {compile_us:11.0}  {schedule}",
        isa.to_string()
    );
}

fn timed_ns(work: impl FnOnce()) -> u128 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos()
}
