//! What becomes of a message by its handler's verdict.

use lapin::message::Delivery as Raw;
use lapin::options::BasicAckOptions;
use lapin::types::FieldTable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::backoff;
use crate::consumer::delivery::{Verdict, attempt, headers};
use crate::consumer::settle::{self, Outlet, UNAVAILABLE};
use crate::message;
use crate::metrics::{self, Consumed};
use crate::settings::ConsumerSettings;
use crate::topology::{Topology, parked_queue, retry_queue};

/// Answers the broker.
pub(super) struct Answers<'a> {
    pub(super) topology: &'a Topology,
    pub(super) settings: &'a ConsumerSettings,
    pub(super) outlet: &'a Outlet,
    /// Cancelled when the subscription is drained or dead: pauses are cut short.
    pub(super) ending: &'a CancellationToken,
}

impl Answers<'_> {
    pub(super) async fn settle(&self, raw: &Raw, verdict: Verdict) {
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
    pub(super) async fn park(&self, raw: &Raw, reason: &str) {
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

    pub(super) fn count(&self, consumed: Consumed) {
        metrics::consumed(&self.topology.queue, consumed);
    }
}
