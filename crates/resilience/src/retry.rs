//! Retries: only of what may be repeated, after a random pause, never past the deadline, and only
//! so many as the budget has for all calls together.
//!
//! ```text
//!   answer ─▶ worth another attempt? ─▶ attempts and time left? ─▶ budget? ─▶ pause ─▶ attempt
//!              RetryClassify             Backoff                    RetryBudget
//! ```
//!
//! The policy is one of tower's: `tower::retry::RetryLayer::new(policy)` makes the layer.

mod backoff;
pub mod budget;
mod policy;
mod repeatable;
mod settings;

pub use backoff::Backoff;
pub use policy::{AnyFailure, RetryClassify, RetryHint, RetryPolicy};
pub use repeatable::Repeatable;
pub use settings::RetrySettings;
