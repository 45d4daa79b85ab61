//! tusk-config.
#![allow(dead_code, clippy::todo, missing_docs)]
mod config;
mod evaluate;
mod fault;
mod http;
mod loader;
mod scalar;
mod secret;
mod source;
mod suggest;
mod syntax;
mod tree;
mod typed;
mod vars;

pub use config::Config;
pub use fault::{Errors, Fault, Severity};
pub use http::HttpRequest;
pub use loader::{Loader, SIZE_MAX};
pub use secret::Secret;
pub use source::Place;
pub use vars::Vars;
