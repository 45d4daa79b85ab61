//! What is counted of sign-ins and sessions.

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

/// What became of a sign-in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SignIn {
    Succeeded,
    /// Address or password was wrong.
    Failed,
    /// Too many had failed.
    Refused,
}

static SIGN_INS: LazyLock<[IntCounter; 3]> = LazyLock::new(|| {
    let help = "Sign-ins, by outcome: succeeded, failed, or refused after too many that failed.";
    let family = counter("user_sign_ins_total", help, &["outcome"]);
    ["succeeded", "failed", "refused"].map(|outcome| family.with_label_values(&[outcome]))
});

/// Shows all outcomes from the beginning: the first one of each is an increase too.
pub(crate) fn register() {
    LazyLock::force(&REFRESHES);
    LazyLock::force(&SIGN_INS);
}

/// Counts a sign-in.
pub(crate) fn signed_in(outcome: SignIn) {
    let [succeeded, failed, refused] = &*SIGN_INS;
    match outcome {
        SignIn::Succeeded => succeeded.inc(),
        SignIn::Failed => failed.inc(),
        SignIn::Refused => refused.inc(),
    }
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
