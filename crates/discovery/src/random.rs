//! Random numbers for picks: a generator per thread, with which no pick waits for another.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = Cell::new(rand::random());
}

/// 64 bits that are random enough to spread load (`SplitMix64`), and nothing else.
pub(crate) fn next() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        mix(next)
    })
}

/// A number below `bound`, from the upper half of `random`. `bound` is above 0.
pub(crate) fn below(random: u64, bound: usize) -> usize {
    let random = u128::from(random >> 32);
    ((random * bound as u128) >> 32) as usize
}

/// Spreads the bits of a number over all of them.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number above 0 and up to 1.
#[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(crate) fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}
