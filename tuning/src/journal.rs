//! Trials on disk as they happen, so that a run that dies loses no more than the one in flight.
//!
//! ```
//! use std::time::Duration;
//!
//! use dsconv::Objective;
//! use dsconv_kernels::{Target, cost};
//! use dsconv_tuning::journal::{Identity, Journal};
//! use dsconv_tuning::{Outcome, Trial};
//!
//! let folder = tempfile::tempdir()?;
//! let workload = "f32 nchw 1x4x6x6 dw:3x3,p1 pw:8".parse()?;
//! let identity = Identity::new(&workload, &Target::host(), 1, Objective::Warm);
//! let path = identity.path_beside(&folder.path().join("cache.toml"));
//!
//! let (mut journal, past) = Journal::open(&path, &identity)?;
//! assert!(past.trials.is_empty());
//! let schedule = *cost::default_schedule(&workload, &Target::host(), 1).schedule();
//! let trial = Trial { schedule, outcome: Outcome::Crashed("SIGILL".to_owned()) };
//! journal.append(&trial, Duration::from_millis(20))?;
//! drop(journal); // as if the process had been killed
//!
//! let (journal, past) = Journal::open(&path, &identity)?;
//! assert_eq!((past.trials.len(), past.spent), (1, Duration::from_millis(20)));
//! journal.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The file is lines of JSON: the [`Identity`] of the run, then one line for each trial as soon as
//! it is verified and has a sample, and again with its final measurement. The last line of a
//! killed run may be torn; it is ignored. A journal of another identity, such as that of an earlier
//! build, whose generated code was other code, is begun anew, and [`Past::forgotten`] says why.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dsconv::Objective;
use dsconv_kernels::{CODE_GENERATION, Kernel, Schedule, Target, Workload, cost};
use serde::{Deserialize, Serialize};

use crate::fate::Fate;
use crate::trial::Trial;

/// The format that this version writes.
const FORMAT: u32 = 1;
/// Bytes of the largest journal that is read: some 200,000 trials.
const LARGEST: u64 = 128 << 20;

/// What must be equal for the trials of one run to count in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format: u32,
    version: String,
    /// [`CODE_GENERATION`]; 0 in journals of before it was told.
    #[serde(default)]
    code_generation: u32,
    /// Hash of the code that is generated for the untuned default.
    codegen: String,
    workload: String,
    target: Target,
    threads: usize,
    objective: Objective,
}

/// An open journal, locked against other processes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// What a journal held when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Trials, each once, in the order in which they were first written.
    pub trials: Vec<Trial>,
    /// Time that they took.
    pub spent: Duration,
    /// Why the trials that the file held do not count, if it held any.
    pub forgotten: Option<String>,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process writes it: the same workload is being tuned there.
    #[error("{}: in use by another process that tunes the same workload", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    schedule: Schedule,
    outcome: Fate,
    spent_s: f64,
}

impl Identity {
    /// The identity of a run with this version's code generation.
    pub fn new(workload: &Workload, target: &Target, threads: usize, objective: Objective) -> Self {
        let default = cost::default_schedule(workload, target, threads);
        let code = Kernel::clif(&default).unwrap_or_default();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            code_generation: CODE_GENERATION,
            codegen: format!("{:016x}", hash(code.as_bytes())),
            workload: workload.to_string(),
            target: *target,
            threads,
            objective,
        }
    }

    /// Why trials of another run do not count in this one.
    fn difference(&self, other: Option<&Self>) -> String {
        let Some(other) = other else {
            return "it is no journal of this version".to_owned();
        };
        let (now, then) = (self.code_generation, other.code_generation);
        if now != then {
            let then =
                if then == 0 { "an earlier version".to_owned() } else { format!("version {then}") };
            return format!("its code was of {then}, now it is {now}");
        }
        if self.version != other.version {
            return format!("it is of version {}, this is {}", other.version, self.version);
        }
        if self.codegen != other.codegen {
            return "its code was that of another build".to_owned();
        }
        "it is of another workload or machine".to_owned()
    }

    /// The journal's path beside a cache file: `cache.0123456789abcdef.journal` for `cache.toml`.
    /// Its digits follow from all but the code generation, so that a journal of an earlier build is
    /// replaced and not left behind.
    pub fn path_beside(&self, cache: &Path) -> PathBuf {
        let Self { workload, target, threads, objective, .. } = self;
        let text = format!("{workload} {target:?} {threads} {objective:?}");
        cache.with_extension(format!("{:016x}.journal", hash(text.as_bytes())))
    }
}

impl Journal {
    /// Opens a journal, or begins one, and reads what it holds.
    ///
    /// # Errors
    ///
    /// If another process has it open, or the file cannot be read or written.
    pub fn open(path: &Path, identity: &Identity) -> Result<(Self, Past), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut journal = Self { path: path.to_owned(), file };
        let past = journal.begin(identity).map_err(failed)?;
        Ok((journal, past))
    }

    /// Reads the whole lines, and cuts off what follows them.
    fn begin(&mut self, identity: &Identity) -> io::Result<Past> {
        let mut bytes = Vec::new();
        (&self.file).take(LARGEST).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.lines();
        let head = lines.next().and_then(|line| serde_json::from_str::<Identity>(line).ok());
        if head.as_ref() == Some(identity) {
            self.file.set_len(end as u64)?;
            self.file.seek(SeekFrom::End(0))?;
            return Ok(Past::read(lines));
        }
        // The head alone holds nothing that could be missed.
        let forgotten = lines.next().is_some().then(|| identity.difference(head.as_ref()));
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.write(identity)?;
        Ok(Past { forgotten, ..Past::default() })
    }

    /// Appends a trial, at once and in one piece. A later line of the same schedule replaces it.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn append(&mut self, trial: &Trial, spent: Duration) -> io::Result<()> {
        let outcome = Fate::from(&trial.outcome);
        self.write(&Line { schedule: trial.schedule, outcome, spent_s: spent.as_secs_f64() })
    }

    /// Deletes the file: the run is over and its record kept.
    ///
    /// # Errors
    ///
    /// If the file cannot be deleted.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_string(line)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

impl Past {
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut past = Self::default();
        let mut places: HashMap<Schedule, usize> = HashMap::new();
        for line in lines.filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            let spent = Duration::try_from_secs_f64(line.spent_s).unwrap_or_default();
            past.spent = past.spent.max(spent);
            let Some(outcome) = line.outcome.outcome() else { continue };
            let trial = Trial { schedule: line.schedule, outcome };
            let place = *places.entry(line.schedule).or_insert(past.trials.len());
            match past.trials.get_mut(place) {
                Some(earlier) => *earlier = trial,
                None => past.trials.push(trial),
            }
        }
        past
    }
}

/// FNV-1a: the same on every platform and in every build.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Outcome;

    fn workload() -> Workload {
        "f32 nchw 1x4x6x6 dw:3x3,p1 pw:8".parse().expect("a workload")
    }

    fn identity() -> Identity {
        Identity::new(&workload(), &Target::host(), 1, Objective::Warm)
    }

    fn trial(tile_rows: u16, how: &str) -> Trial {
        let default = *cost::default_schedule(&workload(), &Target::host(), 1).schedule();
        let schedule = Schedule { tile_rows, ..default };
        Trial { schedule, outcome: Outcome::Crashed(how.to_owned()) }
    }

    /// The crashes that a journal tells of.
    fn read(path: &Path) -> Vec<String> {
        let (_, past) = Journal::open(path, &identity()).expect("a journal");
        let outcomes = past.trials.into_iter().map(|trial| trial.outcome);
        outcomes
            .map(|outcome| match outcome {
                Outcome::Crashed(how) => how,
                other => panic!("{other}"),
            })
            .collect()
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_back_its_whole_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j");
        let (mut journal, _) = Journal::open(&path, &identity()).expect("a journal");
        for number in 1..=3 {
            let spent = Duration::from_secs(number.into());
            journal.append(&trial(number, &number.to_string()), spent).expect("written");
        }
        drop(journal);
        let bytes = std::fs::read(&path).expect("the file");
        for end in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..end]).expect("the file");
            let lines = bytes[..end].iter().filter(|&&byte| byte == b'\n').count();
            let expected = ["1", "2", "3"];
            assert_eq!(read(&path), expected[..lines.saturating_sub(1)], "{end}");
            // What is appended to a torn journal is read again.
            let (mut journal, past) = Journal::open(&path, &identity()).expect("a journal");
            assert_eq!(past.spent.as_secs() as usize, lines.saturating_sub(1));
            journal.append(&trial(9, "more"), Duration::ZERO).expect("written");
            drop(journal);
            assert_eq!(read(&path).last().map(String::as_str), Some("more"), "{end}");
        }
    }

    #[test]
    fn a_later_line_of_a_schedule_replaces_the_earlier_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j");
        let (mut journal, _) = Journal::open(&path, &identity()).expect("a journal");
        for (rows, how) in [(1, "a"), (2, "b"), (1, "c")] {
            journal.append(&trial(rows, how), Duration::ZERO).expect("written");
        }
        drop(journal);
        assert_eq!(read(&path), ["c", "b"]);
    }

    #[test]
    fn a_journal_of_another_build_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j");
        let other = Identity { codegen: "other".to_owned(), ..identity() };
        assert_eq!(other.path_beside(&path), identity().path_beside(&path));
        let (mut journal, _) = Journal::open(&path, &other).expect("a journal");
        journal.append(&trial(1, "a"), Duration::ZERO).expect("written");
        drop(journal);
        assert_eq!(read(&path), [""; 0]);
    }

    #[test]
    fn a_journal_of_another_code_generation_is_begun_anew_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j");
        let earlier = Identity { code_generation: CODE_GENERATION - 1, ..identity() };
        let begun_by = |identity: &Identity| {
            let (mut journal, _) = Journal::open(&path, identity).expect("a journal");
            journal.append(&trial(1, "a"), Duration::from_secs(3)).expect("written");
        };
        let reopened = || Journal::open(&path, &identity()).expect("a journal").1;

        begun_by(&earlier);
        let past = reopened();
        assert_eq!((past.trials.len(), past.spent), (0, Duration::ZERO));
        let (then, now) = (CODE_GENERATION - 1, CODE_GENERATION);
        let told = format!("its code was of version {then}, now it is {now}");
        assert_eq!(past.forgotten, Some(told));
        // It is said once, and what is written from then on counts.
        assert_eq!(reopened().forgotten, None);
        begun_by(&identity());
        assert_eq!(reopened().trials.len(), 1);

        // A journal from before generations were told.
        begun_by(&earlier);
        let text = std::fs::read_to_string(&path).expect("the journal");
        let field = format!("\"code_generation\":{then},");
        assert!(text.contains(&field), "{text}");
        std::fs::write(&path, text.replace(&field, "")).expect("the journal");
        let told = format!("its code was of an earlier version, now it is {now}");
        assert_eq!(reopened().forgotten, Some(told));
    }

    #[test]
    fn workload_threads_and_objective_have_journals_of_their_own() {
        let cache = Path::new("folder/cache.toml");
        let target = Target::host();
        let paths: std::collections::HashSet<PathBuf> = [
            identity(),
            Identity::new(&workload(), &target, 2, Objective::Warm),
            Identity::new(&workload(), &target, 1, Objective::Cold),
            Identity::new(
                &"f32 nchw 1x4x6x7 dw:3x3,p1".parse().unwrap(),
                &target,
                1,
                Objective::Warm,
            ),
        ]
        .map(|identity| identity.path_beside(cache))
        .into();
        assert_eq!(paths.len(), 4);
        assert!(paths.iter().all(|path| path.parent() == cache.parent()));
    }

    #[test]
    fn one_process_writes_a_journal_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j");
        let _first = Journal::open(&path, &identity()).expect("a journal");
        let second = Journal::open(&path, &identity());
        assert!(matches!(second, Err(JournalError::InUse { .. })), "{second:?}");
    }
}
