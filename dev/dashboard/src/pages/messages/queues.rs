//! Queues, exchanges and what leads from one to the other.

use maud::{Markup, html};

use crate::broker::{Broker, Queue};
use crate::pages::shown;

pub(super) fn queues(broker: &Broker) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "queue" } th scope="col" { "type" } th scope="col" { "state" }
                th.number scope="col" { "ready" } th.number scope="col" { "in flight" }
                th.number scope="col" { "size" } th.number scope="col" { "consumers" }
                th.number scope="col" { "in / s" } th.number scope="col" { "delivered / s" }
                th.number scope="col" { "acked / s" } th.number scope="col" { "again / s" }
            } }
            tbody #queues data-live="items" { @for queue in &broker.queues { (row(queue)) } }
        } }
        p.dim { "RabbitMQ renews these figures every five seconds." }
    }
}

fn row(queue: &Queue) -> Markup {
    let rates = &queue.message_stats;
    let is_dead = queue.name.ends_with(".dead-letters");
    html! { tr id=(format!("q-{}", queue.name)) {
        th scope="row" { (queue.name) }
        td { (queue.kind) }
        td { (queue.state) @if queue.consumers == 0 && !is_dead && queue.messages > 0 {
            " " span.bad { "⚠ nobody reads it" } } }
        td.number { (queue.messages_ready) @if is_dead && queue.messages > 0 { " " span.bad { "⚠" } } }
        td.number { (queue.messages_unacknowledged) }
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
                td { @for binding in broker.bindings.iter().filter(|binding| binding.source == it.name) {
                    code { (binding.routing_key) } " → " (binding.destination) br; } }
            } } }
        } }
    }
}
