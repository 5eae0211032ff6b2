//! Durations in log-linear buckets: cheap to record (a shift and an add), exact enough for quantiles (3 %).

/// Each octave is cut into this many equal buckets, so a bucket is at most 1/32 of its value wide.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Values from 2^35 ns (34 s) on share the last bucket.
const OCTAVES_MAX: u32 = 35;
/// How many buckets there are.
pub const BUCKETS: usize = ((OCTAVES_MAX - STEP_BITS + 1) as usize) * STEPS as usize;

/// The bucket of a duration in nanoseconds.
#[inline]
pub fn bucket_of(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let octave = 63 - nanos.leading_zeros();
    if octave >= OCTAVES_MAX {
        return BUCKETS - 1;
    }
    let step = (nanos >> (octave - STEP_BITS)) & (STEPS - 1);
    ((octave - STEP_BITS + 1) as usize) * STEPS as usize + step as usize
}

/// The largest duration in nanoseconds that a bucket holds (the last one holds everything longer too).
pub fn upper_bound(bucket: usize) -> u64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if row == 0 {
        return step;
    }
    ((STEPS + step + 1) << (row - 1)) - 1
}

/// Upper bounds, in seconds, of the buckets that a scrape shows.
pub const EXPORTED_BOUNDS_S: &[f64] = &[
    10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 2e-3, 3e-3, 5e-3, 10e-3,
    20e-3, 50e-3, 0.1, 0.2, 0.5, 1.0,
];

/// What a worker has recorded, as read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// A count a bucket; [`BUCKETS`] of them.
    pub counts: Box<[u64]>,
    /// The sum of all durations, in nanoseconds.
    pub sum_ns: u64,
}

impl Latency {
    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration, in microseconds, that this part of all (0 to 1) does not exceed; 0 if there is none.
    pub fn quantile_us(&self, part: f64) -> f64 {
        let count = self.count();
        if count == 0 {
            return 0.0;
        }
        let rank = ((count as f64 * part).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|here| {
            seen += here;
            seen >= rank
        });
        upper_bound(bucket.unwrap_or(BUCKETS - 1)) as f64 / 1_000.0
    }

    /// For each of [`EXPORTED_BOUNDS_S`], how many durations do not exceed it. A fine bucket that straddles a bound
    /// counts above it.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let mut bucket = 0;
        let mut seen = 0;
        EXPORTED_BOUNDS_S
            .iter()
            .map(|bound| {
                let bound_ns = (bound * 1e9).round() as u64;
                while bucket < BUCKETS && upper_bound(bucket) <= bound_ns {
                    seen += self.counts[bucket];
                    bucket += 1;
                }
                (*bound, seen)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(nanos: &[u64]) -> Latency {
        let mut counts = vec![0; BUCKETS];
        for n in nanos {
            counts[bucket_of(*n)] += 1;
        }
        Latency {
            counts: counts.into(),
            sum_ns: nanos.iter().sum(),
        }
    }

    #[test]
    fn buckets_join_without_gap_and_are_narrow() {
        for bucket in 1..BUCKETS {
            let low = upper_bound(bucket - 1) + 1;
            let high = upper_bound(bucket);
            assert_eq!(bucket_of(low), bucket);
            assert_eq!(bucket_of(high), bucket);
            assert!((high - low) * STEPS <= low, "bucket {bucket} is too wide");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert!(upper_bound(BUCKETS - 1) >= 30_000_000_000);
    }

    #[test]
    fn quantiles_are_within_three_percent() {
        let durations: Vec<u64> = (1..=100_000).map(|i| i * 100).collect();
        let latency = recorded(&durations);
        for (part, wanted_us) in [(0.5, 5_000.0), (0.99, 9_900.0), (0.999, 9_990.0)] {
            let got = latency.quantile_us(part);
            assert!(
                (got / wanted_us - 1.0).abs() < 0.032,
                "{part}: {got} for {wanted_us}"
            );
        }
        assert_eq!(recorded(&[]).quantile_us(0.99), 0.0);
    }

    #[test]
    fn exported_buckets_are_cumulative() {
        let latency = recorded(&[9_000, 90_000, 90_000, 5_100_000, 3_000_000_000]);
        let at = |bound: f64| {
            let shown = latency.cumulative();
            shown
                .iter()
                .find(|(b, _)| *b == bound)
                .expect("an exported bound")
                .1
        };
        assert_eq!(at(10e-6), 1);
        assert_eq!(at(50e-6), 1);
        assert_eq!(at(100e-6), 3);
        assert_eq!(at(5e-3), 3);
        assert_eq!(at(10e-3), 4);
        assert_eq!(at(1.0), 4);
        assert_eq!(latency.count(), 5);
    }
}
