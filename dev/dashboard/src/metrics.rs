//! Each service's metrics, asked every few seconds and kept for half an hour.
//!
//! Most series do not change from one time to the next, so that only changes are kept.

mod exposition;
mod query;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::App;
pub(crate) use exposition::{Sample, label, labels, parse};
pub(crate) use query::{Lines, Measure};

/// How often.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Rounds that are kept: half an hour.
const ROUNDS_MAX: usize = 360;
/// Series of all services; later ones are left out.
const SERIES_MAX: usize = 20_000;
/// The series of each service that is 1 for as long as it answers.
const UP: &str = "up";

/// A series: whose it is, its name, its labels as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) service: String,
    pub(crate) name: String,
    /// `method="GET",http_route="/api/users"`.
    pub(crate) labels: String,
}

/// The rounds in which a series became another, and what it was from then on; not a number from where it
/// was not given any more.
#[derive(Debug, Default)]
struct Changes {
    values: VecDeque<(u32, f64)>,
    /// The round in which it was given last.
    given: u32,
}

impl Changes {
    fn put(&mut self, round: u32, value: f64) {
        let is_same = |last: &(u32, f64)| last.1.to_bits() == value.to_bits();
        if !self.values.back().is_some_and(is_same) {
            self.values.push_back((round, value));
        }
    }

    /// Leaves out what was before this round.
    fn forget(&mut self, first: u32) {
        while self.values.get(1).is_some_and(|(round, _)| *round <= first) {
            self.values.pop_front();
        }
    }

    fn is_gone(&self, first: u32) -> bool {
        self.values.len() == 1 && self.values.iter().all(|it| it.1.is_nan() && it.0 <= first)
    }

    /// Its value in each of these rounds.
    fn values(&self, rounds: std::ops::Range<u32>) -> Vec<f64> {
        let mut next = self.values.iter().peekable();
        let mut now = f64::NAN;
        rounds
            .map(|round| {
                while let Some((_, value)) = next.next_if(|(from, _)| *from <= round) {
                    now = *value;
                }
                now
            })
            .collect()
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// When each round was, in milliseconds since 1970.
    times: VecDeque<i64>,
    /// The number of the first of them.
    first: u32,
    series: HashMap<Series, Changes>,
}

/// What was scraped.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Kept>);

impl History {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a round: what each service that answered has said.
    fn add(&self, at: i64, answers: &[(String, String)]) {
        let mut kept = self.kept();
        let Kept { times, first, series } = &mut *kept;
        let round = *first + u32::try_from(times.len()).unwrap_or_default();
        times.push_back(at);
        for (service, text) in answers {
            let up = Sample { name: UP, labels: "", value: 1.0 };
            for sample in std::iter::once(up).chain(parse(text)) {
                let of_it = Series {
                    service: service.clone(),
                    name: sample.name.to_owned(),
                    labels: sample.labels.to_owned(),
                };
                if series.len() >= SERIES_MAX && !series.contains_key(&of_it) {
                    continue;
                }
                let changes = series.entry(of_it).or_default();
                changes.put(round, sample.value);
                changes.given = round;
            }
        }
        if times.len() > ROUNDS_MAX {
            times.pop_front();
            *first += 1;
        }
        let first = *first;
        series.retain(|_, changes| {
            if changes.given != round {
                changes.put(round, f64::NAN);
            }
            changes.forget(first);
            !changes.is_gone(first)
        });
    }

    /// The names that there are.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.kept().series.keys().map(|series| series.name.clone()).collect()
    }

    /// The services that have answered.
    pub(crate) fn services(&self) -> BTreeSet<String> {
        let kept = self.kept();
        let up = kept.series.keys().filter(|series| series.name == UP);
        up.map(|series| series.service.clone()).collect()
    }
}

/// Asks the services for their metrics, again and again.
pub(crate) async fn scrape(app: App) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let state = app.system.now();
        let now = chrono::Utc::now().timestamp_millis();
        let mut answers = Vec::new();
        for process in state.services() {
            let Some(url) = process.url() else { continue };
            let asked = app.http.get(format!("{url}/metrics")).send().await;
            // One that is down has a gap in its lines.
            let Ok(Ok(text)) = (match asked {
                Ok(response) => Ok(response.text().await),
                Err(error) => Err(error),
            }) else {
                continue;
            };
            answers.push((process.name.clone(), text));
        }
        let keeper = app.clone();
        let kept = tokio::task::spawn_blocking(move || keeper.metrics.add(now, &answers));
        // One round that is missing is a gap.
        let _gap = kept.await;
        app.runs.forget_earlier();
    }
}
