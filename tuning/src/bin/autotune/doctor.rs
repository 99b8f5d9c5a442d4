//! `autotune doctor`: what this machine is to a tuner, and what to mend before tuning on it.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::{Duration, Instant};

use dsconv::Isa;
use dsconv::cpu::{self, CoreList, CpuModel};
use dsconv_tuning::contention::{Calibration, Sibling, Usage};
use dsconv_tuning::machine::Machine;
use dsconv_tuning::peak;
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::failure::Failure;
use crate::output;

/// Time that the machine is watched for.
const WATCHED: Duration = Duration::from_millis(500);
/// Part of the looks at who shares the core that may find somebody: more is worth a word.
const MOST_SHARED: f64 = 0.1;
/// Looks at the calibration kernel.
const LOOKS: usize = 40;

/// What was found.
#[derive(Serialize)]
struct DoctorReport {
    cpu: CpuModel,
    /// Instruction sets that the processor has and the system preserves.
    usable_isas: Vec<String>,
    /// The one that kernels are generated for.
    isa: String,
    /// What caps it, if anything does.
    isa_cap: Option<String>,
    machine: Machine,
    /// Cores that the process may use, the quota considered.
    available_cores: usize,
    threads: usize,
    fma_peak_gflops: f64,
    /// Of all cores' time, while nothing of ours ran.
    stolen: f64,
    busy_cores: f64,
    throttled: u64,
    /// Part of some looks in which somebody else computed on the same core.
    shared: f64,
    /// The slowest of some looks at a fixed computation over the fastest.
    slowdown: f64,
    advice: Vec<String>,
}

/// Looks, measures for about a second, reports.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let threads = args.threads();
    let machine = Machine::look(Path::new("/"));
    let before = Usage::now();
    std::thread::sleep(WATCHED);
    let pressure = Usage::now().since(&before);
    let shared = shared();
    let mut calibration = Calibration::default();
    let slowdown = (0..LOOKS).map(|_| calibration.slowdown()).fold(1.0, f64::max);
    let mut advice = machine.advice(threads);
    if let Some(reason) = pressure.beside(threads).contamination(threads) {
        advice.push(format!("just now {reason}: tune when the machine is quiet"));
    }
    if shared > MOST_SHARED {
        advice.push(format!(
            "another hardware thread uses the core, a neighbour's perhaps, in {:.0} % of the time: tune \
             later, or on a core of your own",
            100.0 * shared
        ));
    }
    let report = DoctorReport {
        cpu: CpuModel::host(),
        usable_isas: Isa::usable().iter().map(ToString::to_string).collect(),
        isa: cpu::host_target().isa.to_string(),
        isa_cap: Isa::cap().map_err(Failure::because)?.map(|isa| isa.to_string()),
        machine,
        available_cores: cpu::available_cores(),
        threads,
        fma_peak_gflops: peak::fma_peak_gflops(threads),
        stolen: pressure.stolen,
        busy_cores: pressure.busy_cores,
        throttled: pressure.throttled,
        shared,
        slowdown,
        advice,
    };
    if args.json { output::print_json(&report) } else { output::print(&report.to_string()) }
}

/// Part of the looks in which somebody shares the core, one look after the other.
fn shared() -> f64 {
    let mut sibling = Sibling::default();
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        sibling.is_quiet();
    }
    sibling.shared()
}

impl Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |word: &str, text: String| writeln!(f, "{word:<12} {text}");
        let unknown = || "unknown".to_owned();
        let cores =
            |list: &Option<CoreList>| list.as_ref().map_or_else(unknown, CoreList::to_string);
        let cpu = &self.cpu;
        line(
            "cpu",
            format!(
                "{} ({} family {} model {} stepping {})",
                cpu.brand, cpu.vendor, cpu.family, cpu.model, cpu.stepping
            ),
        )?;
        let cap = match &self.isa_cap {
            Some(cap) => format!(", capped at {cap} by {}", dsconv::ISA_VARIABLE),
            None => String::new(),
        };
        line("isa", format!("{}; usable: {}{cap}", self.isa, self.usable_isas.join(", ")))?;
        let kib = |bytes: usize| match bytes {
            0 => unknown(),
            bytes => format!("{} KiB", bytes >> 10),
        };
        let (l1, l2, l3) = (kib(cpu.l1_bytes), kib(cpu.l2_bytes), kib(cpu.l3_bytes));
        line("caches", format!("L1 {l1}, L2 {l2}, L3 {l3}"))?;
        let machine = &self.machine;
        line(
            "cores",
            format!(
                "{} usable; online {}, allowed {}",
                self.available_cores,
                cores(&machine.online),
                cores(&machine.allowed)
            ),
        )?;
        let quota = machine.quota.map_or("none".to_owned(), |cores| format!("{cores:.2} cores"));
        line("quota", format!("{quota}, stopped {} times while watched", self.throttled))?;
        let kinds = match (&machine.performance_cores, &machine.efficiency_cores) {
            (Some(performance), Some(efficiency)) => {
                format!("performance cores {performance}, efficiency cores {efficiency}")
            }
            _ => "one".to_owned(),
        };
        line("core kinds", kinds)?;
        let turbo = match machine.turbo_off {
            Some(true) => ", turbo off",
            Some(false) => ", turbo on",
            None => "",
        };
        line("governor", format!("{}{turbo}", machine.governor.clone().unwrap_or_else(unknown)))?;
        let smt = machine.smt.map_or_else(unknown, |on| if on { "on" } else { "off" }.to_owned());
        line("smt", smt)?;
        line("hypervisor", machine.hypervisor.clone().unwrap_or_else(|| "none".to_owned()))?;
        line(
            "load",
            format!(
                "{}; while watched {:.2} cores busy, {:.1} % of the time stolen, in {:.0} % of it \
                 somebody else on the same core",
                machine.load.map_or_else(unknown, |load| format!("{load:.2}")),
                self.busy_cores,
                100.0 * self.stolen,
                100.0 * self.shared
            ),
        )?;
        line(
            "speed",
            format!(
                "{:.1} GFLOP/s on {} threads; a fixed computation takes up to {:.2} times its best",
                self.fma_peak_gflops, self.threads, self.slowdown
            ),
        )?;
        if self.advice.is_empty() {
            return line("to mend", "nothing".to_owned());
        }
        writeln!(f, "\nto mend")?;
        for advice in &self.advice {
            writeln!(f, "- {advice}")?;
        }
        Ok(())
    }
}
