//! What a service does with the events it takes: a handler for each type and version of them.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::Event;
use futures_util::future::BoxFuture;
use tusk_config::ValidationError;
use uuid::Uuid;

use crate::consumer::delivery::{Delivery, Verdict};
use crate::settings::{ConsumerSettings, MessagingSettings, SettingsError};

/// The handlers of one consumer, over a state that each call gets a clone of.
///
/// One registration says everything: the event type of its argument tells the exchange and the key
/// that the queue is bound to, which messages come to it, and what they are decoded as.
///
/// ```
/// use contracts::user::{UserCreated, UserDeleted};
/// use messaging::{Delivery, Handlers, Verdict};
///
/// #[derive(Clone)]
/// struct Greeter;
///
/// impl Greeter {
///     async fn user_created(self, delivery: Delivery<UserCreated>) -> Verdict {
///         tracing::info!(user.id = %delivery.data.user_id, "hello");
///         Verdict::Ack
///     }
///
///     async fn user_deleted(self, delivery: Delivery<UserDeleted>) -> Verdict {
///         tracing::info!(user.id = %delivery.data.user_id, "good-bye");
///         Verdict::Ack
///     }
/// }
///
/// let handlers = Handlers::new(Greeter).on(Greeter::user_created).on(Greeter::user_deleted);
/// ```
///
/// # Versions
///
/// A handler gets the messages of its type and of exactly its version ([`Event::VERSION`]). Fields
/// with a default come and go within a version; a version changes only when old bytes cannot be
/// read as the new type, so that no version can stand in for another. While messages of both are
/// under way, register both: the older handler makes the newer event of it and calls the newer one.
/// A message of a version without a handler is dead-lettered, and can be replayed once there is one.
pub struct Handlers<S> {
    state: S,
    pub(super) routes: Routes,
}

impl<S: Clone + Send + Sync + 'static> Handlers<S> {
    /// No handlers yet: a consumer of these would dead-letter whatever it gets.
    pub fn new(state: S) -> Self {
        Self { state, routes: Routes::default() }
    }

    /// Has `handler` called for events of type `E`, several at the same time; what it returns says
    /// what becomes of the message. A `Result<(), Error>` will do where the service's error is a
    /// [`Verdict`] too.
    ///
    /// It is dropped when it takes longer than `[consumer] handler_timeout`, so its effect belongs
    /// in a transaction, together with the message's [claim](Delivery::claim).
    ///
    /// # Panics
    ///
    /// When this version of the type has a handler already.
    #[must_use]
    pub fn on<E, F, A>(self, handler: F) -> Self
    where
        E: Event,
        F: Fn(S, Delivery<E>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<Verdict>> + Send,
    {
        let handler = Arc::new(handler);
        self.add(Batch::ONE, move |state, mut deliveries: Vec<Delivery<E>>| {
            let handler = Arc::clone(&handler);
            async move {
                let delivery = deliveries.pop().expect("a call has a delivery");
                handler(state, delivery).await
            }
        })
    }

    /// Has `handler` called for up to `max` events of type `E` at once, in the order in which they
    /// came; `linger` is how long the first of them waits for more. For effects that are cheaper
    /// together: it has all of them in one transaction, in which
    /// [`inbox::claim_all`](crate::inbox::claim_all) says which of the deliveries are new.
    ///
    /// [`Verdict::Ack`] and [`Verdict::Unavailable`] go for all of them. After any other verdict,
    /// a panic, or a batch that took too long, each is handled alone: the handler is called once
    /// more with every single one, whose verdict is then its own. So one poison message hurts no
    /// other. A message that is tried again comes alone from the start.
    ///
    /// `max` is at least 1, and at most the prefetch. A batch takes the place of
    /// one handler in `[consumer] concurrency`, and has its time, `handler_timeout`.
    ///
    /// # Panics
    ///
    /// When this version of the type has a handler already.
    #[must_use]
    pub fn on_batch<E, F, A>(self, max: usize, linger: Duration, handler: F) -> Self
    where
        E: Event,
        F: Fn(S, Vec<Delivery<E>>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<Verdict>> + Send,
    {
        self.add(Batch { max: max.max(1), linger }, handler)
    }

    /// The keys in `[exchanges]` of what is handled.
    pub fn exchanges(&self) -> BTreeSet<&'static str> {
        self.routes.bindings().into_iter().map(|(exchange, _)| exchange).collect()
    }

    /// What of the settings does not fit these handlers as those of the queue of this key, for
    /// `--check-config`.
    pub fn check(&self, settings: &MessagingSettings, queue_key: &str) -> Vec<ValidationError> {
        let mut errors = self.check_subscriptions(settings, queue_key);
        let Ok(consumer) = settings.consumer_of(queue_key) else { return errors };
        let error = self.routes.fit(queue_key, &consumer).err();
        let has_own = settings.consumers.contains_key(queue_key);
        let place = if has_own { format!("consumer:{queue_key}") } else { "consumer".to_owned() };
        errors.extend(error.map(|error| ValidationError::at(place, error.to_string())));
        errors
    }

    /// Publishers must know of this reader for exactly what it handles.
    fn check_subscriptions(
        &self,
        settings: &MessagingSettings,
        queue_key: &str,
    ) -> Vec<ValidationError> {
        let handled: BTreeSet<&str> =
            self.routes.bindings().into_iter().map(|(_, event_type)| event_type).collect();
        let reads = |queues: &Vec<String>| queues.iter().any(|queue| queue == queue_key);
        let subscribed = settings.subscriptions.iter().filter(|(_, queues)| reads(queues));
        let subscribed: BTreeSet<&str> = subscribed.map(|(name, _)| name.as_str()).collect();
        let missing = handled.difference(&subscribed).map(|event_type| {
            let text = format!(
                "`{queue_key}` handles `{event_type}` and is not among its readers: add it, so that \
                 publishers know of it"
            );
            if settings.subscriptions.contains_key(*event_type) {
                ValidationError::at(format!("subscriptions.{event_type}"), text)
            } else {
                ValidationError::missing("subscriptions", *event_type, text)
            }
        });
        let idle = subscribed.difference(&handled).map(|event_type| {
            let text = format!(
                "`{queue_key}` has no handler for `{event_type}`: it would get the events and \
                 dead-letter them"
            );
            ValidationError::at(format!("subscriptions.{event_type}"), text)
        });
        missing.chain(idle).collect()
    }

    fn add<E, F, A>(mut self, batch: Batch, handler: F) -> Self
    where
        E: Event,
        F: Fn(S, Vec<Delivery<E>>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<Verdict>> + Send,
    {
        let shared = Arc::new((self.state.clone(), handler));
        self.routes.add(Route {
            exchange: E::EXCHANGE,
            event_type: E::TYPE,
            version: E::VERSION,
            batch,
            decode: Decoded::from::<E>,
            call: Box::new(move |deliveries| {
                let shared = Arc::clone(&shared);
                Box::pin(async move {
                    let (state, handler) = &*shared;
                    let deliveries = deliveries.into_iter().map(|each| each.map(Decoded::into));
                    handler(state.clone(), deliveries.collect()).await.into()
                })
            }),
        });
        self
    }

    /// Handles the events of one aggregate ([`Event::aggregate_id`]) one after the other, in the
    /// order in which they came, which is the order in which they happened; those of others side by
    /// side. With several instances it holds where the broker delivers to one at a time, and to the
    /// next when that one is gone: `[queue] single_active_consumer`.
    ///
    /// A message that is to be tried again is tried in its place, after the same delays, of five seconds
    /// at most while something is unavailable, and those of its aggregate wait in hand. So the others have less of the prefetch, and none of it when as many
    /// events of that aggregate wait. A shutdown, a lost connection, and a message that has been in
    /// hand for almost `[consumer] unacked_max` give all of them back to the broker, which delivers
    /// them again in their places, before later ones; attempts are counted anew then, and each time
    /// counts towards `[queue] delivery_limit`, at which the broker dead-letters them.
    ///
    /// What is dead-lettered leaves a gap: the aggregate's later events go on without it, and a replay
    /// brings it after them. There is no kill switch: what waits in its place lets nothing circle.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.routes.are_ordered = true;
        self
    }
}

impl<S> fmt::Debug for Handlers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.routes.fmt(f)
    }
}

/// How many messages a handler takes at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) max: usize,
    /// How long the first of them waits for more.
    pub(super) linger: Duration,
}

impl Batch {
    const ONE: Self = Self { max: 1, linger: Duration::ZERO };
}

/// Events with the handler of all of them; one at least.
pub(super) struct Call<'a> {
    route: &'a Route,
    pub(super) deliveries: Vec<Delivery<Decoded>>,
}

impl Call<'_> {
    /// Whose calls can be joined, and how many.
    pub(super) fn route(&self) -> (RouteId, Batch) {
        let Route { event_type, version, batch, .. } = *self.route;
        ((event_type, version), batch)
    }

    /// The aggregate that the first event is about.
    pub(super) fn about(&self) -> Option<Uuid> {
        self.deliveries.first().map(|delivery| delivery.data.about)
    }

    /// Makes one call of those of one route; none of none.
    pub(super) fn join(calls: impl IntoIterator<Item = Self>) -> Option<Self> {
        calls.into_iter().reduce(|mut all, next| {
            all.deliveries.extend(next.deliveries);
            all
        })
    }

    /// The handler's work; nothing happens before it is polled.
    pub(super) fn handle(self) -> BoxFuture<'static, Verdict> {
        (self.route.call)(self.deliveries)
    }
}

/// An event as its type, which its [`Route`] knows.
pub(super) struct Decoded {
    /// The aggregate that it happened to.
    pub(super) about: Uuid,
    event: Box<dyn Any + Send>,
}

impl Decoded {
    fn from<E: Event>(delivery: Delivery) -> Result<Delivery<Self>, String> {
        let as_decoded = |event: E| Self { about: event.aggregate_id(), event: Box::new(event) };
        Ok(delivery.decode()?.map(as_decoded))
    }

    fn into<E: Event>(self) -> E {
        *self.event.downcast().expect("a route is called with what it has decoded itself")
    }
}

/// Why a message comes to no handler.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is no event, or not what its type must be.
    #[error("undecodable: {0}")]
    Undecodable(String),
    #[error("no handler for its event type")]
    UnknownType(String),
    #[error("no handler for version {version} of {event_type}")]
    UnknownVersion { event_type: &'static str, version: u16 },
}

/// The registrations, whatever the state and the types.
#[derive(Debug, Default)]
pub(super) struct Routes {
    all: Vec<Route>,
    pub(super) are_ordered: bool,
}

/// A route's event type and version.
pub(super) type RouteId = (&'static str, u16);

struct Route {
    exchange: &'static str,
    event_type: &'static str,
    version: u16,
    batch: Batch,
    decode: fn(Delivery) -> Result<Delivery<Decoded>, String>,
    call: Box<dyn Fn(Vec<Delivery<Decoded>>) -> BoxFuture<'static, Verdict> + Send + Sync>,
}

impl Routes {
    fn add(&mut self, route: Route) {
        let Route { event_type, version, .. } = route;
        let is_free = self.route(event_type, version).is_err();
        assert!(is_free, "version {version} of {event_type} has a handler already");
        self.all.push(route);
    }

    /// The key of the exchange, and the event type, of all that is handled.
    pub(super) fn bindings(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.all.iter().map(|route| (route.exchange, route.event_type)).collect()
    }

    /// Refuses settings of the consumer of this queue that do not fit the batches.
    pub(super) fn fit(&self, key: &str, settings: &ConsumerSettings) -> Result<(), SettingsError> {
        let batch = self.all.iter().map(|route| route.batch.max).max().unwrap_or(1);
        let prefetch = settings.prefetch.get();
        if batch > usize::from(prefetch) {
            return Err(SettingsError::BatchOverPrefetch { key: key.to_owned(), batch, prefetch });
        }
        if self.are_ordered {
            settings.check_in_place(key)?;
        }
        // What fails in a batch is handled twice.
        settings.check_held(key, if batch > 1 { 2 } else { 1 })
    }

    /// Decodes a delivery for its handler.
    pub(super) fn call(&self, delivery: Delivery) -> Result<Call<'_>, Refusal> {
        let route = self.route(&delivery.event_type, delivery.version)?;
        let delivery = (route.decode)(delivery).map_err(Refusal::Undecodable)?;
        Ok(Call { route, deliveries: vec![delivery] })
    }

    fn route(&self, event_type: &str, version: u16) -> Result<&Route, Refusal> {
        let mut of_type = self.all.iter().filter(|route| route.event_type == event_type);
        let exact = of_type.clone().find(|route| route.version == version);
        exact.ok_or_else(|| match of_type.next() {
            Some(Route { event_type, .. }) => Refusal::UnknownVersion { event_type, version },
            None => Refusal::UnknownType(event_type.to_owned()),
        })
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{} of {}", self.event_type, self.version, self.exchange)
    }
}
