//! What follows a search from outside: the progress bar, the journal, and Ctrl-C.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dsconv_tuning::journal::{Identity, Journal, Past};
use dsconv_tuning::{Observer, SpaceSummary, Status, Trial};

use crate::failure::Failure;
use crate::progress::Progress;

/// Whether this process was asked to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupt(&'static AtomicBool);

impl Interrupt {
    /// From now on the first Ctrl-C or termination signal asks to end and the second one ends.
    pub(crate) fn listen() -> Result<Self, Failure> {
        static ASKED: AtomicBool = AtomicBool::new(false);
        static LISTENING: OnceLock<Result<(), String>> = OnceLock::new();
        let listening = LISTENING.get_or_init(|| {
            ctrlc::set_handler(|| {
                if ASKED.swap(true, Ordering::SeqCst) {
                    std::process::exit(i32::from(INTERRUPTED));
                }
            })
            .map_err(|error| error.to_string())
        });
        listening.clone().map_err(Failure::Failed)?;
        Ok(Self(&ASKED))
    }

    pub(crate) fn is_asked(self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Exit code of a command that was interrupted: that of a shell whose child met SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Shows progress, writes the journal, and passes an interruption on.
pub(crate) struct Watch {
    progress: Progress,
    journal: Option<Journal>,
    spent: Duration,
    interrupt: Interrupt,
    /// Why trials are no longer written down.
    pub(crate) broken: Option<String>,
}

impl Watch {
    pub(crate) fn new(progress: Progress, interrupt: Interrupt) -> Self {
        Self { progress, journal: None, spent: Duration::ZERO, interrupt, broken: None }
    }

    /// Opens the journal beside a cache, and gives what an earlier run left in it. `anew` forgets
    /// that. Without a journal the search goes on, and [`Watch::broken`] says why there is none.
    pub(crate) fn resume(&mut self, cache: &Path, identity: &Identity, anew: bool) -> Past {
        let path = identity.path_beside(cache);
        if anew && let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, "no journal to forget");
        }
        match Journal::open(&path, identity) {
            Ok((journal, past)) => {
                self.journal = Some(journal);
                self.spent = past.spent;
                past
            }
            Err(error) => {
                self.broken = Some(error.to_string());
                Past::default()
            }
        }
    }

    /// Removes the bar. The journal is for the caller to remove once the record is kept.
    pub(crate) fn finish(self) -> Option<Journal> {
        self.progress.finish();
        self.journal
    }

    fn write(&mut self, trial: &Trial, status: &Status) {
        let Some(journal) = &mut self.journal else { return };
        if let Err(error) = journal.append(trial, self.spent + status.elapsed) {
            self.broken = Some(format!("{}: {error}", journal.path().display()));
            self.journal = None;
        }
    }
}

impl Observer for Watch {
    fn started(&mut self, space: &SpaceSummary) {
        self.progress.started(space);
    }

    fn entered(&mut self, trial: &Trial, status: &Status) {
        self.write(trial, status);
    }

    fn trial(&mut self, trial: &Trial, status: &Status) {
        self.write(trial, status);
        self.progress.trial(trial, status);
    }

    fn refuted(&mut self, trial: &Trial, status: &Status) {
        self.write(trial, status);
    }

    fn is_cancelled(&mut self) -> bool {
        self.interrupt.is_asked()
    }
}
