//! Discovery as a service uses it: built from its settings, run by its supervisor.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::provider::{Consul, Dns, Etcd, Kubernetes, Provider, Sink, Static, supervise};
use crate::registration::Registration;
use crate::settings::Services;
use crate::tls::Secured;
use crate::{
    DiscoverySettings, LoadBalancingSettings, ProviderType, Registry, ServiceSettings, ServiceTls,
    TlsError,
};

/// The settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Nothing is said of a service that is to be called.
    #[error("services.tsk has no section [service:{0}]")]
    UnknownService(String),
    /// Not the URL of a server.
    #[error("[service_discovery] {key} is no http or https URL: {value}")]
    Url {
        /// The setting.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// No address and port of a name server.
    #[error("[service_discovery] dns_servers: {0} is no name server: write 192.0.2.1:53")]
    NameServer(String),
    /// The system says not, or strangely, whom to ask for names.
    #[error("the system\'s name servers cannot be found: {0}")]
    Resolver(String),
    /// A file that the provider needs.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Certificates and keys.
    #[error("[service_tls] {0}")]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] reqwest::Error),
}

impl SetupError {
    pub(crate) fn base_url(key: &'static str, value: &str) -> Result<Url, Self> {
        let url = Url::parse(value).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.ok_or_else(|| Self::Url { key, value: value.to_owned() })
    }
}

/// Finds the instances of the services that are called. Cheap to clone; clones share the registry.
#[derive(Debug, Clone)]
pub struct Discovery {
    registry: Registry,
    provider: Arc<dyn Provider>,
    called: Arc<[(String, ServiceSettings)]>,
    settings: Arc<DiscoverySettings>,
    zone: String,
}

impl Discovery {
    /// Discovery of the services named in `called`, by the provider that the settings choose.
    /// Nothing is asked before [`Discovery::run`]; what `services.tsk` names statically is there
    /// at once.
    ///
    /// # Errors
    /// The settings cannot work.
    pub fn new(
        settings: &DiscoverySettings,
        services: &Services,
        balancing: &LoadBalancingSettings,
        called: &[&str],
    ) -> Result<Self, SetupError> {
        let provider: Arc<dyn Provider> = match settings.r#type {
            ProviderType::Static => Arc::new(Static),
            ProviderType::Dns => Arc::new(Dns::new(settings)?),
            ProviderType::Consul => Arc::new(Consul::new(settings)?),
            ProviderType::Etcd => Arc::new(Etcd::new(settings)?),
            ProviderType::Kubernetes => Arc::new(Kubernetes::new(settings)?),
        };
        Self::with_provider(provider, settings, services, balancing, called)
    }

    /// Discovery by another provider; the settings' own choice is not looked at.
    ///
    /// # Errors
    /// A service that is called has no section.
    pub fn with_provider(
        provider: Arc<dyn Provider>,
        settings: &DiscoverySettings,
        services: &Services,
        balancing: &LoadBalancingSettings,
        called: &[&str],
    ) -> Result<Self, SetupError> {
        let section = |name: &&str| {
            let section = services.get(*name).cloned();
            let section = section.ok_or_else(|| SetupError::UnknownService((*name).to_owned()))?;
            Ok(((*name).to_owned(), section))
        };
        let called: Vec<_> = called.iter().map(section).collect::<Result<_, SetupError>>()?;
        let registry = Registry::new(balancing);
        for (name, section) in &called {
            if settings.r#type == ProviderType::Static {
                registry.replace(name, section.named(name));
            } else {
                registry.set_awaited(name, true);
            }
        }
        Ok(Self {
            registry,
            provider,
            called: called.into(),
            settings: Arc::new(settings.clone()),
            zone: balancing.zone.clone(),
        })
    }

    /// Speaks TLS to the services whose sections say so; to be set before clients are made.
    ///
    /// # Errors
    /// A file cannot be read, or is of no use.
    pub fn with_tls(self, tls: &ServiceTls, services: &Services) -> Result<Self, SetupError> {
        self.registry.0.secured.store(Arc::new(Secured::new(tls, services)?));
        Ok(self)
    }

    /// Where the instances are, to pick from.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Who tells which instances there are: `static`, `dns`, `consul`, `etcd`, `kubernetes`.
    pub fn provider(&self) -> &'static str {
        self.provider.name()
    }

    /// Watches the provider and checks the instances until `shutdown`. A provider that is away is
    /// tried again without end; the instances that it last told stay.
    ///
    /// # Errors
    /// The HTTP client of the checks cannot be built.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), SetupError> {
        let checks = self.registry.clone().run(shutdown.clone());
        let watches = self.called.iter().map(|(service, section)| async {
            let name = self.provider.name();
            let grace = self.settings.removal_grace;
            let sink = Sink::new(&self.registry, service, section, name, grace);
            shutdown.run_until_cancelled(supervise(self.provider.as_ref(), &sink)).await
        });
        let (checked, _) = tokio::join!(checks, join_all(watches));
        Ok(checked?)
    }

    /// What registers this process as an instance of `service` that listens on `port`, where the
    /// provider has registrations; elsewhere it does nothing.
    pub fn registration(&self, service: &str, port: u16, version: &str) -> Registration {
        Registration::new(
            self.provider.clone(),
            &self.settings,
            &self.zone,
            (service, port, version),
        )
    }
}
