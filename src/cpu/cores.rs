//! Which cores there are, of which kinds, and which of them this process may use, as Linux tells.
//! Elsewhere nothing is known.
//!
//! ```
//! use dsconv::cpu::CoreList;
//!
//! let cores = CoreList::parse("0-3,8");
//! assert_eq!(cores.iter().count(), 5);
//! assert!(cores.contains(8) && !cores.contains(4));
//! assert_eq!(cores.to_string(), "0-3,8");
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::CoreKind;
use super::midr::Midr;

/// Numbers of cores. Prints, and is serialised, in the form that Linux reads and writes: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreList {
    /// First and last of each range.
    ranges: Vec<(u32, u32)>,
}

/// Cores by their kind, on a CPU that has several.
///
/// Intel's hybrid CPUs list theirs. On ARM cores are alike if they are the same part: those parts
/// whose fastest core has the least capacity are small, all others large. So of three kinds, as in
/// phones, the middle one is large: it reorders instructions and has wide multiply-add units as the
/// largest has, and the little one, built to save power, has not. What tells the middle from the
/// largest is the model, which differs ([`CpuModel`](super::CpuModel)). Cores of one part that
/// differ in capacity differ in their clock, and the same schedules are fastest on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreKinds {
    /// Large cores.
    pub performance: CoreList,
    /// Small cores.
    pub efficiency: CoreList,
}

/// The cores that decide what the CPU of this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnCores {
    pub(super) kind: CoreKind,
    /// The largest that the process may use; the first of these.
    pub(super) largest: u32,
}

impl CoreList {
    /// Reads `0-3,8`; parts that are none are left out.
    pub fn parse(list: &str) -> Self {
        /// More cores than any machine has, so that nonsense ends.
        const MOST_CORES: u32 = 1 << 16;
        let range = |part: &str| {
            let part = part.trim();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range: (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            (range.0 <= range.1 && range.1 < MOST_CORES).then_some(range)
        };
        Self { ranges: list.split(',').filter_map(range).collect() }
    }

    /// Cores that are switched on. `root` is `/` but for tests.
    pub fn online(root: &Path) -> Option<Self> {
        Self::read(&root.join("sys/devices/system/cpu/online"))
    }

    /// Cores that this process may run on: its affinity mask. `root` is `/` but for tests.
    pub fn allowed(root: &Path) -> Option<Self> {
        let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(Self::parse(list)).filter(|list| !list.is_empty())
    }

    fn read(path: &Path) -> Option<Self> {
        let list = Self::parse(&fs::read_to_string(path).ok()?);
        (!list.is_empty()).then_some(list)
    }

    /// The numbers, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Whether a core is among them.
    pub fn contains(&self, core: u32) -> bool {
        self.ranges.iter().any(|&(first, last)| (first..=last).contains(&core))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<u32> for CoreList {
    fn from_iter<I: IntoIterator<Item = u32>>(cores: I) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for core in cores {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(core) => *last = core,
                _ => ranges.push((core, core)),
            }
        }
        Self { ranges }
    }
}

impl fmt::Display for CoreList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if first < last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for CoreList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl CoreKinds {
    /// The kinds; `None` where all cores are alike, or the platform does not tell. `root` is `/` but
    /// for tests.
    pub fn look(root: &Path) -> Option<Self> {
        Self::listed(root).or_else(|| Self::by_part(root, &capacities(root)))
    }

    fn listed(root: &Path) -> Option<Self> {
        let list = |name: &str| CoreList::read(&root.join("sys/devices").join(name).join("cpus"));
        Some(Self { performance: list("cpu_core")?, efficiency: list("cpu_atom")? })
    }

    fn by_part(root: &Path, capacities: &BTreeMap<u32, u32>) -> Option<Self> {
        // Most machines end here, with one file read for each core.
        if capacities.values().min() == capacities.values().max() {
            return None;
        }
        let part = |core: u32| Some((core, Midr::of_core(root, core)?.part()));
        let parts: BTreeMap<u32, (u32, u32)> =
            capacities.keys().map(|&core| part(core)).collect::<Option<_>>()?;
        let mut most = BTreeMap::new();
        for (core, part) in &parts {
            let most = most.entry(part).or_insert(0);
            *most = capacities[core].max(*most);
        }
        let least = most.values().min()?;
        let of = |is_small: bool| -> CoreList {
            let cores = parts.iter().filter(|(_, part)| (most[part] == *least) == is_small);
            cores.map(|(&core, _)| core).collect()
        };
        let kinds = Self { performance: of(false), efficiency: of(true) };
        (!kinds.performance.is_empty()).then_some(kinds)
    }
}

impl OwnCores {
    /// Of a process that may use several kinds, the largest cores decide: schedulers put work on
    /// them first.
    pub(super) fn look(root: &Path) -> Self {
        let capacities = capacities(root);
        let kinds = CoreKinds::listed(root).or_else(|| CoreKinds::by_part(root, &capacities));
        let is_small =
            |core: u32| kinds.as_ref().is_some_and(|kinds| kinds.efficiency.contains(core));
        let online = CoreList::online(root);
        let is_online = |core: u32| online.as_ref().is_none_or(|online| online.contains(core));
        let usable = CoreList::allowed(root).or_else(|| online.clone()).unwrap_or_default();
        let size = |core: u32| (!is_small(core), capacities.get(&core).copied());
        let usable = usable.iter().filter(|&core| is_online(core));
        let largest = usable.min_by_key(|&core| Reverse(size(core)));
        let kind = match &kinds {
            None => CoreKind::Uniform,
            Some(_) if largest.is_some_and(is_small) => CoreKind::Efficiency,
            Some(_) => CoreKind::Performance,
        };
        Self { kind, largest: largest.unwrap_or(0) }
    }
}

/// How fast each core is that is switched on, the fastest of the machine being 1024.
fn capacities(root: &Path) -> BTreeMap<u32, u32> {
    let online = CoreList::online(root).unwrap_or_default();
    let capacity = |core: u32| {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpu_capacity");
        let text = fs::read_to_string(root.join(path)).ok()?;
        Some((core, text.trim().parse().ok()?))
    };
    online.iter().filter_map(capacity).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::cpu::tests::root;

    /// Little, middle and large cores of a phone: Cortex-A55, A78 and X1.
    const PHONE: [(u32, u32); 8] = [
        (0x412f_d050, 250),
        (0x412f_d050, 250),
        (0x412f_d050, 250),
        (0x412f_d050, 250),
        (0x411f_d410, 850),
        (0x411f_d410, 850),
        (0x411f_d410, 850),
        (0x411f_d440, 1024),
    ];

    /// An ARM machine of cores with a main ID register and a capacity.
    fn arm(cores: &[(u32, u32)], allowed: &str) -> TempDir {
        let status = format!("Name:\tx\nCpus_allowed_list:\t{allowed}\n");
        let mut files = vec![
            ("proc/self/status".to_owned(), status),
            ("sys/devices/system/cpu/online".to_owned(), format!("0-{}\n", cores.len() - 1)),
        ];
        for (core, (midr, capacity)) in cores.iter().enumerate() {
            let folder = format!("sys/devices/system/cpu/cpu{core}");
            files.push((format!("{folder}/cpu_capacity"), format!("{capacity}\n")));
            let file = format!("{folder}/regs/identification/midr_el1");
            files.push((file, format!("{midr:#018x}\n")));
        }
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        root(&files)
    }

    fn own(cores: &[(u32, u32)], allowed: &str) -> (CoreKind, u32) {
        let OwnCores { kind, largest } = OwnCores::look(arm(cores, allowed).path());
        (kind, largest)
    }

    fn kinds(cores: &[(u32, u32)]) -> Option<(String, String)> {
        let kinds = CoreKinds::look(arm(cores, "0").path())?;
        Some((kinds.performance.to_string(), kinds.efficiency.to_string()))
    }

    #[test]
    fn lists_are_read_and_printed_in_the_form_of_linux() {
        for list in ["", "0", "0-3,8", "8-11,14", "5,3"] {
            assert_eq!(CoreList::parse(list).to_string(), list);
        }
        let list = CoreList::parse(" 0-1, 4\n");
        assert_eq!(list.iter().collect::<Vec<_>>(), [0, 1, 4]);
        assert_eq!(list, [0, 1, 4].into_iter().collect());
        assert!(CoreList::parse("nonsense,9-8,4294967295,-1").is_empty());
    }

    #[test]
    fn a_process_confined_to_small_cores_is_told_from_all_others() {
        let of = |status: Option<&str>, is_hybrid: bool| {
            let mut files = Vec::new();
            files.extend(status.map(|status| ("proc/self/status", status)));
            if is_hybrid {
                files.push(("sys/devices/cpu_core/cpus", "0-7\n"));
                files.push(("sys/devices/cpu_atom/cpus", "8-11,14\n"));
            }
            OwnCores::look(root(&files).path()).kind
        };
        assert_eq!(of(Some("Cpus_allowed_list:\t0-3\n"), false), CoreKind::Uniform);
        assert_eq!(of(None, true), CoreKind::Performance);
        for (allowed, kind) in [
            ("0-15", CoreKind::Performance),
            ("7-9", CoreKind::Performance),
            ("8,10-11,14", CoreKind::Efficiency),
            ("13", CoreKind::Performance),
            ("nonsense,9-8,4294967295", CoreKind::Performance),
        ] {
            let status = format!("Cpus_allowed_list:\t{allowed}\n");
            assert_eq!(of(Some(&status), true), kind, "{allowed:?}");
        }
    }

    #[test]
    fn of_three_parts_only_the_one_of_least_capacity_is_small() {
        assert_eq!(kinds(&PHONE), Some(("4-7".to_owned(), "0-3".to_owned())));
        for (allowed, expected) in [
            ("0-7", (CoreKind::Performance, 7)),
            ("0-3", (CoreKind::Efficiency, 0)),
            ("2", (CoreKind::Efficiency, 2)),
            ("4-6", (CoreKind::Performance, 4)),
            ("3-5", (CoreKind::Performance, 4)),
            ("7", (CoreKind::Performance, 7)),
        ] {
            assert_eq!(own(&PHONE, allowed), expected, "{allowed}");
        }
    }

    #[test]
    fn the_main_id_register_is_that_of_the_largest_core_that_the_process_may_use() {
        let model = |allowed: &str| {
            let root = arm(&PHONE, allowed);
            let core = OwnCores::look(root.path()).largest;
            Midr::of_core(root.path(), core).expect("each core has one").identity().model
        };
        assert_eq!(["0-7", "4-6", "0-6", "0-3"].map(model), [0xd44, 0xd41, 0xd41, 0xd05]);
    }

    #[test]
    fn cores_of_one_part_are_alike_whatever_their_clock() {
        let (slow, fast) = ((0x410f_d034, 700), (0x410f_d034, 1024)); // Cortex-A53 twice
        assert_eq!(kinds(&[slow, slow, fast, fast]), None);
        assert_eq!(own(&[slow, slow, fast, fast], "0-3"), (CoreKind::Uniform, 2));
        // The large ones have two clocks.
        let little = (0x412f_d050, 300);
        let fastest = (0x413f_d0b0, 1024);
        let middle = (0x413f_d0b0, 870);
        let expected = Some(("2-3".to_owned(), "0-1".to_owned()));
        assert_eq!(kinds(&[little, little, middle, fastest]), expected);
        // Steppings of one part.
        assert_eq!(kinds(&[(0x413f_d0b0, 900), (0x414f_d0b1, 1024)]), None);
    }

    #[test]
    fn parts_of_equal_capacity_and_machines_that_do_not_tell_are_uniform() {
        let equal = [(0x412f_d050, 1024), (0x411f_d440, 1024)];
        assert_eq!(own(&equal, "0-1"), (CoreKind::Uniform, 0));
        assert_eq!(own(&equal, "1"), (CoreKind::Uniform, 1));
        let nothing = OwnCores { kind: CoreKind::Uniform, largest: 0 };
        assert_eq!(OwnCores::look(root(&[]).path()), nothing);
        // Capacities differ, but nothing says that the cores do.
        let root = root(&[
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("sys/devices/system/cpu/cpu0/cpu_capacity", "1024\n"),
            ("sys/devices/system/cpu/cpu1/cpu_capacity", "980\n"),
        ]);
        assert_eq!(CoreKinds::look(root.path()), None);
    }

    #[test]
    fn cores_that_are_switched_off_do_not_count() {
        let root = arm(&PHONE, "0-7");
        let online = root.path().join("sys/devices/system/cpu/online");
        fs::write(&online, "0-5\n").expect("a file");
        let expected = OwnCores { kind: CoreKind::Performance, largest: 4 };
        assert_eq!(OwnCores::look(root.path()), expected);
        fs::write(online, "1-3\n").expect("a file");
        let expected = OwnCores { kind: CoreKind::Uniform, largest: 1 };
        assert_eq!(OwnCores::look(root.path()), expected);
    }
}
