//! The least speed that a registry must keep up. Pure.
//!
//! A registry that sends a byte now and then never stalls, and would hold a preparation for as long as it likes.

use std::time::Duration;

/// Measures one body. Only the time in which bytes were waited for counts: who takes them slowly is not the registry.
#[derive(Debug)]
pub struct Pace {
    window: Duration,
    /// Bytes a second.
    floor: u64,
    waited: Duration,
    bytes: u64,
}

/// How slow it was, over the whole window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow {
    pub bytes: u64,
    pub window: Duration,
}

impl Pace {
    pub fn new(window: Duration, floor: u64) -> Self {
        Self { window, floor, waited: Duration::ZERO, bytes: 0 }
    }

    /// How long the next bytes may be waited for at most, before the window is over.
    pub fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }

    /// Takes in that so many bytes came after so long a wait.
    pub fn note(&mut self, waited: Duration, bytes: usize) -> Result<(), TooSlow> {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < self.window {
            return Ok(());
        }
        let least = self.floor as f64 * self.window.as_secs_f64();
        if (self.bytes as f64) < least {
            return Err(TooSlow { bytes: self.bytes, window: self.window });
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_trickle_ends_with_its_window_and_a_stream_goes_on() {
        let mut pace = Pace::new(SECOND * 60, 1000);
        for _ in 0..59 {
            assert_eq!(pace.note(SECOND, 1), Ok(()));
        }
        assert_eq!(pace.left(), SECOND);
        assert_eq!(pace.note(SECOND, 1), Err(TooSlow { bytes: 60, window: SECOND * 60 }));

        let mut pace = Pace::new(SECOND * 60, 1000);
        for _ in 0..600 {
            assert_eq!(pace.note(SECOND, 1000), Ok(()));
        }
    }

    #[test]
    fn what_came_early_does_not_pay_for_the_next_window() {
        let mut pace = Pace::new(SECOND * 10, 1000);
        assert_eq!(pace.note(SECOND * 10, 1 << 20), Ok(()));
        assert!(pace.note(SECOND * 10, 9_999).is_err());
    }
}
