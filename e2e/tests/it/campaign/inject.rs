//! Lets the faults of a campaign happen, one at a time.

use std::time::Duration;

use messaging::settings::MessagingSettings;
use serde_json::json;
use testkit::Proxy;
use testkit::raw_amqp::unreadable_properties;
use tokio::time::sleep;

use crate::campaign::deletion::Deleted;
use crate::campaign::fixture::{Fixture, insist};
use crate::campaign::intent;
use crate::campaign::reader::Reader;
use crate::campaign::schedule::{Fault, Step};

/// Unreadable messages that come together.
const UNREADABLE: usize = 3;
/// How long healing may take.
pub(super) const HEALED: Duration = Duration::from_secs(60);

impl Fixture {
    /// Lets a fault happen, and end.
    pub(crate) async fn inject(&mut self, step: &Step) {
        let Step { fault, which, lasts, .. } = *step;
        match fault {
            Fault::BrokerCutOff => cut_off(&self.broker_wire, lasts).await,
            Fault::BrokerBehindABlackHole => hang(&self.broker_wire, lasts).await,
            Fault::DatabaseCutOff => cut_off(&self.database_wire, lasts).await,
            Fault::DatabaseBehindABlackHole => hang(&self.database_wire, lasts).await,
            Fault::DatabaseConnectionsStranded => {
                self.database_wire.strand().await;
                self.until_more_is_had().await;
            }
            Fault::RelayVanished => self.relay_vanishes(which).await,
            Fault::PublisherKilled => self.publishers[which].kill_and_start(),
            Fault::ConsumerKilled => self.consumers[which].kill_and_start(),
            Fault::PublisherFrozen => self.publishers[which].freeze(lasts).await,
            Fault::ConsumerFrozen => self.consumers[which].freeze(lasts).await,
            Fault::PublisherTerminated => self.publishers[which].drain_and_start().await,
            Fault::ConsumerTerminated => self.consumers[which].drain_and_start().await,
            Fault::ExchangeDeleted => self.delete(Deleted::Exchange).await,
            Fault::BindingDeleted => self.delete(Deleted::Binding(Reader::SUBSCRIBED[which])).await,
            Fault::QueueDeleted => self.delete(Deleted::Queue(Reader::SUBSCRIBED[which])).await,
            Fault::UnreadableMessages => self.unreadable_messages_come(lasts).await,
            Fault::LateReaderCame => self.late_reader_comes_and_goes().await,
            of_a_server => self.servers.inject(of_a_server, lasts).await,
        }
    }

    /// Waits until both readers have more effects than now, which came after now.
    pub(super) async fn until_more_is_had(&self) {
        let enough = async || {
            let count = "select coalesce(max(id), 0) from effects";
            sqlx::query_scalar::<_, i64>(count).fetch_one(&self.pool).await
        };
        let last_intents = self.last_intents().await;
        let before = insist(enough).await;
        let more = async || {
            let readers = sqlx::query_scalar::<_, i64>(
                "select count(distinct reader) from effects
                 where id > $1 and reader = any($3)
                   and exists (select from unnest($2) as last
                               where intent / 10000000 = last / 10000000 and intent > last)",
            );
            let keys = Reader::SUBSCRIBED.map(|reader| reader.key().to_owned()).to_vec();
            let readers = readers.bind(before).bind(&last_intents).bind(keys);
            readers.fetch_one(&self.pool).await.is_ok_and(|readers| readers == 2)
        };
        self.within(HEALED, "both readers have what is committed from now on", more).await;
    }

    /// The last intent of each publisher.
    async fn last_intents(&self) -> Vec<i64> {
        let last = "select max(intent) from intents where publisher < 9 group by publisher";
        insist(async || sqlx::query_scalar(last).fetch_all(&self.pool).await).await
    }

    /// Messages that no client library can parse come to both readers; `of` says which.
    async fn unreadable_messages_come(&mut self, of: Duration) {
        let properties = unreadable_properties();
        let first = usize::try_from(of.as_millis()).unwrap();
        for number in first..first + UNREADABLE {
            let (_, properties) = &properties[number % properties.len()];
            let intent = intent::unreadable(self.unreadable);
            self.unreadable += 1;
            let note = "insert into intents (intent, publisher) values ($1, 9)";
            insist(async || sqlx::query(note).bind(intent).execute(&self.pool).await).await;
            let body = json!({"event_id": intent::event_id(intent), "event_type": "user.updated",
                "data": {}, "timestamp": "2026-01-15T09:30:00Z", "service": "other"});
            for reader in Reader::SUBSCRIBED {
                let body = body.to_string();
                self.operator.publish(self.queue(reader), properties, body.as_bytes()).await;
            }
        }
    }

    /// What waits because nobody reads it has a reader, until it is through.
    async fn late_reader_comes_and_goes(&mut self) {
        let held = async || {
            let held = sqlx::query_scalar::<_, Option<i64>>(
                "select max(id) from messaging_outbox where hold_id is not null",
            );
            held.fetch_one(&self.pool).await.ok().flatten()
        };
        let last = testkit::eventually("an unroutable event is held", held).await;
        self.start_late_reader();
        let gone = async || {
            if !self.operator.is_consumed(self.queue(Reader::Late)).await {
                return false;
            }
            self.try_what_is_held().await;
            let left = sqlx::query_scalar::<_, i64>(
                "select count(*) from messaging_outbox where hold_id is not null and id <= $1",
            );
            left.bind(last).fetch_one(&self.pool).await.is_ok_and(|left| left == 0)
        };
        self.within(HEALED, "what was held is sent", gone).await;
        if let Some(late) = self.late.take() {
            late.drain().await;
        }
        let queue = self.queue(Reader::Late);
        let exchange = exchange(&self.settings);
        self.operator.unbind(queue, exchange, "user.created").await;
    }
}

/// The exchange of all events of a campaign.
pub(super) fn exchange(settings: &MessagingSettings) -> &str {
    settings.exchange("user_exchange").unwrap()
}

async fn cut_off(wire: &Proxy, lasts: Duration) {
    wire.cut().await;
    sleep(lasts).await;
    wire.restore().await;
}

async fn hang(wire: &Proxy, lasts: Duration) {
    wire.freeze().await;
    sleep(lasts).await;
    wire.thaw().await;
}
