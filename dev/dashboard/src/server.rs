//! The one port: pages, streams, the API, and the receiver of spans.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Parts};
use crate::connections::Connections;
use crate::settings::Settings;
use crate::{api, assets, live, logs, metrics, otlp, pages, protection, system};

/// How long connections may take to end once it is told to; streams never do by themselves.
const CLOSING_LIMIT: Duration = Duration::from_millis(300);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// The port is taken, or the folder cannot be written.
pub async fn serve(settings: Settings) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
    let app = Parts::new(settings)?;
    let tasks = [
        tokio::spawn(system::watch(app.clone())),
        tokio::spawn(metrics::scrape(app.clone())),
        tokio::spawn(logs::follow(app.clone())),
    ];
    let mut terminate = signal(SignalKind::terminate()).context("watch for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for signals")?;
    let (told, wait) = tokio::sync::oneshot::channel();
    let is_told = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        let _nobody_waits = told.send(());
    };
    let routes = router(app.clone());
    let served = axum::serve(Connections::of(listener), routes).with_graceful_shutdown(is_told);
    tokio::select! {
        served = async { served.await } => served.context("serve")?,
        () = async { let _is_told = wait.await; tokio::time::sleep(CLOSING_LIMIT).await } => {}
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Every route, behind what looks at who asks.
pub(crate) fn router(app: App) -> Router {
    let pages = pages::router().merge(api::router());
    // A page that is renewed is asked for within the process, past the outer checks.
    let live = live::router(pages.clone().with_state(app.clone()));
    let seen = pages
        .merge(live)
        .route_layer(from_fn_with_state(app.clone(), protection::known))
        .with_state(app.clone());
    seen.merge(assets::router())
        .merge(otlp::router(app.clone()))
        .layer(from_fn_with_state(app, protection::same_origin))
}
