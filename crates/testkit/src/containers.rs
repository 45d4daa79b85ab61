//! One set of servers in containers, for a process whose environment names none.
//!
//! The images are those of `docker-compose.yml`. They are started side by side, and each counts as
//! up when a real client has got an answer from it. They are removed when this process has ended,
//! however it ended: a static value is never dropped and a killed process drops nothing, so a shell
//! waits on a pipe whose other end only this process holds.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Addresses;
use crate::broker::Api;

/// From starting the containers to the last answer; without the pulling of images.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Pulling and starting one container.
const START_LIMIT: Duration = Duration::from_secs(600);
const INTERVAL: Duration = Duration::from_millis(100);
/// User name and password of all three servers, whose ports are bound to this machine.
const USER: &str = "testkit";

/// What lives as long as the process: dropping a container stops it.
struct Set {
    _containers: [ContainerAsync<GenericImage>; 3],
    _remover: Option<Child>,
}

static SET: OnceLock<Set> = OnceLock::new();

/// Starts the servers and waits until they answer. Blocks, and may be called inside a runtime: the
/// work is done on a thread of its own.
pub(crate) fn start() -> anyhow::Result<Addresses> {
    let work = || tokio::runtime::Runtime::new()?.block_on(start_all());
    let thread = std::thread::Builder::new().name("testkit-containers".to_owned()).spawn(work)?;
    thread.join().map_err(|_| anyhow::anyhow!("starting containers panicked"))?
}

async fn start_all() -> anyhow::Result<Addresses> {
    let (postgres, redis, rabbitmq) =
        tokio::try_join!(postgres().start(), redis().start(), rabbitmq().start())
            .context("no Docker engine, or no such image")?;
    let host = postgres.get_host().await?;
    let port = async |container: &ContainerAsync<GenericImage>, port: u16| {
        container.get_host_port_ipv4(port.tcp()).await
    };
    let addresses = Addresses {
        postgres: format!(
            "postgres://{USER}:{USER}@{host}:{}/postgres",
            port(&postgres, 5432).await?
        ),
        redis: format!("redis://{host}:{}", port(&redis, 6379).await?),
        amqp: format!("amqp://{USER}:{USER}@{host}:{}", port(&rabbitmq, 5672).await?),
        rabbitmq_api: format!("http://{USER}:{USER}@{host}:{}", port(&rabbitmq, 15672).await?),
    };
    let containers = [postgres, redis, rabbitmq];
    let remover = remove_at_exit(containers.each_ref().map(|container| container.id()));
    // Before the waiting: a set that does not come up is removed as well.
    let _ = SET.set(Set { _containers: containers, _remover: remover });
    tokio::try_join!(
        until_it_answers("postgresql", || answers_sql(&addresses.postgres)),
        until_it_answers("redis", || answers_ping(&addresses.redis)),
        until_it_answers("rabbitmq", || answers_http(&addresses.rabbitmq_api)),
    )?;
    Ok(addresses)
}

fn postgres() -> ContainerRequest<GenericImage> {
    GenericImage::new("postgres", "17-alpine")
        .with_exposed_port(5432.tcp())
        .with_env_var("POSTGRES_USER", USER)
        .with_env_var("POSTGRES_PASSWORD", USER)
        .with_env_var("POSTGRES_DB", "postgres")
        .with_startup_timeout(START_LIMIT)
}

fn redis() -> ContainerRequest<GenericImage> {
    GenericImage::new("redis", "8-alpine")
        .with_exposed_port(6379.tcp())
        .with_startup_timeout(START_LIMIT)
}

fn rabbitmq() -> ContainerRequest<GenericImage> {
    GenericImage::new("rabbitmq", "4-management")
        .with_exposed_port(5672.tcp())
        .with_exposed_port(15672.tcp())
        .with_env_var("RABBITMQ_DEFAULT_USER", USER)
        .with_env_var("RABBITMQ_DEFAULT_PASS", USER)
        // Counts that tests wait for are refreshed every second instead of every five.
        .with_env_var(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-rabbit collect_statistics_interval 1000",
        )
        .with_startup_timeout(START_LIMIT)
}

async fn until_it_answers<F: Future<Output = anyhow::Result<()>>>(
    server: &str,
    ask: impl Fn() -> F,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        let answer = tokio::time::timeout(Duration::from_secs(5), ask()).await;
        match answer.map_err(anyhow::Error::from).flatten() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("{server} did not answer")));
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

async fn answers_sql(url: &str) -> anyhow::Result<()> {
    let mut connection = url.parse::<PgConnectOptions>()?.connect().await?;
    sqlx::query("select 1").execute(&mut connection).await?;
    Ok(())
}

async fn answers_ping(url: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    anyhow::ensure!(&answer == b"+PONG\r\n", "an answer that is not redis'");
    Ok(())
}

/// The management interface comes up last, when AMQP has been listening for a while.
async fn answers_http(api: &str) -> anyhow::Result<()> {
    let api = Api::new(api)?;
    let overview = tokio::task::spawn_blocking(move || api.get("overview")).await??;
    overview.map(drop).context("no management interface")
}

/// Starts the shell that removes the containers when this process is gone. Without a `docker`
/// command beside the engine they stay, and `docker rm` is the developer's.
fn remove_at_exit(ids: [&str; 3]) -> Option<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(r#"cat >/dev/null; exec docker rm --force --volumes "$@""#)
        .arg("testkit")
        .args(ids)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Whoever ends the test's process group must not end the one that cleans up after it.
        .process_group(0)
        .spawn()
        .ok()
}
