//! Which schedule a workload gets, and from where.
//!
//! ```
//! # use dsconv::{Depthwise, Dispatcher, OnMiss, Pointwise, Workload};
//! let dispatcher = Dispatcher::builder().on_miss(OnMiss::Heuristic).build()?;
//! let workload = Workload::builder([1, 8, 14, 14])
//!     .depthwise(Depthwise::kernel(3, 3).padding(1))
//!     .pointwise(Pointwise::channels(16))
//!     .build()?;
//! let (schedule, origin) = dispatcher.lookup(&workload)?;
//! println!("{:?}: {origin}", schedule.schedule());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Databases lie in layers: the shipped one, the user's, then those given to the builder, each on
//! top of the one before. The first of these that yields a legal schedule decides:
//!
//! 1. a record of the workload on this CPU model,
//! 2. on another stepping of it,
//! 3. on any other CPU with the same instruction set,
//! 4. a record of a similar workload, adapted,
//! 5. the analytic default, or an error, as [`OnMiss`] says.
//!
//! Records count only when they are for the same instruction set; those of the first three steps
//! must be for the same number of threads, too.

use dsconv_kernels::{
    CheckedSchedule, CompileError, Kernel, Target, Weights, Workload, WrongLength,
};

use crate::block::SeparableBlock;
use crate::cpu::{self, CpuModel};
use crate::database::{Database, Record};

mod command;
mod nearest;
mod origin;

pub use command::autotune_command;
pub use origin::Origin;

/// Databases in layers, and what to do without a record.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    target: Target,
    cpu: CpuModel,
    threads: usize,
    on_miss: OnMiss,
    /// The topmost first.
    layers: Vec<Database>,
    warnings: Vec<String>,
}

/// Makes a [`Dispatcher`].
#[derive(Clone, Debug)]
pub struct DispatcherBuilder {
    target: Option<Target>,
    cpu: Option<CpuModel>,
    threads: usize,
    on_miss: OnMiss,
    user_database: bool,
    shipped_databases: bool,
    databases: Vec<Database>,
}

/// What to do with a workload that no record fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMiss {
    /// Take the analytic default: correct, and slower than a tuned schedule.
    #[default]
    Heuristic,
    /// Return an error that names the command that would tune it.
    Error,
}

/// Why no dispatcher could be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No threads.
    #[error("{found} threads, must be from 1 to {limit}")]
    Threads {
        /// Threads that were asked for.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
}

/// No record fits a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tuned schedule of `{workload}` for {threads} thread(s); tune it with: {command}")]
pub struct Miss {
    /// The workload, as text.
    pub workload: String,
    /// Threads it was to run on.
    pub threads: usize,
    /// The command that tunes it.
    pub command: String,
}

/// Why a workload could not be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// No record fits it, and the analytic default was not wanted.
    #[error(transparent)]
    Miss(#[from] Miss),
    /// Weights of another shape.
    #[error(transparent)]
    Weights(#[from] WrongLength),
    /// Not even the analytic default compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// More threads than machines have cores; a bound on scratch memory.
const MOST_THREADS: usize = 4096;

impl DispatcherBuilder {
    /// Puts a database on top. It may be one of another CPU.
    pub fn database(mut self, database: Database) -> Self {
        self.databases.push(database);
        self
    }

    /// Whether to read the user's database of this CPU, where there is one ([`Database::user_path`]).
    /// By default it is read.
    pub fn user_database(self, read: bool) -> Self {
        Self { user_database: read, ..self }
    }

    /// Whether to use the records that come with the crate ([`Database::all_shipped`]). By default
    /// they are used.
    pub fn shipped_databases(self, used: bool) -> Self {
        Self { shipped_databases: used, ..self }
    }

    /// Threads that blocks will run on: records are kept apart by it, and scratch memory is sized
    /// for it. By default 1.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// What to do with a workload that no record fits.
    pub fn on_miss(self, on_miss: OnMiss) -> Self {
        Self { on_miss, ..self }
    }

    /// Generates code for this target instead of the host's, such as one with a lesser instruction
    /// set. Code that the host cannot run does not compile.
    pub fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Chooses records as this CPU model would, instead of the host's.
    pub fn cpu(self, cpu: CpuModel) -> Self {
        Self { cpu: Some(cpu), ..self }
    }

    /// Reads the databases.
    ///
    /// The user's database cannot make this fail: what is wrong with it is logged and kept in
    /// [`Dispatcher::warnings`].
    ///
    /// # Errors
    ///
    /// When the number of threads is zero or absurd.
    pub fn build(self) -> Result<Dispatcher, BuildError> {
        if !(1..=MOST_THREADS).contains(&self.threads) {
            return Err(BuildError::Threads { found: self.threads, limit: MOST_THREADS });
        }
        let cpu = self.cpu.unwrap_or_else(CpuModel::host);
        let mut warnings = Vec::new();
        let mut layers = self.databases;
        layers.reverse();
        if self.user_database {
            layers.extend(user_database(&cpu, &mut warnings));
        }
        if self.shipped_databases {
            layers.extend(Database::all_shipped());
        }
        Ok(Dispatcher {
            target: self.target.unwrap_or_else(cpu::host_target),
            cpu,
            threads: self.threads,
            on_miss: self.on_miss,
            layers,
            warnings,
        })
    }
}

/// The user's records; nothing where there are none, and a warning where they cannot be read.
fn user_database(cpu: &CpuModel, warnings: &mut Vec<String>) -> Option<Database> {
    let path = Database::user_path(cpu)?;
    if !path.exists() {
        return None;
    }
    let (database, found) = match Database::load(&path) {
        Ok(loaded) => {
            let found = loaded.warnings.iter().map(ToString::to_string).collect();
            (Some(loaded.database), found)
        }
        Err(error) => (None, vec![error.to_string()]),
    };
    for warning in &found {
        tracing::warn!("{warning}");
    }
    warnings.extend(found);
    database
}

impl Dispatcher {
    /// Starts a dispatcher: one thread, shipped records, the user's records, the analytic default
    /// for all others.
    pub fn builder() -> DispatcherBuilder {
        DispatcherBuilder {
            target: None,
            cpu: None,
            threads: 1,
            on_miss: OnMiss::default(),
            user_database: true,
            shipped_databases: true,
            databases: Vec::new(),
        }
    }

    /// Compiles the best known schedule of a workload, packs the weights and sizes the scratch
    /// memory. Logs once which schedule it took.
    ///
    /// # Errors
    ///
    /// When the weights have another shape, or when no record fits and [`OnMiss::Error`] was chosen.
    pub fn prepare(
        &self,
        workload: &Workload,
        weights: &Weights<'_>,
    ) -> Result<SeparableBlock, PrepareError> {
        weights.check(workload)?;
        let mut refused = None;
        for (schedule, origin) in self.candidates(workload) {
            let kernel = match Kernel::compile(&schedule) {
                Ok(kernel) => kernel,
                Err(error) => {
                    tracing::warn!(%workload, %origin, %error, "schedule does not compile, next one");
                    refused = Some(error);
                    continue;
                }
            };
            let packed = kernel.pack(weights)?;
            self.tell(workload, &origin);
            return Ok(SeparableBlock::new(kernel, packed, origin, self.threads));
        }
        Err(match (self.on_miss, refused) {
            (OnMiss::Heuristic, Some(error)) => error.into(),
            _ => self.miss(workload).into(),
        })
    }

    /// Logs once where a schedule came from: a warning where tuning would do better.
    fn tell(&self, workload: &Workload, origin: &Origin) {
        let threads = self.threads;
        if *origin == Origin::Exact {
            tracing::info!(%workload, threads, "{origin}");
        } else {
            let command = autotune_command(workload, threads);
            tracing::warn!(%workload, threads, %command, "{origin}");
        }
    }

    /// The schedule that [`Dispatcher::prepare`] tries first, and where it comes from.
    ///
    /// # Errors
    ///
    /// When no record fits and [`OnMiss::Error`] was chosen.
    pub fn lookup(&self, workload: &Workload) -> Result<(CheckedSchedule, Origin), Miss> {
        self.candidates(workload).next().ok_or_else(|| self.miss(workload))
    }

    /// Legal schedules of a workload, the best known first.
    pub fn candidates(
        &self,
        workload: &Workload,
    ) -> impl Iterator<Item = (CheckedSchedule, Origin)> {
        let target = self.target;
        let workload = *workload;
        let default = (self.on_miss == OnMiss::Heuristic).then_some(());
        self.exact(&workload)
            .into_iter()
            .chain(std::iter::once_with(move || self.nearest(&workload)).flatten())
            .filter_map(move |(schedule, origin)| match schedule.check(&workload, &target) {
                Ok(checked) => Some((checked, origin)),
                Err(error) => {
                    tracing::warn!(%workload, %origin, %error, "schedule is not legal, next one");
                    None
                }
            })
            .chain(default.into_iter().map(move |()| {
                (dsconv_kernels::cost::default_schedule(&workload, &target), Origin::Heuristic)
            }))
    }

    /// Records of the very workload: first those of this CPU, then of its other steppings, then of
    /// all others; within each, the topmost layer first.
    fn exact(&self, workload: &Workload) -> Vec<(dsconv_kernels::Schedule, Origin)> {
        let mut found: Vec<(Kinship, &Database, &Record)> = self
            .layers
            .iter()
            .filter_map(|layer| {
                let record = layer.lookup(workload, self.target.isa, self.threads)?;
                Some((Kinship::of(layer.cpu(), &self.cpu), layer, record))
            })
            .collect();
        found.sort_by_key(|(kinship, ..)| *kinship); // stable: layers stay in order
        let origin = |kinship, layer: &Database| match kinship {
            Kinship::Same => Origin::Exact,
            Kinship::OtherStepping => {
                Origin::SameMicroarchitecture { cpu: layer.cpu().file_stem() }
            }
            Kinship::Other => Origin::SameIsa { cpu: layer.cpu().file_stem() },
        };
        let schedules = found.into_iter();
        schedules
            .map(|(kinship, layer, record)| (record.schedule, origin(kinship, layer)))
            .collect()
    }

    /// Records of similar workloads, adapted, the most similar first.
    fn nearest(&self, workload: &Workload) -> Vec<(dsconv_kernels::Schedule, Origin)> {
        let mut found: Vec<(f64, Kinship, &Database, &Record)> = Vec::new();
        for layer in &self.layers {
            let kinship = Kinship::of(layer.cpu(), &self.cpu);
            for record in layer.records().filter(|record| record.isa == self.target.isa) {
                let distance =
                    nearest::distance(workload, self.threads, &record.workload, record.threads);
                if let Some(distance) = distance {
                    found.push((distance, kinship, layer, record));
                }
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found.truncate(nearest::MOST_CANDIDATES);
        let adapted = found.into_iter().map(|(_, _, layer, record)| {
            let origin = Origin::NearestWorkload {
                workload: record.workload,
                threads: record.threads,
                cpu: layer.cpu().file_stem(),
            };
            (nearest::adapt(record.schedule, workload), origin)
        });
        adapted.collect()
    }

    fn miss(&self, workload: &Workload) -> Miss {
        Miss {
            workload: workload.to_string(),
            threads: self.threads,
            command: autotune_command(workload, self.threads),
        }
    }

    /// What code is generated for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The CPU model that records are chosen for.
    pub fn cpu(&self) -> &CpuModel {
        &self.cpu
    }

    /// Threads that blocks will run on.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// What was wrong with the user's database; empty where nothing was.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// How close two CPU models are, the closest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kinship {
    Same,
    OtherStepping,
    Other,
}

impl Kinship {
    fn of(one: &CpuModel, other: &CpuModel) -> Self {
        if one.is_same_model(other) {
            Self::Same
        } else if one.is_same_microarchitecture(other) {
            Self::OtherStepping
        } else {
            Self::Other
        }
    }
}
