//! Single flight: calls for the same key that overlap are one call, whose answer all receive.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The calls under way, by key: as many as there are callers, at most.
pub(super) struct Flights<K, V>(Arc<Mutex<HashMap<K, watch::Receiver<Progress<V>>>>>);

/// How a call is getting on.
#[derive(Clone)]
enum Progress<V> {
    Flying,
    Landed(V),
    Failed,
}

/// What a caller is to do.
pub(super) enum Role<K: Hash + Eq, V> {
    /// Make the call, and say how it ended.
    Lead(Flight<K, V>),
    /// Take this answer: another caller's call has just ended with it.
    Take(V),
    /// Another caller's call has just failed.
    Failed,
}

/// A call that others wait for. Dropping it leaves the lead to one of them.
pub(super) struct Flight<K: Hash + Eq, V> {
    key: K,
    flights: Flights<K, V>,
    progress: watch::Sender<Progress<V>>,
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Joins the call for this key, or leads one.
    pub(super) async fn join(&self, key: &K) -> Role<K, V> {
        loop {
            let mut progress = match self.find_or_lead(key) {
                Ok(flight) => return Role::Lead(flight),
                Err(progress) => progress,
            };
            // An error is a leader that was given up: then the lead is free.
            let ended = progress.wait_for(|progress| !matches!(progress, Progress::Flying)).await;
            match ended.map(|progress| progress.clone()) {
                Ok(Progress::Landed(answer)) => return Role::Take(answer),
                Ok(Progress::Failed) => return Role::Failed,
                Ok(Progress::Flying) | Err(_) => {}
            }
        }
    }

    fn find_or_lead(&self, key: &K) -> Result<Flight<K, V>, watch::Receiver<Progress<V>>> {
        let mut flights = self.lock();
        if let Some(progress) = flights.get(key) {
            return Err(progress.clone());
        }
        let (sender, receiver) = watch::channel(Progress::Flying);
        flights.insert(key.clone(), receiver);
        Ok(Flight { key: key.clone(), flights: Self(self.0.clone()), progress: sender })
    }
}

impl<K, V> Flights<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Progress<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> Flight<K, V> {
    pub(super) fn key(&self) -> &K {
        &self.key
    }

    /// Gives the answer to all that wait.
    pub(super) fn land(self, answer: V) {
        self.progress.send_replace(Progress::Landed(answer));
    }

    /// Tells all that wait that there is none.
    pub(super) fn fail(self) {
        self.progress.send_replace(Progress::Failed);
    }
}

impl<K: Hash + Eq, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        // Before the sender goes, so that whoever wakes finds the lead free.
        self.flights.lock().remove(&self.key);
    }
}
