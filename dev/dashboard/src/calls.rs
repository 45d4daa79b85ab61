//! What each service calls and thinks of it, as its `GET /admin/calls` says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde::Deserialize;

use crate::app::App;

/// How old they may be.
const AGE: Duration = Duration::from_millis(900);
/// How long a service may take to say it.
const LIMIT: Duration = Duration::from_millis(2_500);
/// The most bytes of an answer.
const ANSWER_MAX: u64 = 1 << 20;

/// A service and what it calls, or why that is not known.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) caller: String,
    pub(crate) targets: Result<Vec<Target>>,
}

/// What a service knows of a target.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    #[serde(rename = "target")]
    pub(crate) name: String,
    /// Who tells its endpoints.
    pub(crate) source: String,
    /// Whether the source has not said yet which there are.
    #[serde(default)]
    pub(crate) is_awaited: bool,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) in_flight: usize,
    pub(crate) last_fault: Option<LastFault>,
    /// None of what is called without one.
    pub(crate) breaker: Option<Breaker>,
    pub(crate) retry_budget: Option<RetryBudget>,
    pub(crate) bulkhead: Bulkhead,
}

/// An address of a target.
#[derive(Debug, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) zone: Option<String>,
    /// `eligible`, `ejected`, `unhealthy`, …
    pub(crate) state: String,
    pub(crate) is_called: bool,
    /// Why, in a sentence.
    pub(crate) reason: String,
    pub(crate) health: String,
    pub(crate) last_check: Option<DateTime<Utc>>,
    pub(crate) ejected_until: Option<DateTime<Utc>>,
    pub(crate) in_flight: usize,
}

/// What went wrong last.
#[derive(Debug, Deserialize)]
pub(crate) struct LastFault {
    pub(crate) fault: String,
    pub(crate) endpoint: String,
    pub(crate) at: DateTime<Utc>,
}

/// The circuit breaker.
#[derive(Debug, Deserialize)]
pub(crate) struct Breaker {
    /// `closed`, `half_open`, `open`.
    pub(crate) state: String,
    pub(crate) since: DateTime<Utc>,
    pub(crate) reason: String,
    pub(crate) tries_again_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) is_forced: bool,
    pub(crate) forced_until: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) recent_calls: u64,
    #[serde(default)]
    pub(crate) recent_failures: u64,
}

/// What retries may cost.
#[derive(Debug, Deserialize)]
pub(crate) struct RetryBudget {
    pub(crate) left: f64,
    pub(crate) reserve: f64,
    pub(crate) refused: u64,
}

/// The requests that may be in flight.
#[derive(Debug, Deserialize)]
pub(crate) struct Bulkhead {
    pub(crate) used: usize,
    pub(crate) capacity: usize,
    pub(crate) waiting: usize,
}

/// Of each service that runs, not older than a second unless one takes long to answer.
pub(crate) async fn calls(app: &App) -> Arc<Vec<Calls>> {
    app.calls.get(AGE, || ask_all(app.clone())).await.unwrap_or_default()
}

async fn ask_all(app: App) -> Vec<Calls> {
    let state = app.system.now();
    let token = app.tool.administrator().await;
    let token = token.as_deref().map_err(|error| format!("no administrator's token: {error:#}"));
    let ask = state.services().into_iter().map(|process| {
        let app = app.clone();
        let url = process.url().unwrap_or_default();
        let token = token.clone();
        let caller = process.name.clone();
        async move {
            let targets = match token {
                Ok(token) => ask(&app, &url, token).await,
                Err(error) => Err(anyhow::anyhow!(error)),
            };
            Calls { caller, targets }
        }
    });
    join_all(ask).await
}

async fn ask(app: &App, url: &str, token: &str) -> Result<Vec<Target>> {
    #[derive(Deserialize)]
    struct Answer {
        targets: Vec<Target>,
    }
    let asked = app.http.get(format!("{url}/admin/calls")).bearer_auth(token).timeout(LIMIT);
    let answer = asked.send().await.map_err(|_| anyhow::anyhow!("it does not answer"))?;
    if !answer.status().is_success() {
        bail!("it answers {} when it is asked for its calls", answer.status());
    }
    if answer.content_length().is_none_or(|length| length > ANSWER_MAX) {
        bail!("its answer is too long");
    }
    let answer: Answer = answer.json().await.context("read what it says")?;
    Ok(answer.targets)
}
