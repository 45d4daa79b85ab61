//! Traces: the list, the waterfall of one, two of them side by side, and the runs they are of.

mod compare;
mod list;
mod runs;
mod span;
mod waterfall;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use serde::Deserialize;

use crate::app::App;
use crate::spans::{self, Run};

use super::link;

pub(crate) use list::Question;
pub(crate) use waterfall::find;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/traces", get(list::show))
        .route("/traces/find", get(waterfall::by_id))
        .route("/traces/compare", get(compare::show))
        .route("/traces/{id}", get(waterfall::show))
        .route("/runs", get(runs::show))
        .route("/runs/{name}/export", get(runs::export))
        .route("/runs/import", post(runs::import).layer(DefaultBodyLimit::disable()))
}

/// Which run is asked for: the current one when none is named.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OfRun {
    run: String,
}

impl OfRun {
    /// The page of a trace of it.
    fn trace(&self, trace: &str) -> String {
        link::link(&format!("/traces/{trace}"), &[("run", &self.run)])
    }
}

/// Looks at a run on a thread that may wait; none where there is no such run.
pub(crate) async fn look<T: Send + 'static>(
    app: &App,
    run: &str,
    look: impl FnOnce(&Run) -> T + Send + 'static,
) -> Option<T> {
    let app = App::clone(app);
    let run = run.to_owned();
    let looked = tokio::task::spawn_blocking(move || app.runs.with(Some(&run), look));
    looked.await.ok().flatten()
}

/// The colour and the sign of a service, among those of a page.
#[derive(Debug, Default)]
struct Signs(Vec<String>);

impl Signs {
    const ALL: [&'static str; 8] = ["●", "■", "▲", "◆", "○", "□", "△", "◇"];

    fn of(spans: &[spans::Span]) -> Self {
        let mut services = Vec::new();
        for span in spans {
            if !services.contains(&span.service) && services.len() < 64 {
                services.push(span.service.clone());
            }
        }
        services.sort_unstable();
        Self(services)
    }

    /// Its class, and its sign.
    fn get(&self, service: &str) -> (String, &'static str) {
        let place = self.0.iter().position(|it| it == service).unwrap_or_default();
        let place = place % Self::ALL.len();
        (format!("c{place}"), Self::ALL[place])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
