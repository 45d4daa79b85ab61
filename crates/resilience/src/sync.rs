//! The atomics and locks of the lock-free parts: the standard ones, or loom's while it checks them.

#[cfg(loom_resilience)]
pub(crate) use loom::sync::Mutex;
#[cfg(loom_resilience)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom_resilience))]
pub(crate) use std::sync::Mutex;
#[cfg(not(loom_resilience))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
