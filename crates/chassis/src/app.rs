//! A service that is built: its open port, its routes, its tasks; and the order in which they end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::TryFutureExt;
use http::header;
use telemetry::metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tusk_config::Shown;
use utoipa_axum::router::OpenApiRouter;

use crate::health::{Health, HealthBuilder};
use crate::operator::{self, Debug};
use crate::phases::Phases;
use crate::server::{Server, within_open_files};
use crate::tasks::Supervisor;
use crate::{Clock, ServerSettings, ServiceCheck, ServiceInfo, docs, middleware};

/// Why a service could not start or go on; its text is for the operator.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// Starts a task once the app runs, and its port is known.
type Starter = Box<dyn FnOnce(&mut Supervisor, SocketAddr) + Send>;

/// A service ready to run. Its port is open already: connections wait in the backlog.
pub struct App {
    info: ServiceInfo,
    settings: ServerSettings,
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    health: Health,
    tasks: Vec<Starter>,
    announcements: Vec<Starter>,
}

/// Puts an [`App`] together.
pub struct AppBuilder {
    info: ServiceInfo,
    settings: ServerSettings,
    routes: OpenApiRouter,
    health: HealthBuilder,
    clock: Clock,
    shown: Vec<Shown>,
    services: ServiceCheck,
    tasks: Vec<Starter>,
    announcements: Vec<Starter>,
}

impl App {
    /// Begins an app that has the chassis' own routes only.
    pub fn builder(info: ServiceInfo, settings: ServerSettings) -> AppBuilder {
        AppBuilder {
            info,
            settings,
            routes: OpenApiRouter::new(),
            health: Health::builder(),
            clock: Clock::system(),
            shown: Vec::new(),
            services: Arc::new(|_| false),
            tasks: Vec::new(),
            announcements: Vec::new(),
        }
    }

    /// Where it listens; tells the port when the settings asked for a free one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, or until a task cannot go on; then ends in phases, each with its
    /// share of `[server] grace_period`: not ready → announcements withdrawn → `drain_delay` → port
    /// closed, requests in flight finish → tasks end. From the first step on, answers say
    /// `Connection: close`; kept connections that are idle are closed with the port.
    ///
    /// # Errors
    /// The error of the task that could not go on, or of the listener.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), BuildError> {
        let Self { info, settings, listener, address, router, health, .. } = self;
        let mut tasks = Supervisor::started(info.name, self.tasks, address);
        tasks.spawn("log", operator::go_back);
        let server = Server::start(info.name, listener, router, &settings);
        health.set_serving(true);
        let mut announcements = Supervisor::started(info.name, self.announcements, address);
        tracing::info!(
            server.address = %address,
            service.version = info.version,
            "server listening"
        );

        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            error = tasks.failed() => Err(error),
            error = announcements.failed() => Err(error),
        };
        tracing::info!("draining");
        let phases = Phases::begin(&settings);
        health.set_serving(false);
        announcements.stop(phases.announcements).await;
        tokio::time::sleep(settings.drain_delay.min(settings.grace_period)).await;
        server.close();
        let cut = server.ended(phases.requests).await;
        if cut > 0 {
            tracing::warn!(
                connections.cut = cut,
                "requests did not finish within their share of the grace period"
            );
        }
        tasks.stop(phases.tasks).await;
        tracing::info!("drained");
        outcome
    }
}

impl AppBuilder {
    /// The service's own routes, with their OpenAPI document.
    #[must_use]
    pub fn routes(mut self, routes: OpenApiRouter) -> Self {
        self.routes = routes;
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
    pub fn announcement<F, Fut, E>(mut self, name: &'static str, make: F) -> Self
    where
        F: Fn(SocketAddr, CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BuildError> + 'static,
    {
        self.announcements.push(Box::new(move |tasks, address| {
            tasks.spawn(name, move |draining| make(address, draining).map_err(Into::into));
        }));
        self
    }

    /// Opens the port.
    ///
    /// # Errors
    /// The address is taken or is none of this machine's; the error names it.
    pub async fn bind(self) -> Result<App, BuildError> {
        let Self { info, settings, routes, health, clock, shown, services, tasks, announcements } =
            self;
        let settings = within_open_files(settings);
        let (host, port) = (settings.host.as_str(), settings.port);
        let listener = TcpListener::bind((host, port))
            .await
            .map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
        let address = listener.local_addr()?;
        let health = health.build(info.clone(), clock);
        let (routes, api) = routes.split_for_parts();
        let debug = Debug::new(settings.debug, info.clone(), shown);
        let routes = routes.layer(Extension(Arc::new(debug)));
        let router = Router::new()
            .merge(health.router())
            .route("/metrics", get(metrics_text))
            .merge(docs::router(api))
            .merge(middleware::wrap(routes, &info, &settings, services))
            .layer(from_fn_with_state(health.clone(), middleware::close_when_draining));
        Ok(App { info, settings, listener, address, router, health, tasks, announcements })
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

async fn metrics_text() -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render())
}
