//! One counter per thread instead of one for all, so that threads do not wait for each other's
//! cache lines. Writers touch their own stripe; readers, which are rare, visit all.

use std::sync::LazyLock;

use crate::sync::thread_number;

/// Stripes of threads, at most.
const OWN_MAX: usize = 32;

/// A value alone on its cache line; two lines, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// A value for each of so many threads, and one for all threads beyond.
#[derive(Debug)]
pub(crate) struct Stripes<T> {
    own: Box<[Padded<T>]>,
    shared: Padded<T>,
}

/// The value that a thread writes to.
#[derive(Debug)]
pub(crate) enum Stripe<'a, T> {
    /// No other thread writes to it.
    Own(&'a T),
    /// Other threads do.
    Shared(&'a T),
}

/// Twice the processors: the threads that run tasks, and as many that do so now and then.
static OWN: LazyLock<usize> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if cfg!(loom_resilience) { 2 } else { (2 * processors).min(OWN_MAX) }
});

impl<T> Stripes<T> {
    /// Stripes of so many values.
    pub(crate) fn new(mut make: impl FnMut() -> T) -> Self {
        let own = (0..*OWN).map(|_| Padded(make())).collect();
        Self { own, shared: Padded(make()) }
    }

    /// The calling thread's. No two threads that run have the same number.
    #[inline]
    pub(crate) fn mine(&self) -> Stripe<'_, T> {
        match self.own.get(thread_number()) {
            Some(own) => Stripe::Own(&own.0),
            None => Stripe::Shared(&self.shared.0),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.own.iter().chain([&self.shared]).map(|padded| &padded.0)
    }
}
