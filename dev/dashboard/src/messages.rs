//! Events on their way and off it.
//!
//! ```text
//! outbox         what waits to be sent, by partition, and who sends it
//! archive        what was sent, where [outbox] archive keeps it
//! dead_letters   what a consumer has given up on, by its service's admin routes
//! contract       the checked-in schema of an event, and whether a message fits it
//! ```

pub(crate) mod archive;
pub(crate) mod contract;
pub(crate) mod dead_letters;
pub(crate) mod outbox;

pub(crate) use dead_letters::DeadLetters;
