//! Runs that end before their time: by Ctrl-C, by a kill, by another process.
#![cfg(unix)]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dsconv::Database;

use crate::sandbox::Sandbox;

/// Takes a minute if nobody ends it.
const LONG: &str = "--shape 1x64x28x28 --strategy exhaustive --seed 3 --cache c.toml --quiet";

struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    fn start(sandbox: &Sandbox, line: &str) -> Self {
        let folder = sandbox.path("");
        let child = Command::new(assert_cmd::cargo::cargo_bin!("autotune"))
            .args(line.split_whitespace())
            .current_dir(&folder)
            .env("HOME", &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        Self { child, folder }
    }

    fn wait_for_trials(&self, count: usize) {
        let start = Instant::now();
        while lines_of_journal(&self.folder) < count + 1 {
            assert!(start.elapsed() < Duration::from_secs(50), "no journal in time");
            std::thread::sleep(Duration::from_millis(5));
        }
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

fn journal(folder: &std::path::Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the sandbox");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "journal"))
}

fn lines_of_journal(folder: &std::path::Path) -> usize {
    let text = journal(folder).and_then(|path| std::fs::read_to_string(path).ok());
    text.map_or(0, |text| text.lines().count())
}

/// Schedules in the journal's whole lines.
fn journalled(folder: &std::path::Path) -> std::collections::HashSet<String> {
    let text = std::fs::read_to_string(journal(folder).expect("a journal")).expect("text");
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
    let run = Running::start(&sandbox, &format!("{LONG} --budget 60s"));
    run.wait_for_trials(40);
    run.signal("-KILL");
    run.end();
    assert!(!sandbox.path("c.toml").exists());
    let known = journalled(&sandbox.path("")).len();
    assert!(known >= 20, "{known}");

    // A second kill, and then a run that ends.
    let run = Running::start(&sandbox, &format!("{LONG} --budget 60s"));
    run.wait_for_trials(120);
    run.signal("-KILL");
    run.end();
    let more = journalled(&sandbox.path("")).len();
    assert!(more > known, "{more} after {known}");

    let line = format!("{LONG} --budget 60s --trials {}", more + 5).replace(" --quiet", "");
    let ended = sandbox.autotune(&format!("{line} --quiet --json"));
    let report = ended.json();
    assert_eq!(report["record"]["trials"], more + 5, "{report}");
    // Had it begun anew, it would have taken longer to try them all than these five.
    assert!(sandbox.path("c.toml").exists());
    assert!(journal(&sandbox.path("")).is_none(), "a complete run leaves no journal");
}

#[test]
fn a_continued_run_says_so_and_anew_forgets_it() {
    let sandbox = Sandbox::new();
    let run = Running::start(&sandbox, &format!("{LONG} --budget 60s"));
    run.wait_for_trials(30);
    run.signal("-KILL");
    run.end();
    let copy = std::fs::read(journal(&sandbox.path("")).expect("a journal")).expect("bytes");
    let path = journal(&sandbox.path("")).expect("a journal");

    let line = format!("{LONG} --budget 60s --trials 5").replace(" --quiet", "");
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
    let run = Running::start(&sandbox, &format!("{LONG} --budget 60s"));
    run.wait_for_trials(30);
    run.signal("-KILL");
    run.end();
    let path = journal(&sandbox.path("")).expect("a journal");
    let text = std::fs::read_to_string(&path).expect("the journal");
    let now = dsconv::CODE_GENERATION;
    let field = |generation: u32| format!("\"code_generation\":{generation},");
    assert!(text.contains(&field(now)), "{text}");
    std::fs::write(&path, text.replace(&field(now), &field(99))).expect("the journal");

    let ended =
        sandbox.autotune(&format!("{LONG} --budget 60s --trials 5").replace(" --quiet", ""));
    let told = format!("not continued: its code was of version 99, now it is {now}");
    assert!(ended.stderr.contains(&told), "{ended:?}");
    assert!(ended.stdout().contains("5 tried"));
}

#[test]
fn ctrl_c_keeps_the_best_so_far() {
    for signal in ["-INT", "-TERM"] {
        let sandbox = Sandbox::new();
        let run = Running::start(&sandbox, &format!("{LONG} --budget 60s"));
        run.wait_for_trials(30);
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
    let run = Running::start(&sandbox, &format!("{LONG} --budget 60s"));
    run.wait_for_trials(5);
    let line = format!("{LONG} --trials 3 --budget 20s").replace(" --quiet", "");
    let ended = sandbox.autotune(&line);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("in use by another process"), "{ended:?}");
    run.signal("-KILL");
    run.end();
}
