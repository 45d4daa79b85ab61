//! A private `PgBouncer` in transaction mode, before one PostgreSQL.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use super::{
    Launch, NativeError, Owner, ProcessId, Server, ServerOptions, Signal,
    account::Account,
    error::Doing,
    find, port,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "pgbouncer";
/// How long it may take to answer.
const READY_LIMIT: Duration = Duration::from_secs(10);
const STOP_GRACE: Duration = Duration::from_secs(5);
/// `SSLRequest` of the wire protocol, which is answered with one byte before any login.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A running `PgBouncer`, killed when dropped. It needs no own password: whoever reaches it signs in to
/// the server as the user that he names.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
    port: u16,
}

impl PgBouncer {
    /// Starts one before the server at `127.0.0.1:server_port`, with users and passwords of it, as
    /// Debian's settings have it but for `pool_mode`; further lines of `[pgbouncer]` are `more`.
    pub fn start(
        options: &ServerOptions,
        server_port: u16,
        users: &[(&str, &str)],
        more: &str,
    ) -> Result<Self, NativeError> {
        port::retry_when_busy(options, |options| {
            let owner = options.claim(NAME)?;
            let port = port::free(options.port);
            let settings = format!(
                "[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {users}\npool_mode = transaction\n{more}\n",
                users = options.folder.join("users").display(),
            );
            let lines = users.iter().map(|(user, password)| format!("\"{user}\" \"{password}\"\n"));
            write(options, "users", &lines.collect::<String>())?;
            write(options, "pgbouncer.ini", &settings)?;
            let process = spawn(options, &owner)?;
            let server = Server::new(NAME, options, process, Signal::INT, STOP_GRACE);
            let server = Self { server, port };
            until_ready(NAME, process, &options.log, READY_LIMIT, || {
                ask(port, &SSL_REQUEST).is_some_and(|answer| !answer.is_empty())
            })?;
            Ok(server)
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

is_server!(PgBouncer);

/// Writes a file that its account may read.
fn write(options: &ServerOptions, name: &str, text: &str) -> Result<(), NativeError> {
    let file = options.folder.join(name);
    let doing = || format!("write {}", file.display());
    fs::write(&file, text).doing(doing)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).doing(doing)
}

/// Like PostgreSQL, it refuses to run as root.
fn spawn(options: &ServerOptions, owner: &Owner) -> Result<ProcessId, NativeError> {
    let account = Account::for_postgres()?;
    Launch::new(&find::pgbouncer()?, &options.log)
        .owner(owner)?
        .append(true)
        .account(account.as_ref())
        .args([options.folder.join("pgbouncer.ini")])
        .spawn()
}
