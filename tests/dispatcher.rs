//! Which record a workload gets: layers, steps of the fallback chain, and what is told of them.

mod common;

use std::process::Command;

use common::{cpu, database, record, schedule, workload};
use dsconv::{
    BuildError, Database, Dispatcher, DispatcherBuilder, Isa, OnMiss, Origin, PointwiseTile,
    Record, Schedule, Target, Workload,
};

fn target() -> Target {
    Target { isa: Isa::Fma, lanes: 4, vector_registers: 16, l1_bytes: 32 << 10, l2_bytes: 1 << 20 }
}

/// A dispatcher of CPU 143, stepping 8, that reads nobody's files.
fn builder() -> DispatcherBuilder {
    Dispatcher::builder()
        .user_database(false)
        .shipped_databases(false)
        .cpu(cpu(143, 8))
        .target(target())
        .on_miss(OnMiss::Error)
}

/// A record that can be told from others by its tile.
fn marked(workload: Workload, tile_rows: u16) -> Record {
    let schedule = Schedule { tile_rows, ..schedule() };
    Record { schedule, ..record(workload, Isa::Fma, 1.0) }
}

/// Asks for more registers than there are.
fn illegal(workload: Workload) -> Record {
    let tile = PointwiseTile { broadcasts: 200, vectors: 200, ..schedule().pointwise.unwrap() };
    let schedule = Schedule { pointwise: Some(tile), ..schedule() };
    Record { schedule, ..record(workload, Isa::Fma, 1.0) }
}

fn looked_up(builder: DispatcherBuilder, workload: &Workload) -> (u16, Origin) {
    let (schedule, origin) = builder.build().unwrap().lookup(workload).unwrap();
    assert_eq!(schedule.workload(), workload);
    (schedule.schedule().tile_rows, origin)
}

#[test]
fn this_cpu_comes_before_its_steppings_and_those_before_other_cpus() {
    let wanted = workload(24, 48, 14);
    let other = database(cpu(1, 1), [marked(wanted, 1)]);
    let stepping = database(cpu(143, 7), [marked(wanted, 2)]);
    let same = database(cpu(143, 8), [marked(wanted, 3)]);
    // The least fitting lies on top, and still comes last.
    let all =
        || builder().database(same.clone()).database(stepping.clone()).database(other.clone());
    assert_eq!(looked_up(all(), &wanted), (3, Origin::Exact));
    let two = builder().database(stepping.clone()).database(other.clone());
    let origin = Origin::SameMicroarchitecture { cpu: "genuinetest-6-143-7".to_owned() };
    assert_eq!(looked_up(two, &wanted), (2, origin));
    let origin = Origin::SameIsa { cpu: "genuinetest-6-1-1".to_owned() };
    assert_eq!(looked_up(builder().database(other), &wanted), (1, origin));
}

#[test]
fn the_database_given_last_lies_on_top() {
    let wanted = workload(24, 48, 14);
    let layer = |rows| database(cpu(143, 8), [marked(wanted, rows)]);
    let layers = builder().database(layer(1)).database(layer(2)).database(layer(3));
    assert_eq!(looked_up(layers, &wanted), (3, Origin::Exact));
}

#[test]
fn records_of_another_instruction_set_do_not_count() {
    let wanted = workload(24, 48, 14);
    let neon = Record { isa: Isa::Neon, ..marked(wanted, 1) };
    let dispatcher = builder().database(database(cpu(143, 8), [neon])).build().unwrap();
    assert!(dispatcher.lookup(&wanted).is_err());
}

#[test]
fn records_are_kept_apart_by_threads() {
    let wanted = workload(24, 48, 14);
    let two = Record { threads: 2, ..marked(wanted, 2) };
    let both = database(cpu(143, 8), [marked(wanted, 1), two.clone()]);
    assert_eq!(looked_up(builder().database(both.clone()), &wanted), (1, Origin::Exact));
    assert_eq!(looked_up(builder().threads(2).database(both), &wanted), (2, Origin::Exact));
    // A record for another number of threads is as good as one of a similar workload.
    let origin = Origin::NearestWorkload {
        workload: wanted,
        threads: 2,
        cpu: "genuinetest-6-143-8".to_owned(),
    };
    assert_eq!(looked_up(builder().database(database(cpu(143, 8), [two])), &wanted), (2, origin));
}

#[test]
fn the_most_similar_workload_lends_its_schedule_cut_to_size() {
    let wanted = workload(24, 48, 7);
    let near = workload(24, 48, 8);
    let far = workload(24, 64, 8);
    let records = database(cpu(143, 8), [marked(far, 3), marked(near, 8)]);
    let (rows, origin) = looked_up(builder().database(records), &wanted);
    assert_eq!(rows, 7); // the tile of 8 rows, of which there are 7
    let Origin::NearestWorkload { workload: lender, .. } = origin else { panic!("{origin}") };
    assert_eq!(lender, near);
}

#[test]
fn a_record_that_is_not_legal_falls_to_the_next() {
    let wanted = workload(24, 48, 14);
    let below = database(cpu(143, 8), [marked(wanted, 5)]);
    let on_top = database(cpu(143, 8), [illegal(wanted)]);
    let dispatcher = builder().database(below).database(on_top.clone());
    assert_eq!(looked_up(dispatcher, &wanted), (5, Origin::Exact));
    let dispatcher = builder().database(on_top).build().unwrap();
    assert!(dispatcher.lookup(&wanted).is_err());
}

#[test]
fn a_miss_is_an_error_with_the_command_that_tunes_or_the_analytic_default() {
    let wanted = workload(24, 48, 14);
    let miss = builder().threads(2).build().unwrap().lookup(&wanted).unwrap_err();
    let text = miss.to_string();
    assert!(text.contains(&wanted.to_string()), "{text}");
    assert!(text.ends_with(&format!("autotune --workload '{wanted}' --threads 2")), "{text}");
    let dispatcher = builder().on_miss(OnMiss::Heuristic).build().unwrap();
    let (default, origin) = dispatcher.lookup(&wanted).unwrap();
    assert_eq!(origin, Origin::Heuristic);
    assert_eq!(default, dsconv::cost::default_schedule(&wanted, &target()));
}

#[test]
fn origins_are_told_in_one_line() {
    let wanted = workload(24, 48, 14);
    let cpu = "genuinetest-6-1-1".to_owned();
    for (origin, told) in [
        (Origin::Exact, "this CPU"),
        (Origin::SameMicroarchitecture { cpu: cpu.clone() }, "genuinetest-6-1-1"),
        (Origin::SameIsa { cpu: cpu.clone() }, "genuinetest-6-1-1"),
        (Origin::NearestWorkload { workload: wanted, threads: 1, cpu }, "1x24x14x14"),
        (Origin::Heuristic, "untuned"),
    ] {
        let line = origin.to_string();
        assert!(line.contains(told) && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn threads_are_bounded() {
    for found in [0, usize::MAX] {
        let error = builder().threads(found).build().unwrap_err();
        assert_eq!(error, BuildError::Threads { found, limit: 4096 });
    }
}

/// The environment belongs to a process, so the user's folder is set for a child.
#[test]
fn the_users_database_is_read_where_the_variable_says_and_a_damaged_one_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("genuinetest-6-143-8.toml");
    let child = |expected: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process_with_a_user_database", "--ignored", "--nocapture"])
            .env(dsconv::database::CACHE_VARIABLE, folder.path())
            .env("DSCONV_TEST_CHILD", "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(expected), "{told}{}", String::from_utf8_lossy(&output.stderr));
    };
    child("miss, warnings 0");
    database(cpu(143, 8), [marked(workload(24, 48, 14), 3)]).commit(&file).unwrap();
    child("tile 3, warnings 0");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[[record]]\nisa = 3\n")).unwrap();
    child("tile 3, warnings 1");
    std::fs::write(&file, "no database").unwrap();
    child("miss, warnings 1");
}

#[test]
#[ignore = "run by the_users_database_is_read_where_the_variable_says_and_a_damaged_one_is_a_warning"]
fn child_process_with_a_user_database() {
    if std::env::var_os("DSCONV_TEST_CHILD").is_none() {
        return;
    }
    let dispatcher = builder().user_database(true).build().unwrap();
    let found = match dispatcher.lookup(&workload(24, 48, 14)) {
        Ok((schedule, _)) => format!("tile {}", schedule.schedule().tile_rows),
        Err(_) => "miss".to_owned(),
    };
    println!("{found}, warnings {}", dispatcher.warnings().len());
}

#[test]
fn a_database_for_no_cpu_of_ours_still_helps_by_similarity() {
    let lender = workload(24, 48, 16);
    let foreign = database(cpu(1, 1), [marked(lender, 2)]);
    let ours: Database = database(cpu(143, 8), [marked(workload(24, 48, 12), 4)]);
    // 14 is nearer to 16 than to 12 in doublings, so the foreign record wins.
    let (rows, _) = looked_up(builder().database(ours).database(foreign), &workload(24, 48, 14));
    assert_eq!(rows, 2);
}
