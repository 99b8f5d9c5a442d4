//! Candidates that crash or never end cost themselves and nothing else.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::sandbox::{Ended, Sandbox};

/// The whole space of a small block, but for what the clock allows.
const SMALL: &str = "--shape 1x8x12x12 --out-channels 16 --strategy exhaustive --trials 40 \
                     --budget 60s --cache c.toml --json";

/// Tunes with faults in the worker: their names, and the part of a schedule's text where they occur.
fn with_faults(line: &str, faults: &str) -> serde_json::Value {
    let sandbox = Sandbox::new();
    let ended = Ended::of(sandbox.command(line).env("DSCONV_TEST_FAULTS", faults));
    let report = ended.json();
    assert!(sandbox.path("c.toml").exists());
    report
}

fn count(report: &serde_json::Value, fate: &str) -> u64 {
    report["trials"][fate].as_u64().unwrap_or_else(|| panic!("{fate} in {report}"))
}

/// A part of a schedule's text that some of the first schedules have, and the default has not.
fn part_of_some_schedules() -> String {
    let sandbox = Sandbox::new();
    let report = sandbox.autotune("--shape 1x8x12x12 --out-channels 16 --dry-run --json").json();
    let rows = report["default_schedule"]["tile_rows"].as_u64().expect("a number");
    if rows == 6 { " t12 ".to_owned() } else { " t6 ".to_owned() }
}

#[test]
fn a_crash_costs_one_candidate_whatever_its_signal() {
    let part = part_of_some_schedules();
    let part = part.trim();
    for (fault, how) in [
        ("abort", "SIGABRT"),
        ("segv", "SIGSEGV"),
        ("ill", "SIGILL"),
        ("exit", "exit code 3"),
        ("panic", "asked for"),
    ] {
        let report = with_faults(SMALL, &format!("{fault}:{part}"));
        let (crashed, measured) = (count(&report, "crashed"), count(&report, "measured"));
        assert!(crashed > 0, "{fault}: {report}");
        assert!(measured > 0, "{fault}: {report}");
        assert_eq!(crashed + measured, 40, "{fault}: {report}");
        let failure = &report["failures"][0];
        assert!(failure["outcome"].to_string().contains(how), "{failure}");
        assert!(failure["schedule"].to_string().contains(part), "{failure}");
    }
}

#[test]
fn a_crash_while_it_is_timed_costs_one_candidate() {
    let part = part_of_some_schedules();
    for when in ["sample", "move"] {
        let report = with_faults(SMALL, &format!("abort-{when}:{}", part.trim()));
        assert!(count(&report, "crashed") > 0, "{when}: {report}");
        assert_eq!(count(&report, "crashed") + count(&report, "measured"), 40, "{when}: {report}");
        let failures = report["failures"].as_array().expect("a list");
        let is_guilty = |it: &serde_json::Value| it["schedule"].to_string().contains(part.trim());
        assert!(failures.iter().all(is_guilty), "{when}: {failures:?}");
    }
}

#[test]
fn a_worker_that_dies_only_where_candidates_take_turns_costs_none() {
    let line = SMALL.replace("--trials 40", "--trials 12");
    let report = with_faults(&line, "abort-round:dw:");
    assert_eq!(count(&report, "measured"), 12, "{report}");
    let samples = report["record"]["samples"].as_u64();
    assert!(samples.is_some_and(|samples| samples > 1), "{report}");
}

#[test]
fn a_winner_that_is_wrong_on_other_data_is_not_kept() {
    let sandbox = Sandbox::new();
    let line = SMALL.replace("--json", "--anew --json");
    sandbox.autotune(&format!("{line} --record-landscape l.txt")).json();
    let landscape = std::fs::read_to_string(sandbox.path("l.txt")).expect("the landscape");
    let lines = |word: &str| {
        let lines = landscape.lines().filter_map(move |line| line.strip_prefix(word));
        lines.map(str::trim).collect::<Vec<_>>()
    };
    // Whatever a schedule may have that the default has not is wrong at the second look.
    let default = lines("default ")[0];
    let words = ["head ", "dw ", "pw "].map(lines).concat().join(" ");
    let others: HashSet<&str> =
        words.split_whitespace().filter(|word| !default.contains(word)).collect();
    let mut faults: Vec<String> = others.iter().map(|word| format!("flip-again:{word}")).collect();
    // And those of the default's pointwise tile, itself among them, are slow.
    let pointwise = default.split(' ').find(|word| word.starts_with("pw:")).expect("a tile");
    faults.push(format!("slow-sample:{pointwise}"));
    let mut command = sandbox.command(&line);
    let report = Ended::of(command.env("DSCONV_TEST_FAULTS", faults.join(" "))).json();
    assert!(count(&report, "wrong") > 0, "{report}");
    assert_eq!(count(&report, "wrong") + count(&report, "measured"), 40, "{report}");
    let failure = report["failures"][0]["outcome"].to_string();
    assert!(failure.contains("second look, on ordinary numbers of seed 1: 1 elem"), "{failure}");
    let text = sandbox.autotune("show --cache c.toml").stdout();
    let kept = text.lines().find(|line| line.contains("f32 nchw")).expect("a record");
    assert!(others.iter().all(|word| !kept.contains(word)), "{kept}: {others:?}");
}

#[test]
fn a_default_that_is_wrong_on_other_data_is_an_error() {
    let sandbox = Sandbox::new();
    for (fault, message) in [("flip", "at a second look"), ("segv", "SIGSEGV")] {
        let mut command = sandbox.command("--shape 1x4x6x6 --trials 5 --cache c.toml");
        let ended = Ended::of(command.env("DSCONV_TEST_FAULTS", format!("{fault}-again:fused")));
        ended.fails(1, &["the untuned default failed", message]);
        assert!(!sandbox.path("c.toml").exists());
    }
}

#[test]
fn an_endless_loop_is_given_up_and_the_budget_holds() {
    let part = part_of_some_schedules();
    let line = SMALL.replace("--trials 40", "--trials 200").replace("60s", "3s");
    for fault in ["hang", "hang-move"] {
        let start = Instant::now();
        let report = with_faults(&line, &format!("{fault}:{}", part.trim()));
        assert!(count(&report, "timed_out") > 0, "{report}");
        assert!(count(&report, "measured") > 0, "{report}");
        // The budget, the last candidate's limit, and a machine that may stall.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn a_default_that_crashes_is_an_error_that_says_how() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("--shape 1x4x6x6 --cache c.toml");
    let ended = Ended::of(command.env("DSCONV_TEST_FAULTS", "segv:fused"));
    ended.fails(1, &["the untuned default failed", "SIGSEGV"]);
    assert!(!sandbox.path("c.toml").exists());
}

#[test]
fn a_worker_without_a_driver_ends_with_its_input() {
    let sandbox = Sandbox::new();
    let ended = Ended::of(sandbox.command("worker").write_stdin("{\"drop\":{\"ids\":[]}}\n"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("hello comes first"), "{ended:?}");
    let help = sandbox.autotune("--help").stdout();
    assert!(!help.contains("worker"), "{help}");
}
