//! The contestant answers as `contestants/protocol.py` says.

#![allow(missing_docs, reason = "a test is its name")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the program answers to lines, in a folder.
fn answers(folder: &Path, requests: &str) -> Vec<String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_dsconv-bench-peers"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = program.stdin.take().expect("it is piped");
    stdin.write_all(requests.as_bytes()).expect("the program reads");
    drop(stdin);
    let output = program.wait_with_output().expect("the program ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn write(folder: &Path, tensor: &str, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join(format!("{tensor}.f32")), bytes).expect("the folder is writable");
}

#[test]
fn a_block_is_prepared_verifiable_and_timed() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "input", &[1.0, 2.0, 3.0, 4.0]);
    write(folder.path(), "depthwise", &[10.0]);
    write(folder.path(), "pointwise", &[1.0, -1.0]);
    write(folder.path(), "pointwise_bias", &[0.5, 0.25]);
    for threads in [1, 2] {
        let answers = answers(
            folder.path(),
            &format!("prepare {threads} f32 nhwc 1x1x2x2 dw:1x1 pw:2,bias,relu\ntime 1\n"),
        );
        let [hello, ready, times] = answers.as_slice() else { panic!("{answers:?}") };
        assert!(hello.starts_with("hello "), "{hello}");
        assert!(ready.starts_with("ready "), "{ready}");
        let samples = times.strip_prefix("times ").expect("times").split(' ');
        let samples: Vec<f64> = samples.map(|us| us.parse().expect("a number")).collect();
        assert!(samples.len() >= 3 && samples.iter().all(|us| *us > 0.0), "{samples:?}");
        let expected: [f32; 8] = [10.5, 0.0, 20.5, 0.0, 30.5, 0.0, 40.5, 0.0];
        let expected: Vec<u8> = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
        let output = folder.path().join("output.f32");
        assert_eq!(std::fs::read(&output).expect("an output"), expected);
        std::fs::remove_file(output).expect("it is there");
    }
}

#[test]
fn what_cannot_be_done_is_answered_and_the_next_request_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = answers(
        folder.path(),
        "time 1\nprepare 1 nonsense\nprepare 1 f32 nchw 1x1x2x2 dw:1x1\nsing\n",
    );
    assert_eq!(answers.len(), 5, "{answers:?}");
    assert!(answers[1..].iter().all(|answer| answer.starts_with("failed ")), "{answers:?}");
}
