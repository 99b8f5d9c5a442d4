//! Generated code does not change without a new [`CODE_GENERATION`]: records tell by it whether
//! their times are still those of the code that runs.
//!
//! After a wanted change, raise the constant; `DSCONV_BLESS=1 cargo test -p dsconv-kernels` then
//! writes `golden/version.txt` anew, after the other golden files.

use std::fs;
use std::path::{Path, PathBuf};

use dsconv_kernels::CODE_GENERATION;

/// Golden files of this crate and of the backend for wide vectors, in one order.
fn golden_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = ["tests/golden", "wide/tests/golden"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).expect("the folder is there"))
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "txt"))
        .collect();
    files.sort();
    files
}

/// FNV-1a of all golden files, whatever their line ends.
fn fingerprint() -> u64 {
    let files = golden_files();
    assert!(files.len() > 4, "{files:?}");
    let bytes = files.iter().flat_map(|path| fs::read(path).expect("a golden file"));
    bytes.filter(|byte| *byte != b'\r').fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn golden_files_change_with_the_version_of_generated_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version.txt");
    let actual =
        format!("code generation {CODE_GENERATION}, golden files {:016x}\n", fingerprint());
    let reviewed = fs::read_to_string(&path).unwrap_or_default().replace('\r', "");
    if actual == reviewed {
        return;
    }
    let same_version = reviewed.starts_with(&format!("code generation {CODE_GENERATION},"));
    assert!(
        !same_version,
        "generated code changed: raise CODE_GENERATION, so that records of before are told from \
         those of now, then run with DSCONV_BLESS=1"
    );
    assert!(std::env::var_os("DSCONV_BLESS").is_some(), "DSCONV_BLESS=1 writes {actual}");
    fs::write(&path, actual).expect("golden files can be written");
}
