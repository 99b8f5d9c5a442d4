//! Seeded tensors to tune and to compare with. One seed gives the same numbers on every platform.
//!
//! ```
//! use dsconv_kernels::Workload;
//! use dsconv_tuning::data::Tensors;
//!
//! let workload: Workload = "f32 nchw 1x3x8x8 dw:3x3,p1,bias pw:10,bias".parse()?;
//! let tensors = Tensors::ordinary(&workload, 7);
//! assert_eq!(tensors.weights().check(&workload), Ok(()));
//! assert_eq!(tensors, Tensors::ordinary(&workload, 7));
//! # Ok::<(), dsconv_kernels::ParseWorkloadError>(())
//! ```
//!
//! [`Tensors::integers`] make every sum exact, which tests want; [`Tensors::ordinary`] look like
//! those of a network, and round at every step. Tuning uses the latter: equal bits on numbers that
//! round are the stronger statement.

pub use dsconv_kernels::testing::Tensors;
