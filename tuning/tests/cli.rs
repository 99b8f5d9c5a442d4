//! The `autotune` command from outside: exit codes, messages, files.

#[path = "cli/batch.rs"]
mod batch;
#[path = "cli/caches.rs"]
mod caches;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/interrupted.rs"]
mod interrupted;
#[path = "cli/numpy.rs"]
mod numpy;
#[path = "cli/records.rs"]
mod records;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/sandbox.rs"]
mod sandbox;
#[path = "cli/sharding.rs"]
mod sharding;
#[path = "cli/show.rs"]
mod show;
#[path = "cli/tune.rs"]
mod tune;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/worker.rs"]
mod worker;
