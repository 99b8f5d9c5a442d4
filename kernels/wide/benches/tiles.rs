//! Register tiles as a share of the FMA peak, and what compiling them costs.
//!
//! The peak is measured between the tiles, with a loop of multiply-adds over registers only, compiled
//! by this crate for the same instruction set. `cargo bench -p clif-wide` prints the shares first.
#![allow(unsafe_code, reason = "generated code is called")]

#[path = "../tests/support/mod.rs"]
mod support;

use clif_wide::{Context, Isa};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, Function, InstBuilder, MemFlagsData, Value, types};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::jit::{Executable, Floats};
use support::kernels::{Tile, constant, vector_type};

/// Chains of multiply-adds of the peak: enough to hide their latency.
const CHAINS: usize = 12;
const PEAK_STEPS: u64 = 4096;

/// Rows and vectors of the tiles.
fn tiles(isa: Isa) -> &'static [(usize, usize)] {
    match isa {
        Isa::Avx2 => &[(4, 3), (6, 2)],
        Isa::Avx512 => &[(8, 3), (12, 2), (24, 1)],
    }
}

fn tile(isa: Isa, (rows, vectors): (usize, usize)) -> Tile {
    Tile { lanes: isa.max_lanes(), rows, vectors, depth: 256, unroll: 4, epilogue: true }
}

/// `fn(output, steps)`: so many multiply-adds in each chain.
fn peak_function(lanes: u32) -> Function {
    support::function(2, false, |b, params| {
        let ty = vector_type(lanes);
        let body = b.create_block();
        let exit = b.create_block();
        let left = b.append_block_param(body, types::I64);
        let sums: Vec<Value> = (0..CHAINS).map(|_| b.append_block_param(body, ty)).collect();
        let flags = MemFlagsData::new().with_notrap();
        let x = b.ins().load(ty, flags, params[0], 0);
        let mut args: Vec<BlockArg> = vec![params[1].into()];
        args.extend((0..CHAINS).map(|_| BlockArg::from(constant(b, ty, 0.0))));
        b.ins().jump(body, &args);
        b.switch_to_block(body);
        let sums: Vec<Value> = sums.iter().map(|sum| b.ins().fma(x, x, *sum)).collect();
        let left = b.ins().iadd_imm_s(left, -1);
        let more = b.ins().icmp_imm_s(IntCC::NotEqual, left, 0);
        let mut again: Vec<BlockArg> = vec![left.into()];
        again.extend(sums.iter().map(|sum| BlockArg::from(*sum)));
        b.ins().brif(more, body, &again, exit, &[]);
        b.switch_to_block(exit);
        for sum in sums {
            b.ins().store(flags, sum, params[0], 0);
        }
        b.ins().return_(&[]);
    })
}

/// A kernel with its buffers.
struct Runnable {
    name: String,
    executable: Executable,
    args: [u64; 4],
    flops: f64,
    _buffers: Vec<Floats>,
}

impl Runnable {
    fn new(name: String, func: &Function, isa: Isa, flops: f64, mut buffers: Vec<Floats>) -> Self {
        let code = clif_wide::compile(func, isa, &mut Context::new()).expect("it compiles");
        let mut args = [0; 4];
        for (arg, buffer) in args.iter_mut().zip(&mut buffers) {
            *arg = buffer.address();
        }
        let executable = Executable::new(func, &code);
        Self { name, executable, args, flops, _buffers: buffers }
    }

    fn peak(isa: Isa) -> Self {
        let lanes = isa.max_lanes();
        let flops = 2.0 * f64::from(lanes) * (CHAINS as u64 * PEAK_STEPS) as f64;
        let buffers = vec![Floats::noise(lanes as usize, 1)];
        let mut peak = Self::new("peak".into(), &peak_function(lanes), isa, flops, buffers);
        peak.args[1] = PEAK_STEPS;
        peak
    }

    fn tile(isa: Isa, tile: Tile) -> Self {
        let buffers = vec![
            Floats::noise(tile.depth * tile.rows, 1),
            Floats::noise(tile.depth * tile.columns(), 2),
            Floats::noise(tile.rows * tile.columns(), 3),
            Floats::noise(tile.rows, 4),
        ];
        let name = format!("{}x{}", tile.rows, tile.vectors);
        Self::new(name, &tile.function(), isa, tile.flops(), buffers)
    }

    fn run(&self) {
        // SAFETY: the buffers have the sizes that the kernel walks over, and the caller asked
        // whether the host has the instruction set.
        black_box(unsafe { self.executable.call(black_box(self.args)) });
    }

    /// GFLOP/s of some hundred microseconds.
    fn gflops(&self) -> f64 {
        let times = (3e7 / self.flops).ceil() as usize;
        let start = Instant::now();
        for _ in 0..times {
            self.run();
        }
        self.flops * times as f64 / start.elapsed().as_nanos() as f64
    }
}

/// Prints the share of the peak of each kernel: the best of many rounds, each of which measures all.
fn print_shares(isa: Isa, peak: &Runnable, kernels: &[Runnable]) {
    let all: Vec<&Runnable> = std::iter::once(peak).chain(kernels).collect();
    let mut best = vec![0.0f64; all.len()];
    for _ in 0..60 {
        for (best, kernel) in best.iter_mut().zip(&all) {
            *best = best.max(kernel.gflops());
        }
    }
    println!("{isa}: peak {:.1} GFLOP/s", best[0]);
    for (kernel, gflops) in kernels.iter().zip(&best[1..]) {
        println!("{isa}: {} {gflops:.1} GFLOP/s, {:.1} %", kernel.name, 100.0 * gflops / best[0]);
    }
}

fn run(c: &mut Criterion) {
    for isa in support::usable_isas() {
        let peak = Runnable::peak(isa);
        let kernels: Vec<Runnable> =
            tiles(isa).iter().map(|shape| Runnable::tile(isa, tile(isa, *shape))).collect();
        print_shares(isa, &peak, &kernels);
        let mut group = c.benchmark_group(format!("run/{isa}"));
        for kernel in std::iter::once(&peak).chain(&kernels) {
            group.throughput(Throughput::Elements(kernel.flops as u64));
            group.bench_function(&kernel.name, |b| b.iter(|| kernel.run()));
        }
        group.finish();
    }
}

fn compile(c: &mut Criterion) {
    for isa in Isa::ALL {
        let mut group = c.benchmark_group(format!("compile/{isa}"));
        let mut context = Context::new();
        for shape in tiles(isa) {
            let func = tile(isa, *shape).function();
            group.bench_function(format!("{}x{}", shape.0, shape.1), |b| {
                b.iter(|| clif_wide::compile(&func, isa, &mut context).expect("it compiles"));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = run, compile
}
criterion_main!(benches);
