//! Fixed computations that ought to take the same time always.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dsconv_kernels::peak::multiply_adds;
use serde::{Deserialize, Serialize};

/// Steps of multiply-adds: some 20 us.
const STEPS: u64 = 10_000;
/// Samples of each computation in one look; the best counts.
const SAMPLES: usize = 3;
/// Elements of a cache line.
const LINE: usize = 16;

/// How much slower than its best each computation may be. A neighbour on the same physical core
/// makes arithmetic 1.1 to 1.2 times slower and reads of the second-level cache 1.2 to 1.5 times; a
/// step of the clock frequency is 1.03 times; other users of the last-level cache make a few percent of
/// difference all the time (seen on a virtual machine on an Intel Xeon with AVX-512).
const MOST_SLOWED: [f64; 3] = [1.10, 1.12, 1.25];
const NAMES: [&str; 3] =
    ["arithmetic", "reading the second-level cache", "reading beyond the second-level cache"];

/// Fixed computations, timed now and then: they show what no counter tells, such as a lower clock
/// frequency or a neighbour on the same core.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The thread that computes, and of how many: cores may differ.
    thread: [usize; 2],
    /// What is read by those that read.
    memories: Vec<Vec<f32>>,
}

/// Best times of computations on this machine, known to the process: a tuning may take less time
/// than a neighbour stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speeds(Vec<Speed>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Speed {
    thread: [usize; 2],
    computation: usize,
    best_ns: u64,
}

static SPEEDS: Mutex<Speeds> = Mutex::new(Speeds(Vec::new()));

impl Speeds {
    /// What this process knows.
    pub fn known() -> Self {
        SPEEDS.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds what another process of this machine knows.
    pub fn learn(self) {
        let mut known = SPEEDS.lock().unwrap_or_else(PoisonError::into_inner);
        for Speed { thread, computation, best_ns } in self.0 {
            known.best_ns(thread, computation, best_ns);
        }
    }

    /// The best time, given one more.
    fn best_ns(&mut self, thread: [usize; 2], computation: usize, now_ns: u64) -> u64 {
        let is_it = |it: &&mut Speed| (it.thread, it.computation) == (thread, computation);
        match self.0.iter_mut().find(is_it) {
            Some(speed) => {
                speed.best_ns = speed.best_ns.min(now_ns);
                speed.best_ns
            }
            None => {
                self.0.push(Speed { thread, computation, best_ns: now_ns });
                now_ns
            }
        }
    }
}

/// The computation that is furthest behind its best time, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// What it does.
    pub what: &'static str,
    /// Its time over its best time so far.
    pub times: f64,
    /// What of it is no contention.
    most: f64,
}

impl Calibration {
    /// Multiply-adds, and reads of a part of a second-level cache of so many bytes; where programs
    /// in question read more than it holds, reads of more, too. All calibrations of a process share
    /// the best times of a thread; it is given as its number and of how many.
    pub fn new(l2_bytes: usize, beyond_l2: bool, thread: [usize; 2]) -> Self {
        let mut bytes = vec![l2_bytes / 4];
        bytes.extend(beyond_l2.then_some(2 * l2_bytes));
        let memory = |bytes: usize| vec![1.0; bytes / size_of::<f32>()];
        Self { thread, memories: bytes.into_iter().map(memory).collect() }
    }

    /// Times each computation, and tells which is slowest in comparison with its best time.
    pub fn look(&self) -> Slowdown {
        let mut slowest = Slowdown { what: NAMES[0], times: 1.0, most: MOST_SLOWED[0] };
        for index in 0..=self.memories.len() {
            let now = match index.checked_sub(1) {
                None => least(|| multiply_adds(STEPS)),
                Some(memory) => least(|| read(&self.memories[memory])),
            };
            let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
            let mut speeds = SPEEDS.lock().unwrap_or_else(PoisonError::into_inner);
            let times = now_ns as f64 / speeds.best_ns(self.thread, index, now_ns) as f64;
            if times / MOST_SLOWED[index] > slowest.times / slowest.most {
                slowest = Slowdown { what: NAMES[index], times, most: MOST_SLOWED[index] };
            }
        }
        slowest
    }
}

impl Slowdown {
    /// Why samples of this moment cannot be trusted; `None` if they can.
    pub fn contamination(&self) -> Option<String> {
        let Self { what, times, most } = self;
        (times > most).then(|| format!("{what} took {times:.2} times its best time"))
    }
}

/// The least time of some runs.
fn least<T>(run: impl Fn() -> T) -> Duration {
    let sample = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..SAMPLES).map(sample).min().unwrap_or_default()
}

/// Reads one element of each line.
fn read(memory: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for lines in black_box(memory).chunks_exact(8 * LINE) {
        for (sum, line) in sums.iter_mut().zip(lines.chunks_exact(LINE)) {
            *sum += line[0];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_look_is_the_best_so_far() {
        for (beyond, thread) in [(false, [0, 77]), (true, [1, 77])] {
            let calibration = Calibration::new(256 << 10, beyond, thread);
            assert_eq!(calibration.look().times, 1.0);
            assert!(calibration.look().times >= 1.0);
        }
    }

    #[test]
    fn what_another_process_knows_is_learned() {
        let thread = [2, 77];
        let calibration = Calibration::new(256 << 10, false, thread);
        calibration.look();
        let line = serde_json::to_string(&Speeds::known()).expect("it is made of numbers");
        let mut theirs: Speeds = serde_json::from_str(&line).expect("it was written just now");
        theirs.0.retain(|speed| speed.thread == thread && speed.computation == 0);
        assert_eq!(theirs.0.len(), 1);
        theirs.0[0].best_ns /= 10;
        theirs.learn();
        assert!(calibration.look().times > 5.0);
    }

    #[test]
    fn what_is_slow_is_named_and_small_steps_are_none() {
        let slow = Slowdown { what: NAMES[1], times: 1.5, most: MOST_SLOWED[1] };
        let expected = "reading the second-level cache took 1.50 times its best time";
        assert_eq!(slow.contamination().as_deref(), Some(expected));
        assert_eq!(Slowdown { times: 1.05, ..slow }.contamination(), None);
    }
}
