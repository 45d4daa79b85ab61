//! The life of a service's process: signals → settings → telemetry → build → serve → drain.

use std::convert::Infallible;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use auth::PolicySettings;
use chassis::BuildError;
use chassis::{App, healthcheck};
use tusk_config::{Config, Errors, Loader, Shown, Vars};

use crate::builder::openapi;
use crate::check::validate;
use crate::settings::{SHARED_FILES, SHARED_FILES_PLACE};
use crate::{BuildInfo, Platform, Service, Settings, signals};

/// Runs the service until SIGTERM or Ctrl-C. `healthcheck` asks one that runs with the same
/// settings whether it is ready, `--check-config` only checks the settings as a start does before
/// it opens anything, `--print-openapi` prints the API's document; other words go to [`Service::command`].
/// `build` is what the binary is: [`build_info!`](crate::build_info!).
pub async fn run<S: Service>(build: BuildInfo) -> ExitCode {
    // One crypto provider for the whole process: with none named, rustls panics at first use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome =
        if words.is_empty() { serve::<S>(build).await } else { answer::<S>(&words).await };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Does what the words say, and prints it.
async fn answer<S: Service>(words: &[String]) -> Result<(), String> {
    if words == ["--print-openapi"] {
        return print(document::<S>(&Vars::process()));
    }
    let settings = read::<S>(Vars::process()).map_err(|faults| faulty::<S>(&faults))?.0;
    if words == ["--check-config"] {
        return print::<Infallible>(Ok(format!("{}: the settings are valid", S::NAME)));
    }
    if words == ["healthcheck"] {
        return print(healthcheck::ask(&settings.platform.server).await);
    }
    print(S::command(&settings.own, &settings.platform, words).await)
}

async fn serve<S: Service>(build: BuildInfo) -> Result<(), String> {
    // First of all: the kernel spares process 1 the signals that nobody handles.
    let shutdown = signals::shutdown();
    let shutdown = shutdown.map_err(|error| format!("{}: no signals: {error}", S::NAME))?;
    let (settings, config) = read::<S>(Vars::process()).map_err(|faults| faulty::<S>(&faults))?;
    let platform = &settings.platform;
    let flush_within = platform.server.telemetry_share();
    let shown = if platform.server.debug { config.shown() } else { Vec::new() };
    drop(config);
    let telemetry = telemetry::init(&platform.telemetry, build);
    let telemetry = telemetry.map_err(|error| format!("{}: {error}", S::NAME))?;
    std::panic::set_hook(Box::new(log_panic));
    let opening = Box::pin(open_shown::<S>(&settings, shown));
    let Some(opened) = shutdown.run_until_cancelled(opening).await else {
        tracing::info!("stopped before it was started");
        telemetry.shutdown(flush_within);
        // Nothing is under way that would have to end, and a look-up of a name, which blocks its
        // thread, must not hold up the end.
        std::process::exit(0);
    };
    let outcome = match opened {
        Ok(app) => app.run(shutdown).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        tracing::error!(error = %error, "service stopped");
    }
    telemetry.shutdown(flush_within);
    outcome.map_err(|error| format!("{}: {error}", S::NAME))
}

fn faulty<S: Service>(faults: &Errors) -> String {
    format!("{}: the settings have faults\n\n{faults}", S::NAME)
}

/// The API's document, as `--print-openapi` prints it. Of the settings it needs the rules alone, which have no
/// variable in them.
///
/// # Errors
/// The rules cannot be read.
pub fn document<S: Service>(vars: &Vars) -> Result<String, String> {
    let rules = Loader::new(folder(vars)).file("auth").vars(Vars::empty());
    let policy = rules.tree().and_then(|tree| tree.get::<PolicySettings>("policy"));
    let policy = policy.map_err(|faults| faulty::<S>(&faults))?;
    openapi::<S>(&policy).to_pretty_json().map_err(|error| error.to_string())
}

/// Where the settings are.
fn folder(vars: &Vars) -> PathBuf {
    vars.get("CONFIG_DIR").map_or_else(|| PathBuf::from("config"), PathBuf::from)
}

/// Loads a service's settings from the folder that `CONFIG_DIR` names, `config` when unset.
///
/// # Errors
/// Every fault of every file at once, with its place.
pub fn load<S: Service>(vars: Vars) -> Result<Settings<S::Settings>, Errors> {
    read::<S>(vars).map(|(settings, _)| settings)
}

/// Connects what the service needs and opens its port, which answers once the app runs.
///
/// # Errors
/// A server that is not there within its time, or refuses us; a port that is taken.
pub async fn open<S: Service>(settings: &Settings<S::Settings>) -> Result<App, BuildError> {
    // What it holds on the way is large.
    Box::pin(open_shown::<S>(settings, Vec::new())).await
}

async fn open_shown<S: Service>(
    settings: &Settings<S::Settings>,
    shown: Vec<Shown>,
) -> Result<App, BuildError> {
    let (platform, probe) = Platform::open::<S>(&settings.platform).await?;
    S::build(platform, &settings.own)?.bind(probe, shown).await
}

/// The settings, which fit what the service has, and the files that they are of.
fn read<S: Service>(vars: Vars) -> Result<(Settings<S::Settings>, Config), Errors> {
    let folder = folder(&vars);
    let vars = vars.with_default("SERVICE_NAME", S::NAME);
    let files = SHARED_FILES.iter().map(|(file, _)| *file).chain([S::NAME]);
    let files = files.fold(Loader::new(folder), Loader::file);
    let (platform, own, config) = files.vars(vars).load_both()?;
    config.strict()?;
    let settings = Settings { platform, own };
    let unknown = SHARED_FILES
        .iter()
        .flat_map(|(file, kinds)| config.unknown_sections(file, kinds, SHARED_FILES_PLACE));
    let unread = config.unread(S::NAME);
    config.check(validate::<S>(&settings).into_iter().chain(unknown).chain(unread))?;
    Ok((settings, config))
}

/// Logs where a panic happened. Not its text, which may hold what a request brought.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(panic.place = place, "panicked");
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn print<E: Display>(text: Result<String, E>) -> Result<(), String> {
    println!("{}", text.map_err(|error| error.to_string())?);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "before logs exist, this is where an operator looks")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
