//! The work of one subscription: a bounded number of handlers at a time, each message settled once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::Delivery as Raw;
use telemetry::propagation;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::broker::substitute;
use crate::consumer::answer::Answers;
use crate::consumer::delivery::{Delivery, Verdict, headers};
use crate::consumer::handlers::{Batch, Call, Refusal, Routes};
use crate::consumer::waiting::{Entry, Group, Waiting};
use crate::message::{self, TRACEPARENT};
use crate::metrics::{self, Consumed};

/// How much of an unknown event type is logged.
const TYPE_BYTES_MAX: usize = 100;

/// What handling a delivery needs.
pub(super) struct Work<'a> {
    pub(super) routes: &'a Routes,
    pub(super) answers: Answers<'a>,
}

/// A message in hand, and its handler if it has one.
type Taken<'a> = (Raw, Result<Call<'a>, Refusal>);

impl<'a> Work<'a> {
    /// Handles deliveries until the subscription has ended and everything it gave is settled.
    /// `drain` ends the subscription in its time; where that fails, nothing more is taken from it
    /// all the same, and the answer is false.
    pub(super) async fn all<E>(
        &self,
        mut subscription: lapin::Consumer,
        drain: impl Future<Output = Result<(), E>>,
    ) -> bool {
        let concurrency = usize::from(self.answers.settings.concurrency.get());
        let mut in_flight = FuturesUnordered::new();
        // Never more than the prefetch: the broker sends no more before it is acknowledged.
        let mut waiting = Waiting::default();
        let mut drain = pin!(drain);
        let (mut drained, mut ended, mut in_order) = (false, false, true);
        loop {
            let mut due = None;
            while in_flight.len() < concurrency {
                match waiting.next(Instant::now()) {
                    Ok(messages) => in_flight.push(self.some(messages)),
                    Err(later) => {
                        due = later;
                        break;
                    }
                }
            }
            if ended && due.is_none() && in_flight.is_empty() {
                return in_order;
            }
            tokio::select! {
                biased;
                outcome = &mut drain, if !drained => {
                    drained = true;
                    if outcome.is_err() {
                        (ended, in_order) = (true, false);
                        self.answers.ending.cancel();
                    }
                }
                Some(done) = in_flight.next(), if !in_flight.is_empty() => {
                    let Done { keys, again } = done;
                    waiting.done(&keys);
                    waiting.put_back(again.into_iter().map(|raw| self.take(raw)).collect());
                }
                next = subscription.next(), if !ended => match next {
                    Some(Ok(raw)) => {
                        metrics::delivered(&self.answers.topology.queue);
                        self.answers.owe(&raw);
                        let (message, key) = self.take(raw);
                        let group = group(&message);
                        waiting.add(Entry { message, key, group });
                    }
                    Some(Err(error)) => tracing::warn!(error = %error, "subscription failed"),
                    None => {
                        ended = true;
                        self.answers.ending.cancel();
                    }
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Finds a message's handler, and what it waits for others about if order matters.
    fn take(&self, raw: Raw) -> (Taken<'a>, Option<Uuid>) {
        let delivery = match substitute::found_in(&raw.properties) {
            Some(cause) => Err(Refusal::Undecodable(cause)),
            None => Delivery::read(&raw).map_err(Refusal::Undecodable),
        };
        let call = delivery.and_then(|delivery| self.routes.call(delivery));
        let about = call.as_ref().ok().filter(|_| self.routes.are_ordered);
        let key = about.and_then(Call::about);
        ((raw, call), key)
    }

    /// Handles and settles messages of one handler.
    async fn some(&self, messages: Vec<(Taken<'a>, Option<Uuid>)>) -> Done {
        let (mut raws, mut calls, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for ((raw, call), key) in messages {
            keys.push(key);
            match call {
                // The channel is gone: the broker delivers the message again, and only that one
                // counts.
                _ if !raw.acker.usable() => {}
                Ok(call) => {
                    raws.push(raw);
                    calls.push(call);
                }
                Err(refusal) => self.refuse(&raw, &refusal).await,
            }
        }
        let Some(call) = Call::join(calls) else { return Done { keys, again: Vec::new() } };
        let span = self.span(&call, &raws);
        let again = async {
            let verdict = self.handle(call).await;
            self.answers.settle(raws, verdict).await
        };
        Done { keys, again: again.instrument(span).await }
    }

    /// Counts and dead-letters what no handler is for.
    async fn refuse(&self, raw: &Raw, refusal: &Refusal) {
        self.answers.count(match refusal {
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
        self.answers.dead_letter(raw, &refusal.to_string()).await;
    }

    /// A child of what made the message; of several messages, a trace of its own with a link to
    /// each of theirs.
    fn span(&self, call: &Call<'_>, raws: &[Raw]) -> Span {
        let queue = &self.answers.topology.queue;
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
        if let [raw] = raws {
            span.record("messaging.message.id", message_id.as_str());
            span.record("messaging.message.body.size", raw.data.len());
            span.record("attempt", attempt);
            if let Some(traceparent) = traceparent(raw) {
                propagation::set_parent_from(&span, &traceparent);
            }
        } else {
            span.record("messaging.batch.message_count", raws.len());
            for traceparent in raws.iter().filter_map(traceparent) {
                propagation::add_link_from(&span, &traceparent);
            }
        }
        span
    }

    /// Calls the handler. What takes too long or panics is a failed attempt.
    async fn handle(&self, call: Call<'_>) -> Verdict {
        let started = Instant::now();
        let time = self.answers.settings.handler_timeout;
        // Unwind safe: the handler's own state is behind its locks and transactions, and ours is
        // not touched by it.
        let call = AssertUnwindSafe(call.handle()).catch_unwind();
        let verdict = match timeout(time, call).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::retry("the handler panicked"),
            Err(_) => Verdict::retry(format_args!("the handler took longer than {time:?}")),
        };
        metrics::handled(&self.answers.topology.queue, &verdict, started.elapsed());
        verdict
    }
}

/// What is left of messages that were handled.
struct Done {
    keys: Vec<Option<Uuid>>,
    /// To be handled once more, each alone.
    again: Vec<Raw>,
}

/// With which others a message is handled; alone when it was tried before, or nobody knows it.
fn group((_, call): &Taken<'_>) -> Option<Group> {
    let call = call.as_ref().ok()?;
    let (of, Batch { max, linger }) = call.route();
    let is_first = call.deliveries.iter().all(|delivery| delivery.attempt == 1);
    (max > 1 && is_first).then(|| Group { of, max, until: Instant::now() + linger })
}

fn traceparent(raw: &Raw) -> Option<String> {
    message::text(&headers(raw), TRACEPARENT)
}
