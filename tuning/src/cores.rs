//! A core for each thread that is measured.
//!
//! Where a block runs on all cores, Linux was seen to leave two of its threads on one of them for
//! seconds (6.18, a virtual machine of two cores): samples took as long as on one thread, and whether
//! they did was luck. So the thread of the pool that takes a sample keeps a core to itself meanwhile,
//! and the others stay on the others.
//!
//! A single thread keeps a core while it takes a sample, too, and moves on to another where neighbours
//! leave it no quiet moment. On that virtual machine they used each of the cores for four fifths of
//! some seconds, in stretches of up to one, but both at once for two thirds only. The thread that samples a
//! block on several threads visits the cores of the others, to see who is there.
//!
//! Where a block runs on several threads, but not on all cores, the scheduler has a choice and is left
//! to it.

#[cfg(target_os = "linux")]
pub(crate) use linux::Cores;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::Cores;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::Path;

    use dsconv::cpu::{CoreKinds, CoreList};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// Levels of caches, at most.
    const CACHES: usize = 8;

    /// All cores that the process may use, one of them for the caller.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Cores {
        callers: usize,
        /// Cores that the caller may have instead, its own among them.
        alike: CpuSet,
        /// Those that threads stay on while they do not measure.
        others: CpuSet,
        /// Those of them on which threads help that measure.
        helpers: CpuSet,
    }

    impl Cores {
        /// Divides the cores that the calling thread may use among so many threads; `None` where
        /// several threads have more or fewer cores than they are, or one thread has only one.
        pub(crate) fn divided_among(threads: usize) -> Option<Self> {
            let all = sched_getaffinity(None).ok()?;
            if threads == 1 {
                let own = u32::try_from(sched_getcpu()).ok()?;
                let allowed = numbers(&all).filter_map(|core| u32::try_from(core).ok()).collect();
                let alike = set(&alike(Path::new("/"), own, &allowed));
                let callers = numbers(&alike).find(|&core| core == own as usize);
                let callers = callers.or_else(|| numbers(&alike).next())?;
                let helpers = CpuSet::new();
                return (all.count() > 1).then_some(Self { callers, alike, others: all, helpers });
            }
            if all.count() as usize != threads {
                return None;
            }
            let callers = numbers(&all).next()?;
            let (mut alike, mut others) = (CpuSet::new(), all);
            alike.set(callers);
            others.unset(callers);
            Some(Self { callers, alike, others, helpers: others })
        }

        /// Keeps the calling thread off the caller's core, where that is none of the others'. A system
        /// that refuses leaves it where it is.
        pub(crate) fn leave_to_caller(&self) {
            let _ = sched_setaffinity(None, &self.others);
        }

        /// Keeps the calling thread on the caller's core until the guard is gone.
        pub(crate) fn held_by_caller(&self) -> impl Drop + use<> {
            self.hold();
            Held { cores: *self }
        }

        /// Moves the caller, which holds its core, to the next one that it may have.
        pub(crate) fn move_on(&mut self) {
            let next = numbers(&self.alike).find(|&core| core > self.callers);
            if let Some(next) = next.or_else(|| numbers(&self.alike).next()) {
                self.callers = next;
                self.hold();
            }
        }

        /// A core of a thread that helps; another one for the next number, and the first one again after
        /// the last.
        pub(crate) fn of_helper(&self, number: usize) -> Option<usize> {
            let count = self.helpers.count() as usize;
            numbers(&self.helpers).nth(number.checked_rem(count)?)
        }

        /// Does something on another core than the caller's, which holds that.
        pub(crate) fn visit<T>(&self, core: usize, look: impl FnOnce() -> T) -> T {
            Self::stay_on(core);
            let seen = look();
            self.hold();
            seen
        }

        fn hold(&self) {
            Self::stay_on(self.callers);
        }

        /// A system that refuses leaves the calling thread where it is.
        fn stay_on(core: usize) {
            let mut cores = CpuSet::new();
            cores.set(core);
            let _ = sched_setaffinity(None, &cores);
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

    fn numbers(cores: &CpuSet) -> impl Iterator<Item = usize> {
        (0..CpuSet::MAX_CPU).filter(|&core| cores.is_set(core))
    }

    fn set(cores: &CoreList) -> CpuSet {
        let mut set = CpuSet::new();
        let known = cores.iter().map(|core| core as usize).filter(|&core| core < CpuSet::MAX_CPU);
        known.for_each(|core| set.set(core));
        set
    }

    /// Those of the allowed cores on which a kernel takes the same time as on this one, and finds its
    /// data at the same distance: of one kind, the larger one, and around one last-level cache. This one
    /// alone, where it is not told which share that.
    fn alike(root: &Path, own: u32, allowed: &CoreList) -> CoreList {
        let of_cache = |index: usize| {
            let path =
                format!("sys/devices/system/cpu/cpu{own}/cache/index{index}/shared_cpu_list");
            Some(CoreList::parse(&fs::read_to_string(root.join(path)).ok()?))
        };
        let around_cache = (0..CACHES).rev().find_map(of_cache);
        let around_cache = around_cache.unwrap_or_else(|| [own].into_iter().collect());
        let near: CoreList = allowed.iter().filter(|&core| around_cache.contains(core)).collect();
        let large = CoreKinds::look(root).map(|kinds| kinds.performance);
        let is_large = |core: &u32| large.as_ref().is_none_or(|large| large.contains(*core));
        let large: CoreList = near.iter().filter(is_large).collect();
        if large.is_empty() { near } else { large }
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
        fn cores_of_helpers_are_visited_from_the_callers_core() {
            let all = allowed();
            let count = all.count() as usize;
            let Some(cores) = Cores::divided_among(count).filter(|_| count > 1) else { return };
            let held = cores.held_by_caller();
            let helpers: Vec<usize> = (0..count).filter_map(|it| cores.of_helper(it)).collect();
            for &core in &helpers[..count - 1] {
                let seen = cores.visit(core, || (allowed(), sched_getcpu()));
                assert!(core != cores.callers && seen.0.count() == 1 && seen.0.is_set(core));
                assert_eq!(seen.1, core);
                assert_eq!(sched_getcpu(), cores.callers);
            }
            assert_eq!(helpers[count - 1], helpers[0], "the first one again");
            drop(held);
            let _ = sched_setaffinity(None, &all);
            let single = Cores::divided_among(1).expect("there are several");
            assert_eq!(single.of_helper(0), None);
        }

        #[test]
        fn where_cores_are_left_over_or_missing_nothing_is_divided() {
            let count = allowed().count() as usize;
            assert!(Cores::divided_among(count + 1).is_none());
            assert!(count < 3 || Cores::divided_among(count - 1).is_none());
        }

        #[test]
        fn a_single_thread_moves_from_core_to_core_and_is_let_go() {
            let all = allowed();
            let Some(mut cores) = Cores::divided_among(1) else {
                assert_eq!(all.count(), 1);
                return;
            };
            let first = cores.callers;
            let mut seen = CpuSet::new();
            let held = cores.held_by_caller();
            for _ in 0..cores.alike.count() {
                assert_eq!(allowed().count(), 1);
                assert!(allowed().is_set(cores.callers) && all.is_set(cores.callers));
                seen.set(cores.callers);
                cores.move_on();
            }
            assert_eq!((seen, cores.callers), (cores.alike, first));
            drop(held);
            assert_eq!(allowed(), all);
        }

        #[test]
        fn cores_are_alike_that_are_of_a_kind_and_share_the_last_cache() {
            let alike = |files: &[(&str, &str)], allowed| {
                let root = tempfile::tempdir().expect("a folder");
                for (path, text) in files {
                    let path = root.path().join("sys/devices").join(path);
                    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                    fs::write(path, text).expect("a file");
                }
                alike(root.path(), 2, &CoreList::parse(allowed)).to_string()
            };
            let first = ("system/cpu/cpu2/cache/index0/shared_cpu_list", "2\n");
            let last = ("system/cpu/cpu2/cache/index3/shared_cpu_list", "0-3,8-11\n");
            assert_eq!(alike(&[first, last], "1-9"), "1-3,8-9");
            assert_eq!(alike(&[first], "1-9"), "2");
            assert_eq!(alike(&[], "1-9"), "2");
            let kinds = [("cpu_core/cpus", "0-1"), ("cpu_atom/cpus", "2-15")];
            assert_eq!(alike(&[[first, last], kinds].concat(), "1-9"), "1");
            assert_eq!(alike(&[[first, last], kinds].concat(), "3-9"), "3,8-9");
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

        pub(crate) fn move_on(&mut self) {}

        pub(crate) fn of_helper(&self, _number: usize) -> Option<usize> {
            None
        }

        pub(crate) fn visit<T>(&self, _core: usize, look: impl FnOnce() -> T) -> T {
            look()
        }
    }
}
