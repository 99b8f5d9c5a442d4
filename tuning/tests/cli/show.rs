//! The table of records.

use dsconv::cpu::CpuModel;
use dsconv::{Database, Record, RunnerUp};

use crate::records;
use crate::sandbox::Sandbox;

/// A record that nobody measured, with numbers that are easy to check: 40,000 operations in 8 us.
fn record() -> Record {
    let workload = "f32 nchw 1x8x10x10 dw:3x3,p1,bias,relu pw:16,bias,relu".parse().expect("text");
    let record = records::unmeasured(workload, 8.0);
    let runner_up = RunnerUp { schedule: record.schedule, median_us: 10.0 };
    Record { runner_up: Some(runner_up), ..record }
}

fn cache(sandbox: &Sandbox) {
    cache_of(sandbox, [record()]);
}

fn cache_of<const N: usize>(sandbox: &Sandbox, records: [Record; N]) {
    let mut database = Database::new(CpuModel::host());
    records.into_iter().for_each(|record| {
        database.insert(record);
    });
    database.commit(&sandbox.path("c.toml")).expect("a cache");
}

#[test]
fn a_cache_is_a_table_with_one_line_per_record() {
    let sandbox = Sandbox::new();
    cache(&sandbox);
    let text = sandbox.autotune("show --cache c.toml").stdout();
    let line = text.lines().find(|line| line.contains("f32 nchw")).expect("the record's line");
    for cell in
        ["f32 nchw 1x8x10x10", " 1 ", "8.00", " 5.0 ", "1.50x", "+25.0 %", "2026-01-02T03:04:05Z"]
    {
        assert!(line.contains(cell), "{cell:?} in {text}");
    }
}

#[test]
fn a_record_of_a_busy_machine_is_marked_and_the_mark_explained() {
    let sandbox = Sandbox::new();
    cache(&sandbox);
    let legend = "* timed while something else used the machine";
    assert!(!sandbox.autotune("show --cache c.toml").stdout().contains('*'));
    let mut contended = record();
    contended.threads = 2;
    contended.provenance.contended = true;
    cache_of(&sandbox, [record(), contended]);
    let text = sandbox.autotune("show --cache c.toml").stdout();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("f32 nchw")).collect();
    let marked: Vec<bool> = lines.iter().map(|line| line.contains(" 8.00* ")).collect();
    assert_eq!(marked, [false, true], "{text}");
    assert!(text.contains(&format!("{legend} (1 of 2)")), "{text}");
    let records = &sandbox.autotune("show --cache c.toml --json").json()["records"];
    assert_eq!(records[0]["contended"], false, "{records}");
    assert_eq!(records[1]["contended"], true, "{records}");
}

#[test]
fn json_has_the_same_numbers() {
    let sandbox = Sandbox::new();
    cache(&sandbox);
    let cache = sandbox.autotune("show --cache c.toml --json").json();
    let record = &cache["records"][0];
    assert_eq!(record["median_us"], 8.0);
    assert_eq!(record["gflops"], 40_000.0 / 8.0 / 1e3);
    assert_eq!(record["speedup_over_default"], 1.5);
    assert_eq!(record["runner_up"]["slower_percent"], 25.0);
    assert_eq!(record["trials"], 40);
    assert_eq!(cache["cache"], "c.toml");
    assert_eq!(cache["warnings"], serde_json::json!([]));
}

#[test]
fn a_named_cache_has_to_exist_and_the_users_need_not() {
    let sandbox = Sandbox::new();
    sandbox.autotune("show --cache none.toml").fails(1, &["error:", "none.toml"]);
    let text = sandbox.autotune("show").stdout();
    assert!(text.starts_with("no records in "), "{text}");
    assert_eq!(sandbox.autotune("show --json").json()["records"], serde_json::json!([]));
}

#[test]
fn garbage_is_an_error_and_a_bad_record_a_warning() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("garbage.toml"), "\u{1}\u{2}[[").expect("a file");
    sandbox.autotune("show --cache garbage.toml").fails(1, &["garbage.toml"]);
    cache(&sandbox);
    let good = std::fs::read_to_string(sandbox.path("c.toml")).expect("the cache");
    std::fs::write(sandbox.path("c.toml"), format!("{good}\n[[record]]\nworkload = \"no\"\n"))
        .expect("a file");
    let ended = sandbox.autotune("show --cache c.toml");
    assert!(ended.stderr.contains("warning: c.toml:"), "{ended:#?}");
    assert!(ended.stdout().contains("f32 nchw 1x8x10x10"));
}
