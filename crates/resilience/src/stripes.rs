//! One counter per thread instead of one for all, so that threads do not wait for each other's
//! cache lines. A thread writes to its own alone; readers, which are rare, visit all. One that ends
//! leaves its counter, with what it counted, to the next.

use crate::sync::ThreadLocal;

/// A value alone on its cache line; two lines, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CachePadded<T>(pub T);

/// A value for each thread that has asked for its own.
#[derive(Debug, Default)]
pub(crate) struct Stripes<T: Send>(ThreadLocal<CachePadded<T>>);

impl<T: Send + Sync + Default> Stripes<T> {
    /// The calling thread's. No other thread that runs has the same.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        &self.0.get_or_default().0
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
