//! The CPU this process runs on: its model, usable features, caches, and the cores it may use.
//!
//! ```
//! let cpu = dsconv::cpu::CpuModel::host();
//! println!("{} keeps its records in {}.toml", cpu.brand, cpu.file_stem());
//! assert!(dsconv::cpu::available_cores() >= 1);
//! ```

use std::num::NonZero;
use std::path::Path;
use std::sync::OnceLock;

use dsconv_kernels::Target;
use serde::{Deserialize, Serialize};

use crate::database::fault_of_text;
use cores::OwnCores;

#[cfg(target_arch = "aarch64")]
#[path = "cpu/aarch64.rs"]
mod arch;
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
#[path = "cpu/other.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "cpu/x86_64.rs"]
mod arch;
mod cores;
mod midr;
mod sysfs;

pub use cores::{CoreKinds, CoreList};

/// A CPU model as far as it decides which schedule is fastest. Where the CPU has several kinds of
/// cores, it describes the largest that the process may use: on ARM they differ in all of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuModel {
    /// `GenuineIntel`, `AuthenticAMD`; on ARM the implementer, such as `ARM`; `unknown` where the
    /// platform does not tell.
    pub vendor: String,
    /// Family; on ARM the implementer's code.
    pub family: u32,
    /// Model within the family; on ARM the part number.
    pub model: u32,
    /// Revision of the model; on ARM the variant times 16 plus the revision.
    pub stepping: u32,
    /// Kind of the cores that the process may use, where the CPU has several ([`CoreKinds`]).
    #[serde(default, skip_serializing_if = "CoreKind::is_uniform")]
    pub core_kind: CoreKind,
    /// The name that the CPU gives itself; may be empty.
    pub brand: String,
    /// Instruction set extensions that generated code may use: the CPU has them and the operating
    /// system saves their registers. Sorted by name, as `std` names them.
    pub features: Vec<String>,
    /// Bytes of a core's first-level data cache; 0 where the platform does not tell.
    pub l1_bytes: usize,
    /// Bytes of a core's second-level cache; 0 where the platform does not tell.
    pub l2_bytes: usize,
    /// Bytes of the shared third-level cache; 0 where there is none or the platform does not tell.
    pub l3_bytes: usize,
}

/// Kind of core on a CPU that has several; their microarchitectures differ, and so do the schedules
/// that are fastest on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreKind {
    /// All cores are alike, or the platform does not tell.
    #[default]
    Uniform,
    /// Large cores, or a mixture: schedulers put work on the large ones first.
    Performance,
    /// Small cores only; of three kinds the smallest.
    Efficiency,
}

impl CoreKind {
    fn is_uniform(&self) -> bool {
        *self == Self::Uniform
    }
}

/// More than a cache has. Cost models multiply it, and a hypervisor may tell nonsense.
const MOST_CACHE_BYTES: usize = 1 << 30;

/// Vendor of a CPU on a platform that does not tell.
const UNKNOWN: &str = "unknown";

/// Data caches of one core, in bytes; 0 where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Caches {
    l1: usize,
    l2: usize,
    l3: usize,
}

/// Who made the CPU and what it is called.
#[derive(Debug)]
struct Identity {
    vendor: String,
    family: u32,
    model: u32,
    stepping: u32,
    brand: String,
}

impl CpuModel {
    /// The CPU of this process. Read once: an affinity mask that is set afterwards changes nothing.
    pub fn host() -> Self {
        static HOST: OnceLock<CpuModel> = OnceLock::new();
        HOST.get_or_init(Self::detect).clone()
    }

    fn detect() -> Self {
        let root = Path::new("/");
        let cores = OwnCores::look(root);
        let Identity { vendor, family, model, stepping, brand } = arch::identity(cores.largest);
        let mut features: Vec<String> = arch::features().into_iter().map(str::to_owned).collect();
        features.sort();
        let (asked, listed) = (arch::caches(), sysfs::caches(root, cores.largest));
        let (asked, listed) = (asked.plausible(), listed.plausible());
        // The core that is asked is the one that this thread happens to be on.
        let caches =
            if cores.kind == CoreKind::Uniform { asked.or(listed) } else { listed.or(asked) };
        Self {
            vendor,
            family,
            model,
            stepping,
            core_kind: cores.kind,
            brand,
            features,
            l1_bytes: caches.l1,
            l2_bytes: caches.l2,
            l3_bytes: caches.l3,
        }
    }

    /// Name of this model's database file, without its extension: `genuineintel-6-143-8`, or
    /// `genuineintel-6-154-3-efficiency` for its small cores. Holds only lower-case letters, digits
    /// and `-`.
    pub fn file_stem(&self) -> String {
        let mut vendor: String = self
            .vendor
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .take(32)
            .collect();
        if vendor.is_empty() {
            vendor.push_str(UNKNOWN);
        }
        let kind = if self.core_kind == CoreKind::Efficiency { "-efficiency" } else { "" };
        format!("{vendor}-{}-{}-{}{kind}", self.family, self.model, self.stepping)
    }

    /// Whether both are the same model, stepping included: their records belong in one file.
    pub fn is_same_model(&self, other: &Self) -> bool {
        self.is_same_microarchitecture(other) && self.stepping == other.stepping
    }

    /// Whether both have the private caches of the same size, as far as is known. A hypervisor may
    /// show other sizes than the bare machine has.
    pub fn has_same_caches(&self, other: &Self) -> bool {
        let agree = |one: usize, other: usize| one == other || one == 0 || other == 0;
        agree(self.l1_bytes, other.l1_bytes) && agree(self.l2_bytes, other.l2_bytes)
    }

    /// Whether both are the same vendor, family, model and kind of core, of whatever stepping.
    /// Where the platform does not tell the vendor, features and caches must agree, too.
    pub fn is_same_microarchitecture(&self, other: &Self) -> bool {
        let identity = |cpu: &Self| {
            let is_small = cpu.core_kind == CoreKind::Efficiency;
            (cpu.vendor.to_ascii_lowercase(), cpu.family, cpu.model, is_small)
        };
        let caches = |cpu: &Self| (cpu.l1_bytes, cpu.l2_bytes, cpu.l3_bytes);
        let is_alike = || self.features == other.features && caches(self) == caches(other);
        identity(self) == identity(other) && (self.vendor != UNKNOWN || is_alike())
    }

    /// Whether both are known to be of one vendor.
    pub fn is_same_vendor(&self, other: &Self) -> bool {
        self.vendor.eq_ignore_ascii_case(&other.vendor) && self.vendor != UNKNOWN
    }

    /// What is wrong with values of a stranger's file that fit their types.
    pub(crate) fn fault(&self) -> Option<String> {
        const MOST_FEATURES: usize = 256;
        for (name, bytes) in
            [("l1_bytes", self.l1_bytes), ("l2_bytes", self.l2_bytes), ("l3_bytes", self.l3_bytes)]
        {
            if bytes > MOST_CACHE_BYTES {
                return Some(format!("`{name}` is {bytes}, must be at most {MOST_CACHE_BYTES}"));
            }
        }
        let count = self.features.len();
        if count > MOST_FEATURES {
            return Some(format!("{count} `features`, must be at most {MOST_FEATURES}"));
        }
        let features = self.features.iter().map(|feature| ("features", feature));
        [("vendor", &self.vendor), ("brand", &self.brand)]
            .into_iter()
            .chain(features)
            .find_map(|(name, text)| fault_of_text(name, text))
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Identity {
    fn unknown() -> Self {
        let (vendor, brand) = (UNKNOWN.to_owned(), String::new());
        Self { vendor, family: 0, model: 0, stepping: 0, brand }
    }
}

impl Caches {
    /// These sizes, but for those that no cache has.
    fn plausible(self) -> Self {
        let known = |bytes| if bytes <= MOST_CACHE_BYTES { bytes } else { 0 };
        Self { l1: known(self.l1), l2: known(self.l2), l3: known(self.l3) }
    }

    /// These sizes, and the others' where these are unknown.
    fn or(self, other: Self) -> Self {
        let pick = |own, other| if own > 0 { own } else { other };
        Self {
            l1: pick(self.l1, other.l1),
            l2: pick(self.l2, other.l2),
            l3: pick(self.l3, other.l3),
        }
    }
}

/// [`Target::host`] with the cache sizes and the width of the ports of this CPU, where the platform
/// tells them.
pub fn host_target() -> Target {
    let target = Target::host();
    let cpu = CpuModel::host();
    let known = |bytes, guess| if bytes > 0 { bytes } else { guess };
    let (l1_bytes, l2_bytes) =
        (known(cpu.l1_bytes, target.l1_bytes), known(cpu.l2_bytes, target.l2_bytes));
    let splits_vectors = arch::splits_vectors(target.isa);
    Target { splits_vectors, ..target.with_caches(l1_bytes, l2_bytes) }
}

/// Cores that this process may use: [`std::thread::available_parallelism`], which on Linux honours
/// the affinity mask and the cgroup's CPU quota, and never exceeds the machine. Asked anew at each
/// call, since quotas change.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A file system made of some files.
    pub(super) fn root(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        root
    }

    #[test]
    fn the_host_has_a_file_name_and_plausible_caches() {
        let cpu = CpuModel::host();
        assert_eq!(cpu, CpuModel::host());
        assert!(!cpu.file_stem().is_empty());
        if cpu.l1_bytes > 0 && cpu.l2_bytes > 0 {
            assert!((4 << 10..4 << 20).contains(&cpu.l1_bytes), "{cpu:?}");
            assert!(cpu.l2_bytes > cpu.l1_bytes, "{cpu:?}");
        }
        let mut sorted = cpu.features.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(cpu.features, sorted);
    }

    #[test]
    fn a_file_stem_cannot_leave_its_folder() {
        let cpu = CpuModel { vendor: "../Etc/\0 x".into(), stepping: 7, ..CpuModel::host() };
        let stem = cpu.file_stem();
        assert!(stem.starts_with("etcx-") && stem.ends_with("-7"), "{stem}");
        let cpu = CpuModel { vendor: "::".into(), ..cpu };
        assert!(cpu.file_stem().starts_with("unknown-"), "{}", cpu.file_stem());
    }

    #[test]
    fn models_differ_by_stepping_and_microarchitectures_by_model() {
        let cpu = CpuModel::host();
        let later = CpuModel { stepping: cpu.stepping + 1, ..cpu.clone() };
        let other = CpuModel { model: cpu.model + 1, ..cpu.clone() };
        assert!(cpu.is_same_model(&cpu) && cpu.is_same_microarchitecture(&later));
        assert!(!cpu.is_same_model(&later) && !cpu.is_same_microarchitecture(&other));
        let unknown = CpuModel { vendor: UNKNOWN.to_owned(), ..cpu.clone() };
        let larger = CpuModel { l2_bytes: unknown.l2_bytes + 1, ..unknown.clone() };
        assert!(unknown.is_same_model(&unknown) && !unknown.is_same_microarchitecture(&larger));
    }

    #[test]
    fn small_cores_are_another_model_with_a_file_of_their_own() {
        let large = CpuModel { core_kind: CoreKind::Performance, ..CpuModel::host() };
        let uniform = CpuModel { core_kind: CoreKind::Uniform, ..large.clone() };
        let small = CpuModel { core_kind: CoreKind::Efficiency, ..large.clone() };
        assert!(large.is_same_model(&uniform) && large.file_stem() == uniform.file_stem());
        assert!(!large.is_same_microarchitecture(&small) && !small.is_same_model(&large));
        assert_eq!(small.file_stem(), format!("{}-efficiency", large.file_stem()));
    }

    #[test]
    fn private_caches_of_unknown_size_agree_with_any() {
        let known = CpuModel { l1_bytes: 1 << 15, l2_bytes: 1 << 20, ..CpuModel::host() };
        let larger = CpuModel { l2_bytes: 1 << 21, ..known.clone() };
        let unknown = CpuModel { l1_bytes: 0, l2_bytes: 0, ..known.clone() };
        assert!(known.has_same_caches(&known) && !known.has_same_caches(&larger));
        assert!(known.has_same_caches(&unknown) && unknown.has_same_caches(&larger));
    }

    #[test]
    fn the_process_may_use_a_core() {
        assert!(available_cores() >= 1);
    }
}
