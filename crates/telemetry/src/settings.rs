//! The settings of telemetry: `tracing.tsk`.

use serde::Deserialize;

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
