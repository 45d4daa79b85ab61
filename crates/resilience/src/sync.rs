//! The atomics and locks of the lock-free parts: the standard ones, or loom's while it checks them.
//!
//! Loom tries interleavings and the old values that the memory model lets a load see. It misses
//! orders in which a store comes before another thread's load and after loads of its own:
//! `RUSTFLAGS="--cfg loom_resilience" cargo test -p resilience --lib --release interleavings`.

#[cfg(not(loom_resilience))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom_resilience))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom_resilience)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom_resilience)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(not(loom_resilience))]
pub(crate) use thread_local::ThreadLocal;

#[cfg(loom_resilience)]
loom::thread_local! {
    static NUMBER: std::cell::Cell<usize> = std::cell::Cell::new(0);
}

/// Loom's threads are all of one thread of the system: each says which of two values is its own.
#[cfg(loom_resilience)]
#[derive(Debug, Default)]
pub(crate) struct ThreadLocal<T>([T; 2]);

#[cfg(loom_resilience)]
impl<T> ThreadLocal<T> {
    pub(crate) fn get_or_default(&self) -> &T {
        &self.0[NUMBER.with(std::cell::Cell::get)]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

/// Gives the calling thread of a model a number, 0 or 1.
#[cfg(test)]
#[cfg(loom_resilience)]
pub(crate) fn number_thread(number: usize) {
    NUMBER.with(|cell| cell.set(number));
}
