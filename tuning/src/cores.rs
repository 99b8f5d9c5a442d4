//! A core for each thread that is measured.
//!
//! Where a block runs on all cores, Linux was seen to leave two of its threads on one of them for
//! seconds (6.18, a virtual machine of two cores): samples took as long as on one thread, and whether
//! they did was luck. So the thread of the pool that takes a sample keeps a core to itself meanwhile,
//! and the others stay on the others. Where there are more cores than threads, the scheduler has a
//! choice and is left to it.

#[cfg(target_os = "linux")]
pub(crate) use linux::Cores;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::Cores;

#[cfg(target_os = "linux")]
mod linux {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// All cores that the process may use, one of them for the caller.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Cores {
        callers: CpuSet,
        others: CpuSet,
    }

    impl Cores {
        /// Divides the cores that the calling thread may use among so many threads; `None` where there
        /// is one thread only, or not as many cores as threads.
        pub(crate) fn divided_among(threads: usize) -> Option<Self> {
            let all = sched_getaffinity(None).ok()?;
            if threads < 2 || all.count() as usize != threads {
                return None;
            }
            let first = (0..CpuSet::MAX_CPU).find(|&core| all.is_set(core))?;
            let (mut callers, mut others) = (CpuSet::new(), all);
            callers.set(first);
            others.unset(first);
            Some(Self { callers, others })
        }

        /// Keeps the calling thread, one of the pool, off the caller's core. A system that refuses leaves
        /// it where it is.
        pub(crate) fn leave_to_caller(&self) {
            let _ = sched_setaffinity(None, &self.others);
        }

        /// Keeps the calling thread, one of the pool, on the caller's core until the guard is gone.
        pub(crate) fn held_by_caller(&self) -> impl Drop + use<> {
            let _ = sched_setaffinity(None, &self.callers);
            Held { cores: *self }
        }
    }

    struct Held {
        cores: Cores,
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.cores.leave_to_caller();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn allowed() -> CpuSet {
            sched_getaffinity(None).expect("Linux tells")
        }

        #[test]
        fn the_caller_has_a_core_alone_for_a_while() {
            let all = allowed();
            let Some(cores) = Cores::divided_among(all.count() as usize) else {
                assert_eq!(all.count(), 1);
                return;
            };
            let of_pool = std::thread::spawn(move || {
                cores.leave_to_caller();
                let before = allowed();
                let held = cores.held_by_caller();
                let meanwhile = allowed();
                drop(held);
                [before, meanwhile, allowed()]
            });
            let [before, meanwhile, after] = of_pool.join().expect("it ends");
            assert_eq!([before.count(), meanwhile.count()], [all.count() - 1, 1]);
            assert!((0..CpuSet::MAX_CPU).all(|it| !(before.is_set(it) && meanwhile.is_set(it))));
            assert_eq!(after, before);
            assert_eq!(allowed(), all);
        }

        #[test]
        fn where_cores_are_left_over_or_missing_nothing_is_divided() {
            let count = allowed().count() as usize;
            assert!(Cores::divided_among(1).is_none());
            assert!(Cores::divided_among(count + 1).is_none());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// Nothing is known of cores.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Cores;

    struct Held;

    impl Drop for Held {
        fn drop(&mut self) {}
    }

    impl Cores {
        pub(crate) fn divided_among(_threads: usize) -> Option<Self> {
            None
        }

        pub(crate) fn leave_to_caller(&self) {}

        pub(crate) fn held_by_caller(&self) -> impl Drop + use<> {
            Held
        }
    }
}
