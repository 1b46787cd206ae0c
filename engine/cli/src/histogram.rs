//! Durations counted in buckets of about 1.5 % width, so that processes can hand them over and
//! percentiles of all of them can be told.

use std::collections::BTreeMap;

/// Buckets of one power of two.
const FINE: u64 = 64;

/// A histogram of nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: BTreeMap<u64, u64>,
    count: u64,
}

/// The bucket of a value: exact below [`FINE`], then [`FINE`] of them a power of two.
fn bucket(value: u64) -> u64 {
    if value < FINE {
        return value;
    }
    let shift = u64::from(value.ilog2() - FINE.ilog2());
    (shift + 1) * FINE + (value >> shift) - FINE
}

/// The largest value of a bucket.
fn upper(bucket: u64) -> u64 {
    if bucket < 2 * FINE {
        return bucket;
    }
    let shift = bucket / FINE - 1;
    let first = (bucket % FINE + FINE) << shift;
    first + ((1 << shift) - 1)
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, nanoseconds: u64) {
        *self.buckets.entry(bucket(nanoseconds)).or_default() += 1;
        self.count += 1;
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value that `share` (0 to 1) of all values do not exceed; 0 where nothing was counted.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return upper(*bucket);
            }
        }
        0
    }

    /// As pairs of bucket and count.
    pub fn to_json(&self) -> serde_json::Value {
        self.buckets.iter().map(|(b, c)| serde_json::json!([b, c])).collect()
    }

    /// From pairs of bucket and count; `None` where they are none.
    pub fn of_json(value: &serde_json::Value) -> Option<Self> {
        let mut histogram = Self::default();
        for pair in value.as_array()? {
            let (bucket, count) = (pair.get(0)?.as_u64()?, pair.get(1)?.as_u64()?);
            *histogram.buckets.entry(bucket).or_default() += count;
            histogram.count += count;
        }
        Some(histogram)
    }
}

/// Nanoseconds for people: `43 ns`, `1.25 µs`, `3.4 ms`, `1.2 s`.
pub fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 100.0 => format!("{n:.1} ns"),
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.2} µs", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_everything_without_gaps() {
        for value in (0..100_000u64).chain([1 << 40, (1 << 40) + 12345, u64::MAX]) {
            let b = bucket(value);
            assert!(upper(b) >= value, "{value}");
            assert!(b == 0 || upper(b - 1) < value, "{value}");
            assert!(upper(b) - value <= value / FINE, "{value}: {}", upper(b));
        }
    }

    #[test]
    fn percentiles_and_transport() {
        let mut h = Histogram::default();
        assert_eq!(h.percentile(0.5), 0);
        for i in 1..=1000 {
            h.add(i);
        }
        let near = |found: u64, wanted: u64| found >= wanted && found <= wanted + wanted / 32;
        assert!(near(h.percentile(0.5), 500), "{}", h.percentile(0.5));
        assert!(near(h.percentile(0.999), 999), "{}", h.percentile(0.999));
        assert!(near(h.percentile(1.0), 1000));
        let mut twice = Histogram::of_json(&h.to_json()).unwrap();
        assert_eq!(twice, h);
        twice.merge(&h);
        assert_eq!((twice.count(), twice.percentile(0.5)), (2000, h.percentile(0.5)));
    }
}
