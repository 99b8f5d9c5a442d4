//! Batches: order, shards as processes of their own, what is skipped and what is refused.

use std::collections::BTreeSet;
use std::process::Command;

use dsconv::Database;

use crate::sandbox::Sandbox;

const BATCH: &str = "\
# small blocks
f32 nchw 1x4x6x6 dw:3x3,p1 pw:8
3 f32 nhwc 1x8x6x6 dw:3x3,p1,bias,relu6 pw:8,bias
g8ic8ih9oc8oh9kh3ph1n\"in oneDNN's spelling\"

f32 nchw 1x8x5x5 pw:12,bias
f32 nchw 1x4x6x6 dw:5x5,p2 pw:8
";

const QUICK: &str = "--trials 3 --budget 20s";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("batch.txt"), BATCH).expect("the batch");
    sandbox
}

fn workloads(sandbox: &Sandbox, cache: &str) -> BTreeSet<String> {
    let loaded = Database::load(&sandbox.path(cache)).expect("the cache");
    assert_eq!(loaded.warnings, []);
    loaded.database.records().map(|record| record.workload.to_string()).collect()
}

#[test]
fn a_batch_is_tuned_in_the_order_of_weights_and_never_twice() {
    let sandbox = sandbox();
    let line = format!("--batch batch.txt {QUICK} --cache c.toml");
    let text = sandbox.autotune(&line).stdout();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("1/5  f32 nhwc 1x8x6x6 "), "{text}");
    assert!(lines[5].starts_with("5 tuned, 0 known before, 0 failed; in "), "{text}");
    assert_eq!(workloads(&sandbox, "c.toml").len(), 5);

    let report = sandbox.autotune(&format!("{line} --json")).json();
    assert_eq!(report["known"].as_array().map(Vec::len), Some(5), "{report}");
    assert_eq!(report["records"].as_array().map(Vec::len), Some(0), "{report}");
    let report = sandbox.autotune(&format!("{line} --json --anew")).json();
    assert_eq!(report["records"].as_array().map(Vec::len), Some(5), "{report}");
}

#[test]
fn shards_run_at_once_as_processes_and_share_a_cache() {
    let sandbox = sandbox();
    let shards: Vec<_> = (1..=3)
        .map(|index| {
            let line =
                format!("--batch batch.txt --shard {index}/3 {QUICK} --quiet --cache c.toml");
            Command::new(assert_cmd::cargo::cargo_bin!("autotune"))
                .args(line.split(' '))
                .current_dir(sandbox.path(""))
                .spawn()
                .expect("a shard starts")
        })
        .collect();
    for mut shard in shards {
        assert!(shard.wait().expect("a shard ends").success());
    }
    assert_eq!(workloads(&sandbox, "c.toml").len(), 5);
}

#[test]
fn gnu_parallel_runs_the_shards() {
    let is_gnu = Command::new("parallel")
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU parallel"));
    if !is_gnu {
        eprintln!("GNU parallel is not installed: not tested");
        return;
    }
    let sandbox = sandbox();
    let autotune = assert_cmd::cargo::cargo_bin!("autotune");
    let status = Command::new("parallel")
        .args(["--jobs", "2", "--will-cite"])
        .arg(autotune)
        .args("--batch batch.txt --shard {}/2 --quiet --cache part-{}.toml".split(' '))
        .args(QUICK.split(' '))
        .args([":::", "1", "2"])
        .env("HOME", sandbox.path(""))
        .current_dir(sandbox.path(""))
        .status()
        .expect("parallel starts");
    assert!(status.success());
    let (first, second) = (workloads(&sandbox, "part-1.toml"), workloads(&sandbox, "part-2.toml"));
    assert!(first.is_disjoint(&second));
    assert_eq!(first.len() + second.len(), 5);
}

#[test]
fn the_winner_of_a_similar_workload_is_tried_first() {
    let sandbox = Sandbox::new();
    let (near, far) = ("1x32x28x28", "1x32x26x26");
    sandbox.autotune(&format!("--shape {near} --trials 60 --cache c.toml")).stdout();
    let loaded = Database::load(&sandbox.path("c.toml")).expect("the cache");
    let record = loaded.database.records().next().expect("a record").clone();
    let default = sandbox.autotune(&format!("--shape {far} --dry-run --json")).json();
    // Two trials: the default, and what won nearby.
    let report =
        sandbox.autotune(&format!("--shape {far} --trials 2 --cache c.toml --json")).json();
    let mut winner = serde_json::to_value(record.schedule).expect("a schedule");
    winner["tile_rows"] = winner["tile_rows"].as_u64().expect("rows").min(26).into();
    let schedule = &report["record"]["schedule"];
    let of_either = *schedule == winner || *schedule == default["default_schedule"];
    assert!(of_either, "{report}");
}

#[test]
fn a_batch_that_makes_no_sense_is_refused_with_file_and_line() {
    let sandbox = sandbox();
    let refused = |line: &str, code: i32, parts: &[&str]| {
        sandbox.autotune(line).fails(code, parts);
    };
    refused("--batch none.txt", 1, &["none.txt"]);
    std::fs::write(sandbox.path("bad.txt"), "f32 nchw 1x4x6x6 pw:8\nnonsense\n").expect("a file");
    refused("--batch bad.txt", 1, &["bad.txt: line 2: ", "a line is a workload such as"]);
    std::fs::write(sandbox.path("empty.txt"), "# nothing\n").expect("a file");
    refused("--batch empty.txt", 1, &["holds no workload"]);
    refused("--batch batch.txt --shard 9/4", 2, &["`9/4` is no shard", "1/8 to 8/8"]);
    refused("--shard 1/4 --shape 1x4x6x6", 2, &["--batch"]);
    refused("--batch batch.txt --shape 1x4x6x6", 2, &["cannot be used with"]);
    let text = sandbox.autotune("--batch batch.txt --shard 1/2 --dry-run").stdout();
    assert_eq!(text.lines().count(), 3, "{text}");
}
