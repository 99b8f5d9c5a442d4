//! `autotune explain`: what would run for a workload, why, and the code itself.

use std::fmt::Write;

use dsconv::{CheckedSchedule, Kernel, Target, cost};

use crate::args::ExplainArgs;
use crate::disassembly;
use crate::failure::Failure;
use crate::output;
use crate::ports;
use crate::run;

/// Looks up, compiles, prints.
pub(crate) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let request = args.workload.request()?;
    let dispatcher = run::dispatcher(&args.machine, false)?;
    let (schedule, origin) = dispatcher.lookup(&request.workload).map_err(Failure::because)?;

    let kernel = Kernel::compile(&schedule).map_err(Failure::because)?;
    let mut text = String::new();
    if !args.clif_only && !args.asm_only {
        request.note_defaults();
        let _ = writeln!(text, "workload  {}", request.workload);
        let _ = writeln!(text, "schedule  {}", schedule.schedule());
        let _ = writeln!(text, "origin    {origin}");
        let _ = writeln!(text, "estimate  {}", estimate(&schedule, args.machine.threads()));
        text.push_str(&loops(&kernel, schedule.target()));
    }
    let mut section = |title: &str, body: &str| {
        if !text.is_empty() {
            let _ = writeln!(text, "\n{title}");
        }
        text.push_str(body);
    };
    if !args.asm_only && !args.no_clif {
        section("CLIF", &ended(Kernel::clif(&schedule).map_err(Failure::because)?));
    }
    if !args.clif_only && !args.no_asm {
        for (index, code) in kernel.functions().enumerate() {
            let title = format!("machine code of function {index}, {} bytes", code.len());
            section(&title, &disassemble(code));
        }
    }
    output::print(&text)
}

/// Where the cost model sees the time of a run.
fn estimate(schedule: &CheckedSchedule, threads: usize) -> String {
    let found = cost::estimate(schedule, threads);
    let cycles = found.cycles();
    let share = |part: f64| 100.0 * part / cycles;
    let (workload, target) = (schedule.workload(), schedule.target());
    let each_cycle = 2.0 * target.multiply_adds_per_cycle() * threads as f64;
    let multiply_adds = workload.flops() as f64 / each_cycle;
    format!(
        "{cycles:.0} cycles on {threads} thread{}: depthwise {:.0} %, pointwise {:.0} %, copies {:.0} %, \
         transposing {:.0} %, memory {:.0} %, other threads {:.0} %; multiply-adds alone {multiply_adds:.0}",
        if threads == 1 { "" } else { "s" },
        share(found.depthwise),
        share(found.pointwise),
        share(found.window),
        share(found.transpose),
        share(found.memory),
        share(found.imbalance),
    )
}

/// The innermost loops of all functions.
fn loops(kernel: &Kernel, target: &Target) -> String {
    // Kernels are compiled for the machine this runs on.
    if !cfg!(target_arch = "x86_64") {
        return String::new();
    }
    let mut text = String::new();
    for (index, code) in kernel.functions().enumerate() {
        let table = ports::table(&disassembly::reachable(code), target.splits_vectors);
        if !table.is_empty() {
            let _ =
                writeln!(text, "loops     of function {index}, innermost, least cycles of a step");
            text.push_str(&table);
        }
    }
    text
}

fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn disassemble(code: &[u8]) -> String {
    // Kernels are compiled for the machine this runs on.
    if cfg!(target_arch = "x86_64") { disassembly::x86_64(code) } else { disassembly::bytes(code) }
}
