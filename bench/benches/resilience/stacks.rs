//! The whole stack.
pub(crate) fn whole() {}
