//! Samples that others disturbed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

/// Part of a sample's time that threads may wait for a core.
const MOST_WAITED: f64 = 0.01;
/// Time that a thread may wait after it was woken. It is far less than the milliseconds for which
/// another process gets a core.
const WAKE: Duration = Duration::from_micros(20);
/// Groups of samples of which one in so many may be disturbed; and samples, where there are too few groups
/// of them.
const DISTURBED: u64 = 5;

/// Whether threads waited for a core no longer during a sample than they do on a quiet machine.
/// `wakes` is how often the sample woke one.
pub(crate) fn is_undisturbed(elapsed: Duration, waited: Duration, wakes: u64) -> bool {
    let wakes = u32::try_from(wakes).unwrap_or(u32::MAX);
    waited <= elapsed.mul_f64(MOST_WAITED) + WAKE.saturating_mul(wakes)
}

/// What of some number was disturbed.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    all: u64,
    disturbed: u64,
}

impl Part {
    fn add(&mut self, all: u64, disturbed: u64) {
        self.all += all;
        self.disturbed += disturbed;
    }

    fn is_too_much(self) -> bool {
        self.disturbed * DISTURBED > self.all
    }
}

/// Groups of samples, and how many of them had no quiet one; and samples after which time ran out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disturbance {
    groups: Part,
    unfinished: Part,
}

impl Disturbance {
    /// Counts a group.
    pub(crate) fn count(&mut self, is_disturbed: bool) {
        self.groups.add(1, u64::from(is_disturbed));
    }

    /// Counts samples that were too few to be certain of anything when time ran out: waiting for quiet
    /// ones may have taken it.
    pub(crate) fn count_unfinished(&mut self, samples: usize, quiet: usize) {
        self.unfinished.add(samples as u64, (samples - quiet) as u64);
    }

    /// Why the samples cannot be trusted, if too many of them were disturbed.
    pub(crate) fn contamination(self) -> Option<String> {
        let Self { groups, unfinished } = self;
        let of_groups = groups.is_too_much().then(|| {
            let Part { all, disturbed } = groups;
            format!("all samples in {disturbed} of {all} groups waited for a core or shared one")
        });
        let of_samples = unfinished.is_too_much().then(|| {
            let Part { all, disturbed } = unfinished;
            format!(
                "{disturbed} of {all} samples waited for a core or shared one, and time ran out"
            )
        });
        of_groups.or(of_samples)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these waits on so many threads disturb samples of this length.
    fn disturbed(threads: u64, elapsed_us: u64, waited_us: &[u64]) -> usize {
        let us = Duration::from_micros;
        let quiet = |waited: &&u64| is_undisturbed(us(elapsed_us), us(**waited), threads - 1);
        waited_us.len() - waited_us.iter().filter(quiet).count()
    }

    #[test]
    fn two_threads_on_two_cores_are_no_contention_of_each_other() {
        // Waits as a quiet machine of two cores shows them: a thread is woken in some microseconds.
        let quiet = [0, 0, 2, 1, 0, 13, 0, 0, 4, 19, 0, 0];
        for elapsed_us in [50, 200, 1_200] {
            assert_eq!(disturbed(2, elapsed_us, &quiet), 0);
        }
        // A neighbour that gets a core for 4 ms now and then.
        assert_eq!(disturbed(2, 600, &[0, 4_000, 0, 3_000]), 2);
        // One that keeps the second core from its thread for the whole of each run.
        assert_eq!(disturbed(2, 70, &[73, 144, 80, 75]), 4);
        assert_eq!(disturbed(1, 70, &[0; 8]), 0);
    }

    #[test]
    fn a_group_in_five_may_be_disturbed() {
        let mut disturbance = Disturbance::default();
        assert_eq!(disturbance.contamination(), None);
        for group in 0..20 {
            disturbance.count(group < 4);
        }
        assert_eq!(disturbance.contamination(), None);
        disturbance.count(true);
        let reason = disturbance.contamination().expect("more than one in five");
        assert_eq!(reason, "all samples in 5 of 21 groups waited for a core or shared one");
    }

    #[test]
    fn few_samples_may_be_disturbed_by_no_more_than_one_in_five() {
        let mut disturbance = Disturbance::default();
        disturbance.count_unfinished(12, 10);
        assert_eq!(disturbance.contamination(), None);
        disturbance.count_unfinished(3, 1);
        let reason = disturbance.contamination().expect("four of fifteen");
        assert_eq!(reason, "4 of 15 samples waited for a core or shared one, and time ran out");
    }

    #[test]
    fn waiting_for_a_core_is_counted() {
        let mut queue = RunQueue::of_thread();
        let before = queue.waited();
        assert!(queue.waited() >= before);
        assert!(RunQueue::of_process().threads.len() >= queue.threads.len());
    }
}
