//! Records that nobody measured.

use dsconv::{Measurement, Objective, Provenance, Record, Workload, cost, cpu};

/// A legal record of this machine with a given time; the untuned default took 12 us.
pub(crate) fn unmeasured(workload: Workload, median_us: f64) -> Record {
    let target = cpu::host_target();
    Record {
        workload,
        isa: target.isa,
        threads: 1,
        objective: Objective::Warm,
        schedule: *cost::default_schedule(&workload, &target, 1).schedule(),
        measurement: Measurement { median_us, min_us: median_us, spread_us: 0.01, samples: 31 },
        runner_up: None,
        provenance: Provenance {
            version: "0.1.0".into(),
            code_generation: dsconv::CODE_GENERATION,
            strategy: "random".into(),
            trials: 40,
            seed: 3,
            date: "2026-01-02T03:04:05Z".into(),
            default_us: 12.0,
            contended: false,
        },
    }
}
