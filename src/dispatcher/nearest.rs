//! Similar workloads: how far apart two are, and how one's schedule is made to fit the other.

use dsconv_kernels::Workload;

/// Similar workloads whose schedules are tried.
pub(super) const MOST_CANDIDATES: usize = 8;

/// Doublings, added up over all dimensions, beyond which a schedule is worth less than the analytic
/// default: one dimension may differ by a factor of four, or two by a factor of two.
const MOST_DOUBLINGS: f64 = 2.0;

/// Makes a workload that differs only in its epilogues the nearest among equals.
const OTHER_EPILOGUE: f64 = 0.01;

/// Doublings between two workloads with the same loops; `None` where the loops differ or the
/// extents are too far apart.
pub(super) fn distance(
    wanted: &Workload,
    threads: usize,
    tuned: &Workload,
    tuned_threads: usize,
) -> Option<f64> {
    if loops(wanted) != loops(tuned) {
        return None;
    }
    let sizes = |workload: &Workload, threads: usize| {
        [
            workload.batch(),
            workload.channels(),
            workload.output_channels(),
            workload.height(),
            workload.width(),
            threads,
        ]
    };
    let doublings: f64 = std::iter::zip(sizes(wanted, threads), sizes(tuned, tuned_threads))
        .map(|(one, other)| (one as f64 / other as f64).log2().abs())
        .sum();
    let epilogue = if epilogues(wanted) == epilogues(tuned) { 0.0 } else { OTHER_EPILOGUE };
    (doublings <= MOST_DOUBLINGS).then_some(doublings + epilogue)
}

/// What decides which loops are generated, whatever their extents.
fn loops(workload: &Workload) -> impl PartialEq {
    let depthwise = workload
        .depthwise()
        .map(|stage| (stage.kernel, stage.stride, stage.dilation, stage.multiplier));
    let pointwise = workload.pointwise().map(|stage| stage.stride);
    (workload.layout(), workload.dtype(), depthwise, pointwise)
}

/// What is done to finished sums.
fn epilogues(workload: &Workload) -> impl PartialEq {
    let depthwise = workload.depthwise().map(|stage| (stage.bias, stage.activation, stage.padding));
    let pointwise =
        workload.pointwise().map(|stage| (stage.bias, stage.activation, stage.residual));
    (depthwise, pointwise)
}

#[cfg(test)]
mod tests {
    use dsconv_kernels::{Activation, Depthwise, Layout, Pointwise};

    use super::*;

    fn block(channels: usize, outputs: u32, height: usize, stage: Depthwise) -> Workload {
        Workload::builder([1, channels, height, height])
            .depthwise(stage.padding(1))
            .pointwise(Pointwise::channels(outputs))
            .build()
            .unwrap()
    }

    #[test]
    fn distance_counts_doublings_over_all_dimensions_up_to_two() {
        let wanted = block(32, 64, 28, Depthwise::kernel(3, 3));
        let to = |channels, outputs, height, threads| {
            distance(
                &wanted,
                1,
                &block(channels, outputs, height, Depthwise::kernel(3, 3)),
                threads,
            )
        };
        assert_eq!(to(32, 64, 28, 1), Some(0.0));
        assert_eq!(to(64, 64, 28, 1), Some(1.0));
        assert_eq!(to(16, 128, 28, 1), Some(2.0));
        assert_eq!(to(32, 64, 14, 1), Some(2.0)); // rows and columns
        assert_eq!(to(32, 64, 28, 2), Some(1.0));
        assert_eq!(to(64, 128, 28, 2), None);
        assert_eq!(to(32, 64, 112, 1), None);
    }

    #[test]
    fn workloads_with_other_loops_are_not_similar() {
        let plain = Depthwise::kernel(3, 3);
        let wanted = block(32, 64, 28, plain);
        for other in
            [Depthwise::kernel(5, 3), plain.stride(2), plain.dilation(2), plain.multiplier(2)]
        {
            assert_eq!(distance(&wanted, 1, &block(32, 64, 28, other), 1), None, "{other:?}");
        }
        let parts = Workload::builder([1, 32, 28, 28]).depthwise(plain.padding(1));
        let nhwc = parts.pointwise(Pointwise::channels(64)).layout(Layout::Nhwc);
        let strided = parts.pointwise(Pointwise::channels(64).stride(2));
        for other in [parts, nhwc, strided] {
            let other = other.build().unwrap();
            assert_eq!(distance(&wanted, 1, &other, 1), None, "{other}");
        }
    }

    #[test]
    fn another_epilogue_is_a_small_step() {
        let wanted = block(32, 64, 28, Depthwise::kernel(3, 3));
        let relu = block(32, 64, 28, Depthwise::kernel(3, 3).activation(Activation::Relu));
        assert_eq!(distance(&wanted, 1, &relu, 1), Some(OTHER_EPILOGUE));
    }
}
