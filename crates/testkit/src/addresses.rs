//! Where the servers of a test run are: said by the environment, or started as containers.
//!
//! `cargo dev test` finds or starts the servers once and passes their addresses to every test, and
//! that is the ordinary way: nextest runs each test in a process of its own, so that servers
//! started from here would be started once per test.

use std::sync::OnceLock;

use tusk_config::Vars;

/// The servers that tests share. Each is a URL with user name and password in it.
#[derive(Clone)]
pub struct Addresses {
    /// `TEST_POSTGRES_URL`: `postgres://superuser:password@host:port/postgres`.
    pub postgres: String,
    /// `TEST_REDIS_URL`: `redis://host:port`.
    pub redis: String,
    /// `TEST_AMQP_URL`: `amqp://user:password@host:port`, without a virtual host.
    pub amqp: String,
    /// `TEST_RABBITMQ_API`: `http://user:password@host:port` of the management plugin, whose user
    /// may create virtual hosts.
    pub rabbitmq_api: String,
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs carry passwords, and test logs are published by CI.
        f.debug_struct("Addresses").finish_non_exhaustive()
    }
}

/// The servers' addresses, found once per process.
///
/// From `TEST_POSTGRES_URL`, `TEST_REDIS_URL`, `TEST_AMQP_URL` and `TEST_RABBITMQ_API` when all
/// four are set. Otherwise, with the feature `containers`, from a set of containers that lives as
/// long as this process; the first caller then waits for them, a minute or more when images have to
/// be pulled. Otherwise this panics and says how to get servers.
pub fn addresses() -> &'static Addresses {
    static ADDRESSES: OnceLock<Addresses> = OnceLock::new();
    ADDRESSES.get_or_init(|| from_vars(&Vars::process()).unwrap_or_else(|missing| start(&missing)))
}

/// The shared Redis server. It has no databases per test: keys must differ, which they do as long
/// as they hold an id made by the test.
pub fn redis_url() -> String {
    addresses().redis.clone()
}

/// The addresses, or the names of the variables that are not set.
fn from_vars(vars: &Vars) -> Result<Addresses, Vec<&'static str>> {
    let mut missing = Vec::new();
    let mut read = |name: &'static str| match vars.get(name) {
        Some(value) if !value.is_empty() => value.to_owned(),
        _ => {
            missing.push(name);
            String::new()
        }
    };
    let addresses = Addresses {
        postgres: read("TEST_POSTGRES_URL"),
        redis: read("TEST_REDIS_URL"),
        amqp: read("TEST_AMQP_URL"),
        rabbitmq_api: read("TEST_RABBITMQ_API"),
    };
    if missing.is_empty() { Ok(addresses) } else { Err(missing) }
}

#[cfg(feature = "containers")]
fn start(missing: &[&str]) -> Addresses {
    crate::containers::start().unwrap_or_else(|error| {
        panic!(
            "this test needs PostgreSQL, Redis and RabbitMQ, {} not set, and no containers could \
             be started ({error:#}); run it by `cargo dev test`, which finds or starts servers",
            is_or_are(missing)
        )
    })
}

#[cfg(not(feature = "containers"))]
fn start(missing: &[&str]) -> Addresses {
    panic!(
        "this test needs PostgreSQL, Redis and RabbitMQ, and {} not set; run it by \
         `cargo dev test`, which finds or starts servers",
        is_or_are(missing)
    )
}

fn is_or_are(missing: &[&str]) -> String {
    format!("{} {}", missing.join(", "), if missing.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{from_vars, is_or_are};
    use tusk_config::Vars;

    fn all() -> Vars {
        Vars::empty()
            .with("TEST_POSTGRES_URL", "postgres://a:secret@localhost/postgres")
            .with("TEST_REDIS_URL", "redis://localhost")
            .with("TEST_AMQP_URL", "amqp://localhost")
            .with("TEST_RABBITMQ_API", "http://localhost:15672")
    }

    #[test]
    fn all_four_variables_give_the_addresses() {
        let addresses = from_vars(&all()).unwrap();
        assert_eq!(addresses.redis, "redis://localhost");
        assert_eq!(addresses.rabbitmq_api, "http://localhost:15672");
    }

    #[test]
    fn what_is_missing_or_empty_is_named() {
        let missing = from_vars(&all().with("TEST_REDIS_URL", "")).unwrap_err();
        assert_eq!(missing, ["TEST_REDIS_URL"]);
        assert_eq!(is_or_are(&missing), "TEST_REDIS_URL is");
        assert_eq!(from_vars(&Vars::empty()).unwrap_err().len(), 4);
    }

    #[test]
    fn passwords_stay_out_of_the_debug_output() {
        assert!(!format!("{:?}", from_vars(&all()).unwrap()).contains("secret"));
    }
}
