//! A process of the campaign: it commits intents and relays them, or has their effects.

mod careless;
mod consumer;
mod publisher;

use std::time::Duration;

use database::{Database, DatabaseSettings};
use serde::Deserialize;
use testkit::config_dir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tusk_config::{Loader, Vars};

use crate::campaign::reader::{Reader, settings};

/// What the worker's log says, without the span of each message.
const LOGGED: &str = "messaging=info,messaging::consumer::work=warn";
/// How long a transaction may take, as requests and handlers have their time.
const PATIENCE: Duration = Duration::from_secs(6);
/// Where a mistake is built in, this long between two steps, which a few kills are to come between.
const LINGER_LONG: Duration = Duration::from_millis(150);

/// What every role needs.
struct Worker {
    database: Database,
    settings: messaging::MessagingSettings,
    /// The mistake that is built into it: the name of a [`Sabotage`](super::Sabotage), or nothing.
    sabotage: String,
    shutdown: CancellationToken,
}

/// Not a test: what a worker's process runs. It returns at once when nobody has given it a role.
#[test]
#[ignore = "the campaign starts it as a process of its own"]
fn works() {
    let vars = Vars::process();
    if let Some(role) = vars.get("CAMPAIGN_ROLE") {
        tracing_subscriber::fmt().with_ansi(false).with_env_filter(LOGGED).init();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(work(role, &vars));
    }
}

async fn work(role: &str, vars: &Vars) {
    let worker = Worker {
        database: open_database(vars).await,
        settings: settings(vars.clone()),
        sabotage: vars.get("CAMPAIGN_SABOTAGE").unwrap_or_default().to_owned(),
        shutdown: CancellationToken::new(),
    };
    let number = vars.get("CAMPAIGN_NUMBER").unwrap().parse().unwrap();
    let roles = async {
        match role {
            "publisher" => publisher::run(&worker, number).await,
            "consumer" => consumer::run(&worker, &Reader::SUBSCRIBED).await,
            _ => consumer::run(&worker, &[Reader::Late]).await,
        }
    };
    tokio::join!(roles, until_asked_to_end(&worker.shutdown));
}

/// As a service opens it.
async fn open_database(vars: &Vars) -> Database {
    #[derive(Deserialize)]
    struct Settings {
        database: DatabaseSettings,
    }
    let vars = vars.clone().with("DB_POOL_SIZE", "1").with("DB_BACKGROUND_POOL_SIZE", "8");
    let settings: Settings = Loader::new(config_dir()).file("database").vars(vars).load().unwrap();
    database::connect(&settings.database).await.unwrap().background
}

/// SIGTERM drains; a campaign that is gone leaves nobody behind.
async fn until_asked_to_end(shutdown: &CancellationToken) {
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    let parent = std::os::unix::process::parent_id();
    loop {
        tokio::select! {
            _ = terminated.recv() => return shutdown.cancel(),
            () = sleep(Duration::from_secs(1)) => {}
        }
        if std::os::unix::process::parent_id() != parent {
            std::process::exit(1);
        }
    }
}
