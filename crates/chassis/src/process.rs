//! The life of a service's process: settings → telemetry → build → serve → drain.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::de::DeserializeOwned;
use telemetry::BuildInfo;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tusk_config::{Config, Errors, Loader, Misfit, Shown, Vars};
use utoipa::openapi::OpenApi;

use crate::{App, ServerSettings, healthcheck};

/// Why a service could not start or go on; its text is for the operator.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// The files of `config/` that services share, and the kinds of their sections: a service reads some
/// of them and cannot know a misspelt one from another's.
const SHARED_FILES: [(&str, &[&str]); 8] = [
    ("auth", &["auth", "keys", "policy", "services"]),
    ("cache", &["cache"]),
    ("database", &["database"]),
    (
        "message_queue",
        &[
            "consumer",
            "exchanges",
            "outbox",
            "queue",
            "queues",
            "rabbitmq",
            "relay",
            "subscriptions",
        ],
    ),
    ("microservices", &["circuit_breaker", "client", "retry", "service_discovery"]),
    ("scaling", &["load_balancing", "scaling"]),
    ("services", &["service"]),
    ("tracing", &["log", "sampling", "tracing"]),
];

/// The status of a process that SIGINT ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// How long the process may take at its end to send spans and log lines.
const TELEMETRY_WITHIN: Duration = Duration::from_secs(2);
/// As long as a second SIGINT leaves to the log.
const LOG_WITHIN: Duration = Duration::from_millis(100);

/// What a service tells the chassis of itself.
pub trait Service {
    /// Its name in `services.tsk`.
    const NAME: &'static str;
    /// The files of `config/` that it reads, without `.tsk`; later ones win.
    const FILES: &'static [&'static str];
    /// Everything it reads from them.
    type Settings: DeserializeOwned + Send;

    /// The settings of logs and traces.
    fn telemetry(settings: &Self::Settings) -> telemetry::TelemetrySettings;

    /// Where it listens.
    fn server(settings: &Self::Settings) -> &ServerSettings;

    /// The document of its routes.
    fn openapi() -> OpenApi;

    /// What its settings say and does not fit what it has: names of exchanges, queues, services and
    /// routes, and values that cannot work together. Opens nothing.
    fn check(settings: &Self::Settings) -> Vec<Misfit>;

    /// Connects what it needs and opens its port.
    fn build(settings: Self::Settings) -> impl Future<Output = Result<App, BuildError>> + Send;

    /// A command of its own, from the words after the program's name; gives what to print.
    ///
    /// # Errors
    /// The words are none of its commands, or the command fails.
    fn command(_: &Self::Settings, words: &[String]) -> Result<String, BuildError> {
        Err(format!(
            "unknown command {words:?}; known: healthcheck, --check-config, --print-openapi"
        )
        .into())
    }
}

/// Loads a service's settings from the folder that `CONFIG_DIR` names, `config` when unset.
///
/// # Errors
/// Every fault of every file at once, with its place.
pub fn load<S: Service>(vars: Vars) -> Result<S::Settings, Errors> {
    read::<S>(vars).map(|(settings, _)| settings)
}

/// The settings, which fit what the service has, and the files that they are of.
fn read<S: Service>(vars: Vars) -> Result<(S::Settings, Config), Errors> {
    let folder = vars.get("CONFIG_DIR").map_or_else(|| PathBuf::from("config"), PathBuf::from);
    let vars = vars.with_default("SERVICE_NAME", S::NAME);
    let files = S::FILES.iter().fold(Loader::new(folder), |loader, file| loader.file(file));
    let (settings, config) = files.vars(vars).load_with_config()?;
    let strangers = SHARED_FILES.iter().flat_map(|(file, kinds)| config.strangers(file, kinds));
    config.check(misfits::<S>(&settings).into_iter().chain(strangers))?;
    Ok((settings, config))
}

fn misfits<S: Service>(settings: &S::Settings) -> Vec<Misfit> {
    let telemetry = S::telemetry(settings).check().into_iter();
    let telemetry = telemetry.map(|(path, text)| Misfit::at(path, text));
    telemetry.chain(S::check(settings)).collect()
}

/// Runs the service until SIGTERM or Ctrl-C. `healthcheck` asks one that runs with the same
/// settings whether it is ready, `--check-config` only checks the settings as a start does before
/// it opens anything, `--print-openapi` prints the API's document; other words go to [`Service::command`].
pub async fn run<S: Service>(build: BuildInfo) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--print-openapi"] {
        return print(S::openapi().to_pretty_json().map_err(Into::into));
    }
    let (settings, config) = match read::<S>(Vars::process()) {
        Ok(read) => read,
        Err(faults) => {
            return fail(&format!("{}: the settings have faults\n\n{faults}", S::NAME));
        }
    };
    if words == ["--check-config"] {
        return print(Ok(format!("{}: the settings are valid", S::NAME)));
    }
    if words == ["healthcheck"] {
        return print(healthcheck::ask(S::server(&settings)).await.map_err(Into::into));
    }
    if !words.is_empty() {
        return print(S::command(&settings, &words));
    }
    let shown = S::server(&settings).debug.then(|| config.shown());
    drop(config);
    serve::<S>(settings, shown, build).await
}

async fn serve<S: Service>(
    settings: S::Settings,
    shown: Option<Vec<Shown>>,
    build: BuildInfo,
) -> ExitCode {
    // First: as process 1, whom the kernel spares signals that nobody handles, it could else not be
    // ended while it waits for its database.
    let shutdown = match terminated() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(&format!("{}: no signals can be had: {error}", S::NAME)),
    };
    // One crypto provider for the whole process: with none named, rustls panics at first use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let telemetry = match telemetry::init(&S::telemetry(&settings), build) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&format!("{}: {error}", S::NAME)),
    };
    std::panic::set_hook(Box::new(log_panic));
    let Some(built) = shutdown.run_until_cancelled(Box::pin(S::build(settings))).await else {
        tracing::info!("stopped before it was started");
        telemetry.shutdown(TELEMETRY_WITHIN);
        // Nothing is under way that would have to end, and a look-up of a name, which blocks its
        // thread, must not hold up the end.
        std::process::exit(0);
    };
    let outcome = match built {
        Ok(app) => {
            app.debug.set_settings(shown.unwrap_or_default());
            app.run(shutdown).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        tracing::error!(error = %error, "service stopped");
    }
    telemetry.shutdown(TELEMETRY_WITHIN);
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Logs where a panic happened. Not its text, which may hold what a request brought.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(panic.place = place, "panicked");
}

/// A token that SIGTERM or SIGINT cancels. A second SIGINT ends the process at once: somebody at a
/// terminal does not want to wait any longer.
fn terminated() -> std::io::Result<CancellationToken> {
    let (mut term, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the process")]
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
        interrupt.recv().await;
        telemetry::flush_logs(LOG_WITHIN);
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn print(text: Result<String, BuildError>) -> ExitCode {
    match text {
        Ok(text) => println!("{text}"),
        Err(error) => return fail(&error.to_string()),
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "before logs exist, this is where an operator looks")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
