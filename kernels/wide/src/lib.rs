//! Machine code for wide vectors from Cranelift IR.
//!
//! Cranelift's x86-64 backend stops at 128-bit vectors. This crate takes the same
//! [`ir::Function`](Function), over vectors of 4, 8 or 16 f32, and gives machine code for AVX2 with FMA
//! or for AVX-512: bytes, to be put into executable memory by
//! `cranelift_module::Module::define_function_bytes` or by anything else.
//!
//! ```
//! use clif_wide::{Context, Isa};
//! use cranelift_codegen::cursor::{Cursor, FuncCursor};
//! use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, types};
//! use cranelift_codegen::isa::CallConv;
//!
//! // Doubles the sixteen floats at a pointer.
//! let mut func = Function::new();
//! func.signature = Signature::new(CallConv::SystemV);
//! func.signature.params.push(AbiParam::new(types::I64));
//! let block = func.dfg.make_block();
//! let pointer = func.dfg.append_block_param(block, types::I64);
//! let mut cursor = FuncCursor::new(&mut func);
//! cursor.insert_block(block);
//! let flags = MemFlagsData::new().with_notrap();
//! let vector = cursor.ins().load(types::F32X16, flags, pointer, 0);
//! let doubled = cursor.ins().fadd(vector, vector);
//! cursor.ins().store(flags, doubled, pointer, 0);
//! cursor.ins().return_(&[]);
//!
//! let code = clif_wide::compile(&func, Isa::Avx512, &mut Context::new())?;
//! assert_eq!(code.stats.instructions, 5); // load, add, store, vzeroupper, return
//! # Ok::<(), clif_wide::Error>(())
//! ```
//!
//! # Pipeline
//!
//! ```text
//!  ir::Function
//!      |  cfg       order of blocks, critical edges split
//!      |  select    backward walk: what is needed, folded as far as x86 can
//!      v
//!  VCode            x86 operations on virtual registers
//!      |  regalloc  registers, spills, moves: a walk for each class; seldom regalloc2
//!      v
//!  VCode + Output
//!      |  emit      frame, VEX or EVEX, loops aligned, edges threaded, constants behind the code
//!      v
//!  Code             bytes, position independent
//! ```
//!
//! The order of instructions is that of the CLIF, in which the generator interleaves its
//! multiply-adds; so do not run Cranelift's optimiser first, which re-places them.
//!
//! # Supported subset
//!
//! | CLIF | Types |
//! |---|---|
//! | `iconst` `iadd` `isub` `imul` `band` `bor` `bxor` `ishl` `ushr` `sshr` `icmp` `select` | i8 i16 i32 i64 |
//! | `uextend` `sextend` `ireduce` | i8 i16 i32 i64 |
//! | `load` `store` | i8 i16 i32 i64, f32, f32xN, i32xN |
//! | `uload8` … `sload32`, `istore8` … `istore32` | integers |
//! | `jump` `brif` `return` | conditions: integers |
//! | `f32const` `vconst` `splat` | f32, f32xN, i32xN |
//! | `fadd` `fsub` `fmul` `fdiv` `sqrt` `fneg` `fabs` `fma` `fcmp` | f32, f32xN |
//! | `bitselect` | f32xN, i32xN; after `fcmp` by a compare and blend, or `minps`/`maxps` |
//! | `select` | f32, f32xN, i32xN |
//! | `iadd` `isub` `band` `bor` `bxor`, `ishl` `ushr` `sshr` by constants | i32xN |
//! | `band` `bor` `bxor` | f32xN besides |
//! | `bitcast` | between vectors of a size; between i32 and f32 |
//! | `extractlane` `insertlane` | f32xN, i32xN |
//! | `shuffle` | i8x16, where it moves whole 32-bit lanes |
//! | `call` | [intrinsics] only |
//!
//! N is 4, 8 or, on AVX-512, 16. Anything else is an [`Error`] that names the instruction.
//! `fmin` and `fmax` are refused, for no instruction treats NaN and zeros as they do: `minps(a, b)` is
//! `bitselect(bitcast(fcmp lt a, b), a, b)`, and `maxps(a, b)` the same with `gt`; a NaN gives b.
//! Loads and stores need no alignment. A load whose value is not needed is left out.
//!
//! # ABI
//!
//! System V on every operating system, `CallConv::SystemV` in CLIF and `extern "sysv64"` in Rust: up to
//! six integer parameters, at most one integer result. Code begins at byte 0 and must be placed at an
//! address that is a multiple of [`Code::ALIGNMENT`].

mod cfg;
mod emit;
mod error;
pub mod intrinsics;
mod isa;
mod regalloc;
mod select;
mod vcode;

pub use error::Error;
pub use isa::Isa;

use cranelift_codegen::ir::Function;

/// Memory of the compiler, kept from one function to the next.
pub struct Context {
    vcode: vcode::VCode,
    allocator: regalloc::Allocator,
    encoder: iced_x86::Encoder,
    check: bool,
}

impl Context {
    /// A context.
    pub fn new() -> Self {
        Self {
            vcode: vcode::VCode::default(),
            allocator: regalloc::Allocator::default(),
            encoder: iced_x86::Encoder::new(64),
            check: false,
        }
    }

    /// A context that mistrusts the compiler: the machine code is validated as SSA, the registers by
    /// symbolic execution, and each encoded instruction is decoded again and compared with what was
    /// meant. For tests; it takes several times as long.
    pub fn checked() -> Self {
        Self { check: true, ..Self::new() }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("check", &self.check).finish_non_exhaustive()
    }
}

/// Machine code of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, followed by its constants. Position independent.
    pub bytes: Vec<u8>,
    /// How many of the bytes are instructions, for a disassembler.
    pub code_bytes: usize,
    /// What the code consists of.
    pub stats: Stats,
}

impl Code {
    /// The address that the code is placed at must be a multiple of this.
    pub const ALIGNMENT: usize = 64;
}

/// What machine code consists of, counted statically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Instructions, those that pad loops included.
    pub instructions: usize,
    /// Spill slots, in units of 8 bytes.
    pub spill_slots: usize,
    /// Stores to spill slots.
    pub spills: usize,
    /// Loads from spill slots.
    pub reloads: usize,
    /// Moves between registers that the register allocator inserted.
    pub moves: usize,
    /// Whether regalloc2 had to search for registers, which takes longer than all else together.
    pub searched: bool,
}

/// Compiles a function.
///
/// The function must be valid for Cranelift's verifier, which is not run here. It is not checked
/// whether this computer can execute the result: see [`Isa::is_usable`].
///
/// # Errors
///
/// Returns the first instruction that is outside of the supported subset, or what of the signature is.
pub fn compile(func: &Function, isa: Isa, context: &mut Context) -> Result<Code, Error> {
    let vcode = select::select(func, isa, std::mem::take(&mut context.vcode))?;
    let allocation = context.allocator.run(&vcode, isa, context.check)?;
    let mut code = emit::emit(&vcode, allocation, isa, &mut context.encoder, context.check);
    if let Ok(code) = &mut code {
        code.stats.searched = context.allocator.searched();
    }
    context.vcode = vcode;
    code
}
