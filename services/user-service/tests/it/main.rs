//! The user service over HTTP, on a database, a broker's virtual host and a Redis of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod administrators;
mod app;
mod audit;
mod bad_input;
mod cached;
mod documents;
mod ended;
mod erasures;
mod events;
mod external;
mod external_ends;
mod external_flows;
mod external_races;
mod guesses;
mod issuer;
mod limits;
mod lockouts;
mod own_sessions;
mod passwords;
mod process;
mod proofs;
mod resets;
mod scopes;
mod sealing;
mod second_factor;
mod servers;
mod sessions;
mod sweeps;
mod timing;
mod tokens;
mod users;
mod verifications;
