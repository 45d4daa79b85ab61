//! Somebody deletes an exchange, a binding or a queue under the running system.
//!
//! It happens between two rounds of the relays, which the campaign holds up by their own leases: a
//! publisher binds its readers before each round, and what goes away in the middle of one, between
//! the binding and the last message, takes along what comes after it in that round.

use std::time::Duration;

use sqlx::{Postgres, Transaction};

use crate::campaign::fixture::{Fixture, insist};
use crate::campaign::inject::exchange;
use crate::campaign::reader::Reader;
use crate::campaign::vanished::LEASE_CLASS;

/// How long a reader may take for what is under way, retries with their delays included.
const READ: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy)]
pub(super) enum Deleted {
    Exchange,
    Binding(Reader),
    Queue(Reader),
}

impl Fixture {
    /// Deletes it, and waits until events flow again to both readers.
    pub(super) async fn delete(&self, what: Deleted) {
        let leases = insist(async || self.take_leases().await).await;
        let exchange = exchange(&self.settings);
        match what {
            Deleted::Exchange => self.operator.delete_exchange(exchange).await,
            Deleted::Binding(reader) => {
                self.operator.unbind(self.queue(reader), exchange, "user.updated").await;
            }
            Deleted::Queue(reader) => {
                self.until_all_is_read(reader, READ).await;
                self.operator.delete_queue(self.queue(reader)).await;
            }
        }
        leases.rollback().await.unwrap();
        self.until_more_is_had().await;
    }

    /// All partitions' leases, as soon as no relay has one.
    async fn take_leases(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1, p) from generate_series(0, $2) p")
            .bind(LEASE_CLASS)
            .bind(i32::from(messaging::outbox::PARTITIONS) - 1)
            .execute(&mut *tx)
            .await?;
        Ok(tx)
    }
}
