//! The composition root: pool, store, clients, router, tasks.

use std::collections::BTreeSet;

use auth::{Tokens, policy};
use cache::ServiceCache;
use chassis::health::{Health, Importance};
use chassis::{App, BuildError, Clock, ServerSettings, Service, ServiceInfo, database};
use discovery::Discovery;
use messaging::{Broker, Consumer, DeadLetterQueue, EventArchive, Outbox, Relay, inbox};
use service_client::{ClientCredentials, ServiceClient, key_ring};
use tusk_config::Misfit;
use utoipa::openapi::OpenApi;

use crate::config::{FILES, Settings};
use crate::consumer::{Events, QUEUE};
use crate::events;
use crate::routes::{self, AppState};
use crate::store::Store;
use crate::workers;

/// The sample service, for [`chassis::process::run`].
pub struct SampleService;

impl Service for SampleService {
    const NAME: &'static str = "sample-service";
    const FILES: &'static [&'static str] = FILES;
    type Settings = Settings;

    fn telemetry(settings: &Settings) -> telemetry::TelemetrySettings {
        settings.telemetry.clone()
    }

    fn server(settings: &Settings) -> &ServerSettings {
        &settings.server
    }

    fn openapi() -> OpenApi {
        routes::router().into_openapi()
    }

    fn check(settings: &Settings) -> Vec<Misfit> {
        let Settings { services, policy, messaging, .. } = settings;
        let mut misfits = settings.service_discovery.check(services, &[Self::NAME, USER_SERVICE]);
        misfits.extend(policy::check(Self::NAME, policy, &Self::openapi(), services.keys()));
        // The handlers know their exchanges, and stand over a store.
        let mut exchanges = BTreeSet::from([events::EXCHANGE]);
        match database::unopened(&settings.database) {
            Ok(database) => {
                let clock = Clock::system();
                let store = Store::new(database, Outbox::new(Self::NAME, messaging), clock.clone());
                let handlers = Events { store, clock }.handlers();
                exchanges.extend(handlers.exchanges());
                misfits.extend(handlers.check(messaging, QUEUE));
            }
            Err(error) => misfits.push(Misfit::at("database.url", error.to_string()).secret()),
        }
        misfits.extend(messaging.check(QUEUE, exchanges, settings.database.pool_size));
        misfits.extend(settings.check());
        misfits
    }

    async fn build(settings: Settings) -> Result<App, BuildError> {
        let clock = Clock::system();
        let version = settings.services.get(Self::NAME).map(|service| service.version.clone());
        let version = version.ok_or("services.tsk has no section [service:sample-service]")?;
        let info = ServiceInfo { name: Self::NAME, version: version.clone() };

        // Before anything is opened: settings that cannot work end the start.
        let discovery = Discovery::new(
            &settings.service_discovery,
            &settings.services,
            &settings.load_balancing,
            &[USER_SERVICE],
        )?;
        let users = ServiceClient::new(USER_SERVICE, &discovery.registry(), &settings.calls)?;
        let keys = key_ring(&settings.keys, &users, clock.clone())?;
        let tokens = Tokens::new(&settings.auth, keys.clone(), Self::NAME, clock.clone());
        let secret = settings.service_secret.sample_service_token.clone();
        let credentials = ClientCredentials::new(Self::NAME, secret, &users, clock.clone());
        let users = users.with_tokens(credentials.service_tokens(&tokens));
        let routes = policy::protect(routes::router(), Self::NAME, &settings.policy, &tokens)?;

        let database = database::connect(&settings.database).await?;
        messaging::migrate(database.pool()).await?;
        database::migrate(&database, sqlx::migrate!()).await?;
        let cache = ServiceCache::connect(Self::NAME, &settings.cache)?;

        let messaging = &settings.messaging;
        let broker = Broker::new(Self::NAME, &messaging.rabbitmq);
        let outbox = Outbox::new(Self::NAME, messaging);
        let store = Store::new(database.clone(), outbox.clone(), clock.clone());
        let events = Events { store: store.clone(), clock: clock.clone() };
        let archive =
            EventArchive::new(database.clone(), broker.clone(), outbox.clone(), messaging);
        let relay = Relay::new(database.clone(), broker.clone(), outbox, messaging);
        let consumer = Consumer::new(broker.clone(), messaging, QUEUE, events.handlers())?;
        let dead_letters = DeadLetterQueue::new(broker.clone(), messaging, QUEUE)?;
        let cleaner = inbox::Cleaner::new(database.clone(), messaging);

        let state = AppState { store: store.clone(), users, clock, dead_letters, archive };
        let health = Health::builder()
            .database(database)
            .check("redis", Importance::Degrading, move || {
                let cache = cache.clone();
                async move { cache.ping().await.map_err(|error| error.kind()) }
            })
            .check("rabbitmq", Importance::Degrading, move || {
                let connected = broker.is_connected();
                async move { if connected { Ok(()) } else { Err("not connected") } }
            });
        let sweep = settings.sweep;
        let registrar = discovery.clone();
        App::builder(info, settings.server)
            .routes(routes.with_state(state))
            .health(health)
            .task("relay", move |shutdown| relay.clone().run(shutdown))
            .task("consumer", move |shutdown| consumer.clone().run(shutdown))
            .task("inbox", move |shutdown| cleaner.clone().run(shutdown))
            .task("sweep", move |shutdown| workers::sweep(store.clone(), sweep.clone(), shutdown))
            .task("keys", move |shutdown| keys.clone().run(shutdown))
            .task("discovery", move |shutdown| discovery.clone().run(shutdown))
            .announcement("registration", move |address, draining| {
                let (port, version) = (address.port(), &version);
                registrar.registration(Self::NAME, port, version).run(draining)
            })
            .bind()
            .await
    }
}

/// Whom the service calls; with EdDSA or RS256 also the issuer of tokens.
const USER_SERVICE: &str = "user-service";
