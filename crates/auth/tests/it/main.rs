//! Keys, tokens, who may do what: what is accepted, and everything that is not.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod credentials;
mod fixture;
mod insiders;
mod keys;
mod policy;
mod reserved;
mod scopes;
mod service_tokens;
mod tokens;
