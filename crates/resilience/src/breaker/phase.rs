//! The words that threads agree by: what the breaker is doing, packed so that one load reads it.
//!
//! ```text
//!   word    bucket : 32 │ phase number : 29 │ kind : 3      what passes, and where it counts
//!   tally   stamp  : 32 │ count : 32                        failures in a row
//!   tally   stamp  : 32 │ in flight : 16 │ succeeded : 16   trial calls
//! ```
//!
//! A *stamp* (phase number and kind) names one phase. Every permit carries the stamp of the phase
//! that admitted it, and counts only where the same stamp stands.

/// What the breaker is doing. `State` says the same in three words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
    ForcedClosed = 3,
    ForcedOpen = 4,
}

impl Kind {
    /// Whether it lasts whatever calls say.
    pub(super) fn is_forced(self) -> bool {
        matches!(self, Self::ForcedClosed | Self::ForcedOpen)
    }
}

const KIND_BITS: u32 = 3;

/// One phase: its number and kind. The number comes again after half a thousand million changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) u32);

impl Stamp {
    #[inline]
    pub(super) fn kind(self) -> Kind {
        match self.0 & ((1 << KIND_BITS) - 1) {
            0 => Kind::Closed,
            1 => Kind::HalfOpen,
            2 => Kind::Open,
            3 => Kind::ForcedClosed,
            _ => Kind::ForcedOpen,
        }
    }

    pub(super) fn number(self) -> u32 {
        self.0 >> KIND_BITS
    }

    /// The phase after this one.
    pub(super) fn next(self, kind: Kind) -> Self {
        let number = self.number().wrapping_add(1);
        Self((number << KIND_BITS) | kind as u32)
    }
}

/// The phase, and the time bucket that outcomes count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    pub(super) fn new(stamp: Stamp, bucket: u32) -> Self {
        Self(pack(bucket, stamp.0))
    }

    #[inline]
    pub(super) fn stamp(self) -> Stamp {
        Stamp(low(self.0))
    }

    #[inline]
    pub(super) fn bucket(self) -> u32 {
        high(self.0)
    }
}

/// Two halves as one.
#[inline]
pub(super) fn pack(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

#[allow(clippy::cast_possible_truncation, reason = "what is shifted out is wanted out")]
#[inline]
pub(super) fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the upper half is not wanted")]
#[inline]
pub(super) fn low(word: u64) -> u32 {
    word as u32
}
