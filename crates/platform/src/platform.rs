//! What a service stands on.

use std::collections::BTreeSet;

use auth::{KeyRing, ServiceSecret, ServiceTokens, Tokens};
use cache::ServiceCache;
use chassis::BuildError;
use chassis::database::{self, Database, Pools, Probe};
use chassis::{Clock, ServiceInfo};
use discovery::Discovery;
use messaging::{Broker, Outbox};
use rate_limit::RateLimits;
use service_client::{ClientCredentials, ServiceClient, Targets, key_ring};

use crate::audit::AuditTrail;
use crate::{EndedFeed, PlatformSettings, Service, ServiceBuilder};

/// The service that signs users' tokens, and gives services theirs where the key is not shared.
pub const ISSUER: &str = "user-service";

/// What a service stands on. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Platform {
    /// Who the service is.
    pub info: ServiceInfo,
    /// The time and ids.
    pub clock: Clock,
    /// The service's own database, for what somebody waits for.
    pub requests: Database,
    /// The same database, over other connections, for handlers of events, workers and sweeps.
    pub background: Database,
    /// Where events are enqueued, in the transaction that they are about.
    pub outbox: Outbox,
    /// The service's part of Redis.
    pub cache: ServiceCache,
    /// How often somebody may do something, counted by all replicas together.
    pub limits: RateLimits,
    /// Who calls.
    pub tokens: Tokens,
    /// Who did what.
    pub audit: AuditTrail,
    /// Which sessions have ended.
    pub ended: EndedFeed,
    pub(crate) keys: KeyRing,
    pub(crate) broker: Broker,
    pub(crate) discovery: Discovery,
    /// What the service calls, for those who operate it.
    pub targets: Targets,
    pub(crate) settings: PlatformSettings,
    /// The client of [`ISSUER`]; none in that service itself.
    issuer: Option<ServiceClient>,
}

impl Platform {
    /// The platform of a service that has not opened anything.
    pub(crate) fn unopened<S: Service>(settings: &PlatformSettings) -> Result<Self, BuildError> {
        let database = database::unopened(&settings.database)?;
        Self::over::<S>(settings, database.clone(), database)
    }

    /// The platform of a service whose database is there, with all its tables; and what tells whether
    /// the database is away.
    pub(crate) async fn open<S: Service>(
        settings: &PlatformSettings,
    ) -> Result<(Self, Probe), BuildError> {
        let Pools { requests, background, probe } = database::connect(&settings.database).await?;
        messaging::migrate(&background).await?;
        database::migrate(&background, sqlx::migrate!()).await?;
        database::migrate(&background, S::migrations()).await?;
        Ok((Self::over::<S>(settings, requests, background)?, probe))
    }

    fn over<S: Service>(
        settings: &PlatformSettings,
        requests: Database,
        background: Database,
    ) -> Result<Self, BuildError> {
        let clock = Clock::system();
        let name = S::NAME;
        let version = settings.services.get(name).map(|service| service.version.clone());
        let version =
            version.ok_or_else(|| format!("services.tsk has no section [service:{name}]"))?;
        let discovery = Discovery::new(
            &settings.service_discovery,
            &settings.services,
            &settings.load_balancing,
            &called::<S>(settings),
        )?;
        let discovery = discovery.with_tls(&settings.service_tls, &settings.services)?;
        let targets =
            Targets::new(name, discovery.provider(), discovery.registry(), settings.calls.clone());
        let issuer = if name == ISSUER { None } else { Some(targets.client(ISSUER)?) };
        let keys = match &issuer {
            None => KeyRing::open(&settings.keys, clock.clone())?,
            Some(issuer) => key_ring(&settings.keys, issuer, clock.clone())?,
        };
        let messaging = &settings.messaging;
        let cache = ServiceCache::connect(name, &settings.cache)?;
        // All replicas know it, and nobody who only reads what is in Redis.
        let secret = settings.database.url.expose();
        let tokens = Tokens::new(&settings.auth, keys.clone(), name, clock.clone())
            .with_policy(&settings.policy);
        let limits = RateLimits::new(name, &settings.rate_limit, cache.clone(), secret);
        Ok(Self {
            info: ServiceInfo { name, version },
            audit: AuditTrail::new(requests.clone(), clock.clone(), settings.audit.clone()),
            ended: EndedFeed::new(&cache, tokens.clone(), clock.clone()),
            requests,
            background,
            outbox: Outbox::new(name, messaging),
            cache,
            limits,
            tokens,
            keys,
            broker: Broker::new(name, &messaging.rabbitmq),
            discovery,
            targets,
            settings: settings.clone(),
            issuer,
            clock,
        })
    }

    /// A client of another service, named in [`Service::CALLS`]. It shows tokens of this service,
    /// which `secret` is exchanged for where this service holds no key to sign them with.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn client(
        &self,
        service: &str,
        secret: &ServiceSecret,
    ) -> Result<ServiceClient, BuildError> {
        let Some(issuer) = &self.issuer else { return self.issuer_client(service) };
        let client = self.targets.client(service)?;
        let name = self.info.name;
        let clock = self.clock.clone();
        let credentials = ClientCredentials::new(name, secret.clone(), issuer, clock);
        Ok(client.with_tokens(credentials.service_tokens(&self.tokens)))
    }

    /// [`client`](Self::client) for [`ISSUER`] itself, which signs its own tokens and has no secret to show.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn issuer_client(&self, service: &str) -> Result<ServiceClient, BuildError> {
        let tokens = ServiceTokens::new(self.tokens.clone(), self.clock.clone());
        Ok(self.targets.client(service)?.with_tokens(tokens))
    }

    /// The services that read an event, by `[subscriptions]` of `message_queue.tsk`.
    pub fn readers_of(&self, event_type: &str) -> BTreeSet<String> {
        self.settings.messaging.readers_of(event_type)
    }

    /// Begins what [`Service::build`] gives.
    pub fn service<S: Service>(self, state: S::State) -> ServiceBuilder<S> {
        ServiceBuilder::new(self, state)
    }
}

/// Whom the service calls: whom it says, and the issuer for its keys unless the key is shared.
pub(crate) fn called<S: Service>(settings: &PlatformSettings) -> Vec<&'static str> {
    let mut called = S::CALLS.to_vec();
    let asks_for_keys = S::NAME != ISSUER && !settings.keys.algorithm().is_shared();
    if asks_for_keys && !called.contains(&ISSUER) {
        called.push(ISSUER);
    }
    called
}
