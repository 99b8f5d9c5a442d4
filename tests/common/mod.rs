//! Records and databases for tests, random ones from a proptest strategy.

#![allow(dead_code, reason = "each test file uses its own part")]

use dsconv::cpu::{CoreKind, CpuModel};
use dsconv::{
    Activation, Database, Depthwise, DepthwiseTile, Family, Fusion, Isa, Layer, Layout, LoopOrder,
    Measurement, Objective, Packing, Pointwise, PointwiseTile, Provenance, Record, RunnerUp,
    Schedule, Source, Split, Tail, Taps, Window, Workload,
};
use proptest::prelude::*;

/// A CPU that is not the host.
pub(crate) fn cpu(model: u32, stepping: u32) -> CpuModel {
    CpuModel {
        vendor: "GenuineTest".to_owned(),
        family: 6,
        model,
        stepping,
        core_kind: CoreKind::Uniform,
        brand: "Test \"quoted\" \\ CPU".to_owned(),
        features: vec!["avx2".to_owned(), "fma".to_owned()],
        l1_bytes: 32 << 10,
        l2_bytes: 1 << 20,
        l3_bytes: 0,
    }
}

/// The home of a current record in a database that the program gave.
pub(crate) fn given(cpu: &CpuModel) -> Source {
    Source {
        layer: Layer::Given,
        path: None,
        cpu: cpu.file_stem(),
        code_generation: dsconv::CODE_GENERATION,
    }
}

/// A separable block of `height` x `height` pixels.
pub(crate) fn workload(channels: usize, outputs: u32, height: usize) -> Workload {
    Workload::builder([1, channels, height, height])
        .depthwise(Depthwise::kernel(3, 3).padding(1).activation(Activation::Relu6))
        .pointwise(Pointwise::channels(outputs))
        .build()
        .expect("the shape is valid")
}

/// A legal schedule of [`workload`] on any target with 16 vector registers of 4 lanes.
pub(crate) fn schedule() -> Schedule {
    Schedule {
        family: Family::Pixels,
        fusion: Fusion::Fused,
        split: Split::Rows,
        tile_rows: 2,
        tile_cols: None,
        depthwise: Some(DepthwiseTile {
            lanes: 4,
            rows: 1,
            vectors: 1,
            taps: Taps::Memory,
            tail: Tail::Narrow,
            window: Window::Copied,
        }),
        pointwise: Some(PointwiseTile {
            lanes: 4,
            broadcasts: 2,
            vectors: 2,
            unroll: 1,
            tail: Tail::Narrow,
            packing: Packing::Panels,
            order: LoopOrder::ChannelsOuter,
        }),
    }
}

/// A record of [`schedule`] for one thread.
pub(crate) fn record(workload: Workload, isa: Isa, median_us: f64) -> Record {
    Record {
        workload,
        isa,
        threads: 1,
        objective: Objective::Warm,
        schedule: schedule(),
        measurement: Measurement { median_us, min_us: 1.25, spread_us: 0.125, samples: 30 },
        runner_up: Some(RunnerUp { schedule: schedule(), median_us: median_us + 1.0 }),
        provenance: Provenance {
            version: "0.1.0".to_owned(),
            code_generation: dsconv::CODE_GENERATION,
            strategy: "random".to_owned(),
            trials: 512,
            seed: 7,
            date: "2026-01-02T03:04:05Z".to_owned(),
            default_us: 99.5,
            contended: false,
        },
    }
}

/// A database with these records.
pub(crate) fn database(cpu: CpuModel, records: impl IntoIterator<Item = Record>) -> Database {
    let mut database = Database::new(cpu);
    for record in records {
        database.insert(record);
    }
    database
}

fn any_workload() -> impl Strategy<Value = Workload> {
    let shape = (1..3usize, 1..600usize, 1..300usize, 1..300usize);
    let depthwise = proptest::option::of((
        1..6u32,
        1..6u32,
        1..4u32,
        0..3u32,
        1..3u32,
        any::<bool>(),
        prop_oneof![
            Just(Activation::None),
            Just(Activation::Relu6),
            Just(Activation::Prelu),
            Just(Activation::GeluTanh)
        ],
    ));
    let pointwise = proptest::option::of((1..600u32, any::<bool>(), any::<bool>()));
    (shape, any::<bool>(), depthwise, pointwise).prop_filter_map(
        "not a valid shape",
        |((n, c, h, w), nhwc, depthwise, pointwise)| {
            let layout = if nhwc { Layout::Nhwc } else { Layout::Nchw };
            let mut builder = Workload::builder([n, c, h, w]).layout(layout);
            if let Some((rows, cols, stride, padding, multiplier, bias, activation)) = depthwise {
                builder = builder.depthwise(
                    Depthwise::kernel(rows, cols)
                        .stride(stride)
                        .padding(padding)
                        .multiplier(multiplier)
                        .bias(bias)
                        .activation(activation),
                );
            }
            if let Some((channels, bias, residual)) = pointwise {
                builder =
                    builder.pointwise(Pointwise::channels(channels).bias(bias).residual(residual));
            }
            builder.build().ok()
        },
    )
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let depthwise = proptest::option::of((any::<u8>(), any::<u8>(), any::<u8>()));
    let pointwise = proptest::option::of((any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>()));
    let tile = (any::<u16>(), proptest::option::of(any::<u16>()));
    (tile, any::<bool>(), depthwise, pointwise).prop_map(
        |((tile_rows, tile_cols), fused, depthwise, pointwise)| Schedule {
            family: if fused { Family::Nhwc } else { Family::ChannelsBlocked },
            fusion: if fused { Fusion::Fused } else { Fusion::Staged },
            split: if fused { Split::Rows } else { Split::Channels },
            tile_rows,
            tile_cols,
            depthwise: depthwise.map(|(lanes, rows, vectors)| DepthwiseTile {
                lanes,
                rows,
                vectors,
                taps: Taps::Registers,
                tail: Tail::Overrun,
                window: Window::Direct,
            }),
            pointwise: pointwise.map(|(lanes, broadcasts, vectors, unroll)| PointwiseTile {
                lanes,
                broadcasts,
                vectors,
                unroll,
                tail: Tail::Overlap,
                packing: Packing::RowMajor,
                order: LoopOrder::PixelsOuter,
            }),
        },
    )
}

/// Microseconds with the three decimals that a file keeps.
fn any_us() -> impl Strategy<Value = f64> {
    (0..1u64 << 40).prop_map(|nanoseconds| nanoseconds as f64 / 1e3)
}

/// Any record that a tuner could hand over, and many that it would not.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let key = (
        any_workload(),
        prop_oneof![Just(Isa::Sse2), Just(Isa::Neon), Just(Isa::Fma)],
        1..200usize,
        prop_oneof![Just(Objective::Warm), Just(Objective::Cold)],
    );
    let measurement = (any_us(), any_us(), any_us(), any::<u32>());
    let runner_up = proptest::option::of((any_schedule(), any_us()));
    let provenance =
        ("(?s).{0,12}", any::<u32>(), ".{0,12}", any::<u64>(), any::<u64>(), ".{0,12}", any_us());
    (key, any_schedule(), measurement, runner_up, provenance).prop_map(
        |(key, schedule, measurement, runner_up, provenance)| {
            let (workload, isa, threads, objective) = key;
            let (median_us, min_us, spread_us, samples) = measurement;
            let (version, code_generation, strategy, trials, seed, date, default_us) = provenance;
            Record {
                workload,
                isa,
                threads,
                objective,
                schedule,
                measurement: Measurement { median_us, min_us, spread_us, samples },
                runner_up: runner_up.map(|(schedule, median_us)| RunnerUp { schedule, median_us }),
                provenance: Provenance {
                    version,
                    code_generation,
                    strategy,
                    trials,
                    seed,
                    date,
                    default_us,
                    contended: seed % 2 == 1,
                },
            }
        },
    )
}
