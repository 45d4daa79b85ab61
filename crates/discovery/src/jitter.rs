//! Delays that differ a little, so that many processes do not do the same thing in step.

use std::time::Duration;

/// Longer or shorter by up to this share.
const JITTER: f64 = 0.1;

/// About this time.
pub(crate) fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
}
