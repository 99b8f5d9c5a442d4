//! How long to wait for a quiet moment.

use std::time::{Duration, Instant};

/// Part of all time that may go by in waiting.
const SHARE: f64 = 0.5;
/// Time that one wait takes at most: on an Intel Xeon beside neighbours, half of the time that they used
/// the core was in stretches of less than 5 ms, and the longest took 46.
const LONGEST: Duration = Duration::from_millis(20);

/// Time that went by in waiting so far, and how much more may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    since: Instant,
    spent: Duration,
}

impl Patience {
    /// None at first: it grows with the time that goes by.
    pub(crate) fn start() -> Self {
        Self { since: Instant::now(), spent: Duration::ZERO }
    }

    /// Time that may go by in waiting now.
    pub(crate) fn left(&self) -> Duration {
        left(self.since.elapsed(), self.spent)
    }

    /// So much time went by in vain.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.spent += time;
    }
}

fn left(passed: Duration, spent: Duration) -> Duration {
    passed.mul_f64(SHARE).saturating_sub(spent).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_takes_half_of_the_time_and_no_wait_takes_long() {
        let ms = Duration::from_millis;
        assert_eq!(left(ms(0), ms(0)), ms(0));
        assert_eq!(left(ms(10), ms(0)), ms(5));
        assert_eq!(left(ms(10), ms(3)), ms(2));
        assert_eq!(left(ms(10), ms(8)), ms(0));
        assert_eq!(left(ms(10_000), ms(0)), LONGEST);
        let mut patience = Patience::start();
        patience.spend(ms(1_000_000));
        assert_eq!(patience.left(), ms(0));
    }
}
