//! The work of a consumer: messages of its subscriptions come in, each waits until there is a place
//! for it, goes through its handler, and is settled.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use telemetry::propagation;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::broker::substitute;
use crate::consumer::delivery::{Delivery, Verdict};
use crate::consumer::handlers::{Batch, Call, Refusal, Routes};
use crate::consumer::kill_switch::KillSwitch;
use crate::consumer::queued::{Group, Item, Key, Queued};
use crate::consumer::session::Received;
use crate::consumer::settlement::{Again, Settlement};
use crate::headers::Headers;
use crate::message::MessageId;
use crate::metrics::{self, Consumed};

/// How much of an unknown event type is logged.
const TYPE_BYTES_MAX: usize = 100;

/// What comes from a subscription.
pub(super) enum Input {
    /// A message.
    Message(Box<Received>),
    /// For now, nothing more comes: what waits for others to be handled together with is handled.
    Flush,
    /// Wants to be told once no handler is at work: what is left waits for its time.
    Rest(oneshot::Sender<()>),
}

/// What handling a message needs.
pub(super) struct Work<'a> {
    pub(super) queue: Arc<str>,
    pub(super) routes: &'a Routes,
    pub(super) settlement: Settlement<'a>,
    pub(super) kill_switch: &'a KillSwitch,
}

/// A message, and its handler if it has one.
type Routed<'a> = (Received, Result<Call<'a>, Refusal>);

impl<'a> Work<'a> {
    /// Handles what comes in, up to the bound side by side, until nothing more can come and
    /// everything is settled.
    ///
    /// Bounded by the prefetch: the broker sends no more before something is acknowledged. What a
    /// lost channel delivered is passed over, unless a handler has it already: that one ends, while
    /// the next subscription uses the other places.
    pub(super) async fn run(&self, mut inputs: UnboundedReceiver<Input>) {
        let concurrency = usize::from(self.settlement.settings.concurrency.get());
        let mut in_flight = FuturesUnordered::new();
        let mut queued = Queued::default();
        let mut resting = Vec::new();
        let mut has_ended = false;
        loop {
            let mut due = None;
            while in_flight.len() < concurrency {
                match queued.next(Instant::now()) {
                    Ok(messages) => in_flight.push(self.process(messages)),
                    Err(later) => {
                        due = later;
                        break;
                    }
                }
            }
            if in_flight.is_empty() {
                for rested in resting.drain(..) {
                    let _: Result<(), ()> = oneshot::Sender::send(rested, ());
                }
                if has_ended && due.is_none() {
                    return;
                }
            }
            tokio::select! {
                biased;
                Some(done) = in_flight.next(), if !in_flight.is_empty() => {
                    queued.done(&done.keys);
                    let mut again = done.again;
                    again.retain(|one| !self.is_given_up(&one.received, has_ended));
                    queued.put_back(again.into_iter().map(|one| self.again(one)).collect());
                }
                input = inputs.recv(), if !has_ended => match input {
                    Some(Input::Message(received)) => {
                        let (message, key) = self.route(*received);
                        let group = group(&message);
                        queued.add(Item { message, key, group, not_before: None });
                    }
                    Some(Input::Rest(rested)) => resting.push(rested),
                    flush_or_end => {
                        has_ended = flush_or_end.is_none();
                        queued.flush();
                        queued.retain(|(received, _)| !self.is_given_up(received, has_ended));
                    }
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Whether a message is left to the broker, which delivers it again to its place. Where order is
    /// kept, so is all that no handler has when the consumer ends.
    fn is_given_up(&self, received: &Received, has_ended: bool) -> bool {
        received.is_given_up() || (has_ended && self.routes.are_ordered)
    }

    /// A message that is handled once more, after its delay.
    fn again(&self, Again { received, delay }: Again) -> Item<Routed<'a>> {
        let (message, key) = self.route(received);
        let not_before = (!delay.is_zero()).then(|| Instant::now() + delay);
        Item { message, key, group: None, not_before }
    }

    /// Finds a message's handler, and the key by which it is queued if order matters.
    fn route(&self, received: Received) -> (Routed<'a>, Key) {
        let delivery = match substitute::found_in(&received.raw.properties) {
            Some(cause) => Err(Refusal::Undecodable(cause)),
            None => Delivery::read(&received.raw).map_err(Refusal::Undecodable),
        };
        let call = delivery.and_then(|mut delivery| {
            delivery.queue = Arc::clone(&self.queue);
            self.routes.call(delivery)
        });
        let ordered = call.as_ref().ok().filter(|_| self.routes.are_ordered);
        let key = ordered.and_then(Call::about);
        ((received, call), key)
    }

    /// Handles and settles messages of one handler.
    async fn process(&self, messages: Vec<(Routed<'a>, Key)>) -> Done {
        let (mut received, mut calls, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for ((one, call), key) in messages {
            keys.push(key);
            match call {
                // The channel is gone, or will be: the broker delivers the message again, and only
                // that one counts.
                _ if one.is_given_up() => {}
                Ok(call) => {
                    received.push(one);
                    calls.push(call);
                }
                Err(refusal) => self.refuse(&one, &refusal).await,
            }
        }
        let Some(call) = Call::join(calls) else { return Done { keys, again: Vec::new() } };
        let span = self.span(&call, &received);
        let again = async {
            let verdict = self.handle(call).await;
            self.settlement.settle(received, verdict).await
        };
        Done { keys, again: again.instrument(span).await }
    }

    /// Counts and dead-letters what no handler is for.
    async fn refuse(&self, received: &Received, refusal: &Refusal) {
        self.settlement.count(match refusal {
            Refusal::Undecodable(_) => Consumed::Undecodable,
            Refusal::UnknownType(_) => Consumed::UnknownType,
            Refusal::UnknownVersion { .. } => Consumed::UnknownVersion,
        });
        if let Refusal::UnknownType(event_type) = refusal {
            // Only what looks like one: a stranger's field may hold anything.
            let is_type = |sign: char| sign.is_ascii_lowercase() || "._".contains(sign);
            let looks_right = event_type.len() <= TYPE_BYTES_MAX && event_type.chars().all(is_type);
            let event_type = looks_right.then_some(event_type.as_str());
            tracing::warn!(event.type = event_type, "event type is not known");
        }
        self.settlement.dead_letter(received, &refusal.to_string()).await;
    }

    /// A child of what made the message; of several messages, a trace of its own with a link to
    /// each of theirs.
    fn span(&self, call: &Call<'_>, received: &[Received]) -> Span {
        let queue = &*self.queue;
        let span = tracing::info_span!(
            "process",
            otel.name = format!("process {queue}"),
            otel.kind = "consumer",
            otel.status_code = Empty,
            error.type = Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = Empty,
            messaging.rabbitmq.destination.routing_key = Empty,
            messaging.message.id = Empty,
            messaging.message.body.size = Empty,
            messaging.batch.message_count = Empty,
            messaging.verdict = Empty,
            attempt = Empty,
        );
        let Delivery { exchange, routing_key, message_id, attempt, .. } = &call.deliveries[0];
        let destination = format!("{exchange}:{routing_key}:{queue}");
        span.record("messaging.destination.name", destination);
        span.record("messaging.rabbitmq.destination.routing_key", routing_key);
        if let [Received { raw, .. }] = received {
            span.record("messaging.message.id", message_id.as_str());
            span.record("messaging.message.body.size", raw.data.len());
            span.record("attempt", attempt);
            if let Some(traceparent) = Headers::read(raw).traceparent {
                propagation::set_parent_from(&span, &traceparent);
            }
        } else {
            span.record("messaging.batch.message_count", received.len());
            let headers = received.iter().map(|one| Headers::read(&one.raw));
            for traceparent in headers.filter_map(|headers| headers.traceparent) {
                propagation::add_link_from(&span, &traceparent);
            }
        }
        span
    }

    /// Calls the handler. What takes too long or panics is a failed attempt.
    async fn handle(&self, call: Call<'_>) -> Verdict {
        let started = Instant::now();
        let ids: Vec<MessageId> =
            call.deliveries.iter().map(|delivery| delivery.message_id.clone()).collect();
        let time = self.settlement.settings.handler_timeout;
        // Unwind safe: the handler's own state is behind its locks and transactions, and ours is
        // not touched by it.
        let call = AssertUnwindSafe(call.handle()).catch_unwind();
        let verdict = match timeout(time, call).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::retry("the handler panicked"),
            Err(_) => Verdict::retry(format_args!("the handler took longer than {time:?}")),
        };
        metrics::handled(&self.queue, &verdict, started.elapsed());
        // What is tried again in its place holds up the queue by itself, and keeps its order.
        if !self.routes.are_ordered {
            self.kill_switch.record(&ids, matches!(verdict, Verdict::Unavailable { .. }));
        }
        verdict
    }
}

/// What is left of messages that were handled.
struct Done {
    keys: Vec<Key>,
    again: Vec<Again>,
}

/// With which others a message is handled; alone when it was tried before, or has no handler.
fn group((_, call): &Routed<'_>) -> Option<Group> {
    let call = call.as_ref().ok()?;
    let (of, Batch { max, linger }) = call.route();
    let is_first = call.deliveries.iter().all(|delivery| delivery.attempt == 1);
    (max > 1 && is_first).then(|| Group { of, max, until: Instant::now() + linger })
}
