//! What goes from whom to whom, by the spans of the last minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::span::{Kind, Span};

/// How far back is looked.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// How many calls of an edge are remembered for its percentile.
const CALLS_MAX: usize = 2_000;
/// Edges at most: names come from outside.
const EDGES_MAX: usize = 200;

/// Calls from one part of the system to another, over the last minute.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    /// A second.
    pub(crate) rate: f64,
    /// Nanoseconds, of 95 of 100.
    pub(crate) p95: u64,
    /// Of those, failed.
    pub(crate) errors: usize,
    pub(crate) calls: usize,
}

#[derive(Debug)]
struct Call {
    at: Instant,
    took: u64,
    failed: bool,
}

/// The edges and their calls.
#[derive(Debug, Default)]
pub(crate) struct Edges(BTreeMap<(String, String), std::collections::VecDeque<Call>>);

impl Edges {
    pub(super) fn observe(&mut self, span: &Span, now: Instant) {
        let Some(edge) = ends(span) else { return };
        if self.0.len() >= EDGES_MAX && !self.0.contains_key(&edge) {
            return;
        }
        let calls = self.0.entry(edge).or_default();
        if calls.len() >= CALLS_MAX {
            calls.pop_front();
        }
        calls.push_back(Call { at: now, took: span.took, failed: span.error.is_some() });
    }

    /// All edges that had calls, by their ends.
    pub(crate) fn all(&mut self, now: Instant) -> Vec<Edge> {
        for calls in self.0.values_mut() {
            while calls.front().is_some_and(|call| now.duration_since(call.at) > WINDOW) {
                calls.pop_front();
            }
        }
        self.0
            .iter()
            .map(|((from, to), calls)| {
                let mut times: Vec<u64> = calls.iter().map(|call| call.took).collect();
                times.sort_unstable();
                let at = (times.len() * 95).div_ceil(100).saturating_sub(1);
                // A full memory holds less than the window.
                let oldest = calls.front().map_or(WINDOW, |call| now.duration_since(call.at));
                let covered = if calls.len() >= CALLS_MAX { oldest } else { WINDOW };
                #[expect(clippy::cast_precision_loss, reason = "some thousands")]
                let rate = calls.len() as f64 / covered.as_secs_f64().max(0.001);
                Edge {
                    from: from.clone(),
                    to: to.clone(),
                    rate,
                    p95: times.get(at).copied().unwrap_or_default(),
                    errors: calls.iter().filter(|call| call.failed).count(),
                    calls: calls.len(),
                }
            })
            .collect()
    }
}

/// From whom to whom a span goes; none of what stays within a service.
fn ends(span: &Span) -> Option<(String, String)> {
    let service = span.service.clone();
    let destination = span.attribute("messaging.destination.name");
    // `exchange:routing key` of what is published; the exchange alone is a part of the system.
    let exchange = destination.split(':').next().unwrap_or_default();
    match span.kind {
        Kind::Producer if !exchange.is_empty() => Some((service, format!("exchange {exchange}"))),
        Kind::Consumer if !destination.is_empty() => {
            let queue = destination.rsplit(':').next().unwrap_or(destination);
            Some((format!("queue {queue}"), service))
        }
        Kind::Client => {
            let database = span.attribute("db.system.name");
            let peer = span.attribute("peer.service");
            let host = span.attribute("server.address");
            let target = match database {
                "postgresql" => "postgres",
                "" if !peer.is_empty() => peer,
                "" if !exchange.is_empty() => {
                    return Some((service, format!("exchange {exchange}")));
                }
                "" => host,
                other => other,
            };
            (!target.is_empty()).then(|| (service, target.to_owned()))
        }
        // Of a request from outside of the system.
        Kind::Server if span.parent.is_none() => Some(("clients".to_owned(), service)),
        _ => None,
    }
}
