//! What in `[cache]` cannot work.

use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use tusk_config::ValidationError;

use super::CacheSettings;
use crate::CacheError;

impl CacheSettings {
    /// What cannot work: an address of something else, a time that Redis refuses. Opens no connection;
    /// the file of `tls_ca` is read.
    pub fn check(&self) -> Vec<ValidationError> {
        let is_one = self.info().is_ok();
        let ca = ValidationError::authorities("cache.tls_ca", &self.tls_ca, self.uses_tls());
        let url = ValidationError::unless(is_one, "cache.url", CacheError::Url.to_string());
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 365);
        let ttl = ValidationError::outside("cache.ttl", self.ttl, bounds);
        url.map(ValidationError::secret).into_iter().chain(ttl).chain(ca).collect()
    }

    /// That Redis is spoken to without TLS, unless it is on this machine.
    pub fn plaintext(&self) -> Option<ValidationError> {
        let info = self.info().ok()?;
        let ConnectionAddr::Tcp(host, _) = info.addr() else { return None };
        Some(
            ValidationError::plaintext("cache.url", host, "write rediss:// in REDIS_URL")?.secret(),
        )
    }

    fn uses_tls(&self) -> bool {
        self.info().is_ok_and(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
    }

    fn info(&self) -> Result<ConnectionInfo, CacheError> {
        let info = self.url.expose().as_str().into_connection_info();
        info.map_err(|_| CacheError::Url)
    }
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    /// The keys that are told when `key` has this value in the shipped file.
    fn reported(key: &str, value: &str) -> Vec<String> {
        let text = include_str!("../../../../config/cache.tsk");
        let vars = Vars::of([("REDIS_URL", "redis://:secret@cache.example.com:6379/0")]);
        let loader = Loader::new("").text("cache.tsk", text).vars(vars);
        let config = loader.set(&format!("cache.{key}"), value).tree().unwrap();
        let settings: CacheSettings = config.get("cache").unwrap();
        settings.check().iter().map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        for (key, value) in [
            ("url", "\"\""),
            ("url", "\"cache.example.com:6379\""),
            ("url", "\"http://cache.example.com\""),
            ("url", "\"redis://\""),
            ("url", "\"redis://cache.example.com/first\""),
            ("tls_ca", "/nowhere/ca.pem"),
            ("ttl", "\"0s\""),
            ("ttl", "\"500ms\""),
            ("ttl", "\"366d\""),
        ] {
            assert_eq!(reported(key, value), [format!("cache.{key}")], "{key}: {value}");
        }
        assert!(reported("ttl", "\"300\"").is_empty());
    }

    #[test]
    fn a_redis_on_another_machine_is_reported_unless_it_is_spoken_to_over_tls() {
        let plaintext = |url: &str| {
            let settings = CacheSettings {
                url: url.to_owned().into(),
                tls_ca: std::path::PathBuf::new(),
                ttl: Duration::from_secs(1),
            };
            settings.plaintext().map(|error| error.path().to_owned())
        };
        assert_eq!(plaintext("redis://:secret@cache.example.com").as_deref(), Some("cache.url"));
        for url in ["rediss://:secret@cache.example.com", "redis://127.0.0.1", "redis://[::1]:6379"]
        {
            assert!(plaintext(url).is_none(), "{url}");
        }
    }
}
