//! What the program does besides serving.

use auth::{KeyRing, Role, Tokens};
use chassis::Clock;
use platform::{BuildError, PlatformSettings, Service};

use crate::UserService;

/// The environment in which nobody's account is real.
const DEVELOPMENT: &str = "development";

/// `token user --id UUID [--role admin]` and `token service NAME --for TARGET`: for trying things
/// out by hand in development. Elsewhere there is no such command: whoever may run a program in a pod would
/// make himself an administrator, and no log would tell. There an administrator is a user whom the database
/// says to be one, who signs in as everybody does.
pub(crate) fn run(settings: &PlatformSettings, words: &[String]) -> Result<String, BuildError> {
    let PlatformSettings { auth, keys, services, telemetry, .. } = settings;
    if telemetry.tracing.environment != DEVELOPMENT {
        return Err("tokens are made by hand only where ENVIRONMENT is development: sign in".into());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let clock = Clock::system();
    let keys = KeyRing::open(keys, clock.clone())?;
    let tokens = Tokens::new(auth, keys, UserService::NAME, clock.clone());
    let user = |id: &str, role| -> Result<_, BuildError> {
        Ok(tokens.for_user(id.parse()?, role, clock.new_id())?)
    };
    let token = match words[..] {
        ["token", "user", "--id", id] => user(id, Role::User)?,
        ["token", "user", "--id", id, "--role", "admin"] => user(id, Role::Admin)?,
        ["token", "service", caller, "--for", target] => {
            let known = services.keys().find(|name| *name == caller);
            let caller = known.ok_or("services.tsk has no such service")?;
            tokens.for_caller(caller, target)?
        }
        _ => {
            return Err("known: token user --id UUID [--role admin], \
                        token service NAME --for TARGET"
                .into());
        }
    };
    Ok(token.value.expose().clone())
}
