//! What becomes of a message by its handler's verdict.

use std::collections::BTreeSet;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use lapin::message::Delivery as Raw;
use lapin::options::BasicAckOptions;
use lapin::types::FieldTable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::acknowledge::acknowledge;
use crate::backoff;
use crate::consumer::delivery::{Verdict, attempt, headers};
use crate::consumer::settle::{self, Outlet, UNAVAILABLE};
use crate::message;
use crate::metrics::{self, Consumed};
use crate::settings::ConsumerSettings;
use crate::topology::{Topology, dead_letter_queue, retry_queue};

/// Answers the broker about the messages of one subscription.
pub(super) struct Answers<'a> {
    pub(super) topology: &'a Topology,
    pub(super) settings: &'a ConsumerSettings,
    pub(super) outlet: &'a Outlet,
    /// Cancelled when the subscription is drained or dead: pauses are cut short.
    pub(super) ending: &'a CancellationToken,
    /// The delivery tags that nothing was said of yet.
    open: Mutex<BTreeSet<u64>>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        settings: &'a ConsumerSettings,
        outlet: &'a Outlet,
        ending: &'a CancellationToken,
    ) -> Self {
        Self { topology, settings, outlet, ending, open: Mutex::default() }
    }

    /// Notes that there will be something to say of a message.
    pub(super) fn owe(&self, raw: &Raw) {
        self.open().insert(raw.delivery_tag);
    }

    /// Settles messages that were handled together; those that are to be handled alone are given
    /// back.
    pub(super) async fn settle(&self, raws: Vec<Raw>, verdict: Verdict) -> Vec<Raw> {
        let span = Span::current();
        if verdict != Verdict::Ack {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", metrics::error_of(&verdict));
        }
        match verdict {
            Verdict::Ack => {
                span.record("messaging.verdict", "ack");
                self.ack(&raws, Consumed::Acked).await;
            }
            Verdict::Retry { reason } | Verdict::DeadLetter { reason } if raws.len() > 1 => {
                span.record("messaging.verdict", "one by one");
                tracing::warn!(cause = reason, messages = raws.len(), "a batch failed");
                return raws;
            }
            Verdict::Retry { reason } => {
                join_all(raws.iter().map(|raw| self.retry(raw, &reason))).await;
            }
            Verdict::DeadLetter { reason } => {
                join_all(raws.iter().map(|raw| self.dead_letter(raw, &reason))).await;
            }
            Verdict::Unavailable { reason } => {
                join_all(raws.iter().map(|raw| self.wait(raw, &reason))).await;
            }
        }
        Vec::new()
    }

    /// Back after a pause, as the next attempt; dead-lettered when there is none.
    async fn retry(&self, raw: &Raw, reason: &str) {
        let attempt = attempt(&headers(raw));
        if attempt >= self.settings.max_attempts.get() {
            return self.dead_letter(raw, reason).await;
        }
        Span::current().record("messaging.verdict", "retry");
        tracing::warn!(cause = reason, attempt, "message is tried again");
        let queue = retry_queue(&self.topology.queue, self.settings.retry_delays.after(attempt));
        let headers = settle::failed(raw, attempt + 1, reason);
        self.move_on(raw, &queue, headers, Consumed::Retried).await;
    }

    /// Into the dead-letter queue.
    pub(super) async fn dead_letter(&self, raw: &Raw, reason: &str) {
        let attempt = attempt(&headers(raw));
        Span::current().record("messaging.verdict", "dead_letter");
        tracing::error!(
            cause = reason,
            attempt,
            messaging.queue = %self.topology.queue,
            "message is dead-lettered"
        );
        let queue = dead_letter_queue(&self.topology.queue);
        let headers = settle::failed(raw, attempt, reason);
        self.move_on(raw, &queue, headers, Consumed::DeadLettered).await;
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
            self.ack(slice::from_ref(raw), moved).await;
        } else {
            self.count(Consumed::Unsettled);
        }
    }

    /// Acknowledges messages: with one frame those that no open one came before, and each of the
    /// others with its own.
    async fn ack(&self, raws: &[Raw], settled: Consumed) {
        let tags: BTreeSet<u64> = raws.iter().map(|raw| raw.delivery_tag).collect();
        let last = self.open().iter().take_while(|tag| tags.contains(tag)).last().copied();
        let (first, others): (Vec<&Raw>, Vec<&Raw>) =
            raws.iter().partition(|raw| Some(raw.delivery_tag) <= last);
        if let Some(raw) = first.iter().max_by_key(|raw| raw.delivery_tag) {
            let acked = acknowledge(raw, BasicAckOptions { multiple: true }).await;
            self.close(&first, acked, settled);
        }
        let each = others.into_iter().map(|raw| async move {
            let acked = acknowledge(raw, BasicAckOptions::default()).await;
            self.close(&[raw], acked, settled);
        });
        join_all(each).await;
    }

    fn close(&self, raws: &[&Raw], acked: bool, settled: Consumed) {
        // Not sent: the channel went first. The message comes again; the inbox knows it.
        let settled = if acked { settled } else { Consumed::Unsettled };
        for raw in raws {
            self.open().remove(&raw.delivery_tag);
            self.count(settled);
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, consumed: Consumed) {
        metrics::consumed(&self.topology.queue, consumed);
    }
}
