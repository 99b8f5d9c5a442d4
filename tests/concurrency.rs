//! Processes that commit to one file, some of them killed in the middle of it: nothing that was
//! committed is lost, and the file is whole at any time.
//!
//! `DSCONV_SOAK=1` lets each of the 8 processes commit 200 records instead of a few.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{cpu, database, record, workload};
use dsconv::{Database, Isa, Workload};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const WRITERS: usize = 8;
/// Writers that are killed, the first ones.
const VICTIMS: usize = 4;

/// Each writer's records are its own.
fn workload_of(writer: usize, index: usize) -> Workload {
    workload(8 + writer, 8, 11 + index)
}

fn start_writer(file: &Path, writer: usize, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process_that_commits_and_tells", "--ignored", "--nocapture"])
        .env("DSCONV_TEST_FILE", file)
        .env("DSCONV_TEST_WRITER", format!("{writer} {count}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "run by other tests, which name a file"]
fn child_process_that_commits_and_tells() {
    let Some(file) = std::env::var_os("DSCONV_TEST_FILE").map(PathBuf::from) else { return };
    let numbers = std::env::var("DSCONV_TEST_WRITER").unwrap();
    let (writer, count) = numbers.split_once(' ').unwrap();
    let writer: usize = writer.parse().unwrap();
    let mut stdout = std::io::stdout().lock();
    for index in 0..count.parse().unwrap() {
        let record = record(workload_of(writer, index), Isa::Fma, 1.0);
        database(cpu(1, 1), [record]).commit(&file).unwrap();
        writeln!(stdout, "\ncommitted {index}").unwrap();
        stdout.flush().unwrap();
    }
}

/// Follows a writer to its end, or kills it a moment after a commit. Gives the commits that it told.
fn follow(mut child: Child, killed_after: Option<(usize, Duration)>) -> usize {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = 0;
    for line in lines.map_while(Result::ok) {
        if let Some(index) = line.strip_prefix("committed ") {
            assert_eq!(index, told.to_string());
            told += 1;
            if let Some((commits, moment)) = killed_after
                && commits == told
            {
                thread::sleep(moment);
                child.kill().unwrap(); // SIGKILL; what it told until then is still in the pipe
            }
        }
    }
    let ended = child.wait().unwrap();
    assert_eq!(ended.success(), killed_after.is_none(), "{ended}");
    told
}

/// Loads the file again and again: always whole, never with fewer records.
fn watch(file: &Path, is_over: &AtomicBool) -> usize {
    let (mut looks, mut records) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        if file.exists() {
            let loaded = Database::load(file).unwrap();
            assert_eq!(loaded.warnings, []);
            assert!(loaded.database.len() >= records);
            (looks, records) = (looks + 1, loaded.database.len());
        }
        thread::sleep(Duration::from_millis(5));
    }
    looks
}

#[test]
fn killed_writers_lose_nothing_they_committed_and_stop_nobody() {
    let count = if std::env::var_os("DSCONV_SOAK").is_some() { 200 } else { 8 };
    let seed = std::process::id().into();
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let (told, looks) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&file, &is_over));
        let followers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let killed_after = (writer < VICTIMS).then(|| {
                    let moment = Duration::from_micros(rng.random_range(0..5_000));
                    (rng.random_range(1..count / 2), moment)
                });
                let child = start_writer(&file, writer, count);
                scope.spawn(move || follow(child, killed_after))
            })
            .collect();
        // All have ended before any failure is told: the watcher waits for the word.
        let ended: Vec<_> = followers.into_iter().map(|follower| follower.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        let told: Vec<usize> = ended.into_iter().map(|told| told.unwrap()).collect();
        (told, watcher.join().unwrap())
    });
    let elapsed = start.elapsed();

    // The next commit removes what the dead left behind, and is not kept waiting by them.
    database(cpu(1, 1), [record(workload_of(99, 0), Isa::Fma, 1.0)]).commit(&file).unwrap();
    let loaded = Database::load(&file).unwrap();
    assert_eq!(loaded.warnings, []);
    let mut lost = Vec::new();
    for (writer, &told) in told.iter().enumerate() {
        let is_there = |index: usize| {
            loaded.database.lookup(&workload_of(writer, index), Isa::Fma, 1).is_some()
        };
        lost.extend((0..told).filter(|index| !is_there(*index)).map(|index| (writer, index)));
    }
    println!(
        "{WRITERS} writers, {count} commits each, {VICTIMS} killed, seed {seed}: {} commits told, \
         {} lost, {looks} loads between them, {:.1} s",
        told.iter().sum::<usize>(),
        lost.len(),
        elapsed.as_secs_f64()
    );
    assert_eq!(lost, [], "seed {seed}, told {told:?}");
    assert!(told[VICTIMS..].iter().all(|told| *told == count), "{told:?}");
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["records.toml", "records.toml.lock"]);
}
