//! Executable memory for tests.
#![allow(unsafe_code, reason = "generated code is called")]

use clif_wide::Code;
use cranelift_codegen::ir::Function;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::Module;

/// Code that can be called; freed when dropped.
pub(crate) struct Executable {
    module: Option<JITModule>,
    entry: *const u8,
}

impl Executable {
    /// Puts code into executable memory.
    pub(crate) fn new(func: &Function, code: &Code) -> Self {
        let builder = JITBuilder::new(cranelift_module::default_libcall_names()).expect("a host");
        let mut module = JITModule::new(builder);
        let id = module.declare_anonymous_function(&func.signature).expect("a signature");
        let alignment = Code::ALIGNMENT as u64;
        module.define_function_bytes(id, alignment, &code.bytes, &[]).expect("a definition");
        module.finalize_definitions().expect("executable memory");
        let entry = module.get_finalized_function(id);
        Self { module: Some(module), entry }
    }

    /// Calls with up to four arguments.
    ///
    /// # Safety
    ///
    /// What the code does with the arguments must be allowed, and the processor must have its
    /// instructions.
    pub(crate) unsafe fn call(&self, args: [u64; 4]) -> u64 {
        // SAFETY: the code follows the System V ABI with at most these integer parameters; further
        // registers may be set without harm. The module is alive.
        unsafe {
            let entry: extern "sysv64" fn(u64, u64, u64, u64) -> u64 =
                std::mem::transmute(self.entry);
            entry(args[0], args[1], args[2], args[3])
        }
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: `entry` is the only pointer into the code, and it is never called again.
            unsafe { module.free_memory() };
        }
    }
}

/// Floats aligned to a cache line, so that alignment is no chance between runs.
pub(crate) struct Floats {
    lines: Vec<Line>,
    len: usize,
}

#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([f32; 16]);

impl Floats {
    /// Floats by index.
    pub(crate) fn new(len: usize, value: impl Fn(usize) -> f32) -> Self {
        let mut floats = Self { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len };
        for n in 0..len {
            floats.lines[n / 16].0[n % 16] = value(n);
        }
        floats
    }

    /// Reproducible floats between -1 and 1.
    pub(crate) fn noise(len: usize, seed: u32) -> Self {
        Self::new(len, |n| {
            let mixed = (n as u32).wrapping_add(seed << 16).wrapping_mul(0x9e37_79b9);
            let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b);
            (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
    }

    /// All of them.
    pub(crate) fn to_vec(&self) -> Vec<f32> {
        (0..self.len).map(|n| self[n]).collect()
    }

    /// Address of the first.
    pub(crate) fn address(&mut self) -> u64 {
        self.lines.as_mut_ptr() as u64
    }
}

impl std::ops::Index<usize> for Floats {
    type Output = f32;
    fn index(&self, n: usize) -> &f32 {
        &self.lines[n / 16].0[n % 16]
    }
}
