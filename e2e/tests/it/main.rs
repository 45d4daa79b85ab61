//! The whole system under test.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests make ids of their own")]

mod bodies;
mod calls;
mod campaign;
mod check_config;
mod confirmations;
mod crashes;
mod deletions;
mod erasure;
mod exports;
mod faults;
mod health;
mod load;
mod management;
mod metrics;
mod operator;
mod policy;
mod pooler;
mod privacy;
mod problems;
mod protection;
mod receipts;
mod registration;
mod releases;
mod rolling;
mod rotation;
mod scenario;
mod schema;
mod schemathesis;
mod security;
mod stalled;
mod startup;
mod system;
mod tables;
mod traces;
