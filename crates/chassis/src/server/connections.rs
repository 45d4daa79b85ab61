//! The connections that are open, and the one that makes room for another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::state::State;

/// The open connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    table: Mutex<Table>,
    /// One has ended, or waits for its peer from now on.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    /// Cancelled when it is to make room.
    pub(super) leave: CancellationToken,
}

/// A permit for one of the open connections, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    pub(super) connection: Arc<Connection>,
    number: u64,
    connections: Arc<Connections>,
}

impl Connections {
    /// None yet, and `limit` at most.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), table: Mutex::default(), changed: Notify::new() }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many are open, without those that have been told to make room.
    pub(super) fn open(&self) -> usize {
        self.table().open.len()
    }

    /// A permit, once there is room: at the limit, that of the connection that has waited for its peer
    /// for the longest time. Waits only while each one's request is in a handler.
    pub(super) async fn acquire(self: &Arc<Self>) -> ConnectionPermit {
        while self.open() >= self.limit && !self.make_room() {
            self.changed.notified().await;
        }
        let connection =
            Arc::new(Connection { state: State::new(), leave: CancellationToken::new() });
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.open.insert(number, connection.clone());
        ConnectionPermit { connection, number, connections: self.clone() }
    }

    /// Tells the connection that has waited for its peer for the longest time to end. `false` when
    /// none waits.
    pub(super) fn make_room(&self) -> bool {
        let mut table = self.table();
        let waiting = table.open.iter();
        let waiting = waiting.filter_map(|(number, one)| Some((one.state.waits_since()?, *number)));
        let longest = waiting.min().and_then(|(_, number)| table.open.remove(&number));
        longest.inspect(|one| one.leave.cancel()).is_some()
    }

    /// One waits for its peer from now on.
    pub(super) fn waits(&self) {
        self.changed.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Inserting and removing leave nothing half done.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.number);
        self.connections.waits();
    }
}
