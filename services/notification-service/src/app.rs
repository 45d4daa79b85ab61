//! What is this service's own, on the platform that all services share.

use std::sync::Arc;

use platform::{BuildError, Platform, PlatformSettings, Service, ServiceBuilder};
use sqlx::migrate::Migrator;
use tusk_config::ValidationError;
use utoipa_axum::router::OpenApiRouter;

use crate::config::Settings;
use crate::consumer::{Events, QUEUE};
use crate::links::Links;
use crate::routes::{self, AppState};
use crate::store::Store;
use crate::workers::Sender;
use crate::{events, mailer, workers};

/// The notification service, for [`platform::process::run`].
pub struct NotificationService;

impl Service for NotificationService {
    const NAME: &'static str = "notification-service";
    const QUEUE: &'static str = QUEUE;
    const EXCHANGES: &'static [&'static str] = &[events::EXCHANGE, events::ERASURES];
    type Settings = Settings;
    type State = AppState;

    fn router() -> OpenApiRouter<AppState> {
        routes::router()
    }

    fn migrations() -> Migrator {
        sqlx::migrate!()
    }

    fn check(settings: &Settings, platform: &PlatformSettings) -> Vec<ValidationError> {
        settings.check(platform)
    }

    fn build(platform: Platform, settings: &Settings) -> Result<ServiceBuilder<Self>, BuildError> {
        let Platform { clock, requests, background, outbox, .. } = platform.clone();
        let store = Store::new(requests, outbox, clock.clone());
        let background = store.clone().over(background);
        let events = Events { store: background.clone() };
        let swept = background.clone();
        let keeping = settings.notifications.clone();
        let sender = Sender {
            store: background,
            mailer: Arc::from(mailer::from_settings(&settings.mail)?),
            links: Links::new(&settings.links, &settings.service_secret)?,
            settings: settings.worker.clone(),
            clock: clock.clone(),
        };
        Ok(platform
            .service(AppState { store, clock })
            .consumes(events.handlers())
            .task("sender", move |shutdown| sender.clone().run(shutdown))
            .task("notifications", move |shutdown| {
                workers::sweep(swept.clone(), keeping.clone(), shutdown)
            }))
    }
}
