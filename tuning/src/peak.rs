//! The FMA peak of this machine, measured: what a kernel's GFLOP/s are a percentage of.
//!
//! Measured, because a data sheet knows neither the clock frequency under wide vectors nor the
//! neighbours of a virtual machine. It is the peak of the widest vectors the CPU has, whatever
//! vectors a target uses: 4-lane code on a CPU with AVX-512 cannot reach more than a quarter.

use std::collections::HashMap;
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dsconv_kernels::peak::multiply_adds;

/// Steps of a sample: some 100 us, so that the clock's cost vanishes and a timer tick of the
/// operating system falls into few samples.
const STEPS: u64 = 50_000;
/// Samples at most, and time after which no more are taken. Some 50 ms are enough for a core to
/// leave its idle frequency.
const SAMPLES: usize = 400;
const LONGEST: Duration = Duration::from_millis(200);

/// Billions of floating-point operations per second that `threads` threads reach together, each
/// at its best of up to 400 samples of independent fused multiply-adds taken while the others run too.
/// A multiply-add is two operations. Zero threads count as one, and more than the process has cores as so
/// many.
///
/// Measured at the first call, in some 50 ms, and remembered by the process per number of threads.
pub fn fma_peak_gflops(threads: usize) -> f64 {
    static MEASURED: Mutex<Option<HashMap<usize, f64>>> = Mutex::new(None);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.clamp(1, cores);
    let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    *measured.get_or_insert_default().entry(threads).or_insert_with(|| measure(threads))
}

fn measure(threads: usize) -> f64 {
    let start = Barrier::new(threads);
    let best_of_one_thread = || {
        start.wait();
        let began = Instant::now();
        let sample = |_| {
            let start = Instant::now();
            let operations = multiply_adds(STEPS);
            operations as f64 / start.elapsed().as_secs_f64() / 1e9
        };
        (0..SAMPLES).take_while(|_| began.elapsed() < LONGEST).map(sample).fold(0.0, f64::max)
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(best_of_one_thread)).collect();
        handles.into_iter().map(|handle| handle.join().expect("the loop does not panic")).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_measured_once() {
        let first = fma_peak_gflops(1);
        assert!(first.is_finite() && first > 0.0);
        assert_eq!(fma_peak_gflops(1).to_bits(), first.to_bits());
    }

    #[test]
    fn threads_that_share_a_core_add_nothing() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let all = fma_peak_gflops(cores);
        assert_eq!(fma_peak_gflops(1024 * cores).to_bits(), all.to_bits());
    }

    #[test]
    fn zero_threads_count_as_one() {
        assert_eq!(fma_peak_gflops(0).to_bits(), fma_peak_gflops(1).to_bits());
    }
}
