//! A record of a file put to the proof on this machine: legal, compiled, equal to the reference,
//! timed.

use std::time::Duration;

use dsconv::cpu::{self, CpuModel};
use dsconv::{Isa, Measurement, Record, RunnerUp, Schedule, Target, Workload, cost};
use dsconv_tuning::bench::{HostBench, Prepared};

/// More than the blocks of networks need; a bound on what a file can make this command allocate.
const MOST_BYTES: u64 = 1 << 30;
/// More than the blocks of networks need; a bound on the time of the scalar reference.
const MOST_FLOPS: u64 = 20_000_000_000;
/// Seeds of the data that every schedule is compared with the reference on.
const SEEDS: [u64; 2] = [0, 1];

/// Turns that schedules take when they are compared.
const ROUNDS: u32 = 4;
/// Part of another's time that a schedule must stay below to be faster: less is noise.
const LEAST_GAIN: f64 = 0.99;

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    /// Legal, compiled, equal to the reference, and timed where that was wanted and possible.
    Sound(Option<Measurement>),
    /// It must not run; why.
    Broken(String),
    /// This machine cannot tell; why.
    Unchecked(String),
}

/// Checks a record, and times it for a while where a time is given.
pub(crate) fn recheck(record: &Record, budget: Option<Duration>) -> Fate {
    match Proof::of(record) {
        Ok(mut proof) => Fate::Sound(budget.and_then(|budget| proof.time(record.schedule, budget))),
        Err(fate) => fate,
    }
}

/// A record with the times of this machine in place of its own, or why there is none. Times that
/// cannot be taken stay as they are.
pub(crate) fn remeasured(record: &Record, budget: Duration) -> Result<Record, Fate> {
    Ok(Proof::of(record)?.remeasured(record, budget))
}

/// Whether a record's schedule is no slower than the untuned default and the runner-up, all three
/// timed in turn.
pub(crate) fn leads(record: &Record, budget: Duration) -> Result<bool, Fate> {
    let mut proof = Proof::of(record)?;
    let default = cost::default_schedule(&record.workload, &proof.target, proof.threads);
    let rivals = [Some(*default.schedule()), record.runner_up.map(|rival| rival.schedule)];
    let rivals = rivals.into_iter().flatten().filter(|rival| *rival != record.schedule);
    let schedules: Vec<Schedule> = std::iter::once(record.schedule).chain(rivals).collect();
    let times = proof.in_turn(&schedules, budget);
    let [Some(own), ref rivals @ ..] = times[..] else { return Ok(false) };
    let mut rivals = rivals.iter().flatten();
    Ok(rivals.all(|rival| rival.median_us > LEAST_GAIN * own.median_us))
}

/// Lets a record compete with the one that would have to go: both are timed in turn, so that a busy
/// moment meets both. Gives the challenger with its times, or nothing where it is not faster.
pub(crate) fn contest(
    present: &Record,
    challenger: &Record,
    budget: Duration,
) -> Result<Option<Record>, Fate> {
    if challenger.schedule == present.schedule {
        return Ok(None);
    }
    let mut proof = Proof::of(challenger)?;
    let times = proof.in_turn(&[present.schedule, challenger.schedule], budget);
    let wins = match times[..] {
        [Some(present), Some(challenger)] => challenger.median_us < LEAST_GAIN * present.median_us,
        _ => false,
    };
    Ok(wins.then(|| proof.remeasured(challenger, budget)))
}

/// The machine that code of an instruction set is generated for here.
pub(crate) fn target(isa: Isa, cpu: &CpuModel) -> Target {
    let target = Target::of(isa);
    let known = |bytes, guess| if bytes > 0 { bytes } else { guess };
    target.with_caches(known(cpu.l1_bytes, target.l1_bytes), known(cpu.l2_bytes, target.l2_bytes))
}

/// A workload with its data and the outputs of the reference.
struct Proof {
    workload: Workload,
    target: Target,
    threads: usize,
    benches: Vec<HostBench>,
}

impl Proof {
    /// Proves a record's schedule.
    fn of(record: &Record) -> Result<Self, Fate> {
        let Record { workload, isa, threads, objective, .. } = *record;
        let target = target(isa, &CpuModel::host());
        record
            .schedule
            .check(&workload, &target)
            .map_err(|error| Fate::Broken(format!("illegal: {error}")))?;
        if let Some(reason) = obstacle(&workload, isa, threads) {
            return Err(Fate::Unchecked(reason));
        }
        let benches = SEEDS
            .map(|seed| HostBench::new(&workload, &target, threads, objective, seed))
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| Fate::Unchecked(error.to_string()))?;
        let mut proof = Self { workload, target, threads, benches };
        proof.kernel(record.schedule).map_err(Fate::Broken)?;
        Ok(proof)
    }

    /// Compiles a schedule and compares it with the reference.
    fn kernel(&mut self, schedule: Schedule) -> Result<Prepared, String> {
        let checked = schedule
            .check(&self.workload, &self.target)
            .map_err(|error| format!("illegal: {error}"))?;
        let mut last = None;
        for bench in self.benches.iter_mut().rev() {
            let mut kernel =
                bench.compile(&checked).map_err(|error| format!("not compiled: {error}"))?;
            bench.verify(&mut kernel).map_err(|error| format!("wrong: {error}"))?;
            last = Some(kernel);
        }
        last.ok_or_else(|| "no data".to_owned())
    }

    /// A record of the workload with times of this machine.
    fn remeasured(&mut self, record: &Record, budget: Duration) -> Record {
        let Some(measurement) = self.time(record.schedule, budget) else {
            return record.clone();
        };
        let mut measured = Record { measurement, ..record.clone() };
        let default = cost::default_schedule(&record.workload, &self.target, self.threads);
        if let Some(time) = self.time(*default.schedule(), budget) {
            measured.provenance.default_us = time.median_us;
        }
        measured.runner_up = record.runner_up.and_then(|RunnerUp { schedule, .. }| {
            let time = self.time(schedule, budget)?;
            Some(RunnerUp { schedule, median_us: time.median_us })
        });
        measured
    }

    /// Times schedules in turn, so that a busy moment meets all of them, for so long each: of each
    /// the best turn.
    fn in_turn(&mut self, schedules: &[Schedule], budget: Duration) -> Vec<Option<Measurement>> {
        let mut best: Vec<Option<Measurement>> = vec![None; schedules.len()];
        for _ in 0..ROUNDS {
            for (best, schedule) in best.iter_mut().zip(schedules) {
                let time = self.time(*schedule, budget / ROUNDS);
                *best = [*best, time]
                    .into_iter()
                    .flatten()
                    .min_by(|one, other| one.median_us.total_cmp(&other.median_us));
            }
        }
        best
    }

    /// Times a schedule; `None` where it is not sound, or where there are too few cores.
    fn time(&mut self, schedule: Schedule, budget: Duration) -> Option<Measurement> {
        if self.threads > cpu::available_cores() {
            return None;
        }
        let mut kernel = self.kernel(schedule).ok()?;
        Some(self.benches[0].time(&mut kernel, budget))
    }
}

/// Why this machine cannot run a workload.
fn obstacle(workload: &Workload, isa: Isa, threads: usize) -> Option<String> {
    let cap = Isa::cap().ok().flatten();
    if !Isa::usable().contains(&isa) || cap.is_some_and(|cap| isa > cap) {
        return Some(format!("needs {isa}, which this machine has not"));
    }
    let elements = workload.input_len()
        + workload.depthwise_len()
        + workload.pointwise_len()
        + 3 * workload.output_len();
    let bytes = elements as u64 * size_of::<f32>() as u64;
    if bytes > MOST_BYTES {
        let (found, limit) = (bytes >> 20, MOST_BYTES >> 20);
        return Some(format!("needs {found} MiB, more than the {limit} MiB that are checked"));
    }
    let flops = workload.flops();
    if flops > MOST_FLOPS {
        let (found, limit) = (flops / 1_000_000_000, MOST_FLOPS / 1_000_000_000);
        return Some(format!("needs {found} GFLOP, more than the {limit} GFLOP that are checked"));
    }
    let cores = cpu::available_cores();
    let most = 4 * cores;
    (threads > most).then(|| format!("needs {threads} threads, and there are {cores} cores"))
}
