//! MIDR_EL1, the main ID register of the ARM architecture reference manual, as Linux shows that of
//! each core. Other architectures have none.

use std::fs;
use std::path::Path;

use super::{Identity, UNKNOWN};

/// Main ID register of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Midr(u64);

impl Midr {
    /// The register of a core: what sysfs tells, else `/proc/cpuinfo`.
    pub(super) fn of_core(root: &Path, core: u32) -> Option<Self> {
        let path = format!("sys/devices/system/cpu/cpu{core}/regs/identification/midr_el1");
        match fs::read_to_string(root.join(path)) {
            Ok(text) => number(&text).map(Self),
            Err(_) => Self::of_cpuinfo(&fs::read_to_string(root.join("proc/cpuinfo")).ok()?, core),
        }
    }

    /// Puts the register together from the lines `CPU part : 0xd0c` and so on that follow
    /// `processor : 3`.
    fn of_cpuinfo(text: &str, core: u32) -> Option<Self> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let lines = lines.map(|(name, value)| (name.trim(), value.trim()));
        let own: Vec<(&str, &str)> = lines
            .skip_while(|&(name, value)| name != "processor" || value.parse() != Ok(core))
            .skip(1)
            .take_while(|&(name, _)| name != "processor")
            .collect();
        let field = |name: &str, from: u32, count: u32| {
            let (_, value) = own.iter().find(|(known, _)| *known == name)?;
            number(value).filter(|&value| value < 1 << count).map(|value| value << from)
        };
        let (implementer, variant) =
            (field("CPU implementer", 24, 8)?, field("CPU variant", 20, 4)?);
        let (part, revision) = (field("CPU part", 4, 12)?, field("CPU revision", 0, 4)?);
        Some(Self(implementer | variant | part | revision))
    }

    fn bits(self, from: u32, count: u32) -> u32 {
        ((self.0 >> from) & ((1 << count) - 1)) as u32
    }

    /// Implementer and part number: what names a microarchitecture.
    pub(super) fn part(self) -> (u32, u32) {
        (self.bits(24, 8), self.bits(4, 12))
    }

    #[cfg_attr(not(any(test, target_arch = "aarch64")), expect(dead_code, reason = "of ARM"))]
    pub(super) fn identity(self) -> Identity {
        let (implementer, part) = self.part();
        let vendor = match implementer {
            0x41 => "ARM",
            0x43 => "Cavium",
            0x46 => "Fujitsu",
            0x48 => "HiSilicon",
            0x4e => "NVIDIA",
            0x51 => "Qualcomm",
            0x61 => "Apple",
            0xc0 => "Ampere",
            _ => UNKNOWN,
        };
        Identity {
            vendor: vendor.to_owned(),
            family: implementer,
            model: part,
            stepping: self.bits(20, 4) * 16 + self.bits(0, 4),
            brand: format!("{vendor} part {part:#05x}"),
        }
    }
}

/// `0x41`, or a decimal number.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::tests::root;

    #[test]
    fn a_main_id_register_names_implementer_and_part() {
        let graviton = Midr(0x413f_d0c1).identity(); // Neoverse N1, r3p1
        assert_eq!((graviton.vendor.as_str(), graviton.brand.as_str()), ("ARM", "ARM part 0xd0c"));
        assert_eq!((graviton.family, graviton.model, graviton.stepping), (0x41, 0xd0c, 0x31));
        assert_eq!(Midr(0x413f_d0c1).part(), (0x41, 0xd0c));
    }

    #[test]
    fn each_core_has_its_own_and_sysfs_comes_first() {
        let file = "sys/devices/system/cpu/cpu1/regs/identification/midr_el1";
        let block = |core: u32, part: &str, revision: u32| {
            format!(
                "processor\t: {core}\nBogoMIPS\t: 38.40\nFeatures\t: fp asimd\n\
                 CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\n\
                 CPU part\t: {part}\nCPU revision\t: {revision}\n\n"
            )
        };
        let cpuinfo = [block(0, "0xd05", 10), block(10, "0xd0b", 1), block(1, "0xd0b", 2)].concat();
        let root = root(&[("proc/cpuinfo", &cpuinfo), (file, "0x00000000413fd0c1\n")]);
        let of = |core: u32| Midr::of_core(root.path(), core);
        assert_eq!(of(0), Some(Midr(0x4130_d05a)));
        assert_eq!(of(10), Some(Midr(0x4130_d0b1)));
        assert_eq!(of(1), Some(Midr(0x413f_d0c1)));
        assert_eq!(of(2), None);
    }

    #[test]
    fn incomplete_and_impossible_fields_tell_nothing() {
        let text = "processor: 0\nCPU implementer: 0x41\nCPU variant: 0x3\nCPU part: 0xd05\n";
        assert_eq!(Midr::of_cpuinfo(text, 0), None);
        assert_eq!(Midr::of_cpuinfo(&format!("{text}CPU revision: 16\n"), 0), None);
        assert_eq!(Midr::of_cpuinfo(&format!("{text}CPU revision: x\n"), 0), None);
        assert!(Midr::of_cpuinfo(&format!("{text}CPU revision: 15\n"), 0).is_some());
        assert_eq!(Midr::of_cpuinfo("processor: 0\nvendor_id: GenuineIntel\n", 0), None);
    }
}
