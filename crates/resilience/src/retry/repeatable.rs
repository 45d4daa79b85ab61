//! Which requests may be sent again.

/// A request that knows whether a second attempt could do harm.
pub trait Repeatable: Sized {
    /// Whether sending it twice has the effect of sending it once.
    fn may_repeat(&self) -> bool;

    /// A copy for another attempt; none when its body cannot be read twice.
    fn try_clone(&self) -> Option<Self>;
}
