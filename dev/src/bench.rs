//! `cargo dev bench`: the benchmarks, each figure beside its peers and its limit.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{
    install, interrupt::Interrupt, programs, project::Project, sandbox::Sandbox, servers::Servers,
    test,
};

/// Those that need servers.
const MESSAGING: &str = "messaging";
const HTTP: &str = "http";
/// What `http` starts: the limit, and services, built as they go into images. The generated one asks nobody
/// whether a user is active, as the others call nobody.
const COMPARED: [&str; 6] = ["-p", "http-limit", "-p", "user-service", "-p", "sample-service"];
const CALLS_NOBODY: [&str; 2] = ["--features", "sample-service/calls-nobody"];
/// The profile of images, and the folder of what is built in it.
const DIST: &str = "dist";
/// Where Debian's packages of Go libraries are.
const GO_LIBRARIES: &str = "/usr/share/gocode";
/// Those that the peer in Go needs, besides `golang-go`.
const GO_PACKAGES: [&str; 4] = [
    "github.com/gin-gonic/gin",
    "github.com/golang-jwt/jwt",
    "github.com/google/uuid",
    "github.com/jackc/pgx/v4",
];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
`messaging` and `http` take their servers from TEST_POSTGRES_URL, TEST_REDIS_URL, TEST_AMQP_URL and
TEST_RABBITMQ_API when they are set; what is not set is started for this run and stopped after it. `http` loads
by wrk, and compares with Go where golang-go, golang-github-gin-gonic-gin-dev, golang-github-golang-jwt-jwt-dev,
golang-github-google-uuid-dev and golang-github-jackc-pgx-v4-dev are installed.")]
pub(crate) struct Args {
    #[command(flatten)]
    permission: install::Permission,
    /// One benchmark, for example `tusk_config`; all of them when not given
    name: Option<String>,
    /// Parts of it, for example `publish` of `messaging`; all of them when not given
    parts: Vec<String>,
}

/// Runs them optimised, in the package that alone builds the peers.
pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let all =
        ["tusk_config", "resilience", "service_client", "balancing", "outages", MESSAGING, HTTP];
    let names = args.name.as_deref().map_or(all.to_vec(), |name| vec![name]);
    for name in names {
        match name {
            MESSAGING | HTTP => with_servers(project, args, name, interrupt)?,
            _ => programs::succeed(&mut bench(project, args, name), interrupt)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn bench(project: &Project, args: &Args, name: &str) -> Command {
    let mut command = project.cargo();
    command.args(["bench", "--package", "bench", "--bench", name, "--"]).args(&args.parts);
    command
}

fn with_servers(project: &Project, args: &Args, name: &str, interrupt: &Interrupt) -> Result<()> {
    let sandbox = Sandbox::take(project)?;
    let mut plan = test::plan(&sandbox);
    let mut packages = plan.packages();
    if name == HTTP {
        packages.push("wrk");
        // A POST waits for the disk, as it does in production.
        if plan.postgres.options().is_some() {
            plan.postgres = sandbox.durable("postgres");
        }
    }
    install::ensure(&packages, args.permission, interrupt)?;
    let mut command = bench(project, args, name);
    if name == HTTP {
        let mut build = project.cargo();
        build.args(["build", "--profile", DIST]).args(COMPARED).args(CALLS_NOBODY);
        programs::succeed(&mut build, interrupt)?;
        command.envs(gin(project, interrupt)?.map(|binary| ("BENCH_GIN", binary)));
    }
    let servers = Servers::ready(&plan, args.permission, interrupt)?;
    test::with_addresses(&mut command, project, &servers);
    if name == HTTP {
        command.env("TEST_BIN_DIR", project.binaries().with_file_name(DIST));
    }
    programs::succeed(&mut command, interrupt)
}

/// The peer in Go, where it can be built from what is installed.
fn gin(project: &Project, interrupt: &Interrupt) -> Result<Option<PathBuf>> {
    let library = |name: &&str| PathBuf::from(GO_LIBRARIES).join("src").join(name).is_dir();
    let has_go = programs::works(Command::new("go").arg("version"));
    if !has_go || !GO_PACKAGES.iter().all(library) {
        return Ok(None);
    }
    let binary = project.binaries().with_file_name("gin");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&binary)
        .arg(project.path("bench/gin/main.go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_LIBRARIES)
        .env("GOCACHE", project.binaries().with_file_name("go"));
    programs::succeed(&mut build, interrupt)?;
    Ok(Some(binary))
}
