//! What Linux tells under `/sys/devices/system/cpu/cpu0`. Nothing elsewhere, nor where it is masked.

use std::fs;
use std::path::Path;

use super::{Caches, CoreKind};

pub(super) fn caches() -> Caches {
    of_folder(Path::new("/sys/devices/system/cpu/cpu0/cache"))
}

/// Reads `index0`, `index1`, … each with `level`, `type` and `size`.
fn of_folder(folder: &Path) -> Caches {
    let mut caches = Caches::default();
    for index in 0..8 {
        let read = |name: &str| {
            let text = fs::read_to_string(folder.join(format!("index{index}")).join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        let (Some(level), Some(kind), Some(size)) = (read("level"), read("type"), read("size"))
        else {
            continue;
        };
        let Some(bytes) = bytes(&size).filter(|_| kind != "Instruction") else { continue };
        match level.as_str() {
            "1" => caches.l1 = bytes,
            "2" => caches.l2 = bytes,
            "3" => caches.l3 = bytes,
            _ => {}
        }
    }
    caches
}

/// `48K` or `2M` or plain bytes.
fn bytes(size: &str) -> Option<usize> {
    let (digits, unit) = match size.as_bytes().last()? {
        b'K' => (&size[..size.len() - 1], 1 << 10),
        b'M' => (&size[..size.len() - 1], 1 << 20),
        _ => (size, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// Kind of the cores that this process may use: hybrid x86 CPUs list both kinds, other CPUs none.
pub(super) fn core_kind() -> CoreKind {
    let allowed = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(line.trim().to_owned())
    });
    core_kind_of(Path::new("/sys/devices"), allowed.as_deref())
}

/// Reads `cpu_core/cpus` and `cpu_atom/cpus`, and finds the allowed ones in them.
fn core_kind_of(folder: &Path, allowed: Option<&str>) -> CoreKind {
    let list = |name: &str| fs::read_to_string(folder.join(name).join("cpus")).ok();
    let (Some(large), Some(small)) = (list("cpu_core"), list("cpu_atom")) else {
        return CoreKind::Uniform;
    };
    let small_ranges = ranges(&small);
    let is_small =
        |core: u32| small_ranges.iter().any(|&(first, last)| (first..=last).contains(&core));
    let allowed = ranges(allowed.unwrap_or(&large));
    let mut ends = allowed.iter().flat_map(|&(first, last)| first..=last);
    let only_small = ends.next().is_some_and(is_small) && ends.all(is_small);
    if only_small { CoreKind::Efficiency } else { CoreKind::Performance }
}

/// `0-3,8` as first and last of each range; nonsense is left out.
fn ranges(list: &str) -> Vec<(u32, u32)> {
    /// More cores than any machine has, so that nonsense ends.
    const MOST_CORES: u32 = 1 << 16;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range: (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (range.0 <= range.1 && range.1 < MOST_CORES).then_some(range)
    };
    list.trim().split(',').filter_map(range).collect()
}

/// Main ID register of the first core.
#[cfg(any(test, target_arch = "aarch64"))]
pub(super) fn midr() -> Option<u64> {
    let path = "/sys/devices/system/cpu/cpu0/regs/identification/midr_el1";
    let text = fs::read_to_string(path).ok()?;
    u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

/// Implementer, part, variant and revision of a main ID register.
#[cfg(any(test, target_arch = "aarch64"))]
pub(super) fn identity_of_midr(midr: u64) -> super::Identity {
    let bits = |from: u32, count: u32| ((midr >> from) & ((1 << count) - 1)) as u32;
    let (implementer, part) = (bits(24, 8), bits(4, 12));
    let vendor = match implementer {
        0x41 => "ARM",
        0x43 => "Cavium",
        0x46 => "Fujitsu",
        0x48 => "HiSilicon",
        0x4e => "NVIDIA",
        0x51 => "Qualcomm",
        0x61 => "Apple",
        0xc0 => "Ampere",
        _ => super::UNKNOWN,
    };
    super::Identity {
        vendor: vendor.to_owned(),
        family: implementer,
        model: part,
        stepping: bits(20, 4) * 16 + bits(0, 4),
        brand: format!("{vendor} part {part:#05x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_or_none() {
        assert_eq!(bytes("48K"), Some(48 << 10));
        assert_eq!(bytes("2M"), Some(2 << 20));
        assert_eq!(bytes("512"), Some(512));
        for nonsense in ["", "K", "x1K", "99999999999999999999K", "18446744073709551615K"] {
            assert_eq!(bytes(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn data_and_unified_caches_count_and_gaps_do_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        for (index, level, kind, size) in
            [(0, 1, "Data", "32K"), (1, 1, "Instruction", "64K"), (3, 2, "Unified", "1024K")]
        {
            let entry = folder.path().join(format!("index{index}"));
            fs::create_dir(&entry).unwrap();
            fs::write(entry.join("level"), format!("{level}\n")).unwrap();
            fs::write(entry.join("type"), format!("{kind}\n")).unwrap();
            fs::write(entry.join("size"), format!("{size}\n")).unwrap();
        }
        assert_eq!(of_folder(folder.path()), Caches { l1: 32 << 10, l2: 1 << 20, l3: 0 });
        assert_eq!(of_folder(Path::new("/nowhere")), Caches::default());
    }

    #[test]
    fn a_process_confined_to_small_cores_is_told_from_all_others() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(core_kind_of(folder.path(), Some("0-3")), CoreKind::Uniform);
        for (name, cpus) in [("cpu_core", "0-7\n"), ("cpu_atom", "8-11,14\n")] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("cpus"), cpus).unwrap();
        }
        for (allowed, kind) in [
            (Some("0-15"), CoreKind::Performance),
            (Some("7-9"), CoreKind::Performance),
            (Some("8,10-11,14"), CoreKind::Efficiency),
            (Some("13"), CoreKind::Performance),
            (Some("nonsense,9-8,4294967295"), CoreKind::Performance),
            (None, CoreKind::Performance),
        ] {
            assert_eq!(core_kind_of(folder.path(), allowed), kind, "{allowed:?}");
        }
    }

    #[test]
    fn a_main_id_register_names_implementer_and_part() {
        let graviton = identity_of_midr(0x413f_d0c1); // Neoverse N1, r3p1
        assert_eq!(graviton.vendor, "ARM");
        assert_eq!((graviton.family, graviton.model, graviton.stepping), (0x41, 0xd0c, 0x31));
        assert!(midr().is_none() || cfg!(target_arch = "aarch64"));
    }
}
