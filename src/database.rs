//! The file of records: for each workload the fastest schedule that tuning found on one CPU model,
//! as TOML that a person can review.
//!
//! ```toml
//! format = 1
//!
//! [cpu]
//! vendor = "GenuineIntel"
//! family = 6
//! # …
//!
//! [[record]]
//! workload = "f32 nchw 1x32x112x112 dw:3x3,p1,bias,relu6 pw:64,bias,relu6"
//! isa = "fma"
//! threads = 1
//! objective = "warm"
//! measurement = { median_us = 512.25, min_us = 508.1, spread_us = 1.5, samples = 40 }
//!
//! [record.schedule]
//! family = "pixels"
//! # …
//!
//! [record.provenance]
//! version = "0.1.0"
//! # …
//! ```
//!
//! What a file may hold and what becomes of it:
//!
//! * A record that does not parse is skipped with a [`LoadWarning`] that names file and line; its
//!   neighbours are kept. The same goes for a file that was cut off: every record before the cut
//!   is kept.
//! * A field that this version does not know is ignored with a warning; inside a schedule it spoils
//!   the record, whose meaning is then unknown.
//! * A file of a later `format` is an error, and is never written to.
//! * Sizes are bounded: 32 MiB, 20 000 records, 64 KiB for each record of a file beyond 1 MiB, 256
//!   bytes for each text, 4096 threads.
//!
//! Records are ordered by workload, instruction set, threads and objective, so that retuning a
//! workload changes the lines of that workload only.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dsconv_kernels::{Isa, Workload};
use etcetera::BaseStrategy;

use crate::cpu::CpuModel;

mod commit;
mod error;
mod format;
mod merge;
mod record;
mod salvage;
mod shipped;

pub use error::{DatabaseError, LoadWarning, Loaded, OtherCpu};
pub use merge::{MergePolicy, Merged, Pruned};
pub(crate) use record::{MOST_THREADS, fault_of_text};
pub use record::{Measurement, Objective, Provenance, Record, RunnerUp};

/// The environment variable that names the folder of [`Database::user_path`].
pub const CACHE_VARIABLE: &str = "DSCONV_CACHE";

/// Records of one CPU model.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    cpu: CpuModel,
    records: BTreeMap<Key, Record>,
}

/// What makes two records rivals: the later one replaces the earlier one.
type Key = (String, Isa, usize, Objective);

impl Database {
    /// No records yet.
    pub fn new(cpu: CpuModel) -> Self {
        Self { cpu, records: BTreeMap::new() }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is too large, names no CPU or no format, or is of a later
    /// format. Bad records are warnings instead.
    pub fn load(path: &Path) -> Result<Loaded, DatabaseError> {
        Self::from_toml(&commit::read(path)?, path)
    }

    /// Reads the text of a file; `origin` is what warnings and errors name.
    ///
    /// # Errors
    ///
    /// As [`Database::load`].
    pub fn from_toml(text: &str, origin: &Path) -> Result<Loaded, DatabaseError> {
        format::parse(text, origin)
    }

    /// The text of a file with these records.
    pub fn to_toml(&self) -> String {
        format::print(self)
    }

    /// The records shipped with this crate for a CPU model, where there are any.
    pub fn shipped(cpu: &CpuModel) -> Option<Self> {
        shipped::find(&cpu.file_stem())
    }

    /// The records shipped with this crate for all other CPU models, one database for each.
    pub fn shipped_for_others(cpu: &CpuModel) -> impl Iterator<Item = Self> + use<> {
        shipped::others(cpu.file_stem())
    }

    /// The CPU model that the records were measured on.
    pub fn cpu(&self) -> &CpuModel {
        &self.cpu
    }

    /// The records, in the order of the file.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record of a workload: the one for warm caches, else the one for cold caches.
    pub fn lookup(&self, workload: &Workload, isa: Isa, threads: usize) -> Option<&Record> {
        let text = workload.to_string();
        [Objective::Warm, Objective::Cold]
            .into_iter()
            .find_map(|objective| self.records.get(&(text.clone(), isa, threads, objective)))
    }

    /// Adds a record; one with the same workload, instruction set, threads and objective goes.
    pub fn insert(&mut self, record: Record) {
        let key = (record.workload.to_string(), record.isa, record.threads, record.objective);
        self.records.insert(key, record);
    }

    /// The record of a workload for an objective.
    pub fn find(
        &self,
        workload: &Workload,
        isa: Isa,
        threads: usize,
        objective: Objective,
    ) -> Option<&Record> {
        self.records.get(&(workload.to_string(), isa, threads, objective))
    }

    /// Adds the records of another database, which win over those with the same key.
    ///
    /// # Errors
    ///
    /// When the other was measured on another CPU model; nothing was added then.
    pub fn merge(&mut self, other: Self) -> Result<(), OtherCpu> {
        self.merge_by(other, MergePolicy::Replace).map(|_| ())
    }

    /// Adds the records of another database; where both have one with the same key, the policy
    /// decides.
    ///
    /// # Errors
    ///
    /// When the other was measured on another CPU model; nothing was added then.
    pub fn merge_by(&mut self, other: Self, policy: MergePolicy) -> Result<Merged, OtherCpu> {
        if !self.cpu.is_same_model(&other.cpu) {
            let (found, expected) = (other.cpu.file_stem(), self.cpu.file_stem());
            return Err(OtherCpu { found, expected });
        }
        let mut merged = Merged::default();
        for (key, record) in other.records {
            match self.records.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(record);
                    merged.added += 1;
                }
                Entry::Occupied(mut place) => {
                    if *place.get() != record && policy.prefers(&record, place.get()) {
                        place.insert(record);
                        merged.replaced += 1;
                    } else {
                        merged.kept += 1;
                    }
                }
            }
        }
        Ok(merged)
    }

    /// Adds these records to a file, which is created with its folder where it does not exist.
    ///
    /// Records that are in the file and not here stay; of those in both, these win. The new text
    /// goes to a temporary file in the same folder, which then takes the file's place, so a reader
    /// sees the old file or the new one and never a part. Writers take turns by a lock on
    /// `<file>.lock`; what is committed when this returns survives a power cut. Where a part of the
    /// old file could not be read, the old file stays as `<file>.bak`, or `<file>.bak.1` and so on
    /// where there is such a file already.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or when the file is no database, is of a later format
    /// or of another CPU model. The file is then as it was.
    pub fn commit(&self, path: &Path) -> Result<(), DatabaseError> {
        self.commit_by(path, MergePolicy::Replace).map(|_| ())
    }

    /// As [`Database::commit`]; of records that are in the file and here, the policy decides.
    ///
    /// # Errors
    ///
    /// As [`Database::commit`].
    pub fn commit_by(&self, path: &Path, policy: MergePolicy) -> Result<Merged, DatabaseError> {
        commit::commit(self, path, policy)
    }

    /// Takes records out of a file, as safely as [`Database::commit`] adds some. The file as it was
    /// stays beside it; where nothing is taken out, the file is not touched.
    ///
    /// # Errors
    ///
    /// When the file is not there, is no database or of a later format, or cannot be written. It is
    /// then as it was.
    pub fn prune(
        path: &Path,
        is_dropped: impl FnMut(&Record) -> bool,
    ) -> Result<Pruned, DatabaseError> {
        commit::prune(path, is_dropped)
    }

    /// Where the user's records of a CPU model are kept: `dsconv/<file_stem>.toml` in the cache
    /// folder of the platform's convention (`$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`,
    /// `%LOCALAPPDATA%`), or `<file_stem>.toml` in the folder that [`CACHE_VARIABLE`] names.
    /// `None` where there is no home folder.
    pub fn user_path(cpu: &CpuModel) -> Option<PathBuf> {
        user_file(cpu, std::env::var_os(CACHE_VARIABLE))
    }
}

fn user_file(cpu: &CpuModel, folder: Option<OsString>) -> Option<PathBuf> {
    let file = format!("{}.toml", cpu.file_stem());
    match folder.filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(PathBuf::from(folder).join(file)),
        None => {
            let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
            Some(folders.cache_dir().join("dsconv").join(file))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_is_named_after_the_cpu_and_the_variable_moves_it() {
        let cpu = CpuModel::host();
        let file = format!("{}.toml", cpu.file_stem());
        let moved = user_file(&cpu, Some("some/folder".into())).unwrap();
        assert_eq!(moved, Path::new("some/folder").join(&file));
        for unset in [None, Some(OsString::new())] {
            if let Some(path) = user_file(&cpu, unset) {
                assert!(path.ends_with(Path::new("dsconv").join(&file)), "{}", path.display());
                assert!(path.is_absolute(), "{}", path.display());
            }
        }
    }
}
