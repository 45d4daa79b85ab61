//! A chart: lines over time, drawn by the server.

use std::fmt::Write as _;

use chrono::DateTime;
use maud::{Markup, html};

use super::super::link::link;
use super::super::shown;
use crate::metrics::Lines;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 20.0;
/// Lines of one chart.
const LINES_MAX: usize = 16;
/// Parts of it that tell their values and lead to the traces of their time.
const COLUMNS: usize = 30;
/// Colours and dashes.
const STYLES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Number,
    Seconds,
    Bytes,
}

impl Unit {
    /// By what Prometheus asks a name to end with.
    pub(super) fn of(metric: &str) -> Self {
        let name = metric.trim_end_matches("_sum");
        match name.rsplit('_').next() {
            Some("seconds") => Self::Seconds,
            Some("bytes") => Self::Bytes,
            _ => Self::Number,
        }
    }

    fn show(self, value: f64) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "three digits are shown"
        )]
        let whole = |value: f64| value.clamp(0.0, 1e19) as u64;
        match self {
            _ if value.is_nan() => "–".to_owned(),
            _ if value == 0.0 => "0".to_owned(),
            Self::Seconds if value < 1e9 => shown::duration(whole(value * 1e9)),
            Self::Bytes => shown::bytes(whole(value)),
            _ if value.abs() >= 100.0 => format!("{value:.0}"),
            _ => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        }
    }
}

pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) unit: Unit,
    pub(super) lines: Lines,
}

impl Chart {
    pub(super) fn draw(&self, service: &str) -> Markup {
        let lines: Vec<(&String, &Vec<f64>)> = self.lines.lines.iter().take(LINES_MAX).collect();
        let left_out = self.lines.lines.len() - lines.len();
        let drawn = lines.iter().flat_map(|(_, values)| values.iter().copied());
        let top = nice(drawn.filter(|value| value.is_finite()).fold(0.0, f64::max));
        html! {
            figure.chart id=(format!("chart-{}", self.id)) data-live {
                figcaption { h2 { (self.title) } }
                @if lines.is_empty() {
                    p.dim { "Nothing yet." }
                } @else {
                    (self.svg(&lines, top, service))
                    (self.legend(&lines))
                    @if left_out > 0 { p.dim { "and " (left_out) " more; ask for fewer" } }
                    p { a href=(self.traces(0, self.lines.times.len(), service)) { "Traces of this time" } }
                }
            }
        }
    }

    fn svg(&self, lines: &[(&String, &Vec<f64>)], top: f64, service: &str) -> Markup {
        let bottom = HEIGHT - BOTTOM;
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.spoken(lines)) {
                @for part in [0.0, 0.5, 1.0] {
                    @let y = bottom - (bottom - TOP) * part;
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                    text x=(LEFT - 6.0) y=(y + 4.0) text-anchor="end" { (self.unit.show(top * part)) }
                }
                @for (place, anchor) in [(0, "start"), (self.lines.times.len() / 2, "middle"), (self.lines.times.len() - 1, "end")] {
                    text x=(self.x(place)) y=(HEIGHT - 4.0) text-anchor=(anchor) { (clock(self.lines.times[place])) }
                }
                @for (place, (_, values)) in lines.iter().enumerate() {
                    path class=(format!("line l{}", place % STYLES)) d=(self.path(values, top)) {}
                }
                (self.columns(lines, service))
            }
        }
    }

    fn x(&self, place: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let part = place as f64 / (self.lines.times.len().saturating_sub(1)).max(1) as f64;
        LEFT + (WIDTH - LEFT - RIGHT) * part
    }

    /// A line with gaps where there is no value.
    fn path(&self, values: &[f64], top: f64) -> String {
        let bottom = HEIGHT - BOTTOM;
        let mut path = String::new();
        let mut is_down = false;
        for (place, value) in values.iter().enumerate().take(self.lines.times.len()) {
            if !value.is_finite() {
                is_down = false;
                continue;
            }
            let y = bottom - (bottom - TOP) * (value / top).clamp(0.0, 1.0);
            let step = if is_down { 'L' } else { 'M' };
            let _never_fails = write!(path, "{step}{:.1} {y:.1}", self.x(place));
            // One point alone is a dot: a line of no length with round ends.
            if !is_down {
                path.push_str("h0");
            }
            is_down = true;
        }
        path
    }

    /// What the pointer is told, and where it leads.
    fn columns(&self, lines: &[(&String, &Vec<f64>)], service: &str) -> Markup {
        let count = self.lines.times.len();
        let step = count.div_ceil(COLUMNS).max(1);
        html! {
            @for from in (0..count).step_by(step) {
                @let to = (from + step).min(count);
                @let x = self.x(from);
                a href=(self.traces(from, to, service)) tabindex="-1" {
                    rect.hit x=(format!("{x:.1}")) y=(TOP) width=(format!("{:.1}", (self.x(to) - x).clamp(1.0, (WIDTH - RIGHT - x).max(1.0)))) height=(HEIGHT - BOTTOM - TOP) {
                        title { (clock(self.lines.times[to - 1])) @for (label, values) in lines { "\n" (label) ": " (self.unit.show(values.get(to - 1).copied().unwrap_or(f64::NAN))) } }
                    }
                }
            }
        }
    }

    /// The list of traces from this round to before that one.
    fn traces(&self, from: usize, to: usize, service: &str) -> String {
        let time = |place: usize| {
            // Spans are older than the figure that counts them.
            let at = self.lines.times.get(place).copied().unwrap_or_default();
            DateTime::from_timestamp_millis(at - 5_000).unwrap_or_default()
        };
        let text =
            |time: DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let until = if to < self.lines.times.len() { text(time(to)) } else { String::new() };
        link("/traces", &[("since", &text(time(from))), ("until", &until), ("service", service)])
    }

    fn legend(&self, lines: &[(&String, &Vec<f64>)]) -> Markup {
        html! {
            table.legend {
                thead { tr { th scope="col" { "line" } th.number scope="col" { "now" } th.number scope="col" { "most" } } }
                tbody {
                    @for (place, (label, values)) in lines.iter().enumerate() {
                        tr {
                            th scope="row" {
                                svg.key viewBox="0 0 30 8" aria-hidden="true" { path class=(format!("line l{}", place % STYLES)) d="M1 4H29" {} }
                                " " (label)
                            }
                            td.number { (self.unit.show(values.last().copied().unwrap_or(f64::NAN))) }
                            td.number { (self.unit.show(most(values))) }
                        }
                    }
                }
            }
        }
    }

    /// The same for whoever does not see it.
    fn spoken(&self, lines: &[(&String, &Vec<f64>)]) -> String {
        let mut text = self.title.clone();
        for (label, values) in lines {
            let now = self.unit.show(values.last().copied().unwrap_or(f64::NAN));
            let _never_fails =
                write!(text, "; {label} now {now}, at most {}", self.unit.show(most(values)));
        }
        text
    }
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().filter(|value| value.is_finite()).fold(f64::NAN, f64::max)
}

/// `09:30:05`, UTC.
fn clock(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default().format("%H:%M:%S").to_string()
}

/// The next 1, 2 or 5 of a power of ten.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= most).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> Chart {
        let times = (0..).map(|at| at * 5_000).take(values.len()).collect();
        let lines = [("<a>".to_owned(), values.to_vec())].into();
        Chart { id: "x", title: "X".into(), unit: Unit::Seconds, lines: Lines { times, lines } }
    }

    #[test]
    fn a_line_has_gaps_and_its_text_is_escaped() {
        let chart = chart(&[0.0, 0.1, f64::NAN, 0.2]);
        let lines: Vec<_> = chart.lines.lines.iter().collect();
        let path = chart.path(lines[0].1, 0.2);
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert_eq!(path, "M62.0 150.0h0L225.3 79.0M552.0 8.0h0");
        let drawn = chart.draw("a&b").into_string();
        assert!(drawn.contains("&lt;a&gt;: 200.0 ms") && !drawn.contains("<a>:"), "{drawn}");
        assert!(drawn.contains("service=a%26b"), "{drawn}");
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (most, expected) in
            [(0.0, 1.0), (0.03, 0.05), (1.0, 1.0), (7.0, 10.0), (1_200.0, 2_000.0)]
        {
            assert!((nice(most) - expected).abs() < expected * 1e-9, "{most}: {}", nice(most));
        }
    }

    #[test]
    fn values_are_shown_in_their_units() {
        assert_eq!(Unit::of("process_resident_memory_bytes"), Unit::Bytes);
        assert_eq!(Unit::of("x_duration_seconds_sum"), Unit::Seconds);
        for (unit, value, expected) in [
            (Unit::Number, 2.5, "2.5"),
            (Unit::Number, 1_234.0, "1234"),
            (Unit::Seconds, 0.0123, "12.3 ms"),
            (Unit::Bytes, 2_097_152.0, "2.0 MiB"),
            (Unit::Number, f64::NAN, "–"),
        ] {
            assert_eq!(unit.show(value), expected);
        }
    }
}
