//! `TuskLang` configuration (`.tsk`) for services: typed settings, or every fault at once.
//!
//! ```text
//! text ──▶ syntax ──▶ tree ──▶ merge ──▶ evaluate ──▶ typed ──▶ your struct
//!          one pass   spans    overlays  lazily       serde     or Errors: file, line, column, what to do
//! ```
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//! use serde::Deserialize;
//! use tusk_config::{HttpRequest, Loader, Secret, Vars};
//!
//! #[derive(Debug, Deserialize)]
//! struct Settings {
//!     auth: Auth,
//!     #[serde(rename = "service:*")] // every section [service:…], by the rest of its name
//!     services: BTreeMap<String, Service>,
//! }
//! #[derive(Debug, Deserialize)]
//! struct Auth { jwt_secret: Secret, jwt_expiration: Duration }
//! #[derive(Debug, Deserialize)]
//! struct Service { host: String, port: u16, health_check: HttpRequest }
//!
//! let text = r##"
//! [auth]
//! jwt_secret: @env.secure("JWT_SECRET")            # required, never shown
//! jwt_expiration: @env("JWT_EXPIRATION", "3600")   # seconds
//!
//! [service:user-service]
//! host: @env("USER_SERVICE_HOST", "localhost")
//! port: @env("USER_SERVICE_PORT", 3001)
//! health_check: @http("GET", "http://#{host}:#{port}/health")
//! "##;
//! // A service says `Loader::new("config").file("auth").file("services").load()`.
//! let loader = Loader::new("config").text("config/example.tsk", text);
//!
//! let vars = Vars::of([("JWT_SECRET", "correct horse")]);
//! let settings: Settings = loader.clone().vars(vars)
//!     .load()?;
//! assert_eq!(settings.auth.jwt_expiration, Duration::from_secs(3600));
//! assert_eq!(settings.services["user-service"].health_check.url, "http://localhost:3001/health");
//! assert!(!format!("{settings:?}").contains("horse"));
//!
//! let vars = Vars::of([("USER_SERVICE_PORT", "abc")]);
//! let errors = loader.vars(vars).load::<Settings>().unwrap_err();
//! assert_eq!(errors.len(), 2);
//! assert!(errors.to_string().starts_with(
//! r#"config/example.tsk:3:13: JWT_SECRET is not set
//!   3 | jwt_secret: @env.secure("JWT_SECRET")            # required, never shown
//!     |             ^^^^^^^^^^^^^^^^^^^^^^^^^
//!   help: set JWT_SECRET, or JWT_SECRET_FILE to the name of a file that holds it"#));
//! # Ok::<(), tusk_config::Errors>(())
//! ```
//!
//! # What is read
//!
//! Sections `[name]`, `[a.b]` (nested) and `[kind:name]` (one key); `key: value` and `key = value`;
//! brace blocks; texts in `"…"`, `'…'`, `"""…"""`, `'''…'''` or without quotes; numbers, truth
//! values, `null`; lists and objects; `#`, `//` and `/* */` comments; `@env`, `@env.secure`,
//! `@http`; `#{reference}`, `${NAME:-default}` and `$global`. Everything else of the language is
//! refused by name, with its place.
//!
//! # Rules that are easy to miss
//!
//! - Evaluation is lazy: a fault in a value matters only if a type reads it.
//! - Typed reading is lenient: `"3600"` is a `u64`, `"true"` a `bool`, `"30"`, `30` and `"30s"` are a
//!   [`Duration`](std::time::Duration).
//! - The type of a default is the type of its variable: `@env("PORT", 3001)` takes numbers only.
//! - Sections that a type does not name are ignored; unknown keys inside the others are faults.
//!   A key that is somebody else's is named in the struct as [`Unread`].
//! - `#[serde(flatten)]`, enums of all kinds and `Option` keep all of this, places included.
//! - A variable `NAME` that is not set is read from the file that `NAME_FILE` names, if that is set.
//!
//! | module | holds |
//! |---|---|
//! | `loader`, `config` | which files, overlays; the whole before it is typed |
//! | `vars` | the only door to the environment of the process |
//! | `source`, `fault` | places, and what is wrong there |
//! | `syntax`, `tree` | the grammar; what a file says |
//! | `evaluate` | variables, references, interpolation |
//! | `typed` | serde, in rounds, until every fault is known |
//! | `secret`, `http`, `unread` | the types with a meaning of their own |
//! | `check` | what `tusk check` looks for |

mod bytes;
mod check;
mod config;
mod evaluate;
mod explain;
mod fault;
mod format;
mod http;
mod imports;
mod layers;
mod loader;
#[cfg(test)]
mod notation;
mod operator;
mod outside;
mod paths;
mod render;
mod scalar;
mod secret;
mod source;
mod suggest;
mod syntax;
mod tree;
mod typed;
mod unread;
mod variables;
mod vars;

pub use bytes::ByteSize;
pub use check::{Check, Report};
pub use config::Config;
pub use explain::{Explanation, Origin, Step};
pub use fault::{Errors, Fault, Severity};
pub use format::format;
pub use http::HttpRequest;
pub use loader::{Loader, SIZE_MAX};
pub use operator::{OperatorArgument, OperatorCall};
pub use paths::tsk_files;
pub use render::Rendered;
pub use secret::Secret;
pub use source::Place;
pub use unread::Unread;
pub use variables::{Variable, variables, variables_table};
pub use vars::Vars;
