//! PostgreSQL, `PgBouncer`, Redis, RabbitMQ, etcd, Consul and Prometheus as private processes of this machine.
//!
//! A server is started from the binaries that a distribution's package installs, on a free port of
//! 127.0.0.1, with its data, settings and log in a folder of its own, in a session of its own. It
//! is ready when it answers, not when it runs; it is stopped by process id, never by name, so that
//! a server which somebody else runs is never touched.
//!
//! ```no_run
//! use testkit::native::{ServerOptions, Redis};
//!
//! let redis = Redis::start(&ServerOptions::temporary()?)?;
//! println!("{}", redis.url());
//! redis.freeze()?; // what a black hole looks like to its clients
//! redis.cont()?;
//! // Dropped: killed, and its folder removed.
//! # Ok::<(), testkit::native::NativeError>(())
//! ```
//!
//! No two servers work on the same data: each holds a lock beside it for as long as it lives
//! ([`Owner`]).
//!
//! A server that outlives the process which started it is noted by its `members` and left alone
//! with
//! `detach`: a later process stops it by its [`ProcessId`]s.

mod account;
mod consul;
mod error;
mod etcd;
pub mod find;
mod folder;
mod options;
mod owner;
mod pgbouncer;
pub mod port;
mod postgres;
mod process;
mod prometheus;
pub mod psql;
mod rabbitmq;
mod ready;
mod redis;
mod server;
mod table;

pub use consul::Consul;
pub use error::NativeError;
pub use etcd::Etcd;
pub use find::{Found, find};
pub use folder::remove_data;
pub use options::{ServerOptions, random_hex};
pub use owner::{ELSEWHERE, Owner, holders, servers_in};
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use process::{Launch, ProcessId, Signal, clean_environment};
pub use prometheus::Prometheus;
pub use rabbitmq::RabbitMq;
pub use ready::{log_tail, read_end, until_ready};
pub use redis::Redis;
pub use server::Server;

/// A process that belongs to a server, as it is kept for a later run that stops it.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it is: `postgres`, `redis`, `rabbitmq`, `epmd`, `etcd`, `consul` or `prometheus`.
    pub name: &'static str,
    /// Which process it is.
    pub process: ProcessId,
    /// The signal that makes it end in order.
    pub stop_signal: Signal,
}
