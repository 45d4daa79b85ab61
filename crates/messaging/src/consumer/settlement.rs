//! Settles messages by their handler's verdict: acknowledges them, or moves them to a retry queue or
//! the dead-letter queue.

use std::slice;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::Span;

use crate::consumer::delivery::Verdict;
use crate::consumer::republisher::Republisher;
use crate::consumer::session::{self, Received};
use crate::headers::Headers;
use crate::metrics::{self, Consumed};
use crate::settings::ConsumerSettings;
use crate::topology::{Topology, dead_letter_queue, retry_queue};

/// The longest delay of a message that waits in its place for something unavailable: those of its
/// aggregate wait with it, and another look costs a call.
const IN_PLACE_DELAY_MAX: Duration = Duration::from_secs(5);

/// Settles the messages of one consumer.
pub(super) struct Settlement<'a> {
    pub(super) topology: &'a Topology,
    pub(super) settings: &'a ConsumerSettings,
    pub(super) republisher: &'a Republisher,
    /// Whether a message is tried again in its place, and not by way of a retry queue.
    pub(super) in_place: bool,
}

/// A message that is to be handled once more, alone.
pub(super) struct Again {
    pub(super) received: Received,
    pub(super) delay: Duration,
}

impl Settlement<'_> {
    /// Settles messages that were handled together; those that are to be handled again are given
    /// back, in their order.
    pub(super) async fn settle(&self, received: Vec<Received>, verdict: Verdict) -> Vec<Again> {
        let span = Span::current();
        if verdict != Verdict::Ack {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", metrics::error_of(&verdict));
        }
        match verdict {
            Verdict::Ack => {
                span.record("messaging.verdict", "ack");
                self.ack(&received, Consumed::Acked).await;
                Vec::new()
            }
            Verdict::Retry { reason } | Verdict::DeadLetter { reason } if received.len() > 1 => {
                span.record("messaging.verdict", "one by one");
                tracing::warn!(cause = reason, messages = received.len(), "a batch failed");
                let again = |received| Again { received, delay: Duration::ZERO };
                received.into_iter().map(again).collect()
            }
            Verdict::Retry { reason } => {
                let retried = received.into_iter().map(|one| self.retry(one, &reason));
                join_all(retried).await.into_iter().flatten().collect()
            }
            Verdict::DeadLetter { reason } => {
                join_all(received.iter().map(|one| self.dead_letter(one, &reason))).await;
                Vec::new()
            }
            Verdict::Unavailable { reason } => {
                let waiting = received.into_iter().map(|one| self.unavailable(one, &reason));
                join_all(waiting).await.into_iter().flatten().collect()
            }
        }
    }

    /// Back after a delay, as the next attempt; dead-lettered when there is none.
    async fn retry(&self, received: Received, reason: &str) -> Option<Again> {
        let headers = Headers::read(&received.raw);
        let attempt = headers.attempt;
        let unavailable = headers.unavailable;
        if attempt >= self.settings.max_attempts.get() {
            self.dead_letter(&received, reason).await;
            return None;
        }
        Span::current().record("messaging.verdict", "retry");
        tracing::warn!(cause = reason, attempt, "message is tried again");
        let delay = self.settings.retry_delays.after(attempt);
        let mut headers = headers.failed(attempt + 1, reason);
        if self.settings.has_waited_long(unavailable) {
            // What it needs has been away for so long that every further failure is an attempt.
            headers.unavailable = unavailable;
        }
        self.come_back(received, &headers, delay, Consumed::Retried).await
    }

    /// Into the dead-letter queue.
    pub(super) async fn dead_letter(&self, received: &Received, reason: &str) {
        let headers = Headers::read(&received.raw);
        let attempt = headers.attempt;
        Span::current().record("messaging.verdict", "dead_letter");
        tracing::error!(
            cause = reason,
            attempt,
            messaging.queue = %self.topology.queue,
            "message is dead-lettered"
        );
        let queue = dead_letter_queue(&self.topology.queue);
        let headers = headers.failed(attempt, reason);
        self.move_to(&queue, received, &headers, Consumed::DeadLettered).await;
    }

    /// Back after a delay, as the same attempt. When most messages come to this, the kill switch
    /// pauses the consumer.
    async fn unavailable(&self, received: Received, reason: &str) -> Option<Again> {
        let headers = Headers::read(&received.raw);
        if self.settings.has_waited_long(headers.unavailable) {
            return self.retry(received, reason).await;
        }
        Span::current().record("messaging.verdict", "unavailable");
        let headers = headers.unavailable(reason);
        let times = headers.unavailable;
        tracing::warn!(cause = reason, times, "message waits for what it needs");
        let mut delay = self.settings.retry_delays.while_unavailable(times);
        if self.in_place {
            delay = delay.min(IN_PLACE_DELAY_MAX);
        }
        self.come_back(received, &headers, delay, Consumed::Unavailable).await
    }

    /// The delay is spent in a retry queue, where the message takes no place from the others; or in
    /// its place, where none of its aggregate may overtake it.
    async fn come_back(
        &self,
        mut received: Received,
        headers: &Headers,
        delay: Duration,
        outcome: Consumed,
    ) -> Option<Again> {
        if self.in_place {
            self.count(outcome);
            received.note(headers);
            return Some(Again { received, delay });
        }
        let queue = retry_queue(&self.topology.queue, delay);
        self.move_to(&queue, &received, headers, outcome).await;
        None
    }

    /// Publishes to another queue first and acknowledges then: at no time is it in no queue.
    async fn move_to(&self, queue: &str, received: &Received, headers: &Headers, moved: Consumed) {
        let Received { raw, session } = received;
        if raw.acker.usable() && self.republisher.move_to(queue, raw, headers, &session.ended).await
        {
            self.ack(slice::from_ref(received), moved).await;
        } else {
            self.count(Consumed::Unsettled);
        }
    }

    async fn ack(&self, received: &[Received], settled: Consumed) {
        let acked = session::ack(received).await;
        // Not acknowledged: the channel went first. The message comes again; the inbox knows it.
        for index in 0..received.len() {
            self.count(if index < acked { settled } else { Consumed::Unsettled });
        }
    }

    pub(super) fn count(&self, consumed: Consumed) {
        metrics::consumed(&self.topology.queue, consumed);
    }
}
