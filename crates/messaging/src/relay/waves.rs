//! Publishes a batch so that rows of one aggregate stay in order: the first rows of all aggregates
//! in one round, then their second rows, and so on. A row behind one that did not go out waits.

use std::collections::HashMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::Instant;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::headers::TRACEPARENT;
use crate::message::{CONTENT_TYPE, PERSISTENT};
use crate::metrics::{self, Published};
use crate::publisher::{Message, PublishOutcome, Publisher, Refusal};
use crate::relay::batch::{Row, Settlement};
use crate::relay::holds::Cause;
use crate::settings::RelaySettings;

/// Links of one span: OpenTelemetry's own limit, beyond which they are dropped.
const LINKS_MAX: usize = 128;

/// Publishes rows that are in order of insertion; says of each, in the same order, what becomes of it.
/// Where all of them are behind a hold, nothing is sent, and nothing is measured.
pub(super) async fn publish(
    publisher: &Publisher,
    service: &str,
    settings: &RelaySettings,
    rows: &[Row],
) -> Vec<Settlement> {
    if rows.iter().all(|row| row.behind.is_some()) {
        return vec![Settlement::Behind; rows.len()];
    }
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
    let deadline = begin + settings.confirm_timeout;
    let publishing = publish_waves(publisher, service, deadline, rows);
    let settlements = publishing.instrument(span.clone()).await;
    let is_answered = !settlements.contains(&Settlement::Left);
    let ended = if is_answered { Published::Sent } else { Published::NoAnswer };
    metrics::send_took(exchange, ended, begin.elapsed());
    if !is_answered {
        span.record("error.type", ended.error()).record("otel.status_code", "ERROR");
    }
    report(rows, &settlements);
    settlements
}

async fn publish_waves(
    publisher: &Publisher,
    service: &str,
    deadline: Instant,
    rows: &[Row],
) -> Vec<Settlement> {
    let mut settlements = vec![Settlement::Left; rows.len()];
    let mut stopped = Stopped::default();
    for wave in waves(rows) {
        // The transaction is open meanwhile: no new wave after the time of one.
        if Instant::now() >= deadline {
            break;
        }
        let mut sent = Vec::new();
        for index in wave {
            match stopped.settle_unsent(&rows[index]) {
                Some(settlement) => settlements[index] = settlement,
                None => sent.push(index),
            }
        }
        if sent.is_empty() {
            continue;
        }
        let messages: Vec<_> = sent.iter().map(|&index| message(service, &rows[index])).collect();
        let outcomes = publisher.publish_all(&messages).await;
        metrics::sent(sent.into_iter().zip(outcomes).map(|(index, outcome)| {
            let row = &rows[index];
            let (settlement, published) = settlement(row, outcome);
            stopped.note(row, &settlement);
            settlements[index] = settlement;
            (row.exchange.as_str(), published)
        }));
    }
    settlements
}

/// Aggregates one row of which did not go out, and what becomes of their later rows because of that.
/// Their earlier rows are sent: a row that waits for a hold is not to wait for one that does not.
#[derive(Default)]
struct Stopped(HashMap<Uuid, Settlement>);

impl Stopped {
    /// What becomes of a row that is not to be sent; none of one that is.
    fn settle_unsent(&mut self, row: &Row) -> Option<Settlement> {
        if let Some(settlement) = self.0.get(&row.aggregate_id) {
            return Some(settlement.clone());
        }
        row.behind?;
        self.0.insert(row.aggregate_id, Settlement::Behind);
        Some(Settlement::Behind)
    }

    /// Notes what became of a row that was sent.
    fn note(&mut self, row: &Row, settlement: &Settlement) {
        let later = match settlement {
            Settlement::Sent => return,
            Settlement::Left => Settlement::Left,
            Settlement::Held(_) | Settlement::Behind => Settlement::Behind,
        };
        self.0.insert(row.aggregate_id, later);
    }
}

fn message<'a>(service: &str, row: &'a Row) -> Message<'a> {
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
        .with_app_id(service.into())
        .with_headers(headers);
    Message {
        exchange: row.exchange.as_str().into(),
        routing_key: row.routing_key.as_str().into(),
        body: &row.envelope,
        properties,
    }
}

/// What an outcome means for its row, and for the metrics.
fn settlement(row: &Row, outcome: PublishOutcome) -> (Settlement, Published) {
    match outcome {
        PublishOutcome::Confirmed => (Settlement::Sent, Published::Sent),
        PublishOutcome::Returned if !row.mandatory => (Settlement::Sent, Published::Sent),
        PublishOutcome::Returned => {
            (Settlement::Held(Cause::Route("no queue is bound for it")), Published::Returned)
        }
        PublishOutcome::Refused(Refusal::Nacked) => {
            (Settlement::Held(Cause::Route("the broker refused it")), Published::Refused)
        }
        PublishOutcome::Refused(Refusal::Route(text)) => {
            (Settlement::Held(Cause::Refused(text)), Published::Refused)
        }
        PublishOutcome::Refused(Refusal::Message(text)) => {
            (Settlement::Held(Cause::Row(text)), Published::Refused)
        }
        PublishOutcome::Refused(Refusal::Unavailable) | PublishOutcome::Unknown => {
            (Settlement::Left, Published::NoAnswer)
        }
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

/// One log line for what was held, however much it was.
fn report(rows: &[Row], settlements: &[Settlement]) {
    let held = rows.iter().zip(settlements).filter_map(|(row, settlement)| match settlement {
        Settlement::Held(cause) => Some((row, cause)),
        Settlement::Sent | Settlement::Behind | Settlement::Left => None,
    });
    let held: Vec<_> = held.collect();
    if let Some((first, cause)) = held.first() {
        tracing::warn!(
            outbox.count = held.len(),
            messaging.destination.name = %first.exchange,
            messaging.rabbitmq.destination.routing_key = %first.routing_key,
            messaging.message.id = %first.event_id,
            %cause,
            "events were not taken and wait"
        );
    }
}

/// The rows' numbers in waves: the first rows of all aggregates, then their second rows, and so on.
fn waves(rows: &[Row]) -> Vec<Vec<usize>> {
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
    use super::{Row, Settlement, Stopped, waves};
    use uuid::Uuid;

    #[test]
    fn an_aggregates_rows_are_in_waves_of_their_own_in_order() {
        let rows: Vec<Row> = [1, 2, 1, 1, 3, 2].into_iter().enumerate().map(row).collect();

        assert_eq!(waves(&rows), [vec![0, 1, 4], vec![2, 5], vec![3]]);
    }

    #[test]
    fn a_row_that_waits_for_a_hold_stops_the_later_ones_of_its_aggregate_and_no_earlier_one() {
        let rows: Vec<Row> = [1, 1, 1, 2].into_iter().enumerate().map(row).collect();
        let [first, mut second, third, other] = rows.try_into().unwrap();
        second.behind = Some(7);
        let mut stopped = Stopped::default();

        assert_eq!(stopped.settle_unsent(&first), None);
        stopped.note(&first, &Settlement::Sent);
        assert_eq!(stopped.settle_unsent(&second), Some(Settlement::Behind));
        assert_eq!(stopped.settle_unsent(&third), Some(Settlement::Behind));
        assert_eq!(stopped.settle_unsent(&other), None);
    }

    #[test]
    fn no_row_is_held_before_an_earlier_one_of_its_aggregate_that_has_no_answer_yet() {
        let rows: Vec<Row> = [1, 1].into_iter().enumerate().map(row).collect();
        let [first, mut second] = rows.try_into().unwrap();
        second.behind = Some(7);
        let mut stopped = Stopped::default();

        stopped.note(&first, &Settlement::Left);
        assert_eq!(stopped.settle_unsent(&second), Some(Settlement::Left));
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
            behind: None,
        }
    }
}
