//! Which database it is, and what is wrong with it, as an operator is told: never the password.

use std::fmt;

use sqlx::postgres::PgConnectOptions;

use crate::fault::said;

/// Where a database is, and as whom it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    database: String,
    user: String,
}

impl From<&PgConnectOptions> for Target {
    fn from(options: &PgConnectOptions) -> Self {
        let user = options.get_username().to_owned();
        let host = options.get_socket().map(|path| path.display().to_string());
        Self {
            host: host.unwrap_or_else(|| options.get_host().to_owned()),
            port: options.get_port(),
            database: options.get_database().unwrap_or(&user).to_owned(),
            user,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, database, user } = self;
        write!(f, "database `{database}` at {host}:{port} as user `{user}`")
    }
}

/// Why a database cannot be used, with its SQLSTATE where the server has told one.
pub(crate) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => said(&**error),
        // Texts of the system and of rustls: they name neither address nor password.
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => error.to_string(),
        sqlx::Error::Protocol(text) => text.clone(),
        sqlx::Error::PoolTimedOut => "no answer in time".to_owned(),
        other => crate::kind(other).to_owned(),
    }
}
