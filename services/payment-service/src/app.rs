//! What is this service's own, on the platform that all services share.

use std::sync::Arc;

use platform::{BuildError, ISSUER, Platform, PlatformSettings, Service, ServiceBuilder};
use sqlx::migrate::Migrator;
use tusk_config::ValidationError;
use utoipa_axum::router::OpenApiRouter;

use crate::config::Settings;
use crate::consumer::{Events, QUEUE};
use crate::gateway::StripeGateway;
use crate::routes::{self, AppState};
use crate::store::Store;
use crate::workers::{self, Charger};
use crate::{events, metrics};

/// Who knows whether a user may pay.
const USER_SERVICE: &str = ISSUER;

/// What operators know the payment provider by.
const PROVIDER: &str = "payment-provider";

/// The payment service, for [`platform::process::run`].
pub struct PaymentService;

impl Service for PaymentService {
    const NAME: &'static str = "payment-service";
    const QUEUE: &'static str = QUEUE;
    const EXCHANGES: &'static [&'static str] = &[events::EXCHANGE, events::ERASURES];
    const CALLS: &'static [&'static str] = &[USER_SERVICE];
    type Settings = Settings;
    type State = AppState;

    fn router() -> OpenApiRouter<AppState> {
        routes::router()
    }

    fn migrations() -> Migrator {
        sqlx::migrate!()
    }

    fn check(settings: &Settings, _: &PlatformSettings) -> Vec<ValidationError> {
        settings.check()
    }

    fn build(platform: Platform, settings: &Settings) -> Result<ServiceBuilder<Self>, BuildError> {
        let Platform { clock, requests, background, outbox, .. } = platform.clone();
        let store = Store::new(requests, outbox, clock.clone());
        let background = store.clone().over(background);
        let events = Events { store: background.clone(), clock: clock.clone() };
        let gateway = StripeGateway::new(&settings.gateway)?;
        platform.targets.outside(PROVIDER, gateway.base_url(), gateway.calls());
        let charger = Charger {
            store: background.clone(),
            gateway: Arc::new(gateway),
            settings: settings.worker.clone(),
            settlement: settings.settlement.clone(),
            clock: clock.clone(),
        };
        let secret = &settings.service_secret.payment_service_token;
        let state = AppState {
            store,
            users: platform.client(USER_SERVICE, secret)?,
            idempotency: settings.idempotency.clone(),
            clock,
        };
        let measured = background.clone();
        let sweep = settings.idempotency.clone();
        Ok(platform
            .service(state)
            .consumes(events.handlers())
            .task("charger", move |shutdown| charger.clone().run(shutdown))
            .task("idempotency", move |shutdown| {
                workers::sweep_keys(background.clone(), sweep.clone(), shutdown)
            })
            .task("payments", move |shutdown| metrics::keep(measured.clone(), shutdown)))
    }
}
