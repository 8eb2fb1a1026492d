//! A bucket of tokens, one for each call, that fills again at a rate which adapts. Pure: the time is an input.

use std::time::Duration;

/// Nobody waits longer for a turn. Whoever would is told so at once, and comes back with what it wants by then.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After a throttled call, a halved rate is back at its full value.
pub const RECOVERY: Duration = Duration::from_secs(60);
/// Of the full rate, however often AWS throttles: less would not do for a look at all of a large account, and whatever is
/// throttled even so rests by itself.
const LOWEST_SHARE: f64 = 1.0 / 4.0;
/// Calls that were on their way together are often throttled together; that is one piece of news.
const SAME_NEWS: Duration = Duration::from_secs(1);

/// How many calls at once, and how many a second in the long run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub burst: f64,
    pub per_second: f64,
}

/// When a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Now,
    After(Duration),
    /// Not within any sensible time; its turn was not kept.
    TooFar(Duration),
}

#[derive(Debug)]
pub struct Bucket {
    size: Size,
    /// As adapted to what AWS has said.
    rate: f64,
    /// Below zero: so many calls wait already.
    tokens: f64,
    at: Duration,
    slowed_at: Option<Duration>,
}

impl Bucket {
    pub fn new(size: Size) -> Self {
        Self { size, rate: size.per_second, tokens: size.burst, at: Duration::ZERO, slowed_at: None }
    }

    /// Takes a token, from the future if there is none.
    pub fn turn(&mut self, now: Duration) -> Turn {
        self.fill(now);
        // A token is there or it is not: what rounding has lost is not worth a wait.
        let missing = 1.0 - self.tokens;
        if missing <= 1e-9 {
            self.tokens -= 1.0;
            return Turn::Now;
        }
        let wait = Duration::from_secs_f64(missing / self.rate);
        if wait > LONGEST_WAIT {
            return Turn::TooFar(wait);
        }
        self.tokens -= 1.0;
        Turn::After(wait)
    }

    /// AWS says that it was too much: whatever the reason, half of it from now on, and nothing on credit.
    pub fn throttled(&mut self, now: Duration) {
        self.fill(now);
        self.tokens = self.tokens.min(0.0);
        if self.slowed_at.is_some_and(|slowed| now.saturating_sub(slowed) < SAME_NEWS) {
            return;
        }
        self.slowed_at = Some(now);
        self.rate = (self.rate / 2.0).max(self.size.per_second * LOWEST_SHARE);
    }

    fn fill(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + seconds * self.rate).min(self.size.burst);
        let recovered = self.size.per_second * seconds / RECOVERY.as_secs_f64() / 2.0;
        self.rate = (self.rate + recovered).min(self.size.per_second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn bucket(burst: f64, per_second: f64) -> Bucket {
        Bucket::new(Size { burst, per_second })
    }

    #[test]
    fn a_burst_goes_through_and_the_rest_at_the_rate() {
        let mut bucket = bucket(3.0, 2.0);
        let turns: Vec<Turn> = (0..6).map(|_| bucket.turn(at(0))).collect();
        let after = |millis| Turn::After(at(millis));
        assert_eq!(turns, [Turn::Now, Turn::Now, Turn::Now, after(500), after(1000), after(1500)]);
        assert_eq!(bucket.turn(at(2_000)), Turn::Now, "all of them have had their turns");
        assert_eq!(bucket.turn(at(2_000)), after(500));
    }

    #[test]
    fn it_never_holds_more_than_a_burst() {
        let mut bucket = bucket(2.0, 10.0);
        let turns: Vec<Turn> = (0..3).map(|_| bucket.turn(at(3_600_000))).collect();
        assert_eq!(turns, [Turn::Now, Turn::Now, Turn::After(at(100))]);
    }

    #[test]
    fn who_would_wait_too_long_is_told_and_takes_nothing() {
        let mut bucket = bucket(1.0, 1.0);
        assert_eq!(bucket.turn(at(0)), Turn::Now);
        for second in 1..=60 {
            assert_eq!(bucket.turn(at(0)), Turn::After(at(second * 1000)));
        }
        for _ in 0..10 {
            assert_eq!(bucket.turn(at(0)), Turn::TooFar(at(61_000)));
        }
        assert_eq!(bucket.turn(at(1_000)), Turn::After(at(60_000)));
    }

    #[test]
    fn a_throttled_call_halves_the_rate_and_takes_what_is_left() {
        let mut bucket = bucket(10.0, 4.0);
        bucket.throttled(at(0));
        assert_eq!(bucket.turn(at(0)), Turn::After(at(500)));
        assert_eq!(bucket.rate, 2.0);
    }

    #[test]
    fn what_was_throttled_together_slows_down_once() {
        let mut bucket = bucket(10.0, 4.0);
        for _ in 0..20 {
            bucket.throttled(at(0));
        }
        assert_eq!(bucket.rate, 2.0);
        bucket.throttled(at(1_000));
        assert!(bucket.rate < 1.1, "{}", bucket.rate);
    }

    #[test]
    fn the_rate_never_falls_to_nothing_and_recovers_within_two_minutes() {
        let mut bucket = bucket(10.0, 16.0);
        for second in 0..60 {
            bucket.throttled(at(second * 1000));
        }
        assert!((4.0..4.2).contains(&bucket.rate), "{}", bucket.rate);
        bucket.turn(at(90_000));
        assert!((7.0..9.0).contains(&bucket.rate), "{}", bucket.rate);
        bucket.turn(at(179_000));
        assert_eq!(bucket.rate, 16.0);
    }

    #[test]
    fn a_clock_that_stands_still_fills_nothing() {
        let mut bucket = bucket(1.0, 1.0);
        assert_eq!(bucket.turn(at(5_000)), Turn::Now);
        assert_eq!(bucket.turn(at(4_000)), Turn::After(at(1_000)));
    }
}
