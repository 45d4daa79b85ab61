//! Lines of charts: series summed up, rates of counters, percentiles of histograms.

use std::collections::{BTreeMap, HashMap};

use super::{History, Kept, Series, UP, label};

/// Rounds over which a rate is taken: one alone jumps.
const RATE_ROUNDS: usize = 3;

/// How a metric is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// As it is.
    Value,
    /// By how much a counter grows in a second.
    Rate,
}

/// Lines over the same times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// Milliseconds since 1970.
    pub(crate) times: Vec<i64>,
    /// By their labels; not a number where there is none.
    pub(crate) lines: BTreeMap<String, Vec<f64>>,
}

impl Lines {
    /// Puts other lines of the same times beside these.
    pub(crate) fn and(mut self, others: Self) -> Self {
        if self.times.len() < others.times.len() {
            self.times = others.times;
        }
        self.lines.extend(others.lines);
        self
    }
}

impl History {
    /// The series of this name over the last so many rounds, those with the same key as one, summed up.
    pub(crate) fn sums(
        &self,
        name: &str,
        rounds: usize,
        measure: Measure,
        key: impl Fn(&Series) -> Option<String>,
    ) -> Lines {
        let kept = self.kept();
        let earlier = if measure == Measure::Rate { RATE_ROUNDS } else { 0 };
        let (times, range) = kept.last_rounds(rounds + earlier);
        let up: HashMap<&str, Vec<f64>> = kept
            .series
            .iter()
            .filter(|(series, _)| series.name == UP)
            .map(|(series, changes)| (series.service.as_str(), changes.values(range.clone())))
            .collect();
        let mut lines: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (series, changes) in kept.series.iter().filter(|(series, _)| series.name == name) {
            let Some(key) = key(series) else { continue };
            let mut values = changes.values(range.clone());
            if measure == Measure::Rate {
                let up = up.get(series.service.as_str()).map(Vec::as_slice).unwrap_or_default();
                values = rate(&times, &values, up);
            }
            match lines.get_mut(&key) {
                Some(sum) => sum.iter_mut().zip(values).for_each(|(sum, value)| add(sum, value)),
                None => drop(lines.insert(key, values)),
            }
        }
        // Those that were only there for the rates of the next ones.
        let spare = times.len().saturating_sub(rounds);
        let times = times.into_iter().skip(spare).collect();
        lines.values_mut().for_each(|values| drop(values.drain(..spare.min(values.len()))));
        Lines { times, lines }
    }

    /// Percentiles of a histogram over the last so many rounds, one line for each key.
    pub(crate) fn quantile(
        &self,
        name: &str,
        rounds: usize,
        quantile: f64,
        key: impl Fn(&Series) -> Option<String>,
    ) -> Lines {
        let buckets = self.sums(&format!("{name}_bucket"), rounds, Measure::Rate, |series| {
            Some(format!("{}\0{}", label(&series.labels, "le"), key(series)?))
        });
        let mut by_key: BTreeMap<String, Vec<(f64, Vec<f64>)>> = BTreeMap::new();
        for (bucket, values) in buckets.lines {
            let Some((bound, key)) = bucket.split_once('\0') else { continue };
            let Ok(bound) = bound.parse::<f64>() else { continue };
            by_key.entry(key.to_owned()).or_default().push((bound, values));
        }
        let lines = by_key.into_iter().map(|(key, mut buckets)| {
            buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            let at = |place: usize| {
                let counts: Vec<(f64, f64)> =
                    buckets.iter().map(|(bound, values)| (*bound, values[place])).collect();
                of_buckets(&counts, quantile)
            };
            (key, (0..buckets_times(&buckets)).map(at).collect())
        });
        Lines { times: buckets.times, lines: lines.collect() }
    }
}

impl Kept {
    /// The last so many rounds: when they were, and their numbers.
    fn last_rounds(&self, count: usize) -> (Vec<i64>, std::ops::Range<u32>) {
        let skipped = self.times.len().saturating_sub(count);
        let number = |count: usize| self.first + u32::try_from(count).unwrap_or_default();
        let times = self.times.iter().skip(skipped).copied().collect();
        (times, number(skipped)..number(self.times.len()))
    }
}

fn buckets_times(buckets: &[(f64, Vec<f64>)]) -> usize {
    buckets.iter().map(|(_, values)| values.len()).min().unwrap_or_default()
}

fn add(sum: &mut f64, value: f64) {
    *sum = match (sum.is_nan(), value.is_nan()) {
        (_, true) => *sum,
        (true, false) => value,
        (false, false) => *sum + value,
    };
}

/// How much a counter grew in a second. One that was not there while its service was began at zero; one
/// that is smaller than before began anew.
fn rate(times: &[i64], values: &[f64], up: &[f64]) -> Vec<f64> {
    let at = |place: usize| {
        let before = place.checked_sub(RATE_ROUNDS).filter(|_| !values[place].is_nan())?;
        #[expect(clippy::cast_precision_loss, reason = "some seconds")]
        let seconds = (times[place] - times[before]) as f64 / 1_000.0;
        let mut grown = 0.0;
        for place in before..place {
            let [from, to] = [values[place], values[place + 1]];
            let was_up = up.get(place).is_some_and(|up| !up.is_nan());
            grown += match (from.is_nan(), to.is_nan()) {
                (_, true) => 0.0,
                (true, false) if was_up => to,
                (true, false) => 0.0,
                (false, false) if to >= from => to - from,
                (false, false) => to,
            };
        }
        Some(grown / seconds.max(0.001))
    };
    (0..values.len()).map(|place| at(place).unwrap_or(f64::NAN)).collect()
}

/// A percentile from how many were at or below each bound; within a bucket as if they were spread evenly.
fn of_buckets(buckets: &[(f64, f64)], quantile: f64) -> f64 {
    let Some((_, all)) = buckets.last().filter(|(_, all)| *all > 0.0) else { return f64::NAN };
    let rank = all * quantile;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank {
            // Nothing is known of how far it goes beyond the last bound.
            let is_open = bound.is_infinite();
            return if is_open {
                low
            } else {
                low + (bound - low) * (rank - below) / (count - below).max(f64::MIN_POSITIVE)
            };
        }
        (low, below) = (*bound, *count);
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(history: &History, at: i64, text: Option<&str>) {
        let answers = text.map(|text| ("user-service".to_owned(), text.to_owned()));
        history.add(at * 5_000, &answers.into_iter().collect::<Vec<_>>());
    }

    fn rounded(values: &[f64]) -> Vec<Option<i64>> {
        #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
        values
            .iter()
            .map(|value| (!value.is_nan()).then_some((value * 1_000.0).round() as i64))
            .collect()
    }

    #[test]
    fn values_are_kept_by_their_changes_and_have_a_gap_while_nobody_answers() {
        let history = History::new();
        for (at, text) in
            [Some("a 1"), Some("a 1"), None, Some("a 1"), Some("a 2")].into_iter().enumerate()
        {
            add(&history, at as i64, text);
        }
        let key = |series: &Series| Some(series.service.clone());
        let sums = history.sums("a", 10, Measure::Value, key);
        assert_eq!(
            rounded(&sums.lines["user-service"]),
            [Some(1_000), Some(1_000), None, Some(1_000), Some(2_000)]
        );
        assert_eq!(sums.times, [0, 5_000, 10_000, 15_000, 20_000]);
        assert_eq!(history.last("a").into_values().collect::<Vec<_>>(), [2.0]);
        for at in 5..1_000 {
            add(&history, at, None);
        }
        assert!(history.names().is_empty(), "what is older than half an hour is gone");
        assert_eq!(history.sums("a", 5_000, Measure::Value, key).times.len(), 360);
    }

    #[test]
    fn a_rate_counts_the_first_request_and_a_new_beginning() {
        let history = History::new();
        for (at, text) in ["b 1", "b 1", "b 1", "b 1\na 15", "b 1\na 15", "b 1\na 30", "b 1\na 15"]
            .iter()
            .enumerate()
        {
            add(&history, at as i64, Some(text));
        }
        let sums = history.sums("a", 4, Measure::Rate, |_| Some(String::new()));
        assert_eq!(rounded(&sums.lines[""]), [Some(1_000), Some(1_000), Some(2_000), Some(2_000)]);
    }

    #[test]
    fn percentiles_are_between_the_bounds_of_their_bucket() {
        let buckets = [(0.1, 50.0), (0.2, 90.0), (f64::INFINITY, 100.0)];
        for (quantile, expected) in [(0.5, 0.1), (0.7, 0.15), (0.99, 0.2), (0.25, 0.05)] {
            let found = of_buckets(&buckets, quantile);
            assert!((found - expected).abs() < 1e-9, "{quantile}: {found}");
        }
        assert!(of_buckets(&[(0.1, 0.0), (f64::INFINITY, 0.0)], 0.5).is_nan());
    }
}
