//! The composition root: pool, store, clients, router, tasks.

use std::collections::BTreeSet;

use auth::password::Passwords;
use auth::{Credentials, KeyRing, Tokens, policy};
use cache::ServiceCache;
use chassis::health::{Health, Importance};
use chassis::{App, BuildError, Clock, ServerSettings, Service, ServiceInfo, database};
use discovery::Discovery;
use messaging::consumer::Consumer;
use messaging::{Broker, DeadLetterQueue, EventArchive, Outbox, Relay, inbox};
use tusk_config::Misfit;
use utoipa::openapi::OpenApi;

use crate::config::{FILES, Settings};
use crate::consumer::{Events, QUEUE};
use crate::events;
use crate::metrics;
use crate::profiles::Profiles;
use crate::routes::{self, AppState};
use crate::store::Store;
use crate::workers;

/// The user service, for [`chassis::process::run`].
pub struct UserService;

impl Service for UserService {
    const NAME: &'static str = "user-service";
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
        let mut misfits = settings.service_discovery.check(services, &[Self::NAME]);
        misfits.extend(policy::check(Self::NAME, policy, &Self::openapi(), services.keys()));
        // The handlers know their exchanges, and stand over a store.
        let mut exchanges = BTreeSet::from([events::EXCHANGE]);
        let cache = ServiceCache::connect(Self::NAME, &settings.cache);
        let cache = cache.map_err(|error| Misfit::at("cache.url", error.to_string()).secret());
        let database = database::unopened(&settings.database);
        let database =
            database.map_err(|error| Misfit::at("database.url", error.to_string()).secret());
        match database.and_then(|database| Ok((database, cache?))) {
            Ok((database, cache)) => {
                let (clock, profiles) = (Clock::system(), Profiles::new(cache));
                let outbox = Outbox::new(Self::NAME, messaging);
                let store = Store::new(database, outbox, clock.clone(), profiles);
                let handlers = Events { store, clock }.handlers();
                exchanges.extend(handlers.exchanges());
                misfits.extend(handlers.check(messaging, QUEUE));
            }
            Err(misfit) => misfits.push(misfit),
        }
        misfits.extend(messaging.check(QUEUE, exchanges, settings.database.pool_size));
        misfits
    }

    async fn build(settings: Settings) -> Result<App, BuildError> {
        let clock = Clock::system();
        let version = settings.services.get(Self::NAME).map(|service| service.version.clone());
        let version = version.ok_or("services.tsk has no section [service:user-service]")?;
        let info = ServiceInfo { name: Self::NAME, version: env!("CARGO_PKG_VERSION").to_owned() };

        // Before anything is opened: settings that cannot work end the start. It calls nobody, but
        // others find it.
        let discovery = Discovery::new(
            &settings.service_discovery,
            &settings.services,
            &settings.load_balancing,
            &[],
        )?;
        let keys = KeyRing::open(&settings.keys, clock.clone())?;
        let tokens = Tokens::new(&settings.auth, keys.clone(), Self::NAME, clock.clone());
        let routes = policy::protect(routes::router(), Self::NAME, &settings.policy, &tokens)?;

        let database = database::connect(&settings.database).await?;
        messaging::migrate(database.pool()).await?;
        database::migrate(&database, sqlx::migrate!()).await?;
        let cache = ServiceCache::connect(Self::NAME, &settings.cache)?;

        let messaging = &settings.messaging;
        let broker = Broker::new(Self::NAME, &messaging.rabbitmq);
        let outbox = Outbox::new(Self::NAME, messaging);
        let profiles = Profiles::new(cache.clone());
        let store = Store::new(database.clone(), outbox.clone(), clock.clone(), profiles.clone());
        let events = Events { store: store.clone(), clock: clock.clone() };
        let archive =
            EventArchive::new(database.clone(), broker.clone(), outbox.clone(), messaging);
        let relay = Relay::new(database.clone(), broker.clone(), outbox, messaging);
        let consumer = Consumer::new(broker.clone(), messaging, QUEUE, events.handlers())?;
        let dead_letters = DeadLetterQueue::new(broker.clone(), messaging, QUEUE)?;

        let state = AppState {
            store: store.clone(),
            tokens,
            credentials: Credentials::new(&settings.service_secrets, clock.clone()),
            passwords: Passwords::new(&settings.password).await?,
            profiles: profiles.clone(),
            sessions: settings.sessions.clone(),
            clock,
            dead_letters,
            archive,
        };
        let health = Health::builder()
            .database(database.clone())
            .check("redis", Importance::Degrading, move || {
                let cache = cache.clone();
                async move { cache.ping().await.map_err(|error| error.kind()) }
            })
            .check("rabbitmq", Importance::Degrading, move || {
                let connected = broker.is_connected();
                async move { if connected { Ok(()) } else { Err("not connected") } }
            });
        metrics::register();
        let cleaner = inbox::Cleaner::new(database, messaging);
        let sweep = settings.sessions.sweep_interval;
        App::builder(info, settings.server)
            .routes(routes.with_state(state))
            .health(health)
            .task("relay", move |shutdown| relay.clone().run(shutdown))
            .task("consumer", move |shutdown| consumer.clone().run(shutdown))
            .task("inbox", move |shutdown| cleaner.clone().run(shutdown))
            .task("profiles", move |shutdown| profiles.clone().run(shutdown))
            .task("keys", move |shutdown| keys.clone().run(shutdown))
            .task("sessions", move |shutdown| {
                workers::sweep_sessions(store.clone(), sweep, shutdown)
            })
            .announcement("registration", move |address, draining| {
                let (port, version) = (address.port(), &version);
                discovery.registration(Self::NAME, port, version).run(draining)
            })
            .bind()
            .await
    }

    /// `token user --id UUID [--role admin]` and `token service NAME --for TARGET`: for trying things
    /// out by hand.
    fn command(settings: &Settings, words: &[String]) -> Result<String, BuildError> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let clock = Clock::system();
        let keys = KeyRing::open(&settings.keys, clock.clone())?;
        let tokens = Tokens::new(&settings.auth, keys, Self::NAME, clock.clone());
        let user = |id: &str, role| -> Result<_, BuildError> {
            Ok(tokens.for_user(id.parse()?, role, clock.new_id())?)
        };
        let token = match words[..] {
            ["token", "user", "--id", id] => user(id, auth::Role::User)?,
            ["token", "user", "--id", id, "--role", "admin"] => user(id, auth::Role::Admin)?,
            ["token", "service", caller, "--for", target] => {
                let known = settings.services.keys().find(|name| *name == caller);
                let caller = known.ok_or("services.tsk has no such service")?;
                tokens.for_caller(caller, target)?
            }
            _ => {
                return Err("known: token user --id UUID [--role admin], \
                            token service NAME --for TARGET"
                    .into());
            }
        };
        Ok(token.value.expose().clone())
    }
}
