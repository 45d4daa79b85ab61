//! All that the pages look at.

use std::sync::Arc;

use anyhow::Result;

use crate::calls::Calls;
use crate::databases::Databases;
use crate::fresh::Fresh;
use crate::logs::Logs;
use crate::messages::DeadLetters;
use crate::metrics::History;
use crate::origins;
use crate::settings::Settings;
use crate::spans::Runs;
use crate::system::System;
use crate::tool::Tool;

/// What every page and route is given.
pub(crate) type App = Arc<Parts>;

/// The parts, each with a lock of its own.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) system: System,
    pub(crate) runs: Runs,
    pub(crate) logs: Logs,
    pub(crate) metrics: History,
    pub(crate) databases: Databases,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) tool: Arc<Tool>,
    pub(crate) calls: Fresh<Vec<Calls>>,
    pub(crate) origins: Fresh<origins::Settings>,
    /// For the services and RabbitMQ's management API, whose answers it does not wait for long.
    pub(crate) http: reqwest::Client,
}

/// Has the services make no spans of what the dashboard asks them: nobody looks for its own look.
fn unsampled() -> http::HeaderMap {
    const TRACE: &str = "00-da5b0a2d00000000000000000da5b0a2-000000000000da5b-00";
    let value = http::HeaderValue::from_static(TRACE);
    std::iter::once((http::HeaderName::from_static("traceparent"), value)).collect()
}

impl Parts {
    pub(crate) fn new(settings: Settings) -> Result<App> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .default_headers(unsampled())
            .timeout(std::time::Duration::from_secs(5))
            .build()?;
        let system = System::read(&settings.folder);
        Ok(Arc::new(Self {
            runs: Runs::open(&settings.folder.join("runs"), &system.now())?,
            logs: Logs::new(settings.folder.join("logs")),
            metrics: History::new(),
            databases: Databases::default(),
            dead_letters: Arc::default(),
            tool: Arc::new(Tool::new(&settings)),
            calls: Fresh::default(),
            origins: Fresh::default(),
            http,
            system,
            settings,
        }))
    }
}
