//! `cargo dev new-service`, `remove-service`: a copy of the template, at work everywhere; `new-event`,
//! `new-route`: more of it in a service that is there; `rename`: a workspace of one's own name.
//!
//! ```text
//! dev/template ─▶ files (new names) ─▶ plan (all texts, before anything is written) ─▶ diff, or written
//!                    └ pieces of files that are there ─▶ parts (where they go)     └ undone on a fault
//! ```
//!
//! What a service has in files of all stands in `dev/template/wiring` and `config` as a fragment of each; the
//! code here knows none of them. Lists of all services, such as those of docker-compose.yml, are generated
//! ([`generated`](crate::prepare::generated)). In the same way `dev/template/event` and `route` are fragments of a
//! service.

mod addition;
mod column;
mod files;
mod finish;
mod names;
mod new_column;
mod new_event;
mod new_handler;
mod new_route;
mod new_service;
mod new_setting;
mod optional;
mod parts;
mod plan;
mod record;
mod remove_service;
mod rename;
mod service;
mod source;
mod words;

pub(crate) use files::{ends_in, hex};
pub(crate) use new_column::{Args as NewColumnArgs, run as new_column};
pub(crate) use new_event::{Args as NewEventArgs, run as new_event};
pub(crate) use new_handler::{Args as NewHandlerArgs, run as new_handler};
pub(crate) use new_route::{Args as NewRouteArgs, run as new_route};
pub(crate) use new_service::{Args as NewArgs, run as new_service};
pub(crate) use new_setting::{Args as NewSettingArgs, run as new_setting};
pub(crate) use remove_service::{Args as RemoveArgs, run as remove_service};
pub(crate) use rename::{Args as RenameArgs, run as rename};

/// Where the template is.
const FOLDER: &str = "dev/template";
