//! What Linux tells of the caches of a core. Nothing elsewhere, nor where it is masked.

use std::fs;
use std::path::Path;

use super::Caches;

pub(super) fn caches(root: &Path, core: u32) -> Caches {
    of_folder(&root.join(format!("sys/devices/system/cpu/cpu{core}/cache")))
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
}
