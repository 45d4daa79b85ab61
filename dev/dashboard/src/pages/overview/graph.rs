//! The parts of the system and what goes between them: what processes say, what RabbitMQ says, and what
//! spans tell, joined by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faults::{Fault, PROVIDER, Wires};

use super::layout::Column;
use super::topology::{Queue, Topology};
use crate::pages::shown;
use crate::spans::Edge;
use crate::system::{Seen, State};

/// From here on an edge is slow, in nanoseconds.
const SLOW: u64 = 500_000_000;
/// Errors from which on an edge is broken where other calls succeed.
const BROKEN_MIN: usize = 3;
/// Parts that are drawn: names of those that services call come from their settings.
const NODES_MAX: usize = 80;
/// The parts of the system that RabbitMQ is.
const BROKER: &str = "rabbitmq";
const SIMULATOR: &str = "payment-simulator";

/// A part of the system.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// As edges call it.
    pub(super) name: String,
    /// As it is shown.
    pub(super) label: String,
    pub(super) column: Column,
    /// How it fares, and the class of that.
    pub(super) lines: Vec<(String, &'static str)>,
    /// What goes wrong with it on purpose.
    pub(super) fault: Option<String>,
}

/// How an edge fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Slow,
    /// Some calls fail.
    Failing,
    /// Half of them or more.
    Broken,
    /// Nothing went over it of late.
    Quiet,
    /// A binding, of which spans tell nothing.
    Bound,
}

impl Health {
    fn of(edge: &Edge) -> Self {
        match edge {
            Edge { calls: 0, .. } => Self::Quiet,
            // One declined card of two breaks nothing.
            Edge { calls, errors, .. }
                if errors == calls || (*errors >= BROKEN_MIN && errors * 2 >= *calls) =>
            {
                Self::Broken
            }
            Edge { errors: 1.., .. } => Self::Failing,
            Edge { p95: SLOW.., .. } => Self::Slow,
            _ => Self::Good,
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Slow => "warn slow",
            Self::Failing => "warn failing",
            Self::Broken => "bad broken",
            Self::Quiet => "dim quiet",
            Self::Bound => "dim bound",
        }
    }
}

/// What goes from one part to another.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) from: String,
    pub(super) to: String,
    /// None of a binding.
    pub(super) calls: Option<Edge>,
    pub(super) health: Health,
}

impl Link {
    /// Rate, time and errors in a few letters.
    pub(super) fn label(&self) -> Option<String> {
        let Edge { rate, p95, errors, calls, .. } = self.calls.as_ref()?;
        let figures = format!("{} · {}", rate_of(*rate), shown::duration(*p95));
        Some(match self.health {
            Health::Good | Health::Bound => figures,
            Health::Slow => format!("slow · {figures}"),
            Health::Failing => format!("! {figures} · {errors} err"),
            Health::Broken => format!("✗ broken · {errors} of {calls} err"),
            Health::Quiet => "quiet".to_owned(),
        })
    }

    /// The same in a sentence.
    pub(super) fn sentence(&self) -> String {
        match &self.calls {
            None => "a binding".to_owned(),
            Some(Edge { calls: 0, .. }) => "nothing in the last minute".to_owned(),
            Some(Edge { rate, p95, errors, calls, .. }) => format!(
                "{}, 95 of 100 within {}, {errors} of {calls} failed",
                rate_of(*rate),
                shown::duration(*p95)
            ),
        }
    }
}

/// `1.2/s`, or `12/min` of what is rarer.
pub(super) fn rate_of(rate: f64) -> String {
    if rate >= 1.0 { format!("{rate:.1}/s") } else { format!("{:.0}/min", rate * 60.0) }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) links: Vec<Link>,
    /// RabbitMQ itself, where its exchanges and queues are known.
    pub(super) broker: Option<Node>,
}

/// What a graph is made of.
pub(super) struct Sources<'a> {
    pub(super) seen: &'a [Seen],
    pub(super) edges: Vec<Edge>,
    pub(super) broker: Option<&'a Topology>,
    pub(super) faults: &'a [Fault],
    /// The names of those who are reached at a port of this machine.
    pub(super) ports: &'a BTreeMap<u16, String>,
}

/// Who is reached at which port: by themselves, or by the wires of the proxy before them.
pub(super) fn ports(state: &State, folder: &Path) -> BTreeMap<u16, String> {
    let wires = std::fs::read(folder.join("wires.json")).unwrap_or_default();
    let wires: Wires = serde_json::from_slice(&wires).unwrap_or_default();
    let wires = wires.0.into_iter().map(|(name, wire)| (wire.port, name));
    let own = state.processes.iter().filter_map(|it| Some((it.port?, it.name.clone())));
    wires.chain(own).collect()
}

impl Graph {
    pub(super) fn of(sources: Sources<'_>) -> Self {
        let mut graph = Self::default();
        let faults = Marks(sources.faults);
        graph.nodes.push(plain("clients", Column::Clients));
        for seen in sources.seen {
            graph.add_process(seen, &faults, sources.broker.is_some());
        }
        if let Some(broker) = sources.broker {
            // Of a broker that `up` has not started, its management API tells.
            graph.broker.get_or_insert_with(|| faults.marked(plain(BROKER, Column::Servers)));
            graph.add_broker(broker);
        }
        for mut edge in sources.edges {
            edge.to = resolved(edge.to, sources.ports);
            let health = Health::of(&edge);
            let from = edge.from.clone();
            let to = edge.to.clone();
            graph.links.push(Link { from, to, calls: Some(edge), health });
        }
        graph.add_others(&faults);
        graph.sort();
        graph
    }

    /// Exchanges and queues in the order of the services whose names theirs begin with, so that fewer
    /// edges cross.
    fn sort(&mut self) {
        let first = |name: &str| name.split(['-', '.']).next().unwrap_or_default().to_owned();
        let is_service = |node: &&Node| node.column == Column::Services;
        let services: Vec<String> =
            self.nodes.iter().filter(is_service).map(|node| first(&node.label)).collect();
        self.nodes.sort_by_key(|node| {
            let is_ranked = matches!(node.column, Column::Exchanges | Column::Queues);
            let rank = services.iter().position(|name| is_ranked && *name == first(&node.label));
            (node.column, rank.unwrap_or(services.len()))
        });
    }

    fn add_process(&mut self, seen: &Seen, faults: &Marks<'_>, has_broker: bool) {
        let column = match seen.kind.as_str() {
            "service" => Column::Services,
            "simulator" => Column::Servers,
            "server" if seen.name != "epmd" => Column::Servers,
            _ => return,
        };
        let condition = &seen.condition;
        let state = (format!("{} {}", condition.sign(), condition.words()), condition.class());
        let node = faults.marked(Node { lines: vec![state], ..plain(&seen.name, column) });
        if seen.name == BROKER && has_broker {
            self.broker = Some(node);
        } else {
            self.nodes.push(node);
        }
    }

    fn add_broker(&mut self, broker: &Topology) {
        for exchange in &broker.exchanges {
            let node = plain(&format!("exchange {exchange}"), Column::Exchanges);
            let lines = vec![("exchange".to_owned(), "dim")];
            self.nodes.push(Node { label: exchange.clone(), lines, ..node });
        }
        for queue in &broker.queues {
            let node = plain(&format!("queue {}", queue.name), Column::Queues);
            self.nodes.push(Node { label: queue.name.clone(), lines: vec![depth(queue)], ..node });
        }
        for (exchange, queue) in &broker.bindings {
            self.links.push(Link {
                from: format!("exchange {exchange}"),
                to: format!("queue {queue}"),
                calls: None,
                health: Health::Bound,
            });
        }
    }

    /// Parts that only spans tell of: what is called outside of the system, and what the broker does not
    /// tell of while it is away. And servers that `up` has not started, with which something is wrong.
    fn add_others(&mut self, faults: &Marks<'_>) {
        let known: BTreeSet<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let callers: BTreeSet<&String> = self.links.iter().map(|link| &link.from).collect();
        let ends = self.links.iter().flat_map(|link| [&link.from, &link.to]);
        let mut others = BTreeMap::new();
        for name in ends.filter(|name| !known.contains(name.as_str())) {
            let column = match name.split_once(' ') {
                Some(("exchange", _)) => Column::Exchanges,
                Some(("queue", _)) => Column::Queues,
                _ if callers.contains(name) => Column::Services,
                _ => Column::Servers,
            };
            let label = name.split_once(' ').map_or(name.as_str(), |(_, label)| label);
            let node = faults.marked(Node { label: label.to_owned(), ..plain(name, column) });
            others.entry(name.clone()).or_insert(node);
        }
        let is_shown = |name: &str| known.contains(name) || name == PROVIDER;
        let is_broker = |name: &str| name == BROKER && self.broker.is_some();
        let faulty = faults.0.iter().map(|fault| fault.target.as_str());
        for name in faulty.filter(|name| !is_shown(name) && !is_broker(name)) {
            let node = || faults.marked(plain(name, Column::Servers));
            others.entry(name.to_owned()).or_insert_with(node);
        }
        let room = NODES_MAX.saturating_sub(self.nodes.len());
        self.nodes.extend(others.into_values().take(room));
    }
}

fn plain(name: &str, column: Column) -> Node {
    Node { name: name.to_owned(), label: name.to_owned(), column, lines: Vec::new(), fault: None }
}

/// Who is at `host:port`.
fn resolved(to: String, ports: &BTreeMap<u16, String>) -> String {
    let port = to.rsplit_once(':').filter(|(host, _)| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
    });
    let port = port.and_then(|(_, port)| port.parse().ok());
    port.and_then(|port: u16| ports.get(&port).cloned()).unwrap_or(to)
}

/// What waits in a queue.
fn depth(queue: &Queue) -> (String, &'static str) {
    let retries = format!(" · {} to retry", queue.retries);
    let retries = if queue.retries > 0 { retries } else { String::new() };
    let text = format!("{} waiting{retries}", queue.messages);
    if queue.dead_letters > 0 {
        return (format!("{text} · ! {} dead", queue.dead_letters), "bad");
    }
    if queue.consumers == 0 {
        return (format!("{text} · ! nobody reads"), "warn");
    }
    (format!("{text} · {}", rate_of(queue.rate)), "dim")
}

/// The faults, by whom they are of.
struct Marks<'a>(&'a [Fault]);

impl Marks<'_> {
    fn marked(&self, node: Node) -> Node {
        Node { fault: self.of(&node.name), ..node }
    }

    fn of(&self, name: &str) -> Option<String> {
        let is_of = |fault: &&Fault| {
            fault.target == name || (name == SIMULATOR && fault.target == PROVIDER)
        };
        let whats: Vec<String> =
            self.0.iter().filter(is_of).map(|fault| fault.kind.to_string()).collect();
        (!whats.is_empty()).then(|| whats.join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, calls: usize, errors: usize, p95: u64) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned(), rate: 0.5, p95, errors, calls }
    }

    fn graph(edges: Vec<Edge>, broker: Option<&Topology>) -> Graph {
        let ports = BTreeMap::from([(3001, "user-service".to_owned())]);
        Graph::of(Sources { seen: &[], edges, broker, faults: &[], ports: &ports })
    }

    #[test]
    fn spans_join_with_what_the_broker_and_the_ports_say() {
        let queue = Queue { name: "payment-service.events".to_owned(), ..Queue::default() };
        let broker = Topology {
            exchanges: vec!["user.events".to_owned()],
            queues: vec![queue],
            bindings: vec![("user.events".to_owned(), "payment-service.events".to_owned())],
        };
        let edges = vec![
            edge("user-service", "exchange user.events", 1, 0, 1),
            edge("queue payment-service.events", "payment-service", 1, 0, 1),
            edge("payment-service", "127.0.0.1:3001", 1, 0, 1),
            edge("payment-service", "mail.example:587", 1, 0, 1),
        ];
        let graph = graph(edges, Some(&broker));
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        let expected = [
            "clients",
            "payment-service",
            "user-service",
            "exchange user.events",
            "queue payment-service.events",
            "mail.example:587",
        ];
        assert_eq!(names, expected);
        assert_eq!(graph.nodes[4].lines[0].0, "0 waiting · ! nobody reads");
        assert!(graph.links.iter().any(|link| link.to == "user-service"));
    }

    #[test]
    fn an_edge_says_in_words_what_is_not_well_with_it() {
        let label = |calls, errors, p95| {
            graph(vec![edge("a", "b", calls, errors, p95)], None).links[0].label().unwrap()
        };
        assert_eq!(label(10, 0, 2_000_000), "30/min · 2.0 ms");
        assert_eq!(label(10, 0, SLOW), "slow · 30/min · 500.0 ms");
        assert_eq!(label(10, 4, 2_000_000), "! 30/min · 2.0 ms · 4 err");
        assert_eq!(label(10, 5, 2_000_000), "✗ broken · 5 of 10 err");
        assert_eq!(label(2, 1, 2_000_000), "! 30/min · 2.0 ms · 1 err");
        assert_eq!(label(1, 1, 2_000_000), "✗ broken · 1 of 1 err");
        assert_eq!(label(0, 0, 0), "quiet");
    }

    #[test]
    fn a_server_of_others_is_shown_when_something_is_wrong_with_it() {
        let faults: Vec<Fault> =
            serde_json::from_str(r#"[{"target":"redis","kind":"freeze","since_ms":1}]"#).unwrap();
        let ports = BTreeMap::new();
        for edges in [vec![], vec![edge("user-service", "redis", 1, 0, 5)]] {
            let graph = Graph::of(Sources {
                seen: &[],
                edges,
                broker: None,
                faults: &faults,
                ports: &ports,
            });
            let node = graph.nodes.iter().find(|node| node.name == "redis").unwrap();
            assert!(node.fault.is_some());
        }
    }

    #[test]
    fn a_fault_of_the_provider_marks_its_simulator() {
        let faults: Vec<Fault> = serde_json::from_str(
            r#"[{"target": "provider", "kind": "fail", "status": 503, "since_ms": 1},
                {"target": "payment-simulator", "kind": "cut", "since_ms": 1}]"#,
        )
        .unwrap();
        let marks = Marks(&faults);
        assert_eq!(marks.of(SIMULATOR).unwrap(), "answering every call with 503, cut");
        assert_eq!(marks.of("redis"), None);
    }
}
