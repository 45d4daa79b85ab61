//! What is counted of sessions.

use std::sync::LazyLock;

use prometheus::IntCounter;
use telemetry::metrics::counter;

use crate::store::Refreshed;

/// The refreshes, by outcome.
struct Refreshes {
    rotated: IntCounter,
    repeated: IntCounter,
    late: IntCounter,
    reused: IntCounter,
    full: IntCounter,
    unknown: IntCounter,
}

static REFRESHES: LazyLock<Refreshes> = LazyLock::new(|| {
    let help =
        "Refresh tokens presented, by outcome: rotated, repeated, late, reused, full or unknown.";
    let family = counter("user_session_refreshes_total", help, &["outcome"]);
    let of = |outcome| family.with_label_values(&[outcome]);
    Refreshes {
        rotated: of("rotated"),
        repeated: of("repeated"),
        late: of("late"),
        reused: of("reused"),
        full: of("full"),
        unknown: of("unknown"),
    }
});

/// Shows all outcomes from the beginning: the first one of each is an increase too.
pub(crate) fn register() {
    LazyLock::force(&REFRESHES);
}

/// Counts a refresh token that was presented.
pub(crate) fn refreshed(refreshed: Refreshed) {
    let refreshes = &*REFRESHES;
    match refreshed {
        Refreshed::Exchanged { repeated: false, .. } => refreshes.rotated.inc(),
        Refreshed::Exchanged { repeated: true, .. } => refreshes.repeated.inc(),
        Refreshed::Late => refreshes.late.inc(),
        Refreshed::Reused { .. } => refreshes.reused.inc(),
        Refreshed::Full { .. } => refreshes.full.inc(),
        Refreshed::Unknown => refreshes.unknown.inc(),
    }
}
