//! What the end of a call says about the target.

/// What a call says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is well. An answer that says "you are wrong" (4xx) is one: the target did its work.
    Success,
    /// It is not well.
    Failure,
    /// It asks for less (429): counts for the failure ratio and fails a trial call, but is not one of
    /// the failures in a row.
    Throttled,
    /// Nothing: the call was not made, was given up, or failed on this side.
    Neutral,
}
