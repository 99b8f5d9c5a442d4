//! `autotune explain`: what would run for a workload, why, and the code itself.

use std::fmt::Write;

use dsconv::Kernel;

use crate::args::ExplainArgs;
use crate::disassembly;
use crate::failure::Failure;
use crate::output;
use crate::run;

/// Looks up, compiles, prints.
pub(crate) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let request = args.workload.request()?;
    let dispatcher = run::dispatcher(&args.machine, false)?;
    let (schedule, origin) = dispatcher.lookup(&request.workload).map_err(Failure::because)?;

    let mut text = String::new();
    if !args.clif_only && !args.asm_only {
        request.note_defaults();
        let _ = writeln!(text, "workload  {}", request.workload);
        let _ = writeln!(text, "schedule  {}", schedule.schedule());
        let _ = writeln!(text, "origin    {origin}");
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
        let kernel = Kernel::compile(&schedule).map_err(Failure::because)?;
        for (index, code) in kernel.functions().enumerate() {
            let title = format!("machine code of function {index}, {} bytes", code.len());
            section(&title, &disassemble(code));
        }
    }
    output::print(&text)
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
