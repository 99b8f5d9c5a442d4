//! Tuning from the command line: the report, the record, and what happens where it cannot be kept.

use dsconv::Database;

use crate::sandbox::{Ended, Sandbox};

/// A workload that is tuned in a moment, and limits that end it soon.
const SMALL: &str = "--shape 1x8x10x10 --out-channels 16 --budget 1s --trials 4";

#[test]
fn a_shape_alone_is_tuned_and_kept_in_the_users_cache() {
    let sandbox = Sandbox::new();
    let ended = sandbox.autotune("--shape 1x4x6x6 --budget 300ms");
    assert_eq!(
        ended.stderr,
        "defaults taken: --kernel 3x3 --out-channels 4 --stride 1 --padding 1 \
         --depthwise-activation relu --activation relu\n"
    );
    let report = ended.stdout();
    for word in ["workload", "schedule", "GFLOP/s", "FMA peak", "untuned", "standard", "record"] {
        assert!(report.contains(word), "{word} in {report}");
    }
    let listed = sandbox.autotune("show").stdout();
    assert!(listed.contains("f32 nchw 1x4x6x6 dw:3x3,p1,bias,relu pw:4,bias,relu"), "{listed}");
    let files: Vec<_> = std::fs::read_dir(sandbox.path("xdg-cache/dsconv"))
        .expect("the user's cache folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert!(files.iter().any(|path| path.extension().is_some_and(|e| e == "toml")), "{files:?}");
}

#[test]
fn json_holds_the_whole_report_in_one_object() {
    let sandbox = Sandbox::new();
    let ended = sandbox.autotune(&format!("{SMALL} --cache c.toml --seed 7 --json"));
    assert_eq!(ended.stderr, "", "JSON output comes with no notes");
    let report = ended.json();
    assert_eq!(
        report["record"]["workload"],
        "f32 nchw 1x8x10x10 dw:3x3,p1,bias,relu pw:16,bias,relu"
    );
    assert_eq!(report["record"]["seed"], 7);
    assert_eq!(report["record"]["threads"], 1);
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let median_us = number(&report["record"]["median_us"]);
    assert!(median_us > 0.0);
    let flops = 2.0 * 100.0 * (8.0 * 9.0 + 8.0 * 16.0);
    let gflops = number(&report["record"]["gflops"]);
    assert!((gflops - flops / median_us / 1e3).abs() < 1e-9 * gflops, "{report}");
    let percent = 100.0 * gflops / number(&report["fma_peak_gflops"]);
    assert!((number(&report["fma_peak_percent"]) - percent).abs() < 1e-9 * percent, "{report}");
    assert_eq!(number(&report["saving"]["block"]["flops"]), flops);
    assert_eq!(number(&report["saving"]["standard"]["flops"]), 2.0 * 100.0 * 9.0 * 8.0 * 16.0);
    assert_eq!(report["saving"]["standard"]["parameters"], 9 * 8 * 16 + 16);
    assert_eq!(report["committed"]["path"], "c.toml");
    assert!(report["committed"]["error"].is_null());
    assert!(report["record"]["schedule"]["family"].is_string());

    let loaded = Database::load(&sandbox.path("c.toml")).expect("the cache");
    assert_eq!(loaded.warnings, []);
    let record = loaded.database.records().next().expect("the record");
    // Files keep nanoseconds.
    assert!((record.measurement.median_us - median_us).abs() < 1e-3, "{record:?}");
}

#[test]
fn every_strategy_and_all_limits_are_taken() {
    let sandbox = Sandbox::new();
    for strategy in ["random", "exhaustive", "evolutionary", "model"] {
        let line = format!("{SMALL} --cache {strategy}.toml --strategy {strategy} --quiet --json");
        let report = sandbox.autotune(&line).json();
        assert_eq!(report["record"]["strategy"], strategy);
        let trials = report["trials"]["measured"].as_u64().expect("a count");
        assert!((1..=4).contains(&trials), "{report}");
    }
}

#[test]
fn an_effort_is_one_word_for_strategy_budget_and_stop() {
    let sandbox = Sandbox::new();
    let line = "--shape 1x4x6x6 --cache c.toml --json --effort";
    let quick = sandbox.autotune(&format!("{line} quick")).json();
    assert_eq!(quick["record"]["strategy"], "model");
    assert!(quick["elapsed_s"].as_f64().expect("a time") < 8.0, "{quick}");
    let all = sandbox.autotune(&format!("{line} exhaustive --trials 30 --budget 1s")).json();
    assert_eq!(all["record"]["strategy"], "exhaustive");
    let ended = sandbox.autotune(&format!("{line} thorough"));
    ended.fails(2, &["no effort is called \"thorough\"", "quick, normal, exhaustive"]);
}

#[test]
fn cold_caches_make_a_record_of_their_own() {
    let sandbox = Sandbox::new();
    for objective in ["warm", "cold"] {
        let line = format!("{SMALL} --cache c.toml --objective {objective} --json");
        assert_eq!(sandbox.autotune(&line).json()["record"]["objective"], objective);
    }
    let cache = sandbox.autotune("show --cache c.toml --json").json();
    assert_eq!(cache["records"].as_array().map(Vec::len), Some(2), "{cache}");
    sandbox.autotune(&format!("{SMALL} --objective tepid")).fails(2, &["warm or cold"]);
}

#[test]
fn two_threads_make_a_record_of_their_own() {
    let sandbox = Sandbox::new();
    for threads in [1, 2] {
        sandbox
            .autotune(&format!("{SMALL} --cache c.toml --threads {threads} --quiet --json"))
            .json();
    }
    let cache = sandbox.autotune("show --cache c.toml --json").json();
    let threads: Vec<u64> = cache["records"]
        .as_array()
        .expect("records")
        .iter()
        .filter_map(|record| record["threads"].as_u64())
        .collect();
    assert_eq!(threads, [1, 2]);
}

#[test]
fn quiet_leaves_only_the_report() {
    let sandbox = Sandbox::new();
    let ended = sandbox.autotune(&format!("{SMALL} --cache c.toml --quiet"));
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout().starts_with("workload"));
}

#[test]
fn a_dry_run_tells_the_space_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let text = sandbox.autotune("--shape 1x32x28x28 --dry-run --cache c.toml").stdout();
    for word in ["workload", "untuned", "space", "candidates", "pruned"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let report = sandbox.autotune("--shape 1x32x28x28 --dry-run --json").json();
    assert!(report["space"]["schedules"].as_u64().expect("a count") > 0, "{report}");
    assert_eq!(report["workload"], "f32 nchw 1x32x28x28 dw:3x3,p1,bias,relu pw:32,bias,relu");
    assert!(!sandbox.path("c.toml").exists());
    assert!(!sandbox.path("xdg-cache").exists());
}

/// The record is printed as a cache that loads, and the command fails.
#[track_caller]
fn assert_record_is_printed(ended: &Ended) {
    ended.fails(1, &["error: the record was not written to"]);
    let (_, toml) = ended.stdout.split_once("\n\n").expect("the record after the report");
    let loaded = Database::from_toml(toml, std::path::Path::new("stdout")).expect("a cache");
    assert_eq!(loaded.database.len(), 1, "{toml}");
}

#[test]
fn a_cache_that_cannot_be_written_loses_nothing() {
    let sandbox = Sandbox::new();
    // A file where a folder would have to be: not even root can write below it.
    std::fs::write(sandbox.path("file"), "").expect("a file");
    let ended = sandbox.autotune(&format!("{SMALL} --cache file/c.toml"));
    assert_record_is_printed(&ended);
    let ended = sandbox.autotune(&format!("{SMALL} --cache file/c.toml --json"));
    ended.fails(1, &["the record was not written to file/c.toml"]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one object");
    assert!(report["committed"]["error"].is_string(), "{report}");
    assert!(report["committed"]["record_toml"].as_str().is_some_and(|t| t.contains("[[record]]")));
}

#[test]
fn a_home_that_cannot_be_written_loses_nothing() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("home"), "").expect("a file");
    let home = sandbox.path("home");
    let ended = Ended::of(
        sandbox.command(SMALL).env("HOME", &home).env("XDG_CACHE_HOME", home.join("cache")),
    );
    assert_record_is_printed(&ended);
}

#[test]
fn a_cache_of_a_later_format_stays_as_it_is() {
    let sandbox = Sandbox::new();
    let text = "format = 99\n";
    std::fs::write(sandbox.path("c.toml"), text).expect("a file");
    let ended = sandbox.autotune(&format!("{SMALL} --cache c.toml"));
    assert_record_is_printed(&ended);
    ended.fails(1, &["format 99"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("c.toml")).expect("the file"), text);
}

#[test]
fn tuning_again_replaces_the_record_and_keeps_the_others() {
    let sandbox = Sandbox::new();
    for shape in ["1x4x6x6", "1x8x6x6", "1x4x6x6"] {
        let line = format!("--shape {shape} --trials 2 --budget 1s --cache c.toml --json");
        sandbox.autotune(&line).json();
    }
    let cache = sandbox.autotune("show --cache c.toml --json").json();
    assert_eq!(cache["records"].as_array().expect("records").len(), 2, "{cache}");
}
