//! A service as it really runs: its own binary in a process of its own, that can really be killed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tusk_config::Vars;

use crate::{Environment, ports};

/// How long a service may take until it says that it is ready: connecting, migrating, declaring.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end after SIGTERM; above the services' own grace period.
const TERMINATE_LIMIT: Duration = Duration::from_secs(40);
/// Between two looks at a process that starts or ends.
const INTERVAL: Duration = Duration::from_millis(25);
/// How much of the log's end is shown when something goes wrong.
const TAIL_BYTES: u64 = 8 * 1024;
/// Of the test's own variables only these reach the service: everything else that it reads must
/// have been said by the test.
const INHERITED: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE", "LANG"];

/// The path of a built binary, looked up in `TEST_BIN_DIR`. Cargo tells a test only about binaries
/// of its own package, so `cargo dev test` builds the services first and says where they are.
pub fn binary(name: &str) -> PathBuf {
    let vars = Vars::process();
    let Some(folder) = vars.get("TEST_BIN_DIR") else {
        panic!(
            "this test needs the binary {name}, and TEST_BIN_DIR is not set; run it by \
             `cargo dev test`, which builds the binaries and says where they are"
        );
    };
    let path = Path::new(folder).join(name);
    assert!(
        path.is_file(),
        "there is no {}; run the test by `cargo dev test`, which builds it first",
        path.display()
    );
    path
}

/// The variable with the port for operators.
const MANAGEMENT_PORT: &str = "MANAGEMENT_PORT";

/// A running service. It is killed, without ceremony, when this value is dropped.
#[derive(Debug)]
pub struct ServiceProcess {
    path: PathBuf,
    environment: Environment,
    port: u16,
    /// Where operators are answered.
    management_port: u16,
    child: Child,
    folder: TempDir,
}

impl ServiceProcess {
    /// Starts the binary of that name with exactly these variables and `PORT`, a free one, as
    /// `MANAGEMENT_PORT` is made where it is 0; and waits until `GET /ready` answers 200. Panics with the end of the log when it ends or does
    /// not become ready within 30 s.
    pub async fn start(name: &str, environment: &Environment) -> Self {
        let mut process = Self::spawn(name, environment);
        process.wait_until_ready().await;
        process
    }

    /// Starts it and does not wait: for a service that is not to become ready, or not yet.
    pub fn spawn(name: &str, environment: &Environment) -> Self {
        Self::spawn_at(&binary(name), environment)
    }

    /// [`spawn`](Self::spawn) for a binary that is somewhere else than in `TEST_BIN_DIR`: one of
    /// the test's own package, whose path cargo gives as `CARGO_BIN_EXE_…`.
    pub fn spawn_at(path: &Path, environment: &Environment) -> Self {
        Self::spawn_on(path, environment, ports::free_port())
    }

    /// [`spawn_at`](Self::spawn_at) on a port that others were told before: one of
    /// [`free_port`](ports::free_port).
    pub fn spawn_on(path: &Path, environment: &Environment, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut environment = environment.clone();
        let management_port = match environment.get_mut(MANAGEMENT_PORT) {
            Some(management) if management == "0" => {
                let free = ports::free_port();
                *management = free.to_string();
                free
            }
            Some(management) => management.parse().unwrap_or(port),
            None => port,
        };
        let child = run(path, &environment, port, folder.path());
        Self { path: path.to_owned(), environment, port, management_port, child, folder }
    }

    /// Waits until `GET /ready` answers 200; panics as [`start`](Self::start) does.
    pub async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_LIMIT;
        while self.status("/ready").await != Some(200) {
            if let Some(status) = self.exited() {
                panic!(
                    "{} ended with {status} before it was ready:\n{}",
                    self.name(),
                    self.log_tail()
                );
            }
            assert!(
                Instant::now() < deadline,
                "{} was not ready after {} s:\n{}",
                self.name(),
                READY_LIMIT.as_secs(),
                self.log_tail()
            );
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Starts it again, with the same variables on the same port, after [`kill`](Self::kill) or
    /// [`terminate`](Self::terminate); the log goes on in the same file.
    pub async fn restart(&mut self) {
        self.kill();
        self.child = run(&self.path, &self.environment, self.port, self.folder.path());
        self.wait_until_ready().await;
    }

    /// [`restart`](Self::restart) as another binary of the same name, such as that of another release, with
    /// the settings that are in this folder.
    pub async fn restart_as(&mut self, path: &Path, config_dir: &Path) {
        path.clone_into(&mut self.path);
        self.environment.insert("CONFIG_DIR".to_owned(), config_dir.display().to_string());
        self.restart().await;
    }

    /// The name of the binary.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or("service")
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:port` followed by `path`, which starts with a slash or is empty.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// [`url`](Self::url) of what is for operators: there, or at `MANAGEMENT_PORT` where that is one of
    /// its own.
    pub fn management_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.management_port)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the process has ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of an own child can be asked for")
    }

    /// SIGKILL: it has no chance to finish anything. Returns when the process is gone.
    pub fn kill(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then waits until it has drained and ended. Panics with the end of the log when it
    /// does not end within 40 s.
    pub async fn terminate(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TERMINATE_LIMIT;
        if self.exited().is_none() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end within {} s of SIGTERM:\n{}",
                self.name(),
                TERMINATE_LIMIT.as_secs(),
                self.log_tail()
            );
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// All it has written so far, on both of its outputs.
    pub fn log(&self) -> String {
        tail(&log_file(self.folder.path()), u64::MAX)
    }

    /// The last 8 KiB of what it has written.
    pub fn log_tail(&self) -> String {
        tail(&log_file(self.folder.path()), TAIL_BYTES)
    }

    /// The status of one GET, or `None` when nobody answers.
    async fn status(&self, path: &str) -> Option<u16> {
        let url = self.url(path);
        let request = move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(Duration::from_secs(2)))
                .proxy(None)
                .build()
                .into();
            Some(agent.get(url).call().ok()?.status().as_u16())
        };
        tokio::task::spawn_blocking(request).await.ok()?
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(path: &Path, environment: &Environment, port: u16, folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log_file(folder));
    let log = log.expect("a file can be made in an own folder");
    let errors = log.try_clone().expect("an open file can be cloned");
    let process = Vars::process();
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name, process.get(name)?)));
    Command::new(path)
        .env_clear()
        .envs(inherited)
        .envs(environment)
        .env("PORT", port.to_string())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", path.display()))
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn tail(path: &Path, bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_or_else(
        |error| format!("(the log cannot be read: {error})"),
        |text| String::from_utf8_lossy(&text).into_owned(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::tail;

    #[test]
    fn a_tail_is_the_end_of_the_file_even_in_the_middle_of_a_letter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "first\nsecond é").unwrap();
        assert_eq!(tail(&path, 100), "first\nsecond é");
        assert_eq!(tail(&path, 4), "d é");
        assert!(tail(&path, 1).len() <= 4);
    }
}
