//! `autotune run`: one block on arrays from files, with the schedule of the cache.

use dsconv::Database;
use dsconv::cpu::CpuModel;
use dsconv::{Dispatcher, Layout, SeparableBlock};

use crate::args::{self, MachineArgs, RunArgs};
use crate::failure::Failure;
use crate::flags::Request;
use crate::npy;
use crate::tensors::{self, Tensors};

/// Reads, runs, writes.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let tensors = Tensors::read(args)?;
    let request = request(args, &tensors)?;
    let workload = request.workload;
    tensors.check(&workload)?;

    let dispatcher = dispatcher(&args.machine, args.quiet)?;
    let mut block = dispatcher.prepare(&workload, &tensors.weights()).map_err(Failure::because)?;
    if !args.quiet {
        request.note_defaults();
        eprintln!("workload: {workload}");
        eprintln!("schedule: {}", block.kernel().schedule().schedule());
        eprintln!("origin: {}", block.origin());
    }
    let mut output = vec![0.0; workload.output_len()];
    compute(&mut block, args.machine.threads(), &tensors, &mut output)?;

    let shape = tensors::from_nchw(workload.output_shape(), workload.layout());
    npy::write(&args.output, &shape, &output)?;
    if !args.quiet {
        let axes = match workload.layout() {
            Layout::Nchw => "N,C,H,W",
            Layout::Nhwc => "N,H,W,C",
        };
        eprintln!("output: {} {shape:?} ({axes})", args.output.display());
    }
    Ok(())
}

/// The workload: from its text form, else from the arrays and the flags that they leave open.
fn request(args: &RunArgs, tensors: &Tensors) -> Result<Request, Failure> {
    match args.workload {
        Some(workload) => Ok(Request { workload, defaults_taken: Vec::new() }),
        None => args.stages.with_arrays(&tensors.facts(args.stages.layout())?),
    }
}

/// A dispatcher over the records of the cache. A cache that the user did not name may be absent.
pub(crate) fn dispatcher(machine: &MachineArgs, quiet: bool) -> Result<Dispatcher, Failure> {
    let mut builder = Dispatcher::builder().threads(machine.threads());
    if machine.cache.is_some() {
        let path = args::cache_path(machine.cache.as_ref(), &CpuModel::host())?;
        let loaded = Database::load(&path)?;
        if !quiet {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
        }
        builder = builder.only_given().shipped_databases(true).database(loaded.database);
    }
    let dispatcher = builder.build().map_err(Failure::because)?;
    if !quiet {
        for warning in dispatcher.warnings() {
            eprintln!("warning: {warning}");
        }
    }
    Ok(dispatcher)
}

fn compute(
    block: &mut SeparableBlock,
    threads: usize,
    tensors: &Tensors,
    output: &mut [f32],
) -> Result<(), Failure> {
    let done = if threads > 1 {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Failure::Failed(format!("{threads} threads: {error}")))?;
        block.run_parallel(&pool, tensors.input(), tensors.residual(), output)
    } else if let Some(residual) = tensors.residual() {
        block.run_with_residual(tensors.input(), residual, output)
    } else {
        block.run(tensors.input(), output)
    };
    done.map_err(Failure::because)
}
