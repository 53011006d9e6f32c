//! Figures of round trips that several probes and checks give.

use std::time::Duration;

/// The middle of some durations.
pub fn median(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2)
}

/// The least value that `percent` of the sorted values do not exceed.
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Mean difference between a round trip and the next, as RFC 3550 means it
/// without its smoothing.
pub fn jitter(times: &[Duration]) -> Option<Duration> {
    let steps = times.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
    let count = u32::try_from(times.len().checked_sub(1)?).ok()?;
    steps.sum::<Duration>().checked_div(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn median_and_jitter_of_few_and_many() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&ms(&[9, 1, 5])), Some(Duration::from_millis(5)));
        assert_eq!(median(&ms(&[4, 2])), Some(Duration::from_millis(3)));
        assert_eq!(jitter(&ms(&[7])), None);
        assert_eq!(jitter(&ms(&[1, 3, 3])), Some(Duration::from_millis(1)));
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        assert_eq!(percentile(&[], 95), None);
        assert_eq!(percentile(&ms(&[7]), 95), Some(Duration::from_millis(7)));
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&ms(&hundred), 95), Some(Duration::from_millis(95)));
        assert_eq!(percentile(&ms(&hundred[..21]), 95), Some(Duration::from_millis(20)));
    }
}
