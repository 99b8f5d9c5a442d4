//! One kept winner: the schedule, its measurement and where it came from.

use dsconv_kernels::{CODE_GENERATION, Isa, Schedule, Workload};
use serde::{Deserialize, Serialize};

/// More threads than machines have cores; a bound on what a file can make a program start.
pub(crate) const MOST_THREADS: usize = 4096;

/// The best schedule found for a workload, on a CPU model, an instruction set and a number of
/// threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it computes; one line of text in the file.
    #[serde(with = "line")]
    pub workload: Workload,
    /// Instruction set it was compiled for.
    pub isa: Isa,
    /// Threads it ran on.
    pub threads: usize,
    /// What it was chosen for.
    pub objective: Objective,
    /// The winner.
    pub schedule: Schedule,
    /// Its time.
    pub measurement: Measurement,
    /// The second best, where a second one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<RunnerUp>,
    /// How it was found.
    pub provenance: Provenance,
}

/// What a schedule was chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Time of a run whose tensors are in the caches as the run before left them.
    Warm,
    /// Time of a run whose tensors were flushed from the caches.
    Cold,
}

/// Times of one schedule. The file keeps three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Median of the samples, in microseconds.
    #[serde(with = "thousandths")]
    pub median_us: f64,
    /// Least sample, in microseconds.
    #[serde(with = "thousandths")]
    pub min_us: f64,
    /// Median absolute deviation of the samples from their median, in microseconds.
    #[serde(with = "thousandths")]
    pub spread_us: f64,
    /// Number of samples.
    pub samples: u32,
}

/// The second best schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerUp {
    /// The schedule.
    pub schedule: Schedule,
    /// Its time beside the winner, in microseconds: the winner's median, times its time over the
    /// winner's in the same rounds.
    #[serde(with = "thousandths")]
    pub median_us: f64,
}

/// How a record came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the tuner.
    pub version: String,
    /// [`CODE_GENERATION`](dsconv_kernels::CODE_GENERATION) of the tuner, or of who found that the
    /// schedule still leads; 0 where the file does not tell.
    #[serde(default, skip_serializing_if = "is_untold")]
    pub code_generation: u32,
    /// Strategy of the search.
    pub strategy: String,
    /// Schedules that were tried.
    #[serde(with = "wide")]
    pub trials: u64,
    /// Seed of the search.
    #[serde(with = "wide")]
    pub seed: u64,
    /// When, as RFC 3339.
    pub date: String,
    /// Time of the untuned default beside the winner, in microseconds, as that of the runner-up.
    #[serde(with = "thousandths")]
    pub default_us: f64,
    /// Whether something else used the machine while the record's times were taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contended: bool,
}

impl Measurement {
    /// What is wrong with times that no clock gives.
    pub(super) fn fault(&self) -> Option<String> {
        [("median_us", self.median_us), ("min_us", self.min_us), ("spread_us", self.spread_us)]
            .into_iter()
            .find_map(|(name, us)| fault_of_time(name, us))
    }
}

impl Provenance {
    /// What is wrong with values that fit their types.
    fn fault(&self) -> Option<String> {
        let texts =
            [("version", &self.version), ("strategy", &self.strategy), ("date", &self.date)];
        texts
            .into_iter()
            .find_map(|(name, text)| fault_of_text(name, text))
            .or_else(|| fault_of_time("default_us", self.default_us))
    }

    /// The date, where it is of the one form that the tuner writes. Dates of this form sort as text.
    pub(super) fn sortable_date(&self) -> Option<&str> {
        const FORM: &str = "0000-00-00T00:00:00Z";
        let fits = |(found, form): (char, char)| match form {
            '0' => found.is_ascii_digit(),
            _ => found == form,
        };
        let date = self.date.as_str();
        (date.len() == FORM.len() && date.chars().zip(FORM.chars()).all(fits)).then_some(date)
    }
}

impl Record {
    /// Whether it was tuned with the code that this version generates, or found to lead with it, too.
    /// The schedule of any other record may run all the same, but is not known to be the fastest.
    pub fn is_current(&self) -> bool {
        self.provenance.code_generation == CODE_GENERATION
    }

    /// What is wrong with values that fit their types.
    pub(super) fn fault(&self) -> Option<String> {
        let threads = self.threads;
        if !(1..=MOST_THREADS).contains(&threads) {
            return Some(format!("`threads` is {threads}, must be from 1 to {MOST_THREADS}"));
        }
        let runner_up = self.runner_up.as_ref();
        self.measurement
            .fault()
            .or_else(|| runner_up.and_then(|it| fault_of_time("runner_up.median_us", it.median_us)))
            .or_else(|| self.provenance.fault())
    }
}

/// What is wrong with a text of a stranger: nobody's version or date needs more letters.
pub(crate) fn fault_of_text(name: &str, text: &str) -> Option<String> {
    const MOST_BYTES: usize = 256;
    let bytes = text.len();
    (bytes > MOST_BYTES)
        .then(|| format!("`{name}` has {bytes} bytes, must have at most {MOST_BYTES}"))
}

fn is_untold(code_generation: &u32) -> bool {
    *code_generation == 0
}

fn fault_of_time(name: &str, us: f64) -> Option<String> {
    let is_time = us.is_finite() && us >= 0.0;
    (!is_time).then(|| format!("`{name}` is {us}, must be a finite number of at least 0"))
}

/// A workload as its line of text.
mod line {
    use dsconv_kernels::Workload;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(workload: &Workload, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(workload)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Workload, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Microseconds rounded to nanoseconds: finer digits are noise, and would change with every run.
mod thousandths {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(us: &f64, to: S) -> Result<S::Ok, S::Error> {
        let rounded = (us * 1e3).round() / 1e3;
        to.serialize_f64(if rounded.is_finite() { rounded } else { *us })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        f64::deserialize(from)
    }
}

/// A `u64`: as text where it exceeds the 63 bits of a TOML integer.
mod wide {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*number) {
            Ok(number) => to.serialize_i64(number),
            Err(_) => to.collect_str(number),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        match Form::deserialize(from) {
            Ok(Form::Number(number)) => Some(number),
            Ok(Form::Text(text)) => text.parse().ok(),
            Err(_) => None,
        }
        .ok_or_else(|| D::Error::custom("expected a whole number of at most 64 bits"))
    }
}
