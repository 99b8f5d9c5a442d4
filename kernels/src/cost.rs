//! Analytic cost: ranks schedules before any is compiled, and so finds the schedule of a workload
//! that nobody has tuned.
//!
//! [`estimate`] counts instructions per port, footprints per cache level and tails from the same
//! plan that code generation follows; [`default_schedule`] is the schedule of the least estimate
//! that a short walk finds.

mod default;
mod estimate;
mod machine;
mod makespan;
mod tiles;

pub use default::default_schedule;
pub use estimate::{Estimate, estimate, estimate_on};
pub use machine::Machine;
pub use tiles::register_tiles;
