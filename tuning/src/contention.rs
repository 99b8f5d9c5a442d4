//! Whether the machine was ours while we measured: steal time, throttling, and others' use of the
//! cores, read before and after; and a calibration kernel that ought to take the same time always.
//!
//! ```
//! use dsconv_tuning::contention::Usage;
//!
//! let before = Usage::now();
//! let pressure = Usage::now().since(&before);
//! assert!(pressure.stolen >= 0.0 && pressure.stolen <= 1.0);
//! ```
//!
//! Linux tells all of it; other systems tell nothing, and nothing is taken for quiet there.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dsconv_kernels::peak::multiply_adds;

/// Part of the cores' time that the hypervisor may take before a sample counts as contaminated.
const MOST_STOLEN: f64 = 0.01;
/// Steps of the hypervisor's counter that show nothing: one falls into any short watch some time.
const IDLE_STEPS: f64 = 1.5;
/// Part of the cores' time that other processes may take beside ours, per core of the machine that
/// we do not use. More than there are free cores means that they took turns with us.
const MOST_CROWDED: f64 = 0.05;
/// Steps by which the counters of the machine and of this process may disagree: one is sampled, the
/// other exact.
const UNSEEN_STEPS: f64 = 3.0;
/// How much slower than its best the calibration kernel may be.
const MOST_SLOWED: f64 = 1.10;
/// Steps of the calibration kernel: some 20 us.
const CALIBRATION_STEPS: u64 = 10_000;
/// Samples of the calibration kernel in one look; the best counts.
const CALIBRATION_SAMPLES: usize = 5;
/// Looks that a slow one is believed after, and the time between them: clock frequencies change for
/// some milliseconds, and threads that ended a sample search for work a little longer.
const CALIBRATION_LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Part of a sample's time that threads may wait for a core.
const MOST_WAITED: f64 = 0.01;
/// Time that a thread may wait after it was woken. It is far less than the milliseconds for which
/// another process gets a core.
const WAKE: Duration = Duration::from_micros(20);
/// Samples of which one in so many may be disturbed.
const DISTURBED: u64 = 5;
/// Time below which the counters tell nothing.
const SHORTEST_WATCH: Duration = Duration::from_millis(50);
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

/// What happened between two moments, as parts of the time that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
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
    /// The calibration kernel's time over its best, where it ran.
    pub slowdown: Option<f64>,
}

impl Usage {
    /// The counters now; zeros where the system tells none.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let group = group_files("cpu.stat").iter().find_map(|path| fs::read_to_string(path).ok());
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self::of(&stat, &group.unwrap_or_default(), &own)
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
            slowdown: None,
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
        let crowded = others > free - MOST_CROWDED * self.cores as f64;
        let unseen = MOST_CROWDED * self.cores as f64 + UNSEEN_STEPS * self.busy_step;
        if self.cores > 0 && others > unseen && crowded {
            return Some(format!(
                "other processes kept {:.1} of {} cores busy",
                others.max(0.0),
                self.cores
            ));
        }
        match self.slowdown {
            Some(slowdown) if slowdown > MOST_SLOWED => {
                Some(format!("a fixed computation took {slowdown:.2} times its best time"))
            }
            _ => None,
        }
    }
}

/// A fixed computation, timed now and then: it shows what no counter tells, such as a lower clock
/// frequency or a neighbour on the same core.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    best: Option<Duration>,
}

impl Calibration {
    /// Time of the computation now over the best so far; 1.0 at the first look.
    pub fn slowdown(&mut self) -> f64 {
        let sample = |_| {
            let start = Instant::now();
            std::hint::black_box(multiply_adds(CALIBRATION_STEPS));
            start.elapsed()
        };
        let now = (0..CALIBRATION_SAMPLES).map(sample).min().unwrap_or_default();
        let best = self.best.map_or(now, |best| best.min(now));
        self.best = Some(best);
        now.as_secs_f64() / best.as_secs_f64().max(1e-9)
    }
}

/// The first look that is not slow, or the least slow of several.
fn settled(mut look: impl FnMut() -> f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..CALIBRATION_LOOKS {
        least = least.min(look());
        if least <= MOST_SLOWED {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    least
}

/// Whether threads waited for a core no longer during a sample than they do on a quiet machine.
/// `wakes` is how often the sample woke one.
pub(crate) fn is_undisturbed(elapsed: Duration, waited: Duration, wakes: u64) -> bool {
    let wakes = u32::try_from(wakes).unwrap_or(u32::MAX);
    waited <= elapsed.mul_f64(MOST_WAITED) + WAKE.saturating_mul(wakes)
}

/// Samples, and how many of them were disturbed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Samples {
    all: u64,
    disturbed: u64,
}

impl Samples {
    /// Counts a sample.
    pub(crate) fn count(&mut self, is_undisturbed: bool) {
        self.all += 1;
        self.disturbed += u64::from(!is_undisturbed);
    }

    /// Why they cannot be trusted, if too many were disturbed.
    pub(crate) fn contamination(self) -> Option<String> {
        let Self { all, disturbed } = self;
        (disturbed * DISTURBED > all)
            .then(|| format!("{disturbed} of {all} samples waited for a core"))
    }
}

/// Usage and calibration from one question to the next.
#[derive(Debug)]
pub(crate) struct Watch {
    threads: usize,
    since: Usage,
    calibration: Calibration,
}

impl Watch {
    pub(crate) fn new(threads: usize) -> Self {
        let mut calibration = Calibration::default();
        calibration.slowdown();
        Self { threads, since: Usage::now(), calibration }
    }

    /// Why the time since the last question cannot be trusted.
    pub(crate) fn contamination(&mut self) -> Option<String> {
        let now = Usage::now();
        let passed = now.at.duration_since(self.since.at);
        let mut pressure = now.since(&self.since);
        if passed < SHORTEST_WATCH {
            // The counters move in steps of 10 ms.
            pressure = Pressure { throttled: pressure.throttled, ..Pressure::default() };
        }
        pressure.slowdown = Some(settled(|| self.calibration.slowdown()));
        self.since = Usage::now();
        pressure.contamination(self.threads)
    }
}

/// How long threads of this process were ready to run and did not: whoever waits for a core while
/// a sample is taken makes it longer.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    /// `schedstat` of each thread: time on a core, time waiting, in nanoseconds.
    threads: Vec<File>,
}

impl RunQueue {
    /// Of the calling thread.
    pub(crate) fn of_thread() -> Self {
        Self { threads: File::open("/proc/thread-self/schedstat").into_iter().collect() }
    }

    /// Of all threads that the process has now.
    pub(crate) fn of_process() -> Self {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads = tasks.filter_map(|task| File::open(task.path().join("schedstat")).ok());
        Self { threads: threads.collect() }
    }

    /// Time that all of them waited since they began.
    pub(crate) fn waited(&mut self) -> Duration {
        let mut text = [0; 96];
        let mut waited_ns = 0;
        for thread in &mut self.threads {
            let read = thread.seek(SeekFrom::Start(0)).and_then(|_| thread.read(&mut text));
            let text = read.ok().and_then(|len| std::str::from_utf8(&text[..len]).ok());
            let mut words = text.unwrap_or("").split_ascii_whitespace().skip(1);
            waited_ns += words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
        Duration::from_nanos(waited_ns)
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
    fn a_slow_calibration_is_contamination_that_no_counter_shows() {
        let slow =
            Pressure { slowdown: Some(1.5), cores: 2, busy_cores: 1.0, ..Pressure::default() };
        assert!(slow.contamination(1).expect("slow").contains("1.50 times"));
        let fine = Pressure { slowdown: Some(1.02), ..slow };
        assert_eq!(fine.contamination(1), None);
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
    fn a_slow_look_is_believed_once_all_are_slow() {
        let looks = |slowdowns: &'static [f64]| {
            let mut looks = slowdowns.iter().copied();
            let settled = settled(|| looks.next().expect("no more looks than there are"));
            (settled, looks.len())
        };
        assert_eq!(looks(&[1.03, 9.0]), (1.03, 1));
        assert_eq!(looks(&[1.12, 1.19, 1.02, 9.0]), (1.02, 1));
        assert_eq!(looks(&[1.5, 1.3, 1.4, 1.6, 1.0]), (1.3, 1));
    }

    /// What samples of this length and of these waits on so many threads come to.
    fn verdict(threads: u64, elapsed_us: u64, waited_us: &[u64]) -> Option<String> {
        let mut samples = Samples::default();
        let us = Duration::from_micros;
        for &waited in waited_us {
            samples.count(is_undisturbed(us(elapsed_us), us(waited), threads - 1));
        }
        samples.contamination()
    }

    #[test]
    fn two_threads_on_two_cores_are_no_contention_of_each_other() {
        // Waits as a quiet machine of two cores shows them: a thread is woken in some microseconds.
        let quiet = [0, 0, 2, 1, 0, 13, 0, 0, 4, 19, 0, 0];
        for elapsed_us in [50, 200, 1_200] {
            assert_eq!(verdict(2, elapsed_us, &quiet), None);
        }
        // A neighbour that gets a core for 4 ms now and then meets the samples it meets.
        let mut busy = [0; 20];
        busy[3..7].fill(4_000);
        assert_eq!(verdict(2, 600, &busy), None);
        busy[12] = 4_000;
        let reason = verdict(2, 600, &busy).expect("one in four");
        assert_eq!(reason, "5 of 20 samples waited for a core");
        // One that keeps the second core from its thread for the whole of each run.
        assert!(verdict(2, 70, &[73, 144, 80, 75]).is_some());
        assert_eq!(verdict(1, 70, &[0; 8]), None);
    }

    #[test]
    fn waiting_for_a_core_is_counted() {
        let mut queue = RunQueue::of_thread();
        let before = queue.waited();
        assert!(queue.waited() >= before);
        assert!(RunQueue::of_process().threads.len() >= queue.threads.len());
    }

    #[test]
    fn a_system_that_tells_nothing_is_taken_for_quiet() {
        let nothing = Usage::of("", "", "").over(&Usage::of("", "", ""), Duration::from_secs(1));
        assert_eq!(nothing.contamination(1), None);
        let mut calibration = Calibration::default();
        assert_eq!(calibration.slowdown(), 1.0);
        assert!(calibration.slowdown() >= 1.0);
    }
}
