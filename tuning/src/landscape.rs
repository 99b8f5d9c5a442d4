//! A search space with the measured time of each schedule, so that strategies are tested and
//! compared without a machine and without a clock.
//!
//! ```
//! use dsconv_kernels::{Schedule, Target};
//! use dsconv_tuning::landscape::Landscape;
//!
//! let text = "\
//! workload f32 nchw 1x8x8x8 dw:3x3,p1
//! target {\"isa\":\"fma\",\"lanes\":4,\"vector_registers\":16,\"l1_bytes\":32768,\"l2_bytes\":1048576}
//! threads 1
//! default pixels fused rows t8 dw:l4,r4,v1,registers,overlap,copied
//! head pixels fused rows t8
//! head pixels fused rows t4
//! dw dw:l4,r4,v1,registers,overlap,copied
//! times 0 0 1.52
//! times 1 0 1.77
//! ";
//! let landscape: Landscape = text.parse()?;
//! let best: Schedule = "pixels fused rows t8 dw:l4,r4,v1,registers,overlap,copied".parse()?;
//! assert_eq!(landscape.best_us(), Some(1.52));
//! assert_eq!(landscape.time_us(&best), Some(1.52));
//! assert_eq!(landscape.space().len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `autotune --shape … --record-landscape FILE` writes one. The text names each combination of
//! family, fusion, split and tile rows once (`head`), and each tile of either stage (`dw`, `pw`). A
//! line `times H D` then has the times, in microseconds, of head `H` with depthwise tile `D`
//! and each of the pointwise tiles in turn; `-` where there is none.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::str::FromStr;

use dsconv_kernels::{Schedule, Target, Workload};

use crate::space::SearchSpace;
use crate::strategy::Strategy;
use crate::trial::{Outcome, Trial};
use crate::{TuneOptions, Tuned};

/// Schedules of one workload on one machine with their times.
#[derive(Clone, Debug)]
pub struct Landscape {
    workload: Workload,
    target: Target,
    threads: usize,
    default: Schedule,
    schedules: Vec<Schedule>,
    time_us: HashMap<Schedule, f64>,
}

/// Why a text is no landscape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a landscape: {message}")]
pub struct ParseLandscapeError {
    line: usize,
    message: String,
}

impl Landscape {
    /// The measured trials of a search, each with its least time, since most have few samples. To
    /// compare strategies by it, the search should have tried the whole space.
    pub fn of(tuned: &Tuned, target: &Target, options: &TuneOptions) -> Self {
        let measured = tuned.trials.iter().filter_map(|trial| Some((trial, trial.min_us()?)));
        let time_us: HashMap<Schedule, f64> =
            measured.clone().map(|(trial, us)| (trial.schedule, us)).collect();
        Self {
            workload: tuned.record.workload,
            target: *target,
            threads: options.threads,
            default: tuned.default.schedule,
            schedules: measured.map(|(trial, _)| trial.schedule).collect(),
            time_us,
        }
    }

    /// Times of schedules by a formula, or from elsewhere; those of the default should be among them.
    pub fn new(
        workload: &Workload,
        target: &Target,
        threads: usize,
        default: Schedule,
        times: &[(Schedule, f64)],
    ) -> Self {
        let (workload, target) = (*workload, *target);
        let schedules = times.iter().map(|(schedule, _)| *schedule).collect();
        let time_us = times.iter().copied().collect();
        Self { workload, target, threads, default, schedules, time_us }
    }

    /// The untuned default when the landscape was recorded.
    pub fn default_schedule(&self) -> &Schedule {
        &self.default
    }

    /// What is computed.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// The machine.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The recorded schedules as a space.
    pub fn space(&self) -> SearchSpace {
        SearchSpace::of(&self.workload, &self.target, self.threads, self.schedules.clone())
    }

    /// The time of a schedule, if it was recorded.
    pub fn time_us(&self, schedule: &Schedule) -> Option<f64> {
        self.time_us.get(schedule).copied()
    }

    /// The least time.
    pub fn best_us(&self) -> Option<f64> {
        self.time_us.values().copied().min_by(f64::total_cmp)
    }

    /// Trials, the default included, until a strategy that is asked in rounds of `batch` has found a
    /// time of at most so many times the best there is; `None` where it never does.
    pub fn trials_until(
        &self,
        strategy: &mut dyn Strategy,
        regret: f64,
        batch: usize,
    ) -> Option<usize> {
        let enough_us = regret * self.best_us()?;
        let mut tried = 0;
        let mut proposed = vec![self.default];
        while !proposed.is_empty() {
            let mut is_enough = false;
            for schedule in proposed {
                tried += usize::from(!is_enough);
                is_enough |= self.observe(strategy, schedule).is_some_and(|us| us <= enough_us);
            }
            if is_enough {
                return Some(tried);
            }
            proposed = strategy.propose(batch);
        }
        None
    }

    /// Tells a strategy the recorded time of a schedule, where there is one.
    fn observe(&self, strategy: &mut dyn Strategy, schedule: Schedule) -> Option<f64> {
        let us = self.time_us(&schedule)?;
        let measurement = crate::measure::summarize(&[us]);
        strategy.observe(&Trial { schedule, outcome: Outcome::Measured(measurement) });
        Some(us)
    }

    /// Lets a strategy make so many trials, the default included, in rounds of `batch`, and gives
    /// the best time found over the best there is: 1.0 is no regret.
    pub fn regret(&self, strategy: &mut dyn Strategy, trials: usize, batch: usize) -> f64 {
        let mut best_us = f64::INFINITY;
        let mut tried = 0;
        let mut proposed = vec![self.default];
        while !proposed.is_empty() {
            for schedule in proposed {
                tried += 1;
                if let Some(us) = self.observe(strategy, schedule) {
                    best_us = best_us.min(us);
                }
            }
            proposed = strategy.propose(batch.min(trials.saturating_sub(tried)));
        }
        best_us / self.best_us().unwrap_or(f64::NAN)
    }
}

/// Head, depthwise tile and pointwise tile of a schedule's text.
fn parts(schedule: &Schedule) -> [String; 3] {
    let mut parts = [const { String::new() }; 3];
    for word in schedule.to_string().split(' ') {
        let part = match word {
            _ if word.starts_with("dw:") => &mut parts[1],
            _ if word.starts_with("pw:") => &mut parts[2],
            _ => &mut parts[0],
        };
        if !part.is_empty() {
            part.push(' ');
        }
        part.push_str(word);
    }
    parts
}

/// Four significant digits: finer ones are noise.
fn rounded(us: f64) -> f64 {
    if us <= 0.0 || !us.is_finite() {
        return us;
    }
    let scale = 10_f64.powf(3.0 - us.log10().floor());
    (us * scale).round() / scale
}

impl fmt::Display for Landscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = serde_json::to_string(&self.target).map_err(|_| fmt::Error)?;
        writeln!(f, "workload {}", self.workload)?;
        writeln!(f, "target {target}")?;
        writeln!(f, "threads {}", self.threads)?;
        writeln!(f, "default {}", self.default)?;
        let mut names: [Vec<String>; 3] = Default::default();
        let mut rows: HashMap<[usize; 2], HashMap<usize, f64>> = HashMap::new();
        for schedule in &self.schedules {
            let mut numbers = [0; 3];
            for (number, (names, part)) in
                numbers.iter_mut().zip(names.iter_mut().zip(parts(schedule)))
            {
                *number = names.iter().position(|name| *name == part).unwrap_or_else(|| {
                    names.push(part);
                    names.len() - 1
                });
            }
            let [head, depthwise, pointwise] = numbers;
            let us = self.time_us.get(schedule).copied().unwrap_or(f64::NAN);
            rows.entry([head, depthwise]).or_default().insert(pointwise, us);
        }
        for (kind, names) in ["head", "dw", "pw"].into_iter().zip(&names) {
            for name in names.iter().filter(|name| !name.is_empty()) {
                writeln!(f, "{kind} {name}")?;
            }
        }
        let mut keys: Vec<[usize; 2]> = rows.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let row = &rows[&key];
            let mut line = format!("times {} {}", key[0], key[1]);
            let last = row.keys().copied().max().unwrap_or(0);
            for pointwise in 0..=last {
                match row.get(&pointwise) {
                    Some(us) => write!(line, " {}", rounded(*us))?,
                    None => line.push_str(" -"),
                }
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl FromStr for Landscape {
    type Err = ParseLandscapeError;

    fn from_str(text: &str) -> Result<Self, ParseLandscapeError> {
        let mut head: [Option<&str>; 4] = [None; 4];
        let mut names: [Vec<&str>; 3] = Default::default();
        let mut schedules = Vec::new();
        let mut time_us = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |message: &str| ParseLandscapeError {
                line: index + 1,
                message: message.to_owned(),
            };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = line.split_once(' ').ok_or_else(|| wrong("a word alone"))?;
            match word {
                "workload" => head[0] = Some(rest),
                "target" => head[1] = Some(rest),
                "threads" => head[2] = Some(rest),
                "default" => head[3] = Some(rest),
                "head" => names[0].push(rest),
                "dw" => names[1].push(rest),
                "pw" => names[2].push(rest),
                "times" => {
                    let mut words = rest.split(' ');
                    let mut number = || words.next().and_then(|word| word.parse().ok());
                    let (first, second): (Option<usize>, Option<usize>) = (number(), number());
                    let name = |names: &[&str], number: Option<usize>| match number {
                        Some(number) if names.is_empty() && number == 0 => Some(String::new()),
                        Some(number) => names.get(number).map(|name| format!(" {name}")),
                        None => None,
                    };
                    let known = "two numbers of a head and a dw that stand above";
                    let first = name(&names[0], first).ok_or_else(|| wrong(known))?;
                    let second = name(&names[1], second).ok_or_else(|| wrong(known))?;
                    for (pointwise, word) in words.enumerate().filter(|(_, word)| *word != "-") {
                        let us: f64 = word.parse().map_err(|_| wrong("no time"))?;
                        let third = name(&names[2], Some(pointwise))
                            .ok_or_else(|| wrong("more times than there are pw"))?;
                        let text = format!("{first}{second}{third}");
                        let schedule: Schedule =
                            text.trim().parse().map_err(|error| wrong(&format!("{error}")))?;
                        schedules.push(schedule);
                        time_us.insert(schedule, us);
                    }
                }
                other => return Err(wrong(&format!("`{other}` is no word of a landscape"))),
            }
        }
        let [Some(workload), Some(target), Some(threads), Some(default)] = head else {
            let message = "workload, target, threads and default must stand in it".to_owned();
            return Err(ParseLandscapeError { line: text.lines().count(), message });
        };
        let wrong = |message: String| ParseLandscapeError { line: 1, message };
        Ok(Self {
            workload: workload.parse().map_err(|error| wrong(format!("{error}")))?,
            target: serde_json::from_str(target).map_err(|error| wrong(error.to_string()))?,
            threads: threads.parse().map_err(|_| wrong("threads is no number".to_owned()))?,
            default: default.parse().map_err(|error| wrong(format!("{error}")))?,
            schedules,
            time_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_landscape_comes_back_from_its_text() {
        let workload: Workload = "f32 nchw 1x16x14x14 dw:3x3,p1 pw:32".parse().expect("a workload");
        let target = Target::of(dsconv_kernels::Isa::Fma);
        let schedules = SearchSpace::new(&workload, &target, 2).sample(300, 1);
        let times = schedules.iter().enumerate().map(|(at, s)| (*s, 10.5 + at as f64)).collect();
        let landscape = Landscape {
            workload,
            target,
            threads: 2,
            default: schedules[0],
            schedules: schedules.clone(),
            time_us: times,
        };
        let read: Landscape = landscape.to_string().parse().expect("its own text");
        assert_eq!(read.to_string().lines().count(), landscape.to_string().lines().count());
        assert_eq!((read.workload, read.target, read.threads), (workload, target, 2));
        for schedule in &schedules {
            let (was, is) = (landscape.time_us(schedule), read.time_us(schedule));
            let (was, is) = (was.expect("recorded"), is.expect("read"));
            assert!((was / is - 1.0).abs() < 1e-3, "{schedule}: {was} {is}");
        }
        assert_eq!(read.space().len(), 300);
    }

    #[test]
    fn a_text_that_is_none_is_refused_by_line() {
        let refused = |text: &str| text.parse::<Landscape>().expect_err(text).to_string();
        assert!(refused("").contains("workload, target"));
        assert!(refused("nonsense here").contains("line 1"));
        assert!(refused("head a\ntimes 0 0 x\n").contains("line 2"));
        assert!(refused("times 4 0 1.0\n").contains("stand above"));
    }
}
