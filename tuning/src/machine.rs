//! What a machine looks like to somebody who measures on it, and what should be mended first.
//!
//! ```
//! use std::path::Path;
//!
//! use dsconv_tuning::machine::Machine;
//!
//! let machine = Machine::look(Path::new("/"));
//! for advice in machine.advice(1) {
//!     println!("{advice}");
//! }
//! ```
//!
//! Everything is read from `/proc` and `/sys`; what a system does not tell stays unknown.

use std::fs;
use std::path::Path;

use dsconv::cpu::{CoreKinds, CoreList};
use serde::Serialize;

/// The machine's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// Cores that are switched on.
    pub online: Option<CoreList>,
    /// Cores that this process may run on.
    pub allowed: Option<CoreList>,
    /// CPU time that the control group may use, in cores.
    pub quota: Option<f64>,
    /// Performance cores, where there are several kinds ([`CoreKinds`]).
    pub performance_cores: Option<CoreList>,
    /// Efficiency cores, where there are several kinds.
    pub efficiency_cores: Option<CoreList>,
    /// Policy of the clock frequency.
    pub governor: Option<String>,
    /// Whether frequencies above the nominal one are switched off.
    pub turbo_off: Option<bool>,
    /// Whether a core runs two threads.
    pub smt: Option<bool>,
    /// Whether this is a virtual machine, and whose, where it is told.
    pub hypervisor: Option<String>,
    /// Runnable processes, averaged over a minute.
    pub load: Option<f64>,
}

/// Runnable processes beside ours from which on the machine is not quiet.
const QUIET_LOAD: f64 = 0.5;

impl Machine {
    /// Looks at the files below `root`, which is `/` but for tests.
    pub fn look(root: &Path) -> Self {
        let read = |path: &str| {
            let text = fs::read_to_string(root.join(path)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let cpu = "sys/devices/system/cpu";
        let (performance_cores, efficiency_cores) = CoreKinds::look(root)
            .map_or((None, None), |kinds| (Some(kinds.performance), Some(kinds.efficiency)));
        let cpuinfo = read("proc/cpuinfo").unwrap_or_default();
        let is_virtual = cpuinfo
            .lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split_ascii_whitespace().any(|flag| flag == "hypervisor"));
        let vendor = || read("sys/class/dmi/id/sys_vendor").unwrap_or("of unknown make".into());
        Self {
            online: CoreList::online(root),
            allowed: CoreList::allowed(root),
            quota: quota(root),
            performance_cores,
            efficiency_cores,
            governor: read(&format!("{cpu}/cpu0/cpufreq/scaling_governor")),
            turbo_off: read(&format!("{cpu}/intel_pstate/no_turbo"))
                .map(|text| text == "1")
                .or_else(|| read(&format!("{cpu}/cpufreq/boost")).map(|text| text == "0")),
            smt: read(&format!("{cpu}/smt/active")).map(|text| text == "1"),
            hypervisor: is_virtual.then(vendor),
            load: read("proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }

    /// Number of cores that this process may run on.
    pub fn allowed_cores(&self) -> Option<usize> {
        Some(self.allowed.as_ref()?.iter().count())
    }

    /// What to mend before measuring with `threads` threads, the worst first: each a sentence that
    /// says what is wrong and what to do.
    pub fn advice(&self, threads: usize) -> Vec<String> {
        let mut advice = Vec::new();
        let allowed = self.allowed_cores().unwrap_or(usize::MAX);
        if threads > allowed {
            advice.push(format!(
                "{threads} threads have {allowed} cores: tune with --threads {allowed}, or widen \
                 the affinity mask or cpuset"
            ));
        }
        if let Some(quota) = self.quota {
            let text = format!("{quota:.1}");
            if quota < threads as f64 {
                advice.push(format!(
                    "the CPU quota is {text} cores for {threads} threads: it will stop them in the \
                     middle of samples; raise it"
                ));
            } else if quota < allowed as f64 {
                advice.push(format!(
                    "a CPU quota of {text} cores stops everything once it is used up: give the \
                     container whole cores (a cpuset) instead of a quota"
                ));
            }
        }
        if let Some(load) = self.load.filter(|load| *load > QUIET_LOAD) {
            advice.push(format!(
                "the load is {load:.1}: end what else runs; records that are tuned now will say so"
            ));
        }
        if let Some(governor) = &self.governor
            && governor != "performance"
        {
            advice.push(format!(
                "the frequency governor is {governor}: set it to performance \
                 (cpupower frequency-set --governor performance)"
            ));
        }
        if let (Some(performance), Some(_)) = (&self.performance_cores, &self.efficiency_cores) {
            let mut allowed = self.allowed.iter().flat_map(CoreList::iter);
            if allowed.any(|core| !performance.contains(core)) {
                advice.push(format!(
                    "there are several kinds of cores: keep to one, the performance cores for instance \
                     (taskset --cpu-list {performance} autotune ...)"
                ));
            }
        }
        if self.smt == Some(true) {
            advice.push(
                "cores run two threads each: leave the sibling of a measuring one idle \
                 (taskset one thread per core)"
                    .to_owned(),
            );
        }
        if self.hypervisor.is_some() {
            advice.push(
                "a virtual machine: neighbours may come and go; ask for dedicated cores, and tune \
                 again at another time to compare"
                    .to_owned(),
            );
        }
        advice
    }
}

/// The quota of the control group, in cores: version 2's `cpu.max` or version 1's two files.
fn quota(root: &Path) -> Option<f64> {
    let files = |name: &str| {
        crate::contention::group_files_below(root, name)
            .into_iter()
            .find_map(|path| fs::read_to_string(path).ok())
    };
    let cores = |quota: &str, period: &str| {
        let quota: f64 = quota.trim().parse().ok()?;
        let period: f64 = period.trim().parse().ok()?;
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    };
    if let Some(text) = files("cpu.max") {
        let (quota, period) = text.trim().split_once(' ')?;
        return cores(quota, period);
    }
    cores(&files("cpu.cfs_quota_us")?, &files("cpu.cfs_period_us")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine made of files.
    fn machine(files: &[(&str, &str)]) -> Machine {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Machine::look(root.path())
    }

    const ALLOWED: (&str, &str) = ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3,6\n");

    #[test]
    fn a_machine_that_tells_nothing_gets_no_advice() {
        let machine = machine(&[]);
        assert_eq!(machine, Machine::default());
        assert_eq!(machine.advice(1), [""; 0]);
    }

    #[test]
    fn the_affinity_mask_is_counted_and_bounds_the_threads() {
        let machine = machine(&[ALLOWED]);
        assert_eq!(machine.allowed_cores(), Some(5));
        assert_eq!(machine.advice(5), [""; 0]);
        assert!(machine.advice(6)[0].contains("--threads 5"), "{:?}", machine.advice(6));
    }

    #[test]
    fn a_quota_is_read_from_either_version() {
        let second = ("proc/self/cgroup", "0::/a/b\n");
        let of_2 = machine(&[ALLOWED, second, ("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n")]);
        assert_eq!(of_2.quota, Some(1.5));
        assert!(of_2.advice(2)[0].contains("1.5 cores for 2 threads"));
        assert!(of_2.advice(1)[0].contains("cpuset"));
        let unlimited = machine(&[second, ("sys/fs/cgroup/cpu.max", "max 100000\n")]);
        assert_eq!(unlimited.quota, None);
        let of_1 = machine(&[
            ("proc/self/cgroup", "3:cpu,cpuacct:/x\n"),
            ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(of_1.quota, Some(2.0));
    }

    #[test]
    fn governor_load_threads_and_neighbours_are_named_with_a_remedy() {
        let machine = machine(&[
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/smt/active", "1\n"),
            ("proc/loadavg", "3.25 1.0 0.5 1/99 7\n"),
            ("proc/cpuinfo", "model name: x\nflags\t\t: fpu hypervisor avx2\n"),
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
        ]);
        assert_eq!(machine.hypervisor.as_deref(), Some("QEMU"));
        let advice = machine.advice(1).join("\n");
        for part in ["powersave", "cpupower", "load is 3.2", "two threads", "virtual machine"] {
            assert!(advice.contains(part), "{part} in {advice}");
        }
    }

    #[test]
    fn two_kinds_of_cores_are_told_apart() {
        let intel = machine(&[
            ALLOWED,
            ("sys/devices/cpu_core/cpus", "0-3\n"),
            ("sys/devices/cpu_atom/cpus", "4-7\n"),
        ]);
        assert!(intel.advice(1)[0].contains("--cpu-list 0-3"), "{:?}", intel.advice(1));
        let arm = machine(&[
            ("proc/self/status", "Cpus_allowed_list:\t0-1\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("sys/devices/system/cpu/cpu0/cpu_capacity", "400\n"),
            ("sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "0x412fd050\n"),
            ("sys/devices/system/cpu/cpu1/cpu_capacity", "1024\n"),
            ("sys/devices/system/cpu/cpu1/regs/identification/midr_el1", "0x411fd410\n"),
        ]);
        assert!(arm.advice(1)[0].contains("--cpu-list 1 "), "{:?}", arm.advice(1));
    }
}
