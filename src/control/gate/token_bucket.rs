//! A token bucket: how much may come within a time, with bursts allowed.

use std::time::Instant;

/// Part of a token that may be missing: the sum of many small fills is not exact.
const TOLERANCE: f64 = 0.001;

/// How a bucket fills.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens a second, above 0.
    pub per_s: f64,
    /// Most tokens at once, at least 1: below that nothing would ever be taken.
    pub burst: f64,
}

impl Rate {
    /// A rate whose bursts are one second's worth, but at least one.
    pub fn per_second(per_s: f64) -> Rate {
        Rate {
            per_s,
            burst: per_s.max(1.0),
        }
    }
}

/// What is left to be taken. The rate is given at each use, for a reload may change it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenBucket {
    /// What was left, and when; None: it is full.
    left: Option<(f64, Instant)>,
}

impl TokenBucket {
    /// Nothing can be taken yet.
    pub fn empty(now: Instant) -> TokenBucket {
        TokenBucket {
            left: Some((0.0, now)),
        }
    }

    /// Takes a token. False if there is none.
    pub fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let tokens = match self.left {
            Some((left, then)) => {
                let passed = now.saturating_duration_since(then).as_secs_f64();
                (left + passed * rate.per_s).min(rate.burst)
            }
            None => rate.burst,
        };
        let has_one = tokens >= 1.0 - TOLERANCE;
        let taken = if has_one { 1.0 } else { 0.0 };
        self.left = Some((tokens - taken, now));
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn taken(bucket: &mut TokenBucket, now: Instant, rate: Rate) -> usize {
        (0..1000).take_while(|_| bucket.take(now, rate)).count()
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let (mut bucket, start) = (TokenBucket::default(), Instant::now());
        let rate = Rate::per_second(20.0);
        assert_eq!(taken(&mut bucket, start, rate), 20);
        assert_eq!(
            taken(&mut bucket, start + Duration::from_millis(500), rate),
            10
        );
        assert_eq!(
            taken(&mut bucket, start + Duration::from_secs(60), rate),
            20
        );
    }

    #[test]
    fn an_empty_bucket_fills() {
        let start = Instant::now();
        let rate = Rate::per_second(100.0);
        let mut bucket = TokenBucket::empty(start);
        assert!(!bucket.take(start, rate));
        assert_eq!(
            taken(&mut bucket, start + Duration::from_millis(30), rate),
            3
        );
    }

    #[test]
    fn a_rate_below_one_a_second_still_gives() {
        let (mut bucket, start) = (TokenBucket::default(), Instant::now());
        let rate = Rate::per_second(0.1);
        assert!(bucket.take(start, rate));
        assert!(!bucket.take(start + Duration::from_secs(9), rate));
        assert!(bucket.take(start + Duration::from_secs(10), rate));
    }

    #[test]
    fn many_small_fills_give_as_much_as_one() {
        let (mut bucket, start) = (TokenBucket::empty(Instant::now()), Instant::now());
        let rate = Rate::per_second(10.0);
        let taken = (1..=10_000).filter(|ms| bucket.take(start + Duration::from_millis(*ms), rate));
        assert!((99..=101).contains(&taken.count()));
    }

    #[test]
    fn a_clock_that_stands_still_or_a_smaller_rate_take_nothing_away() {
        let (mut bucket, start) = (TokenBucket::default(), Instant::now());
        assert!(bucket.take(start + Duration::from_secs(1), Rate::per_second(5.0)));
        assert_eq!(taken(&mut bucket, start, Rate::per_second(5.0)), 4);
        let smaller = Rate::per_second(2.0);
        assert_eq!(
            taken(&mut bucket, start + Duration::from_secs(9), smaller),
            2
        );
    }
}
