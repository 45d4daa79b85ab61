//! The settings of telemetry: `tracing.tsk`.

use std::path::PathBuf;

use http::Uri;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tusk_config::{Secret, ValidationError, is_loopback};

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
    /// What cannot work. The file of `tls_ca` is read.
    pub fn check(&self) -> Vec<ValidationError> {
        let endpoint = self.tracing.enabled.then(|| endpoint_fault(&self.tracing.endpoint));
        let is_share = (0.0..=1.0).contains(&self.sampling.probability);
        let share = (!is_share).then(|| "a share is 0.0 to 1.0; 0.1 is a tenth".to_owned());
        let filter = logs::parse(&self.log.filter).err().map(|error| error.to_string());
        let name = self.tracing.service_name.trim().is_empty();
        let name = name.then(|| "logs, traces and metrics would bear no name".to_owned());
        let headers = self.tracing.enabled.then(|| self.tracing.headers_fault()).flatten();
        let ca = self.tracing.enabled.then(|| self.tracing.authorities_fault()).flatten();
        let environment = environment_fault(&self.tracing.environment);
        [
            ("tracing.service_name", name),
            ("tracing.environment", environment),
            ("tracing.endpoint", endpoint.flatten()),
            ("sampling.probability", share),
            ("log.filter", filter),
        ]
        .into_iter()
        .filter_map(|(path, fault)| Some(ValidationError::at(path, fault?)))
        .chain(headers)
        .chain(ca)
        .collect()
    }
}

/// Why a text names no environment. What is true of `production` must not end with a capital letter.
fn environment_fault(environment: &str) -> Option<String> {
    let is_sign = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-';
    let is_name = !environment.is_empty() && environment.bytes().all(is_sign);
    (!is_name).then(|| "an environment is named in lower case, such as production".to_owned())
}

/// Why a text is no receiver of OTLP over gRPC; none when it is one. The text is not repeated where
/// it may hold a password.
fn endpoint_fault(endpoint: &str) -> Option<String> {
    const FORM: &str = "the endpoint of traces is written http://host:port or https://host:port";
    let uri = endpoint.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority).filter(|it| !it.host().is_empty());
    let is_plain = !endpoint.contains('@');
    let has_no_port = |it: &&Authority| it.port().is_none() && it.as_str() != it.host();
    if is_plain && authority.as_ref().is_some_and(has_no_port) {
        return Some(format!("{FORM}: a port is 1 to 65535"));
    }
    match (uri.as_ref().and_then(Uri::scheme_str), authority) {
        (None, Some(_)) if is_plain => Some(format!("{FORM}: write http://{endpoint}")),
        (Some("http" | "https"), Some(_)) => uri
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
    /// The OTLP/gRPC receiver, such as `http://localhost:4317`, or `https://…` over TLS: then its
    /// certificate has to be of a public authority, or of `tls_ca`, and bear the host's name.
    pub endpoint: String,
    /// A file with the certificates (PEM) of the authorities to trust besides the public ones; empty for
    /// none. It is read at the start.
    #[serde(default)]
    pub tls_ca: PathBuf,
    /// What is sent along with each export, such as the key of who runs the collector, as
    /// `OTEL_EXPORTER_OTLP_HEADERS` has it: `name=value,name=value`, values percent-encoded. At most 16.
    #[serde(default = "no_headers")]
    pub headers: Secret<String>,
    /// The name that logs, traces and metrics bear.
    pub service_name: String,
    /// The deployment environment, such as `production`.
    pub environment: String,
    /// The machine, container or pod, such as `user-service-7d4b9`; empty when it is not known.
    #[serde(default)]
    pub host_name: String,
}

/// The most headers of `[tracing] headers`.
const HEADERS_MAX: usize = 16;

fn no_headers() -> Secret<String> {
    String::new().into()
}

impl TracingSettings {
    /// The headers of each export; none when one of them cannot be read.
    pub(crate) fn headers(&self) -> Option<HeaderMap> {
        let pairs = self.headers.expose().split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let mut headers = HeaderMap::new();
        for pair in pairs {
            let (name, value) = pair.split_once('=')?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            // gRPC keeps names with this ending for values of bytes.
            if name.as_str().ends_with("-bin") || headers.insert(name, value).is_some() {
                return None;
            }
        }
        (headers.len() <= HEADERS_MAX).then_some(headers)
    }

    fn headers_fault(&self) -> Option<ValidationError> {
        let text = match self.headers() {
            None => "headers are written name=value,name=value, each name once, 16 of them at most",
            Some(headers) if !headers.is_empty() && self.plaintext().is_some() => {
                "they would go to another machine without TLS: write https:// in TRACING_ENDPOINT"
            }
            Some(_) => return None,
        };
        Some(ValidationError::at("tracing.headers", text).secret())
    }

    fn authorities_fault(&self) -> Option<ValidationError> {
        ValidationError::authorities(
            "tracing.tls_ca",
            &self.tls_ca,
            self.endpoint.starts_with("https://"),
        )
    }

    /// That spans are sent to another machine without TLS.
    pub fn plaintext(&self) -> Option<ValidationError> {
        let uri = self.endpoint.parse::<Uri>().ok().filter(|_| self.enabled)?;
        let host = uri.host().filter(|host| !is_loopback(host))?;
        let remedy = "write https:// in TRACING_ENDPOINT, or set TRACING_ENABLED to false";
        if uri.scheme_str() == Some("https") {
            return None;
        }
        ValidationError::plaintext("tracing.endpoint", host, remedy)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that are told when spans go to this endpoint with these headers.
    fn reported(endpoint: &str, headers: &str) -> Vec<String> {
        let settings = TelemetrySettings {
            tracing: TracingSettings {
                enabled: true,
                endpoint: endpoint.to_owned(),
                tls_ca: PathBuf::new(),
                headers: headers.to_owned().into(),
                service_name: "user-service".to_owned(),
                environment: "test".to_owned(),
                host_name: String::new(),
            },
            sampling: SamplingSettings { probability: 1.0 },
            log: LogSettings::default(),
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
        let errors = settings.check().into_iter().chain(settings.tracing.plaintext());
        errors
            .map(|error| {
                assert!(!error.text().contains("hunter2"), "{error:?}");
                error.path().to_owned()
            })
            .collect()
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them_and_told_without_their_values() {
        for good in ["", "x-api-key=hunter2", " x-api-key = hunter2%3D , other=1,"] {
            assert!(reported("https://otlp.example.com:4317", good).is_empty(), "{good}");
        }
        for bad in ["hunter2", "x y=hunter2", "a=hunter2,a=1", "a=hunter2%0a", "key-bin=hunter2"] {
            assert_eq!(
                reported("https://otlp.example.com:4317", bad),
                ["tracing.headers"],
                "{bad}"
            );
        }
    }

    #[test]
    fn a_collector_on_another_machine_without_tls_is_reported_and_gets_no_headers() {
        let (far, near) = ("http://otlp.example.com:4317", "http://127.0.0.1:4317");
        assert_eq!(reported(far, ""), ["tracing.endpoint"]);
        assert_eq!(reported(far, "x-api-key=hunter2"), ["tracing.headers", "tracing.endpoint"]);
        assert!(reported(near, "x-api-key=hunter2").is_empty());
    }
}
