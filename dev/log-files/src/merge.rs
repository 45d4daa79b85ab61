//! Several logs as one, in the order of time.

use std::io;

use crate::entry::Entry;

/// One of the logs: its next entry; none at its end.
pub trait Source {
    /// # Errors
    /// It cannot be read.
    fn next(&mut self) -> io::Result<Option<Entry>>;
}

/// The entries of all sources: always the earliest of those that come next. So each source keeps its
/// own order, also where its clock was set back.
#[derive(Debug)]
pub struct Merge<'a, S> {
    sources: &'a mut [S],
    heads: Vec<Option<Entry>>,
}

impl<'a, S: Source> Merge<'a, S> {
    /// # Errors
    /// A source cannot be read.
    pub fn new(sources: &'a mut [S]) -> io::Result<Self> {
        let heads = sources.iter_mut().map(Source::next).collect::<io::Result<_>>()?;
        Ok(Self { sources, heads })
    }

    /// The next entry, and the place of its source.
    ///
    /// # Errors
    /// A source cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> io::Result<Option<(usize, Entry)>> {
        let heads = self.heads.iter().enumerate();
        let times = heads.filter_map(|(place, head)| Some((head.as_ref()?.time, place)));
        let Some((_, place)) = times.min() else {
            return Ok(None);
        };
        let next = self.sources[place].next()?;
        let earliest = std::mem::replace(&mut self.heads[place], next);
        Ok(earliest.map(|entry| (place, entry)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::VecDeque;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    impl Source for VecDeque<Entry> {
        fn next(&mut self) -> io::Result<Option<Entry>> {
            Ok(self.pop_front())
        }
    }

    /// A log of these seconds; where there is none, the line has no time.
    fn log(seconds: &[Option<i64>]) -> VecDeque<Entry> {
        let times = seconds.iter().map(|s| s.and_then(|s| DateTime::from_timestamp(s, 0)));
        let numbered = times.enumerate();
        numbered
            .map(|(number, time)| Entry { time, message: number.to_string(), ..Entry::default() })
            .collect()
    }

    fn merged(mut logs: Vec<VecDeque<Entry>>) -> Vec<(usize, Entry)> {
        let mut merge = Merge::new(&mut logs).unwrap();
        std::iter::from_fn(|| merge.next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_each_log_keeps_its_order(
            logs in prop::collection::vec(
                prop::collection::vec(prop::option::weighted(0.9, 0_i64..20), 0..20),
                0..5,
            )
        ) {
            let logs: Vec<_> = logs.iter().map(|seconds| log(seconds)).collect();
            let all = merged(logs.clone());
            for (place, log) in logs.iter().enumerate() {
                let of_it = all.iter().filter(|(source, _)| *source == place);
                let of_it: VecDeque<Entry> = of_it.map(|(_, entry)| entry.clone()).collect();
                prop_assert_eq!(&of_it, log);
            }
            prop_assert_eq!(all.len(), logs.iter().map(VecDeque::len).sum::<usize>());
        }

        #[test]
        fn logs_in_order_make_one_in_order(
            logs in prop::collection::vec(prop::collection::vec(0_i64..20, 0..20), 0..5)
        ) {
            let sorted = logs.into_iter().map(|mut seconds| {
                seconds.sort_unstable();
                log(&seconds.into_iter().map(Some).collect::<Vec<_>>())
            });
            let times: Vec<_> =
                merged(sorted.collect()).into_iter().map(|(_, entry)| entry.time).collect();
            prop_assert!(times.is_sorted());
        }
    }
}
