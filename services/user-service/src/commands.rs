//! What the program does besides serving.

use auth::totp::{TotpSecret, step_at};
use auth::{KeyRing, Role, Tokens, User};
use cache::ServiceCache;
use chassis::{Clock, database};
use chrono::{DateTime, Utc};
use contracts::UserId;
use platform::audit::{Actor, AuditTrail, Entry};
use platform::{BuildError, PlatformSettings, Service};

use crate::UserService;
use crate::domain::Email;
use crate::profiles::Profiles;
use crate::store::{First, appoint_first};

/// The environment in which nobody's account is real.
const DEVELOPMENT: &str = "development";
/// What there is to say.
const KNOWN: &str = "known: admin --email ADDRESS, token user --id UUID [--role admin] [--scope SCOPES], \
                     token service NAME --for TARGET [--scope SCOPES], token code SECRET";

/// Does what the words say, and gives what to print.
pub(crate) async fn run(
    settings: &PlatformSettings,
    words: &[String],
) -> Result<String, BuildError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["admin", "--email", email] => appoint(settings, email).await,
        ["token", ..] => token(settings, &words),
        _ => Err(KNOWN.into()),
    }
}

/// `admin --email ADDRESS`: makes a registered user who has proven the address the first administrator. Who may run a program beside
/// the service may do that once: where there is an administrator, that one appoints the others
/// (`PUT /api/users/{id}/role`).
async fn appoint(settings: &PlatformSettings, email: &str) -> Result<String, BuildError> {
    let email = Email::parse(email)?;
    let database = database::connect(&settings.database).await?.requests;
    let clock = Clock::system();
    let audit = AuditTrail::new(database.clone(), clock.clone(), settings.audit.clone());
    let entry = |user: UserId| {
        let actor = Actor::Service(UserService::NAME.to_owned());
        Entry::new(actor, "first-administrator", "admin").target(format_args!("user:{user}"))
    };
    let profiles = Profiles::new(ServiceCache::connect(UserService::NAME, &settings.cache)?);
    let first = appoint_first(&database, (&audit, &clock, &profiles), &email, entry).await?;
    match first {
        First::Appointed(user) => {
            Ok(format!("user {user} is an administrator from the next sign-in on"))
        }
        First::TooLate => Err("there is an administrator already, who can appoint others".into()),
        First::NoSuchUser => Err("no active user has this address: register it first".into()),
        First::Unproven => Err("whoever registered with this address has not proven that it is \
                                theirs: open the link of the mail that went there first"
            .into()),
    }
}

/// `token user --id UUID [--role admin]` and `token service NAME --for TARGET`, each with `--scope SCOPES` behind it
/// where the token is to be narrowed, and `token code SECRET`: for trying things out by hand in development. Elsewhere there is no such command: whoever may run a program in a pod would
/// make himself an administrator, and no log would tell. There an administrator is a user whom the database
/// says to be one, who signs in as everybody does.
fn token(settings: &PlatformSettings, words: &[&str]) -> Result<String, BuildError> {
    let PlatformSettings { auth, keys, services, policy, telemetry, .. } = settings;
    if telemetry.tracing.environment != DEVELOPMENT {
        return Err("tokens are made by hand only where ENVIRONMENT is development: sign in".into());
    }
    let clock = Clock::system();
    let keys = KeyRing::open(keys, clock.clone())?;
    let tokens = Tokens::new(auth, keys, UserService::NAME, clock.clone()).with_policy(policy);
    let (words, scope) = match words {
        [words @ .., "--scope", scope] => (words, Some(*scope)),
        words => (words, None),
    };
    let asked = scope.map(|scope| tokens.asked_scopes(scope)).transpose()?;
    let user = |id: &str, role| -> Result<_, BuildError> {
        let user = User { id: id.parse()?, role, session: clock.new_id() };
        Ok(tokens.for_session(user, asked.as_ref(), DateTime::<Utc>::MAX_UTC)?)
    };
    let token = match *words {
        ["token", "user", "--id", id] => user(id, Role::User)?,
        ["token", "user", "--id", id, "--role", "admin"] => user(id, Role::Admin)?,
        // What an authenticator app shows.
        ["token", "code", secret] => {
            let secret =
                TotpSecret::typed(secret).ok_or("that is no secret of an authenticator app")?;
            return Ok(secret.code(step_at(clock.now())).expose().clone());
        }
        ["token", "service", caller, "--for", target] => {
            let known = services.keys().find(|name| *name == caller);
            let caller = known.ok_or("services.tsk has no such service")?;
            let scopes = asked.clone().or_else(|| tokens.granted_scopes(caller, target));
            tokens.for_caller(caller, target, scopes)?
        }
        _ => return Err(KNOWN.into()),
    };
    Ok(token.value.expose().clone())
}
