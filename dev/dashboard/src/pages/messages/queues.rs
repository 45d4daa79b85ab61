//! Queues, exchanges and what leads from one to the other.

use maud::{Markup, html};

use crate::broker::{Broker, Queue};
use crate::pages::shown;

pub(super) fn queues(broker: &Broker) -> Markup {
    let (helpers, own): (Vec<&Queue>, Vec<&Queue>) =
        broker.queues.iter().partition(|queue| is_helper(&queue.name));
    html! {
        div.wide { table {
            (head("waits to be tried again"))
            tbody #queues data-live="items" { @for queue in own { (row(queue, Some(retried(queue, &helpers)))) } }
        } }
        details {
            summary { "Queues of what is tried again, and of turns" }
            div.wide { table {
                (head(""))
                tbody #helper-queues data-live="items" { @for queue in &helpers { (row(queue, None)) } }
            } }
        }
        p.dim { "RabbitMQ renews these figures every five seconds." }
    }
}

/// Whether a queue belongs to another one: messages wait in it for their next attempt, or it tells whose
/// turn it is to look into dead letters.
fn is_helper(name: &str) -> bool {
    name.contains(".retry.") || name.rsplit('.').next() == Some("turn")
}

/// Messages of a queue that wait for their next attempt.
fn retried(queue: &Queue, helpers: &[&Queue]) -> u64 {
    let beginning = format!("{}.retry.", queue.name);
    helpers.iter().filter(|it| it.name.starts_with(&beginning)).map(|it| it.messages).sum()
}

fn head(retried: &str) -> Markup {
    html! { thead { tr {
        th scope="col" { "queue" } th scope="col" { "type" } th scope="col" { "state" }
        th.number scope="col" { "ready" } th.number scope="col" { "in flight" }
        @if !retried.is_empty() { th.number scope="col" { (retried) } }
        th.number scope="col" { "size" } th.number scope="col" { "consumers" }
        th.number scope="col" { "in / s" } th.number scope="col" { "delivered / s" }
        th.number scope="col" { "acked / s" } th.number scope="col" { "again / s" }
    } } }
}

fn row(queue: &Queue, retried: Option<u64>) -> Markup {
    let rates = &queue.message_stats;
    let is_dead = queue.name.ends_with(".dead-letters");
    let is_unread = queue.consumers == 0 && !is_dead && !is_helper(&queue.name);
    html! { tr id=(format!("q-{}", queue.name)) {
        th scope="row" { (queue.name) }
        td { (queue.kind) }
        td { (queue.state) @if is_unread { " " span.bad { "⚠ nobody reads it" } } }
        td.number { @if is_dead && queue.messages > 0 { span.bad { "⚠ " } } (queue.messages_ready) }
        td.number { (queue.messages_unacknowledged) }
        @if let Some(retried) = retried { td.number { (retried) } }
        td.number { (shown::bytes(queue.message_bytes)) }
        td.number { (queue.consumers) }
        @for rate in [&rates.published, &rates.delivered, &rates.acknowledged, &rates.redelivered] {
            td.number { (format!("{:.1}", rate.rate)) }
        }
    } }
}

/// Exchanges and bindings.
pub(super) fn routes(broker: &Broker) -> Markup {
    html! {
        h2 { "Exchanges" }
        div.wide { table {
            thead { tr { th scope="col" { "exchange" } th scope="col" { "type" }
                th.number scope="col" { "in / s" } th scope="col" { "leads to, by routing key" } } }
            tbody #exchanges data-live="items" { @for it in &broker.exchanges { tr id=(format!("x-{}", it.name)) {
                th scope="row" { (it.name) }
                td { (it.kind) }
                td.number { (format!("{:.1}", it.message_stats.came_in.rate)) }
                td { ul.plain { @for binding in broker.bindings.iter().filter(|binding| binding.source == it.name) {
                    li { code { (binding.routing_key) } " → " (binding.destination) } } } }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_next_attempt_counts_for_its_queue() {
        let queue =
            |name: &str, messages| Queue { name: name.into(), messages, ..Queue::default() };
        let broker = Broker {
            queues: vec![
                queue("a.events", 1),
                queue("a.events.retry.1000", 2),
                queue("a.events.retry.5000", 3),
                queue("a.events.dead-letters.turn", 0),
                queue("b.events.retry.1000", 4),
            ],
            exchanges: Vec::new(),
            bindings: Vec::new(),
        };
        let helpers: Vec<&Queue> = broker.queues.iter().skip(1).collect();
        assert_eq!(retried(&broker.queues[0], &helpers), 5);
        let page = queues(&broker).0;
        let (own, others) = page.split_once("<details>").unwrap();
        assert!(own.contains("q-a.events\"") && !own.contains("retry.1000"), "{own}");
        assert!(own.contains("⚠ nobody reads it"), "{own}");
        assert!(others.contains("q-b.events.retry.1000"), "{others}");
    }
}
