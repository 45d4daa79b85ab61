//! What is this service's own, on the platform that all services share.

use auth::password::Passwords;
use auth::{Credentials, MailTokens, SealingKeys};
use contracts::Event;
use contracts::user::UserDeleted;
use platform::{BuildError, Platform, PlatformSettings, Service, ServiceBuilder};
use rate_limit::Backoff;
use sqlx::migrate::Migrator;
use tusk_config::ValidationError;
use utoipa_axum::router::OpenApiRouter;

use crate::config::Settings;
use crate::consumer::{Events, QUEUE};
use crate::erasure::ErasureTerms;
use crate::external_issuer::ExternalIssuer;
use crate::profiles::Profiles;
use crate::routes::{self, AppState, Codes, ExportClients};
use crate::store::{Store, TokenMaking};
use crate::workers::ResetRequests;
use crate::{commands, events, metrics, workers};

/// Who sends the mails with tokens in them.
const MAIL_SENDER: &str = "notification-service";

/// The user service, for [`platform::process::run`].
pub struct UserService;

impl Service for UserService {
    const NAME: &'static str = "user-service";
    const QUEUE: &'static str = QUEUE;
    const EXCHANGES: &'static [&'static str] = &[events::EXCHANGE];
    const COUNTS_ACCOUNTS: &'static [&'static str] = routes::COUNTS_ACCOUNTS;
    const CALLS: &'static [&'static str] = &routes::ASKED;
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
        let Platform { clock, requests, background, outbox, cache, limits, tokens, audit, .. } =
            platform.clone();
        let feed = platform.ended.clone();
        let profiles = Profiles::new(cache);
        let maker = MailTokens::sent_by(MAIL_SENDER, &settings.service_secrets);
        let maker = maker.ok_or_else(|| format!("[services] has no secret of {MAIL_SENDER}"))?;
        let making = TokenMaking { maker, settings: settings.mail_tokens.clone() };
        let noted = audit.clone();
        let shown = profiles.clone();
        let sealing = SealingKeys::new(&settings.second_factor.keys)?;
        let readers = platform.readers_of(UserDeleted::TYPE);
        let erasures = ErasureTerms::new(readers, settings.erasure.confirm_within);
        let outbox = (outbox, erasures);
        let store = Store::new(requests, outbox, clock.clone(), shown, noted, making, sealing);
        let background = store.clone().over(background);
        let [payments, notifications] =
            routes::ASKED.map(|service| platform.issuer_client(service));
        let others = ExportClients { payments: payments?, notifications: notifications? };
        let external = &settings.external_issuer;
        let external = ExternalIssuer::new(external, clock.clone())?;
        let events = Events { store: background.clone(), clock: clock.clone() };
        let resets = ResetRequests::new(background.clone())?;
        let state = AppState {
            store,
            tokens,
            credentials: Credentials::new(&settings.service_secrets, clock.clone()),
            passwords: Passwords::new(&settings.password)?,
            sign_in: Backoff::new(&limits, routes::SIGN_IN, &settings.sign_in),
            password_change: Backoff::new(&limits, routes::PASSWORD_CHANGE, &settings.sign_in),
            codes: Codes {
                backoff: Backoff::new(&limits, routes::CODES, &settings.second_factor.tries),
                audit: audit.clone(),
            },
            second_factor: settings.second_factor.clone(),
            external,
            profiles: profiles.clone(),
            sessions: settings.sessions.clone(),
            clock,
            audit,
            others,
        };
        metrics::register();
        let sweep = settings.sessions.sweep_interval;
        let publishing = background.clone();
        let reseal = settings.second_factor.reseal_interval;
        let resealing = background.clone();
        let measured = background.clone();
        Ok(platform
            .service(state)
            .consumes(events.handlers())
            .task("profiles", move |shutdown| profiles.clone().run(shutdown))
            .task("password resets", move |shutdown| resets.clone().run(shutdown))
            .task("ended sessions published", move |shutdown| {
                workers::publish_ended_sessions(publishing.clone(), feed.clone(), shutdown)
            })
            .task("second factors sealed anew", move |shutdown| {
                workers::reseal(resealing.clone(), reseal, shutdown)
            })
            .task("erasures", move |shutdown| metrics::keep(measured.clone(), shutdown))
            .task("sessions", move |shutdown| {
                workers::sweep_sessions(background.clone(), sweep, shutdown)
            }))
    }

    async fn command(
        _: &Settings,
        platform: &PlatformSettings,
        words: &[String],
    ) -> Result<String, BuildError> {
        commands::run(platform, words).await
    }
}
