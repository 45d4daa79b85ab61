//! Sends a batch so that rows of one aggregate stay in order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::Instant;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::broker::Attachment;
use crate::headers::TRACEPARENT;
use crate::message::{CONTENT_TYPE, PERSISTENT};
use crate::metrics::{self, Published};
use crate::outbox::Outbox;
use crate::publisher::{Message, Outcome, Publisher};
use crate::relay::PassError;
use crate::relay::batch::{Fate, Row};
use crate::settings::RelaySettings;
use crate::topology;

/// Links of one span: OpenTelemetry's own limit, beyond which they are dropped.
const LINKS_MAX: usize = 128;

/// The relay's publisher, and what it must remember between batches.
pub(super) struct Sender {
    outbox: Outbox,
    confirm_timeout: Duration,
    publisher: Option<Publisher>,
    /// Exchanges that were declared on the publisher's channel.
    declared: HashSet<String>,
    /// Set when the broker closed the channel over a message: the next ones are sent one by one,
    /// so that the bad one is found and put off instead of failing its batch for ever.
    cautious: bool,
}

impl Sender {
    pub(super) fn new(outbox: &Outbox, settings: &RelaySettings) -> Self {
        Self {
            outbox: outbox.clone(),
            confirm_timeout: settings.confirm_timeout,
            publisher: None,
            declared: HashSet::new(),
            cautious: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.publisher.as_ref().is_some_and(Publisher::is_usable)
    }

    /// Opens a publisher unless there is one, and declares every exchange of the settings, as the
    /// seed's publisher does: an exchange of another kind is found at start, not at first use.
    pub(super) async fn open(&mut self, link: &Attachment) -> Result<(), PassError> {
        if self.is_open() {
            return Ok(());
        }
        self.publisher = None;
        self.declared.clear();
        let publisher = Publisher::new(link.channel().await, self.confirm_timeout).await?;
        for exchange in self.outbox.exchanges() {
            topology::declare_exchange(publisher.channel(), exchange).await?;
            self.declared.insert(exchange.to_owned());
        }
        self.publisher = Some(publisher);
        Ok(())
    }

    /// Ends a pass in which nothing was wrong.
    pub(super) fn calm_down(&mut self) {
        self.cautious = false;
    }

    /// Sends rows that are in order of insertion; says of each, in the same order, what became of
    /// it. Afterwards the sender may have to be opened again.
    pub(super) async fn send(&mut self, rows: &[Row]) -> Vec<Fate> {
        let mut fates = vec![Fate::Left; rows.len()];
        let Some(mut publisher) = self.publisher.take() else {
            return fates;
        };
        let exchange = exchange_of(rows);
        let span = tracing::info_span!(
            "send",
            otel.name = format!("send {exchange}"),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
            messaging.system = "rabbitmq",
            messaging.destination.name = exchange,
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.batch.message_count = rows.len(),
        );
        link_to_creators(&span, rows);
        let begin = Instant::now();
        self.send_waves(&mut publisher, rows, &mut fates).instrument(span.clone()).await;
        let ended = if publisher.is_usable() { Published::Sent } else { Published::NoAnswer };
        metrics::send_took(exchange, ended, begin.elapsed());
        if ended != Published::Sent {
            span.record("error.type", ended.error()).record("otel.status_code", "ERROR");
        }
        self.publisher = Some(publisher);
        report(rows, &fates);
        fates
    }

    async fn send_waves(&mut self, publisher: &mut Publisher, rows: &[Row], fates: &mut [Fate]) {
        let deadline = Instant::now() + self.confirm_timeout;
        // Aggregates whose earlier row did not go out: their later rows wait.
        let mut held = HashSet::new();
        for wave in waves(rows, self.cautious) {
            // The transaction is open meanwhile: no new wave after the time of one.
            if !publisher.is_usable() || Instant::now() >= deadline {
                break;
            }
            let wave: Vec<usize> = wave
                .into_iter()
                .filter(|&index| !held.contains(&rows[index].aggregate_id))
                .collect();
            if let Err(unusable) = self.declare(publisher, &wave, rows).await {
                for index in wave.into_iter().filter(|&index| rows[index].exchange == unusable) {
                    fates[index] = Fate::PutOff("its exchange cannot be declared");
                }
                break;
            }
            let messages = wave.iter().map(|&index| self.message(&rows[index])).collect();
            let outcomes = publisher.publish_all(messages).await;
            let alone = outcomes.len() == 1;
            for (index, outcome) in wave.into_iter().zip(outcomes) {
                fates[index] = self.fate(&rows[index], &outcome, alone);
                if fates[index] != Fate::Sent {
                    held.insert(rows[index].aggregate_id);
                }
            }
        }
    }

    /// Declares the exchanges of rows written under names that the settings no longer have; the
    /// error is the name of one that cannot be used, over which the channel is closed.
    async fn declare<'a>(
        &mut self,
        publisher: &Publisher,
        wave: &[usize],
        rows: &'a [Row],
    ) -> Result<(), &'a str> {
        for exchange in wave.iter().map(|&index| &rows[index].exchange) {
            if self.declared.contains(exchange) {
                continue;
            }
            if let Err(error) = topology::declare_exchange(publisher.channel(), exchange).await {
                tracing::error!(error = %error, "outbox rows name an exchange that cannot be used");
                return Err(exchange);
            }
            self.declared.insert(exchange.clone());
        }
        Ok(())
    }

    fn message<'a>(&self, row: &'a Row) -> Message<'a> {
        let mut headers = FieldTable::default();
        if let Some(traceparent) = &row.traceparent {
            let value = AMQPValue::LongString(traceparent.as_str().into());
            headers.insert(TRACEPARENT.into(), value);
        }
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(row.event_id.to_string().into())
            .with_type(row.routing_key.as_str().into())
            .with_app_id(self.outbox.service().into())
            .with_headers(headers);
        Message {
            exchange: row.exchange.as_str().into(),
            routing_key: row.routing_key.as_str().into(),
            body: &row.envelope,
            properties,
        }
    }

    /// What an outcome means for its row. `alone`: no other message was under way, so an error of
    /// the channel is this message's.
    fn fate(&mut self, row: &Row, outcome: &Outcome, alone: bool) -> Fate {
        let (fate, published) = match outcome {
            Outcome::Confirmed => (Fate::Sent, Published::Sent),
            Outcome::Unroutable if !row.mandatory => (Fate::Sent, Published::Sent),
            Outcome::Unroutable => {
                (Fate::PutOff("no queue is bound for it"), Published::Unroutable)
            }
            Outcome::Refused => (Fate::PutOff("the broker refused it"), Published::Refused),
            Outcome::Unknown(_) if outcome.is_channel_error() && alone => {
                (Fate::PutOff("the broker closed the channel over it"), Published::Refused)
            }
            Outcome::Unknown(_) => (Fate::Left, Published::NoAnswer),
        };
        self.cautious |= outcome.is_channel_error();
        metrics::sent(&row.exchange, published);
        fate
    }
}

/// The exchange of all rows; empty when they are for several.
fn exchange_of(rows: &[Row]) -> &str {
    let Some(first) = rows.first() else { return "" };
    let is_one = rows.iter().all(|row| row.exchange == first.exchange);
    if is_one { &first.exchange } else { "" }
}

/// A batch has many creators, so none of them is its parent.
fn link_to_creators(span: &Span, rows: &[Row]) {
    let creators = rows.iter().filter_map(|row| row.traceparent.as_deref());
    for traceparent in creators.take(LINKS_MAX) {
        telemetry::propagation::add_link_from(span, traceparent);
    }
}

/// One log line for what was put off, however much it was.
fn report(rows: &[Row], fates: &[Fate]) {
    let put_off = rows.iter().zip(fates).filter_map(|(row, fate)| match fate {
        Fate::PutOff(reason) => Some((row, *reason)),
        Fate::Sent | Fate::Left => None,
    });
    let put_off: Vec<_> = put_off.collect();
    if let Some((first, reason)) = put_off.first() {
        tracing::warn!(
            outbox.count = put_off.len(),
            messaging.destination.name = %first.exchange,
            messaging.rabbitmq.destination.routing_key = %first.routing_key,
            messaging.message.id = %first.event_id,
            cause = reason,
            "events were put off"
        );
    }
}

/// The rows' numbers in waves: the first rows of all aggregates, then their second rows, and so on.
/// A wave is published as a whole, without waiting in between. Cautious: one row a wave.
fn waves(rows: &[Row], cautious: bool) -> Vec<Vec<usize>> {
    if cautious {
        return (0..rows.len()).map(|index| vec![index]).collect();
    }
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let wave = seen.entry(row.aggregate_id).or_default();
        match waves.get_mut(*wave) {
            Some(indices) => indices.push(index),
            None => waves.push(vec![index]),
        }
        *wave += 1;
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::{Row, waves};
    use uuid::Uuid;

    #[test]
    fn an_aggregates_rows_are_in_waves_of_their_own_in_order() {
        let rows: Vec<Row> = [1, 2, 1, 1, 3, 2].into_iter().enumerate().map(row).collect();

        assert_eq!(waves(&rows, false), [vec![0, 1, 4], vec![2, 5], vec![3]]);
        assert_eq!(waves(&rows, true).len(), rows.len());
    }

    fn row((number, aggregate): (usize, u128)) -> Row {
        Row {
            id: i64::try_from(number).unwrap_or_default(),
            event_id: Uuid::from_u128(number as u128),
            aggregate_id: Uuid::from_u128(aggregate),
            exchange: "user.events".to_owned(),
            routing_key: "user.updated".to_owned(),
            envelope: Vec::new(),
            mandatory: true,
            traceparent: None,
        }
    }
}
