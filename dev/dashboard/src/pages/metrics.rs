//! Metrics: what is looked at most as charts on one page, and any other.

mod chart;
mod charts;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use self::chart::Chart;
use super::{Asked, page};
use crate::app::App;
use crate::metrics::{Lines, Measure, Series, labels};

pub(crate) fn router() -> Router<App> {
    Router::new().route("/metrics", get(show))
}

/// What is asked for; the same in the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Question {
    /// Minutes: 5, 15 or 30.
    pub(crate) range: String,
    service: String,
    /// A metric beside the charts.
    #[serde(alias = "name")]
    pub(crate) metric: String,
    /// Of its labels: `name=value` or a text that they hold.
    labels: String,
    /// `on` for how much it grows in a second.
    rate: String,
}

impl Question {
    fn minutes(&self) -> usize {
        match self.range.as_str() {
            "5" => 5,
            "30" => 30,
            _ => 15,
        }
    }

    /// Rounds of asking: one every five seconds.
    fn rounds(&self) -> usize {
        self.minutes() * 12
    }

    fn is_of(&self, series: &Series) -> bool {
        self.service.is_empty() || series.service == self.service
    }

    /// The series of the metric that is asked for, a line each.
    pub(crate) fn lines(&self, app: &App) -> Lines {
        let is_rate = !matches!(self.rate.as_str(), "" | "off" | "false");
        let measure = if is_rate { Measure::Rate } else { Measure::Value };
        app.metrics.sums(&self.metric, self.rounds(), measure, |series| {
            let is_asked = self.is_of(series) && has_labels(&series.labels, &self.labels);
            is_asked.then(|| format!("{} {}", series.service, series.labels).trim_end().to_owned())
        })
    }
}

/// Whether labels are as asked: `name=value`, several with spaces between them, or a text.
fn has_labels(there: &str, asked: &str) -> bool {
    asked.split_whitespace().all(|asked| match asked.split_once('=') {
        Some((name, value)) => {
            let value = value.trim_matches('"');
            labels(there).iter().any(|(found, is)| *found == name && is == value)
        }
        None => there.contains(asked),
    })
}

async fn show(State(app): State<App>, Query(question): Query<Question>, asked: Asked) -> Response {
    let drawing = App::clone(&app);
    let drawn = tokio::task::spawn_blocking(move || draw(&drawing, &question)).await;
    let main = drawn.unwrap_or_else(|_| html! { p.fault { "The charts cannot be shown." } });
    page(&app, &asked, "Metrics", &main)
}

fn draw(app: &App, question: &Question) -> Markup {
    let any = (!question.metric.is_empty()).then(|| Chart {
        id: "any",
        title: question.metric.clone(),
        unit: chart::Unit::of(&question.metric),
        lines: question.lines(app),
    });
    html! {
        (form(app, question))
        @if let Some(chart) = any { div.charts { (chart.draw(&question.service)) } }
        div.charts { @for chart in charts::all(app, question) { (chart.draw(&question.service)) } }
    }
}

fn form(app: &App, question: &Question) -> Markup {
    let services = app.metrics.services();
    html! {
        form.fields action="/metrics" {
            label for="range" { "Last" }
            select #range name="range" { @for minutes in [5, 15, 30] { option value=(minutes) selected[minutes == question.minutes()] { (minutes) " minutes" } } }
            label for="service" { "Service" }
            select #service name="service" { option value="" { "all" } @for service in &services { option selected[*service == question.service] { (service) } } }
            label for="metric" { "Another metric" }
            select #metric name="metric" { option value="" { "none" } @for name in app.metrics.names() { option selected[name == question.metric] { (name) } } }
            label for="labels" { "with labels" }
            input #labels name="labels" type="search" placeholder="name=value" value=(question.labels);
            label { input name="rate" type="checkbox" checked[!question.rate.is_empty()]; " per second" }
            button { "Show" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_labels;

    #[test]
    fn labels_are_asked_for_by_name_or_by_a_text() {
        let there = r#"http_route="/api/users",http_request_method="GET""#;
        for (asked, expected) in [
            ("", true),
            ("http_request_method=GET", true),
            ("http_request_method=\"GET\" http_route=/api/users", true),
            ("http_request_method=POST", false),
            ("users", true),
            ("payments", false),
        ] {
            assert_eq!(has_labels(there, asked), expected, "{asked}");
        }
    }
}
