//! Limits and back-offs counted in a real Redis, and without one.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod backoff;
mod replicas;
mod support;
