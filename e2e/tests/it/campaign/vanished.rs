//! A relay vanishes without a word in the middle of a batch, and another one goes on.

use std::time::Duration;

use tokio::time::sleep;

use crate::campaign::fixture::Fixture;
use crate::campaign::inject::HEALED;

/// The class of the advisory locks that are the relays' leases.
pub(super) const LEASE_CLASS: i32 = 0x6f75_7462;
/// Between two attempts to stop it while it has a lease.
const AGAIN: Duration = Duration::from_millis(7);

impl Fixture {
    /// Stops a relay that has a lease until another one has sent all that was there to be sent.
    pub(super) async fn relay_vanishes(&self, which: usize) {
        let relay = &self.publishers[which];
        let caught = async || {
            sleep(AGAIN).await;
            relay.stop();
            let row = self.last_row_behind_a_lease_of(&relay.name()).await;
            if row.is_none() {
                relay.cont();
            }
            row
        };
        let last = testkit::eventually("a relay is in the middle of a batch", caught).await;
        let sent = async || {
            let left = sqlx::query_scalar::<_, i64>(
                "select count(*) from messaging_outbox where hold_id is null and id <= $1",
            );
            left.bind(last).fetch_one(&self.pool).await.is_ok_and(|left| left == 0)
        };
        self.within(HEALED, "another relay has sent what one left behind", sent).await;
        relay.cont();
    }

    /// The last row to be sent, of the partitions that a relay has leased.
    async fn last_row_behind_a_lease_of(&self, name: &str) -> Option<i64> {
        let last = sqlx::query_scalar::<_, Option<i64>>(
            "select max(outbox.id) from messaging_outbox outbox
             join pg_locks on objid::int = outbox.partition
             join pg_stat_activity using (pid)
             where locktype = 'advisory' and classid::int = $1 and granted
               and hold_id is null and application_name = $2",
        );
        last.bind(LEASE_CLASS).bind(name).fetch_one(&self.pool).await.ok().flatten()
    }
}
