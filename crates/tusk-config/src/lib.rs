//! `TuskLang` configuration (`.tsk`) for services: typed settings, or every fault at once.
//!
//! ```text
//! text ──▶ syntax ──▶ tree ──▶ layers ──▶ evaluate ──▶ typed ──▶ your struct
//!          one pass   spans    merged    lazily       serde     or Errors: file, line, column, what to do
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
//!     |             ^^^^^^^^^^^^^^^^^^^^^^^^^ required here
//!   help: set JWT_SECRET, or JWT_SECRET_FILE to the name of a file that holds it"#));
//! # Ok::<(), tusk_config::Errors>(())
//! ```
//!
//! The language on one page, what was decided where its sources disagree, and the `tusk` command are
//! in the crate's README.
//!
//! # Rules that are easy to miss
//!
//! - Evaluation is lazy: a fault in a value matters only if a type reads it.
//! - Typed reading is lenient: `"3600"` is a `u64`, `"true"` a `bool`, `"30"`, `30` and `"30s"` are a
//!   [`Duration`](std::time::Duration), `"64KiB"` is a [`ByteSize`], `8000-9000` a range.
//! - The type of a default is the type of its variable: `@env("PORT", 3001)` takes numbers only.
//! - Sections that a type does not name are ignored; unknown keys inside the others are faults.
//!   A key that is somebody else's is named in the struct as [`Unread`].
//! - `#[serde(flatten)]`, enums of all kinds and `Option` keep all of this, places included.
//! - A variable `NAME` that is not set is read from the file that `NAME_FILE` names, if that is set.
//! - Loading has no effect outside: operators such as `@query` are data ([`OperatorCall`]) unless
//!   [`Loader::operator`] answers them, and `@file.read` needs [`Loader::allow_files`].
//!
//! | module | holds |
//! |---|---|
//! | `loader`, `layers`, `imports`, `config` | which files, what is laid over them; the whole before it is typed |
//! | `vars`, `outside` | the only doors to the environment of the process, the clock and other files |
//! | `source`, `fault`, `validation` | places, and what is wrong there |
//! | `syntax`, `tree` | the grammar; what a file says |
//! | `evaluate` | variables, references, interpolation, expressions |
//! | `typed` | serde, in rounds, until every fault is known |
//! | `secret`, `bytes`, `http`, `operator`, `unread` | the types with a meaning of their own |
//! | `outline` | where everything stands, for tools that edit |
//! | `check`, `format`, `explain`, `render`, `variables`, `paths` | what the `tusk` command does |

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
mod outline;
mod outside;
mod paths;
mod render;
mod scalar;
mod secret;
mod shown;
mod source;
mod suggest;
mod syntax;
mod tree;
mod typed;
mod unread;
mod validation;
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
pub use outline::{Part, outline};
pub use paths::tsk_files;
pub use render::Rendered;
pub use secret::Secret;
pub use shown::Shown;
pub use source::Location;
pub use unread::Unread;
pub use validation::{Bounded, ValidationError, is_loopback};
pub use variables::{Meaning, Variable, variables, variables_table, variables_template};
pub use vars::Vars;
