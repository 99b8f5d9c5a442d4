//! The depthwise and the pointwise stage of some blocks, each alone.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use dsconv::{Layout, Workload, WorkloadBuilder};

mod common;

/// Blocks with the kernels and planes that differ most.
const BLOCKS: [&str; 6] = ["mbv1_1", "mbv1_2", "mbv1_7", "mbv1_9", "effl0_5x5_s2", "effl0_5x5_14"];

fn stages(criterion: &mut Criterion) {
    let blocks = common::blocks(Layout::Nchw);
    let chosen = || blocks.iter().filter(|(name, _)| BLOCKS.contains(&name.as_str()));
    let depthwise: Vec<(String, Workload)> = chosen()
        .map(|(name, block)| {
            let alone = WorkloadBuilder { pointwise: None, ..(*block).into() };
            (name.clone(), alone.build().expect("a stage of a block is a workload"))
        })
        .collect();
    let pointwise: Vec<(String, Workload)> = chosen()
        .map(|(name, block)| {
            let [_, _, rows, cols] = block.output_shape();
            let shape = [block.batch(), block.middle_channels(), rows, cols];
            let alone = WorkloadBuilder { shape, depthwise: None, ..(*block).into() };
            (name.clone(), alone.build().expect("a stage of a block is a workload"))
        })
        .collect();
    common::bench(criterion, "depthwise", &depthwise);
    common::bench(criterion, "pointwise", &pointwise);
}

criterion_group!(benches, stages);
criterion_main!(benches);
