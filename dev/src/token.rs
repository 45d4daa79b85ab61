//! `cargo dev token`: a token for trying things, issued by user-service's own binary with the keys
//! of the running system.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{
    ports, programs,
    project::Project,
    secrets::Secrets,
    services::{self, USERS},
    state::State,
};

/// The id of an administrator who is in no table.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    kind: TokenKind,
}

#[derive(Debug, clap::Subcommand)]
enum TokenKind {
    /// A user's token
    User {
        /// The user's id
        #[arg(long)]
        id: String,
        /// `admin`; an ordinary user when not given
        #[arg(long)]
        role: Option<String>,
        /// Narrows the token, such as `payment:read user:read`
        #[arg(long, value_name = "SCOPES")]
        scope: Option<String>,
    },
    /// A service's token for calling another service
    Service {
        /// The service that calls
        name: String,
        /// The service that is called
        #[arg(long = "for", value_name = "TARGET")]
        target: String,
        /// Narrows the token; the scopes of the rules that name the service when not given
        #[arg(long, value_name = "SCOPES")]
        scope: Option<String>,
    },
    /// What an authenticator app shows of a secret now, for who has none at hand
    Code {
        /// As `POST /api/second-factor` gave it
        secret: String,
    },
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let state = State::up(project)?;
    let mut command = issuer(project, &state)?;
    match &args.kind {
        TokenKind::User { id, role, scope } => {
            let given =
                option("--role", role.as_deref()).chain(option("--scope", scope.as_deref()));
            command.args(["user", "--id", id]).args(given)
        }
        TokenKind::Service { name, target, scope } => command
            .args(["service", name, "--for", target])
            .args(option("--scope", scope.as_deref())),
        TokenKind::Code { secret } => command.args(["code", secret]),
    };
    let status = command.status().with_context(|| format!("run {USERS}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An option that is passed on where it is given.
fn option<'a>(name: &'a str, value: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    value.into_iter().flat_map(move |value| [name, value])
}

/// A token with which an administrator who is nobody in particular calls the running system.
pub(crate) fn administrator(project: &Project, state: &State) -> Result<String> {
    of(project, state, "", "admin")
}

/// A token of this user, or of nobody in particular; of an ordinary user when the role is empty.
pub(crate) fn of(project: &Project, state: &State, user: &str, role: &str) -> Result<String> {
    let mut command = issuer(project, state)?;
    let user = if user.is_empty() { NOBODY } else { user };
    command.args(["user", "--id", user]);
    if !role.is_empty() {
        command.args(["--role", role]);
    }
    Ok(programs::output(&mut command)?.trim().to_owned())
}

/// What an authenticator app shows of a secret now.
pub(crate) fn code(project: &Project, state: &State, secret: &str) -> Result<String> {
    let mut command = issuer(project, state)?;
    Ok(programs::output(command.args(["code", secret]))?.trim().to_owned())
}

/// `user-service token`, in the environment of the running one.
fn issuer(project: &Project, state: &State) -> Result<Command> {
    let secrets = Secrets::load(project)?;
    let ports = ports::choose(project, Some(state));
    let issuer = project.service(USERS)?;
    let variables = services::environment(project, &secrets, &state.addresses, &ports, issuer)?;
    let mut command = Command::new(project.binaries().join(USERS));
    command.current_dir(project.root()).envs(variables).arg("token");
    Ok(command)
}
