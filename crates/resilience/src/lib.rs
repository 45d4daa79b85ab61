//! Resilience patterns, one module each, without opinions about HTTP.
//!
//! | module | pattern | protects |
//! |---|---|---|
//! | [`deadline`] | how long the work may still take, passed from caller to callee | the caller's patience |
//! | [`retry`] | full-jitter back-off, never past the deadline | against faults that pass |
//! | [`breaker`] | stops calling what keeps failing, tries again by itself | the target, and the caller's time |
//!
//! The order around a call: the deadline is set once; each *attempt* asks the breaker, so that
//! retries end as soon as the target is known to be down.
//!
//! ```
//! use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings, State};
//! use std::time::Duration;
//!
//! let settings = CircuitBreakerSettings {
//!     failure_threshold: 2,
//!     timeout: Duration::from_secs(60),
//!     half_open_max_calls: 1,
//! };
//! let breaker = CircuitBreaker::new("user-service", &settings);
//! for _ in 0..2 {
//!     breaker.try_acquire().unwrap().failure();
//! }
//! assert_eq!(breaker.state(), State::Open);
//! assert!(breaker.try_acquire().unwrap_err().retry_after <= Duration::from_secs(60));
//! ```

pub mod breaker;
pub mod deadline;
pub mod retry;
