//! The dashboard of a system that `cargo dev up` runs: what all of it does at this moment, and the
//! buttons to act on it. Loopback only, for development only.
//!
//! ```text
//! spans/      received by OTLP, kept on disk run by run, put together to traces
//! system/     what `up` has noted, processes, RabbitMQ's and PostgreSQL's own figures
//! metrics/    each service's /metrics, asked every few seconds, kept for half an hour
//! logs        the end of all logs, followed
//! calls       what each service calls and thinks of it, asked of its admin routes
//! origins     each service's settings: what they are, where from, what they replaced
//! broker      queues, exchanges and bindings as RabbitMQ's management API tells them
//! messages/   dead letters, outboxes, archives, and the contracts of events
//! mails       the caught mails
//! databases/  the services' databases, read only, with personal data masked
//! keys        what is in Redis, masked
//! tool        `cargo dev …`, by which every button acts
//! fresh       what others are asked for at most every so often, without a page waiting for them
//! pages/      one file for each page: what is shown, and its buttons
//! api         the same as JSON, for `cargo dev mcp` and scripts
//! protection  who may ask: hosts, origins, the token
//! otlp        the receiver of spans and logs
//! connections as many at once as a development system needs
//! live        a page again and again, as long as somebody looks at it
//! ```
//!
//! Pages are written by the server and renewed by server-sent events; the only script is a small one of
//! our own that puts what has changed in its place.

#![allow(
    clippy::disallowed_methods,
    reason = "a tool of development: it has no clock to move and no chassis to hand tasks to"
)]

mod api;
mod app;
mod assets;
mod broker;
mod calls;
mod connections;
mod databases;
mod download;
mod fresh;
mod keys;
mod live;
mod logs;
mod mails;
mod messages;
mod metrics;
mod origins;
mod otlp;
mod pages;
mod protection;
mod server;
mod settings;
mod spans;
mod system;
mod tool;

pub use server::serve;
pub use settings::Settings;

/// The time as logs have it.
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
