//! `cargo dev measure`: how small and how quick the services are, as they go into images.

mod running;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use testkit::native::{Launch, Signal, log_tail};

use self::running::Running;
use crate::{
    databases,
    http::Client,
    install,
    interrupt::Interrupt,
    ports::{self, Ports},
    private, programs,
    project::Project,
    sandbox::Sandbox,
    secrets::Secrets,
    servers::{Addresses, Servers},
    services::{self, SIMULATOR, Service},
    table, test,
};

/// Starts of which the median counts.
const STARTS: usize = 5;
/// Between two looks whether a service is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// How long a start or an end may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the idle services are watched.
const IDLE: Duration = Duration::from_mins(1);
/// Callers at the same time, and how long they go on.
const CALLERS: usize = 8;
const LOAD: Duration = Duration::from_secs(20);
/// Between two looks at the memory under load.
const SAMPLE: Duration = Duration::from_millis(100);
/// What is aimed at.
const MEGABYTES_MAX: f64 = 25.0;
const READY_MAX: Duration = Duration::from_millis(300);
/// The profile of images (Dockerfile).
const PROFILE: &str = "dist";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Servers come from TEST_POSTGRES_URL, TEST_REDIS_URL, TEST_AMQP_URL and TEST_RABBITMQ_API when they are
set; what is not set is started for this run and stopped after it.")]
pub(crate) struct Args {
    #[command(flatten)]
    permission: install::Permission,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let binaries = build(project, interrupt)?;
    let sandbox = Sandbox::take(project)?;
    let servers = Servers::ready(&test::plan(&sandbox), args.permission, interrupt)?;
    let secrets = Secrets::load(project)?;
    databases::create(project, &servers.addresses.postgres, &secrets)?;
    private::folders(project)?;

    let setup = Setup {
        project,
        secrets,
        addresses: servers.addresses.clone(),
        ports: ports::choose(project, None),
        binaries,
        client: Client::new(),
    };
    let port = ("PORT".to_owned(), setup.ports[SIMULATOR].to_string());
    let _simulator = setup.launch(SIMULATOR, &[port])?;
    let mut figures = Vec::new();
    for service in project.services() {
        figures.push(setup.start(service, interrupt)?);
    }
    watch_idle(&mut figures, interrupt)?;
    let calls = setup.load(&mut figures, interrupt)?;
    print(&figures, calls);
    Ok(ExitCode::SUCCESS)
}

fn build(project: &Project, interrupt: &Interrupt) -> Result<PathBuf> {
    let mut command = project.cargo();
    command.args(["build", "--profile", PROFILE, "--bins"]);
    for service in project.services() {
        command.args(["--package", &service.name]);
    }
    programs::succeed(&mut command, interrupt)?;
    let mut command = project.cargo();
    command.args(["build", "--profile", PROFILE, "--package", "testkit"]);
    programs::succeed(command.args(["--features", "simulator", "--bin", SIMULATOR]), interrupt)?;
    Ok(project.binaries().with_file_name(PROFILE))
}

/// What is known of one service.
struct Figures<'a> {
    service: &'a Service,
    running: Running,
    /// From its exec to the first 200 of `/ready`.
    ready: Duration,
    idle_bytes: u64,
    /// Of one processor.
    idle_share: f64,
    loaded_bytes: u64,
}

/// What the services are started with.
struct Setup<'a> {
    project: &'a Project,
    secrets: Secrets,
    addresses: Addresses,
    ports: Ports,
    binaries: PathBuf,
    client: Client,
}

impl<'a> Setup<'a> {
    fn url(&self, name: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[name])
    }

    fn log(&self, name: &str) -> PathBuf {
        self.project.log(&format!("measure-{name}"))
    }

    fn launch(&self, name: &str, variables: &[(String, String)]) -> Result<Running> {
        let binary: &Path = &self.binaries.join(name);
        let launch = Launch::new(binary, &self.log(name)).current_dir(self.project.root());
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        Ok(Running(launch.spawn()?))
    }

    /// Starts a service so often that there is a median; the last one stays. The first start, which
    /// migrates the database, does not count.
    fn start(&self, service: &'a Service, interrupt: &Interrupt) -> Result<Figures<'a>> {
        let project = self.project;
        let secrets = &self.secrets;
        let ports = &self.ports;
        let mut variables =
            services::environment(project, secrets, &self.addresses, ports, service)?;
        // One user on one machine is the load.
        variables.push(("RATE_LIMIT_ENABLED".to_owned(), "false".to_owned()));
        // And nobody receives their spans.
        variables.push(("TRACING_ENABLED".to_owned(), "false".to_owned()));
        let mut times = Vec::new();
        let (mut running, _) = self.launch_until_ready(service, &variables, interrupt)?;
        for _ in 0..STARTS {
            let in_order = running.0.stop(Signal::TERM, LIMIT)?;
            ensure!(in_order, "{} did not end when it was told to", service.name);
            let (again, time) = self.launch_until_ready(service, &variables, interrupt)?;
            running = again;
            times.push(time);
        }
        times.sort_unstable();
        let ready = times[STARTS / 2];
        let (idle_bytes, idle_share, loaded_bytes) = (0, 0.0, 0);
        Ok(Figures { service, running, ready, idle_bytes, idle_share, loaded_bytes })
    }

    /// Gives the process, and the time from its exec to the first 200 of `/ready`.
    fn launch_until_ready(
        &self,
        service: &Service,
        variables: &[(String, String)],
        interrupt: &Interrupt,
    ) -> Result<(Running, Duration)> {
        let begin = Instant::now();
        let running = self.launch(&service.name, variables)?;
        let url = self.url(&service.name, "/ready");
        while !self.client.is_ok(&url) {
            interrupt.check()?;
            if !running.0.is_running() || begin.elapsed() > LIMIT {
                let tail = log_tail(&self.log(&service.name), 20);
                bail!("{} did not become ready:\n{tail}", service.name);
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok((running, begin.elapsed()))
    }

    /// Payments, and looks at them and at the payer, by several callers; gives how many requests
    /// were answered. One that is answered otherwise than it should is an error.
    fn load(&self, figures: &mut [Figures<'_>], interrupt: &Interrupt) -> Result<u64> {
        let token = self.sign_in()?;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let calling = (0..CALLERS).map(|caller| {
                let token = &token;
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut answered = 0;
                    for number in 0_u64.. {
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        let key = format!("measure-{}-{caller}-{number}", std::process::id());
                        answered += self.call(token, &key)?;
                    }
                    Ok(answered)
                })
            });
            let calling: Vec<_> = calling.collect();
            let sampled = sample(figures, interrupt);
            is_over.store(true, Ordering::Relaxed);
            sampled?;
            let answered = calling
                .into_iter()
                .map(|caller| caller.join().unwrap_or_else(|_| bail!("a caller broke off")));
            answered.sum()
        })
    }

    /// One payment and two looks; gives how many requests that were.
    fn call(&self, token: &str, key: &str) -> Result<u64> {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization), ("idempotency-key", key)];
        let body = json!({"amount": 100, "currency": "EUR", "payment_method": "pm_card_visa"});
        let requests = [
            ("POST", self.url("payment-service", "/api/payments"), Some(&body), 201),
            ("GET", self.url("user-service", "/api/users/me"), None, 200),
            ("GET", self.url("notification-service", "/api/notifications"), None, 200),
        ];
        for (method, url, body, status) in &requests {
            let answer = self.client.send(method, url, &headers, *body)?;
            ensure!(answer.status == *status, "{method} {url}: {} {}", answer.status, answer.text);
        }
        Ok(requests.len() as u64)
    }

    /// Registers somebody; gives their token.
    fn sign_in(&self) -> Result<String> {
        let email = format!("measure-{}@example.com", testkit::native::random_hex(8)?);
        let body = json!({"email": email, "name": "Ada", "password": "a-password-for-measuring"});
        let users = self.url("user-service", "/api/users");
        let registered = self.client.send("POST", &users, &[], Some(&body))?;
        ensure!(registered.status == 201, "registering: {}", registered.text);
        let body = json!({"email": email, "password": "a-password-for-measuring"});
        let sessions = self.url("user-service", "/api/sessions");
        let session = self.client.send("POST", &sessions, &[], Some(&body))?.json();
        Ok(session["access_token"].as_str().context("signing in gave no token")?.to_owned())
    }
}

/// Looks at the memory under load again and again, and keeps the most.
fn sample(figures: &mut [Figures<'_>], interrupt: &Interrupt) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < LOAD {
        interrupt.check()?;
        for one in figures.iter_mut() {
            one.loaded_bytes = one.loaded_bytes.max(one.running.bytes()?);
        }
        thread::sleep(SAMPLE);
    }
    Ok(())
}

/// Leaves all alone for a while, and looks at memory and processor time after it.
fn watch_idle(figures: &mut [Figures<'_>], interrupt: &Interrupt) -> Result<()> {
    println!("watching the idle services for {} s", IDLE.as_secs());
    let before: Vec<f64> =
        figures.iter().map(|one| one.running.processor()).collect::<Result<_>>()?;
    interrupt.poll(IDLE, || Ok(None::<()>))?;
    for (one, before) in figures.iter_mut().zip(before) {
        one.idle_share = (one.running.processor()? - before) / IDLE.as_secs_f64();
        one.idle_bytes = one.running.bytes()?;
    }
    Ok(())
}

fn print(figures: &[Figures<'_>], calls: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let row = |one: &Figures<'_>| {
        [
            one.service.name.clone(),
            format!("{} ms", one.ready.as_millis()),
            format!("{:.1} MB", megabytes(one.idle_bytes)),
            format!("{:.2} %", one.idle_share * 100.0),
            format!("{:.1} MB", megabytes(one.loaded_bytes)),
        ]
    };
    println!();
    let heads = ["service", "ready", "idle", "processor, idle", "under load"];
    table::columns(heads, figures.iter().map(row));
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = calls as f64 / LOAD.as_secs_f64();
    println!("\nunder load: {CALLERS} callers for {} s, {rate:.0} requests/s", LOAD.as_secs());
    for one in figures {
        if one.ready > READY_MAX {
            println!("missed: {} should be ready in {READY_MAX:?}", one.service.name);
        }
        if megabytes(one.idle_bytes) > MEGABYTES_MAX {
            println!("missed: {} should take {MEGABYTES_MAX} MB when idle", one.service.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_what_the_image_runs() {
        let recipe = include_str!("../../Dockerfile");
        assert!(recipe.contains(&format!("--profile {PROFILE} --bins")));
    }
}
