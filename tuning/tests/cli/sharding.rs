//! `docs/sharding.md` does what it says: its blocks are read from the file and run.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use dsconv::Database;
use dsconv_tuning::batch;
use saphyr::{LoadableYamlNode, Yaml};

use crate::sandbox::Sandbox;

const DOCS: &str = include_str!("../../../docs/sharding.md");

/// Small workloads; as many as there are parts in the examples.
const BATCH: &str = "\
f32 nchw 1x4x6x6 dw:3x3,p1 pw:8
3 f32 nhwc 1x8x6x6 dw:3x3,p1,bias,relu6 pw:8,bias
f32 nchw 1x8x5x5 pw:12,bias
f32 nchw 1x4x6x6 dw:5x5,p2 pw:8
f32 nchw 1x4x5x5 dw:3x3,p1 pw:8
f32 nchw 1x4x7x7 dw:3x3,p1 pw:8
f32 nchw 1x4x8x8 dw:3x3,p1 pw:8
f32 nchw 1x4x9x9 dw:3x3,p1 pw:8
";

/// The fenced blocks of a language that hold a text, in order.
fn blocks(language: &str, holding: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = DOCS.split(&fence).skip(1).filter_map(|rest| rest.split_once("```"));
    let blocks: Vec<&str> =
        blocks.map(|(block, _)| block).filter(|block| block.contains(holding)).collect();
    assert!(!blocks.is_empty(), "the docs have no {language} with {holding:?}");
    blocks
}

/// The one block of a language that holds a text.
fn block(language: &str, holding: &str) -> &'static str {
    let blocks = blocks(language, holding);
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    blocks[0]
}

fn yaml(holding: &str) -> Yaml<'static> {
    let text = block("yaml", holding);
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let [document] = documents.try_into().expect("one document");
    document
}

/// A list's items.
fn list<'a, 'text>(node: &'a Yaml<'text>) -> &'a [Yaml<'text>] {
    node.as_sequence().expect("a list")
}

fn text<'a>(node: &'a Yaml<'_>) -> &'a str {
    node.as_str().expect("a text")
}

fn number(node: &Yaml<'_>) -> usize {
    node.as_integer().and_then(|number| number.try_into().ok()).expect("a number")
}

/// A folder with `blocks.txt`, and `bin` with commands of the names that the docs use: `autotune`,
/// which tries little, and Slurm's `srun`, which starts a command here.
fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("blocks.txt"), BATCH).expect("the batch");
    std::fs::create_dir(sandbox.path("bin")).expect("a folder");
    let autotune = assert_cmd::cargo::cargo_bin!("autotune").display().to_string();
    let is_merge = "[ \"$1\" = merge ] && exec";
    for (name, script) in [
        (
            "autotune",
            format!(
                "{is_merge} '{autotune}' \"$@\"\nexec '{autotune}' \"$@\" --trials 3 --budget 1s --quiet"
            ),
        ),
        ("srun", "exec \"$@\"".to_owned()),
    ] {
        let path = sandbox.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("executable");
    }
    sandbox
}

/// A command of the site, as a user would start it there.
fn command(sandbox: &Sandbox, program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .current_dir(sandbox.path(""))
        .env("PATH", format!("{}:{path}", sandbox.path("bin").display()))
        .env("HOME", sandbox.path(""));
    command
}

/// Runs a script of the docs to its end.
fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {:?} {stderr}", output.status);
    output
}

fn workloads(sandbox: &Sandbox, cache: &str) -> BTreeSet<String> {
    let loaded =
        Database::load(&sandbox.path(cache)).unwrap_or_else(|error| panic!("{cache}: {error}"));
    assert_eq!(loaded.warnings, []);
    loaded.database.records().map(|record| record.workload.to_string()).collect()
}

/// Asserts that so many parts hold each workload once, and that the docs' merge joins them.
fn assert_parts(sandbox: &Sandbox, count: usize) {
    let all: BTreeSet<String> = batch::parse(BATCH)
        .expect("a batch")
        .into_iter()
        .map(|item| item.workload.to_string())
        .collect();
    let parts: Vec<BTreeSet<String>> = (0..=count)
        .map(|part| format!("part-{part}.toml"))
        .filter(|cache| sandbox.path(cache).exists())
        .map(|cache| workloads(sandbox, &cache))
        .collect();
    assert_eq!(parts.len(), count);
    assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), all.len(), "{parts:?}");
    let merge = block("sh", "autotune merge");
    run(command(sandbox, "sh").args(["-ec", merge]));
    assert_eq!(workloads(sandbox, "all.toml"), all);
}

#[test]
fn the_batch_of_the_docs_is_one() {
    let items = batch::parse(block("text", "MobileNetV1")).expect("a batch");
    let weights: Vec<f64> = items.iter().map(|item| item.weight).collect();
    assert_eq!(weights, [5.0, 1.0, 1.0]);
}

#[test]
fn the_shells_loop_tunes_the_parts_side_by_side() {
    let sandbox = site();
    run(command(&sandbox, "sh").args(["-ec", block("sh", "for part in")]));
    assert_parts(&sandbox, 2);
}

#[test]
fn gnu_parallel_tunes_the_parts() {
    let sandbox = site();
    let version = command(&sandbox, "parallel").arg("--version").output();
    let version = version.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    match version {
        Ok(version) if version.contains("GNU parallel") => {
            println!("by {}", version.lines().next().unwrap_or_default());
        }
        _ => {
            println!("GNU parallel is not installed: not tested, the shell's loop is");
            return;
        }
    }
    // The hosts are this one, which GNU parallel calls `:`, with four jobs at once.
    let script = block("sh", "parallel --jobs");
    let hosts = "--jobs 1 --sshlogin host1,host2,host3,host4";
    assert!(script.contains(hosts), "{script}");
    let script = script.replace(hosts, "--will-cite --jobs 4 --sshlogin :");
    run(command(&sandbox, "sh").args(["-ec", &script]));
    assert_parts(&sandbox, 4);
}

#[test]
fn slurms_array_tunes_the_parts() {
    let sandbox = site();
    let script = block("sh", "#SBATCH");
    std::fs::write(sandbox.path("job.sh"), script).expect("the script");
    match command(&sandbox, "bash").args(["-n", "job.sh"]).output() {
        Ok(checked) => assert!(checked.status.success(), "{checked:?}"),
        Err(error) => println!("bash does not start: {error}"),
    }
    let array = script.split_once("--array=1-").expect("an array from 1 on").1;
    let count: usize =
        array.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    for task in 1..=count {
        let mut command = command(&sandbox, "sh");
        command.arg("job.sh").env("SLURM_ARRAY_TASK_ID", task.to_string());
        run(command.env("SLURM_ARRAY_TASK_COUNT", count.to_string()));
    }
    assert_parts(&sandbox, count);
}

#[test]
fn kubernetes_indexed_job_tunes_the_parts() {
    let sandbox = site();
    let job = yaml("kind: Job");
    assert_eq!([&job["apiVersion"], &job["kind"]].map(text), ["batch/v1", "Job"]);
    let spec = &job["spec"];
    assert_eq!(text(&spec["completionMode"]), "Indexed");
    let count = number(&spec["completions"]);
    assert_eq!(number(&spec["parallelism"]), count);
    let pod = &spec["template"]["spec"];
    let policy = text(&pod["restartPolicy"]);
    assert!(["OnFailure", "Never"].contains(&policy), "{policy}");
    let container = &pod["containers"][0];
    let resources = &container["resources"];
    assert_eq!(resources["requests"], resources["limits"], "a guaranteed pod keeps its cores");
    let volume = &container["volumeMounts"][0];
    assert_eq!(text(&volume["name"]), text(&pod["volumes"][0]["name"]));

    let words: Vec<&str> = list(&container["command"]).iter().map(text).collect();
    let ["sh", "-c", script] = words[..] else { panic!("{words:?}") };
    assert!(script.contains(&format!("/{count}\"")), "parts are as many as pods: {script}");
    // The volume is the sandbox.
    let mount = text(&volume["mountPath"]);
    let folder = sandbox.path("").display().to_string();
    let script = script.replace(mount, folder.trim_end_matches('/'));
    for index in 0..count {
        let mut command = command(&sandbox, "sh");
        run(command.args(["-c", &script]).env("JOB_COMPLETION_INDEX", index.to_string()));
    }
    assert_parts(&sandbox, count);
}

#[test]
fn the_ci_matrix_has_each_part_once() {
    let job = yaml("matrix:");
    let parts: Vec<usize> = list(&job["strategy"]["matrix"]["part"]).iter().map(number).collect();
    assert_eq!(parts, (1..=parts.len()).collect::<Vec<_>>());
    let line = text(&job["steps"][0]["run"]);
    assert!(line.contains(&format!("--shard ${{{{ matrix.part }}}}/{} ", parts.len())), "{line}");
    // One of its commands is a command.
    let line = line.replace("${{ matrix.part }}", "2");
    let sandbox = site();
    run(command(&sandbox, "sh").args(["-ec", &line]));
    assert_eq!(workloads(&sandbox, "part-2.toml").len(), 2);
}
