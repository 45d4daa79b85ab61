//! Commits one intent after the other, each with its event, and relays the events.

use std::time::Duration;

use chrono::Utc;
use contracts::UserId;
use contracts::user::{UserCreated, UserUpdated};
use database::{Database, FutureExt};
use messaging::{Broker, Outbox, Relay};
use sqlx::PgConnection;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::campaign::intent::{self, Kind};
use crate::campaign::worker::{PATIENCE, Worker, careless};

/// Between two intents of one publisher.
const PACE: Duration = Duration::from_millis(4);

pub(super) async fn run(worker: &Worker, number: i64) {
    let outbox = Outbox::new("user-service", &worker.settings);
    let relay = async {
        if worker.sabotage == "Relay" {
            return careless::relay(worker).await;
        }
        let broker = Broker::new("user-service", &worker.settings.rabbitmq);
        let relay = Relay::new(worker.database.clone(), broker, outbox.clone(), &worker.settings);
        relay.run(worker.shutdown.clone()).await.unwrap();
    };
    tokio::join!(relay, commit_intents(worker, &outbox, number));
}

/// For as long as the flow is open.
#[allow(clippy::print_stdout, reason = "the output is the worker's log")]
async fn commit_intents(worker: &Worker, outbox: &Outbox, publisher: i64) {
    while !worker.shutdown.is_cancelled() {
        // Asked each time: after an error it is not known whether the last one was committed.
        let committing = commit_intent(&worker.database, outbox, publisher);
        match timeout(PATIENCE, committing).await {
            Ok(Ok(true)) => outbox.wake(),
            Ok(Ok(false)) => sleep(Duration::from_millis(200)).await,
            Ok(Err(error)) => println!("no intent: {error}"),
            Err(_) => println!("no intent: the database does not answer"),
        }
        sleep(PACE).await;
    }
}

async fn commit_intent(
    database: &Database,
    outbox: &Outbox,
    publisher: i64,
) -> Result<bool, sqlx::Error> {
    database
        .transaction(|tx| {
            async move {
                let intent = sqlx::query_scalar::<_, i64>(
                    "insert into intents (publisher, intent)
                     select $1,
                            coalesce((select max(intent) from intents where publisher = $1), $2) + 1
                     from flow where open and heard
                     returning intent",
                );
                let intent = intent.bind(publisher).bind(intent::zeroth(publisher));
                let Some(intent) = intent.fetch_optional(&mut *tx).await? else {
                    return Ok(false);
                };
                enqueue(tx, outbox, intent).await?;
                Ok(true)
            }
            .scope_boxed()
        })
        .await
}

async fn enqueue(tx: &mut PgConnection, outbox: &Outbox, intent: i64) -> Result<(), sqlx::Error> {
    let event_id = intent::event_id(intent);
    let now = Utc::now();
    let user = u128::from(intent::user(intent).unsigned_abs());
    let user_id = UserId::from_uuid(Uuid::from_u128(user));
    let email = "ada@example.com".to_owned();
    let name = intent.to_string();
    let version = None;
    let enqueued = if Kind::of(intent) == Kind::Unroutable {
        let (token_id, expires_at) = (None, None);
        let event = UserCreated { user_id, email, name, version, token_id, expires_at };
        outbox.enqueue(tx, event_id, now, &event).await
    } else {
        let changed = vec!["name".to_owned()];
        let previous_email = None;
        let event = UserUpdated { user_id, email, name, changed, previous_email, version };
        outbox.enqueue(tx, event_id, now, &event).await
    };
    enqueued.map_err(|error| sqlx::Error::Protocol(error.to_string()))
}
