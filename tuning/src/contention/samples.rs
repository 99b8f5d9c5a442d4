//! Samples that others disturbed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

/// Part of a sample's time that threads may wait for a core.
const MOST_WAITED: f64 = 0.01;
/// Time that a thread may wait after it was woken. It is far less than the milliseconds for which
/// another process gets a core.
const WAKE: Duration = Duration::from_micros(20);
/// Samples of which one in so many may be disturbed.
const DISTURBED: u64 = 5;

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
            .then(|| format!("{disturbed} of {all} samples waited for a core or shared one"))
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
        assert_eq!(reason, "5 of 20 samples waited for a core or shared one");
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
}
