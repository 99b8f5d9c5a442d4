//! Batches: order, shards as processes of their own, what is skipped and what is refused.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::process::Command;

use dsconv::Database;
use dsconv::cpu::CpuModel;
use dsconv_tuning::batch::{Item, parse_toml};

use crate::records;
use crate::sandbox::Sandbox;

const BATCH: &str = "\
# small blocks
f32 nchw 1x4x6x6 dw:3x3,p1 pw:8
3 f32 nhwc 1x8x6x6 dw:3x3,p1,bias,relu6 pw:8,bias
g8ic8ih9oc8oh9kh3ph1n\"in oneDNN's spelling\"

f32 nchw 1x8x5x5 pw:12,bias
f32 nchw 1x4x6x6 dw:5x5,p2 pw:8
";

const QUICK: &str = "--trials 3 --budget 1s";

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
fn what_was_tuned_beside_other_work_is_tuned_again_if_asked_for() {
    let sandbox = Sandbox::new();
    let mut database = Database::new(CpuModel::host());
    let records = ["f32 nchw 1x4x6x6 dw:3x3,p1 pw:8", "f32 nchw 1x8x5x5 pw:12,bias"]
        .map(|text| records::unmeasured(text.parse().expect("a workload"), 1e-6));
    for (mut record, contended) in records.into_iter().zip([false, true]) {
        record.provenance.contended = contended;
        database.insert(record);
    }
    std::fs::write(sandbox.path("c.toml"), database.to_toml()).expect("the cache");
    let workloads = database.records().map(|it| format!("{}\n", it.workload));
    std::fs::write(sandbox.path("two.txt"), workloads.collect::<String>()).expect("the batch");

    let line = format!("--batch two.txt {QUICK} --cache c.toml --json");
    let report = sandbox.autotune(&line).json();
    assert_eq!(report["known"].as_array().map(Vec::len), Some(2), "{report}");
    let report = sandbox.autotune(&format!("{line} --retune-contended")).json();
    assert_eq!(report["known"], serde_json::json!(["f32 nchw 1x4x6x6 dw:3x3,p1 pw:8"]));
    assert_eq!(report["records"][0]["workload"], "f32 nchw 1x8x5x5 pw:12,bias", "{report}");
    let loaded = Database::load(&sandbox.path("c.toml")).expect("the cache");
    let known_us = loaded.database.records().map(|it| (it.workload, it.measurement.median_us));
    let (left, tuned): (Vec<_>, Vec<_>) = known_us.partition(|(_, us)| *us < 1e-3);
    assert_eq!((left.len(), tuned.len()), (1, 1), "{left:?} {tuned:?}");
    sandbox.autotune("--shape 1x4x6x6 --retune-contended").fails(2, &["--batch"]);
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
fn the_winner_of_a_similar_workload_is_tried_first() {
    let sandbox = Sandbox::new();
    let (near, far) = ("1x32x28x28", "1x32x26x26");
    sandbox.autotune(&format!("--shape {near} --trials 60 --budget 5s --cache c.toml")).stdout();
    let loaded = Database::load(&sandbox.path("c.toml")).expect("the cache");
    let record = loaded.database.records().next().expect("a record").clone();
    let default = sandbox.autotune(&format!("--shape {far} --dry-run --json")).json();
    // Two trials: the default, and what won nearby.
    let report = sandbox
        .autotune(&format!("--shape {far} --trials 2 --budget 1s --cache c.toml --json"))
        .json();
    let mut winner = serde_json::to_value(record.schedule).expect("a schedule");
    winner["tile_rows"] = winner["tile_rows"].as_u64().expect("rows").min(26).into();
    let schedule = &report["record"]["schedule"];
    let of_either = [&winner, &default["default_schedule"]];
    // Where both are one, the second trial is of another schedule.
    assert!(of_either.contains(&schedule) || of_either[0] == of_either[1], "{winner} {report}");
}

#[test]
fn names_of_a_toml_file_appear_in_what_is_said() {
    let sandbox = Sandbox::new();
    let text = "first = 'f32 nchw 1x8x6x6 pw:8'\nsecond = '2 f32 nchw 1x4x6x6 dw:3x3,p1 pw:8'\n";
    std::fs::write(sandbox.path("blocks.toml"), text).expect("the batch");
    let line = format!("--batch blocks.toml {QUICK} --cache c.toml");
    let dry = sandbox.autotune(&format!("{line} --dry-run")).stdout();
    let expected =
        "# second\n2 f32 nchw 1x4x6x6 dw:3x3,p1 pw:8\n# first\n1 f32 nchw 1x8x6x6 pw:8\n";
    assert_eq!(dry, expected);
    let report = sandbox.autotune(&format!("{line} --json --shard 1/2")).json();
    assert_eq!(report["records"][0]["name"], "second", "{report}");
    assert_eq!(report["records"][0]["workload"], "f32 nchw 1x4x6x6 dw:3x3,p1 pw:8", "{report}");
    let text = sandbox.autotune(&line).stdout();
    assert!(
        text.starts_with("1/2  second  f32 nchw 1x4x6x6 dw:3x3,p1 pw:8: in the cache"),
        "{text}"
    );
    assert!(text.contains("2/2  first  f32 nchw 1x8x6x6 pw:8: "), "{text}");
    std::fs::write(sandbox.path("bad.toml"), "a = 'f32 nchw 1x8x6x6 pw:8'\nb = 1\n")
        .expect("a file");
    sandbox.autotune("--batch bad.toml").fails(1, &["bad.toml: line 2: ", "expected `name ="]);
}

/// The items of a file in `benches`.
fn benches(file: &str) -> (String, Vec<Item>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches").join(file);
    let path = path.to_str().expect("the path is text").to_owned();
    let text = std::fs::read_to_string(&path).expect("the file is there");
    (path, parse_toml(&text).unwrap_or_else(|error| panic!("{file}: {error}")))
}

#[test]
fn the_blocks_of_networks_are_a_batch_of_distinct_workloads_with_telling_names() {
    let (path, networks) = benches("networks.toml");
    let (_, blocks) = benches("blocks.toml");
    let known: HashSet<_> = blocks.iter().map(|item| item.workload).collect();
    assert!(networks.len() > 80);
    for Item { name, workload, weight } in &networks {
        let name = name.as_deref().expect("the file is TOML");
        assert!(!known.contains(workload), "{name} is in blocks.toml");
        assert_eq!(*weight, 1.0, "{name} occurs twice");
        let (Some(depthwise), Some(pointwise)) = (workload.depthwise(), workload.pointwise())
        else {
            panic!("{name} has not both stages");
        };
        let ([_, channels, rows, cols], outputs) = (workload.input_shape(), pointwise.channels);
        let [size, _] = depthwise.kernel;
        let part = |has: bool, text: String| if has { text } else { String::new() };
        let told = [
            format!("_{rows}x{cols}_{channels}_{outputs}"),
            part(size != 3, format!("_{size}x{size}")),
            part(depthwise.stride == [2, 2], "_s2".to_owned()),
            part(depthwise.dilation != [1, 1], format!("_r{}", depthwise.dilation[0])),
            part(pointwise.residual, "_res".to_owned()),
        ];
        assert!(name.ends_with(&told.concat()), "{name}: {workload}");
        // Padding keeps the plane but for the stride, as all of these networks do.
        let [height, width] = workload.output_extent();
        let [down, right] = depthwise.stride.map(|stride| stride as usize);
        assert_eq!([height, width], [rows.div_ceil(down), cols.div_ceil(right)], "{name}");
    }
    let sandbox = Sandbox::new();
    let text = sandbox.autotune(&format!("--batch {path} --dry-run")).stdout();
    assert_eq!(text.lines().count(), 2 * networks.len(), "{text}");
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
