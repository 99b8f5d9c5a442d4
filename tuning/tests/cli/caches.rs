//! Commands on cache files: verify, diff, merge, export, import, prune.

use std::fs;
use std::path::Path;

use dsconv::cpu::{self, CpuModel};
use dsconv::{
    Database, Isa, Measurement, PointwiseTile, Provenance, Record, Schedule, Workload, cost,
};

use crate::records;
use crate::sandbox::Sandbox;

fn workload(height: usize) -> Workload {
    format!("f32 nchw 1x8x{height}x10 dw:3x3,p1,bias,relu pw:16,bias,relu").parse().expect("text")
}

/// A legal record of this machine with a time that nobody measured.
fn record(height: usize, median_us: f64) -> Record {
    records::unmeasured(workload(height), median_us)
}

/// Asks for more registers than there are.
fn illegal(height: usize) -> Record {
    let mut record = record(height, 1.0);
    let tile = record.schedule.pointwise.expect("the workload has a pointwise stage");
    let pointwise = Some(PointwiseTile { broadcasts: 200, vectors: 200, ..tile });
    record.schedule = Schedule { pointwise, ..record.schedule };
    record
}

fn dated(record: Record, date: &str) -> Record {
    let provenance = Provenance { date: date.into(), ..record.provenance };
    Record { provenance, ..record }
}

fn other_cpu() -> CpuModel {
    CpuModel { vendor: "Other".into(), family: 1, model: 2, stepping: 3, ..CpuModel::host() }
}

fn write(path: &Path, cpu: CpuModel, records: impl IntoIterator<Item = Record>) {
    let mut database = Database::new(cpu);
    for record in records {
        database.insert(record);
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, database.to_toml()).expect("a file");
}

/// Rows and medians of the records in a file.
fn medians(path: &Path) -> Vec<(usize, f64)> {
    let loaded = Database::load(path).expect("a cache");
    assert_eq!(loaded.warnings, []);
    let records = loaded.database.records();
    records.map(|it| (it.workload.height(), it.measurement.median_us)).collect()
}

/// Far slower than any default.
const SLOW: &str = "pixels fused rows t1 dw:l4,r1,v1,memory,narrow,copied \
                    pw:l4,b1,v1,u1,narrow,panels,channels_outer";

#[test]
fn verify_tells_what_is_faster_slower_broken_and_not_to_be_checked() {
    let sandbox = Sandbox::new();
    let foreign = if cfg!(target_arch = "x86_64") { Isa::Neon } else { Isa::Avx2 };
    let file = sandbox.path("c.toml");
    let verify = |flags: &str| sandbox.autotune(&format!("verify c.toml --budget 5ms {flags}"));

    write(&file, CpuModel::host(), [record(11, 1e6)]);
    let text = verify("").stdout();
    assert!(text.starts_with("faster ") && text.contains("1 record, 1 faster"), "{text}");

    write(&file, CpuModel::host(), [record(11, 1e6), record(12, 0.001)]);
    let ended = verify("");
    assert!(ended.stdout.contains("SLOWER") && ended.stdout.contains("1 slower"), "{ended:#?}");
    ended.fails(3, &["1 record slower than recorded"]);
    let text = verify("--no-timing").stdout();
    assert!(text.contains("2 records, 2 sound"), "{text}");
    verify("--tolerance 1e12").stdout();

    write(&file, CpuModel::host(), [illegal(11), record(12, 1e6)]);
    let ended = verify("");
    assert!(ended.stdout.contains("BROKEN"), "{ended:#?}");
    assert!(ended.stdout.contains("illegal: "), "{ended:#?}");
    ended.fails(1, &["1 of 2 records broken", "prune --illegal"]);

    // What this machine has no instructions for is legal or not all the same.
    let narrow = "pixels fused rows t1 dw:l4,r1,v1,memory,narrow,copied \
                  pw:l4,b2,v2,u1,narrow,panels,channels_outer";
    let schedule: Schedule = narrow.parse().expect("text");
    let away = Record { isa: foreign, schedule, ..record(11, 1.0) };
    write(&file, CpuModel::host(), [away]);
    let text = verify("").stdout();
    assert!(text.contains("unchecked") && text.contains(&format!("needs {foreign}")), "{text}");
}

#[test]
fn verify_times_nothing_of_another_cpu_and_tells_old_code_and_damage() {
    let sandbox = Sandbox::new();
    let mut old = record(11, 0.001);
    old.provenance.code_generation = 0;
    write(&sandbox.path("c.toml"), other_cpu(), [old]);
    let ended = sandbox.autotune("verify c.toml");
    assert!(ended.stderr.contains("tuned on other-1-2-3, this is"), "{ended:#?}");
    let text = ended.stdout();
    assert!(text.contains("1 sound"), "{text}");
    assert!(text.contains("1 record tuned with generated code of another version"), "{text}");
    let json = sandbox.autotune("verify c.toml --json").json();
    assert_eq!(json["timed"], false);
    assert_eq!(json["records"][0]["outcome"], "ok");
    assert_eq!(json["records"][0]["is_current"], false);

    let text = fs::read_to_string(sandbox.path("c.toml")).expect("the file");
    fs::write(sandbox.path("c.toml"), format!("{text}\n[[record]]\nisa = 1\n")).expect("a file");
    sandbox.autotune("verify c.toml").fails(1, &["warning: c.toml:", "one part is unreadable"]);
    sandbox.autotune("verify none.toml").fails(1, &["none.toml: cannot be read"]);
}

#[test]
fn verify_renews_records_of_other_code_that_still_lead() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("c.toml");
    let old = |channels: usize, schedule: Option<&str>| {
        let workload = format!("f32 nchw 1x{channels}x28x28 dw:3x3,p1,bias,relu pw:64,bias,relu");
        let mut record = records::unmeasured(workload.parse().expect("text"), 1e6);
        if let Some(schedule) = schedule {
            record.schedule = schedule.parse().expect("text");
        }
        record.provenance.code_generation -= 1;
        record
    };
    // One is far behind the default, one is the default, one is slower than it says.
    let mut third = old(96, None);
    third.measurement.median_us = 0.001;
    write(&file, CpuModel::host(), [old(32, Some(SLOW)), old(64, None), third]);
    let are_current = || -> Vec<bool> {
        let loaded = Database::load(&file).expect("a cache");
        loaded.database.records().map(Record::is_current).collect()
    };
    let verify = |flags: &str| sandbox.autotune(&format!("verify c.toml --budget 20ms {flags}"));
    let text = verify("").stdout;
    assert!(text.contains("3 records tuned with generated code of another version"), "{text}");
    assert_eq!(are_current(), [false, false, false]);
    let ended = verify("--renew");
    assert!(ended.stdout.contains("1 record of other code renewed"), "{ended:#?}");
    let left = "2 records tuned with generated code of another version";
    assert!(ended.stdout.contains(left), "{ended:#?}");
    ended.fails(3, &["1 record slower than recorded"]);
    assert_eq!(are_current(), [false, true, false]);
    assert_eq!(medians(&file), [(28, 1e6), (28, 1e6), (28, 0.001)]);
    let json: serde_json::Value =
        serde_json::from_str(&verify("--renew --json").stdout).expect("one object");
    assert_eq!(json["renewed"], 0);

    write(&file, other_cpu(), [old(64, None)]);
    verify("--renew").fails(1, &["--renew times records on the CPU", "other-1-2-3"]);
    verify("--renew --no-timing").fails(2, &["--no-timing"]);
}

#[test]
fn a_workload_too_large_to_check_is_no_reason_to_try() {
    let sandbox = Sandbox::new();
    let mut large = record(11, 1.0);
    large.workload =
        "f32 nchw 1x4096x512x512 dw:3x3,p1,bias,relu pw:2048,bias,relu".parse().expect("text");
    large.schedule = *cost::default_schedule(&large.workload, &cpu::host_target(), 1).schedule();
    let threads = Record { threads: 4000, ..record(12, 1.0) };
    write(&sandbox.path("c.toml"), CpuModel::host(), [large, threads]);
    let text = sandbox.autotune("verify c.toml").stdout();
    assert!(text.contains("MiB that are checked"), "{text}");
    assert!(text.contains("needs 4000 threads"), "{text}");
}

#[test]
fn diff_pairs_records_and_tells_how_sure_a_difference_is() {
    let sandbox = Sandbox::new();
    let noisy = |record: Record| {
        let measurement = Measurement { spread_us: 50.0, samples: 3, ..record.measurement };
        Record { measurement, ..record }
    };
    let a = [
        record(11, 100.0),
        record(12, 100.0),
        record(13, 100.0),
        noisy(record(14, 100.0)),
        record(15, 100.0),
    ];
    let b = [
        record(11, 100.5),
        record(12, 90.0),
        record(13, 120.0),
        record(14, 120.0),
        record(16, 100.0),
    ];
    write(&sandbox.path("a.toml"), CpuModel::host(), a);
    write(&sandbox.path("b.toml"), CpuModel::host(), b);
    let text = sandbox.autotune("diff a.toml b.toml").stdout();
    for part in [
        "alike        100.00 ->    100.50 us    +0.5 %  99.9 % sure",
        "faster       100.00 ->     90.00 us   -10.0 %",
        "SLOWER       100.00 ->    120.00 us   +20.0 %",
        "alike        100.00 ->    120.00 us   +20.0 %",
        "only in A    100.00 ->         - us",
        "only in B         - ->    100.00 us",
        "6 records: 2 alike, 1 faster in B, 1 slower in B, 1 only in A, 1 only in B; B takes",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    sandbox
        .autotune("diff a.toml b.toml --fail-if-slower")
        .fails(3, &["1 record slower in b.toml"]);
    sandbox.autotune("diff b.toml b.toml --fail-if-slower").stdout();
    let text = sandbox.autotune("diff a.toml b.toml --tolerance 25%").stdout();
    assert!(text.contains("4 alike"), "{text}");
    let json = sandbox.autotune("diff a.toml b.toml --json").json();
    assert_eq!(json["records"][2]["outcome"], "slower");
    assert_eq!(json["records"][2]["percent"], 20.0);
    sandbox.autotune("diff a.toml").fails(2, &["required", "<B>"]);
    sandbox.autotune("diff a.toml b.toml --tolerance lots").fails(2, &["per cent", "such as 5"]);
}

#[test]
fn merge_keeps_the_best_or_the_newest_of_all_files_and_of_the_output() {
    let sandbox = Sandbox::new();
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let host = CpuModel::host;
    write(&sandbox.path("a.toml"), host(), [dated(record(11, 1.0), early), record(12, 5.0)]);
    write(&sandbox.path("b.toml"), host(), [dated(record(11, 2.0), late), record(13, 5.0)]);
    let text = sandbox.autotune("merge a.toml b.toml -o best.toml").stdout();
    assert!(text.contains("a.toml: 2 records, 2 taken"), "{text}");
    assert!(text.contains("b.toml: 2 records, 1 taken"), "{text}");
    assert!(text.contains("best.toml: 3 records"), "{text}");
    assert_eq!(medians(&sandbox.path("best.toml")), [(11, 1.0), (12, 5.0), (13, 5.0)]);
    sandbox.autotune("merge a.toml b.toml --output newest.toml --policy newest").stdout();
    assert_eq!(medians(&sandbox.path("newest.toml")), [(11, 2.0), (12, 5.0), (13, 5.0)]);

    // The output's own records take part, also where the output is an input.
    write(&sandbox.path("out.toml"), host(), [record(11, 0.5), record(14, 7.0)]);
    let json = sandbox.autotune("merge a.toml b.toml -o out.toml --json").json();
    assert_eq!(json["records"], 4);
    assert_eq!(medians(&sandbox.path("out.toml")), [(11, 0.5), (12, 5.0), (13, 5.0), (14, 7.0)]);
    sandbox.autotune("merge a.toml b.toml -o a.toml").stdout();
    assert_eq!(medians(&sandbox.path("a.toml")), [(11, 1.0), (12, 5.0), (13, 5.0)]);
}

#[test]
fn merge_refuses_other_cpus_and_later_formats_and_leaves_the_output() {
    let sandbox = Sandbox::new();
    write(&sandbox.path("a.toml"), CpuModel::host(), [record(11, 1.0)]);
    write(&sandbox.path("b.toml"), other_cpu(), [record(11, 1.0)]);
    sandbox
        .autotune("merge a.toml b.toml -o c.toml")
        .fails(1, &["b.toml: records of CPU other-1-2-3, not of", "a file of its own"]);
    assert!(!sandbox.path("c.toml").exists());
    let later = fs::read_to_string(sandbox.path("a.toml")).expect("the file");
    let later = later.replace("format = 1", "format = 2");
    fs::write(sandbox.path("later.toml"), &later).expect("a file");
    sandbox.autotune("merge a.toml -o later.toml").fails(1, &["format 2", "newer version"]);
    assert_eq!(fs::read_to_string(sandbox.path("later.toml")).expect("the file"), later);
    sandbox.autotune("merge a.toml").fails(2, &["required", "--output"]);
    sandbox.autotune("merge -o c.toml").fails(2, &["required", "<FILE>"]);
    sandbox.autotune("merge a.toml -o c.toml --policy fastest").fails(2, &["best, newest"]);
}

#[test]
fn export_writes_the_users_cache_to_a_new_file_or_to_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.autotune("export").fails(1, &[".toml: cannot be read"]);
    let cpu = CpuModel::host();
    let user = sandbox.path(&format!("xdg-cache/dsconv/{}.toml", cpu.file_stem()));
    write(&user, cpu, [record(11, 1.0), record(12, 2.0)]);
    let text = sandbox.autotune("export").stdout();
    assert_eq!(text, fs::read_to_string(&user).expect("the cache"));
    let ended = sandbox.autotune("export -o out.toml --workload 1x8x12x10");
    assert!(ended.stderr.contains("out.toml: 1 record of"), "{ended:#?}");
    assert_eq!(ended.stdout(), "");
    assert_eq!(medians(&sandbox.path("out.toml")), [(12, 2.0)]);
    sandbox.autotune("export -o out.toml").fails(1, &["out.toml exists", "--force", "merge"]);
    assert_eq!(medians(&sandbox.path("out.toml")), [(12, 2.0)]);
    sandbox.autotune("export -o out.toml --force").stdout();
    assert_eq!(medians(&sandbox.path("out.toml")), [(11, 1.0), (12, 2.0)]);
    sandbox.autotune("export --workload nhwc").fails(1, &["none of its 2 records"]);
    sandbox.autotune("export -o no/such/folder.toml").fails(1, &["cannot be written"]);
}

#[test]
fn import_takes_what_is_sound_with_times_of_this_machine() {
    let sandbox = Sandbox::new();
    let cpu = CpuModel::host();
    let user = sandbox.path(&format!("xdg-cache/dsconv/{}.toml", cpu.file_stem()));
    // The stranger claims times that no machine has.
    write(&user, cpu.clone(), [record(11, 0.001)]);
    let their = [record(11, 1e-6), record(12, 1e-6), illegal(13)];
    write(&sandbox.path("their.toml"), cpu, their);
    sandbox
        .autotune("import their.toml --budget 5ms --dry-run")
        .fails(3, &["1x8x13x10", "refused: illegal: ", "1 record refused"]);
    assert_eq!(medians(&user), [(11, 0.001)]);
    let ended = sandbox.autotune("import their.toml --budget 5ms");
    assert!(ended.stdout.contains("1 added, 0 replaced, 1 left as they were"), "{ended:#?}");
    ended.fails(3, &["refused: illegal: ", "their.toml: 1 record refused"]);
    let found = medians(&user);
    assert_eq!((found.len(), found[0]), (2, (11, 0.001)));
    assert!(found[1].1 > 0.1, "{found:?} was timed here");
    let json = sandbox.autotune("import their.toml --no-timing --json").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!((&json["replaced"], &json["is_this_cpu"]), (&2.into(), &true.into()));
    assert_eq!(medians(&user), [(11, 0.0), (12, 0.0)]);
}

#[test]
fn import_replaces_a_record_only_where_the_other_is_faster_here() {
    let sandbox = Sandbox::new();
    let cpu = CpuModel::host();
    let user = sandbox.path(&format!("xdg-cache/dsconv/{}.toml", cpu.file_stem()));
    let workload: Workload =
        "f32 nchw 1x64x28x28 dw:3x3,p1,bias,relu pw:64,bias,relu".parse().expect("text");
    let target = cpu::host_target();
    let fast = *cost::default_schedule(&workload, &target, 1).schedule();
    let slow: Schedule = SLOW.parse().expect("text");
    slow.check(&workload, &target).expect("a legal schedule");
    let of = |schedule, median_us| Record { workload, schedule, ..record(11, median_us) };
    // What the records claim does not matter, in neither direction.
    write(&sandbox.path("slow.toml"), cpu.clone(), [of(slow, 0.001)]);
    write(&sandbox.path("fast.toml"), cpu.clone(), [of(fast, 1e6)]);
    write(&user, cpu, [of(fast, 1e6)]);
    let schedule = || {
        let loaded = Database::load(&user).expect("a cache");
        loaded.database.records().next().expect("a record").schedule
    };
    let text = sandbox.autotune("import slow.toml --budget 20ms").stdout();
    assert!(text.contains("0 added, 0 replaced, 1 left as they were"), "{text}");
    assert_eq!(schedule(), fast);
    sandbox.autotune("import slow.toml --no-timing").stdout();
    assert_eq!(schedule(), slow);
    let text = sandbox.autotune("import fast.toml --budget 20ms").stdout();
    assert!(text.contains("0 added, 1 replaced, 0 left as they were"), "{text}");
    assert_eq!(schedule(), fast);
}

#[test]
fn import_keeps_another_cpus_records_in_a_file_of_their_own() {
    let sandbox = Sandbox::new();
    let cpu = CpuModel::host();
    let user = sandbox.path(&format!("xdg-cache/dsconv/{}.toml", cpu.file_stem()));
    write(&user, cpu, [record(11, 1.0)]);
    write(&sandbox.path("their.toml"), other_cpu(), [record(11, 0.5), record(12, 0.5)]);
    sandbox
        .autotune(&format!("import their.toml --cache '{}'", user.display()))
        .fails(1, &["records of CPU other-1-2-3"]);
    let text = sandbox.autotune("import their.toml").stdout();
    assert!(text.contains("other-1-2-3.toml: 2 added"), "{text}");
    assert!(text.contains("another CPU"), "{text}");
    assert_eq!(medians(&user), [(11, 1.0)]);
    let theirs = sandbox.path("xdg-cache/dsconv/other-1-2-3.toml");
    assert_eq!(medians(&theirs), [(11, 0.5), (12, 0.5)]);
    // It answers where nothing of this CPU does, and says so.
    let line = format!("explain --no-clif --no-asm --workload '{}'", workload(12));
    let text = sandbox.autotune(&line).stdout();
    assert!(text.contains("tuned on another CPU") && text.contains("other-1-2-3.toml"), "{text}");
}

#[test]
fn prune_drops_what_matches_and_keeps_the_file_as_it_was() {
    let sandbox = Sandbox::new();
    let mut old = dated(record(12, 2.0), "2001-01-01T00:00:00Z");
    old.provenance.code_generation = 0;
    let all = [record(11, 1.0), old, illegal(13), dated(record(14, 4.0), "no date")];
    let file = sandbox.path("c.toml");
    let reset = || write(&file, CpuModel::host(), all.clone());
    let rows = || medians(&file).iter().map(|(rows, _)| *rows).collect::<Vec<_>>();
    for (flags, left) in [
        ("--illegal", &[11, 12, 14][..]),
        ("--outdated", &[11, 13, 14]),
        ("--illegal --outdated", &[11, 14]),
        ("--older-than 10years", &[11, 13, 14]),
        ("--workload 1x8x11x10", &[12, 13, 14]),
        ("--workload 1x8x11x10 --outdated", &[11, 12, 13, 14]),
        ("--threads 1 --older-than 10years --outdated", &[11, 13, 14]),
        ("--threads 2", &[11, 12, 13, 14]),
        (
            "--isa neon --illegal",
            if cfg!(target_arch = "aarch64") { &[11, 12, 14] } else { &[11, 12, 13, 14] },
        ),
    ] {
        reset();
        let before = fs::read_to_string(&file).expect("the file");
        let text = sandbox.autotune(&format!("prune --cache c.toml --dry-run {flags}")).stdout();
        assert!(text.contains(&format!("{} left", left.len())), "{flags}: {text}");
        assert_eq!(fs::read_to_string(&file).expect("the file"), before);
        let json = sandbox.autotune(&format!("prune --cache c.toml --json {flags}")).json();
        assert_eq!(rows(), left, "{flags}");
        match json["backup"].as_str() {
            Some(backup) => {
                let backup = fs::read_to_string(sandbox.path(backup)).expect("a copy");
                assert_eq!(backup, before);
            }
            None => assert_eq!(left.len(), all.len(), "{flags}"),
        }
    }
    sandbox.autotune("prune --cache c.toml").fails(2, &["required", "--outdated"]);
    sandbox.autotune("prune --cache c.toml --older-than soon").fails(2, &["90days"]);
    sandbox.autotune("prune --cache c.toml --isa mmx").fails(2, &["mmx", "avx512"]);
    sandbox.autotune("prune --cache none.toml --illegal").fails(1, &["none.toml"]);
}
