//! Blocks on NumPy's files, against the reference.

use dsconv::{Layout, Workload, reference};
use dsconv_tuning::data::Tensors;

use crate::numpy::{npy, raw_npy, read_npy, write_npz};
use crate::sandbox::Sandbox;

/// The module that the README shows: Conv2d(3, 3, 3, padding=1, groups=3) -> ReLU -> Conv2d(3, 10, 1).
const MODULE: &str = "f32 nchw 1x3x32x32 dw:3x3,p1,bias,relu pw:10,bias";

/// Tensors of a workload, their shapes as PyTorch has them, and the reference's output.
struct Case {
    workload: Workload,
    tensors: Tensors,
    output: Vec<f32>,
}

impl Case {
    fn new(text: &str, seed: u64) -> Self {
        let workload: Workload = text.parse().expect("a workload");
        let tensors = Tensors::ordinary(&workload, seed);
        let mut output = vec![0.0; workload.output_len()];
        reference::run(
            &workload,
            &tensors.weights(),
            &tensors.input,
            tensors.residual(),
            &mut output,
        )
        .expect("the tensors fit");
        Self { workload, tensors, output }
    }

    fn in_memory(&self, [n, c, h, w]: [usize; 4]) -> Vec<usize> {
        match self.workload.layout() {
            Layout::Nchw => vec![n, c, h, w],
            Layout::Nhwc => vec![n, h, w, c],
        }
    }

    /// All arrays that the workload calls for, by their names in archives.
    fn arrays(&self) -> Vec<(&'static str, Vec<u8>)> {
        let weights = self.tensors.weights();
        let middle = self.workload.middle_channels();
        let outputs = self.workload.output_channels();
        let kernel = self.workload.depthwise().map_or([1, 1], |s| s.kernel.map(|k| k as usize));
        let depthwise = vec![middle, 1, kernel[0], kernel[1]];
        let input = self.in_memory(self.workload.input_shape());
        let mut arrays = vec![("input", npy(&input, &self.tensors.input))];
        for (name, shape, values) in [
            ("depthwise_weights", depthwise, weights.depthwise),
            ("depthwise_bias", vec![middle], weights.depthwise_bias),
            ("depthwise_slopes", vec![middle], weights.depthwise_slopes),
            ("pointwise_weights", vec![outputs, middle, 1, 1], weights.pointwise),
            ("pointwise_bias", vec![outputs], weights.pointwise_bias),
            ("pointwise_slopes", vec![outputs], weights.pointwise_slopes),
        ] {
            if !values.is_empty() {
                arrays.push((name, npy(&shape, values)));
            }
        }
        if let Some(residual) = self.tensors.residual() {
            let shape = self.in_memory(self.workload.output_shape());
            arrays.push(("residual", npy(&shape, residual)));
        }
        arrays
    }

    /// Writes each array to a file of its own; gives the flags that name them.
    fn files(&self, sandbox: &Sandbox) -> String {
        self.arrays()
            .into_iter()
            .map(|(name, bytes)| {
                std::fs::write(sandbox.path(&format!("{name}.npy")), bytes).expect("a file");
                format!("--{} {name}.npy ", name.replace('_', "-"))
            })
            .collect()
    }

    #[track_caller]
    fn assert_output(&self, sandbox: &Sandbox) {
        let (shape, values) = read_npy(&sandbox.path("y.npy"));
        assert_eq!(shape, self.in_memory(self.workload.output_shape()));
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&values), bits(&self.output), "{}", self.workload);
        std::fs::remove_file(sandbox.path("y.npy")).expect("the output");
    }
}

#[test]
fn the_module_of_the_readme_runs_from_single_files_and_from_a_state_dict() {
    let sandbox = Sandbox::new();
    let case = Case::new(MODULE, 1);
    let files = case.files(&sandbox);
    let ended = sandbox.autotune(&format!(
        "run {files} --depthwise-activation relu --activation none --output y.npy"
    ));
    for word in ["defaults taken: --stride 1 --padding 1\n", "schedule: ", "origin: ", MODULE] {
        assert!(ended.stderr.contains(word), "{word:?} in {ended:#?}");
    }
    assert_eq!(ended.stdout(), "");
    case.assert_output(&sandbox);

    // As `numpy.savez("w.npz", **module.state_dict())` writes it.
    let names = [
        ("depthwise_weights", "0.weight"),
        ("depthwise_bias", "0.bias"),
        ("pointwise_weights", "2.weight"),
        ("pointwise_bias", "2.bias"),
    ];
    let state_dict: Vec<(&str, Vec<u8>)> = case
        .arrays()
        .into_iter()
        .filter_map(|(name, bytes)| {
            names.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| (*theirs, bytes))
        })
        .collect();
    for compressed in [false, true] {
        write_npz(&sandbox.path("w.npz"), compressed, &state_dict);
        let line = "run --input input.npy --weights w.npz --activation none --output y.npy --quiet";
        let ended = sandbox.autotune(line);
        assert_eq!(ended.stderr, "");
        ended.stdout();
        case.assert_output(&sandbox);
    }
}

#[test]
fn one_archive_may_hold_everything() {
    let sandbox = Sandbox::new();
    let case = Case::new(
        "f32 nhwc 2x6x9x7 dw:3x3,s2x1,d1x2,p1/2/1/2,m2,bias,prelu pw:5,bias,residual,prelu",
        2,
    );
    write_npz(&sandbox.path("all.npz"), true, &case.arrays());
    sandbox
        .autotune(
            "run --input all.npz --layout nhwc --stride 2x1 --dilation 1x2 --padding 1x2 \
             --output y.npy",
        )
        .stdout();
    case.assert_output(&sandbox);
    let line = format!("run --input all.npz --output y.npy --workload '{}'", case.workload);
    sandbox.autotune(&line).stdout();
    case.assert_output(&sandbox);
}

#[test]
fn each_stage_runs_alone_and_on_threads() {
    let sandbox = Sandbox::new();
    for (text, flags) in [
        ("f32 nchw 1x5x8x9 dw:3x3,p1,bias,relu6", "--depthwise-activation relu6"),
        ("f32 nchw 1x5x8x9 pw:7,s2,bias,silu", "--activation silu --pointwise-stride 2"),
        ("f32 nchw 1x5x8x9 dw:3x3,p1 pw:7", "--depthwise-activation none --activation none"),
    ] {
        let case = Case::new(text, 3);
        let files = case.files(&sandbox);
        for threads in [1, 2] {
            let line = format!("run {files} {flags} --output y.npy --threads {threads}");
            sandbox.autotune(&line).stdout();
            case.assert_output(&sandbox);
        }
    }
}

#[test]
fn a_tuned_schedule_is_used_and_named() {
    let sandbox = Sandbox::new();
    let case = Case::new(MODULE, 4);
    let files = case.files(&sandbox);
    sandbox
        .autotune(&format!("--workload '{MODULE}' --trials 3 --budget 1s --cache c.toml --quiet"))
        .stdout();
    let ended =
        sandbox.autotune(&format!("run {files} --activation none --output y.npy --cache c.toml"));
    let origin = ended.stderr.lines().find(|line| line.starts_with("origin: ")).expect("an origin");
    assert!(!origin.contains("default"), "{origin}");
    ended.stdout();
    case.assert_output(&sandbox);
}

#[test]
fn files_that_do_not_fit_are_named_with_what_is_expected_and_found() {
    let sandbox = Sandbox::new();
    let case = Case::new(MODULE, 5);
    let files = case.files(&sandbox);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(sandbox.path(name), bytes).expect("a file");
    };
    write("f64.npy", &raw_npy("<f8", &[1, 3, 32, 32], &[0; 8 * 3 * 32 * 32]));
    write("flat.npy", &npy(&[3072], &[0.0; 3072]));
    write("five.npy", &npy(&[5], &[0.0; 5]));
    write("dense.npy", &npy(&[10, 3, 3, 3], &[0.0; 270]));
    write("four.npy", &npy(&[4, 1, 3, 3], &[0.0; 36]));
    write("cut.npy", &npy(&[1, 3, 32, 32], &[0.0; 3072])[..500]);
    write("text.npy", b"not an array");
    write("text.npz", b"not an archive");
    write_npz(&sandbox.path("odd.npz"), false, &[("weights", npy(&[1], &[0.0]))]);
    write_npz(
        &sandbox.path("norm.npz"),
        false,
        &[
            ("0.weight", npy(&[3, 1, 3, 3], &[0.0; 27])),
            ("1.running_mean", npy(&[3], &[0.0; 3])),
            ("2.weight", npy(&[10, 3, 1, 1], &[0.0; 30])),
        ],
    );
    let run = |line: &str| sandbox.autotune(&format!("run {files} --output y.npy {line}"));
    let only = |line: &str| sandbox.autotune(&format!("run --output y.npy {line}"));

    only("--input none.npy --weights w.npz").fails(1, &["w.npz: No such file"]);
    only("--input none.npy").fails(1, &["none.npy: No such file"]);
    only("--input f64.npy").fails(1, &["f64.npy: expected float32, found float64", "astype"]);
    only("--input flat.npy").fails(1, &["input: expected four axes [N,C,H,W], found [3072]"]);
    only("--input cut.npy").fails(1, &["cut.npy: not a .npy array"]);
    only("--input text.npy").fails(1, &["text.npy: not a .npy array"]);
    only("--input text.npz").fails(1, &["text.npz: not a .npz archive"]);
    only("--input odd.npz").fails(1, &["odd.npz", "array 'weights' is none of input"]);
    only("--input input.npy").fails(1, &["depthwise_weights: no such array"]);
    only("--input input.npy --weights norm.npz").fails(1, &["running_mean", "batch"]);
    only("--input input.npy --depthwise-weights dense.npy")
        .fails(1, &["depthwise_weights: expected [C*M,1,R,S]", "found [10,3,3,3]"]);
    only("--input input.npy --depthwise-weights four.npy")
        .fails(1, &["C = 3 input channels", "found [4,1,3,3]"]);
    only("--input input.npy --pointwise-weights dense.npy")
        .fails(1, &["pointwise_weights: expected [K,3,1,1] or [K,3], found [10,3,3,3]"]);
    only("--input input.npy --depthwise-weights depthwise_weights.npy --residual input.npy")
        .fails(1, &["pointwise_weights: no such array; residual is given without it"]);
    let other = "'f32 nchw 1x3x16x32 dw:3x3,p1,bias,relu pw:10,bias'";
    run(&format!("--workload {other}"))
        .fails(1, &["input: expected [1,3,16,32], found [1,3,32,32]"]);
    let prelu = "'f32 nchw 1x3x32x32 dw:3x3,p1,bias,prelu pw:10,bias'";
    run(&format!("--workload {prelu}")).fails(1, &["depthwise_slopes: no such array", "[3]"]);
    let unbiased = "'f32 nchw 1x3x32x32 dw:3x3,p1,relu pw:10,bias'";
    run(&format!("--workload {unbiased}")).fails(1, &["depthwise_bias: expected none"]);
    run("--residual input.npy").fails(1, &["residual: expected [1,10,32,32], found [1,3,32,32]"]);
    run("--pointwise-slopes five.npy").fails(1, &["pointwise_slopes: expected [10], found [5]"]);
    run("--padding 0 --stride 40 --kernel 3").fails(2, &["--kernel"]);
    run("--cache none.toml").fails(1, &["none.toml"]);
    only("--input input.npy --pointwise-weights pointwise_weights.npy --stride 2")
        .fails(2, &["--stride is given, but there is no depthwise stage"]);
    std::fs::create_dir(sandbox.path("folder.npy")).expect("a folder");
    sandbox
        .autotune(&format!("run {files} --output folder.npy"))
        .fails(1, &["folder.npy: not written"]);
    assert!(!sandbox.path("y.npy").exists());
}
