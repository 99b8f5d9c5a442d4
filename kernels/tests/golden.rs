//! The CLIF of a few small kernels, word for word.
//!
//! After a wanted change, `DSCONV_BLESS=1 cargo test -p dsconv-kernels --test golden` writes the
//! files anew; the diff is for the review.

use std::path::PathBuf;

use dsconv_kernels::{Isa, Kernel, Schedule, Target, Workload};

/// Name, workload, schedule.
const KERNELS: [(&str, &str, &str); 4] = [
    (
        "pixels_fused",
        "f32 nchw 1x4x6x8 dw:3x3,p1,bias,relu pw:4,bias,relu6",
        "pixels fused rows t3 dw:l4,r1,v1,memory,narrow,copied pw:l4,b4,v2,u1,narrow,panels,channels_outer",
    ),
    (
        "channels_blocked_staged",
        "f32 nchw 1x8x4x4 dw:3x3,s2,p1,bias,relu pw:8,residual",
        "channels_blocked staged channels t2 dw:l4,r2,v1,memory,narrow,copied pw:l4,b2,v2,u2,narrow,panels,channels_outer",
    ),
    (
        "nhwc_pointwise",
        "f32 nhwc 1x3x5x5 pw:6,bias,prelu",
        "nhwc fused rows t5 pw:l4,b4,v1,u3,overlap,panels,pixels_outer",
    ),
    (
        "depthwise_direct",
        "f32 nchw 1x2x6x6 dw:3x3,silu",
        "pixels fused rows t4 dw:l4,r2,v1,memory,narrow,direct",
    ),
];

/// The same target on every machine; nothing is run.
fn target() -> Target {
    Target::of(Isa::Fma)
}

#[test]
fn clif_is_as_it_was_reviewed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("DSCONV_BLESS").is_some();
    let mut changed = Vec::new();
    for (name, workload, schedule) in KERNELS {
        let workload: Workload = workload.parse().expect("the lines are workloads");
        let schedule: Schedule = schedule.parse().expect("the lines are schedules");
        let checked = schedule.check(&workload, &target()).expect("the schedules are legal");
        let clif = Kernel::clif(&checked).expect("Cranelift knows this machine");
        let actual = format!("; {workload}\n; {schedule}\n\n{clif}");
        let path = folder.join(format!("{name}.clif"));
        if bless {
            std::fs::write(&path, &actual).expect("golden files can be written");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&actual) {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "{changed:?} changed: DSCONV_BLESS=1 writes the new files");
}
