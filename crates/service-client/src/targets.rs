//! What this process calls, by name: one client for each service, so that there is one breaker to a
//! target and one place to look at it, and what else it calls by a client of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use discovery::Registry;
use reqwest::Url;
use resilience::bulkhead::Bulkhead;

use crate::{ClientSettings, ServiceClient};

/// What this process calls. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Targets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    caller: &'static str,
    source: &'static str,
    registry: Registry,
    settings: ClientSettings,
    known: Mutex<BTreeMap<String, Target>>,
}

/// Something that is called.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A service of `services.tsk`.
    Service(ServiceClient),
    /// Something outside of the system, by a client that is not of this crate.
    Outside {
        /// `scheme://host:port`.
        address: String,
        /// The calls that may be in flight.
        places: Bulkhead,
    },
}

impl Targets {
    /// The targets of the service `caller`; `source` is who tells the registry which instances there
    /// are, such as `static` or `consul`.
    pub fn new(
        caller: &'static str,
        source: &'static str,
        registry: Registry,
        settings: ClientSettings,
    ) -> Self {
        let known = Mutex::default();
        Self(Arc::new(Shared { caller, source, registry, settings, known }))
    }

    /// The client of `service`, as `services.tsk` names it, without tokens: the same one each time.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn client(&self, service: &str) -> Result<ServiceClient, reqwest::Error> {
        let mut known = self.known();
        if let Some(Target::Service(client)) = known.get(service) {
            return Ok(client.clone());
        }
        let client = ServiceClient::new(service, &self.0.registry, &self.0.settings)?;
        known.insert(service.to_owned(), Target::Service(client.clone()));
        Ok(client)
    }

    /// Shows operators something outside of the system that is called by another client, which takes
    /// a place of `places` for each call. Of its URL, credentials, path and query are not shown.
    pub fn outside(&self, name: &str, url: &Url, places: &Bulkhead) {
        let address = url.origin().ascii_serialization();
        let target = Target::Outside { address, places: places.clone() };
        self.known().insert(name.to_owned(), target);
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &'static str {
        self.0.caller
    }

    /// Who tells where services are.
    pub(crate) fn source(&self) -> &'static str {
        self.0.source
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Target> {
        self.known().clone()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Target> {
        self.known().get(name).cloned()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Target>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
