//! The sample service over HTTP and AMQP, with real servers and a user-service that the tests can
//! take away.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod app;
mod bad_input;
// template: if events=user
mod deletions;
// template: end
mod documents;
// template: if events=payment
mod payments;
// template: end
mod samples;
mod users;
