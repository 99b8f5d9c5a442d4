//! Activations against their definitions in double precision.

use dsconv_kernels::{Activation, Finite, Scalar};

fn number(value: f32) -> Finite {
    Finite::new(value).expect("a finite number")
}

fn apply(activation: Activation, x: f32) -> f32 {
    activation.apply(&mut Scalar, x, activation.has_slopes().then_some(PRELU_SLOPE))
}

const PRELU_SLOPE: f32 = -1.75;

/// Every activation, with its definition and its error, of which `apply` documents the bounds.
struct Case {
    activation: Activation,
    definition: fn(f64) -> f64,
    /// In units of the value's last place.
    ulps: f64,
    /// Allowed in addition.
    absolute: f64,
}

fn cases() -> Vec<Case> {
    let case =
        |activation, definition, ulps, absolute| Case { activation, definition, ulps, absolute };
    vec![
        case(Activation::None, |x| x, 0.0, 0.0),
        case(Activation::Relu, |x| x.max(0.0), 0.0, 0.0),
        case(Activation::Relu6, |x| x.clamp(0.0, 6.0), 0.0, 0.0),
        case(
            Activation::Clamp { min: number(-1.5), max: number(0.25) },
            |x| x.clamp(-1.5, 0.25),
            0.0,
            0.0,
        ),
        case(
            Activation::LeakyRelu { slope: number(3.25) },
            |x| if x > 0.0 { x } else { 3.25 * x },
            0.5,
            SUBNORMAL,
        ),
        case(
            Activation::Prelu,
            |x| if x > 0.0 { x } else { f64::from(PRELU_SLOPE) * x },
            0.5,
            SUBNORMAL,
        ),
        case(Activation::HardSwish, |x| x * hard_sigmoid(x), 3.0, SUBNORMAL),
        case(Activation::HardSigmoid, hard_sigmoid, 3.0, 0.0),
        case(Activation::Silu, |x| x * sigmoid(x), 3.0, 2e-36),
        case(Activation::Sigmoid, sigmoid, 3.0, 2e-38),
        case(
            Activation::GeluTanh,
            |x| x * sigmoid((8.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)),
            3.0,
            1e-7,
        ),
    ]
}

/// Distance of subnormal numbers.
const SUBNORMAL: f64 = 1.5e-45;

fn hard_sigmoid(x: f64) -> f64 {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Every 1031st finite number, and all around the points where formulas change.
fn sweep() -> impl Iterator<Item = f32> {
    let near = [-10.0_f32, -3.0, -1.5, -0.0, 0.0, 0.25, 3.0, 6.0, 87.0, -87.0, 88.0, -88.0, 89.0]
        .into_iter()
        .flat_map(|x| {
            (0..2000)
                .map(move |step| f32::from_bits(x.to_bits().wrapping_add(step).wrapping_sub(1000)))
        });
    (0..=u32::MAX).step_by(1031).map(f32::from_bits).chain(near).filter(|x| x.is_finite())
}

/// Distance from the exact value to the next number.
fn ulp(exact: f64) -> f64 {
    let rounded = (exact.abs() as f32).min(f32::MAX);
    f64::from(rounded.max(f32::MIN_POSITIVE))
        - f64::from(rounded.max(f32::MIN_POSITIVE).next_down())
}

#[test]
fn errors_stay_within_the_documented_bounds() {
    for Case { activation, definition, ulps, absolute } in cases() {
        for x in sweep() {
            let exact = definition(x.into());
            if exact.abs() > f32::MAX.into() {
                continue;
            }
            let found = apply(activation, x);
            let error = (f64::from(found) - exact).abs();
            assert!(
                error <= ulps * ulp(exact) + absolute,
                "{activation} of {x:?} ({:#010x}): {found:?} instead of {exact:?}",
                x.to_bits()
            );
        }
    }
}

#[test]
fn nan_comes_out_again_whatever_its_payload() {
    for Case { activation, .. } in cases() {
        for low in 0..=0x3ff {
            for bits in
                [0x7fc0_0000 | low, 0xffc0_0000 | low, 0x7f80_0000 | low.max(1), 0x7fff_ffff - low]
            {
                let found = apply(activation, f32::from_bits(bits));
                assert!(found.is_nan(), "{activation} of {bits:#010x}: {found:?}");
            }
        }
    }
}

#[test]
fn edges_have_the_values_of_the_limits() {
    let (inf, tiny) = (f32::INFINITY, f32::from_bits(1));
    let clamp = Activation::Clamp { min: number(-1.0), max: number(2.0) };
    let leaky = Activation::LeakyRelu { slope: number(0.5) };
    // Values at -inf, at the smallest negative number, at zero, at the smallest number and at inf.
    let rows = [
        (Activation::None, [-inf, -tiny, 0.0, tiny, inf]),
        (Activation::Relu, [0.0, 0.0, 0.0, tiny, inf]),
        (Activation::Relu6, [0.0, 0.0, 0.0, tiny, 6.0]),
        (clamp, [-1.0, -tiny, 0.0, tiny, 2.0]),
        (leaky, [-inf, -0.0, 0.0, tiny, inf]),
        (Activation::HardSigmoid, [0.0, 0.5, 0.5, 0.5, 1.0]),
        (Activation::HardSwish, [0.0, -0.0, 0.0, 0.0, inf]),
        (Activation::Sigmoid, [0.0, 0.5, 0.5, 0.5, 1.0]),
        (Activation::Silu, [0.0, -0.0, 0.0, 0.0, inf]),
        (Activation::GeluTanh, [0.0, -0.0, 0.0, 0.0, inf]),
    ];
    for (activation, expected) in rows {
        for (x, expected) in [-inf, -tiny, 0.0, tiny, inf].into_iter().zip(expected) {
            let found = apply(activation, x);
            // The limits at -inf are met within 2e-36.
            assert!(
                found == expected || (found - expected).abs() <= 2e-36,
                "{activation} of {x:?}: {found:?} instead of {expected:?}"
            );
        }
    }
}

#[test]
fn results_of_normal_arguments_are_never_subnormal_by_the_exponential() {
    // A subnormal number may be flushed to zero by a caller's floating-point mode, or be slow.
    for x in [-1e30, -1000.0, -104.0, -100.0, -88.8, -88.0, -87.5, -87.0, 87.0, 88.0, 89.0, 1e30] {
        for activation in [Activation::Sigmoid, Activation::Silu, Activation::GeluTanh] {
            let found = apply(activation, x);
            assert!(found.is_normal(), "{activation} of {x}: {found:?}");
        }
    }
}

#[test]
fn every_activation_has_a_text_that_reads_back() {
    for (activation, text) in [
        (Activation::Clamp { min: number(-1.0), max: number(1.0) }, "clamp(-1:1)"),
        (Activation::LeakyRelu { slope: number(0.01) }, "leaky_relu(0.01)"),
        (Activation::HardSwish, "hard_swish"),
        (Activation::None, "none"),
    ] {
        assert_eq!(activation.to_string(), text);
    }
    for Case { activation, .. } in cases() {
        assert_eq!(activation.to_string().parse(), Ok(activation));
    }
    for text in [
        "",
        "Relu",
        "relu ",
        "clamp",
        "clamp()",
        "clamp(1)",
        "clamp(a:b)",
        "clamp(0:inf)",
        "clamp(0.0:1)",
        "leaky_relu(nan)",
        "leaky_relu(-0)",
        "leaky_relu(1e-2)",
        "leaky_relu(+1)",
    ] {
        assert!(text.parse::<Activation>().is_err(), "{text}");
    }
}

#[test]
fn a_finite_number_is_compared_by_value() {
    assert_eq!(number(-0.0), number(0.0));
    assert_eq!(number(-0.0).get().to_bits(), 0);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(Finite::new(value), None);
        assert!(Finite::try_from(value).unwrap_err().contains("not a finite number"));
    }
}
