//! A bench and a clock without hardware: a run takes the time that a formula gives, with the noise
//! of a shared machine drawn from a seed.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use dsconv_kernels::{CheckedSchedule, CompileError, Isa, Schedule, Target, Workload};
use dsconv_tuning::bench::{Bench, Sample, Turn};
use dsconv_tuning::measure::{Clock, Deadline};
use dsconv_tuning::{Mismatch, Outcome, SearchSpace};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[derive(Clone, Debug, Default)]
pub struct FakeClock(Rc<Cell<u64>>);

impl FakeClock {
    pub fn advance(&self, ns: u64) {
        self.0.set(self.0.get() + ns);
    }
}

impl Clock for FakeClock {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}

/// How a machine disturbs its measurements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    /// Largest relative deviation of a run, either way.
    pub jitter: f64,
    /// Probability that a run is interrupted.
    pub interruptions: f64,
    /// Length of an interruption.
    pub interruption_ns: u64,
    /// Relative slowdown per second that has passed.
    pub drift: f64,
    /// Largest part by which memory makes a kernel slower.
    pub placement: f64,
}

pub struct FakeBench<F> {
    pub clock: FakeClock,
    pub true_ns: F,
    pub noise: Noise,
    pub rng: StdRng,
    pub compile_ns: u64,
    pub verify_ns: u64,
    /// Every run: which schedule, when it started, how long it took.
    pub runs: Vec<(Schedule, u64, u64)>,
    pub fails_to_compile: fn(&Schedule) -> bool,
    pub computes_wrong: fn(&Schedule) -> bool,
    /// Whether a schedule computes nonsense on other data.
    pub refuted: fn(&Schedule) -> bool,
    /// Schedules that were verified again.
    pub verified_again: Vec<Schedule>,
    /// Whether a schedule that has run so often crashes now.
    pub crashes: fn(&Schedule, usize) -> bool,
    pub repeatable: bool,
    /// Time before each sample that does not count.
    pub gather_ns: u64,
    /// A second speed, as of a core whose frequency changes: how much slower, and how long each
    /// lasts.
    pub second_speed: Option<(f64, u64)>,
    /// How much slower the memory makes each kernel.
    pub places: HashMap<Schedule, f64>,
    /// How many times slower a neighbour on the same core makes each kernel.
    pub beside: HashMap<Schedule, f64>,
    /// Probability that it leaves the core alone for a sample, given how many runs there were before and
    /// whether the sample may wait.
    pub alone: fn(usize, bool) -> f64,
    /// Whether kernels can be moved to other memory.
    pub moves: bool,
    /// Whether each question for contamination is answered by yes, the next one first.
    pub contaminated: Vec<bool>,
}

pub const NONE: fn(&Schedule) -> bool = |_| false;

impl<F: Fn(&Schedule) -> u64> FakeBench<F> {
    pub fn new(noise: Noise, seed: u64, true_ns: F) -> Self {
        Self {
            clock: FakeClock::default(),
            true_ns,
            noise,
            rng: StdRng::seed_from_u64(seed),
            compile_ns: 300_000,
            verify_ns: 100_000,
            runs: Vec::new(),
            fails_to_compile: NONE,
            computes_wrong: NONE,
            refuted: NONE,
            verified_again: Vec::new(),
            crashes: |_, _| false,
            repeatable: true,
            gather_ns: 0,
            second_speed: None,
            places: HashMap::new(),
            beside: HashMap::new(),
            alone: |_, _| 1.0,
            moves: true,
            contaminated: Vec::new(),
        }
    }

    pub fn runs_of(&self, schedule: &Schedule) -> usize {
        self.runs.iter().filter(|(ran, ..)| ran == schedule).count()
    }
}

impl<F: Fn(&Schedule) -> u64> FakeBench<F> {
    fn place(&mut self, kernel: Schedule) {
        if self.noise.placement > 0.0 {
            let slower = self.rng.random_range(0.0..=self.noise.placement);
            self.places.insert(kernel, slower);
        }
    }

    fn sample(&mut self, turn: &Turn<'_, Schedule>) -> Result<Sample, Outcome> {
        let &Turn { repeats, may_wait, .. } = turn;
        let kernel = &*turn.kernel;
        if (self.crashes)(kernel, self.runs_of(kernel)) {
            return Err(Outcome::Crashed("SIGSEGV".to_owned()));
        }
        self.clock.advance(self.gather_ns);
        let is_quiet = self.rng.random_bool((self.alone)(self.runs.len(), may_wait));
        let slower = self.beside.get(kernel).copied().filter(|_| !is_quiet);
        let start = self.clock.now_ns();
        for _ in 0..repeats {
            self.run(kernel, slower.unwrap_or(1.0));
        }
        Ok(Sample { ns: self.clock.now_ns() - start, is_quiet })
    }

    fn run(&mut self, kernel: &Schedule, slower: f64) {
        let start = self.clock.now_ns();
        let Noise { jitter, interruptions, interruption_ns, drift, .. } = self.noise;
        let mut ns = slower * (self.true_ns)(kernel) as f64;
        ns *= 1.0 + drift * start as f64 / 1e9;
        ns *= 1.0 + self.places.get(kernel).copied().unwrap_or(0.0);
        ns *= 1.0 + jitter * self.rng.random_range(-1.0..=1.0);
        if let Some((factor, lasts_ns)) = self.second_speed
            && start / lasts_ns % 2 == 1
        {
            ns *= factor;
        }
        let mut ns = ns as u64;
        if self.rng.random_bool(interruptions) {
            ns += interruption_ns;
        }
        self.clock.advance(ns);
        self.runs.push((*kernel, start, ns));
    }
}

impl<F: Fn(&Schedule) -> u64> Bench for FakeBench<F> {
    type Kernel = Schedule;

    fn prepare(
        &mut self,
        schedule: &CheckedSchedule,
        _: Deadline<'_>,
    ) -> Result<Schedule, Outcome> {
        let schedule = *schedule.schedule();
        self.clock.advance(self.compile_ns);
        if (self.fails_to_compile)(&schedule) {
            let (backend, message) = ("synthetic", "refused".to_owned());
            return Err(Outcome::NotCompiled(CompileError { backend, message }));
        }
        self.clock.advance(self.verify_ns + (self.true_ns)(&schedule));
        if (self.computes_wrong)(&schedule) {
            let mismatch = Mismatch::Unwritten { index: 0, coordinates: [0; 4], count: 1 };
            return Err(Outcome::Wrong(mismatch));
        }
        self.place(schedule);
        Ok(schedule)
    }

    fn take_turns(
        &mut self,
        turns: &mut [Turn<'_, Schedule>],
        deadline: Deadline<'_>,
    ) -> Vec<Result<Sample, Outcome>> {
        let moves = self.moves;
        for turn in turns.iter().filter(|turn| moves && turn.moves) {
            self.place(*turn.kernel);
        }
        let mut samples = Vec::new();
        for turn in turns {
            if !samples.is_empty() && deadline.has_passed() {
                break;
            }
            samples.push(self.sample(turn));
        }
        samples
    }

    fn verify_again(&mut self, kernel: &mut Schedule) -> Result<(), Outcome> {
        self.clock.advance(self.verify_ns);
        self.verified_again.push(*kernel);
        if (self.refuted)(kernel) {
            return Err(Outcome::Wrong(Mismatch::NotRun("on other data".to_owned())));
        }
        Ok(())
    }

    fn second_look_time(&self) -> Duration {
        Duration::from_nanos(2 * self.verify_ns)
    }

    fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    fn contamination(&mut self) -> Option<String> {
        let is_contaminated = !self.contaminated.is_empty() && self.contaminated.remove(0);
        is_contaminated.then(|| "a neighbour".to_owned())
    }
}

/// The machine of which the measurements in the facts are.
pub fn wide() -> Target {
    Target { lanes: 16, vector_registers: 32, ..narrow() }
}

pub fn narrow() -> Target {
    Target::of(Isa::Fma)
}

pub fn workload(line: &str) -> Workload {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A block of the middle of MobileNetV1.
pub fn block() -> Workload {
    workload("f32 nchw 1x256x28x28 dw:3x3,p1,bias,relu pw:256,bias,relu")
}

pub fn checked(schedule: &Schedule) -> CheckedSchedule {
    schedule.check(&block(), &narrow()).expect("a legal schedule of the block")
}

/// `count` different schedules of the block, and where they come from.
pub fn schedules(count: usize) -> Vec<Schedule> {
    SearchSpace::new(&block(), &narrow(), 1).sample(count, 1)
}
