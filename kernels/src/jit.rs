//! Executable memory with an owner.

#![expect(unsafe_code, reason = "machine code is called and its memory freed here")]

use std::mem::ManuallyDrop;

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Module, default_libcall_names};

use crate::codegen::recycle;
use crate::compile::{compile_wide, failed};
use crate::kernel::{Arguments, CompileError};

/// A generated function: `extern "sysv64"` on every operating system of x86-64, the platform's
/// convention elsewhere.
#[cfg(target_arch = "x86_64")]
pub(crate) type Entry = unsafe extern "sysv64" fn(*const Arguments);
/// A generated function, in the platform's calling convention.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Entry = unsafe extern "C" fn(*const Arguments);

/// Machine code of some functions, freed when dropped.
pub(crate) struct Code {
    module: ManuallyDrop<JITModule>,
    functions: Vec<(Entry, Vec<u8>)>,
}

// SAFETY: the module is `Send`, and after `Code::new` nothing reads or changes it through a shared
// reference: it is only freed by the owner. Entries and bytes are immutable.
unsafe impl Sync for Code {}

impl Code {
    /// Compiles the functions for an instruction set.
    ///
    /// # Errors
    ///
    /// Returns the backend's message.
    pub(crate) fn new(
        isa: OwnedTargetIsa,
        wide: Option<clif_wide::Isa>,
        functions: Vec<Function>,
    ) -> Result<Self, CompileError> {
        let module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
        // From here on an early return frees the module, too.
        let mut code = Self { module: ManuallyDrop::new(module), functions: Vec::new() };
        let mut compiled = Vec::new();
        for function in functions {
            let id = code.module.declare_anonymous_function(&function.signature).map_err(failed)?;
            let bytes = match wide {
                Some(isa) => {
                    let bytes = compile_wide(&function, isa)?;
                    recycle(function);
                    let alignment = clif_wide::Code::ALIGNMENT as u64;
                    let defined = code.module.define_function_bytes(id, alignment, &bytes, &[]);
                    defined.map_err(failed)?;
                    bytes
                }
                None => {
                    let mut context = Context::for_function(function);
                    let defined = code.module.define_function(id, &mut context);
                    defined.map_err(|error| failed(format!("{error:?}")))?;
                    let compiled = context.compiled_code();
                    compiled.map(|code| code.code_buffer().to_vec()).unwrap_or_default()
                }
            };
            compiled.push((id, bytes));
        }
        code.module.finalize_definitions().map_err(failed)?;
        for (id, bytes) in compiled {
            let address = code.module.get_finalized_function(id);
            // SAFETY: the address is that of a function which was just compiled with the signature
            // of `Entry` (codegen declares one pointer parameter, no result and this convention).
            let entry = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
            code.functions.push((entry, bytes));
        }
        Ok(code)
    }

    /// The entry of a function. It must not be called after `self` is dropped.
    pub(crate) fn entry(&self, function: usize) -> Entry {
        self.functions[function].0
    }

    /// The machine code of each function.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.functions.iter().map(|(_, bytes)| bytes.as_slice())
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: `module` is never used again, since `self` is going away.
        let module = unsafe { ManuallyDrop::take(&mut self.module) };
        // SAFETY: entries are only called by the owner of `self`, from methods that borrow it: none
        // is running now and none can be called later.
        unsafe { module.free_memory() };
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<usize> = self.bytes().map(<[u8]>::len).collect();
        f.debug_struct("Code").field("bytes", &bytes).finish()
    }
}
