//! The most multiply-adds this machine can do: the yardstick of every kernel.
//!
//! A loop of independent fused multiply-adds over registers only, at the widest vectors the CPU
//! has. The figure that follows from it is the machine's, not the one of the vectors that a
//! target uses, so that narrow code cannot flatter itself.

use std::hint::black_box;

/// Independent chains: more than the two FMA units times the four or five cycles of latency of
/// any CPU in question, and few enough for 16 registers beside the two factors.
const CHAINS: usize = 12;

/// Runs `steps` steps of independent multiply-adds on the calling thread and returns the
/// floating-point operations done (two for each multiply-add).
pub fn multiply_adds(steps: u64) -> u64 {
    multiply_adds_of(usize::MAX, steps)
}

/// As [`multiply_adds`], on vectors of at most so many lanes; of four where those are fewer.
pub fn multiply_adds_of(most_lanes: usize, steps: u64) -> u64 {
    let lanes = dispatch(most_lanes, steps);
    2 * steps * CHAINS as u64 * lanes
}

/// Runs the steps and returns the lanes of the vectors.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "there is one width"))]
fn dispatch(most_lanes: usize, steps: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if most_lanes >= 16 && is_x86_feature_detected!("avx512f") {
            #[expect(unsafe_code, reason = "the call of a function that needs CPU features")]
            // SAFETY: the CPU has AVX-512F, which was just asked.
            unsafe {
                x86::avx512(steps);
            }
            return 16;
        }
        if most_lanes >= 8 && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            #[expect(unsafe_code, reason = "the call of a function that needs CPU features")]
            // SAFETY: the CPU has AVX2 and FMA, which were just asked.
            unsafe {
                x86::avx2(steps);
            }
            return 8;
        }
    }
    portable(steps)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};

    use super::{CHAINS, black_box};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(steps: u64) {
        let (factor, term) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(1.0)));
        let mut sums = [term; CHAINS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, term);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(steps: u64) {
        let (factor, term) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(1.0)));
        let mut sums = [term; CHAINS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, term);
            }
        }
        black_box(sums);
    }
}

/// Four lanes, left to the compiler: fused where the build's target has FMA (any 64-bit ARM), a
/// multiplication and an addition elsewhere.
fn portable(steps: u64) -> u64 {
    const LANES: usize = 4;
    let (factor, term) = (black_box(0.5_f32), black_box(1.0_f32));
    let mut sums = [[term; LANES]; CHAINS];
    for _ in 0..steps {
        for sum in &mut sums {
            for lane in sum {
                *lane = if cfg!(target_arch = "x86_64") {
                    *lane * factor + term
                } else {
                    lane.mul_add(factor, term)
                };
            }
        }
    }
    black_box(sums);
    LANES as u64
}
