//! What is this service's own, on the platform that all services share.

use platform::{BuildError, ISSUER, Platform, PlatformSettings, Service, ServiceBuilder};
use sqlx::migrate::Migrator;
use tusk_config::ValidationError;
use utoipa_axum::router::OpenApiRouter;

use crate::config::Settings;
use crate::consumer::{Events, QUEUE};
use crate::routes::{self, AppState};
use crate::store::Store;
use crate::{events, workers};

/// Who knows whether a user is active.
const USER_SERVICE: &str = ISSUER;

/// The sample service, for [`platform::process::run`].
pub struct SampleService;

impl Service for SampleService {
    const NAME: &'static str = "sample-service";
    const QUEUE: &'static str = QUEUE;
    const EXCHANGES: &'static [&'static str] = &[
        events::EXCHANGE,
        // template: if events=user
        events::ERASURES,
        // template: end
    ];
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
        let users = platform.client(USER_SERVICE, &settings.service_secret.sample_service_token)?;
        let sweep = settings.sweep.clone();
        Ok(platform
            .service(AppState { store, users, clock })
            .consumes(events.handlers())
            .task("sweep", move |shutdown| {
                workers::sweep(background.clone(), sweep.clone(), shutdown)
            }))
    }
}
