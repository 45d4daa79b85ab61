//! `cargo dev test`: every test of the workspace, on servers started for the run.

use std::{
    env, panic::resume_unwind, process::Command, process::ExitCode, process::ExitStatus, thread,
    time::Instant,
};

use anyhow::Result;
use testkit::native;

use crate::{
    features::UNIFIED,
    http::spare_loopback,
    install::{self, Permission},
    interrupt::Interrupt,
    programs,
    project::Project,
    sandbox::Sandbox,
    servers::{ExternalAddresses, Plan, Servers, Source},
    services,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Addresses in TEST_POSTGRES_URL, TEST_REDIS_URL, TEST_AMQP_URL and TEST_RABBITMQ_API are used when they
are set; what is not set is started for this run and stopped after it.")]
pub(crate) struct Args {
    #[command(flatten)]
    permission: Permission,
    /// Passed on to nextest, for example `-p messaging` or a test's name; documentation tests are
    /// then left out
    #[arg(last = true)]
    args: Vec<String>,
}

/// Debian's package of what drives a browser.
const BROWSER: &str = "chromium-driver";

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let sandbox = Sandbox::take(project)?;
    let plan = plan(&sandbox);
    // Tests of discovery start an etcd of their own, those of metrics a Prometheus, those of the
    // database a PgBouncer.
    let mut packages = [plan.packages(), vec!["etcd-server", "prometheus", "pgbouncer"]].concat();
    if install::is_ci() {
        packages.push(BROWSER);
    }
    install::ensure(&packages, args.permission, interrupt)?;

    let begin = Instant::now();
    let (servers, built) = thread::scope(|scope| {
        let servers = scope.spawn(|| Servers::start(&plan));
        let built = services::build(project, interrupt);
        (servers.join(), built)
    });
    let mut servers = servers.unwrap_or_else(|cause| resume_unwind(cause))?;
    built?;
    servers.wait_broker(interrupt)?;
    println!("servers and binaries are there after {:.1} s", begin.elapsed().as_secs_f64());

    // The servers and the sandbox are dropped, and so stopped, on every way out of here.
    let mut tests = tests(project, &args.args);
    let mut status = programs::status(with_addresses(&mut tests, project, &servers), interrupt)?;
    if !args.args.is_empty() {
        println!(
            "skipped, because the run was narrowed: Consul, browser, documentation, interleavings"
        );
        return Ok(exit_code(status, &sandbox));
    }
    for mut more in [
        consul(project, &servers),
        browser(project, &servers),
        Some(documentation(project, &servers)),
        Some(interleavings(project)),
    ]
    .into_iter()
    .flatten()
    {
        let next = programs::status(&mut more, interrupt)?;
        status = if status.success() { next } else { status };
    }
    Ok(exit_code(status, &sandbox))
}

/// Whether the tests of these packages pass, on servers started for them.
pub(crate) fn of(
    project: &Project,
    packages: &[&str],
    permission: Permission,
    interrupt: &Interrupt,
) -> Result<bool> {
    let args: Vec<String> =
        packages.iter().flat_map(|package| ["-p".to_owned(), (*package).to_owned()]).collect();
    on_new_servers(project, &mut tests(project, &args), permission, interrupt)
}

/// Whether a command that needs the servers of tests succeeds, on some that are started for it.
pub(crate) fn on_new_servers(
    project: &Project,
    command: &mut Command,
    permission: Permission,
    interrupt: &Interrupt,
) -> Result<bool> {
    let sandbox = Sandbox::take(project)?;
    let servers = Servers::ready(&plan(&sandbox), permission, interrupt)?;
    Ok(programs::status(with_addresses(command, project, &servers), interrupt)?.success())
}

/// The servers of the environment; in the sandbox, what is not given there.
pub(crate) fn plan(sandbox: &Sandbox) -> Plan {
    let external = ExternalAddresses::from_environment("TEST");
    // A broker without its management API is of no use to tests: both are given, or neither.
    let external_broker = external.amqp.filter(|_| external.rabbitmq_api.is_some());
    Plan {
        postgres: Source::external_or(external.postgres, sandbox.source("postgres")),
        redis: Source::external_or(external.redis, sandbox.source("redis")),
        rabbitmq: Source::external_or(external_broker, sandbox.source("rabbitmq")),
        rabbitmq_api: external.rabbitmq_api,
    }
}

/// The tests that need a Consul agent, which no distribution has; by name when there is none.
fn consul(project: &Project, servers: &Servers) -> Option<Command> {
    if env::var_os("CONSUL_BIN").is_none_or(|path| path.is_empty()) {
        println!("skipped: discovery against a real Consul agent (CONSUL_BIN is not set)");
        return None;
    }
    let mut command = ignored(project, "discovery", "consul");
    with_addresses(&mut command, project, servers);
    Some(command)
}

/// The dashboard in a real browser; by name when there is none.
fn browser(project: &Project, servers: &Servers) -> Option<Command> {
    if native::find().missing().contains(&BROWSER) {
        println!("skipped: the dashboard in a browser (Debian's {BROWSER} is not there)");
        return None;
    }
    let mut command = ignored(project, "dev", "browser");
    with_addresses(&mut command, project, servers);
    Some(command)
}

fn documentation(project: &Project, servers: &Servers) -> Command {
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--exclude", "bench", "--doc"]);
    with_addresses(&mut command, project, servers);
    command
}

/// The lock-free parts under every order of their threads' steps (loom), in a build of its own.
fn interleavings(project: &Project) -> Command {
    let mut command = project.cargo();
    command
        .args(["test", "--package", "resilience", "--lib", "--release", "interleavings"])
        .env("RUSTFLAGS", "--cfg loom_resilience")
        .env("CARGO_TARGET_DIR", project.path("target/loom"));
    command
}

/// The tests of a package whose names hold this, and which are run only where what they need is there.
pub(crate) fn ignored(project: &Project, package: &str, name: &str) -> Command {
    let mut command = project.cargo();
    if has_nextest(project) {
        let filter = format!("package({package}) & test({name})");
        command.args(["nextest", "run", "--workspace", "--exclude", "bench"]);
        command.args(["--run-ignored", "only", "-E", &filter]);
    } else {
        command.args(["test", "--package", package]).args(UNIFIED);
        command.args(["--test", "it", name, "--", "--ignored"]);
    }
    command
}

fn has_nextest(project: &Project) -> bool {
    programs::works(project.cargo().args(["nextest", "--version"]))
}

/// nextest, or cargo's own runner where nextest is absent.
fn tests(project: &Project, args: &[String]) -> Command {
    let mut command = project.cargo();
    if has_nextest(project) {
        command.args(["nextest", "run"]);
    } else {
        command.args(["test", "--all-targets"]);
    }
    // With `--workspace` cargo would ignore a choice of packages.
    let chooses = |arg: &String| arg.starts_with("-p") || arg.starts_with("--package");
    if args.iter().any(chooses) {
        command.args(UNIFIED);
    } else {
        // But for the benchmarks, which would build what they are compared with.
        command.args(["--workspace", "--exclude", "bench"]);
    }
    command.args(args);
    command
}

/// Tells a command where the servers and the built binaries are.
pub(crate) fn with_addresses<'a>(
    command: &'a mut Command,
    project: &Project,
    servers: &Servers,
) -> &'a mut Command {
    if env::var_os("CI").is_some() && env::var_os("NEXTEST_PROFILE").is_none() {
        command.env("NEXTEST_PROFILE", "ci");
    }
    spare_loopback(command);
    command
        .env("TEST_POSTGRES_URL", &servers.addresses.postgres)
        .env("TEST_REDIS_URL", &servers.addresses.redis)
        .env("TEST_AMQP_URL", &servers.addresses.amqp)
        .env("TEST_RABBITMQ_API", &servers.addresses.rabbitmq_api)
        .env("TEST_BIN_DIR", project.binaries())
}

/// The same exit code; one that does not fit is a failure. Of a failure the broker may know more: it
/// tells no client that its disk or its memory is at an end.
fn exit_code(status: ExitStatus, sandbox: &Sandbox) -> ExitCode {
    if !status.success() {
        sandbox.print_faults("rabbitmq");
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
