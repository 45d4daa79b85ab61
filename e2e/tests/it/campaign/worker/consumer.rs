//! Has the effects of events: one row for each at each reader. Poison always fails.

use std::time::Duration;

use contracts::user::{UserCreated, UserUpdated};
use database::{Database, FutureExt};
use futures_util::future::join_all;
use messaging::{Broker, Consumer, Delivery, Handlers, Verdict};
use tokio::time::{sleep, timeout};

use crate::campaign::intent::Kind;
use crate::campaign::reader::Reader;
use crate::campaign::worker::{LINGER_LONG, PATIENCE, Worker};

/// After a commit: a kill then finds something half done.
const LINGER: Duration = Duration::from_millis(10);
/// The same of the reader whose consumers do the work of one.
const LINGER_ORDERED: Duration = Duration::from_millis(2);

/// The consumers of these readers' queues, until the shutdown.
pub(super) async fn run(worker: &Worker, readers: &[Reader]) {
    let broker = Broker::new("user-service", &worker.settings.rabbitmq);
    let consumers = readers.iter().map(|&reader| {
        let handlers = handlers(worker, reader);
        let consumer = Consumer::new(broker.clone(), &worker.settings, reader.key(), handlers);
        consumer.unwrap().run(worker.shutdown.clone())
    });
    let running = async {
        for ended in join_all(consumers).await {
            ended.unwrap();
        }
    };
    tokio::join!(running, say_that_they_hear(worker, &broker));
}

fn handlers(worker: &Worker, reader: Reader) -> Handlers<Effects> {
    let has_inbox = worker.sabotage != "Inbox";
    let linger = match reader {
        Reader::Ordered => LINGER_ORDERED,
        _ if has_inbox => LINGER,
        _ => LINGER_LONG,
    };
    let effects = Effects { database: worker.database.clone(), reader, has_inbox, linger };
    let handlers = Handlers::new(effects);
    match reader {
        Reader::Competing => handlers.on(Effects::updated),
        Reader::Ordered if worker.sabotage == "Order" => handlers.on(Effects::updated),
        Reader::Ordered => handlers.on(Effects::updated).ordered(),
        Reader::Late => handlers.on(Effects::created),
    }
}

/// Opens the flow once the consumers' queues are bound.
async fn say_that_they_hear(worker: &Worker, broker: &Broker) {
    while !worker.shutdown.is_cancelled() {
        if broker.is_connected() {
            let told = sqlx::query("update flow set heard = true").execute(&worker.database).await;
            if told.is_ok() {
                return;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[derive(Clone)]
struct Effects {
    database: Database,
    reader: Reader,
    has_inbox: bool,
    linger: Duration,
}

impl Effects {
    async fn updated(self, delivery: Delivery<UserUpdated>) -> Verdict {
        self.have(&delivery, delivery.data.name.parse().unwrap()).await
    }

    async fn created(self, delivery: Delivery<UserCreated>) -> Verdict {
        self.have(&delivery, delivery.data.name.parse().unwrap()).await
    }

    #[allow(clippy::print_stdout, reason = "the output is the worker's log")]
    async fn have<E: Sync>(&self, delivery: &Delivery<E>, intent: i64) -> Verdict {
        if Kind::of(intent).is_poison() {
            return Verdict::retry("it is poison");
        }
        let error = match timeout(PATIENCE, self.commit(delivery, intent)).await {
            Ok(Ok(())) => {
                sleep(self.linger).await;
                return Verdict::Ack;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the database does not answer".to_owned(),
        };
        println!("no effect of {intent} at {:?}: {error}", self.reader);
        Verdict::unavailable(error)
    }

    async fn commit<E: Sync>(
        &self,
        delivery: &Delivery<E>,
        intent: i64,
    ) -> Result<(), sqlx::Error> {
        self.database
            .transaction(|tx| {
                async move {
                    if !self.has_inbox || delivery.claim(tx).await? {
                        sqlx::query(
                            "insert into effects (reader, intent, message_id) values ($1, $2, $3)",
                        )
                        .bind(self.reader.key())
                        .bind(intent)
                        .bind(delivery.message_id.as_str())
                        .execute(&mut *tx)
                        .await?;
                    }
                    Ok(())
                }
                .scope_boxed()
            })
            .await
    }
}
