//! Which record a workload gets: layers, steps of the fallback chain, and what is told of them.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::{cpu, database, given, record, schedule, workload};
use dsconv::cpu::CpuModel;
use dsconv::{
    BuildError, Database, Dispatcher, DispatcherBuilder, Isa, Layer, Objective, OnMiss, Origin,
    PointwiseTile, Record, Schedule, Source, Target, Workload,
};

fn target() -> Target {
    Target::of(Isa::Fma)
}

/// A dispatcher of CPU 143, stepping 8, that reads nobody's files.
fn builder() -> DispatcherBuilder {
    Dispatcher::builder().only_given().cpu(cpu(143, 8)).target(target()).on_miss(OnMiss::Error)
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
    assert_eq!(looked_up(all(), &wanted), (3, Origin::Exact(given(&cpu(143, 8)))));
    let two = builder().database(stepping.clone()).database(other.clone());
    let origin = Origin::SameMicroarchitecture(given(&cpu(143, 7)));
    assert_eq!(looked_up(two, &wanted), (2, origin));
    let origin = Origin::SameIsa(given(&cpu(1, 1)));
    assert_eq!(looked_up(builder().database(other), &wanted), (1, origin));
}

#[test]
fn of_other_cpus_those_of_the_same_vendor_come_first() {
    let wanted = workload(24, 48, 14);
    let of = |vendor: &str, model| CpuModel { vendor: vendor.to_owned(), ..cpu(model, 1) };
    let relative = database(cpu(1, 1), [marked(wanted, 1)]);
    let other = database(of("OtherVendor", 2), [marked(wanted, 2)]);
    let layers = builder().database(relative).database(other.clone());
    assert_eq!(looked_up(layers, &wanted), (1, Origin::SameIsa(given(&cpu(1, 1)))));
    // Who tells no vendor is nobody's relative: the topmost layer decides.
    let unknown = database(of("unknown", 1), [marked(wanted, 3)]);
    let layers = builder().cpu(of("unknown", 3)).database(unknown).database(other);
    assert_eq!(looked_up(layers, &wanted).0, 2);
}

#[test]
fn the_database_given_last_lies_on_top() {
    let wanted = workload(24, 48, 14);
    let layer = |rows| database(cpu(143, 8), [marked(wanted, rows)]);
    let layers = builder().database(layer(1)).database(layer(2)).database(layer(3));
    assert_eq!(looked_up(layers, &wanted), (3, Origin::Exact(given(&cpu(143, 8)))));
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
    assert_eq!(
        looked_up(builder().database(both.clone()), &wanted),
        (1, Origin::Exact(given(&cpu(143, 8))))
    );
    assert_eq!(
        looked_up(builder().threads(2).database(both), &wanted),
        (2, Origin::Exact(given(&cpu(143, 8))))
    );
    // A record for another number of threads is as good as one of a similar workload.
    let origin =
        Origin::NearestWorkload { workload: wanted, threads: 2, source: given(&cpu(143, 8)) };
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
    assert_eq!(looked_up(dispatcher, &wanted), (5, Origin::Exact(given(&cpu(143, 8)))));
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
    let dispatcher = builder().threads(2).on_miss(OnMiss::Heuristic).build().unwrap();
    let (default, origin) = dispatcher.lookup(&wanted).unwrap();
    assert_eq!(origin, Origin::Heuristic);
    assert_eq!(default, dsconv::cost::default_schedule(&wanted, &target(), 2));
}

#[test]
fn origins_are_told_in_one_line_with_layer_file_and_code_of_another_version() {
    let wanted = workload(24, 48, 14);
    let other = given(&cpu(1, 1));
    let file = Source { layer: Layer::System, path: Some("/etc/a.toml".into()), ..other.clone() };
    let older = Source { code_generation: 0, ..other.clone() };
    let its_age =
        format!("its code was of version 0, now it is {}", dsconv_kernels::CODE_GENERATION);
    for (origin, told) in [
        (Origin::Exact(other.clone()), "this CPU model, database given by the program"),
        (Origin::Exact(file), "system database /etc/a.toml"),
        (Origin::Exact(older), its_age.as_str()),
        (Origin::SameMicroarchitecture(other.clone()), "genuinetest-6-1-1"),
        (Origin::SameIsa(other.clone()), "genuinetest-6-1-1"),
        (Origin::NearestWorkload { workload: wanted, threads: 1, source: other }, "1x24x14x14"),
        (Origin::Heuristic, "untuned"),
    ] {
        let line = origin.to_string();
        assert!(line.contains(told) && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn a_record_of_other_caches_is_not_of_this_very_cpu() {
    let wanted = workload(24, 48, 14);
    let larger = CpuModel { l2_bytes: 2 << 20, ..cpu(143, 8) };
    let records = database(larger.clone(), [marked(wanted, 3)]);
    let (_, origin) = looked_up(builder().database(records), &wanted);
    assert_eq!(origin, Origin::SameMicroarchitecture(given(&larger)));
}

#[test]
fn records_for_the_wanted_objective_come_first() {
    let wanted = workload(24, 48, 14);
    let cold = Record { objective: Objective::Cold, ..marked(wanted, 2) };
    let both = database(cpu(143, 8), [marked(wanted, 1), cold.clone()]);
    assert_eq!(looked_up(builder().database(both.clone()), &wanted).0, 1);
    assert_eq!(looked_up(builder().objective(Objective::Cold).database(both), &wanted).0, 2);
    assert_eq!(looked_up(builder().database(database(cpu(143, 8), [cold])), &wanted).0, 2);
}

#[test]
fn a_record_of_an_older_code_generation_is_used_and_told() {
    let wanted = workload(24, 48, 14);
    let mut old = marked(wanted, 3);
    old.provenance.code_generation = 0;
    let dispatcher = builder().database(database(cpu(143, 8), [old]));
    let (rows, origin) = looked_up(dispatcher, &wanted);
    assert_eq!(rows, 3);
    assert!(origin.is_improvable() && matches!(origin, Origin::Exact(_)), "{origin}");
    assert!(!Origin::Exact(given(&cpu(143, 8))).is_improvable());
}

#[test]
fn threads_are_bounded() {
    for found in [0, usize::MAX] {
        let error = builder().threads(found).build().unwrap_err();
        assert_eq!(error, BuildError::Threads { found, limit: 4096 });
    }
}

/// The environment and the working folder belong to a process, so they are set for a child.
struct Child {
    folder: tempfile::TempDir,
}

impl Child {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commits a record that can be told by its rows.
    fn commit(&self, name: &str, rows: u16) -> PathBuf {
        let path = self.path(name);
        database(cpu(143, 8), [marked(workload(24, 48, 14), rows)]).commit(&path).unwrap();
        path
    }

    /// Asserts what a child with this environment beside the usual one finds.
    #[track_caller]
    fn finds(&self, environment: &[(&str, PathBuf)], expected: &str) {
        std::fs::create_dir_all(self.path("work/inner")).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process_that_reads_files", "--ignored", "--nocapture"])
            .current_dir(self.path("work/inner"))
            .env("DSCONV_TEST_CHILD", "1")
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("home/cache"))
            .env("XDG_DATA_DIRS", self.path("share"))
            .env_remove(dsconv::database::CACHE_VARIABLE)
            .env_remove(dsconv::OVERLAY_VARIABLE)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(expected), "{told}{}", String::from_utf8_lossy(&output.stderr));
    }
}

const FILE: &str = "genuinetest-6-143-8.toml";

#[test]
fn the_users_database_is_read_where_the_variable_says_and_a_damaged_one_is_a_warning() {
    let child = Child::new();
    let moved = [(dsconv::database::CACHE_VARIABLE, child.path("moved"))];
    child.finds(&moved, "miss, warnings 0");
    let file = child.commit(&format!("moved/{FILE}"), 3);
    child.finds(&moved, "tile 3 of user, warnings 0");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[[record]]\nisa = 3\n")).unwrap();
    child.finds(&moved, "tile 3 of user, warnings 1");
    std::fs::write(&file, "no database").unwrap();
    child.finds(&moved, "miss, warnings 1");
}

#[test]
fn each_layer_lies_on_top_of_the_one_before() {
    let child = Child::new();
    child.finds(&[], "miss, warnings 0");
    child.commit(&format!("share/dsconv/{FILE}"), 1);
    child.finds(&[], "tile 1 of system, warnings 0");
    child.commit(&format!("home/cache/dsconv/{FILE}"), 2);
    child.finds(&[], "tile 2 of user, warnings 0");
    child.commit(&format!("work/.dsconv/{FILE}"), 3);
    child.finds(&[], "tile 3 of project, warnings 0");
    let [file, folder] = [child.commit("any.toml", 4), child.path("overlay")];
    child.commit(&format!("overlay/{FILE}"), 5);
    let overlay = |paths: &[&PathBuf]| {
        [(dsconv::OVERLAY_VARIABLE, std::env::join_paths(paths).unwrap().into())]
    };
    child.finds(&overlay(&[&file]), "tile 4 of environment, warnings 0");
    child.finds(&overlay(&[&folder, &file]), "tile 5 of environment, warnings 0");
    child.finds(&overlay(&[&child.path("nowhere"), &file]), "tile 4 of environment, warnings 1");
    let given = [("DSCONV_TEST_GIVEN", file.clone()), (dsconv::OVERLAY_VARIABLE, folder)];
    child.finds(&given, "tile 4 of given, warnings 0");
}

#[test]
fn a_project_is_the_file_or_folder_that_the_program_names() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = workload(24, 48, 14);
    let file = folder.path().join(FILE);
    database(cpu(143, 8), [marked(wanted, 7)]).commit(&file).unwrap();
    let of = |path: &Path| builder().layer(Layer::Project, true).project(path);
    for path in [folder.path(), &file] {
        let (rows, origin) = looked_up(of(path), &wanted);
        let source = origin.source().unwrap();
        assert_eq!((rows, source.layer, source.path.as_ref()), (7, Layer::Project, Some(&file)));
    }
    let nowhere = of(&folder.path().join("nowhere")).build().unwrap();
    assert_eq!((nowhere.layers().count(), nowhere.warnings().len()), (0, 1));
}

#[test]
fn files_of_other_cpus_in_a_folder_count_for_their_own_steps() {
    let child = Child::new();
    let wanted = workload(24, 48, 14);
    database(cpu(1, 1), [marked(wanted, 6)])
        .commit(&child.path("home/cache/dsconv/genuinetest-6-1-1.toml"))
        .unwrap();
    child.finds(&[], "tile 6 of user, warnings 0");
}

#[test]
fn homes_that_are_missing_or_no_folders_are_no_failure() {
    let child = Child::new();
    let file = child.commit("file.toml", 1);
    for home in [PathBuf::new(), child.path("nowhere"), file.clone(), "relative".into()] {
        let environment = [("HOME", home.clone()), ("XDG_CACHE_HOME", home.clone())];
        child.finds(&environment, "miss, warnings 0");
        child.finds(&[("XDG_DATA_DIRS", home.clone())], "miss, warnings 0");
        child.finds(&[(dsconv::database::CACHE_VARIABLE, home)], "miss, warnings 0");
    }
}

#[test]
#[ignore = "run by other tests, which set its environment"]
fn child_process_that_reads_files() {
    if std::env::var_os("DSCONV_TEST_CHILD").is_none() {
        return;
    }
    let mut builder = [Layer::System, Layer::User, Layer::Project, Layer::Environment]
        .into_iter()
        .fold(builder(), |builder, layer| builder.layer(layer, true));
    if let Some(path) = std::env::var_os("DSCONV_TEST_GIVEN") {
        builder = builder.database(Database::load(path.as_ref()).unwrap().database);
    }
    let dispatcher = builder.build().unwrap();
    let found = match dispatcher.lookup(&workload(24, 48, 14)) {
        Ok((schedule, origin)) => {
            let source = origin.source().unwrap();
            assert!(
                dispatcher.layers().any(|it| it.layer == source.layer && it.path == source.path)
            );
            format!("tile {} of {}", schedule.schedule().tile_rows, source.layer)
        }
        Err(_) => "miss".to_owned(),
    };
    println!("{found}, warnings {}", dispatcher.warnings().len());
}

/// Counts events, each with its level and message.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(format!("{} {}", event.metadata().level(), message.0));
    }
}

#[test]
fn each_step_down_is_logged_once_for_a_workload_and_names_what_decided() {
    let wanted = workload(24, 48, 14);
    let on_top = database(cpu(143, 8), [illegal(wanted)]);
    let below = database(cpu(1, 1), [marked(wanted, 2)]);
    let dispatcher = builder().target(dsconv::cpu::host_target());
    let isa = dsconv::cpu::host_target().isa;
    let here = |database: Database| {
        common::database(
            database.cpu().clone(),
            database.records().map(|it| Record { isa, ..it.clone() }).collect::<Vec<_>>(),
        )
    };
    let dispatcher = dispatcher.database(here(below)).database(here(on_top)).build().unwrap();
    let tensors = dsconv_kernels::testing::Tensors::ordinary(&wanted, 0);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        for _ in 0..3 {
            let block = dispatcher.prepare(&wanted, &tensors.weights()).unwrap();
            assert_eq!(block.origin(), &Origin::SameIsa(given(&cpu(1, 1))));
            dispatcher.clone().prepare(&wanted, &tensors.weights()).unwrap();
        }
    });
    let events = log.0.lock().unwrap().clone();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0], "WARN schedule is not legal, next one");
    assert!(
        events[1].starts_with("WARN tuned on another CPU with this instruction set"),
        "{events:?}"
    );
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
