//! From CLIF to machine code: by `clif-wide` beyond 128 bits, else by Cranelift.

use std::cell::RefCell;
use std::sync::OnceLock;

use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use crate::kernel::CompileError;
use crate::target::Isa;

#[cfg(test)]
mod aarch64;
#[cfg(all(test, target_arch = "x86_64"))]
mod wide;

/// Cranelift's description of the host at an instruction set. Of the wide ones it is the host's
/// memory and calling conventions that are asked for.
///
/// # Errors
///
/// If the host has not that instruction set, or Cranelift does not know the host.
pub(crate) fn cranelift_isa(isa: Isa) -> Result<OwnedTargetIsa, CompileError> {
    static HOST: OnceLock<Result<OwnedTargetIsa, CompileError>> = OnceLock::new();
    static BASELINE: OnceLock<Result<OwnedTargetIsa, CompileError>> = OnceLock::new();
    if !Isa::usable().contains(&isa) {
        let usable: Vec<_> = Isa::usable().iter().map(Isa::to_string).collect();
        let usable = usable.join(", ");
        return Err(failed(format!("instruction set {isa} asked for, this machine has {usable}")));
    }
    let cell = if isa == Isa::Sse2 { &BASELINE } else { &HOST };
    let describe = || {
        let host = host_builder()?;
        finish(if isa == Isa::Sse2 {
            isa::lookup(host.triple().clone()).map_err(failed)?
        } else {
            host
        })
    };
    cell.get_or_init(describe).clone()
}

fn host_builder() -> Result<isa::Builder, CompileError> {
    cranelift_native::builder().map_err(failed)
}

fn finish(builder: isa::Builder) -> Result<OwnedTargetIsa, CompileError> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("use_colocated_libcalls", "false"),
        ("is_pic", "false"),
        // The optimiser moves multiply-adds to their uses, one chain after the other, and loses the
        // interleaving that the generator chose.
        ("opt_level", "none"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ] {
        flags.set(name, value).map_err(failed)?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(failed)
}

pub(crate) fn failed(error: impl std::fmt::Display) -> CompileError {
    CompileError { backend: "cranelift", message: error.to_string() }
}

/// Machine code of a function by the wide backend; constants follow the code.
///
/// # Errors
///
/// Returns the backend's message.
pub(crate) fn compile_wide(
    function: &Function,
    isa: clif_wide::Isa,
) -> Result<Vec<u8>, CompileError> {
    thread_local! {
        /// The compiler's memory: a tuner compiles thousands of functions on one thread.
        static CONTEXT: RefCell<clif_wide::Context> = RefCell::default();
    }
    match CONTEXT.with_borrow_mut(|context| clif_wide::compile(function, isa, context)) {
        Ok(code) => Ok(code.bytes),
        Err(error) => Err(CompileError { backend: "clif-wide", message: error.to_string() }),
    }
}
