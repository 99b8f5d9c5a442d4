//! How long threads take for the tasks of a phase.
//!
//! Tasks are taken, not dealt: whoever is free takes the next ones, in the end one by one. So all
//! threads end within one task of each other, whenever they began.

/// Tasks of a phase, in the order in which they are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tasks {
    /// How many.
    pub(super) count: usize,
    /// Cycles of all together.
    pub(super) cycles: f64,
    /// Cycles of the very last, which may be smaller than the others.
    pub(super) last: f64,
}

impl Tasks {
    /// Cycles until the last task has ended, where all threads but one come `late` by so many.
    pub(super) fn makespan(self, threads: usize, late: f64) -> f64 {
        if threads <= 1 || self.count <= 1 {
            return self.cycles;
        }
        let others = self.count - 1;
        let each = (self.cycles - self.last).max(0.0) / others as f64;
        // The last one goes to the thread that is free first, which is when it would have to begin
        // if it were as large as the others.
        let begin = one_by_one(self.count, each, threads, late) - each;
        one_by_one(others, each, threads, late).max(begin + self.last).min(self.cycles)
    }
}

/// The same for `count` tasks of `each` cycles.
fn one_by_one(count: usize, each: f64, threads: usize, late: f64) -> f64 {
    if each <= 0.0 {
        return 0.0;
    }
    let helpers = threads - 1;
    // Tasks that the first thread begins, and ends, before the others come.
    let (begun, ended) = ((late / each).ceil() as usize, (late / each).floor() as usize);
    // The last to end is the first thread or one of the others: whichever has done all that is left
    // by the end of its own number of tasks.
    let by_first =
        if count <= begun { count } else { (count + helpers * begun).div_ceil(threads).max(begun) };
    let by_others = count.saturating_sub(ended).div_ceil(threads);
    let ends = [by_first as f64 * each, late + by_others as f64 * each];
    ends.into_iter().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the threads of `kernel::Share` do, step by step.
    fn taken(count: usize, each: f64, last: f64, threads: usize, late: f64) -> f64 {
        let mut free = vec![late; threads];
        free[0] = 0.0;
        let (mut next, mut end) = (0, 0.0f64);
        while next < count {
            let thread = (0..threads).min_by(|&a, &b| free[a].total_cmp(&free[b])).unwrap_or(0);
            let group = ((count - next) / (2 * threads)).max(1);
            next += group;
            free[thread] += each * group as f64 + if next == count { last - each } else { 0.0 };
            end = end.max(free[thread]);
        }
        end
    }

    proptest! {
        #[test]
        fn it_is_what_threads_that_take_tasks_need(
            count in 1usize..200,
            each in 10.0f64..1000.0,
            part in 0.1f64..1.0,
            threads in 1usize..9,
            late in 0.0f64..500.0,
        ) {
            let last = each * part;
            let tasks = Tasks { count, cycles: (count - 1) as f64 * each + last, last };
            let (found, simulated) =
                (tasks.makespan(threads, late), taken(count, each, last, threads, late));
            // The first to come may take more than one before the others are there.
            prop_assert!(found <= simulated * (1.0 + 1e-9), "{found} {simulated}");
            prop_assert!(simulated <= found + each * (1.0 + 1e-9), "{found} {simulated}");
            if count <= 2 * threads {
                prop_assert!((simulated - found).abs() <= 1e-6 * found, "{found} {simulated}");
            }
        }

        #[test]
        fn it_is_between_a_fair_share_and_all_of_the_work(
            count in 1usize..1000,
            each in 1.0f64..1e6,
            threads in 1usize..65,
            late in 0.0f64..1e5,
        ) {
            let tasks = Tasks { count, cycles: count as f64 * each, last: each };
            let cycles = tasks.makespan(threads, late);
            prop_assert!(cycles * (1.0 + 1e-9) >= tasks.cycles / threads as f64);
            prop_assert!(cycles <= tasks.cycles);
            prop_assert!(tasks.makespan(threads + 1, late) <= cycles * (1.0 + 1e-9));
        }
    }
}
