//! Counters of the machine and of this process: what the time between two moments went to.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Part of the cores' time that the hypervisor may take before a sample counts as contaminated.
const MOST_STOLEN: f64 = 0.01;
/// Steps of the hypervisor's counter that show nothing: one falls into any short watch some time.
const IDLE_STEPS: f64 = 1.5;
/// Part of the cores' time that other processes may take in any case.
const LITTLE: f64 = 0.05;
/// Part of the cores' time that they must leave free beside ours: what is nearly all may be all, since
/// ticks are sampled and the hypervisor takes some.
const LEAST_FREE: f64 = 0.1;
/// Steps by which the counters of the machine and of this process may disagree: one is sampled, the
/// other exact.
const UNSEEN_STEPS: f64 = 3.0;
/// Ticks of the kernel's clock in a second: what Linux shows to processes on every platform.
const TICKS_PER_SECOND: f64 = 100.0;

/// Counters of the machine and of this process's group at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    at: Instant,
    cores: usize,
    /// Seconds, summed over cores.
    busy_s: f64,
    stolen_s: f64,
    /// What this process used of it, where the system tells.
    own_s: Option<f64>,
    /// Times that the group's quota stopped it, and for how long.
    throttled: u64,
    throttled_s: f64,
}

/// What happened between two moments, as parts of the time between them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// The time.
    pub passed: Duration,
    /// Taken by the hypervisor, of all cores' time.
    pub stolen: f64,
    /// One step of the counter that tells so, of all cores' time.
    pub stolen_step: f64,
    /// All processes' use of the cores, in cores.
    pub busy_cores: f64,
    /// This process's use of the cores, in cores, where the system tells.
    pub own_cores: Option<f64>,
    /// One step of the counters that tell use, in cores.
    pub busy_step: f64,
    /// Cores of the machine.
    pub cores: usize,
    /// Stops by the group's quota.
    pub throttled: u64,
    /// Time stopped, of the time that passed.
    pub throttled_part: f64,
}

impl Usage {
    /// The counters now; zeros where the system tells none.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let group = group_files("cpu.stat").iter().find_map(|path| fs::read_to_string(path).ok());
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self::of(&stat, &group.unwrap_or_default(), &own)
    }

    /// The same, what another process used counted with what this one did: one that drives it, and
    /// waits while it measures.
    pub(crate) fn with(driver: u32) -> Self {
        let usage = Self::now();
        let stat = fs::read_to_string(format!("/proc/{driver}/stat")).unwrap_or_default();
        let more_s = own_ticks(&stat).map_or(0.0, |ticks| ticks / TICKS_PER_SECOND);
        Self { own_s: usage.own_s.map(|own| own + more_s), ..usage }
    }

    fn of(stat: &str, group: &str, own: &str) -> Self {
        let mut usage = Self {
            at: Instant::now(),
            cores: 0,
            busy_s: 0.0,
            stolen_s: 0.0,
            own_s: own_ticks(own).map(|ticks| ticks / TICKS_PER_SECOND),
            throttled: 0,
            throttled_s: 0.0,
        };
        for line in stat.lines().take_while(|line| line.starts_with("cpu")) {
            let mut words = line.split_ascii_whitespace();
            if words.next() != Some("cpu") {
                usage.cores += 1;
                continue;
            }
            let ticks: Vec<f64> = words.map(|word| word.parse().unwrap_or(0.0)).collect();
            let at = |index: usize| ticks.get(index).copied().unwrap_or(0.0) / TICKS_PER_SECOND;
            // user, nice, system, idle, iowait, irq, softirq, steal
            usage.busy_s = at(0) + at(1) + at(2) + at(5) + at(6);
            usage.stolen_s = at(7);
        }
        for line in group.lines() {
            let Some((name, value)) = line.split_once(' ') else { continue };
            let value: f64 = value.trim().parse().unwrap_or(0.0);
            match name {
                "nr_throttled" => usage.throttled = value as u64,
                // Version 2 counts microseconds, version 1 nanoseconds.
                "throttled_usec" => usage.throttled_s = value / 1e6,
                "throttled_time" => usage.throttled_s = value / 1e9,
                _ => {}
            }
        }
        usage
    }

    /// What happened since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Pressure {
        let passed = self.at.duration_since(earlier.at);
        self.over(earlier, passed)
    }

    fn over(&self, earlier: &Self, passed: Duration) -> Pressure {
        let seconds = passed.as_secs_f64().max(1e-9);
        let cores = self.cores.max(1);
        let part = |now: f64, then: f64, of: f64| ((now - then).max(0.0) / of).min(1.0);
        Pressure {
            passed,
            stolen: part(self.stolen_s, earlier.stolen_s, seconds * cores as f64),
            stolen_step: 1.0 / TICKS_PER_SECOND / (seconds * cores as f64),
            busy_cores: ((self.busy_s - earlier.busy_s).max(0.0) / seconds).min(cores as f64),
            own_cores: self
                .own_s
                .zip(earlier.own_s)
                .map(|(now, then)| (now - then).max(0.0) / seconds),
            busy_step: 1.0 / TICKS_PER_SECOND / seconds,
            cores,
            throttled: self.throttled.saturating_sub(earlier.throttled),
            throttled_part: part(self.throttled_s, earlier.throttled_s, seconds),
        }
    }
}

/// Ticks that a process has run, of the line that `/proc/self/stat` is.
fn own_ticks(stat: &str) -> Option<f64> {
    // The name, in brackets, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

impl Pressure {
    /// The same, had this process kept so many cores more busy.
    #[must_use]
    pub fn beside(self, threads: usize) -> Self {
        let more = threads as f64;
        let own_cores = self.own_cores.map(|own| own + more);
        Self { busy_cores: self.busy_cores + more, own_cores, ..self }
    }

    /// Why samples of that time cannot be trusted, given that we used `threads` cores; `None` if
    /// they can.
    pub fn contamination(&self, threads: usize) -> Option<String> {
        if self.throttled > 0 {
            let percent = 100.0 * self.throttled_part;
            return Some(format!("the CPU quota stopped this process, {percent:.1} % of the time"));
        }
        if self.stolen > MOST_STOLEN.max(IDLE_STEPS * self.stolen_step) {
            let percent = 100.0 * self.stolen;
            return Some(format!("the hypervisor took {percent:.1} % of the cores' time"));
        }
        // Threads that wait for others use less than their number of cores.
        let own = self.own_cores.map_or(threads as f64, |own| own.min(threads as f64));
        let others = self.busy_cores - own;
        let free = self.cores as f64 - threads as f64;
        let crowded = others > free - LEAST_FREE * self.cores as f64;
        let unseen = LITTLE * self.cores as f64 + UNSEEN_STEPS * self.busy_step;
        if self.cores > 0 && others > unseen && crowded {
            return Some(format!(
                "other processes kept {:.1} of {} cores busy",
                others.max(0.0),
                self.cores
            ));
        }
        None
    }
}

/// Where a file of this process's control group may be: its own group of version 2, or version 1's
/// `cpu` hierarchy, and the root of either, which is what a container sees.
fn group_files(name: &str) -> Vec<PathBuf> {
    group_files_below(Path::new("/"), name)
}

/// The same, where `/proc` and `/sys` are below `root`.
pub(crate) fn group_files_below(root: &Path, name: &str) -> Vec<PathBuf> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let root = root.join("sys/fs/cgroup");
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = path.trim_start_matches('/');
        let is_cpu = controllers.split(',').any(|controller| controller == "cpu");
        if controllers.is_empty() {
            files.push(root.join(path).join(name));
            files.push(root.join(name));
        } else if is_cpu {
            for folder in ["cpu", "cpu,cpuacct"] {
                files.push(root.join(folder).join(path).join(name));
                files.push(root.join(folder).join(name));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  1000 0 500 8000 0 0 0 10\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n";

    fn pressure(after: &str, group: [&str; 2], seconds: u64) -> Pressure {
        let (before, after) = (Usage::of(BEFORE, group[0], ""), Usage::of(after, group[1], ""));
        after.over(&before, Duration::from_secs(seconds))
    }

    #[test]
    fn two_threads_that_get_one_core_of_two_are_not_alone() {
        let own = |ticks: u32| format!("7 (a (b) c) R 1 7 7 0 -1 0 0 0 0 0 {ticks} 20 0 0 20 0\n");
        let pressure = |of_ours: u32| {
            let before = Usage::of(BEFORE, "", &own(30));
            let after = "cpu  1200 0 500 8000 0 0 0 10\ncpu0 1\ncpu1 1\n";
            let after = Usage::of(after, "", &own(30 + of_ours));
            after.over(&before, Duration::from_secs(1))
        };
        assert_eq!(pressure(100).own_cores, Some(1.0));
        assert!(pressure(100).contamination(2).is_some_and(|reason| reason.contains("1.0 of 2")));
        assert_eq!(pressure(198).contamination(2), None);
    }

    #[test]
    fn ours_beside_an_idle_machine_is_no_contention_and_beside_a_busy_one_it_is() {
        let own = "7 (a) R 1 7 7 0 -1 0 0 0 0 0 30 20 0 0 20 0\n";
        let watched = |after: &str| {
            let (before, after) = (Usage::of(BEFORE, "", own), Usage::of(after, "", own));
            after.over(&before, Duration::from_secs(1))
        };
        let idle = watched("cpu  1000 0 500 8200 0 0 0 10\ncpu0 1\ncpu1 1\n");
        let busy = watched("cpu  1100 0 500 8100 0 0 0 10\ncpu0 1\ncpu1 1\n");
        for threads in [1, 2] {
            assert_eq!(idle.beside(threads).contamination(threads), None, "{threads} threads");
            assert!(busy.beside(threads).contamination(threads).is_some(), "{threads} threads");
        }
    }

    #[test]
    fn one_busy_core_of_two_is_ours() {
        let quiet = pressure("cpu  1100 0 500 8100 0 0 0 10\ncpu0 1\ncpu1 1\n", ["", ""], 1);
        assert_eq!((quiet.busy_cores, quiet.cores), (1.0, 2));
        assert_eq!(quiet.contamination(1), None);
    }

    #[test]
    fn two_busy_cores_are_a_neighbour_for_one_thread_and_none_for_two() {
        let busy = pressure("cpu  1200 0 500 8000 0 0 0 10\ncpu0 1\ncpu1 1\n", ["", ""], 1);
        let reason = busy.contamination(1).expect("others on all other cores");
        assert!(reason.contains("1.0 of 2 cores"), "{reason}");
        assert_eq!(busy.contamination(2), None);
        // A core that others have nearly all the time.
        let of_others = |part: u32| {
            let after = format!("cpu  {} 0 500 8000 0 0 0 10\ncpu0 1\ncpu1 1\n", 1100 + part);
            pressure(&after, ["", ""], 1).contamination(1)
        };
        assert!(of_others(85).is_some());
        assert_eq!(of_others(75), None);
    }

    #[test]
    fn stolen_time_and_throttling_are_named() {
        let stolen = pressure("cpu  1100 0 500 8090 0 0 0 20\ncpu0 1\ncpu1 1\n", ["", ""], 1);
        assert!(stolen.contamination(1).expect("stolen").contains("5.0 %"));
        for group in [
            ["nr_throttled 3\nthrottled_usec 0\n", "nr_throttled 5\nthrottled_usec 250000\n"],
            ["nr_throttled 3\nthrottled_time 0\n", "nr_throttled 5\nthrottled_time 250000000\n"],
        ] {
            let throttled = pressure(BEFORE, group, 1);
            assert!(throttled.contamination(1).expect("throttled").contains("25.0 %"));
        }
    }

    #[test]
    fn one_step_of_the_counter_of_stolen_time_is_none() {
        // A step of 10 ms in 300 ms of two cores is 1.7 %; three are 5 %.
        let watch = |stolen: &str| {
            let after = format!("cpu  1030 0 500 8030 0 0 0 {stolen}\ncpu0 1\ncpu1 1\n");
            let (before, after) = (Usage::of(BEFORE, "", ""), Usage::of(&after, "", ""));
            after.over(&before, Duration::from_millis(300)).contamination(2)
        };
        assert_eq!(watch("11"), None);
        assert!(watch("13").expect("stolen").contains("5.0 %"));
    }

    #[test]
    fn a_system_that_tells_nothing_is_taken_for_quiet() {
        let nothing = Usage::of("", "", "").over(&Usage::of("", "", ""), Duration::from_secs(1));
        assert_eq!(nothing.contamination(1), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_driver_uses_is_counted_in() {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        let alone = Usage::now().own_s.expect("Linux tells");
        // Its own driver: all is counted twice.
        let twice = Usage::with(std::process::id()).own_s.expect("Linux tells");
        assert!(alone > 0.0 && twice >= 2.0 * alone, "{alone} {twice}");
        assert_eq!(Usage::with(u32::MAX).own_s.map(|own| own < twice), Some(true));
    }
}
