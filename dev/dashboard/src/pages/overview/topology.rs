//! Exchanges and queues as parts of the graph: each queue with those that belong to it.

use crate::broker::{self, Broker};

/// What the broker has.
#[derive(Debug, Default)]
pub(super) struct Topology {
    /// Those that events are sent to, by name.
    pub(super) exchanges: Vec<String>,
    /// Those that events are read from, by name.
    pub(super) queues: Vec<Queue>,
    /// From which exchange to which queue, once for each pair.
    pub(super) bindings: Vec<(String, String)>,
}

/// A queue with those that belong to it: where its messages wait for another attempt, and where they go
/// when there is none left.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Queue {
    pub(super) name: String,
    /// Messages that wait for a consumer, or that one has and has not answered.
    pub(super) messages: u64,
    pub(super) consumers: u64,
    /// Messages a second that come in.
    pub(super) rate: f64,
    /// Messages that wait for another attempt.
    pub(super) retries: u64,
    /// Messages that were given up on.
    pub(super) dead_letters: u64,
}

impl Topology {
    pub(super) fn of(broker: &Broker) -> Self {
        let own = broker.exchanges.iter().filter(|it| it.kind == "topic");
        let mut exchanges: Vec<String> = own.map(|it| it.name.clone()).collect();
        exchanges.sort_unstable();
        let queues = together(&broker.queues);
        let mut bindings: Vec<(String, String)> = broker
            .bindings
            .iter()
            .filter(|it| exchanges.contains(&it.source))
            .filter(|it| queues.iter().any(|queue| queue.name == it.destination))
            .map(|it| (it.source.clone(), it.destination.clone()))
            .collect();
        bindings.sort_unstable();
        bindings.dedup();
        Self { exchanges, queues, bindings }
    }
}

/// The queues that consumers read from, each with what its retry and dead-letter queues hold.
fn together(all: &[broker::Queue]) -> Vec<Queue> {
    // `<queue>.retry.<ms>`, `<queue>.dead-letters`, and what goes with that.
    let owner = |name: &str| {
        let at = [".retry.", ".dead-letters"].iter().find_map(|mark| name.find(mark));
        at.map(|at| name[..at].to_owned())
    };
    let own = all.iter().filter(|it| owner(&it.name).is_none());
    own.map(|it| {
        let of_it = || all.iter().filter(|other| owner(&other.name).as_ref() == Some(&it.name));
        let sum = |is_meant: fn(&str) -> bool| {
            of_it().filter(|other| is_meant(&other.name)).map(|other| other.messages).sum()
        };
        Queue {
            name: it.name.clone(),
            messages: it.messages,
            consumers: it.consumers,
            rate: it.message_stats.published.rate,
            retries: sum(|name| name.contains(".retry.")),
            dead_letters: sum(|name| name.ends_with(".dead-letters")),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_reported_with_what_its_retries_and_dead_letters_hold() {
        let queue = |name: &str, messages| broker::Queue {
            name: name.to_owned(),
            messages,
            ..broker::Queue::default()
        };
        let queues = together(&[
            queue("user-service.events.retry.5000", 2),
            queue("user-service.events", 1),
            queue("user-service.events.retry.60000", 3),
            queue("payment-service.events.dead-letters", 9),
            queue("user-service.events.dead-letters", 4),
            queue("user-service.events.dead-letters.turn", 1),
            queue("a queue of somebody else", 0),
        ]);
        let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(names, ["user-service.events", "a queue of somebody else"]);
        let Queue { messages, retries, dead_letters, .. } = queues[0];
        assert_eq!((messages, retries, dead_letters), (1, 5, 4));
    }
}
