//! The work of one subscription: a bounded number of handlers at a time, each message settled once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::Delivery as Raw;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::consumer::answer::Answers;
use crate::consumer::delivery::{Delivery, Verdict, headers};
use crate::consumer::handlers::{Call, Refusal, Routes};
use crate::consumer::waiting::Waiting;
use crate::message::{self, TRACEPARENT};
use crate::metrics::{self, Consumed};

/// How much of an unknown event type is logged.
const TYPE_CHARS_MAX: usize = 100;

/// What handling a delivery needs.
pub(super) struct Work<'a> {
    pub(super) routes: &'a Routes,
    pub(super) answers: Answers<'a>,
}

/// A message in hand, and its handler if it has one.
type Taken<'a> = (Raw, Result<Call<'a>, Refusal>);

impl<'a> Work<'a> {
    /// Handles deliveries until the subscription has ended and everything it gave is settled.
    /// `drain` ends the subscription in its time.
    pub(super) async fn all(
        &self,
        mut subscription: lapin::Consumer,
        drain: impl Future<Output = ()>,
    ) {
        let concurrency = usize::from(self.answers.settings.concurrency.get());
        let mut in_flight = FuturesUnordered::new();
        // Never more than the prefetch: the broker sends no more before it is acknowledged.
        let mut waiting = Waiting::default();
        let mut drain = pin!(drain);
        let (mut drained, mut ended) = (false, false);
        loop {
            while in_flight.len() < concurrency
                && let Some((taken, key)) = waiting.next()
            {
                in_flight.push(async move {
                    self.one(taken).await;
                    key
                });
            }
            if ended && in_flight.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = &mut drain, if !drained => drained = true,
                Some(key) = in_flight.next(), if !in_flight.is_empty() => waiting.done(key),
                next = subscription.next(), if !ended => match next {
                    Some(Ok(raw)) => {
                        metrics::delivered(&self.answers.topology.queue);
                        let call = self.read(&raw);
                        waiting.add(self.key(&call), (raw, call));
                    }
                    Some(Err(error)) => tracing::warn!(error = %error, "subscription failed"),
                    None => {
                        ended = true;
                        self.answers.ending.cancel();
                    }
                },
            }
        }
    }

    fn read(&self, raw: &Raw) -> Result<Call<'a>, Refusal> {
        self.routes.call(Delivery::read(raw).map_err(Refusal::Undecodable)?)
    }

    /// What the message waits for others about, if order matters.
    fn key(&self, call: &Result<Call<'_>, Refusal>) -> Option<Uuid> {
        call.as_ref().ok().filter(|_| self.routes.are_ordered).map(|call| call.delivery.data.about)
    }

    /// Handles and settles one message.
    async fn one(&self, (raw, call): Taken<'_>) {
        // The channel is gone: the broker delivers the message again, and only that one counts.
        if !raw.acker.usable() {
            return;
        }
        let call = match call {
            Ok(call) => call,
            Err(refusal) => return self.refuse(&raw, &refusal).await,
        };
        let span = self.span(&call.delivery, &raw);
        if let Some(traceparent) = message::text(&headers(&raw), TRACEPARENT) {
            telemetry::propagation::set_parent_from(&span, &traceparent);
        }
        async {
            let verdict = self.handle(call).await;
            self.answers.settle(&raw, verdict).await;
        }
        .instrument(span)
        .await;
    }

    /// Counts and parks what no handler is for.
    async fn refuse(&self, raw: &Raw, refusal: &Refusal) {
        self.answers.count(match refusal {
            Refusal::Undecodable(_) => Consumed::Undecodable,
            Refusal::UnknownType(_) => Consumed::UnknownType,
            Refusal::UnknownVersion { .. } => Consumed::UnknownVersion,
        });
        if let Refusal::UnknownType(event_type) = refusal {
            let event_type: String = event_type.chars().take(TYPE_CHARS_MAX).collect();
            tracing::warn!(event.type = %event_type, "event type is not known");
        }
        self.answers.park(raw, &refusal.to_string()).await;
    }

    fn span(&self, delivery: &Delivery<impl Sized>, raw: &Raw) -> Span {
        let queue = &self.answers.topology.queue;
        let Delivery { exchange, routing_key, .. } = delivery;
        tracing::info_span!(
            "process",
            otel.name = format!("process {queue}"),
            otel.kind = "consumer",
            otel.status_code = tracing::field::Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = %format_args!("{exchange}:{routing_key}:{queue}"),
            messaging.rabbitmq.destination.routing_key = %routing_key,
            messaging.message.id = %delivery.message_id,
            messaging.message.body.size = raw.data.len(),
            messaging.verdict = tracing::field::Empty,
            attempt = delivery.attempt,
        )
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
