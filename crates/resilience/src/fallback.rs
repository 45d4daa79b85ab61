//! Fallbacks: an answer when the call gave none.
//!
//! [`FallbackLayer`] asks a closure. [`StaleLayer`] keeps the last good answer to each question and
//! gives it again, marked as stale, while the target is away (stale-if-error, RFC 5861).

mod closure;
mod flight;
mod stale;

pub use closure::{FallbackLayer, FallbackService, ResponseFuture};
pub use stale::{MarkStale, Stale, StaleLayer, StaleService, StaleSettings, Use};
