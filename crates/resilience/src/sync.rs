//! The atomics and locks of the lock-free parts: the standard ones, or loom's while it checks them.
//!
//! Loom tries every interleaving and every reordering that the memory model allows:
//! `RUSTFLAGS="--cfg loom_resilience" cargo test -p resilience --lib --release loom`.

#[cfg(not(loom_resilience))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom_resilience))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom_resilience)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom_resilience)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(loom_resilience)]
loom::thread_local! {
    static NUMBER: std::cell::Cell<usize> = std::cell::Cell::new(0);
}

/// The number that the calling thread of a model gave itself.
#[cfg(loom_resilience)]
pub(crate) fn thread_number() -> usize {
    NUMBER.with(std::cell::Cell::get)
}

/// Gives the calling thread of a model a number, which chooses its stripe.
#[cfg(all(test, loom_resilience))]
pub(crate) fn number_thread(number: usize) {
    NUMBER.with(|cell| cell.set(number));
}
