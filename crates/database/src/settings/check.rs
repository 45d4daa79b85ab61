//! What in `[database]` cannot work.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tusk_config::ValidationError;

use super::DatabaseSettings;
use crate::DatabaseError;

/// The longest time of a setting.
const TIME_MAX: Duration = Duration::from_hours(24);
/// The most connections of one process: all are opened at start, and a server has a few hundred.
const POOL_SIZE_MAX: u32 = 1_000;

impl DatabaseSettings {
    /// What cannot work: an address of something else, and times and sizes out of their bounds. Opens
    /// nothing.
    pub fn check(&self) -> Vec<ValidationError> {
        let millis = Duration::from_millis;
        let times = [
            ("pool_timeout", self.pool_timeout, millis(100)),
            ("checkout_timeout", self.checkout_timeout, millis(10)),
            ("reaping_frequency", self.reaping_frequency, millis(100)),
            ("slow_query", self.slow_query, millis(1)),
            ("start_timeout", self.start_timeout, millis(1)),
            ("migration_wait", self.migration_wait, millis(1)),
        ];
        let times = times.into_iter().filter_map(|(key, time, min)| {
            ValidationError::outside(format!("database.{key}"), time, min..=TIME_MAX)
        });
        let sizes = [
            ("pool_size", self.pool_size.get()),
            ("background_pool_size", self.background_pool_size.get()),
        ];
        let sizes = sizes.into_iter().filter_map(|(key, size)| {
            ValidationError::outside(format!("database.{key}"), size, 1..=POOL_SIZE_MAX)
        });
        times
            .chain(sizes)
            .chain(self.never_told_lock())
            .chain(self.tried_once())
            .chain(self.bad_url())
            .chain(ValidationError::authorities(
                "database.tls_ca",
                &self.tls_ca,
                self.may_use_tls(),
            ))
            .collect()
    }

    /// Where and how to connect.
    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, DatabaseError> {
        let options = PgConnectOptions::from_str(self.url.expose());
        let mut options = options.map_err(|_| DatabaseError::Url)?;
        if let Some(mode) = self.sslmode {
            options = options.ssl_mode(mode);
        }
        if !self.tls_ca.as_os_str().is_empty() {
            options = options.ssl_root_cert(&self.tls_ca);
        }
        Ok(options)
    }

    /// That the server's certificate is not checked, or that there need be none, unless the server is on
    /// this machine. Without the check anybody on the way can be the server.
    pub fn plaintext(&self) -> Option<ValidationError> {
        let options = self.connect_options().ok()?;
        let host = options.get_host();
        let mode = options.get_ssl_mode();
        let is_socket = options.get_socket().is_some() || host.starts_with('/');
        if is_socket || matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
            return None;
        }
        ValidationError::plaintext("database.sslmode", host, "set DB_SSLMODE to verify-full")
    }

    fn may_use_tls(&self) -> bool {
        let options = self.connect_options();
        options.is_ok_and(|it| !matches!(it.get_ssl_mode(), PgSslMode::Disable))
    }

    /// A migration that waits for a lock for longer than all may take is never tried again.
    fn tried_once(&self) -> Option<ValidationError> {
        let lock = self.migration_lock_timeout;
        let wait = self.migration_wait;
        let text = format!("{lock:?} is not less than migration_wait, {wait:?}");
        ValidationError::unless(lock < wait, "database.migration_lock_timeout", text)
    }

    /// A wait for a lock would always be told as a statement that takes too long.
    fn never_told_lock(&self) -> Option<ValidationError> {
        let lock = self.lock_timeout;
        let statement = self.statement_timeout;
        let text = format!("{lock:?} is not less than statement_timeout, {statement:?}");
        ValidationError::unless(lock < statement, "database.lock_timeout", text)
    }

    /// sqlx takes an address of any scheme.
    fn bad_url(&self) -> Option<ValidationError> {
        let url = self.url.expose();
        let is_ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let is_one = is_ours && PgConnectOptions::from_str(url).is_ok();
        Some(
            ValidationError::unless(is_one, "database.url", DatabaseError::Url.to_string())?
                .secret(),
        )
    }
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    /// The keys that are told when `key` has this value in the shipped file.
    fn reported(key: &str, value: &str) -> Vec<String> {
        let text = include_str!("../../../../config/database.tsk");
        let vars = Vars::of([("DATABASE_URL", "postgres://ada:secret@db.example.com:5432/users")]);
        let loader = Loader::new("").text("database.tsk", text).vars(vars);
        let config = loader.set(&format!("database.{key}"), value).tree().unwrap();
        let settings: DatabaseSettings = config.get("database").unwrap();
        settings.check().iter().map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        for (key, value) in [
            ("url", "\"\""),
            ("url", "\"db.example.com:5432\""),
            ("url", "\"mysql://ada:secret@db.example.com/users\""),
            ("url", "\"http://db.example.com/users\""),
            ("url", "\"postgres://db.example.com:port/users\""),
            ("tls_ca", "/nowhere/ca.pem"),
            ("pool_size", "1001"),
            ("pool_timeout", "\"0s\""),
            ("pool_timeout", "\"25h\""),
            ("checkout_timeout", "\"0s\""),
            ("reaping_frequency", "\"0s\""),
            ("slow_query", "\"0s\""),
            ("migration_lock_timeout", "\"5m\""),
            ("background_pool_size", "1001"),
        ] {
            assert_eq!(reported(key, value), [format!("database.{key}")], "{key}: {value}");
        }
    }

    #[test]
    fn a_server_on_another_machine_is_reported_unless_its_certificate_is_checked() {
        let plaintext = |url: &str, mode: &str| {
            let text = include_str!("../../../../config/database.tsk");
            let vars = Vars::of([("DATABASE_URL", url), ("DB_SSLMODE", mode)]);
            let config = Loader::new("").text("database.tsk", text).vars(vars).tree().unwrap();
            let settings: DatabaseSettings = config.get("database").unwrap();
            settings.plaintext().is_some()
        };
        let far = "postgres://ada:secret@db.example.com/users";
        for (url, mode) in [(far, ""), (far, "prefer"), (far, "require")] {
            assert!(plaintext(url, mode), "{url} {mode}");
        }
        assert!(plaintext(&format!("{far}?sslmode=require"), ""));
        for (url, mode) in [
            (far, "verify-full"),
            (&format!("{far}?sslmode=verify-full"), ""),
            ("postgres://ada:secret@127.0.0.1:5432/users", ""),
            ("postgres:///users?host=/var/run/postgresql", ""),
        ] {
            assert!(!plaintext(url, mode), "{url} {mode}");
        }
    }

    #[test]
    fn values_that_work_are_not_reported() {
        for (key, value) in [
            ("url", "\"postgres:///users?host=/var/run/postgresql\""),
            ("url", "\"postgresql://db/users?sslmode=require\""),
            ("pool_size", "1000"),
            ("checkout_timeout", "\"1s\""),
        ] {
            assert!(reported(key, value).is_empty(), "{key}: {value}");
        }
    }
}
