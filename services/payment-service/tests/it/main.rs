//! The payment service over HTTP, with real servers, the provider's simulator and a user-service
//! that the tests can take away.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod app;
mod bad_input;
mod calls;
mod customers;
mod documents;
mod exports;
mod gateway;
mod idempotency;
mod money;
mod newer;
mod payer;
mod payments;
mod provider;
mod settings;
