//! The database of each service and the role that owns it, on the system's PostgreSQL.
//!
//! A server that somebody gave us may be shared: a role is marked, by a comment, with the workspace that
//! made it, and the password of a role with another mark, or none, is not touched.

use anyhow::{Context, Result, bail, ensure};
use testkit::native::psql;

use crate::{
    project::Project,
    secrets::Secrets,
    servers::{ExternalAddresses, shown},
};

/// Makes what is missing, and sets each role's password to the current one.
///
/// # Errors
/// On a server that the environment names, before anything is changed there: a role or a database of
/// one of our names is somebody else's.
pub(crate) fn create(project: &Project, superuser: &str, secrets: &Secrets) -> Result<()> {
    let mark = format!("made by cargo dev of {}", secrets.workspace());
    if is_given(superuser) {
        check_free(project, superuser, &mark)?;
    }
    for service in project.services() {
        let database = service.database();
        let role = service.role();
        let password = secrets.get(&role);
        psql::run(
            superuser,
            &format!(
                "do $$ begin \
                   if not exists (select from pg_roles where rolname = '{role}') then \
                     create role {role} login; \
                   end if; \
                 end $$; \
                 alter role {role} with login password '{password}';\n\
                 comment on role {role} is '{mark}';\n\
                 select 'create database {database} owner {role}' \
                   where not exists (select from pg_database where datname = '{database}') \\gexec\n\
                 revoke connect on database {database} from public;"
            ),
        )
        .with_context(|| format!("make the database {database}"))?;
    }
    Ok(())
}

/// Whether the server is one that the environment names, and not a private one that we started.
fn is_given(superuser: &str) -> bool {
    let external =
        ["DEV", "TEST"].map(|prefix| ExternalAddresses::from_environment(prefix).postgres);
    external.iter().flatten().any(|url| url == superuser)
}

/// Fails when a role or a database of our names is there that this workspace has not made.
fn check_free(project: &Project, superuser: &str, mark: &str) -> Result<()> {
    let server = shown(superuser);
    for service in project.services() {
        let database = service.database();
        let role = service.role();
        let foreign = psql::run(
            superuser,
            &format!(
                "select count(*) from pg_roles where rolname = '{role}' \
                   and shobj_description(oid, 'pg_authid') is distinct from '{mark}';\n\
                 select pg_get_userbyid(datdba) from pg_database \
                   where datname = '{database}' and pg_get_userbyid(datdba) <> '{role}';"
            ),
        )
        .with_context(|| format!("look for the role {role} on {server}"))?;
        let (roles, owner) = foreign.split_once('\n').unwrap_or((&foreign, ""));
        if roles != "0" {
            bail!(
                "{server} has a role {role} that this workspace has not made: another system may use \
                 it, so its password is not changed. Use another server (DEV_POSTGRES_URL, \
                 TEST_POSTGRES_URL; without one a private server is started), or hand the role over \
                 with this statement: comment on role {role} is '{mark}'"
            );
        }
        ensure!(
            owner.is_empty(),
            "{server} has a database {database} that belongs to {owner} and not to {role}: use another \
             server, or hand it over with this statement: alter database {database} owner to {role}"
        );
    }
    Ok(())
}
