//! What must hold whatever a stranger wrote: no panic, bounded messages, and what was read is
//! written so that it is read again. The fuzz targets and `tests/hostile.rs` run the same.

#![allow(dead_code, reason = "each fuzz target runs one of these")]

use std::path::Path;

use dsconv::cpu::CpuModel;
use dsconv::{Database, Dispatcher, Isa, Kernel, OnMiss, Schedule, Target, Workload, cost};

/// Longest line that a message about a file may be.
const LONGEST_MESSAGE: usize = 1000;
/// Records of a file that are looked up; the others are of no other kind.
const LOOKED_UP: usize = 16;

const ISAS: [Isa; 5] = [Isa::Sse2, Isa::Fma, Isa::Avx2, Isa::Avx512, Isa::Neon];

/// The text of a file of records.
pub(crate) fn database(text: &str) {
    let loaded = match Database::from_toml(text, Path::new("f")) {
        Ok(loaded) => loaded,
        Err(error) => return check_line(&error.to_string()),
    };
    loaded.warnings.iter().for_each(|warning| check_line(&warning.to_string()));
    let written = loaded.database.to_toml();
    let again = Database::from_toml(&written, Path::new("f")).expect("what we write is a database");
    assert_eq!(again.warnings, [], "{written}");
    assert_eq!(again.database.len(), loaded.database.len(), "{written}");
    assert_eq!(again.database.to_toml(), written);

    for record in loaded.database.records().take(LOOKED_UP) {
        check_legality(&record.schedule, &record.workload);
        let dispatcher = Dispatcher::builder()
            .only_given()
            .database(loaded.database.clone())
            .threads(record.threads)
            .cpu(CpuModel { stepping: 99, ..loaded.database.cpu().clone() })
            .target(Target::of(record.isa))
            .on_miss(OnMiss::Error)
            .build()
            .expect("threads were checked when the file was read");
        for (schedule, origin) in dispatcher.candidates(&record.workload) {
            assert_eq!(schedule.workload(), &record.workload);
            assert!(origin.source().is_some());
        }
    }
}

/// The text of a schedule.
pub(crate) fn schedule(text: &str) {
    let schedule: Schedule = match text.parse() {
        Ok(schedule) => schedule,
        Err(error) => return check_message(&format!("{error}")),
    };
    assert_eq!(schedule.to_string().parse(), Ok(schedule), "{text}");
    for workload in [
        "f32 nchw 1x5x7x9 dw:3x3,p1,bias,relu pw:11,bias",
        "f32 nhwc 2x8x6x6 dw:3x3,s2,bias pw:16,bias,residual",
        "f32 nchw 1x8x6x6 pw:16",
        "f32 nhwc 1x20x9x5 dw:5x1,p2/0/2/0,m2",
    ] {
        let workload: Workload = workload.parse().expect("a workload");
        check_legality(&schedule, &workload);
        if let Ok(checked) = schedule.check(&workload, &Target::host()) {
            // Backends may refuse code; they do not panic.
            let _ = Kernel::compile(&checked);
        }
    }
}

/// The text of a workload.
pub(crate) fn workload(text: &str) {
    let workload: Workload = match text.parse() {
        Ok(workload) => workload,
        Err(error) => return check_message(&format!("{error}")),
    };
    assert_eq!(workload.to_string(), text);
    let [rows, cols] = workload.output_extent();
    assert!(rows > 0 && cols > 0 && workload.input_len() > 0 && workload.output_len() > 0);
    assert!(workload.flops() > 0 || workload.depthwise_len() + workload.pointwise_len() == 0);
    for isa in ISAS {
        for threads in [1, 2, 64] {
            let default = cost::default_schedule(&workload, &Target::of(isa), threads);
            assert_eq!(default.workload(), &workload);
        }
    }
}

/// A schedule is legal or not, on any machine, without a panic.
fn check_legality(schedule: &Schedule, workload: &Workload) {
    for isa in ISAS {
        if let Err(error) = schedule.check(workload, &Target::of(isa)) {
            check_message(&error.to_string());
        }
    }
}

/// A message about a text is of bounded length, whatever the text is.
fn check_message(message: &str) {
    assert!(!message.is_empty() && message.len() <= LONGEST_MESSAGE, "{} bytes", message.len());
}

/// A message about a file goes to a terminal: one line, and nothing that steers it.
fn check_line(message: &str) {
    check_message(message);
    assert!(!message.contains(char::is_control), "{message:?}");
}
