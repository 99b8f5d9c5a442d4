//! Why a function could not be compiled.

use crate::Isa;
use cranelift_codegen::ir::Type;

/// A function that this crate cannot compile. Bad input never panics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An instruction outside of the supported subset.
    #[error("cannot lower `{instruction}`: {reason}")]
    Instruction {
        /// The instruction as CLIF text.
        instruction: String,
        /// What about it is not supported.
        reason: &'static str,
    },
    /// A value of a type that has no register on the instruction set.
    #[error("cannot lower `{instruction}`: no {isa} register holds a value of type {ty}")]
    Type {
        /// The instruction as CLIF text.
        instruction: String,
        /// The type.
        ty: Type,
        /// The instruction set compiled for.
        isa: Isa,
    },
    /// A signature that the one supported ABI does not cover.
    #[error("cannot compile a function with {found}: {expected}")]
    Signature {
        /// What the signature has.
        found: String,
        /// What it may have.
        expected: &'static str,
    },
    /// Control flow that breaks a rule of CLIF; the verifier would have said so.
    #[error("ill-formed control flow: {0}")]
    ControlFlow(String),
    /// More spilled values than a frame may hold.
    #[error("the frame would need {needed} bytes, the limit is {limit}")]
    FrameTooLarge {
        /// Bytes needed.
        needed: usize,
        /// The limit.
        limit: usize,
    },
    /// The register allocator refused the machine code: a bug of this crate.
    #[error("register allocation failed: {0}")]
    RegisterAllocation(String),
    /// An instruction that does not exist was about to be encoded: a bug of this crate.
    #[error("encoding failed: {0}")]
    Encoding(String),
    /// A check of [`Context::checked`](crate::Context::checked) failed: a bug of this crate.
    #[error("self-check failed: {0}")]
    Check(String),
}

/// Result of a step of the compilation.
pub(crate) type Result<T> = std::result::Result<T, Error>;
