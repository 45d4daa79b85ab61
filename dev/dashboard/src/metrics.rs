//! Each service's metrics, asked every few seconds and kept for half an hour.

mod exposition;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::app::App;
pub(crate) use exposition::{Sample, parse};

/// How often.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Points of one series: half an hour.
const POINTS_MAX: usize = 360;
/// Series of all services; later ones are left out.
const SERIES_MAX: usize = 20_000;

/// A series: whose it is, its name, its labels as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) service: String,
    pub(crate) name: String,
    /// `method="GET",http_route="/api/users"`.
    pub(crate) labels: String,
}

/// Values of a series: when, in milliseconds since 1970, and what.
pub(crate) type Points = VecDeque<(i64, f64)>;

/// What was scraped.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<HashMap<Series, Points>>);

impl History {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn add(&self, service: &str, at: i64, samples: Vec<Sample<'_>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in samples {
            let series = Series {
                service: service.to_owned(),
                name: sample.name.to_owned(),
                labels: sample.labels.to_owned(),
            };
            if all.len() >= SERIES_MAX && !all.contains_key(&series) {
                continue;
            }
            let points = all.entry(series).or_default();
            points.push_back((at, sample.value));
            if points.len() > POINTS_MAX {
                points.pop_front();
            }
        }
    }

    /// Series that were not given any more for as long as is kept.
    fn forget(&self, now: i64) {
        let kept = i64::try_from(INTERVAL.as_millis()).unwrap_or_default() * 360;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, points| points.back().is_some_and(|(at, _)| now - at < kept));
    }

    /// The series of this name with their points.
    pub(crate) fn named(&self, name: &str) -> BTreeMap<Series, Points> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = all.iter().filter(|(series, _)| series.name == name);
        of_it.map(|(series, points)| (series.clone(), points.clone())).collect()
    }

    /// The names that there are.
    pub(crate) fn names(&self) -> std::collections::BTreeSet<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys().map(|series| series.name.clone()).collect()
    }

    /// The last value of each series of this name.
    pub(crate) fn last(&self, name: &str) -> BTreeMap<Series, f64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = all.iter().filter(|(series, _)| series.name == name);
        of_it.filter_map(|(series, points)| Some((series.clone(), points.back()?.1))).collect()
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
            app.metrics.add(&process.name, now, parse(&text));
        }
        app.metrics.forget(now);
    }
}
