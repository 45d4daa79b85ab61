//! A private PostgreSQL.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    Launch, NativeError, Owner, ProcessId, Server, ServerOptions, Signal,
    account::Account,
    error::Doing,
    find, folder, options, port,
    process::clean_environment,
    psql,
    ready::{ask, until_ready},
    server::is_server,
};

const NAME: &str = "postgres";
/// The cluster's folder, and its name while it is made.
const DATA: &str = "data";
const FRESH: &str = "data.new";
/// The superuser's name.
const USER: &str = "postgres";
/// How long it may take to answer; after a crash it replays its log first.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long a fast shutdown may take: it ends sessions and writes a checkpoint.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// How long the sessions of a killed server may take to notice.
const ORPHANS_LIMIT: Duration = Duration::from_secs(3);
/// `SSLRequest` of the wire protocol: every server answers it with one byte, before any login.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A running PostgreSQL, killed when dropped unless it was stopped or detached.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    binaries: PathBuf,
    account: Option<Account>,
    folder: PathBuf,
    port: u16,
    password: String,
    owner: Owner,
}

impl Postgres {
    /// Makes the database cluster on the first start in a place, starts it, and waits until it
    /// answers a query.
    pub fn start(options: &ServerOptions) -> Result<Self, NativeError> {
        port::retry_when_busy(options, |options| {
            let server = Self::launch(options)?;
            server.wait_ready()?;
            Ok(server)
        })
    }

    fn launch(options: &ServerOptions) -> Result<Self, NativeError> {
        let binaries = find::postgres()?;
        let account = Account::for_postgres()?;
        let folder = folder::of_place(options, account.as_ref(), NAME)?;
        let owner = Owner::of_data(&folder, NAME)?;
        let nobody = ProcessId { pid: 0, started: 0 };
        let mut server = Self {
            password: options::password(&folder)?,
            port: port::free(options.port),
            binaries,
            account,
            folder,
            owner,
            server: Server::new(NAME, options, nobody, Signal::INT, STOP_GRACE),
        };
        server.init_cluster()?;
        server.server.process = server.spawn(false)?;
        Ok(server)
    }

    /// Starts it again on the same port with the same data, after a stop or a kill.
    pub fn start_again(&mut self) -> Result<(), NativeError> {
        self.server.process = self.spawn(true)?;
        self.wait_ready()
    }

    fn init_cluster(&self) -> Result<(), NativeError> {
        if self.data().join("PG_VERSION").exists() {
            return Ok(());
        }
        // Under another name until it is whole: nobody takes a cluster for one that was broken off.
        let fresh = self.folder.join(FRESH);
        let _none_there = fs::remove_dir_all(&fresh);
        DirBuilder::new()
            .mode(0o700)
            .create(&fresh)
            .doing(|| "make the cluster's folder".to_owned())?;
        let password_file = self.folder.join("password.new");
        options::write_private(&password_file, &self.password)?;
        if let Some(account) = &self.account {
            account.own(&fresh)?;
            account.own(&password_file)?;
        }
        let mut command = Command::new(self.binaries.join("initdb"));
        // While it is made it is in use, also when whoever wanted it made is killed.
        command.stdin(self.owner.input()?);
        clean_environment(&mut command);
        command
            .args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8"])
            .args(["--locale", "C.UTF-8", "--pgdata"])
            .arg(&fresh)
            .arg("--pwfile")
            .arg(&password_file)
            .current_dir(&self.folder);
        if !self.options.keep {
            command.arg("--no-sync");
        }
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        let output = command.output().doing(|| "run initdb".to_owned());
        let _none_there = fs::remove_file(&password_file);
        let output = output?;
        if output.status.success() {
            return fs::rename(&fresh, self.data()).doing(|| "keep what initdb made".to_owned());
        }
        let _already_failing = fs::remove_dir_all(&fresh);
        Err(NativeError::Failed {
            program: "initdb".to_owned(),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// A killed server leaves a file with its process id. One whose process has ended but was not
    /// collected by its parent would look as if it ran, and keep the next one from starting.
    fn clear_dead_lock(&self) {
        let file = self.data().join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let holder = text.lines().next().and_then(|line| line.trim().parse().ok());
        if let Some(holder) = holder.and_then(ProcessId::of).filter(|holder| !holder.is_running()) {
            // Its sessions notice that it is gone and end; they must not meet the next server.
            if !holder.wait_collected(ORPHANS_LIMIT) {
                let _the_server_tells = fs::remove_file(&file);
            }
        }
    }

    fn spawn(&self, append: bool) -> Result<ProcessId, NativeError> {
        self.clear_dead_lock();
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            // No socket file: its path has a limit of 107 bytes, and nothing here needs one.
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            // Lines that a reader can put in order with those of others.
            "log_timezone=UTC".to_owned(),
            "log_line_prefix=%m [%p] ".to_owned(),
        ];
        if !self.options.keep {
            // A killed server loses nothing by these: what it wrote is the kernel's. Only a power
            // cut would. `synchronous_commit` stays on: without it, a kill loses what was
            // committed.
            settings.extend(["fsync=off", "full_page_writes=off"].map(Into::into));
        }
        Launch::new(&self.binaries.join("postgres"), &self.options.log)
            .owner(&self.owner)?
            .append(append)
            .account(self.account.as_ref())
            .current_dir(&self.folder)
            .args([Path::new("-D"), &self.data()])
            .args(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]))
            .spawn()
    }

    fn wait_ready(&self) -> Result<(), NativeError> {
        until_ready(NAME, self.process, &self.options.log, READY_LIMIT, || {
            ask(self.port, &SSL_REQUEST).is_some_and(|answer| !answer.is_empty())
                && psql::run(&self.url(), "select 1").is_ok()
        })
    }

    /// The superuser's address, of the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data really is: not under the place's folder when its account could not get in
    /// there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves it running when this value goes.
    pub fn detach(mut self) {
        self.server.leave();
    }

    fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }
}

is_server!(Postgres);
