//! Runs that end before their time: by Ctrl-C, by a kill, by another process.
#![cfg(unix)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dsconv::Database;

use crate::sandbox::Sandbox;

/// Takes a minute if nobody ends it.
const LONG: &str = "--shape 1x64x28x28 --strategy exhaustive --seed 3 --cache c.toml --budget 60s";

struct Running {
    child: Child,
}

impl Running {
    /// Starts the long run, and waits until it has tried so many schedules.
    fn after_trials(sandbox: &Sandbox, trials: usize) -> Self {
        let folder = sandbox.path("");
        let child = Command::new(assert_cmd::cargo::cargo_bin!("autotune"))
            .args(LONG.split_whitespace())
            .arg("--quiet")
            .current_dir(&folder)
            .env("HOME", &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let start = Instant::now();
        while lines_of_journal(&folder) < trials + 1 {
            assert!(start.elapsed() < Duration::from_secs(50), "no journal in time");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child }
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let status = Command::new("kill").args([name, &process]).status().expect("kill");
        assert!(status.success());
    }

    fn end(self) -> Output {
        self.child.wait_with_output().expect("the command ends")
    }
}

/// Kills the long run when it has tried so many schedules; gives the journal that it left.
fn killed_after(sandbox: &Sandbox, trials: usize) -> PathBuf {
    let run = Running::after_trials(sandbox, trials);
    run.signal("-KILL");
    run.end();
    journal(&sandbox.path("")).expect("a journal")
}

fn journal(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the sandbox");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "journal"))
}

fn lines_of_journal(folder: &Path) -> usize {
    let text = journal(folder).and_then(|path| std::fs::read_to_string(path).ok());
    text.map_or(0, |text| text.lines().count())
}

/// Schedules in the journal's whole lines.
fn journalled(path: &Path) -> HashSet<String> {
    let text = std::fs::read_to_string(path).expect("text");
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).skip(1);
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            line["schedule"].to_string()
        })
        .collect()
}

#[test]
fn a_killed_run_is_continued_and_nothing_is_tried_twice() {
    let sandbox = Sandbox::new();
    let path = killed_after(&sandbox, 40);
    assert!(!sandbox.path("c.toml").exists());
    let known = journalled(&path).len();
    assert!(known >= 20, "{known}");

    // A second kill, and then a run that ends.
    let path = killed_after(&sandbox, 120);
    let more = journalled(&path).len();
    assert!(more > known, "{more} after {known}");

    let ended = sandbox.autotune(&format!("{LONG} --trials {} --quiet --json", more + 5));
    let report = ended.json();
    assert_eq!(report["record"]["trials"], more + 5, "{report}");
    // Had it begun anew, it would have taken longer to try them all than these five.
    assert!(sandbox.path("c.toml").exists());
    assert!(journal(&sandbox.path("")).is_none(), "a complete run leaves no journal");
}

#[test]
fn a_continued_run_says_so_and_anew_forgets_it() {
    let sandbox = Sandbox::new();
    let path = killed_after(&sandbox, 30);
    let copy = std::fs::read(&path).expect("bytes");

    let line = format!("{LONG} --trials 5");
    let ended = sandbox.autotune(&line);
    assert!(ended.stderr.contains("continues an earlier run: "), "{ended:?}");
    assert!(ended.stderr.contains("trials in"), "{ended:?}");
    assert_eq!(ended.code, 0);

    std::fs::write(&path, copy).expect("the journal again");
    let ended = sandbox.autotune(&format!("{line} --anew"));
    assert!(!ended.stderr.contains("continues"), "{ended:?}");
    assert!(ended.stdout().contains("5 tried"));
}

#[test]
fn a_run_of_other_generated_code_is_not_continued() {
    let sandbox = Sandbox::new();
    let path = killed_after(&sandbox, 30);
    let text = std::fs::read_to_string(&path).expect("the journal");
    let now = dsconv::CODE_GENERATION;
    let field = |generation: u32| format!("\"code_generation\":{generation},");
    assert!(text.contains(&field(now)), "{text}");
    std::fs::write(&path, text.replace(&field(now), &field(99))).expect("the journal");

    let ended = sandbox.autotune(&format!("{LONG} --trials 5"));
    let told = format!("not continued: its code was of version 99, now it is {now}");
    assert!(ended.stderr.contains(&told), "{ended:?}");
    assert!(ended.stdout().contains("5 tried"));
}

#[test]
fn ctrl_c_keeps_the_best_so_far() {
    for signal in ["-INT", "-TERM"] {
        let sandbox = Sandbox::new();
        let run = Running::after_trials(&sandbox, 30);
        run.signal(signal);
        let output = run.end();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(130), "{stdout}{stderr}");
        assert!(stderr.contains("interrupted: the best so far is kept"), "{stderr}");
        assert!(stdout.contains("cancelled"), "{stdout}");
        let loaded = Database::load(&sandbox.path("c.toml")).expect("the cache");
        let record = loaded.database.records().next().expect("the record");
        assert!(record.provenance.trials >= 10, "{record:?}");
        assert!(record.measurement.samples > 1, "confirmed: {record:?}");
        assert!(journal(&sandbox.path("")).is_some(), "it can be continued");
    }
}

#[test]
fn two_runs_of_one_workload_do_not_share_a_journal() {
    let sandbox = Sandbox::new();
    let run = Running::after_trials(&sandbox, 5);
    let ended = sandbox.autotune(&format!("{LONG} --trials 3"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("in use by another process"), "{ended:?}");
    run.signal("-KILL");
    run.end();
}
