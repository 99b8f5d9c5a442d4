//! Threads of a pool that help with one run after the other.
//!
//! A run of a small block takes less time than waking a thread, or than putting the caller to sleep
//! until a thread has ended. So the caller never sleeps, and a thread that helped once stays awake
//! for a moment and looks for the next run, of this block or of another one on the same pool.
//!
//! Nobody waits for a thread to arrive: it is called, and finds what is left when it comes.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a thread that helped stays awake. Meanwhile its pool cannot use it for anything else.
const AWAKE: Duration = Duration::from_micros(50);

/// Looks between two looks at the clock, or before another thread is let run on this core.
const LOOKS: u32 = 200;

/// Work that many threads can take part in; who comes late finds less or nothing to do.
pub(crate) trait Shared: Send + Sync {
    /// Takes part until nothing is left to take.
    fn help(&self);

    /// Whether nothing is left to take.
    fn is_taken(&self) -> bool;
}

/// Those threads of one pool that help.
#[derive(Debug, Default)]
pub(crate) struct Team {
    seats: Vec<Arc<Seat>>,
}

/// The place of one thread.
#[derive(Debug, Default)]
struct Seat {
    /// Whether there is work in `state`, to look at without a lock.
    has_work: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether a thread sits here or has been called.
    is_taken: bool,
    work: Option<Arc<dyn Shared>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("is_taken", &self.is_taken).finish_non_exhaustive()
    }
}

/// Teams that are in use, by the address of their pool. An address that another pool had before
/// does no harm: the last threads of the old one help and go.
static TEAMS: Mutex<Vec<(usize, Weak<Team>)>> = Mutex::new(Vec::new());

impl Team {
    /// The team of a pool, which all blocks that run on the pool share.
    pub(crate) fn of(pool: &rayon::ThreadPool) -> Arc<Self> {
        let address = address_of(pool);
        let seats = pool.current_num_threads();
        let mut teams = TEAMS.lock().unwrap_or_else(PoisonError::into_inner);
        teams.retain(|(_, team)| team.strong_count() > 0);
        let known = teams.iter().filter(|(known, _)| *known == address);
        let known = known.filter_map(|(_, team)| team.upgrade()).find(|team| team.seats() == seats);
        known.unwrap_or_else(|| {
            let team = Arc::new(Self { seats: (0..seats).map(|_| Arc::default()).collect() });
            teams.push((address, Arc::downgrade(&team)));
            team
        })
    }

    /// Threads that it has room for.
    pub(crate) fn seats(&self) -> usize {
        self.seats.len()
    }

    /// Calls up to `helpers` threads to the work, and comes back at once.
    pub(crate) fn call(&self, pool: &rayon::ThreadPool, helpers: usize, work: &Arc<dyn Shared>) {
        let mut called = 0;
        for seat in &self.seats {
            if called == helpers {
                return;
            }
            let mut state = seat.lock();
            // Another caller's work that is not taken yet stays.
            if state.work.as_ref().is_some_and(|other| !other.is_taken()) {
                continue;
            }
            state.work = Some(Arc::clone(work));
            seat.has_work.store(true, Release);
            if !std::mem::replace(&mut state.is_taken, true) {
                let seat = Arc::clone(seat);
                pool.spawn(move || seat.serve());
            }
            called += 1;
        }
    }
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic can happen while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Helps with what comes, until nothing has come for a moment.
    fn serve(&self) {
        while let Some(work) = self.next() {
            work.help();
        }
    }

    fn next(&self) -> Option<Arc<dyn Shared>> {
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if self.has_work.load(Acquire) {
                    break;
                }
                std::hint::spin_loop();
            }
            let is_late = start.elapsed() >= AWAKE;
            if !is_late && !self.has_work.load(Acquire) {
                std::thread::yield_now();
                continue;
            }
            let mut state = self.lock();
            self.has_work.store(false, Relaxed);
            let work = state.work.take();
            if work.is_some() || is_late {
                state.is_taken = work.is_some();
                return work;
            }
        }
    }
}

/// What tells one living pool from another.
pub(crate) fn address_of(pool: &rayon::ThreadPool) -> usize {
    std::ptr::from_ref(pool) as usize
}

/// Waits until a condition holds, awake.
pub(crate) fn wait_until(holds: impl Fn() -> bool) {
    loop {
        for _ in 0..LOOKS {
            if holds() {
                return;
            }
            std::hint::spin_loop();
        }
        // Whoever it is waited for may need this core.
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Numbers to be taken one by one; how often each was taken, and by how many threads.
    struct Numbers {
        next: AtomicUsize,
        taken: Vec<AtomicUsize>,
        done: AtomicUsize,
        helpers: AtomicUsize,
    }

    impl Numbers {
        fn up_to(count: usize) -> Arc<Self> {
            Arc::new(Self {
                next: AtomicUsize::new(0),
                taken: (0..count).map(|_| AtomicUsize::new(0)).collect(),
                done: AtomicUsize::new(0),
                helpers: AtomicUsize::new(0),
            })
        }

        fn take_all(&self) {
            while let Some(taken) = self.taken.get(self.next.fetch_add(1, Relaxed)) {
                taken.fetch_add(1, Relaxed);
                self.done.fetch_add(1, Release);
            }
        }

        fn run(self: &Arc<Self>, pool: &rayon::ThreadPool) {
            let work: Arc<dyn Shared> = self.clone();
            Team::of(pool).call(pool, pool.current_num_threads() - 1, &work);
            self.take_all();
            wait_until(|| self.done.load(Acquire) == self.taken.len());
        }
    }

    impl Shared for Numbers {
        fn help(&self) {
            self.helpers.fetch_add(1, Relaxed);
            self.take_all();
        }

        fn is_taken(&self) -> bool {
            self.next.load(Relaxed) >= self.taken.len()
        }
    }

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start")
    }

    #[test]
    fn callers_that_share_a_pool_get_all_their_work_done_once() {
        let pool = pool(3);
        std::thread::scope(|scope| {
            for caller in 0..4 {
                let pool = &pool;
                scope.spawn(move || {
                    for run in 0..500 {
                        let numbers = Numbers::up_to((caller * 7 + run) % 40);
                        numbers.run(pool);
                        let times = numbers.taken.iter().map(|taken| taken.load(Relaxed));
                        assert!(times.into_iter().all(|times| times == 1), "{caller}, {run}");
                    }
                });
            }
        });
    }

    #[test]
    fn a_thread_that_was_called_comes_even_when_nothing_is_left() {
        let pool = pool(2);
        for _ in 0..20 {
            let numbers = Numbers::up_to(1);
            numbers.run(&pool);
            wait_until(|| numbers.helpers.load(Relaxed) == 1);
            // Now and then so late that the thread has gone back to the pool.
            std::thread::sleep(AWAKE / 2);
        }
    }

    #[test]
    fn a_pool_can_be_used_from_inside_and_goes_away_after_its_threads() {
        for run in 0..50 {
            let pool = pool(2);
            let numbers = Numbers::up_to(run);
            pool.install(|| numbers.run(&pool));
            assert_eq!(numbers.done.load(Relaxed), run);
        }
    }

    #[test]
    fn a_pool_that_is_busy_delays_nobody() {
        let pool = pool(1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        pool.spawn(move || held.recv().unwrap_or_default());
        let numbers = Numbers::up_to(10);
        let work: Arc<dyn Shared> = numbers.clone();
        Team::of(&pool).call(&pool, 1, &work);
        numbers.take_all();
        assert_eq!(numbers.done.load(Acquire), 10);
        assert_eq!(numbers.helpers.load(Relaxed), 0);
        drop(release);
    }

    #[test]
    fn teams_are_shared_and_forgotten() {
        let (one, other) = (pool(2), pool(2));
        let team = Team::of(&one);
        assert!(Arc::ptr_eq(&team, &Team::of(&one)));
        assert!(!Arc::ptr_eq(&team, &Team::of(&other)));
        let forgotten = Arc::downgrade(&team);
        drop(team);
        assert!(forgotten.upgrade().is_none());
    }
}
