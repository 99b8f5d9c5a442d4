//! How to compute a depthwise-separable convolution: workloads, schedules and the machine code
//! generated from both. Knows no files and no clocks.
//!
//! ```text
//! Workload + Schedule --check--> CheckedSchedule --codegen--> ir::Function --compile--> Kernel
//! ```

mod activation;
mod buffer;
mod codegen;
mod compile;
mod cover;
mod jit;
mod kernel;
mod packing;
mod plan;
mod schedule;
mod target;
#[cfg(feature = "parallel")]
mod team;
mod weights;
mod workload;

pub mod cost;
pub mod peak;
pub mod reference;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// Version of the code that is generated for a schedule.
///
/// Raised whenever the same schedule gives other machine code, so that times of before are no
/// longer its times. Results never depend on it, and a schedule of any version may run when it
/// passes [`Schedule::check`]; a record of another version is only no longer known to be the
/// fastest.
pub const CODE_GENERATION: u32 = 6;

pub use activation::{Activation, Arithmetic, Finite, ParseActivationError, Scalar};
pub use buffer::Buffer;
pub use kernel::{CompileError, Kernel, PackedWeights, RunError, Workspace};
pub use schedule::{
    CheckedSchedule, DepthwiseTile, Family, Fusion, IllegalSchedule, LoopOrder, Packing,
    ParseScheduleError, PointwiseTile, Schedule, Split, Stage, Tail, Taps, Window,
};
pub use target::{ISA_VARIABLE, Isa, Target, UnknownIsa};
pub use weights::{Weights, WrongLength};
pub use workload::{
    DType, Depthwise, InvalidWorkload, Layout, Padding, ParseWorkloadError, Pointwise, Workload,
    WorkloadBuilder,
};
