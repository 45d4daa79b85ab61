//! From a tree to a typed value through serde, with every fault in one go and each at its place.
//!
//! serde stops at the first error. So a read goes in rounds: deserialise; when an error surfaces,
//! note it with its place, let *poison* (a value that satisfies any request) stand in for the value
//! at fault, and deserialise again, until nothing new comes up. A value whose poison does not
//! satisfy its type hands it on to the table around it.
//!
//! `#[serde(flatten)]` and untagged enums copy everything into a buffer of serde's before any type
//! asks for it, so place, leniency and laziness would be lost. There, a value is first given as a
//! *tag*: bytes that no type accepts and that name their slot. The refusal says which value was
//! asked for and as what; the next round gives it exactly so. What was never asked for keeps its
//! tag, which is how unknown keys are found there.
//!
//! | module | holds |
//! |---|---|
//! | [`session`] | slots: what is known about each place of the tree over all rounds |
//! | [`reader`], [`access`] | the deserialiser; tables, lists and variants |
//! | [`convert`] | lenient scalars and the words for a mismatch |
//! | [`hint`] | what a refused tag was asked for as |
//! | [`poison`] | placeholders |
//! | [`error`] | what surfaces |
//! | [`rounds`], [`locate`], [`report`] | the rounds, where an error belongs, what is said about it |

mod access;
mod convert;
mod error;
mod hint;
mod locate;
mod poison;
mod reader;
mod report;
mod rounds;
mod session;

pub(crate) use rounds::read;
pub(crate) use session::Start;

#[cfg(test)]
mod tests;
