//! This project as a contestant of `benches/peers`, and the machine it runs on.
//!
//! ```text
//! dsconv-bench-peers                       reads requests, answers each with a line
//! dsconv-bench-peers peak THREADS          the FMA peak in GFLOP/s
//! dsconv-bench-peers cpu                   the name of this CPU model in file names
//! ```
//!
//! `contestants/protocol.py` describes requests and answers. Schedules come from the user's cache,
//! as in any program that links `dsconv`.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dsconv::cpu::CpuModel;
use dsconv::{BlockError, Dispatcher, SeparableBlock, Weights, Workload};
use dsconv_tuning::peak;

/// Time that a sample lasts at least; shorter blocks run several times per sample.
const SAMPLE: Duration = Duration::from_micros(50);
/// Samples of a turn at least, however long they take.
const LEAST_SAMPLES: usize = 3;

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => serve(),
        ["peak", threads] => print_peak(threads),
        ["cpu"] => {
            println!("{}", CpuModel::host().file_stem());
            Ok(())
        }
        _ => Err("usage: dsconv-bench-peers [peak THREADS | cpu]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_peak(threads: &str) -> Result<(), Failure> {
    println!("{:.3}", peak::fma_peak_gflops(threads.parse()?));
    Ok(())
}

/// Answers requests until there are no more.
fn serve() -> Result<(), Failure> {
    answer(&format!("hello {}", env!("CARGO_PKG_VERSION")))?;
    let mut prepared = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (request, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answered = match (request, &mut prepared) {
            ("prepare", _) => Prepared::new(rest).map(|block| {
                let ready = format!("ready {}", block.block.origin());
                prepared = Some(block);
                ready
            }),
            ("time", Some(block)) => block.time(rest),
            ("time", None) => Err("nothing is prepared".into()),
            _ => Err(format!("unknown request `{request}`").into()),
        };
        answer(&answered.unwrap_or_else(|error| format!("failed {error}")))?;
    }
    Ok(())
}

fn answer(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A block with its tensors, ready to run on its threads.
struct Prepared {
    block: SeparableBlock,
    pool: Option<rayon::ThreadPool>,
    input: Tensor,
    residual: Option<Tensor>,
    output: Tensor,
}

/// Floats that start with a cache line, as the tensors of every contestant do.
struct Tensor {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl Tensor {
    const CACHE_LINE: usize = 64;

    fn zeros(len: usize) -> Self {
        let memory = vec![0.0; len + Self::CACHE_LINE / size_of::<f32>()];
        let start = memory.as_ptr().align_offset(Self::CACHE_LINE);
        Self { memory, start, len }
    }

    fn of(values: &[f32]) -> Self {
        let mut tensor = Self::zeros(values.len());
        tensor.as_mut_slice().copy_from_slice(values);
        tensor
    }

    fn as_slice(&self) -> &[f32] {
        &self.memory[self.start..][..self.len]
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.len]
    }
}

impl Prepared {
    /// Prepares `THREADS WORKLOAD` with the tensors in the current folder, and writes the output of
    /// a first run there.
    fn new(request: &str) -> Result<Self, Failure> {
        let (threads, workload) = request.split_once(' ').ok_or("expected THREADS WORKLOAD")?;
        let threads: usize = threads.parse()?;
        let workload: Workload = workload.parse()?;
        let [depthwise, depthwise_bias, depthwise_slopes] =
            ["depthwise", "depthwise_bias", "depthwise_slopes"].map(read);
        let [pointwise, pointwise_bias, pointwise_slopes] =
            ["pointwise", "pointwise_bias", "pointwise_slopes"].map(read);
        let weights = Weights {
            depthwise: &depthwise?,
            depthwise_bias: &depthwise_bias?,
            depthwise_slopes: &depthwise_slopes?,
            pointwise: &pointwise?,
            pointwise_bias: &pointwise_bias?,
            pointwise_slopes: &pointwise_slopes?,
        };
        let dispatcher = Dispatcher::builder().threads(threads).build()?;
        let block = dispatcher.prepare(&workload, &weights)?;
        let pool = if threads > 1 {
            Some(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
        } else {
            None
        };
        let residual = read("residual")?;
        let mut prepared = Self {
            block,
            pool,
            input: Tensor::of(&read("input")?),
            residual: (!residual.is_empty()).then(|| Tensor::of(&residual)),
            output: Tensor::zeros(workload.output_len()),
        };
        prepared.run()?;
        write("output", prepared.output.as_slice())?;
        Ok(prepared)
    }

    fn run(&mut self) -> Result<(), BlockError> {
        let Self { block, pool, input, residual, output } = self;
        let (input, output) = (input.as_slice(), output.as_mut_slice());
        let residual = residual.as_ref().map(Tensor::as_slice);
        match (pool, residual) {
            (Some(pool), residual) => block.run_parallel(pool, input, residual, output),
            (None, Some(residual)) => block.run_with_residual(input, residual, output),
            (None, None) => block.run(input, output),
        }
    }

    /// Samples for so many milliseconds, in microseconds per run.
    fn time(&mut self, milliseconds: &str) -> Result<String, Failure> {
        let budget = Duration::from_millis(milliseconds.parse()?);
        self.sample(1)?;
        let once = self.sample(1)?;
        let repeats = (SAMPLE.as_nanos() / once.as_nanos().max(1) + 1).try_into()?;
        let start = Instant::now();
        let mut line = String::from("times");
        let mut samples = 0;
        while samples < LEAST_SAMPLES || start.elapsed() < budget {
            let microseconds = self.sample(repeats)?.as_secs_f64() * 1e6 / f64::from(repeats);
            line.push_str(&format!(" {microseconds:.4}"));
            samples += 1;
        }
        Ok(line)
    }

    fn sample(&mut self, repeats: u32) -> Result<Duration, BlockError> {
        let start = Instant::now();
        for _ in 0..repeats {
            self.run()?;
        }
        Ok(start.elapsed())
    }
}

/// A tensor of the current folder, raw little-endian floats; empty where there is none.
fn read(tensor: &str) -> io::Result<Vec<f32>> {
    let bytes = match std::fs::read(format!("{tensor}.f32")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let (floats, _) = bytes.as_chunks();
    Ok(floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
}

fn write(tensor: &str, values: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(format!("{tensor}.f32"), bytes)
}
