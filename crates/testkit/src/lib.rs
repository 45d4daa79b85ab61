//! What the workspace's tests stand on: real servers, real processes, and faults on demand.
//!
//! ```text
//!             TEST_* in the environment        containers (feature `containers`)
//!                        └───────────┬────────────────┘
//!                                 addresses
//!             ┌──────────────┬──────┴───────┬─────────────────┐
//!          database        broker       redis_url           Proxy     a wire to cut or freeze
//!      one per test, own  one virtual   shared by all         │
//!      role, dropped      host per test                       │
//!             └──────────────┴── environment / vars ── ServiceProcess     a service's own binary
//!
//!          Instance    a service inside the test's process (feature `service`), and Users, whom it asks
//!          Plain       an AMQP client that knows nothing of ours
//!          RawAmqp     an AMQP client that publishes any bytes as properties
//!          Simulator   the payment provider (feature `simulator`)
//!          Collector   a receiver of spans (feature `collector`)
//!          Certificates  for servers that speak TLS (feature `certificates`)
//!          native      private servers from the machine's binaries (no feature), for `cargo dev`
//! ```
//!
//! No mock stands in for a server that can be had. `cargo dev test` finds or starts the servers
//! once and passes their addresses to every test process; a test that needs a server which is not
//! there fails and says so.
//!
//! ```no_run
//! # #[cfg(feature = "servers")]
//! # async fn example() {
//! let database = testkit::database("orders").await;
//! let pool = database.pool().await;
//! let orders = testkit::eventually("an order is stored", async || {
//!     let count = sqlx::query_scalar("select count(*) from orders").fetch_one(&pool);
//!     let count: i64 = count.await.ok()?;
//!     (count > 0).then_some(count)
//! })
//! .await;
//! # let _ = orders;
//! # }
//! ```
//!
//! Faults of the kit itself (a server that does not answer, a binary that is not there) are panics:
//! they fail the test at the place of use, with what to do about it.

#![allow(
    clippy::disallowed_methods,
    reason = "tests run on this: it reads the environment, spawns tasks and makes up names"
)]
#![allow(
    clippy::missing_panics_doc,
    reason = "everything here panics with what to do when the test cannot go on"
)]

#[cfg(feature = "certificates")]
pub mod certificates;
#[cfg(feature = "collector")]
pub mod collector;
pub mod native;
pub mod ports;

#[cfg(feature = "servers")]
mod addresses;
#[cfg(feature = "servers")]
mod background;
#[cfg(feature = "servers")]
mod broker;
#[cfg(feature = "containers")]
mod containers;
#[cfg(feature = "servers")]
mod database;
#[cfg(feature = "service")]
mod domain;
#[cfg(feature = "servers")]
mod environment;
#[cfg(feature = "service")]
mod instance;
#[cfg(feature = "servers")]
mod plain;
#[cfg(feature = "servers")]
mod process;
#[cfg(feature = "servers")]
mod proxy;
#[cfg(feature = "servers")]
pub mod raw_amqp;
#[cfg(feature = "service")]
mod refused;
#[cfg(feature = "service")]
mod users;
#[cfg(feature = "servers")]
mod wait;

#[cfg(feature = "servers")]
pub use addresses::{Addresses, addresses, redis_url};
#[cfg(feature = "servers")]
pub use broker::{TestBroker, broker};
#[cfg(feature = "servers")]
pub use database::{TestDatabase, database};
#[cfg(feature = "service")]
pub use domain::assert_domain_is_pure;
#[cfg(feature = "servers")]
pub use environment::{
    Environment, JWT_SECRET, check_config, config_dir, config_with_template, environment, vars,
    with_line,
};
#[cfg(feature = "service")]
pub use instance::{Instance, document, problem};
#[cfg(feature = "servers")]
pub use plain::Plain;
#[cfg(feature = "servers")]
pub use process::{ServiceProcess, binary};
#[cfg(feature = "servers")]
pub use proxy::Proxy;
#[cfg(feature = "servers")]
pub use raw_amqp::RawAmqp;
#[cfg(feature = "service")]
pub use refused::assert_refuses_bodies;
#[cfg(feature = "service")]
pub use users::Users;
#[cfg(feature = "servers")]
pub use wait::eventually;

#[cfg(feature = "simulator")]
pub mod simulator;
