//! From CLIF to machine code, by Cranelift.

use std::sync::OnceLock;

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use crate::kernel::CompileError;
use crate::target::Isa;

/// Name of the backend in errors.
pub(crate) const BACKEND: &str = "cranelift";

/// Cranelift's description of the host at an instruction set.
///
/// # Errors
///
/// If the host has not that instruction set, or Cranelift does not know the host.
pub(crate) fn cranelift_isa(isa: Isa) -> Result<OwnedTargetIsa, CompileError> {
    static HOST: OnceLock<Result<OwnedTargetIsa, CompileError>> = OnceLock::new();
    static BASELINE: OnceLock<Result<OwnedTargetIsa, CompileError>> = OnceLock::new();
    let host = crate::Target::host().isa;
    match isa {
        Isa::Sse2 if cfg!(target_arch = "x86_64") => BASELINE.get_or_init(|| {
            let triple = host_builder()?.triple().clone();
            finish(isa::lookup(triple).map_err(failed)?)
        }),
        _ if isa == host => HOST.get_or_init(|| finish(host_builder()?)),
        _ => {
            return Err(failed(format!(
                "instruction set {isa} asked for, this machine has {host}"
            )));
        }
    }
    .clone()
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
    CompileError { backend: BACKEND, message: error.to_string() }
}
