//! Resilience patterns as primitives: one module each, without a framework around them.
//!
//! | module | pattern | protects |
//! |---|---|---|
//! | [`deadline`] | how long the work may still take, passed from caller to callee | the caller's patience |
//! | [`criticality`] | who is refused first, passed from caller to callee | what matters most |
//! | [`retry`] | full-jitter back-off within a budget, never past the deadline | against faults that pass |
//! | [`breaker`] | stops calling what keeps failing, tries again by itself | the target, and the caller's time |
//! | [`limit`] | as many calls in flight as are answered as quickly as usual | the target, and everybody's time |
//! | [`bulkhead`] | so many calls in flight, and so many that wait | memory and connections |
//! | [`quantile`] | what nearly all calls take, to tell a late one | – |
//!
//! Each is a value to ask before a call and to tell of its end; what is dropped untold was given up.
//! The order in which they stand around a call is the caller's: `service-client` has the one of calls
//! between services, `chassis` that of requests. Here is a call with the three that most calls need:
//!
//! ```
//! use std::time::Duration;
//!
//! use resilience::Outcome;
//! use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings, State};
//! use resilience::deadline::Deadline;
//! use resilience::retry::{Backoff, RetrySettings, budget::RetryBudget};
//!
//! async fn ask(question: u32) -> Result<String, &'static str> {
//!     if question == 0 { Err("away") } else { Ok(format!("answer {question}")) }
//! }
//!
//! /// The breaker counts calls, and a call is all of its attempts.
//! async fn guarded(
//!     breaker: &CircuitBreaker, budget: &RetryBudget, question: u32,
//! ) -> Result<String, &'static str> {
//!     let permit = breaker.try_acquire().map_err(|_open| "left alone")?;
//!     let (backoff, deadline) =
//!         (Backoff::new(&RetrySettings::default()), Deadline::within(Duration::from_secs(5)));
//!     budget.deposit();
//!     let mut attempt = 1;
//!     let answer = loop {
//!         let answer = ask(question).await;
//!         let delay = backoff.next(attempt, None, deadline);
//!         // The budget last: what is not spent is left for others.
//!         let Some(delay) = delay.filter(|_| answer.is_err() && budget.withdraw()) else {
//!             break answer;
//!         };
//!         tokio::time::sleep(delay).await;
//!         attempt += 1;
//!     };
//!     permit.settle(if answer.is_ok() { Outcome::Success } else { Outcome::Failure });
//!     answer
//! }
//!
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
//! let settings = CircuitBreakerSettings { failure_threshold: 1, ..Default::default() };
//! let breaker = CircuitBreaker::new("target", &settings);
//! let budget = RetryBudget::new(&RetrySettings::default().budget());
//! assert_eq!(guarded(&breaker, &budget, 7).await.unwrap(), "answer 7");
//! assert_eq!(guarded(&breaker, &budget, 0).await, Err("away"));
//! assert_eq!(breaker.state(), State::Open);
//! assert_eq!(guarded(&breaker, &budget, 7).await, Err("left alone"));
//! # });
//! ```

mod outcome;
mod stripes;
mod sync;

pub mod breaker;
pub mod bulkhead;
pub mod criticality;
pub mod deadline;
pub mod limit;
pub mod quantile;
pub mod retry;

pub use outcome::Outcome;
pub use stripes::CachePadded;
