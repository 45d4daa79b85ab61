//! Retries: only of what may be repeated, after a random delay, never past the deadline, and only
//! so many as the budget has for all calls together.
//!
//! ```text
//!   answer ─▶ worth another attempt? ─▶ attempts and time left? ─▶ budget? ─▶ delay ─▶ attempt
//!              the caller knows          Backoff                    RetryBudget
//! ```

mod backoff;
pub mod budget;
mod settings;

pub use backoff::Backoff;
pub use settings::RetrySettings;
