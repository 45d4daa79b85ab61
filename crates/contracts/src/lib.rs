//! Contracts: what the services say to each other.
//!
//! ```text
//!   {"event_type":"user.created",            Envelope   four fields, then two that may be left out
//!    "data":{"user_id":"…","email":"…", …},  Event      one struct per type, one module per publisher
//!    "timestamp":"2026-01-15T09:30:00.123456Z",
//!    "service":"user-service",              golden/    the bytes of every version, for ever
//!    "event_id":"…","version":1}             schemas/   their JSON Schemas, for clients without these types
//! ```
//!
//! Rules of change: a published event only gains fields, each with a default, so that old bytes
//! decode and old readers skip what they do not know. What cannot be said that way is a new
//! version: a new golden file and a new schema beside the old ones, and a reader that knows both.
//! `cargo dev prepare` makes the schema of each current version from its type, and refuses a change
//! of a published one that is not additive.
//!
//! A client that knows the first four fields alone sends no `event_id` and no `version`; its messages
//! decode all the same. A field is optional where the reader's work can be done without it; the module
//! of each event says which; `null` there is as good as left out. What is required and missing makes
//! the message undecodable, as does a field out of its [bounds]: it is dead-lettered.
//!
//! ```
//! use contracts::{Envelope, Event, EventId, UserId, user::UserDeleted};
//!
//! let user_id: UserId = "0197c1f0-0000-7000-8000-000000000001".parse()?;
//! let event_id: EventId = "0197c1f0-0000-7000-8000-00000000000e".parse()?;
//! let at = "2026-01-15T09:30:00Z".parse()?;
//! let sent = Envelope::new(event_id, at, "user-service", UserDeleted { user_id });
//! let bytes = serde_json::to_vec(&sent)?;
//!
//! let received: Envelope = serde_json::from_slice(&bytes)?;
//! assert_eq!(received.event_type, UserDeleted::TYPE);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bounds;
pub mod currency;
mod envelope;
pub mod erasure;
#[cfg(test)]
mod golden;
mod ids;
pub mod notification;
pub mod payment;
pub mod user;

pub use bounds::FieldFault;
pub use envelope::{Envelope, Event};
pub use ids::EventId;
pub use notification::NotificationId;
pub use payment::PaymentId;
pub use user::{MailTokenId, UserId};
