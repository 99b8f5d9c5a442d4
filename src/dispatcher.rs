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
//! Databases lie in layers ([`Layer`]): shipped, the machine's, the user's, the project's, those
//! that the environment names, then those given to the builder, each on top of the one before. The
//! first of these that yields a schedule that is legal and compiles decides:
//!
//! 1. a record of the workload on this CPU model,
//! 2. on another stepping of it, or with other caches,
//! 3. on any other CPU with the same instruction set,
//! 4. a record of a similar workload, adapted,
//! 5. the analytic default, or an error, as [`OnMiss`] says.
//!
//! Records count only when they are for the same instruction set; those of the first three steps
//! must be for the same number of threads, too. One for the wanted objective comes before one for
//! the other. A record of another [`CODE_GENERATION`](dsconv_kernels::CODE_GENERATION) counts like
//! any other: its schedule gives the same results, though maybe no longer the fastest. [`Origin`]
//! tells which step and which file decided, and it is logged once for each workload.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use dsconv_kernels::{
    CheckedSchedule, CompileError, Kernel, Schedule, Target, Weights, Workload, WrongLength,
};

use self::kinship::Kinship;
use self::layers::Layers;
use crate::block::SeparableBlock;
use crate::cpu::CpuModel;
use crate::database::{Database, Objective, Record};

mod builder;
mod command;
mod kinship;
mod layers;
mod nearest;
mod origin;

pub use builder::{BuildError, DispatcherBuilder};
pub use command::autotune_command;
pub use layers::{Layer, LayerDatabase, OVERLAY_VARIABLE, PROJECT_FOLDER};
pub use origin::{Origin, Source};

/// Databases in layers, and what to do without a record.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    target: Target,
    threads: usize,
    objective: Objective,
    on_miss: OnMiss,
    layers: Arc<Layers>,
    warnings: Vec<String>,
    told: Arc<Mutex<HashSet<String>>>,
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

impl Dispatcher {
    /// Starts a dispatcher: one thread, warm caches, all layers, the analytic default where none
    /// has a record.
    pub fn builder() -> DispatcherBuilder {
        DispatcherBuilder::default()
    }

    /// Compiles the best known schedule of a workload, packs the weights and sizes the scratch
    /// memory. Logs which schedule it took, once for each workload.
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
                    if self.is_news(format!("{workload} {origin} {error}")) {
                        tracing::warn!(%workload, %origin, %error, "schedule does not compile, next one");
                    }
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
        if !self.is_news(format!("{workload} {origin}")) {
            return;
        }
        if origin.is_improvable() {
            let command = autotune_command(workload, threads);
            tracing::warn!(%workload, threads, %command, "{origin}");
        } else {
            tracing::info!(%workload, threads, "{origin}");
        }
    }

    /// Whether something was not told yet by this dispatcher or a clone of it.
    fn is_news(&self, message: String) -> bool {
        /// More than programs have blocks; a bound on memory.
        const MOST_TOLD: usize = 4096;
        // Whoever panicked with the lock left a set that is as good as any.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        told.insert(message)
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
        let (workload, threads) = (*workload, self.threads);
        let default = (self.on_miss == OnMiss::Heuristic).then_some(());
        self.own(&workload)
            .into_iter()
            .chain(std::iter::once_with(move || self.of_others(&workload)).flatten())
            .chain(std::iter::once_with(move || self.nearest(&workload)).flatten())
            .filter_map(move |(schedule, origin)| match schedule.check(&workload, &target) {
                Ok(checked) => Some((checked, origin)),
                Err(error) => {
                    if self.is_news(format!("{workload} {origin} {error}")) {
                        tracing::warn!(%workload, %origin, %error, "schedule is not legal, next one");
                    }
                    None
                }
            })
            .chain(default.into_iter().map(move |()| {
                let default = dsconv_kernels::cost::default_schedule(&workload, &target, threads);
                (default, Origin::Heuristic)
            }))
    }

    /// Records of the very workload on this CPU, of the topmost layer first.
    fn own(&self, workload: &Workload) -> Vec<(Schedule, Origin)> {
        let layers = self.layers.read().iter();
        let own = layers.filter(|layer| self.kinship(layer) == Kinship::Same);
        let candidates = own.flat_map(|layer| {
            self.records(&layer.database, workload)
                .map(|record| (record.schedule, Origin::Exact(source(layer, record))))
        });
        candidates.collect()
    }

    /// Records of the very workload on other steppings of this CPU, then on all others; within each,
    /// the topmost layer first.
    fn of_others(&self, workload: &Workload) -> Vec<(Schedule, Origin)> {
        let mut layers: Vec<(Kinship, &LayerDatabase)> =
            self.layers.all().map(|layer| (self.kinship(layer), layer)).collect();
        layers.sort_by_key(|(kinship, _)| *kinship); // stable: layers stay in order
        let others = layers.into_iter().filter(|(kinship, _)| *kinship != Kinship::Same);
        let candidates = others.flat_map(|(kinship, layer)| {
            self.records(&layer.database, workload).map(move |record| {
                let source = source(layer, record);
                let origin = match kinship {
                    Kinship::OtherStepping => Origin::SameMicroarchitecture(source),
                    _ => Origin::SameIsa(source),
                };
                (record.schedule, origin)
            })
        });
        candidates.collect()
    }

    fn kinship(&self, layer: &LayerDatabase) -> Kinship {
        Kinship::of(layer.database.cpu(), self.cpu())
    }

    /// A database's records of a workload, the one for the wanted objective first.
    fn records<'d>(
        &self,
        database: &'d Database,
        workload: &Workload,
    ) -> impl Iterator<Item = &'d Record> {
        let other = match self.objective {
            Objective::Warm => Objective::Cold,
            Objective::Cold => Objective::Warm,
        };
        [self.objective, other]
            .map(|objective| database.find(workload, self.target.isa, self.threads, objective))
            .into_iter()
            .flatten()
    }

    /// Records of similar workloads, adapted, the most similar first.
    fn nearest(&self, workload: &Workload) -> Vec<(Schedule, Origin)> {
        let mut found: Vec<(f64, Kinship, &LayerDatabase, &Record)> = Vec::new();
        for layer in self.layers.all() {
            let kinship = self.kinship(layer);
            for record in layer.database.records().filter(|record| record.isa == self.target.isa) {
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
                source: source(layer, record),
            };
            (record.schedule.fitted(workload), origin)
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
        &self.layers.cpu
    }

    /// Threads that blocks will run on.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The databases, the topmost first.
    pub fn layers(&self) -> impl Iterator<Item = &LayerDatabase> {
        self.layers.all()
    }

    /// What was wrong with the files of the layers; empty where nothing was.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The home of a record.
fn source(layer: &LayerDatabase, record: &Record) -> Source {
    Source {
        layer: layer.layer,
        path: layer.path.clone(),
        cpu: layer.database.cpu().file_stem(),
        code_generation: record.provenance.code_generation,
    }
}
