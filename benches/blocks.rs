//! Whole blocks of common networks, NCHW and NHWC, one thread.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use dsconv::Layout;

mod common;

fn blocks(criterion: &mut Criterion) {
    for (group, layout) in [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)] {
        common::bench(criterion, group, &common::blocks(layout));
    }
}

criterion_group!(benches, blocks);
criterion_main!(benches);
