//! What a service has of its own, and how it joins what all services have.

use std::collections::BTreeSet;
use std::future::Future;

use auth::PolicySettings;
use auth::policy::{PolicyGuard, with_scopes};
use axum::extract::FromRef;
use chassis::app::{App, AppBuilder, BuildError};
use chassis::database::Probe;
use chassis::health::{Health, HealthBuilder, Importance};
use chassis::{CancellationToken, Protected, docs, operator};
use messaging::erasure::Eraser;
use messaging::{Consumer, DeadLetterQueue, EventArchive, Handlers, Relay, inbox};
use service_client::Targets;
use tusk_config::{Shown, ValidationError};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::audit::{self, AuditTrail};
use crate::guard::RouteGuard;
use crate::{Platform, Service};

/// A service that is put together and has opened nothing yet.
pub struct ServiceBuilder<S: Service> {
    platform: Platform,
    state: S::State,
    app: AppBuilder,
    consumer: Option<Result<Consumer, BuildError>>,
    /// The keys in `[exchanges]` of those that its queue is bound to.
    sources: BTreeSet<&'static str>,
    errors: Vec<ValidationError>,
}

/// What the routes for administrators use.
#[derive(Clone, FromRef)]
struct Administration {
    dead_letters: DeadLetterQueue,
    archive: EventArchive,
    audit: AuditTrail,
    targets: Targets,
}

impl<S: Service> ServiceBuilder<S> {
    pub(crate) fn new(platform: Platform, state: S::State) -> Self {
        let app = App::builder(platform.info.clone(), platform.settings.server.clone())
            .management(platform.settings.management.clone())
            .cors(platform.settings.cors.clone());
        let (sources, errors) = (BTreeSet::new(), Vec::new());
        Self { platform, state, app, consumer: None, sources, errors }
    }

    /// What it does with the events of [`Service::QUEUE`].
    #[must_use]
    pub fn consumes<T: Clone + Send + Sync + 'static>(mut self, handlers: Handlers<T>) -> Self {
        let Platform { broker, settings, .. } = &self.platform;
        self.sources = handlers.exchanges();
        self.errors = handlers.check(&settings.messaging, S::QUEUE);
        let consumer = Consumer::new(broker.clone(), &settings.messaging, S::QUEUE, handlers);
        self.consumer = Some(consumer.map_err(Into::into));
        self
    }

    /// Background work, supervised while the service runs. See [`chassis::tasks`] for the contract.
    #[must_use]
    pub fn task<F, Fut, E>(mut self, name: &'static str, make: F) -> Self
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BuildError> + 'static,
    {
        self.app = self.app.task(name, make);
        self
    }

    /// What does not fit the handlers.
    pub(crate) fn validate(&self) -> Vec<ValidationError> {
        let Platform { settings, .. } = &self.platform;
        let sources = self.sources.iter().copied();
        let pool_size = settings.database.background_pool_size;
        let mut errors = settings.messaging.check(S::QUEUE, sources, pool_size);
        errors.extend(self.errors.iter().cloned());
        errors
    }

    /// Adds what all services have, and opens the port. `shown` is what `/debug` tells of settings.
    pub(crate) async fn bind(self, probe: Probe, shown: Vec<Shown>) -> Result<App, BuildError> {
        let Self { platform, state, mut app, consumer, .. } = self;
        let broker = &platform.broker;
        let outbox = &platform.outbox;
        let Platform { requests, background, .. } = &platform;
        let messaging = &platform.settings.messaging;
        let dead_letters = DeadLetterQueue::new(broker.clone(), messaging, S::QUEUE)?;
        let eraser = Eraser::new(background.clone(), dead_letters.clone());
        let administration = Administration {
            dead_letters: dead_letters.clone(),
            archive: EventArchive::new(requests.clone(), broker.clone(), outbox.clone(), messaging),
            audit: platform.audit.clone(),
            targets: platform.targets.clone(),
        };
        let administration = administration_routes().with_state(administration);
        let parts = [S::router().with_state(state), administration];
        let name = S::NAME;
        let rules = &platform.settings.policy;
        let tokens = &platform.tokens;
        let guard = RouteGuard {
            policy: PolicyGuard::new(&parts, name, rules, tokens)?,
            audit: platform.audit.clone(),
            limits: platform.limits.clone(),
        };
        let [routes, administration] =
            parts.map(|routes| Protected::by(guard.clone(), with_scopes(routes, name, rules)));

        if let Some(consumer) = consumer {
            let consumer = consumer?;
            app = app.task("consumer", move |shutdown| consumer.clone().run(shutdown));
        }
        let relay = Relay::new(background.clone(), broker.clone(), outbox.clone(), messaging);
        let cleaner = inbox::Cleaner::new(background.clone(), messaging);
        let keys = platform.keys.clone();
        let trail = platform.audit.clone();
        let ended = platform.ended.clone();
        let position = ended.catch_up().await;
        app = app
            .task("ended sessions", move |shutdown| {
                ended.clone().follow(position.clone(), shutdown)
            })
            .task("audit", move |shutdown| trail.clone().sweep(shutdown))
            .task("relay", move |shutdown| relay.clone().run(shutdown))
            .task("erasure", move |shutdown| eraser.clone().run(shutdown))
            .task("inbox", move |shutdown| cleaner.clone().run(shutdown))
            .task("keys", move |shutdown| keys.clone().run(shutdown));
        if !crate::platform::called::<S>(&platform.settings).is_empty() {
            let discovery = platform.discovery.clone();
            app = app.task("discovery", move |shutdown| discovery.clone().run(shutdown));
        }
        let discovery = platform.discovery.clone();
        let version = platform.info.version.clone();
        app.routes(routes)
            .administration(administration)
            .health(servers(&platform, probe))
            .shown(shown)
            .services(auth::policy::service_check(&platform.tokens))
            .lifecycle_hook("registration", move |address, draining| {
                discovery.registration(S::NAME, address.port(), &version).run(draining)
            })
            .bind()
            .await
    }
}

/// The document of all routes, those for administrators included, with the scopes that follow from the rules.
pub fn openapi<S: Service>(policy: &PolicySettings) -> OpenApi {
    let own = with_scopes(S::router(), S::NAME, policy).into_openapi();
    let administration = with_scopes(administration_routes(), S::NAME, policy).into_openapi();
    docs::complete(own.merge_from(administration))
}

fn administration_routes() -> OpenApiRouter<Administration> {
    messaging::admin::router()
        .merge(messaging::admin::events::router())
        .merge(operator::router())
        .merge(service_client::admin::router())
        .merge(audit::router())
}

/// The checks of the servers that every service has: without its database it can do nothing, without
/// the others less.
fn servers(platform: &Platform, probe: Probe) -> HealthBuilder {
    let cache = platform.cache.clone();
    let broker = platform.broker.clone();
    Health::builder()
        .database(probe)
        .check("redis", Importance::Degrading, move || {
            let cache = cache.clone();
            async move { cache.ping().await.map_err(|error| error.kind()) }
        })
        .check("rabbitmq", Importance::Degrading, move || {
            let connected = broker.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected") } }
        })
}
