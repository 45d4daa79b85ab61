//! What goes from whom to whom, by the spans of the last minute.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::span::{Id, Kind, Span};

/// How far back is looked.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// How many calls of an edge are remembered for its percentile.
const CALLS_MAX: usize = 2_000;
/// Edges at most: names come from outside.
const EDGES_MAX: usize = 200;
/// How much later than its callee a service may tell of a call.
const CALLER_LIMIT: Duration = Duration::from_secs(4);
/// Requests whose caller is not known yet, and calls of services, that are remembered.
const PENDING_MAX: usize = 20_000;

/// Calls from one part of the system to another, over the last minute.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    /// `clients`, a service, or `queue …`.
    pub(crate) from: String,
    /// A service, `exchange …`, `postgres`, `redis`, or `host:port`.
    pub(crate) to: String,
    /// A second; of the broker's edges, messages.
    pub(crate) rate: f64,
    /// Nanoseconds, of 95 of 100.
    pub(crate) p95: u64,
    /// Of those, failed.
    pub(crate) errors: usize,
    pub(crate) calls: usize,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    at: Instant,
    took: u64,
    failed: bool,
    /// How many messages it was about; 1 of what is no message.
    weight: u32,
}

/// A request that came with a trace: of another service, which tells of it in time, or of a client that
/// traces, too.
#[derive(Debug)]
struct Request {
    parent: Id,
    service: String,
    call: Call,
}

/// The edges and their calls.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    calls: BTreeMap<(String, String), VecDeque<Call>>,
    requests: VecDeque<Request>,
    /// Calls that services have made over HTTP, by their spans.
    made: HashSet<Id>,
    made_order: VecDeque<(Instant, Id)>,
}

impl Edges {
    pub(super) fn observe(&mut self, span: &Span, now: Instant) {
        let weight = span.attribute("messaging.batch.message_count").parse().unwrap_or(1);
        let call = Call { at: now, took: span.took, failed: span.error.is_some(), weight };
        match (span.kind, span.parent) {
            (Kind::Server, Some(parent)) if self.requests.len() < PENDING_MAX => {
                self.requests.push_back(Request { parent, service: span.service.clone(), call });
            }
            (Kind::Client, _) if !span.attribute("http.request.method").is_empty() => {
                self.made.insert(span.id);
                self.made_order.push_back((now, span.id));
            }
            _ => {}
        }
        if let Some(edge) = ends(span) {
            self.add(edge, call);
        }
    }

    fn add(&mut self, edge: (String, String), call: Call) {
        if self.calls.len() >= EDGES_MAX && !self.calls.contains_key(&edge) {
            return;
        }
        let calls = self.calls.entry(edge).or_default();
        if calls.len() >= CALLS_MAX {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Takes requests that no service has made for those of clients.
    fn settle_requests(&mut self, now: Instant) {
        let is_over = |at: Instant, limit| now.duration_since(at) > limit;
        while let Some(request) =
            self.requests.pop_front_if(|request| is_over(request.call.at, CALLER_LIMIT))
        {
            if !self.made.contains(&request.parent) {
                self.add(("clients".to_owned(), request.service), request.call);
            }
        }
        while self.made_order.len() > PENDING_MAX
            || self.made_order.front().is_some_and(|(at, _)| is_over(*at, WINDOW))
        {
            if let Some((_, id)) = self.made_order.pop_front() {
                self.made.remove(&id);
            }
        }
    }

    /// All edges that had calls, by their ends.
    pub(crate) fn all(&mut self, now: Instant) -> Vec<Edge> {
        self.settle_requests(now);
        for calls in self.calls.values_mut() {
            while calls.front().is_some_and(|call| now.duration_since(call.at) > WINDOW) {
                calls.pop_front();
            }
        }
        let edges = self.calls.iter();
        edges.map(|((from, to), calls)| edge(from.clone(), to.clone(), calls, now)).collect()
    }
}

fn edge(from: String, to: String, calls: &VecDeque<Call>, now: Instant) -> Edge {
    let mut times: Vec<u64> = calls.iter().map(|call| call.took).collect();
    times.sort_unstable();
    let at = (times.len() * 95).div_ceil(100).saturating_sub(1);
    // A full memory holds less than the window.
    let oldest = calls.front().map_or(WINDOW, |call| now.duration_since(call.at));
    let covered = if calls.len() >= CALLS_MAX { oldest } else { WINDOW };
    // A sum of nothing would be minus zero.
    let weight = calls.iter().fold(0.0, |sum, call| sum + f64::from(call.weight));
    Edge {
        from,
        to,
        rate: weight / covered.as_secs_f64().max(0.001),
        p95: times.get(at).copied().unwrap_or_default(),
        errors: calls.iter().filter(|call| call.failed).count(),
        calls: calls.len(),
    }
}

/// From whom to whom a span goes; none of what stays within a service.
fn ends(span: &Span) -> Option<(String, String)> {
    let service = span.service.clone();
    let destination = span.attribute("messaging.destination.name");
    match span.kind {
        Kind::Producer | Kind::Client if !destination.is_empty() => {
            // What is written into the outbox is not sent yet.
            let is_sent = span.attribute("messaging.operation.type") == "send";
            // `exchange:routing key`; the exchange alone is a part of the system.
            let exchange = destination.split(':').next().unwrap_or_default();
            is_sent.then(|| (service, format!("exchange {exchange}")))
        }
        Kind::Consumer if !destination.is_empty() => {
            let queue = destination.rsplit(':').next().unwrap_or(destination);
            Some((format!("queue {queue}"), service))
        }
        Kind::Client => {
            let peer = span.attribute("peer.service");
            let host = span.attribute("server.address");
            let target = match span.attribute("db.system.name") {
                "postgresql" => "postgres".to_owned(),
                "" if !peer.is_empty() => peer.to_owned(),
                "" if host.is_empty() => return None,
                "" => format!("{host}:{}", span.attribute("server.port")),
                other => other.to_owned(),
            };
            Some((service, target))
        }
        // Of a request from outside of the system.
        Kind::Server if span.parent.is_none() => Some(("clients".to_owned(), service)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: Option<u8>, kind: Kind, attributes: &[(&str, &str)]) -> Span {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Span {
            trace: [1; 16],
            id: [id; 8],
            parent: parent.map(|parent| [parent; 8]),
            service: if id < 10 { "payment-service" } else { "user-service" }.to_owned(),
            name: String::new(),
            kind,
            began: 0,
            took: u64::from(id),
            error: id.is_multiple_of(2).then(String::new),
            attributes: attributes.collect(),
            events: vec![],
            links: vec![],
        }
    }

    fn told(edges: &mut Edges, now: Instant) -> Vec<(String, String, usize, usize)> {
        let told = edges.all(now).into_iter();
        told.map(|edge| (edge.from, edge.to, edge.calls, edge.errors)).collect()
    }

    #[test]
    fn a_request_with_a_trace_is_of_a_client_unless_a_service_has_made_it() {
        let mut edges = Edges::default();
        let now = Instant::now();
        let call = [
            ("http.request.method", "GET"),
            ("server.address", "127.0.0.1"),
            ("server.port", "3001"),
        ];
        edges.observe(&span(11, Some(1), Kind::Server, &[]), now);
        edges.observe(&span(12, Some(99), Kind::Server, &[]), now);
        edges.observe(&span(13, None, Kind::Server, &[]), now);
        // The caller tells of it after the callee.
        edges.observe(&span(1, Some(3), Kind::Client, &call), now + Duration::from_secs(1));
        let own =
            |from: &str, to: &str, calls, errors| (from.to_owned(), to.to_owned(), calls, errors);
        let between = own("payment-service", "127.0.0.1:3001", 1, 0);
        let expected = [own("clients", "user-service", 1, 0), between.clone()];
        assert_eq!(told(&mut edges, now + Duration::from_secs(2)), expected);
        let expected = [own("clients", "user-service", 2, 1), between];
        assert_eq!(told(&mut edges, now + CALLER_LIMIT + Duration::from_secs(1)), expected);
    }

    #[test]
    fn messages_are_counted_when_they_are_sent_and_by_the_queue_that_they_come_from() {
        let mut edges = Edges::default();
        let now = Instant::now();
        let named = |name, operation| {
            [("messaging.destination.name", name), ("messaging.operation.type", operation)]
        };
        edges.observe(&span(1, None, Kind::Producer, &named("a.events:b.made", "create")), now);
        let [name, operation] = named("a.events", "send");
        let batch = [name, operation, ("messaging.batch.message_count", "120")];
        edges.observe(&span(3, None, Kind::Client, &batch), now);
        let consumed = named("a.events:b.made:c.events", "process");
        edges.observe(&span(11, None, Kind::Consumer, &consumed), now);
        edges.observe(&span(5, None, Kind::Client, &[("db.system.name", "postgresql")]), now);
        let all = edges.all(now);
        let ends: Vec<_> = all.iter().map(|it| (it.from.as_str(), it.to.as_str())).collect();
        let expected = [
            ("payment-service", "exchange a.events"),
            ("payment-service", "postgres"),
            ("queue c.events", "user-service"),
        ];
        assert_eq!(ends, expected);
        assert!((all[0].rate - 2.0).abs() < 0.01, "{}", all[0].rate);
        assert_eq!(edges.all(now + WINDOW * 2)[0].calls, 0, "it is older than the window");
    }
}
