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
pub(crate) use numbers::thread_number;

#[cfg(not(loom_resilience))]
mod numbers {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const UNNUMBERED: usize = usize::MAX;

    /// Numbers threads as they come.
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        // A constant at first, which costs less to look up than a lazy value.
        static MINE: Cell<usize> = const { Cell::new(UNNUMBERED) };
    }

    /// The number of the calling thread.
    #[inline]
    pub(crate) fn thread_number() -> usize {
        match MINE.get() {
            UNNUMBERED => number_thread(),
            number => number,
        }
    }

    #[cold]
    fn number_thread() -> usize {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        MINE.set(number);
        number
    }
}

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
#[cfg(test)]
#[cfg(loom_resilience)]
pub(crate) fn number_thread(number: usize) {
    NUMBER.with(|cell| cell.set(number));
}
