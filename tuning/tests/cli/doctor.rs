//! What `autotune doctor` tells of a machine.

use crate::sandbox::{Ended, Sandbox};

#[test]
fn the_doctor_names_what_matters_for_measuring() {
    let text = Sandbox::new().autotune("doctor").stdout();
    for word in [
        "cpu",
        "isa",
        "caches",
        "cores",
        "quota",
        "core kinds",
        "governor",
        "smt",
        "hypervisor",
        "load",
        "speed",
        "to mend",
    ] {
        assert!(text.lines().any(|line| line.starts_with(word)), "{word} in {text}");
    }
}

#[test]
fn the_doctor_speaks_json_and_of_the_cap() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("doctor --json --threads 1024");
    let report = Ended::of(command.env("DSCONV_MAX_ISA", "sse2")).json();
    if cfg!(target_arch = "x86_64") {
        assert_eq!(report["isa"], "sse2");
        assert_eq!(report["isa_cap"], "sse2");
    }
    assert!(report["available_cores"].as_u64().is_some_and(|cores| cores >= 1), "{report}");
    assert!(report["shared"].as_f64().is_some_and(|part| (0.0..1.0).contains(&part)), "{report}");
    if cfg!(target_os = "linux") {
        let advice = report["advice"].to_string();
        assert!(advice.contains("1024 threads have"), "{advice}");
    }
}
