//! Stale-if-error: the last good answer to the same question, while the target is away.

use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use moka::sync::Cache;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use super::flight::{Flight, Flights, Role};
use crate::Error;
use crate::deadline::HasDeadline;

/// How much is kept, and how long it may be given again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StaleSettings {
    /// Answers kept; the least used go first.
    pub capacity: u64,
    /// The age up to which an answer is given again.
    pub max_age: Duration,
}

/// The mark of an answer that was given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// How long ago the target gave it.
    pub age: Duration,
}

/// An answer that can be kept, and marked when it is given again.
pub trait MarkStale: Clone {
    /// Marks it.
    fn mark_stale(&mut self, stale: Stale);
}

/// What is to be done with the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Give it to the caller, and keep it for later.
    Keep,
    /// Give it to the caller.
    Pass,
    /// Give an older answer instead, if there is one: the target is away for the moment.
    Replace,
}

/// Keeps good answers, and gives them again, marked, when a call fails. Calls for the same key that
/// overlap are one call to the target.
///
/// The key must name everything that the answer depends on, who asks included. A request without a
/// key passes through.
pub struct StaleLayer<K, V, F, U> {
    shared: Arc<Shared<K, V, F, U>>,
}

/// See [`StaleLayer`].
pub struct StaleService<S, K, V, F, U> {
    inner: S,
    shared: Arc<Shared<K, V, F, U>>,
}

struct Shared<K, V, F, U> {
    key: F,
    judge: U,
    max_age: Duration,
    kept: Cache<K, Kept<V>>,
    flights: Flights<K, V>,
}

#[derive(Clone)]
struct Kept<V> {
    answer: V,
    at: Instant,
}

impl<K, V, F, U> StaleLayer<K, V, F, U>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: MarkStale + Send + Sync + 'static,
{
    /// A layer that keeps the answers to requests of which `key: Fn(&Request) -> Option<K>` gives a
    /// key, as `judge: Fn(&Result<Response, Error<E>>) -> Use` says.
    pub fn new(settings: &StaleSettings, key: F, judge: U) -> Self {
        let kept = Cache::builder()
            .max_capacity(settings.capacity)
            .time_to_live(settings.max_age.max(Duration::from_nanos(1)))
            .build();
        let (max_age, flights) = (settings.max_age, Flights::new());
        Self { shared: Arc::new(Shared { key, judge, max_age, kept, flights }) }
    }
}

impl<S, K, V, F, U> Layer<S> for StaleLayer<K, V, F, U> {
    type Service = StaleService<S, K, V, F, U>;

    fn layer(&self, inner: S) -> Self::Service {
        StaleService { inner, shared: self.shared.clone() }
    }
}

impl<K, V, F, U> Shared<K, V, F, U>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: MarkStale + Send + Sync + 'static,
{
    /// The answer that is kept, marked, unless it is too old.
    fn stale(&self, key: &K) -> Option<V> {
        let Kept { mut answer, at } = self.kept.get(key)?;
        let age = at.elapsed();
        (age <= self.max_age).then(|| {
            answer.mark_stale(Stale { age });
            answer
        })
    }

    /// Does with the end of a call what is to be done with it.
    fn land<E>(&self, flight: Flight<K, V>, result: Result<V, Error<E>>) -> Result<V, Error<E>>
    where
        U: Fn(&Result<V, Error<E>>) -> Use,
    {
        match ((self.judge)(&result), result) {
            (Use::Keep, Ok(answer)) => {
                let kept = Kept { answer: answer.clone(), at: Instant::now() };
                self.kept.insert(flight.key().clone(), kept);
                flight.land(answer.clone());
                Ok(answer)
            }
            (Use::Replace, result) => {
                let stale = self.stale(flight.key());
                flight.fail();
                stale.map_or(result, Ok)
            }
            (_, result) => {
                flight.fail();
                result
            }
        }
    }
}

impl<S, K, V, F, U, R, E> Service<R> for StaleService<S, K, V, F, U>
where
    S: Service<R, Response = V, Error = Error<E>, Future: Send> + Clone + Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: MarkStale + Send + Sync + 'static,
    F: Fn(&R) -> Option<K> + Send + Sync + 'static,
    U: Fn(&Result<V, Error<E>>) -> Use + Send + Sync + 'static,
    R: HasDeadline + Send + 'static,
    E: Send,
{
    type Response = V;
    type Error = Error<E>;
    type Future = Pin<Box<dyn Future<Output = Result<V, Error<E>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Some(key) = (self.shared.key)(&request) else {
            return Box::pin(self.inner.call(request));
        };
        // The service that is ready goes with the request; a fresh one takes its place.
        let fresh = self.inner.clone();
        let mut service = std::mem::replace(&mut self.inner, fresh);
        let shared = self.shared.clone();
        Box::pin(async move {
            let role = shared.flights.join(&key);
            let role = match request.deadline() {
                Some(deadline) => timeout_at(deadline.instant(), role).await,
                None => Ok(role.await),
            };
            match role {
                Ok(Role::Lead(flight)) => shared.land(flight, service.call(request).await),
                Ok(Role::Take(answer)) => Ok(answer),
                Ok(Role::Failed) => match shared.stale(&key) {
                    Some(answer) => Ok(answer),
                    None => service.call(request).await,
                },
                Err(_) => shared.stale(&key).ok_or(Error::DeadlineExceeded),
            }
        })
    }
}

impl<K, V, F, U> Clone for StaleLayer<K, V, F, U> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Clone, K, V, F, U> Clone for StaleService<S, K, V, F, U> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}
