//! The composition root: pool, store, clients, router, tasks.

use std::sync::Arc;

use auth::Tokens;
use axum::middleware::from_fn_with_state;
use cache::ServiceCache;
use chassis::health::{Health, Importance};
use chassis::{App, BuildError, Clock, Service, ServiceInfo, database};
use discovery::{ProviderType, Registry};
use messaging::{Broker, Consumer, Outbox, ParkingLot, Relay, inbox};
use service_client::{ClientSettings, ServiceClient};
use utoipa::openapi::OpenApi;

use crate::config::{FILES, Settings};
use crate::consumer::{Events, QUEUE};
use crate::gateway::StripeGateway;
use crate::routes::{self, AppState};
use crate::store::Store;
use crate::workers::{self, Charger};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The payment service, for [`chassis::process::run`].
pub struct PaymentService;

impl Service for PaymentService {
    const NAME: &'static str = "payment-service";
    const FILES: &'static [&'static str] = FILES;
    type Settings = Settings;

    fn telemetry(settings: &Settings) -> telemetry::TelemetrySettings {
        settings.telemetry.clone()
    }

    fn openapi() -> OpenApi {
        routes::router().merge(messaging::admin::router()).into_openapi()
    }

    async fn build(settings: Settings) -> Result<App, BuildError> {
        let clock = Clock::system();
        let version = settings.services.get(Self::NAME).map(|service| service.version.clone());
        let version = version.ok_or("services.tsk has no section [service:payment-service]")?;
        let info = ServiceInfo { name: Self::NAME, version };

        let pool = database::connect(&settings.database).await?;
        messaging::migrate(&pool).await?;
        database::migrate(&pool, &MIGRATIONS).await?;
        let cache = ServiceCache::connect(Self::NAME, &settings.cache)?;

        let messaging = &settings.messaging;
        let broker = Broker::new(Self::NAME, &messaging.rabbitmq);
        let outbox = Outbox::new(Self::NAME, messaging);
        let store = Store::new(pool.clone(), outbox.clone(), clock.clone());
        let events = Events { store: store.clone(), clock: clock.clone() };
        let relay = Relay::new(pool.clone(), broker.clone(), outbox, messaging);
        let consumer = Consumer::new(broker.clone(), messaging, QUEUE, events)?;
        let parking = ParkingLot::new(broker.clone(), messaging, QUEUE)?;
        let cleaner = inbox::Cleaner::new(pool.clone(), &messaging.consumer);
        let charger = Charger {
            store: store.clone(),
            gateway: Arc::new(StripeGateway::new(&settings.gateway)?),
            settings: settings.worker.clone(),
            clock: clock.clone(),
        };

        let tokens = Tokens::new(&settings.auth, Self::NAME, clock.clone());
        let registry = registry(&settings);
        let users = users(&settings, &registry, &tokens)?;
        let idempotency = settings.idempotency.clone();
        let state = AppState { store: store.clone(), tokens, users, idempotency, clock, parking };
        let admins = from_fn_with_state(state.clone(), routes::administrators);
        let parking_lot = messaging::admin::router().route_layer(admins);
        let health = Health::builder()
            .database(pool)
            .check("redis", Importance::Degrading, move || {
                let cache = cache.clone();
                async move { cache.ping().await.map_err(|error| error.kind()) }
            })
            .check("rabbitmq", Importance::Degrading, move || {
                let connected = broker.is_connected();
                async move { if connected { Ok(()) } else { Err("not connected") } }
            });
        let sweep = settings.idempotency.sweep_interval;
        App::builder(info, settings.server)
            .routes(routes::router().merge(parking_lot).with_state(state))
            .health(health)
            .task("relay", move |shutdown| relay.clone().run(shutdown))
            .task("consumer", move |shutdown| consumer.clone().run(shutdown))
            .task("inbox", move |shutdown| cleaner.clone().run(shutdown))
            .task("charger", move |shutdown| charger.clone().run(shutdown))
            .task("keys", move |shutdown| workers::sweep_keys(store.clone(), sweep, shutdown))
            .task("discovery", move |shutdown| registry.clone().run(shutdown))
            .bind()
            .await
    }
}

/// Who is called: user-service alone.
fn registry(settings: &Settings) -> Registry {
    let ProviderType::Static = settings.service_discovery.r#type;
    let mut called = settings.services.clone();
    called.retain(|name, _| name == USER_SERVICE);
    Registry::from_settings(&called, &settings.load_balancing)
}

/// The target of our calls.
const USER_SERVICE: &str = "user-service";

fn users(
    settings: &Settings,
    registry: &Registry,
    tokens: &Tokens,
) -> Result<ServiceClient, BuildError> {
    let client = ClientSettings::new(&settings.circuit_breaker, &settings.retry);
    let tokens = tokens.clone();
    let source = Arc::new(move |target: &str| Some(tokens.for_service(target).ok()?.value));
    Ok(ServiceClient::with_tokens(USER_SERVICE, registry.clone(), &client, source)?)
}
