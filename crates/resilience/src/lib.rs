//! Resilience patterns on tower: one module each, with the pattern itself, a layer and a service.
//!
//! | module | pattern | protects |
//! |---|---|---|
//! | [`deadline`] | how long the work may still take, passed from caller to callee | the caller's patience |
//! | [`timeout`] | a limit for each attempt, and one for the call in all | the caller's patience |
//! | [`retry`] | full-jitter back-off within a budget, never past the deadline | against faults that pass |
//! | [`breaker`] | stops calling what keeps failing, tries again by itself | the target, and the caller's time |
//! | [`bulkhead`] | so many calls in flight | memory and connections |
//! | [`rate_limit`] | so many calls in a second | the target |
//! | [`shed`] | refuses what would have to wait | everybody's time |
//! | [`fallback`] | a substitute, or the last good answer | the caller |
//! | [`stack`] | all of it around one service, in the order that works | |
//!
//! Every primitive works alone ([`CircuitBreaker`](breaker::CircuitBreaker),
//! [`RetryBudget`](retry::budget::RetryBudget), [`Bulkhead`](bulkhead::Bulkhead), …). As layers they
//! share one flat [`Error`], which [`guard`] puts a plain service's error into.
//!
//! ```
//! use std::time::Duration;
//!
//! use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings, State};
//! use resilience::bulkhead::Bulkhead;
//! use resilience::deadline::{Deadline, HasDeadline};
//! use resilience::fallback::FallbackLayer;
//! use resilience::rate_limit::{RateLimit, RateLimitSettings};
//! use resilience::retry::{AnyFailure, Repeatable, RetryPolicy, RetrySettings};
//! use resilience::stack::Stack;
//! use resilience::{AnyError, Error};
//! use tower::{ServiceExt, service_fn};
//!
//! /// A question to some target.
//! #[derive(Clone)]
//! struct Question {
//!     id: u32,
//!     deadline: Option<Deadline>,
//! }
//!
//! impl HasDeadline for Question {
//!     fn deadline(&self) -> Option<Deadline> {
//!         self.deadline
//!     }
//!
//!     fn set_deadline(&mut self, deadline: Deadline) {
//!         self.deadline = Some(deadline);
//!     }
//! }
//!
//! impl Repeatable for Question {
//!     fn may_repeat(&self) -> bool {
//!         true // it only reads
//!     }
//!
//!     fn try_clone(&self) -> Option<Self> {
//!         Some(self.clone())
//!     }
//! }
//!
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
//! let target = service_fn(|question: Question| async move {
//!     if question.id == 0 { Err("no such thing") } else { Ok(format!("answer {}", question.id)) }
//! });
//!
//! let settings = CircuitBreakerSettings { failure_threshold: 3, ..Default::default() };
//! let breaker = CircuitBreaker::new("target", &settings);
//! let service = Stack::new()
//!     .fallback(FallbackLayer::new(|error: Error<&'static str>| async move {
//!         match error {
//!             Error::Open(_) => Ok("an older answer".to_owned()),
//!             other => Err(other),
//!         }
//!     }))
//!     .total_timeout(Duration::from_secs(5))
//!     .retry(RetryPolicy::new(&RetrySettings::default(), AnyFailure))
//!     .rate_limit(RateLimit::new(&RateLimitSettings { per_second: 1_000, burst: 100 }))
//!     .bulkhead(Bulkhead::new(64))
//!     .breaker(breaker.clone(), AnyError)
//!     .attempt_timeout(Duration::from_secs(1))
//!     .service(target);
//!
//! let question = |id| Question { id, deadline: None };
//! assert_eq!(service.clone().oneshot(question(7)).await.unwrap(), "answer 7");
//!
//! // Three attempts fail, and the breaker opens.
//! assert_eq!(service.clone().oneshot(question(0)).await, Err(Error::Inner("no such thing")));
//! assert_eq!(breaker.state(), State::Open);
//! assert_eq!(service.clone().oneshot(question(7)).await.unwrap(), "an older answer");
//! # });
//! ```

mod error;
mod http;
mod outcome;
mod stripes;
mod sync;

pub mod breaker;
pub mod bulkhead;
pub mod deadline;
pub mod fallback;
pub mod rate_limit;
pub mod retry;
pub mod shed;
pub mod stack;
pub mod timeout;

pub use error::{Error, ErrorLayer, ErrorService, guard};
pub use outcome::{AnyError, Classify, Outcome};
