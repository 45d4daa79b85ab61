//! Many callers at once, against services that run.

mod slow;
