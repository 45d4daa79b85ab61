//! The settings of telemetry: `tracing.tsk`.

use http::Uri;
use http::uri::Authority;
use serde::Deserialize;

use crate::logs;

/// Sections `[tracing]`, `[sampling]` and `[log]`.
#[derive(Debug, Clone, Deserialize)]
pub struct TelemetrySettings {
    /// Where traces go, and under which names.
    pub tracing: TracingSettings,
    /// How many traces are kept.
    pub sampling: SamplingSettings,
    /// How log lines look and which are written.
    #[serde(default)]
    pub log: LogSettings,
}

impl TelemetrySettings {
    /// What cannot work: the path of each setting, keys joined with dots, and what is wrong with it.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let endpoint = self.tracing.enabled.then(|| endpoint_fault(&self.tracing.endpoint));
        let is_share = (0.0..=1.0).contains(&self.sampling.probability);
        let share = (!is_share).then(|| "a share is 0.0 to 1.0; 0.1 is a tenth".to_owned());
        let filter = logs::parse(&self.log.filter).err().map(|error| error.to_string());
        let name = self.tracing.service_name.trim().is_empty();
        let name = name.then(|| "logs, traces and metrics would bear no name".to_owned());
        [
            ("tracing.service_name", name),
            ("tracing.endpoint", endpoint.flatten()),
            ("sampling.probability", share),
            ("log.filter", filter),
        ]
        .into_iter()
        .filter_map(|(path, fault)| Some((path, fault?)))
        .collect()
    }
}

/// Why a text is no receiver of OTLP over gRPC; none when it is one. The text is not repeated where
/// it may hold a password.
fn endpoint_fault(endpoint: &str) -> Option<String> {
    const FORM: &str = "the endpoint of traces is written http://host:port";
    let uri = endpoint.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority).filter(|it| !it.host().is_empty());
    let is_plain = !endpoint.contains('@');
    let has_no_port = |it: &&Authority| it.port().is_none() && it.as_str() != it.host();
    if is_plain && authority.as_ref().is_some_and(has_no_port) {
        return Some(format!("{FORM}: a port is 1 to 65535"));
    }
    match (uri.as_ref().and_then(Uri::scheme_str), authority) {
        (None, Some(_)) if is_plain => Some(format!("{FORM}: write http://{endpoint}")),
        (Some("https"), Some(_)) => Some(format!("{FORM}: there is no TLS to the collector")),
        (Some("http"), Some(_)) => uri
            .is_some_and(|uri| !matches!(uri.path(), "" | "/") || uri.query().is_some())
            .then(|| format!("{FORM}: OTLP over gRPC has no path, and usually port 4317")),
        _ => Some(FORM.to_owned()),
    }
}

/// Section `[tracing]`.
#[derive(Debug, Clone, Deserialize)]
pub struct TracingSettings {
    /// Whether spans are exported.
    pub enabled: bool,
    /// The OTLP/gRPC receiver, such as `http://localhost:4317`.
    pub endpoint: String,
    /// The name that logs, traces and metrics bear.
    pub service_name: String,
    /// The deployment environment, such as `production`.
    pub environment: String,
    /// The machine, container or pod, such as `user-service-7d4b9`; empty when it is not known.
    #[serde(default)]
    pub host_name: String,
}

/// Section `[sampling]`.
#[derive(Debug, Clone, Deserialize)]
pub struct SamplingSettings {
    /// The share of new traces that is recorded, 0.0 to 1.0. A caller's own decision comes first.
    pub probability: f64,
}

/// Section `[log]`.
#[derive(Debug, Clone, Deserialize)]
pub struct LogSettings {
    /// Levels by target, such as `info,sqlx=warn`.
    pub filter: String,
    /// One JSON object a line, or a line for people.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Json }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `2026-01-01T00:00:00.000000Z  INFO server listening server.port=3001`
    Human,
    /// `{"timestamp":…,"level":"INFO","service":…,"message":…,"trace_id":…}`
    Json,
}
