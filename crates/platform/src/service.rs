//! The trait by which a service says what it is made of.

use chassis::BuildError;
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;
use tusk_config::ValidationError;
use utoipa_axum::router::OpenApiRouter;

use crate::{Platform, PlatformSettings, ServiceBuilder};

/// A service of this workspace: what is its own, and nothing of what all have.
pub trait Service: Sized + 'static {
    /// Its name in `services.tsk`, that of its own file in `config/`, and of its section in `[policy]`.
    const NAME: &'static str;
    /// The key in `[queues]` of the queue that it consumes.
    const QUEUE: &'static str;
    /// The keys in `[exchanges]` of those that it publishes to.
    const EXCHANGES: &'static [&'static str];
    /// The services that it calls. Whom every service asks for keys and tokens is known.
    const CALLS: &'static [&'static str] = &[];
    /// The routes (`POST /path`) whose handlers count the account that a request names
    /// ([`rate_limit::AccountLimit`]), so that they may have limits by account.
    const COUNTS_ACCOUNTS: &'static [&'static str] = &[];

    /// What it reads from `config/` besides [`PlatformSettings`].
    type Settings: DeserializeOwned;
    /// What its handlers of requests use.
    type State: Clone + Send + Sync + 'static;

    /// Its routes, each with its part of the document. Those for administrators are added to them.
    fn router() -> OpenApiRouter<Self::State>;

    /// Its tables.
    fn migrations() -> Migrator;

    /// Which of its own settings cannot work, each with its place.
    fn check(_: &Self::Settings, _: &PlatformSettings) -> Vec<ValidationError> {
        Vec::new()
    }

    /// Puts together what is its own: state, handlers of events, tasks. Opens nothing, since
    /// `--check-config` does it too.
    ///
    /// # Errors
    /// A setting that nothing can be made of.
    fn build(
        platform: Platform,
        settings: &Self::Settings,
    ) -> Result<ServiceBuilder<Self>, BuildError>;

    /// A command of its own, from the words after the program's name; gives what to print.
    ///
    /// # Errors
    /// The words are none of its commands, or the command fails.
    fn command(
        _: &Self::Settings,
        _: &PlatformSettings,
        words: &[String],
    ) -> impl Future<Output = Result<String, BuildError>> {
        let known = "healthcheck, --check-config, --print-openapi";
        std::future::ready(Err(format!("unknown command {words:?}; known: {known}").into()))
    }
}
