//! Faults on demand, for tests of what a bad candidate costs. Generated code has none to offer.

use dsconv_kernels::Schedule;

/// Names faults and where they occur: `segv:t7 hang-sample:b6,v2` crashes while preparing
/// schedules with `t7` in their text, and hangs while sampling those with `b6,v2`.
const VARIABLE: &str = "DSCONV_TEST_FAULTS";

/// The faults of this process; none unless the variable is set.
pub(super) struct Faults(Vec<(String, String)>);

impl Faults {
    pub(super) fn from_environment() -> Self {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let pairs = text.split_whitespace().filter_map(|word| word.split_once(':'));
        Self(pairs.map(|(fault, part)| (fault.to_owned(), part.to_owned())).collect())
    }

    pub(super) fn at_preparation(&self, schedule: &Schedule) {
        self.at(schedule, |name| Some(name).filter(|name| !name.ends_with("-sample")));
    }

    pub(super) fn at_sample(&self, schedule: &Schedule) {
        self.at(schedule, |name| name.strip_suffix("-sample"));
    }

    fn at(&self, schedule: &Schedule, here: impl Fn(&str) -> Option<&str>) {
        if self.0.is_empty() {
            return;
        }
        let text = schedule.to_string();
        let named = self.0.iter().filter(|(_, part)| text.contains(part.as_str()));
        if let Some(fault) = named.filter_map(|(name, _)| here(name)).next() {
            commit(fault);
        }
    }
}

fn commit(fault: &str) {
    match fault {
        "abort" => std::process::abort(),
        "panic" => panic!("asked for"),
        "exit" => std::process::exit(3),
        "hang" => loop {
            std::hint::spin_loop();
        },
        "ill" => signal("-ILL"),
        "segv" => signal("-SEGV"),
        _ => panic!("{VARIABLE} names no fault {fault:?}"),
    }
}

/// Sends a signal to this process, again and again: the standard library's own handler takes the
/// first SIGSEGV for a possible stack overflow.
fn signal(name: &str) {
    let process = std::process::id().to_string();
    for _ in 0..100 {
        let _ = std::process::Command::new("kill").args([name, &process]).status();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
