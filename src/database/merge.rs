//! Which of two records of the same key stays, and what became of all of them.

use std::cmp::Ordering;

use super::Record;

/// Which of two records stays that are for the same workload, instruction set, threads and
/// objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergePolicy {
    /// The one that is added.
    #[default]
    Replace,
    /// The one with the lower median; of equals, the newer one, then that of later generated code.
    Best,
    /// The one with the later date; of equals, the one with the lower median, then that of later
    /// generated code. A date that is not of the form `2026-01-02T03:04:05Z` counts as the oldest.
    Newest,
}

/// What became of records that were added to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Records that had no rival.
    pub added: usize,
    /// Records that took a rival's place.
    pub replaced: usize,
    /// Records whose rival stayed, or was the same.
    pub kept: usize,
}

/// What became of a file of records after some were taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// The records that were taken out.
    pub records: Vec<Record>,
    /// Number of records left.
    pub left: usize,
    /// A copy of the file as it was, where anything was taken out.
    pub backup: Option<std::path::PathBuf>,
}

impl MergePolicy {
    /// Whether a record takes the place of its rival.
    pub(super) fn prefers(self, added: &Record, present: &Record) -> bool {
        let faster = || present.measurement.median_us.total_cmp(&added.measurement.median_us);
        let newer = || added.provenance.sortable_date().cmp(&present.provenance.sortable_date());
        let [added_code, present_code] =
            [added, present].map(|record| record.provenance.code_generation);
        let order = match self {
            Self::Replace => return true,
            Self::Best => faster().then_with(newer),
            Self::Newest => newer().then_with(faster),
        };
        order.then(added_code.cmp(&present_code)) == Ordering::Greater
    }
}
