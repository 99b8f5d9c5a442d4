//! Runs depthwise-separable convolutions by schedules that were tuned for this CPU.
//!
//! ```
//! use dsconv::{Activation, Depthwise, Dispatcher, OnMiss, Pointwise, Weights, Workload};
//!
//! let dispatcher = Dispatcher::builder().on_miss(OnMiss::Heuristic).build()?;
//! let workload = Workload::builder([1, 32, 28, 28])                               // NCHW
//!     .depthwise(Depthwise::kernel(3, 3).padding(1).activation(Activation::Relu6))
//!     .pointwise(Pointwise::channels(64).activation(Activation::Relu6))
//!     .build()?;
//! let weights = Weights {
//!     depthwise: &vec![0.25; workload.depthwise_len()],                           // [C][R][S]
//!     depthwise_bias: &[0.5; 32],
//!     pointwise: &vec![0.125; workload.pointwise_len()],                          // [K][C]
//!     pointwise_bias: &[0.0; 64],
//!     ..Weights::default()
//! };
//! let mut block = dispatcher.prepare(&workload, &weights)?;                       // once
//! let input = vec![1.0; workload.input_len()];
//! let mut output = vec![0.0; workload.output_len()];
//! block.run(&input, &mut output)?;                                                // often
//! assert_eq!(output[28 * 14 + 14], 6.0); // 32 channels of relu6(9/4 + 1/2) / 8, then relu6
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What happens, from the file that `autotune` wrote to the numbers:
//!
//! ```text
//! TOML -> Database -> Dispatcher: look up -> Schedule -> check -> compile -> pack -> SeparableBlock -> run
//! ```
//!
//! `prepare` does everything up to the block; `run` looks nothing up, takes no lock and allocates
//! nothing. Whatever schedule is chosen, the output is the same, bit for bit: schedules differ in
//! speed only. [`SeparableBlock::origin`] tells where the schedule came from.
//!
//! # Features
//!
//! * `parallel` (on by default): [`SeparableBlock::run_parallel`] on a `rayon` pool of the caller.

mod block;
mod dispatcher;

pub mod cpu;
pub mod database;

pub use block::{BlockError, SeparableBlock};
pub use database::{
    Database, DatabaseError, LoadWarning, Loaded, Measurement, MergePolicy, Merged, Objective,
    Provenance, Pruned, Record, RunnerUp,
};
pub use dispatcher::{
    BuildError, Dispatcher, DispatcherBuilder, Layer, LayerDatabase, Miss, OVERLAY_VARIABLE,
    OnMiss, Origin, PROJECT_FOLDER, PrepareError, Source, autotune_command,
};
pub use dsconv_kernels::*;
