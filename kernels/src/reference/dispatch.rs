//! Compiles a computation twice and runs the build that suits this CPU: without the FMA
//! instructions each `f32::mul_add` is a call, ten times slower.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a function with target features is called after asking the CPU")
)]

/// A computation whose whole body is inlined, so that the caller's target features apply to it.
pub(super) trait Job {
    /// Carries the computation out. Implementations are `#[inline(always)]`.
    fn run(self);
}

/// Runs a job with the widest instructions that this CPU has.
pub(super) fn run(job: impl Job) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the CPU reports both features that `with_fma` is compiled for.
        return unsafe { with_fma(job) };
    }
    job.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_fma(job: impl Job) {
    job.run();
}
