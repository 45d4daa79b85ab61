//! One counter per thread instead of one for all, so that threads do not wait for each other's
//! cache lines. Writers touch their own stripe; readers, which are rare, visit all.

use std::sync::LazyLock;

use crate::sync::thread_number;

/// Stripes in all, at most.
const STRIPES_MAX: usize = 32;

/// A value alone on its cache line; two lines, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// A value for each thread, or for a few threads when there are more of them than stripes.
#[derive(Debug)]
pub(crate) struct Stripes<T>(Box<[Padded<T>]>);

/// Twice the processors, a power of two, so that two busy threads rarely share one.
static COUNT: LazyLock<usize> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if cfg!(loom_resilience) { 2 } else { (2 * processors).next_power_of_two().min(STRIPES_MAX) }
});

impl<T> Stripes<T> {
    /// A stripe for each number below [`count`].
    pub(crate) fn new(make: impl FnMut() -> T) -> Self {
        let mut make = make;
        Self((0..*COUNT).map(|_| Padded(make())).collect())
    }

    /// The calling thread's.
    pub(crate) fn mine(&self) -> &T {
        // The number of stripes is a power of two.
        &self.0[thread_number() & (self.0.len() - 1)].0
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
