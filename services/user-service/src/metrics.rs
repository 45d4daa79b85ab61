//! What is counted of sign-ins, sessions, passwords, codes, tokens that go by mail, and erasures.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use chassis::CancellationToken;
use prometheus::IntCounter;
use telemetry::metrics::{counter, gauge};
use tokio::time::sleep;

use crate::domain::Purpose;
use crate::store::{Refreshed, Store};

/// How often erasures that take too long are counted.
const INTERVAL: Duration = Duration::from_secs(5);

/// The refreshes, by outcome.
struct Refreshes {
    rotated: IntCounter,
    repeated: IntCounter,
    reused: IntCounter,
    full: IntCounter,
    unknown: IntCounter,
}

static REFRESHES: LazyLock<Refreshes> = LazyLock::new(|| {
    let help = "Refresh tokens presented, by outcome: rotated, repeated, reused, full or unknown.";
    let family = counter("user_session_refreshes_total", help, &["outcome"]);
    let of = |outcome| family.with_label_values(&[outcome]);
    Refreshes {
        rotated: of("rotated"),
        repeated: of("repeated"),
        reused: of("reused"),
        full: of("full"),
        unknown: of("unknown"),
    }
});

/// What became of a sign-in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SignIn {
    Succeeded,
    /// Address, password or code was wrong.
    Failed,
    /// Too many had failed.
    Refused,
    /// The password was right, and a code is asked for.
    CodeNeeded,
}

static SIGN_INS: LazyLock<[IntCounter; 4]> = LazyLock::new(|| {
    let help = "Sign-ins, by outcome: succeeded, failed for a wrong password or code, refused after too \
                many that failed, or code_needed, where the password alone is not enough.";
    let family = counter("user_sign_ins_total", help, &["outcome"]);
    ["succeeded", "failed", "refused", "code_needed"]
        .map(|outcome| family.with_label_values(&[outcome]))
});

/// What became of a sign-in, or of linking an account, by the external issuer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum External {
    /// A browser was sent there.
    Begun,
    /// A known user was signed in.
    SignedIn,
    /// A new user was made, and signed in.
    Registered,
    /// A signed-in user has linked an account.
    Linked,
    /// What the browser brought, or the issuer said of it, was not good.
    Refused,
    /// The issuer could not be asked.
    Unavailable,
}

static EXTERNAL: LazyLock<[IntCounter; 6]> = LazyLock::new(|| {
    let help = "Sign-ins and links by the external issuer, by outcome: begun, signed_in, registered, linked, \
                refused for what browser or issuer said, or unavailable, where the issuer could not be asked.";
    let family = counter("user_external_sign_ins_total", help, &["outcome"]);
    ["begun", "signed_in", "registered", "linked", "refused", "unavailable"]
        .map(|outcome| family.with_label_values(&[outcome]))
});

/// What became of a code of a second factor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CodeOutcome {
    /// A right one of an app.
    Code,
    /// A right recovery code.
    RecoveryCode,
    /// One that is wrong, or was used.
    Wrong,
    /// One that was not looked at, after too many wrong ones.
    Refused,
}

static CODES: LazyLock<[IntCounter; 4]> = LazyLock::new(|| {
    let help = "Codes of second factors, by outcome: code or recovery_code for right ones, wrong, or \
                refused after too many wrong ones.";
    let family = counter("user_second_factor_codes_total", help, &["outcome"]);
    ["code", "recovery_code", "wrong", "refused"]
        .map(|outcome| family.with_label_values(&[outcome]))
});

/// What became of a change of a password.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PasswordChange {
    /// By whoever knew the one before.
    Changed,
    /// By whoever read the user's mail.
    Reset,
    /// The one before was wrong.
    Failed,
    /// It was wrong too often.
    Refused,
}

static PASSWORD_CHANGES: LazyLock<[IntCounter; 4]> = LazyLock::new(|| {
    let help = "Changes of passwords, by outcome: changed, reset by mail, failed for a wrong password, \
                or refused after too many that failed.";
    let family = counter("user_password_changes_total", help, &["outcome"]);
    ["changed", "reset", "failed", "refused"].map(|outcome| family.with_label_values(&[outcome]))
});

/// What became of a token that goes by mail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mailed {
    /// Somebody asked for it.
    Requested,
    /// Somebody showed it.
    Used,
    /// What was shown is none.
    Refused,
}

static MAIL_TOKENS: LazyLock<[[IntCounter; 3]; 2]> = LazyLock::new(|| {
    let help = "Tokens that go by mail, by purpose and outcome: requested, whether or not there is \
                somebody to send one to, used, or refused because it is none.";
    let family = counter("user_mail_tokens_total", help, &["purpose", "outcome"]);
    [Purpose::Verification, Purpose::PasswordReset].map(|purpose| {
        let of = |outcome| family.with_label_values(&[purpose.as_str(), outcome]);
        ["requested", "used", "refused"].map(of)
    })
});

/// What became of the erasure of a deleted user.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ErasureOutcome {
    /// The user was deleted.
    Begun,
    /// Every service has confirmed.
    Completed,
    /// The time was up, and not every service had.
    AskedAgain,
    /// Those that had not are no readers of deletions any more.
    Unconfirmed,
}

static ERASURES: LazyLock<[IntCounter; 4]> = LazyLock::new(|| {
    let help = "Erasures of deleted users, by what became of them: begun, completed, where every service has \
                confirmed, asked_again, where not every service had in time, or unconfirmed, where those that had \
                not are no readers any more.";
    let family = counter("user_erasures_total", help, &["outcome"]);
    ["begun", "completed", "asked_again", "unconfirmed"]
        .map(|outcome| family.with_label_values(&[outcome]))
});

/// Shows all outcomes from the beginning: the first one of each is an increase too.
pub(crate) fn register() {
    LazyLock::force(&REFRESHES);
    LazyLock::force(&SIGN_INS);
    LazyLock::force(&CODES);
    LazyLock::force(&EXTERNAL);
    LazyLock::force(&PASSWORD_CHANGES);
    LazyLock::force(&MAIL_TOKENS);
    LazyLock::force(&ERASURES);
}

/// Counts a change of a password.
pub(crate) fn password_changed(outcome: PasswordChange) {
    let [changed, reset, failed, refused] = &*PASSWORD_CHANGES;
    match outcome {
        PasswordChange::Changed => changed.inc(),
        PasswordChange::Reset => reset.inc(),
        PasswordChange::Failed => failed.inc(),
        PasswordChange::Refused => refused.inc(),
    }
}

/// Counts an erasure.
pub(crate) fn erasure(outcome: ErasureOutcome) {
    let [begun, completed, asked_again, unconfirmed] = &*ERASURES;
    match outcome {
        ErasureOutcome::Begun => begun.inc(),
        ErasureOutcome::Completed => completed.inc(),
        ErasureOutcome::AskedAgain => asked_again.inc(),
        ErasureOutcome::Unconfirmed => unconfirmed.inc(),
    }
}

/// Keeps the number of erasures that take too long, of all processes, until `shutdown`. While the database is
/// away it stays what it was.
pub(crate) async fn keep(store: Store, shutdown: CancellationToken) -> Result<(), Infallible> {
    let help = "Deleted users of whom not every service has confirmed in time that it erased them.";
    let overdue = gauge("user_erasures_overdue", help, &[]);
    let measure = async {
        loop {
            match store.overdue_erasures().await {
                Ok(count) => overdue.with_label_values::<&str>(&[]).set(count),
                Err(error) => tracing::debug!(error = %error, "erasures were not counted"),
            }
            sleep(INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(measure).await;
    Ok(())
}

/// Counts a token that goes by mail.
pub(crate) fn mailed(purpose: Purpose, outcome: Mailed) {
    let [verification, reset] = &*MAIL_TOKENS;
    let [requested, used, refused] = match purpose {
        Purpose::Verification => verification,
        Purpose::PasswordReset => reset,
    };
    match outcome {
        Mailed::Requested => requested.inc(),
        Mailed::Used => used.inc(),
        Mailed::Refused => refused.inc(),
    }
}

/// Counts a sign-in.
pub(crate) fn signed_in(outcome: SignIn) {
    let [succeeded, failed, refused, code_needed] = &*SIGN_INS;
    match outcome {
        SignIn::Succeeded => succeeded.inc(),
        SignIn::Failed => failed.inc(),
        SignIn::Refused => refused.inc(),
        SignIn::CodeNeeded => code_needed.inc(),
    }
}

/// Counts a sign-in, or a link, by the external issuer.
pub(crate) fn external(outcome: External) {
    let [begun, signed_in, registered, linked, refused, unavailable] = &*EXTERNAL;
    match outcome {
        External::Begun => begun.inc(),
        External::SignedIn => signed_in.inc(),
        External::Registered => registered.inc(),
        External::Linked => linked.inc(),
        External::Refused => refused.inc(),
        External::Unavailable => unavailable.inc(),
    }
}

/// Counts a code of a second factor.
pub(crate) fn code_checked(outcome: CodeOutcome) {
    let [code, recovery_code, wrong, refused] = &*CODES;
    match outcome {
        CodeOutcome::Code => code.inc(),
        CodeOutcome::RecoveryCode => recovery_code.inc(),
        CodeOutcome::Wrong => wrong.inc(),
        CodeOutcome::Refused => refused.inc(),
    }
}

/// Counts a refresh token that was presented.
pub(crate) fn refreshed(refreshed: &Refreshed) {
    let refreshes = &*REFRESHES;
    match refreshed {
        Refreshed::Exchanged { repeated: false, .. } => refreshes.rotated.inc(),
        Refreshed::Exchanged { repeated: true, .. } => refreshes.repeated.inc(),
        Refreshed::Reused { .. } => refreshes.reused.inc(),
        Refreshed::Full { .. } => refreshes.full.inc(),
        Refreshed::Unknown => refreshes.unknown.inc(),
    }
}
