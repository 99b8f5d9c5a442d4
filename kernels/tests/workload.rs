//! Which workloads there are, their shapes and their text and serialised forms.

use dsconv_kernels::testing::{Limits, random_workload};
use dsconv_kernels::{
    Activation, Depthwise, Finite, InvalidWorkload, Layout, Padding, ParseWorkloadError, Pointwise,
    Workload, WorkloadBuilder,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rand::{SeedableRng, rngs::StdRng};

fn workload(seed: u64) -> Workload {
    random_workload(&mut StdRng::seed_from_u64(seed), &Limits::default())
}

fn parse(text: &str) -> Result<Workload, ParseWorkloadError> {
    text.parse()
}

fn base() -> WorkloadBuilder {
    Workload::builder([1, 3, 8, 9])
}

#[test]
fn errors_name_the_field_and_the_rule() {
    let dw = Depthwise::kernel(3, 3);
    let pw = Pointwise::channels(4);
    let crop = |bottom, right| dw_padding(Padding { bottom, right, ..Padding::default() });
    fn dw_padding(padding: Padding) -> WorkloadBuilder {
        base().depthwise(Depthwise { padding, ..Depthwise::kernel(3, 3) })
    }
    let clamp = |min: f32, max: f32| Activation::Clamp {
        min: Finite::new(min).expect("finite"),
        max: Finite::new(max).expect("finite"),
    };
    for (parts, message) in [
        (base(), "neither a depthwise nor a pointwise stage is given, a workload has at least one"),
        (Workload::builder([0, 3, 8, 9]).pointwise(pw), "batch is 0, at least 1 is needed"),
        (
            Workload::builder([1, 0, 8, 9]).pointwise(pw),
            "input channels is 0, at least 1 is needed",
        ),
        (Workload::builder([1, 3, 0, 9]).pointwise(pw), "input rows is 0, at least 1 is needed"),
        (Workload::builder([1, 3, 8, 0]).pointwise(pw), "input columns is 0, at least 1 is needed"),
        (base().depthwise(Depthwise::kernel(3, 0)), "depthwise kernel is 0, at least 1 is needed"),
        (base().depthwise(dw.stride(0)), "depthwise stride is 0, at least 1 is needed"),
        (base().depthwise(dw.dilation(0)), "depthwise dilation is 0, at least 1 is needed"),
        (base().depthwise(dw.multiplier(0)), "depthwise multiplier is 0, at least 1 is needed"),
        (base().pointwise(Pointwise::channels(0)), "pointwise channels is 0, at least 1 is needed"),
        (base().pointwise(pw.stride(0)), "pointwise stride is 0, at least 1 is needed"),
        (
            base().depthwise(dw.dilation(4)),
            "depthwise kernel spans 9 rows with its dilation, the padded input has 8",
        ),
        (
            base().depthwise(Depthwise::kernel(1, 10)),
            "depthwise kernel spans 10 columns with its dilation, the padded input has 9",
        ),
        (crop(-6, 0), "depthwise kernel spans 3 rows with its dilation, the padded input has 2"),
        (crop(-8, 0), "depthwise padding bottom of -8 leaves none of the 8 input rows"),
        (
            crop(0, i32::MIN),
            "depthwise padding right of -2147483648 leaves none of the 9 input columns",
        ),
        (
            base().depthwise(dw.activation(clamp(1.0, -0.5))),
            "depthwise clamp has minimum 1 above maximum -0.5",
        ),
        (
            base().pointwise(pw.activation(clamp(1.0, 0.0))),
            "pointwise clamp has minimum 1 above maximum 0",
        ),
        (
            Workload::builder([1, 1 << 31, 1, 1]).pointwise(pw),
            "input would have 2147483648 elements, at most 2147483647 are supported",
        ),
        (
            base().depthwise(dw.padding(50_000)),
            "padded input would have 30005100216 elements, at most 2147483647 are supported",
        ),
        (
            base().depthwise(dw.multiplier(100_000_000)),
            "middle would have 12600000000 elements, at most 2147483647 are supported",
        ),
        (
            base().pointwise(Pointwise::channels(29_826_162)),
            "output would have 2147483664 elements, at most 2147483647 are supported",
        ),
        (
            Workload::builder([1, 1 << 20, 1, 1]).pointwise(Pointwise::channels(1 << 11)),
            "pointwise weights would have 2147483648 elements, at most 2147483647 are supported",
        ),
        (
            Workload::builder([1, 1, 46_340, 46_340])
                .depthwise(Depthwise::kernel(46_340, 46_340).multiplier(2)),
            "depthwise weights would have 4294791200 elements, at most 2147483647 are supported",
        ),
    ] {
        assert_eq!(parts.build().map_err(|error| error.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn the_largest_tensor_is_what_an_i32_can_index() {
    let most = Workload::builder([1, 1, 1, i32::MAX as usize]).pointwise(Pointwise::channels(1));
    assert_eq!(most.build().map(|workload| workload.flops()), Ok(2 * i32::MAX as u64));
    // A crop leaves one row at least.
    let cropped = base().depthwise(Depthwise {
        padding: Padding { bottom: -7, right: -8, ..Padding::default() },
        ..Depthwise::kernel(1, 1)
    });
    assert_eq!(cropped.build().map(|workload| workload.output_extent()), Ok([1, 1]));
}

#[test]
fn shapes_follow_strides_dilation_padding_and_crops() {
    for (text, middle, output) in [
        ("f32 nchw 1x3x8x9 dw:3x3", [6, 7], [1, 3, 6, 7]),
        ("f32 nchw 1x3x8x9 dw:3x3,s2,p1", [4, 5], [1, 3, 4, 5]),
        ("f32 nhwc 1x3x8x9 dw:3x3,s1x2,d2x1,p1,m2", [6, 5], [1, 6, 6, 5]),
        ("f32 nchw 2x3x8x9 dw:3x2,p0/0/-1/-2 pw:4,s3x2", [5, 6], [2, 4, 2, 3]),
        ("f32 nchw 1x3x8x9 pw:4,s2x3", [8, 9], [1, 4, 4, 3]),
        ("f32 nchw 1x3x1x9 dw:1x3,p0/4/0/4", [1, 15], [1, 3, 1, 15]),
    ] {
        let workload = parse(text).expect("a workload");
        assert_eq!((workload.middle_extent(), workload.output_shape()), (middle, output), "{text}");
    }
}

#[test]
fn operations_count_what_a_pointwise_stride_reads() {
    let workload = parse("f32 nchw 2x3x9x9 dw:3x3,p1,m2 pw:5,s2").expect("a workload");
    assert_eq!(workload.flops(), 2 * 2 * 25 * (6 * 9 + 6 * 5));
}

#[test]
fn tensorflow_same_padding_has_the_extra_pixel_at_the_end() {
    let padding = |top, left, bottom, right| Padding { top, left, bottom, right };
    for (input, kernel, stride, dilation, expected) in [
        ([224, 224], [3, 3], [2, 2], [1, 1], padding(0, 0, 1, 1)),
        ([7, 8], [3, 5], [1, 1], [1, 1], padding(1, 2, 1, 2)),
        ([7, 8], [2, 4], [1, 1], [1, 1], padding(0, 1, 1, 2)),
        ([7, 8], [1, 1], [3, 3], [1, 1], padding(0, 0, 0, 0)),
        ([10, 10], [3, 3], [1, 1], [3, 2], padding(3, 2, 3, 2)),
        ([1, 5], [3, 3], [4, 4], [1, 1], padding(1, 1, 1, 1)),
    ] {
        assert_eq!(Padding::tensorflow_same(input, kernel, stride, dilation), expected);
    }
    // Arguments that make no workload give no panic.
    let largest = [u32::MAX; 2];
    Padding::tensorflow_same([usize::MAX; 2], largest, largest, largest);
    Padding::tensorflow_same([0; 2], [0; 2], [0; 2], [0; 2]);
}

#[test]
fn a_text_has_each_part_in_its_place() {
    let number = |value| Finite::new(value).expect("finite");
    let parts = Workload::builder([2, 3, 20, 21])
        .layout(Layout::Nhwc)
        .depthwise(Depthwise {
            stride: [2, 1],
            dilation: [1, 3],
            padding: Padding { top: 1, left: 2, bottom: 0, right: -1 },
            activation: Activation::Clamp { min: number(-1.0), max: number(0.5) },
            ..Depthwise::kernel(3, 5).multiplier(2)
        })
        .pointwise(Pointwise {
            stride: [1, 2],
            residual: true,
            activation: Activation::LeakyRelu { slope: number(0.01) },
            ..Pointwise::channels(7)
        });
    assert_eq!(
        parts.build().expect("a workload").to_string(),
        "f32 nhwc 2x3x20x21 dw:3x5,s2x1,d1x3,p1/2/0/-1,m2,bias,clamp(-1:0.5) \
         pw:7,s1x2,bias,residual,leaky_relu(0.01)"
    );
}

#[test]
fn errors_of_texts_say_which_token_why_and_what_would_be_right() {
    let long = "x".repeat(1 << 20);
    for (text, parts) in [
        ("", ["``", "expected the element type `f32`"]),
        ("f32", ["the end of `f32`", "layout `nchw` or `nhwc`"]),
        ("f64 nchw 1x1x1x1 pw:1", ["`f64`", "`f32`"]),
        ("f32 chwn 1x1x1x1 pw:1", ["`chwn`", "`nchw` or `nhwc`"]),
        ("f32 nchw 1x1x1 pw:1", ["`1x1x1`", "NxCxHxW"]),
        ("f32 nchw 1x1x1x1x1 pw:1", ["`1x1x1x1x1`", "NxCxHxW"]),
        ("f32 nchw 1x1x1x99999999999999999999 pw:1", ["99999999999999999999`", "NxCxHxW"]),
        ("f32 nchw 1x1x1x1", ["at least one", "neither"]),
        ("f32 nchw 1x1x1x1 pw:1 dw:1x1", ["`dw:1x1`", "expected the end"]),
        ("f32 nchw 1x1x1x1 dw:1x1 dw:1x1", ["`dw:1x1`", "a pointwise stage"]),
        ("f32 nchw 1x1x1x1  pw:1", ["``", "a stage, such as"]),
        ("f32 nchw 1x1x1x1 pw:1 ", ["``", "expected the end"]),
        ("f32 nchw 1x1x1x1 dw:3", ["`3`", "kernel RxS"]),
        ("f32 nchw 1x1x9x9 dw:3x3,p1,s2", ["`s2`", "in the order `RxS,s2,d2,p1,m2,bias,relu6`"]),
        ("f32 nchw 1x1x9x9 dw:3x3,residual", ["`residual`", "depthwise stage"]),
        ("f32 nchw 1x1x9x9 pw:3,m2", ["`m2`", "pointwise stage"]),
        ("f32 nchw 1x1x9x9 pw:-3", ["`-3`", "output channels"]),
        ("f32 nchw 1x1x9x9 dw:3x3,s2x2", ["`dw:3x3,s2x2`", "write `dw:3x3,s2`"]),
        ("f32 nchw 1x1x9x9 dw:3x3,s1", ["`dw:3x3,s1`", "write `dw:3x3`"]),
        ("f32 nchw 1x1x9x9 dw:3x3,p1/1/1/1", ["`dw:3x3,p1/1/1/1`", "write `dw:3x3,p1`"]),
        ("f32 nchw 1x1x9x9 dw:3x3,none", ["`dw:3x3,none`", "write `dw:3x3`"]),
        ("f32 nchw 01x1x9x9 dw:3x3", ["`01x1x9x9`", "write `1x1x9x9`"]),
        ("f32 nchw +1x1x9x9 dw:3x3", ["`+1x1x9x9`", "write `1x1x9x9`"]),
        ("f32 nchw 1x1x1x1 dw:3x3", ["spans 3 rows", "has 1"]),
        (long.as_str(), ["1048576 bytes", "at most 1024"]),
    ] {
        let message = parse(text).expect_err(text).to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
        assert!(message.len() < 500, "{message}");
    }
    let error = parse("f32 nchw 1x1x1x1 dw:3x3").expect_err("the kernel is too large");
    let source = std::error::Error::source(&error).expect("the rule");
    assert!(source.is::<InvalidWorkload>());
}

#[test]
fn the_parts_that_property_tests_try_are_workloads_often_enough() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = any_parts();
    let built = (0..4000)
        .filter(|_| {
            let parts = strategy.new_tree(&mut runner).expect("no filter is that strict").current();
            parts.build().is_ok()
        })
        .count();
    assert!(built > 100, "{built} of 4000");
}

/// Mostly a small number, now and then any, often one at the end of its type.
fn extreme<T: Arbitrary + Clone + From<u8> + 'static>(edges: Vec<T>) -> impl Strategy<Value = T> {
    prop_oneof![
        24 => (1_u8..=4).prop_map(T::from),
        2 => proptest::sample::select(edges),
        1 => any::<T>(),
    ]
}

fn any_u32() -> impl Strategy<Value = u32> {
    extreme(vec![0, 7, 0xffff, 1 << 16, i32::MAX as u32, 1 << 31, u32::MAX])
}

fn any_i32() -> impl Strategy<Value = i32> {
    extreme(vec![0, -1, -7, i32::MIN, i32::MIN + 1, i32::MAX])
}

fn any_activation() -> impl Strategy<Value = Activation> {
    let number = || any::<f32>().prop_filter_map("finite", Finite::new);
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Prelu),
        Just(Activation::GeluTanh),
        (number(), number()).prop_map(|(min, max)| Activation::Clamp { min, max }),
        number().prop_map(|slope| Activation::LeakyRelu { slope }),
    ]
}

prop_compose! {
    fn any_depthwise()(
        kernel in [any_u32(), any_u32()],
        stride in [any_u32(), any_u32()],
        dilation in [any_u32(), any_u32()],
        before in [any_u32(), any_u32()],
        after in [any_i32(), any_i32()],
        multiplier in any_u32(),
        bias: bool,
        activation in any_activation(),
    ) -> Depthwise {
        let padding =
            Padding { top: before[0], left: before[1], bottom: after[0], right: after[1] };
        Depthwise { kernel, stride, dilation, padding, multiplier, bias, activation }
    }
}

prop_compose! {
    fn any_pointwise()(
        channels in any_u32(),
        stride in [any_u32(), any_u32()],
        bias: bool,
        residual: bool,
        activation in any_activation(),
    ) -> Pointwise {
        Pointwise { channels, stride, bias, residual, activation }
    }
}

prop_compose! {
    /// Any parts at all; few of them are a workload.
    fn any_parts()(
        shape in prop::array::uniform4(extreme(vec![
            0, 9, 100, 1 << 16, i32::MAX as usize, 1 << 31, u32::MAX as usize, usize::MAX,
        ])),
        nhwc: bool,
        depthwise in proptest::option::of(any_depthwise()),
        pointwise in proptest::option::of(any_pointwise()),
    ) -> WorkloadBuilder {
        let layout = if nhwc { Layout::Nhwc } else { Layout::Nchw };
        WorkloadBuilder { depthwise, pointwise, ..Workload::builder(shape).layout(layout) }
    }
}

fn read_back(workload: Workload) {
    assert_eq!(parse(&workload.to_string()), Ok(workload));
    let json = serde_json::to_string(&workload).expect("workloads serialise");
    assert_eq!(serde_json::from_str::<Workload>(&json).ok(), Some(workload), "{json}");
    let toml = toml::to_string(&workload).expect("workloads serialise");
    assert_eq!(toml::from_str::<Workload>(&toml).ok(), Some(workload), "{toml}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_parts_make_build_panic_and_what_it_returns_is_bounded(parts in any_parts()) {
        match parts.build() {
            Ok(workload) => {
                for len in [
                    workload.input_len(),
                    workload.output_len(),
                    workload.depthwise_len(),
                    workload.pointwise_len(),
                    workload.padded_extent().into_iter().product(),
                    workload.middle_extent().into_iter().product(),
                ] {
                    prop_assert!(i32::try_from(len).is_ok(), "{workload}");
                }
                prop_assert!(workload.flops() > 0);
                read_back(workload);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        if let Some(stage) = parts.depthwise {
            stage.taps();
        }
    }

    #[test]
    fn random_workloads_read_back_from_text_json_and_toml(seed: u64) {
        read_back(workload(seed));
    }

    #[test]
    fn garbage_is_an_error_and_no_panic(text in "\\PC{0,80}", prefix in "(f32 nchw 1x2x9x9 (dw:|pw:)?)?") {
        let _ = parse(&text);
        let _ = text.parse::<Activation>();
        let _ = parse(&format!("{prefix}{text}"));
    }

    #[test]
    fn a_changed_text_is_an_error_or_prints_as_it_was_read(
        seed: u64,
        at: prop::sample::Index,
        inserted in "[-+0-9x,:/. (a-z]{0,2}",
        removed in 0_usize..3,
    ) {
        let mut text = workload(seed).to_string();
        let start = at.index(text.len());
        text.replace_range(start..(start + removed).min(text.len()), &inserted);
        if let Ok(workload) = parse(&text) {
            prop_assert_eq!(workload.to_string(), text);
        }
    }
}

#[test]
fn serialised_parts_are_checked() {
    let zero = r#"{"shape":[1,0,1,1],"pointwise":{"channels":1,"stride":[1,1],"bias":true,"residual":false,"activation":"none"}}"#;
    let error = serde_json::from_str::<Workload>(zero).expect_err("no channels");
    assert!(error.to_string().contains("input channels is 0"), "{error}");
    let unknown = r#"{"shape":[1,1,1,1],"groups":2}"#;
    let error = serde_json::from_str::<Workload>(unknown).expect_err("no such field");
    assert!(error.to_string().contains("groups"), "{error}");
}

#[test]
fn random_workloads_have_every_feature() {
    let workloads: Vec<Workload> = (0..3000).map(workload).collect();
    type Feature = fn(&Workload) -> bool;
    let features: [(&str, Feature); 13] = [
        ("nhwc", |w| w.layout() == Layout::Nhwc),
        ("batch", |w| w.batch() == 3),
        ("depthwise alone", |w| w.pointwise().is_none()),
        ("pointwise alone", |w| w.depthwise().is_none()),
        ("both", |w| w.depthwise().is_some() && w.pointwise().is_some()),
        ("crop", |w| w.depthwise().is_some_and(|s| s.padding.bottom < 0 && s.padding.right < 0)),
        ("wide padding", |w| w.depthwise().is_some_and(|s| s.padding.top >= s.kernel[0])),
        ("unequal strides", |w| w.depthwise().is_some_and(|s| s.stride[0] != s.stride[1])),
        ("dilation", |w| w.depthwise().is_some_and(|s| s.dilation == [3, 2])),
        ("multiplier", |w| w.depthwise().is_some_and(|s| s.multiplier == 3)),
        ("strided pointwise", |w| w.pointwise().is_some_and(|s| s.stride == [2, 2])),
        ("residual", |w| w.pointwise().is_some_and(|s| s.residual)),
        ("one channel", |w| w.channels() == 1),
    ];
    for (name, feature) in features {
        assert!(workloads.iter().filter(|workload| feature(workload)).count() > 5, "{name}");
    }
    for activation in ["relu", "clamp(", "leaky_relu(", "prelu", "hard_swish", "silu", "gelu_tanh"]
    {
        for stage in ["dw:", "pw:"] {
            let has = |workload: &&Workload| {
                let text = workload.to_string();
                text.split(' ').any(|part| part.starts_with(stage) && part.contains(activation))
            };
            assert!(workloads.iter().filter(has).count() > 5, "{stage} {activation}");
        }
    }
}
