//! What a dispatcher is made of: target, threads, layers.

use std::path::PathBuf;
use std::sync::Arc;

use dsconv_kernels::Target;

use super::layers::{Layers, Reader};
use super::{Dispatcher, Layer, LayerDatabase, OnMiss};
use crate::cpu::{self, CpuModel};
use crate::database::{Database, MOST_THREADS, Objective};

/// Makes a [`Dispatcher`].
#[derive(Clone, Debug)]
pub struct DispatcherBuilder {
    target: Option<Target>,
    cpu: Option<CpuModel>,
    threads: usize,
    objective: Objective,
    on_miss: OnMiss,
    layers: Vec<Layer>,
    project: Option<PathBuf>,
    databases: Vec<Database>,
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

impl Default for DispatcherBuilder {
    fn default() -> Self {
        Self {
            target: None,
            cpu: None,
            threads: 1,
            objective: Objective::Warm,
            on_miss: OnMiss::default(),
            layers: Layer::ALL.to_vec(),
            project: None,
            databases: Vec::new(),
        }
    }
}

impl DispatcherBuilder {
    /// Puts a database on top. It may be one of another CPU.
    pub fn database(mut self, database: Database) -> Self {
        self.databases.push(database);
        self
    }

    /// Whether a layer counts. By default all do.
    pub fn layer(mut self, layer: Layer, counts: bool) -> Self {
        self.layers.retain(|it| *it != layer);
        if counts {
            self.layers.push(layer);
        }
        self
    }

    /// Reads no files and uses nothing shipped: only databases given here count.
    pub fn only_given(self) -> Self {
        Self { layers: vec![Layer::Given], ..self }
    }

    /// The project's file, or its folder of files, one for each CPU model. By default it is the
    /// folder [`PROJECT_FOLDER`](super::PROJECT_FOLDER) in the working folder or the nearest one
    /// above it.
    pub fn project(self, path: impl Into<PathBuf>) -> Self {
        Self { project: Some(path.into()), ..self }
    }

    /// Whether to read the user's databases; short for [`DispatcherBuilder::layer`].
    pub fn user_database(self, read: bool) -> Self {
        self.layer(Layer::User, read)
    }

    /// Whether to use the records that come with the crate; short for
    /// [`DispatcherBuilder::layer`].
    pub fn shipped_databases(self, used: bool) -> Self {
        self.layer(Layer::Shipped, used)
    }

    /// State of the caches before runs: records for it come first. By default warm.
    pub fn objective(self, objective: Objective) -> Self {
        Self { objective, ..self }
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

    /// Reads the databases, but for those shipped for other CPU models, which wait until a workload
    /// has no record of this one.
    ///
    /// No file can make this fail, nor a missing folder or home: what is wrong with files is logged
    /// and kept in [`Dispatcher::warnings`].
    ///
    /// # Errors
    ///
    /// When the number of threads is zero or absurd.
    pub fn build(self) -> Result<Dispatcher, BuildError> {
        if !(1..=MOST_THREADS).contains(&self.threads) {
            return Err(BuildError::Threads { found: self.threads, limit: MOST_THREADS });
        }
        let cpu = self.cpu.unwrap_or_else(CpuModel::host);
        let mut reader = Reader { cpu: &cpu, warnings: Vec::new() };
        let mut read = Vec::new();
        let mut wanted = self.layers;
        wanted.sort();
        for &layer in wanted.iter().rev() {
            let given = |database| LayerDatabase { layer, path: None, database };
            match layer {
                Layer::Given => read.extend(self.databases.iter().rev().cloned().map(given)),
                _ => read.extend(reader.layer(layer, self.project.as_deref())),
            }
        }
        let warnings = reader.warnings;
        let layers = Layers::new(cpu, read, wanted.contains(&Layer::Shipped));
        Ok(Dispatcher {
            target: self.target.unwrap_or_else(cpu::host_target),
            threads: self.threads,
            objective: self.objective,
            on_miss: self.on_miss,
            layers: Arc::new(layers),
            warnings,
            told: Arc::default(),
        })
    }
}
