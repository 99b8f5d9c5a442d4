//! Command lines that make no sense: exit code 2 and a message that says what would.

use crate::sandbox::Sandbox;

#[test]
fn wrong_flags_are_told_the_right_form() {
    let sandbox = Sandbox::new();
    for (line, parts) in [
        ("--shape 32x112x112", &["four numbers", "1x32x112x112"][..]),
        ("--shape 8x100", &["1x8x1x100"]),
        ("--shape 1x3xlarge", &["'large', which is not a size"]),
        ("--budget 3s", &["required", "--shape"]),
        ("--shape 1x8x8x8 --kernel 3x3x3", &["'3x3x3' is neither a number nor rows x columns"]),
        ("--shape 1x8x8x8 --stride two", &["'two' is neither"]),
        ("--shape 1x8x8x8 --padding -1", &["'-1' is none of: same, valid"]),
        ("--shape 1x8x8x8 --padding -1/0/0/0", &["only bottom and right may be negative"]),
        ("--shape 1x8x8x8 --activation swish", &["expected an activation", "silu"]),
        ("--shape 1x8x8x8 --activation clamp(1:-1)", &["clamp has minimum 1 above maximum -1"]),
        ("--shape 1x8x8x8 --layout chwn", &["nchw, nhwc"]),
        ("--shape 1x8x8x8 --budget 10", &["time unit needed", "500ms, 10s or 2m"]),
        ("--shape 1x8x8x8 --budget 0s", &["the budget is zero"]),
        ("--shape 1x8x8x8 --trials 0", &["--trials"]),
        ("--shape 1x8x8x8 --threads 0", &["--threads"]),
        ("--shape 1x8x8x8 --strategy clever", &["exhaustive", "random"]),
        ("--shape 1x8x8x8 --seed=-1", &["--seed"]),
        ("--shape 1x8x8x8 --kernel 11 --padding valid", &["kernel spans 11 rows"]),
        ("--shape 1x0x8x8", &["is 0, at least 1 is needed"]),
        ("--shape 1x8x8x8 --no-depthwise --no-pointwise", &["cannot be used with"]),
        ("--shape 1x8x8x8 --no-depthwise --kernel 5", &["cannot be used with", "--kernel"]),
        ("--shape 1x8x8x8 --no-pointwise --residual", &["cannot be used with", "--residual"]),
        (
            "--shape 1x8x8x8 --workload 'f32 nchw 1x8x8x8 pw:8'",
            &["cannot be used with", "--workload"],
        ),
        ("--workload 'f32 nchw 1x8x8x8 pw:8' --stride 2", &["cannot be used with"]),
        ("--workload 'f32 nchw 1x8x8x8'", &["neither a depthwise nor a pointwise"]),
        ("--workload 'f32 nchw 1x8x8 pw:8'", &["1x8x8"]),
        ("--workload 'f16 nchw 1x8x8x8 pw:8'", &["f16"]),
        ("frobnicate", &["unrecognized subcommand"]),
        ("explain", &["required", "--shape"]),
        ("explain --shape 1x8x8x8 --clif-only --asm-only", &["cannot be used with"]),
        ("explain --shape 1x8x8x8 --asm-only --no-asm", &["cannot be used with"]),
        ("run --input x.npy", &["required", "--output"]),
    ] {
        let ended = sandbox.autotune(line);
        ended.fails(2, parts);
        assert_eq!(ended.stdout, "", "{line}");
    }
}

#[test]
fn help_names_every_command_and_succeeds() {
    let sandbox = Sandbox::new();
    let help = sandbox.autotune("--help").stdout();
    for word in ["run", "show", "explain", "--shape", "--budget", "--cache", "--padding"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    for command in ["run", "show", "explain"] {
        sandbox.autotune(&format!("{command} --help")).stdout();
    }
    let version = sandbox.autotune("--version").stdout();
    assert_eq!(version, format!("autotune {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_arguments_print_the_help() {
    Sandbox::new().autotune("").fails(2, &["Usage: autotune", "--shape"]);
}

#[test]
fn a_workload_that_is_too_large_is_refused_with_its_size() {
    let sandbox = Sandbox::new();
    sandbox
        .autotune("--shape 1x100000x100000x1")
        .fails(2, &["these flags make no workload", "elements"]);
}
