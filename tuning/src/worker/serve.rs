//! The worker's side: reads requests until there are no more.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use dsconv_kernels::{Schedule, Target, Workload};

use super::fault::Faults;
use super::protocol::{Hello, RemoteTurn, Reply, Request};
use crate::bench::{Bench, HostBench, Prepared, Sample, Turn};
use crate::fate::Fate;
use crate::measure::{Deadline, SystemClock};
use crate::trial::Outcome;

/// Serves the requests of a [`WorkerBench`](super::WorkerBench) until `input` ends.
///
/// # Errors
///
/// If reading or writing fails.
pub fn serve(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    end_with_the_parent();
    let mut worker: Option<Worker> = None;
    for line in input.lines() {
        let refused = |message: String| Some(Reply::Refused { message });
        let reply = match (serde_json::from_str(&line?), &mut worker) {
            (Err(error), _) => refused(format!("no request: {error}")),
            (Ok(Request::Hello(hello)), _) => match Worker::new(&hello) {
                Ok(ready) => {
                    worker = Some(ready);
                    Some(Reply::Ready)
                }
                Err(message) => refused(message),
            },
            (Ok(_), None) => refused("hello comes first".to_owned()),
            (Ok(request), Some(worker)) => worker.answer(request),
        };
        if let Some(reply) = reply {
            let mut line = serde_json::to_string(&reply).map_err(io::Error::other)?;
            line.push('\n');
            output.write_all(line.as_bytes())?;
            output.flush()?;
        }
    }
    Ok(())
}

/// A worker in an endless loop does not see that its input has ended. It is the child of whoever
/// reads its replies, so it ends once it is somebody else's.
fn end_with_the_parent() {
    #[cfg(unix)]
    std::thread::spawn(|| {
        let parent = std::os::unix::process::parent_id();
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        std::process::exit(1);
    });
}

struct Worker {
    bench: HostBench,
    workload: Workload,
    target: Target,
    kernels: HashMap<u64, (Schedule, Prepared)>,
    clock: SystemClock,
    faults: Faults,
}

impl Worker {
    fn new(hello: &Hello) -> Result<Self, String> {
        if let Some(fault) = hello.fault() {
            return Err(fault);
        }
        let Hello { workload, target, threads, objective, seed, .. } = hello;
        let mut bench = HostBench::new(workload, target, *threads, *objective, *seed)
            .map_err(|error| error.to_string())?;
        #[cfg(unix)]
        bench.driven_by(std::os::unix::process::parent_id());
        let faults = Faults::from_environment();
        let (workload, target) = (*workload, *target);
        let (kernels, clock) = (HashMap::new(), SystemClock::start());
        Ok(Self { bench, workload, target, kernels, clock, faults })
    }

    fn answer(&mut self, request: Request) -> Option<Reply> {
        Some(match request {
            Request::Hello(_) => unreachable!("handled by the caller"),
            Request::Prepare { id, schedule } => match self.prepare(id, schedule) {
                Ok(()) => Reply::Prepared,
                Err(outcome) => Reply::Failed(Fate::from(&outcome)),
            },
            Request::TakeTurns { turns, within } => self.take_turns(&turns, within),
            Request::VerifyAgain { id } => match self.kernels.get_mut(&id) {
                None => no_kernel(id),
                Some((schedule, kernel)) => {
                    let spoil = self.faults.at_second_look(schedule);
                    match self.bench.look_again(kernel, spoil) {
                        Ok(()) => Reply::Verified,
                        Err(mismatch) => Reply::Failed(Fate::from(&Outcome::Wrong(mismatch))),
                    }
                }
            },
            Request::Contamination => Reply::Contamination { reason: self.bench.contamination() },
            Request::Drop { ids } => {
                for id in ids {
                    self.kernels.remove(&id);
                }
                return None;
            }
        })
    }

    fn prepare(&mut self, id: u64, schedule: Schedule) -> Result<(), Outcome> {
        self.faults.at_preparation(&schedule);
        let checked = schedule.check(&self.workload, &self.target).map_err(Outcome::Illegal)?;
        let kernel = self.bench.prepare(&checked, Deadline::within(&self.clock, None))?;
        self.kernels.insert(id, (schedule, kernel));
        Ok(())
    }

    fn take_turns(&mut self, turns: &[RemoteTurn], within: Option<Duration>) -> Reply {
        // Taken out, since all of them are borrowed at once.
        let mut taken = Vec::with_capacity(turns.len());
        for turn in turns {
            match self.kernels.remove(&turn.id) {
                Some((schedule, kernel)) => taken.push((turn, schedule, kernel)),
                None => break,
            }
        }
        let reply = match turns.get(taken.len()) {
            Some(RemoteTurn { id, .. }) => no_kernel(*id),
            None => self.take_all(&mut taken, within),
        };
        let back = taken.into_iter().map(|(turn, schedule, kernel)| (turn.id, (schedule, kernel)));
        self.kernels.extend(back);
        reply
    }

    fn take_all(
        &mut self,
        taken: &mut [(&RemoteTurn, Schedule, Prepared)],
        within: Option<Duration>,
    ) -> Reply {
        let deadline = Deadline::within(&self.clock, within);
        let is_in_round = taken.len() > 1;
        let longer = taken
            .iter()
            .map(|(turn, schedule, _)| self.faults.at_turn(schedule, turn.moves, is_in_round));
        let longer: Vec<u64> = longer.collect();
        let turns = taken.iter_mut().map(|(turn, _, kernel)| {
            let RemoteTurn { repeats, may_wait, moves, .. } = **turn;
            Turn { kernel, repeats, may_wait, moves }
        });
        let samples = self.bench.take_turns(&mut turns.collect::<Vec<_>>(), deadline);
        let samples = samples.into_iter().zip(longer).map(|(sample, longer)| {
            sample.map(|Sample { ns, is_quiet }| Sample { ns: longer * ns, is_quiet })
        });
        match samples.collect() {
            Ok(samples) => Reply::Samples { samples },
            Err(outcome) => Reply::Failed(Fate::from(&outcome)),
        }
    }
}

fn no_kernel(id: u64) -> Reply {
    Reply::Refused { message: format!("there is no kernel {id}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(requests: &str) -> Vec<String> {
        let mut output = Vec::new();
        serve(requests.as_bytes(), &mut output).expect("memory can be read and written");
        let text = String::from_utf8(output).expect("JSON is UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn requests_out_of_turn_are_refused_by_name() {
        let replies = replies("nonsense\n{\"drop\":{\"ids\":[1]}}\n");
        assert!(replies[0].contains("no request"), "{replies:?}");
        assert!(replies[1].contains("hello comes first"), "{replies:?}");
    }

    #[test]
    fn kernels_are_prepared_sampled_in_turn_and_forgotten() {
        let workload = "f32 nchw 1x4x6x6 dw:3x3,p1 pw:8".parse().expect("a workload");
        let target = Target::host();
        let default = dsconv_kernels::cost::default_schedule(&workload, &target, 1);
        let schedule = *default.schedule();
        let round = |ids: &[u64], within| {
            let turn = |&id| RemoteTurn { id, repeats: 2, may_wait: true, moves: id == 3 };
            Request::TakeTurns { turns: ids.iter().map(turn).collect(), within }
        };
        let requests = [
            Request::Hello(Hello::new(&workload, &target, 1, dsconv::Objective::Warm, 1)),
            Request::Prepare { id: 3, schedule },
            Request::Prepare { id: 5, schedule },
            round(&[3, 5], None),
            round(&[5, 3], Some(Duration::ZERO)),
            Request::Drop { ids: vec![3] },
            round(&[5, 3], None),
            round(&[5], Some(Duration::MAX)),
            Request::Prepare { id: 4, schedule: Schedule { tile_rows: 99, ..schedule } },
        ];
        let lines = requests.map(|request| serde_json::to_string(&request).expect("a line"));
        let replies = replies(&lines.join("\n"));
        assert_eq!(replies[..3], ["\"ready\"", "\"prepared\"", "\"prepared\""]);
        let samples = |reply: &str| reply.matches("\"ns\":").count();
        assert_eq!(samples(&replies[3]), 2, "{replies:?}");
        assert_eq!(samples(&replies[4]), 1, "no time for more: {replies:?}");
        assert!(replies[5].contains("no kernel 3"), "{replies:?}");
        assert_eq!(samples(&replies[6]), 1, "the other one is still there: {replies:?}");
        assert!(replies[7].contains("illegal"), "{replies:?}");
        assert_eq!(replies.len(), 8);
    }
}
