//! A block that was tuned a few times.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Duration;

use dsconv::cpu;
use dsconv_kernels::{Schedule, Workload, cost};
use dsconv_tuning::worker::Program;
use dsconv_tuning::{
    Effort, Observer, Quiet, Status, Trial, TuneOptions, side_by_side, tune_in_worker,
};

const RUNS: u64 = 3;
/// Time for which what competed in the runs meets side by side.
const COMPARISON: Duration = Duration::from_secs(4);

/// What came of a block's runs.
pub(crate) struct Block {
    pub(crate) workload: Workload,
    pub(crate) runs: Vec<Run>,
    /// Time of the best schedule that any run had.
    pub(crate) best_us: f64,
    /// The untuned default over the best.
    pub(crate) default: f64,
    /// When each run had a schedule within 2 % of the best.
    pub(crate) within_two_percent: Vec<Duration>,
    /// Schedules that each run verified and timed in a second of its search.
    pub(crate) trials_per_s: Vec<f64>,
}

/// One tuning.
pub(crate) struct Run {
    pub(crate) winner: Schedule,
    pub(crate) tried: HashSet<Schedule>,
    /// Whether its record says that it was tuned beside other work.
    pub(crate) is_contended: bool,
}

/// The best so far, each time that there is a better one, and when; and when trials ended.
#[derive(Default)]
struct Course {
    best_us: Option<f64>,
    bests: Vec<(Duration, Schedule)>,
    /// The first trial's end, the last one's, and trials after the first.
    ends: Option<[Duration; 2]>,
    later: u64,
}

impl Course {
    /// Trials a second, from the first one on.
    fn trials_per_s(&self) -> Option<f64> {
        let [first, last] = self.ends?;
        (self.later > 0).then(|| self.later as f64 / (last - first).as_secs_f64())
    }
}

impl Observer for Course {
    fn trial(&mut self, trial: &Trial, status: &Status) {
        let ends = self.ends.get_or_insert([status.elapsed; 2]);
        ends[1] = status.elapsed;
        self.later = status.trials.saturating_sub(1);
        if let Some(us) = trial.median_us()
            && self.best_us.is_none_or(|best| us < best)
        {
            self.best_us = Some(us);
            self.bests.push((status.elapsed, trial.schedule));
        }
    }
}

impl Block {
    pub(crate) fn tune(
        workload: &Workload,
        threads: usize,
        exhaustive: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let target = cpu::host_target();
        let program = Program::this(["worker"])?;
        let default = *cost::default_schedule(workload, &target, threads).schedule();
        let mut schedules = vec![default];
        let mut runs = Vec::new();
        let mut courses = Vec::new();
        for seed in 1..=RUNS {
            let mut course = Course::default();
            let options = TuneOptions { seed, threads, ..Effort::Normal.options() };
            let tuned = tune_in_worker(workload, &target, &options, &program, &mut course)?;
            schedules.extend(course.bests.iter().map(|(_, schedule)| *schedule));
            schedules.push(tuned.record.schedule);
            courses.push(course);
            runs.push(Run {
                winner: tuned.record.schedule,
                tried: tuned.trials.iter().map(|trial| trial.schedule).collect(),
                is_contended: tuned.record.provenance.contended,
            });
        }
        if exhaustive {
            let options = TuneOptions { threads, ..Effort::Exhaustive.options() };
            let tuned = tune_in_worker(workload, &target, &options, &program, &mut Quiet)?;
            schedules.push(tuned.record.schedule);
        }
        let compared = side_by_side(workload, &target, threads, &schedules, COMPARISON)?;
        let best_us = compared[0].measurement.median_us;
        let ratios: HashMap<Schedule, f64> =
            compared.iter().map(|it| (it.schedule, it.ratio)).collect();
        let within = |course: &Course| {
            let near = course.bests.iter().find(|(_, it)| ratios[it] <= 1.02);
            near.or(course.bests.last()).map(|(when, _)| *when)
        };
        Ok(Self {
            workload: *workload,
            runs,
            best_us,
            default: ratios[&default],
            within_two_percent: courses.iter().filter_map(within).collect(),
            trials_per_s: courses.iter().filter_map(Course::trials_per_s).collect(),
        })
    }

    /// The winner of each run.
    pub(crate) fn winners(&self) -> Vec<Schedule> {
        self.runs.iter().map(|run| run.winner).collect()
    }
}
