//! The command that tunes a workload.

use dsconv_kernels::Workload;

/// The `autotune` command line that tunes a workload for a number of threads.
pub fn autotune_command(workload: &Workload, threads: usize) -> String {
    let threads = if threads == 1 { String::new() } else { format!(" --threads {threads}") };
    format!("autotune --workload '{workload}'{threads}")
}
