//! Faults on demand, for tests of what a bad candidate costs. Generated code has none to offer.

use dsconv_kernels::Schedule;

/// Names faults and where they occur: `segv:t7 hang-sample:b6,v2` crashes while preparing
/// schedules with `t7` in their text, and hangs while sampling those with `b6,v2`. `slow-sample`
/// makes samples longer. `-move` is a sample before which a kernel moves, as it does only in a race;
/// `-round` is one that others share a request with. `-again` is the second verification, where
/// `flip-again` changes one bit of an output.
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
        if let Some(fault) = self.named(schedule, |name| (!name.contains('-')).then_some(name)) {
            commit(fault);
        }
    }

    /// Gives how many times longer a sample is.
    pub(super) fn at_turn(&self, schedule: &Schedule, moves: bool, is_in_round: bool) -> u64 {
        let occasions = [("-sample", true), ("-move", moves), ("-round", is_in_round)].into_iter();
        for (suffix, _) in occasions.filter(|(_, is_there)| *is_there) {
            match self.named(schedule, |name| name.strip_suffix(suffix)) {
                Some("slow") => return 2,
                Some(fault) => commit(fault),
                None => {}
            }
        }
        1
    }

    /// Gives what happens to outputs.
    pub(super) fn at_second_look(&self, schedule: &Schedule) -> fn(&mut [f32]) {
        match self.named(schedule, |name| name.strip_suffix("-again")) {
            Some("flip") => |output| output[0] = f32::from_bits(output[0].to_bits() ^ 1),
            Some(fault) => {
                commit(fault);
                |_| {}
            }
            None => |_| {},
        }
    }

    fn named<'a>(
        &'a self,
        schedule: &Schedule,
        here: impl Fn(&'a str) -> Option<&'a str>,
    ) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let text = schedule.to_string();
        let named = self.0.iter().filter(|(_, part)| text.contains(part.as_str()));
        named.filter_map(|(name, _)| here(name)).next()
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
