//! Cycles of a schedule, by part: counted from the same plan that code generation follows.

use super::machine::{Machine, Work, unaligned};
use super::makespan;
use crate::activation::Activation;
use crate::cover::{Cover, Slot};
use crate::plan::{First, Phase, Plan, Tasks};
use crate::schedule::CheckedSchedule;

mod copies;
mod depthwise;
mod memory;
mod pointwise;

/// Cycles of one run, by part. They rank schedules of one workload; that they are near the truth
/// is not asked of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Copying the input to padded windows.
    pub window: f64,
    /// The depthwise stage.
    pub depthwise: f64,
    /// The pointwise stage.
    pub pointwise: f64,
    /// Transposing the output.
    pub transpose: f64,
    /// Waiting for data from beyond the first-level cache.
    pub memory: f64,
    /// Waiting for the other threads.
    pub imbalance: f64,
}

impl Estimate {
    /// All parts together.
    pub fn cycles(&self) -> f64 {
        self.window
            + self.depthwise
            + self.pointwise
            + self.transpose
            + self.memory
            + self.imbalance
    }

    fn plus(self, other: Self) -> Self {
        Self {
            window: self.window + other.window,
            depthwise: self.depthwise + other.depthwise,
            pointwise: self.pointwise + other.pointwise,
            transpose: self.transpose + other.transpose,
            memory: self.memory + other.memory,
            imbalance: self.imbalance + other.imbalance,
        }
    }

    fn times(self, count: f64) -> Self {
        Self {
            window: self.window * count,
            depthwise: self.depthwise * count,
            pointwise: self.pointwise * count,
            transpose: self.transpose * count,
            memory: self.memory * count,
            imbalance: self.imbalance * count,
        }
    }
}

/// Estimates a run on so many threads.
///
/// ```
/// use dsconv_kernels::{Schedule, Target, Workload, cost};
///
/// let workload: Workload = "f32 nchw 1x64x56x56 dw:3x3,p1,relu pw:64,relu".parse()?;
/// let target = Target::host();
/// let best = cost::default_schedule(&workload, &target, 1);
/// let slow = Schedule { tile_rows: 1, ..*best.schedule() }.check(&workload, &target)?;
/// assert!(cost::estimate(&best, 1).cycles() < cost::estimate(&slow, 1).cycles());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn estimate(schedule: &CheckedSchedule, threads: usize) -> Estimate {
    estimate_on(Machine::of(schedule.target()), schedule, threads)
}

/// The same by other figures of the machine.
pub fn estimate_on(machine: &Machine, schedule: &CheckedSchedule, threads: usize) -> Estimate {
    let threads = threads.max(1);
    let counted = Counted { plan: &Plan::new(schedule), machine };
    let phases = counted.plan.phases.iter().enumerate();
    phases
        .map(|(index, phase)| {
            let image = match phase.tasks {
                Tasks::Tiles => counted.image(phase.first, phase.pointwise),
                Tasks::ChannelGroups if phase.first => counted.image(true, false),
                Tasks::ChannelGroups => {
                    let pixels = counted.plan.rows * counted.plan.cols;
                    counted.pointwise_stage(pixels)
                }
            };
            let last = match phase.tasks {
                Tasks::Tiles => counted
                    .tile(counted.last_rows(), phase.first, phase.pointwise)
                    .times(counted.last_part()),
                Tasks::ChannelGroups => image.times(counted.last_group(phase)),
            };
            let batch = counted.plan.batch;
            let tasks = makespan::Tasks {
                count: batch * phase.count,
                cycles: image.cycles() * batch as f64,
                last: last.cycles(),
            };
            let late = if index == 0 { machine.join } else { 0.0 };
            let mut busiest = image.times(batch as f64 / threads as f64);
            busiest.imbalance += tasks.makespan(threads, late) - busiest.cycles();
            if threads > 1 && index > 0 {
                busiest.imbalance += machine.barrier;
                busiest.memory += counted.handed_over(phase, threads);
            }
            busiest
        })
        .fold(Estimate::default(), Estimate::plus)
}

/// A plan whose instructions are counted.
struct Counted<'p> {
    plan: &'p Plan,
    machine: &'p Machine,
}

impl Counted<'_> {
    /// All tiles of an image.
    fn image(&self, first: bool, pointwise: bool) -> Estimate {
        let plan = self.plan;
        let whole = self.tile(plan.tile_rows, first, pointwise);
        let last = if self.last_rows() == plan.tile_rows {
            whole
        } else {
            self.tile(self.last_rows(), first, pointwise)
        };
        whole.times((plan.tiles - 1) as f64).plus(last)
    }

    /// A tile of so many rows.
    fn tile(&self, rows: usize, first: bool, pointwise: bool) -> Estimate {
        let mut estimate = Estimate::default();
        if first {
            estimate = estimate.plus(self.first_stage(rows));
        }
        if pointwise {
            estimate = estimate.plus(self.pointwise_stage(rows * self.plan.cols));
        }
        estimate
    }

    /// Rows of the last tile of an image.
    fn last_rows(&self) -> usize {
        self.plan.rows - (self.plan.tiles - 1) * self.plan.tile_rows
    }

    /// Part of a row's columns that its last tile is.
    fn last_part(&self) -> f64 {
        let plan = self.plan;
        plan.part(plan.parts() - 1).len() as f64 / plan.cols as f64
    }

    /// Part of the phase's work on an image that its last group of channels is.
    fn last_group(&self, phase: &Phase) -> f64 {
        let records = if phase.first { &self.plan.depthwise } else { &self.plan.pointwise };
        let Some(groups) = records.as_ref().map(|records| &records.groups) else { return 1.0 };
        if groups.len() != phase.count {
            return 1.0 / phase.count as f64;
        }
        let rests = groups.rest.iter().map(Vec::len);
        let last = groups.rest.last().map_or(groups.slots.len(), Vec::len);
        last as f64 / (groups.full * groups.slots.len() + rests.sum::<usize>()) as f64
    }

    fn first_stage(&self, rows: usize) -> Estimate {
        match self.plan.first {
            First::Input => Estimate::default(),
            First::Gather => self.gathered(rows),
            First::Depthwise if self.plan.channel_vectors() => self.depthwise_channels(rows),
            First::Depthwise => self.depthwise_planar(rows),
        }
    }

    /// Storing the masked vectors of a cover so many times: what masks cost beside.
    fn masks(&self, cover: &Cover, times: f64) -> Work {
        let masked = cover.rest.iter().flatten().filter(|slot| slot.surplus() > 0);
        let of_slot = |slot: &Slot| match self.plan.target.isa.wide() {
            Some(_) => {
                let split = unaligned(slot.lanes) - 1.0;
                Work { stores: self.machine.masked_store * split, ..Work::default() }
            }
            // Element by element.
            None => Work { others: slot.valid as f64, ..Work::default() },
        };
        masked.map(of_slot).fold(Work::default(), Work::plus).times(times)
    }
}

/// Instructions of an activation on a vector, roughly.
fn activation_instructions(activation: Activation) -> f64 {
    match activation {
        Activation::None => 0.0,
        Activation::Relu => 1.0,
        Activation::Relu6 | Activation::Clamp { .. } => 2.0,
        Activation::LeakyRelu { .. } | Activation::Prelu => 3.0,
        Activation::HardSigmoid | Activation::HardSwish => 4.0,
        _ => 25.0,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::target::{Isa, Target};
    use crate::testing::random_schedule;
    use crate::workload::Workload;

    const BLOCK: &str = "f32 nchw 1x256x28x28 dw:3x3,p1,bias,relu pw:256,bias,relu";

    fn cycles(workload: &str, schedule: &str, threads: usize) -> f64 {
        cycles_on(&Target::of(Isa::Avx512), workload, schedule, threads)
    }

    fn cycles_on(target: &Target, workload: &str, schedule: &str, threads: usize) -> f64 {
        let workload: Workload = workload.parse().expect("a workload");
        let schedule: crate::Schedule = schedule.parse().expect("a schedule");
        let checked = schedule.check(&workload, target).expect("a legal schedule");
        estimate(&checked, threads).cycles()
    }

    #[test]
    fn every_legal_schedule_has_a_finite_estimate_above_zero() {
        let mut rng = StdRng::seed_from_u64(5);
        for line in [
            BLOCK,
            "f32 nhwc 2x12x9x7 dw:5x5,s2,p2,bias pw:20,bias,residual,hard_swish",
            "f32 nchw 1x8x1x50 dw:1x9,p4,bias pw:8",
            "f32 nchw 1x24x14x14 dw:3x3,d3,p3,m2,bias,silu",
            "f32 nhwc 1x32x7x7 pw:40,bias,prelu",
            "f32 nchw 1x32x9x9 pw:40,s2",
        ] {
            let workload: Workload = line.parse().expect("a workload");
            for isa in [Isa::Fma, Isa::Avx2, Isa::Avx512] {
                for threads in [1, 2, 64] {
                    let checked = random_schedule(&mut rng, &workload, &Target::of(isa));
                    let cycles = estimate(&checked, threads).cycles();
                    assert!(cycles.is_finite() && cycles > 0.0, "{line}: {}", checked.schedule());
                }
            }
        }
    }

    #[test]
    fn what_is_known_to_be_slow_is_estimated_to_be_slow() {
        const GOOD: &str = "pixels fused rows t14 dw:l16,r4,v1,registers,overlap,copied \
                            pw:l16,b8,v2,u4,narrow,panels,pixels_outer";
        for (slow, than, at_least) in [
            // Halos are read again and again.
            ("t14", "t1", 1.2),
            // One accumulator waits for its own result.
            ("b8,v2", "b1,v1", 3.0),
            // A quarter of the width.
            ("pw:l16", "pw:l4", 2.0),
        ] {
            let other = GOOD.replace(slow, than);
            let ratio = cycles(BLOCK, &other, 1) / cycles(BLOCK, GOOD, 1);
            assert!(ratio > at_least, "{other}: {ratio}");
        }
    }

    #[test]
    fn what_a_zen_3_was_seen_to_run_slowly_is_estimated_to_be_slow_there() {
        const BLOCK: &str = "f32 nchw 1x192x28x28 dw:3x3,s2,p1,bias,relu6 pw:64,bias";
        const POINTWISE: &str = "pw:l8,b4,v2,u4,narrow,panels,channels_outer";
        let target = Target::of(Isa::Avx2).with_caches(32 << 10, 512 << 10);
        let cycles = |rest: &str| cycles_on(&target, BLOCK, &format!("{rest} {POINTWISE}"), 1);
        let fast = cycles("channels_blocked fused rows t7 dw:l8,r4,v1,registers,narrow,copied");
        // 1.24 and 1.32 times as long.
        for slow in ["masked,direct", "narrow,direct"] {
            let rest = format!("channels_planar fused rows t7 dw:l8,r2,v1,registers,{slow}");
            let ratio = cycles(&rest) / fast;
            assert!(ratio > 1.1, "{rest}: {ratio}");
        }
    }

    #[test]
    fn what_a_zen_4_was_seen_to_run_slowly_is_estimated_to_be_slow_there() {
        let split = Target { splits_vectors: true, ..Target::of(Isa::Avx512) };
        let slower = |target: &Target, channels: usize| {
            let block = format!("f32 nhwc 1x{channels}x7x7 dw:3x3,p1 pw:{channels}");
            let of_pixels = |pixels: usize| {
                let schedule = format!(
                    "nhwc fused rows t7 dw:l16,r2,v2,registers,narrow,direct \
                     pw:l16,b{pixels},v2,u4,narrow,panels,channels_outer"
                );
                cycles_on(target, &block, &schedule, 1)
            };
            of_pixels(10) / of_pixels(7)
        };
        // Ten rows of 4 KiB are in the same sets of a cache that has eight ways: 1.2 to 1.4 times as
        // long.
        let [crowded, spread] = [1024, 960].map(|channels| slower(&split, channels));
        assert!(crowded > 1.1, "{crowded}");
        assert!(spread < 1.0, "{spread}");
        // Twelve ways have room for them.
        let roomy = slower(&split.with_caches(48 << 10, 1 << 20), 1024);
        assert!(roomy < 1.0, "{roomy}");
    }

    #[test]
    fn threads_help_as_far_as_there_are_tiles() {
        let tiled = |rows: usize, threads| {
            let schedule = format!(
                "pixels fused rows t{rows} dw:l16,r4,v1,registers,overlap,copied \
                 pw:l16,b8,v2,u4,narrow,panels,pixels_outer"
            );
            cycles(BLOCK, &schedule, threads)
        };
        assert!(tiled(14, 2) < 0.6 * tiled(14, 1));
        assert!(tiled(28, 2) > 0.99 * tiled(28, 1));
        // Three tiles on two threads take as long as four.
        let (three, four) = (tiled(10, 2) / tiled(10, 1), tiled(7, 2) / tiled(7, 1));
        assert!(three > four + 0.1, "{three} {four}");
    }
}
