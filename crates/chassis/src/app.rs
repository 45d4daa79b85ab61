//! A service that is built: its open ports, its routes, its tasks; and the order in which they end.
//!
//! ```text
//! public       [server]      the service's routes, /live, /ready, the status of /health
//! management   [management]  /admin, /debug, /metrics, /docs, /openapi.json, all of /health
//! ```
//!
//! With `[management] port: same` there is one listener, which has all of it.

use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use futures_util::TryFutureExt;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;
use tusk_config::Shown;

use crate::health::{Health, HealthBuilder};
use crate::middleware::Surroundings;
use crate::operator::{self, Debug};
use crate::phases::Phases;
use crate::server::{Server, within_open_files};
use crate::settings::Audience;
use crate::takeover::{IDLE_GRACE, Inherited, Offer};
use crate::tasks::Supervisor;
use crate::{
    Clock, CorsSettings, ManagementSettings, Protected, ServerSettings, ServiceCheck, ServiceInfo,
    middleware, open,
};

/// Why a service could not start or go on; its text is for the operator.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// Starts a task once the app runs, and its port is known.
type Starter = Box<dyn FnOnce(&mut Supervisor, SocketAddr) + Send>;

/// A service ready to run. Its ports are open already: connections wait in the backlog.
pub struct App {
    info: ServiceInfo,
    settings: ServerSettings,
    public: Listener,
    /// The listener for operators, where it is one of its own.
    management: Option<Listener>,
    /// Whether it shares its listeners with the process that it replaces.
    is_successor: bool,
    health: Health,
    tasks: Vec<Starter>,
    lifecycle_hooks: Vec<Starter>,
}

/// An open port, and all that is answered there.
struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    router: Router,
    audience: Audience,
    settings: ServerSettings,
}

/// Puts an [`App`] together.
pub struct AppBuilder {
    info: ServiceInfo,
    settings: ServerSettings,
    management: ManagementSettings,
    routes: Protected,
    administration: Protected,
    health: HealthBuilder,
    clock: Clock,
    shown: Vec<Shown>,
    services: ServiceCheck,
    cors: CorsSettings,
    tasks: Vec<Starter>,
    lifecycle_hooks: Vec<Starter>,
}

impl App {
    /// Begins an app that has the chassis' own routes only.
    pub fn builder(info: ServiceInfo, settings: ServerSettings) -> AppBuilder {
        AppBuilder {
            info,
            settings,
            management: ManagementSettings::default(),
            routes: Protected::default(),
            administration: Protected::default(),
            health: Health::builder(),
            clock: Clock::system(),
            shown: Vec::new(),
            services: Arc::new(|_| false),
            cors: CorsSettings::default(),
            tasks: Vec::new(),
            lifecycle_hooks: Vec::new(),
        }
    }

    /// Where it listens; tells the port when the settings asked for a free one.
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// Where operators are answered, when that is a port of its own.
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.management.as_ref().map(|listener| listener.address)
    }

    /// Serves until `shutdown`, or until a task cannot go on; then ends in phases, each with its
    /// share of `[server] grace_period`: not ready → lifecycle hooks end → `drain_delay` → port
    /// closed, requests in flight finish → tasks end → the port for operators closed, so that they
    /// see all of it. From the first step on, answers say `Connection: close`; kept connections that
    /// are idle are closed with their port.
    ///
    /// Where a successor has taken the listeners over, nothing more is accepted from the first step on,
    /// and kept connections have a second for one more request.
    ///
    /// # Errors
    /// The error of the task that could not go on, or of a listener.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), BuildError> {
        let Self { info, settings, public, management, is_successor, health, .. } = self;
        let address = public.address;
        let listeners = std::iter::once(&public).chain(&management);
        let copies = listeners.map(Listener::copy).collect::<Result<Vec<_>, _>>()?;
        let mut tasks = Supervisor::started(info.name, self.tasks, address);
        tasks.spawn("log", operator::go_back);
        let server = public.start(info.name);
        let management_address = management.as_ref().map(|listener| listener.address.to_string());
        let management = management.map(|listener| listener.start(info.name));
        health.set_serving(true);
        let offer = Offer::make(&settings.takeover_socket, copies).map_err(|error| {
            format!("cannot listen on {}: {error}", settings.takeover_socket.display())
        })?;
        let mut lifecycle_hooks = Supervisor::started(info.name, self.lifecycle_hooks, address);
        tracing::info!(
            server.address = %address,
            management.address = management_address,
            service.version = info.version,
            "server listening"
        );

        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            error = tasks.failed() => Err(error),
            error = lifecycle_hooks.failed() => Err(error),
        };
        tracing::info!("draining");
        let phases = Phases::begin(&settings);
        let was_taken = match offer {
            Some(offer) => offer.withdraw().await,
            None => false,
        };
        if was_taken {
            health.set_replaced();
            server.stop_accepting();
        }
        health.set_serving(false);
        lifecycle_hooks.stop(phases.lifecycle_hooks).await;
        let is_replaced = was_taken || is_successor;
        let delay = settings.drain_delay.max(if is_replaced { IDLE_GRACE } else { Duration::ZERO });
        tokio::time::sleep(delay.min(settings.grace_period)).await;
        server.close();
        let cut = server.ended(phases.requests).await;
        if cut > 0 {
            tracing::warn!(
                connections.cut = cut,
                "requests did not finish within their share of the grace period"
            );
        }
        tasks.stop(phases.tasks).await;
        if let Some(management) = management {
            management.close();
            management.ended(phases.tasks).await;
        }
        tracing::info!("drained");
        outcome
    }
}

impl AppBuilder {
    /// The service's own routes, with their OpenAPI document.
    #[must_use]
    pub fn routes(mut self, routes: Protected) -> Self {
        self.routes = routes;
        self
    }

    /// Routes for administrators, with their OpenAPI document: they are on the listener for operators.
    #[must_use]
    pub fn administration(mut self, routes: Protected) -> Self {
        self.administration = routes;
        self
    }

    /// Where operators are answered; on the port of everybody when this is left out.
    #[must_use]
    pub fn management(mut self, settings: ManagementSettings) -> Self {
        self.management = settings;
        self
    }

    /// The checks behind `/health` and `/ready`.
    #[must_use]
    pub fn health(mut self, health: HealthBuilder) -> Self {
        self.health = health;
        self
    }

    /// A clock for the timestamps of the chassis' own routes.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What `/debug` tells of the settings.
    #[must_use]
    pub fn shown(mut self, settings: Vec<Shown>) -> Self {
        self.shown = settings;
        self
    }

    /// How other services are told from strangers, whose word on traces and request ids does not
    /// count. Without it, everybody is a stranger.
    #[must_use]
    pub fn services(mut self, check: ServiceCheck) -> Self {
        self.services = check;
        self
    }

    /// Which pages of other origins may call; none when this is left out.
    #[must_use]
    pub fn cors(mut self, settings: CorsSettings) -> Self {
        self.cors = settings;
        self
    }

    /// Background work, supervised from [`App::run`] on. See [`crate::tasks`] for the contract.
    #[must_use]
    pub fn task<F, Fut, E>(mut self, name: &'static str, make: F) -> Self
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BuildError> + 'static,
    {
        self.tasks.push(Box::new(move |tasks, _| {
            tasks.spawn(name, move |shutdown| make(shutdown).map_err(Into::into));
        }));
        self
    }

    /// What tells others where this process answers, such as a registration: it gets the port, runs
    /// while the service takes requests, and is told to end when it begins to drain; the port is
    /// closed only after that.
    #[must_use]
    pub fn lifecycle_hook<F, Fut, E>(mut self, name: &'static str, make: F) -> Self
    where
        F: Fn(SocketAddr, CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BuildError> + 'static,
    {
        self.lifecycle_hooks.push(Box::new(move |tasks, address| {
            tasks.spawn(name, move |draining| make(address, draining).map_err(Into::into));
        }));
        self
    }

    /// Opens the ports. Those of a predecessor are taken over, once this process has what it needs.
    ///
    /// # Errors
    /// An address is taken or is none of this machine's; the error names it.
    pub async fn bind(self) -> Result<App, BuildError> {
        let Self { info, settings, management, routes, administration, .. } = self;
        let (settings, management) = within_open_files(settings, &management);
        let health = self.health.build(info.clone(), self.clock);
        let surroundings = Surroundings {
            health: health.clone(),
            info: info.clone(),
            services: self.services,
            cors: self.cors,
        };
        let (own, api) = routes.into_parts();
        let (administration, of_administration) = administration.into_parts();
        let api = api.merge_from(of_administration);
        let debug = Debug::new(settings.debug, info.clone(), self.shown);
        let administration = administration.layer(Extension(Arc::new(debug)));
        let mut inherited =
            Inherited::from(&settings.takeover_from).await.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "no predecessor has passed its listeners on");
                Inherited::default()
            });
        let is_successor = !inherited.is_empty();
        let mut listen = async |own, open, audience, settings: ServerSettings| {
            let router = middleware::listener(own, open, audience, &settings, &surroundings);
            Listener::bind(router, audience, settings, &mut inherited).await
        };
        let all = settings.clone();
        let callers = Audience::Callers;
        let (public, management) = if let Some(fewer) = management {
            let public = listen(own, open::public(&health), callers, all).await?;
            let open = open::management(&health, api);
            (public, Some(listen(administration, open, Audience::Operators, fewer).await?))
        } else {
            let both = own.merge(administration);
            (listen(both, open::shared(&health, api), callers, all).await?, None)
        };
        if is_successor {
            health.until_usable().await;
        }
        let Self { tasks, lifecycle_hooks, .. } = self;
        Ok(App { info, settings, public, management, is_successor, health, tasks, lifecycle_hooks })
    }
}

impl Listener {
    async fn bind(
        router: Router,
        audience: Audience,
        settings: ServerSettings,
        inherited: &mut Inherited,
    ) -> Result<Self, BuildError> {
        let host = settings.host.as_str();
        let port = settings.port;
        let open = async {
            let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
            match inherited.take(&addresses) {
                Some(listener) => TcpListener::from_std(listener),
                None => TcpListener::bind(addresses.as_slice()).await,
            }
        };
        let socket = open.await;
        let socket = socket.map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, router, audience, settings })
    }

    /// Its socket, for a successor.
    fn copy(&self) -> std::io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    fn start(self, service: &'static str) -> Server {
        Server::start(service, self.audience, self.socket, self.router, &self.settings)
    }
}

impl Supervisor {
    /// A supervisor of these tasks, which it starts.
    fn started(service: &'static str, starters: Vec<Starter>, address: SocketAddr) -> Self {
        let mut tasks = Self::new(service, CancellationToken::new());
        for start in starters {
            start(&mut tasks, address);
        }
        tasks
    }
}
