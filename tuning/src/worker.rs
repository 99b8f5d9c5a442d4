//! Candidates in a process of their own: one that crashes, meets an illegal instruction or never
//! ends costs itself and nothing else.
//!
//! [`WorkerBench`] starts a [`Program`] that calls [`serve`] and keeps it until it dies: starting
//! one takes as long as several candidates, so it is not done for each. Compilation, verification
//! and timing all happen there; requests and replies are lines of JSON on its standard input and
//! output. To be asked and to answer wakes a thread on each side, which takes some 0.2 ms where cores sleep
//! between: as long as a sample. So all samples of a round are one request.
//!
//! ```no_run
//! use dsconv_kernels::{Target, Workload};
//! use dsconv_tuning::worker::Program;
//! use dsconv_tuning::{Quiet, TuneOptions, tune_in_worker};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! if std::env::args().nth(1).as_deref() == Some("worker") {
//!     return Ok(dsconv_tuning::worker::serve(std::io::stdin().lock(), std::io::stdout().lock())?);
//! }
//! let workload: Workload = "f32 nchw 1x32x112x112 dw:3x3,p1,relu6 pw:64,relu6".parse()?;
//! let program = Program::this(["worker"])?;
//! let options = TuneOptions::default();
//! tune_in_worker(&workload, &Target::host(), &options, &program, &mut Quiet)?;
//! # Ok(())
//! # }
//! ```

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::slice;
use std::time::{Duration, Instant};

use dsconv::Objective;
use dsconv_kernels::{CheckedSchedule, Target, Workload};

use crate::bench::{Bench, Sample, Turn};
use crate::measure::Deadline;
use crate::trial::Outcome;
use process::{Lost, Process};
use protocol::{Hello, RemoteTurn, Reply, Request};

mod fault;
mod process;
mod protocol;
mod serve;

pub use serve::serve;

/// Time to draw the tensors and run the reference, of the largest workloads too.
const START_LIMIT: Duration = Duration::from_secs(600);
/// Time for the first candidate, of which nothing is known.
const FIRST_LIMIT: Duration = Duration::from_secs(60);
/// Time for any candidate, whatever the fastest takes: compiling takes some milliseconds, and a
/// machine may stall.
const LEAST_LIMIT: Duration = Duration::from_secs(2);
/// Times the fastest run, for each run of a candidate.
const SLOWEST: u32 = 40;
/// Time that a turn takes to wait for quiet moments, and to move.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Time by which a candidate in progress may overrun the deadline.
const GRACE: Duration = Duration::from_secs(1);

/// A program that calls [`serve`], and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A worker that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the worker process {}: {reason}", path.display())]
pub struct WorkerError {
    path: PathBuf,
    reason: String,
}

/// Compiles, verifies and times in another process.
#[derive(Debug)]
pub struct WorkerBench {
    program: Program,
    hello: Hello,
    process: Option<Process>,
    /// Processes so far. Kernels of an earlier one are gone.
    generation: u64,
    next_id: u64,
    dropped: Rc<RefCell<Vec<u64>>>,
    fastest: Option<Duration>,
    /// Time that the first process took until it was ready.
    start_time: Duration,
}

/// A kernel of the worker.
#[derive(Debug)]
pub struct RemoteKernel {
    schedule: CheckedSchedule,
    generation: u64,
    id: u64,
    dropped: Rc<RefCell<Vec<u64>>>,
}

impl Drop for RemoteKernel {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.id);
    }
}

impl Program {
    /// The executable of this process, with other arguments.
    ///
    /// # Errors
    ///
    /// If the platform does not tell its path.
    pub fn this<const N: usize>(arguments: [&str; N]) -> io::Result<Self> {
        let arguments = arguments.map(str::to_owned).to_vec();
        Ok(Self { path: std::env::current_exe()?, arguments })
    }
}

impl WorkerBench {
    /// Starts the worker and waits until it has run the reference.
    ///
    /// # Errors
    ///
    /// If the program does not start, or does not answer as a worker of this version does.
    pub fn start(
        program: &Program,
        workload: &Workload,
        target: &Target,
        threads: usize,
        objective: Objective,
        seed: u64,
    ) -> Result<Self, WorkerError> {
        let hello = Hello::new(workload, target, threads, objective, seed);
        let mut bench = Self {
            program: program.clone(),
            hello,
            process: None,
            generation: 0,
            next_id: 0,
            dropped: Rc::default(),
            fastest: None,
            start_time: Duration::ZERO,
        };
        let start = Instant::now();
        bench.revive().map_err(|reason| WorkerError { path: program.path.clone(), reason })?;
        bench.start_time = start.elapsed();
        Ok(bench)
    }

    /// Processes that were started, the first one included.
    pub fn processes(&self) -> u64 {
        self.generation
    }

    /// Starts a process where there is none.
    fn revive(&mut self) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        let mut process = Process::start(&self.program).map_err(|error| error.to_string())?;
        match process.ask(&Request::Hello(self.hello.clone()), START_LIMIT) {
            Ok(Reply::Ready) => {
                self.generation += 1;
                self.dropped.borrow_mut().clear();
                self.process = Some(process);
                Ok(())
            }
            Ok(Reply::Refused { message }) => Err(message),
            Ok(other) => Err(format!("unexpected answer {other:?}")),
            Err(Lost::Died(how)) => Err(format!("ended before it was ready: {how}")),
            Err(Lost::Silent) => Err(format!("not ready after {} s", START_LIMIT.as_secs())),
        }
    }

    /// One request to a living process. A process that does not answer within the limit is killed.
    fn ask(&mut self, request: &Request, limit: Duration) -> Result<Reply, Outcome> {
        let lost = |how: String| Outcome::Crashed(format!("the worker process {how}"));
        self.revive().map_err(|reason| lost(format!("could not be started again: {reason}")))?;
        let dropped = std::mem::take(&mut *self.dropped.borrow_mut());
        let process = self.process.as_mut().expect("just revived");
        let reply = if dropped.is_empty() {
            process.ask(request, limit)
        } else {
            process.tell(&Request::Drop { ids: dropped });
            process.ask(request, limit)
        };
        reply.map_err(|reason| {
            self.process = None;
            match reason {
                Lost::Died(how) => Outcome::Crashed(how),
                Lost::Silent => Outcome::TimedOut(limit),
            }
        })
    }

    /// Compiles and verifies a kernel of a process that is gone again.
    fn ensure(&mut self, kernel: &mut RemoteKernel, left: Option<Duration>) -> Result<(), Outcome> {
        if self.process.is_none() || kernel.generation != self.generation {
            self.prepare_as(kernel.id, &kernel.schedule, left)?;
            kernel.generation = self.generation;
        }
        Ok(())
    }

    fn prepare_as(
        &mut self,
        id: u64,
        schedule: &CheckedSchedule,
        left: Option<Duration>,
    ) -> Result<(), Outcome> {
        let request = Request::Prepare { id, schedule: *schedule.schedule() };
        let limit = self.limit(1, left, Duration::ZERO);
        match self.ask(&request, limit)? {
            Reply::Prepared => Ok(()),
            reply => Err(reply.failure()),
        }
    }

    /// All turns in one request.
    fn round(
        &mut self,
        turns: &mut [Turn<'_, RemoteKernel>],
        within: Option<Duration>,
    ) -> Result<Vec<Sample>, Outcome> {
        for turn in turns.iter_mut() {
            self.ensure(turn.kernel, within)?;
        }
        let remote = turns.iter().map(|turn| {
            let Turn { kernel, repeats, may_wait, moves } = turn;
            RemoteTurn { id: kernel.id, repeats: *repeats, may_wait: *may_wait, moves: *moves }
        });
        let request = Request::TakeTurns { turns: remote.collect(), within };
        let runs = turns.iter().map(|turn| turn.repeats).sum();
        let waits = LONGEST_WAIT.saturating_mul(u32::try_from(turns.len()).unwrap_or(u32::MAX));
        match self.ask(&request, self.limit(runs, within, waits))? {
            Reply::Samples { samples } if !samples.is_empty() => {
                for (sample, turn) in samples.iter().zip(turns) {
                    let run = Duration::from_nanos(sample.ns / turn.repeats.max(1));
                    self.fastest = Some(self.fastest.map_or(run, |fastest| fastest.min(run)));
                }
                Ok(samples)
            }
            reply => Err(reply.failure()),
        }
    }

    /// The least of what the time that is left allows and what is plausible for so many runs, and waits
    /// for so long.
    fn limit(&self, runs: u64, left: Option<Duration>, waits: Duration) -> Duration {
        let runs = u32::try_from(runs).unwrap_or(u32::MAX);
        let plausible = match self.fastest {
            Some(fastest) => LEAST_LIMIT + waits + (SLOWEST * fastest).saturating_mul(runs),
            None => FIRST_LIMIT,
        };
        left.map_or(plausible, |left| plausible.min(left + GRACE))
    }
}

impl Bench for WorkerBench {
    type Kernel = RemoteKernel;

    fn prepare(
        &mut self,
        schedule: &CheckedSchedule,
        deadline: Deadline<'_>,
    ) -> Result<RemoteKernel, Outcome> {
        let id = self.next_id;
        self.next_id += 1;
        self.prepare_as(id, schedule, deadline.left())?;
        let (generation, dropped) = (self.generation, Rc::clone(&self.dropped));
        Ok(RemoteKernel { schedule: *schedule, generation, id, dropped })
    }

    fn take_turns(
        &mut self,
        turns: &mut [Turn<'_, RemoteKernel>],
        deadline: Deadline<'_>,
    ) -> Vec<Result<Sample, Outcome>> {
        let outcome = match self.round(turns, deadline.left()) {
            Ok(samples) => return samples.into_iter().map(Ok).collect(),
            Err(outcome) => outcome,
        };
        if turns.len() == 1 {
            return vec![Err(outcome)];
        }
        // Who it was shows when each goes alone; until then, whatever the time, since a kernel that
        // never ends must not win by its earlier samples.
        let mut samples = Vec::with_capacity(turns.len());
        for turn in turns {
            samples.extend(self.take_turns(slice::from_mut(turn), deadline));
            if deadline.has_passed() && samples.iter().any(Result::is_err) {
                break;
            }
        }
        samples
    }

    fn verify_again(&mut self, kernel: &mut RemoteKernel) -> Result<(), Outcome> {
        self.ensure(kernel, None)?;
        // The reference is to be run on the other data first.
        match self.ask(&Request::VerifyAgain { id: kernel.id }, START_LIMIT)? {
            Reply::Verified => Ok(()),
            reply => Err(reply.failure()),
        }
    }

    fn second_look_time(&self) -> Duration {
        2 * self.start_time
    }

    fn contamination(&mut self) -> Option<String> {
        // A worker that is gone took its samples with it.
        self.process.as_ref()?;
        match self.ask(&Request::Contamination, LEAST_LIMIT) {
            Ok(Reply::Contamination { reason }) => reason,
            _ => None,
        }
    }

    fn is_repeatable(&self) -> bool {
        self.hello.objective == Objective::Warm
    }
}
