//! The settings of `[cache]` in `cache.tsk`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::Secret;

mod check;

/// Section `[cache]`.
#[derive(Debug, Clone, Deserialize)]
pub struct CacheSettings {
    /// `redis://:password@host:port/database`, or `rediss://…` over TLS: then the server's certificate
    /// has to be of a public authority, or of `tls_ca`, and bear the host's name.
    pub url: Secret<String>,
    /// A file with the certificates (PEM) of the authorities to trust instead of the public ones; empty
    /// for those. It is read when the cache is made.
    #[serde(default)]
    pub tls_ca: PathBuf,
    /// How long a value is kept when the caller does not say.
    pub ttl: Duration,
}
