//! oneDNN's convolution problems: our shapes are oneDNN's.

use dsconv_kernels::{InvalidWorkload, testing};

mod benchdnn;

/// Problems in the file.
const PROBLEMS: usize = 6578;

#[test]
fn outputs_have_the_shape_that_onednn_gives() {
    let problems = benchdnn::problems();
    assert_eq!(problems.len(), PROBLEMS);
    for problem in problems {
        if let Ok(workload) = problem.parts.build() {
            assert_eq!(workload.output_extent(), problem.output, "{}", problem.line);
        }
    }
}

#[test]
fn only_tensors_that_no_i32_can_index_are_refused() {
    let refused: Vec<_> = benchdnn::problems()
        .into_iter()
        .filter_map(|problem| Some((problem.line, problem.parts.build().err()?)))
        .collect();
    let too_large = |tensor, elements| InvalidWorkload::TensorTooLarge { tensor, elements };
    assert_eq!(
        refused,
        [
            ("ic4294967311ih1oc1oh1kh1".to_owned(), too_large("input", 4_294_967_311)),
            ("ic1ih1oc4294967311oh1kh1".to_owned(), too_large("output", u128::from(u32::MAX))),
        ]
    );
}

#[test]
fn cases_are_small_and_have_a_text_form() {
    let cases = benchdnn::cases();
    assert_eq!(cases.len(), PROBLEMS - 2);
    for (line, workload) in cases {
        assert!(workload.flops() / 2 <= benchdnn::MULTIPLY_ADDS, "{line}: {workload}");
        assert_eq!(workload.to_string().parse(), Ok(workload), "{line}: {workload}");
    }
}

#[test]
fn the_reference_is_the_definition_bit_for_bit() {
    // A prime step meets all activations and both layouts.
    for (index, (line, workload)) in benchdnn::cases().into_iter().enumerate().step_by(13) {
        let tensors = testing::Tensors::ordinary(&workload, index as u64);
        let expected = testing::definition(&workload, &tensors);
        let actual = testing::reference(&workload, &tensors);
        testing::assert_same(&expected, &actual, &format!("seed {index}: {line}: {workload}"));
    }
}
