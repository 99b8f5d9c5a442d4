//! What CPUID tells. Leaves: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.

use std::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

use dsconv_kernels::Isa;

use super::{Caches, Identity};

/// All kinds of cores of a hybrid CPU tell the same.
pub(super) fn identity(_core: u32) -> Identity {
    let CpuidResult { eax: last_leaf, ebx, ecx, edx } = __cpuid(0);
    let vendor = text(&[ebx, edx, ecx]);
    let (family, model, stepping) =
        if last_leaf >= 1 { signature(__cpuid(1).eax) } else { (0, 0, 0) };
    Identity { vendor, family, model, stepping, brand: brand() }
}

/// Family, model and stepping of leaf 1.
fn signature(eax: u32) -> (u32, u32, u32) {
    let bits = |from: u32, count: u32| (eax >> from) & ((1 << count) - 1);
    let base = bits(8, 4);
    let family = if base == 15 { base + bits(20, 8) } else { base };
    let model = if matches!(base, 6 | 15) { (bits(16, 4) << 4) + bits(4, 4) } else { bits(4, 4) };
    (family, model, bits(0, 4))
}

fn brand() -> String {
    if __cpuid(0x8000_0000).eax < 0x8000_0004 {
        return String::new();
    }
    let registers: Vec<u32> = (0x8000_0002..=0x8000_0004)
        .map(__cpuid)
        .flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
        .collect();
    text(&registers)
}

/// Printable characters of registers, lowest byte first, without padding.
fn text(registers: &[u32]) -> String {
    let bytes = registers.iter().flat_map(|register| register.to_le_bytes());
    let printable = bytes.map(char::from).filter(|letter| (' '..='~').contains(letter));
    printable.collect::<String>().trim().to_owned()
}

/// Detection honours XCR0, so a feature that the operating system hides is not among these.
pub(super) fn features() -> Vec<&'static str> {
    let mut found = Vec::new();
    macro_rules! probe {
        ($($feature:tt)*) => {
            $(if std::arch::is_x86_feature_detected!($feature) { found.push($feature); })*
        };
    }
    probe!("sse2" "sse3" "ssse3" "sse4.1" "sse4.2" "avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "avxvnni");
    probe!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512vnni" "avx512bf16" "avx512fp16");
    found
}

/// AMD tells the width of its floating-point units in leaf 8000_001Ah; others split no vectors of 512
/// bits.
pub(super) fn splits_vectors(isa: Isa) -> bool {
    const IDENTIFIERS: u32 = 0x8000_001a;
    isa == Isa::Avx512
        && __cpuid(0x8000_0000).eax >= IDENTIFIERS
        && is_narrower_than_512(__cpuid(IDENTIFIERS).eax)
}

/// Whether the units are 128 or 256 bits wide, and not 512.
fn is_narrower_than_512(eax: u32) -> bool {
    let [fp128, fp256, fp512] = [0, 2, 3].map(|bit| eax & (1 << bit) != 0);
    (fp128 || fp256) && !fp512
}

pub(super) fn caches() -> Caches {
    let intel = if __cpuid(0).eax >= 4 { of_leaf(4) } else { Caches::default() };
    let amd = if __cpuid(0x8000_0000).eax >= 0x8000_001d {
        of_leaf(0x8000_001d)
    } else {
        Caches::default()
    };
    intel.or(amd)
}

/// Deterministic cache parameters: one subleaf per cache until one of type 0.
fn of_leaf(leaf: u32) -> Caches {
    /// More caches than any CPU has, so that a hypervisor's nonsense ends.
    const MOST_CACHES: u32 = 16;
    let mut caches = Caches::default();
    for subleaf in 0..MOST_CACHES {
        let entry = __cpuid_count(leaf, subleaf);
        match add(&mut caches, entry) {
            Some(()) => {}
            None => break,
        }
    }
    caches
}

/// Adds one entry; `None` after the last.
fn add(caches: &mut Caches, entry: CpuidResult) -> Option<()> {
    const INSTRUCTIONS: u32 = 2;
    let kind = entry.eax & 0x1f;
    if kind == 0 {
        return None;
    }
    let field = |from: u32, count: u32| ((entry.ebx >> from) & ((1 << count) - 1)) as usize + 1;
    let (line, partitions, ways) = (field(0, 12), field(12, 10), field(22, 10));
    let bytes = (entry.ecx as usize).saturating_add(1).saturating_mul(line * partitions * ways);
    if kind != INSTRUCTIONS {
        match (entry.eax >> 5) & 0x7 {
            1 => caches.l1 = bytes,
            2 => caches.l2 = bytes,
            3 => caches.l3 = bytes,
            _ => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_combine_the_extended_fields() {
        assert_eq!(signature(0x000a_0671), (6, 167, 1)); // Rocket Lake
        assert_eq!(signature(0x0008_06f8), (6, 143, 8)); // Sapphire Rapids
        assert_eq!(signature(0x00a6_0f12), (25, 97, 2)); // Zen 4
        assert_eq!(signature(0x0000_0513), (5, 1, 3)); // no extended fields in family 5
    }

    #[test]
    fn cache_entries_give_level_and_bytes() {
        let mut caches = Caches::default();
        for (eax, ebx, ecx) in [
            (0x0400_0121, 0x02c0_003f, 0x3f), // 12 ways, 64 sets: 48 KiB of data
            (0x0400_0122, 0x03c0_003f, 0x3f), // instructions: not counted
            (0x0400_0143, 0x03c0_003f, 0x7ff), // 16 ways, 2048 sets: 2 MiB
        ] {
            assert_eq!(add(&mut caches, CpuidResult { eax, ebx, ecx, edx: 0 }), Some(()));
        }
        assert_eq!(caches, Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 });
        assert_eq!(add(&mut caches, CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }), None);
    }

    #[test]
    fn the_width_of_the_units_is_told_by_amd_only() {
        assert!(is_narrower_than_512(0b0110)); // Zen 4
        assert!(!is_narrower_than_512(0b1010)); // 512 bits
        assert!(!is_narrower_than_512(0)); // reserved elsewhere
    }

    #[test]
    fn text_drops_padding() {
        assert_eq!(text(&[0x756e_6547, 0x4965_6e69, 0x6c65_746e]), "GenuineIntel");
        assert_eq!(text(&[0x2020_4120, 0]), "A");
    }
}
