//! The work of one subscription: a bounded number of handlers at a time, each message settled once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::Delivery as Raw;
use lapin::options::BasicAckOptions;
use lapin::types::FieldTable;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::backoff;
use crate::consumer::Handler;
use crate::consumer::delivery::{Delivery, Verdict, attempt, headers};
use crate::consumer::settle::{self, Outlet, UNAVAILABLE};
use crate::consumer::waiting::Waiting;
use crate::message::{self, TRACEPARENT};
use crate::metrics::{self, Consumed};
use crate::settings::ConsumerSettings;
use crate::topology::{Topology, parked_queue, retry_queue};

/// How much of an unknown event type is logged.
const TYPE_CHARS_MAX: usize = 100;

/// What handling a delivery needs.
pub(super) struct Work<'a, H> {
    pub(super) handler: &'a H,
    pub(super) topology: &'a Topology,
    pub(super) settings: &'a ConsumerSettings,
    pub(super) outlet: &'a Outlet,
    /// Cancelled when the subscription is drained or dead: pauses are cut short.
    pub(super) ending: &'a CancellationToken,
}

impl<H: Handler> Work<'_, H> {
    /// Handles deliveries until the subscription has ended and everything it gave is settled.
    /// `drain` ends the subscription in its time.
    pub(super) async fn all(
        &self,
        mut subscription: lapin::Consumer,
        drain: impl Future<Output = ()>,
    ) {
        let concurrency = usize::from(self.settings.concurrency.get());
        let mut in_flight = FuturesUnordered::new();
        // Never more than the prefetch: the broker sends no more before it is acknowledged.
        let mut waiting = Waiting::default();
        let mut drain = pin!(drain);
        let (mut drained, mut ended) = (false, false);
        loop {
            while in_flight.len() < concurrency
                && let Some((raw, key)) = waiting.next()
            {
                in_flight.push(async {
                    self.one(raw).await;
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
                        metrics::delivered(&self.topology.queue);
                        waiting.add(self.key(&raw), raw);
                    }
                    Some(Err(error)) => tracing::warn!(error = %error, "subscription failed"),
                    None => {
                        ended = true;
                        self.ending.cancel();
                    }
                },
            }
        }
    }

    fn key(&self, raw: &Raw) -> Option<String> {
        if !H::ORDERED {
            return None;
        }
        self.handler.key(&Delivery::read(raw).ok()?)
    }

    /// Handles and settles one message.
    async fn one(&self, raw: Raw) {
        // The channel is gone: the broker delivers the message again, and only that one counts.
        if !raw.acker.usable() {
            return;
        }
        let delivery = match Delivery::read(&raw) {
            Ok(delivery) => delivery,
            Err(cause) => {
                self.count(Consumed::Undecodable);
                return self.park(&raw, &format!("undecodable: {cause}")).await;
            }
        };
        if !self.is_known(&delivery.event_type) {
            self.count(Consumed::UnknownType);
            let event_type: String = delivery.event_type.chars().take(TYPE_CHARS_MAX).collect();
            tracing::warn!(event.type = %event_type, "event type is not known");
            return self.park(&raw, "no handler for its event type").await;
        }
        let span = self.span(&delivery, &raw);
        if let Some(traceparent) = message::text(&headers(&raw), TRACEPARENT) {
            telemetry::propagation::set_parent_from(&span, &traceparent);
        }
        async {
            let verdict = self.handle(delivery).await;
            self.settle(&raw, verdict).await;
        }
        .instrument(span)
        .await;
    }

    fn is_known(&self, event_type: &str) -> bool {
        self.topology.bindings.iter().any(|(_, known)| *known == event_type)
    }

    fn span(&self, delivery: &Delivery, raw: &Raw) -> Span {
        let queue = &self.topology.queue;
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
    async fn handle(&self, delivery: Delivery) -> Verdict {
        let started = Instant::now();
        let time = self.settings.handler_timeout;
        // Unwind safe: the handler's own state is behind its locks and transactions, and ours is
        // not touched by it.
        let call = AssertUnwindSafe(async { self.handler.handle(delivery).await }).catch_unwind();
        let verdict = match timeout(time, call).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::retry("the handler panicked"),
            Err(_) => Verdict::retry(format_args!("the handler took longer than {time:?}")),
        };
        metrics::handled(&self.topology.queue, &verdict, started.elapsed());
        verdict
    }

    async fn settle(&self, raw: &Raw, verdict: Verdict) {
        let span = Span::current();
        match verdict {
            Verdict::Ack => {
                span.record("messaging.verdict", "ack");
                self.ack(raw, Consumed::Acked).await;
            }
            Verdict::Retry { reason } => {
                span.record("otel.status_code", "ERROR");
                self.retry(raw, &reason).await;
            }
            Verdict::DeadLetter { reason } => {
                span.record("otel.status_code", "ERROR");
                self.park(raw, &reason).await;
            }
            Verdict::Unavailable { reason } => {
                span.record("otel.status_code", "ERROR");
                self.wait(raw, &reason).await;
            }
        }
    }

    /// Back after a pause, as the next attempt; parked when there is none.
    async fn retry(&self, raw: &Raw, reason: &str) {
        let attempt = attempt(&headers(raw));
        if attempt >= self.settings.max_attempts.get() {
            return self.park(raw, reason).await;
        }
        Span::current().record("messaging.verdict", "retry");
        tracing::warn!(cause = reason, attempt, "message is tried again");
        let queue = retry_queue(&self.topology.queue, self.settings.retry_delays.after(attempt));
        let headers = settle::failed(raw, attempt + 1, reason);
        self.move_on(raw, &queue, headers, Consumed::Retried).await;
    }

    /// Into the parking lot.
    async fn park(&self, raw: &Raw, reason: &str) {
        let attempt = attempt(&headers(raw));
        Span::current().record("messaging.verdict", "park");
        tracing::error!(
            cause = reason,
            attempt,
            messaging.queue = %self.topology.queue,
            "message is parked"
        );
        let queue = parked_queue(&self.topology.queue);
        let headers = settle::failed(raw, attempt, reason);
        self.move_on(raw, &queue, headers, Consumed::Parked).await;
    }

    /// Back after a pause, as the same attempt. The pause is spent here, holding the handler's
    /// place: while the database is away the whole consumer slows down, instead of sending its
    /// queue round in circles.
    async fn wait(&self, raw: &Raw, reason: &str) {
        Span::current().record("messaging.verdict", "unavailable");
        let times = message::number(&headers(raw), UNAVAILABLE).unwrap_or(0).saturating_add(1);
        tracing::warn!(cause = reason, times, "message waits for what it needs");
        let pause = sleep(backoff::unavailable().delay(times));
        self.ending.run_until_cancelled(pause).await;
        let queue = retry_queue(&self.topology.queue, self.settings.retry_delays.shortest());
        let headers = settle::unavailable(raw, times, reason);
        self.move_on(raw, &queue, headers, Consumed::Unavailable).await;
    }

    /// Publishes to another queue first and acknowledges then: at no time is it in no queue.
    async fn move_on(&self, raw: &Raw, queue: &str, headers: FieldTable, moved: Consumed) {
        if raw.acker.usable() && self.outlet.move_to(queue, raw, headers, self.ending).await {
            self.ack(raw, moved).await;
        } else {
            self.count(Consumed::Unsettled);
        }
    }

    async fn ack(&self, raw: &Raw, settled: Consumed) {
        match raw.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => self.count(settled),
            // Not sent: the channel went first. The message comes again; the inbox knows it.
            Ok(false) | Err(_) => self.count(Consumed::Unsettled),
        }
    }

    fn count(&self, consumed: Consumed) {
        metrics::consumed(&self.topology.queue, consumed);
    }
}
