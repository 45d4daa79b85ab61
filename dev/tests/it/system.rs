//! A workspace that has only what `cargo dev up` reads, run by the real tool with the real binaries.
//! Cargo is left out: what it would build is there, and a test changes it as a build would.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::native::{Postgres, ProcessId, Redis, ServerOptions, Signal, port, psql};

/// The binaries of a system: its services and the simulator.
const BINARIES: [&str; 5] =
    ["user-service", "payment-service", "notification-service", "payment-simulator", "dashboard"];
/// What they call is behind it.
const PROXY: &str = "dev-proxy";
/// How long anything that a test waits for may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// A system in a folder of its own. What still runs of it ends when the value is dropped.
pub(crate) struct System {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    /// The ports that its services have when nobody else does: user, payment, notification.
    pub(crate) usual_ports: [u16; 3],
}

/// A process that works in the system's folder.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) id: ProcessId,
    /// The name of its program.
    pub(crate) program: String,
    /// The name of its parent's program.
    parent: String,
}

impl System {
    pub(crate) fn new() -> Self {
        // In the build's folder, so that binaries are linked and not copied.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let usual_ports = [port::free(None), port::free(None), port::free(None)];
        let system = Self { folder, variables: Vec::new(), usual_ports };
        fs::create_dir_all(system.path("dev")).unwrap();
        fs::write(system.path("dev/Cargo.toml"), "").unwrap();
        fs::create_dir_all(system.path("config")).unwrap();
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("config");
        for entry in fs::read_dir(settings).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                let copy = system.path("config").join(entry.file_name());
                fs::copy(entry.path(), copy).unwrap();
            }
        }
        // The usual ports are everybody's who runs tests on this machine.
        let services = system.path("config/services.tsk");
        let text = fs::read_to_string(&services).unwrap();
        let own = text.replace("3001", &usual_ports[0].to_string());
        let own = own.replace("3002", &usual_ports[1].to_string());
        fs::write(services, own.replace("3003", &usual_ports[2].to_string())).unwrap();
        // So are those of the simulator and the dashboard, which no settings file names.
        system.had_ports(&[]);
        let built = env::var_os("TEST_BIN_DIR").map(PathBuf::from);
        let built = built.expect("TEST_BIN_DIR is set: run the test by `cargo dev test`");
        fs::create_dir_all(system.path("target/debug")).unwrap();
        for name in BINARIES.into_iter().chain([PROXY]) {
            let from = built.join(name);
            let to = system.binary(name);
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
        }
        system
    }

    /// The same with a variable in the environment of every command.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// As after an earlier `up`, in which the simulator and the dashboard had ports of their own, and these
    /// processes the ones that are given.
    pub(crate) fn had_ports(&self, others: &[(&str, u16)]) {
        let own = [("payment-simulator", port::free(None)), ("dashboard", port::free(None))];
        let ports: BTreeMap<&str, u16> = own.iter().chain(others).copied().collect();
        fs::create_dir_all(self.path(".dev")).unwrap();
        fs::write(self.path(".dev/ports.json"), serde_json::to_string(&ports).unwrap()).unwrap();
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.path("target/debug").join(name)
    }

    /// `cargo dev <words>`, with its output in `<first word>.log`.
    pub(crate) fn dev(&self, words: &[&str]) -> Command {
        let log = self.path(&format!("{}.log", words[0]));
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dev"));
        command
            .args(words)
            .current_dir(self.folder.path())
            // Stands for a build in which nothing is to do.
            .env("CARGO", "true")
            .env("CARGO_TARGET_DIR", "target")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    /// Starts a command without waiting for it.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        Running::of(&mut self.dev(words))
    }

    /// Runs a command to its end; gives what it printed. Fails with all that it said.
    pub(crate) fn succeeds(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?} failed:\n{printed}\n{errors}");
        printed
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.dev(words).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }

    /// What `cargo dev status` says.
    pub(crate) fn status(&self) -> Vec<Value> {
        let printed = self.output(&["status", "--json"]).stdout;
        serde_json::from_slice(&printed).unwrap()
    }

    /// The process that `cargo dev status` says is this service.
    pub(crate) fn pid(&self, name: &str) -> u64 {
        let status = self.status();
        let line = status.iter().find(|line| line["name"] == name);
        line.unwrap_or_else(|| panic!("{name} is not in {status:?}"))["pid"].as_u64().unwrap()
    }

    /// All processes of a service that `cargo dev status` knows.
    pub(crate) fn pids_of(&self, name: &str) -> Vec<u64> {
        let status = self.status();
        let of_it = status.iter().filter(|line| line["name"] == name);
        of_it.filter_map(|line| line["pid"].as_u64()).collect()
    }

    /// The port of a service.
    pub(crate) fn port(&self, name: &str) -> u16 {
        let status = self.status();
        let line = status.iter().find(|line| line["name"] == name).unwrap();
        line["url"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// As a build does that has something to do: another file of the same name.
    pub(crate) fn rebuild(&self, name: &str) {
        let binary = self.binary(name);
        let built = binary.with_extension("new");
        fs::copy(&binary, &built).unwrap();
        fs::rename(built, binary).unwrap();
    }

    /// The processes of the services and the simulator, by the order of their names here.
    pub(crate) fn pids(&self) -> [u64; 4] {
        [BINARIES[0], BINARIES[1], BINARIES[2], BINARIES[3]].map(|name| self.pid(name))
    }

    /// Every process that works in the system's folder, but for the tool and what it runs to an end.
    pub(crate) fn workers(&self) -> Vec<Worker> {
        let folder = self.folder.path().canonicalize().unwrap();
        let passing = ["dev", "true", "psql", "setsid", "sh", "dirname", "sed"];
        let numbers = fs::read_dir("/proc").unwrap();
        let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers
            .filter_map(|pid: u32| {
                let there = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
                let id = ProcessId::of(pid).filter(|id| id.is_running())?;
                let (program, parent) = (program(pid)?, program(parent(pid)?).unwrap_or_default());
                let is_ours = there.starts_with(&folder) && !passing.contains(&program.as_str());
                is_ours.then_some(Worker { id, program, parent })
            })
            .collect()
    }

    /// How many servers of this program work here, their helpers not counted.
    pub(crate) fn count(&self, program: &str) -> usize {
        let is_one = |worker: &&Worker| worker.program == program && worker.parent != program;
        self.workers().iter().filter(is_one).count()
    }

    /// Waits until this is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}\n{}", self.said());
            thread::sleep(POLL);
        }
    }

    /// What the commands that are not waited for have printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.path("up.log")).unwrap_or_default()
    }

    /// No process works here any more, and the tool knows of none.
    pub(crate) fn is_down(&self) {
        self.until("everything has ended", || self.workers().is_empty());
        // The tool that has ended them notes it after that.
        self.until("the tool knows of none", || {
            self.status().is_empty() && !self.path(".dev/state.json").exists()
        });
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for worker in self.workers() {
            let _gone_already = worker.id.kill();
        }
    }
}

/// A command that goes on beside the test. It is killed when the value is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// SIGKILL, which no process can prepare for.
    pub(crate) fn kill(&mut self) {
        let _ended_already = self.0.kill();
        self.0.wait().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        ProcessId::of(self.0.id()).unwrap().signal(signal).unwrap();
    }

    /// Ctrl-C; waits for the end and says whether it was a success.
    pub(crate) fn interrupt(&mut self) -> bool {
        self.signal(Signal::INT);
        self.0.wait().unwrap().success()
    }

    /// Waits for the end; says whether it was a success.
    pub(crate) fn wait(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    // The kernel keeps the first 15 bytes.
    Some(name.trim().to_owned())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Servers for a system that does not start its own: a PostgreSQL and a Redis of the test's, and a
/// virtual host of the broker that all tests share, which takes longest to start.
pub(crate) struct Servers {
    postgres: Postgres,
    redis: Redis,
    amqp: String,
    api: String,
    vhost: String,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let variable = |name: &str| {
            let value = env::var(name).ok().filter(|value| !value.is_empty());
            value.unwrap_or_else(|| panic!("{name} is set: run the test by `cargo dev test`"))
        };
        let servers = Self {
            postgres: Postgres::start(&ServerOptions::temporary().unwrap()).unwrap(),
            redis: Redis::start(&ServerOptions::temporary().unwrap()).unwrap(),
            amqp: variable("TEST_AMQP_URL"),
            api: variable("TEST_RABBITMQ_API"),
            vhost: format!("dev-{}", testkit::native::random_hex(8).unwrap()),
        };
        ureq::put(servers.vhost_url()).send_empty().unwrap();
        servers
    }

    /// A system on these servers.
    pub(crate) fn system(&self) -> System {
        System::new()
            .with("DEV_POSTGRES_URL", self.postgres.url())
            .with("DEV_REDIS_URL", self.redis.url())
            .with("DEV_AMQP_URL", format!("{}/{}", self.amqp.trim_end_matches('/'), self.vhost))
            .with("DEV_RABBITMQ_API", &self.api)
    }

    /// Runs a statement as the superuser.
    pub(crate) fn query(&self, sql: &str) {
        psql::run(&self.postgres.url(), sql).unwrap();
    }

    fn vhost_url(&self) -> String {
        format!("{}/api/vhosts/{}", self.api, self.vhost)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _nobody_to_tell = ureq::delete(self.vhost_url()).call();
    }
}
