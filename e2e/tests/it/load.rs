//! Many callers at once, or slow ones, against services that run.

mod hashing;
mod slow;
