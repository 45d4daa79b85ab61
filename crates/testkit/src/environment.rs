//! The variables a service needs, pointing at one test's database and broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tusk_config::Vars;

use crate::{TestBroker, TestDatabase, addresses};

/// Names and values for one service: insert what the test wants otherwise.
pub type Environment = BTreeMap<String, String>;

/// Signs tokens in tests; long enough for HS256, and the same for all services of a test so that
/// they believe each other.
pub const JWT_SECRET: &str = "test-only-jwt-secret-of-at-least-32-bytes";

/// Seals secrets of second factors in tests.
const SECOND_FACTOR_KEY: &str = "test-only-second-factor-key-of-32-bytes-or-more";

/// The workspace's `config/` folder, wherever the test runs from.
pub fn config_dir() -> PathBuf {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let workspace = crates.ancestors().nth(2).expect("this package is in crates/ of the workspace");
    workspace.join("config")
}

/// A place in a message about settings, such as `auth.tsk:{JWT_KEYS_DIR}:1: …`, with the number of the
/// first line that has the text in braces: a line that is added above it breaks no test.
///
/// # Panics
/// The file is not in the folder, or has no such text.
pub fn with_line(config_dir: &Path, said: &str) -> String {
    let place = said.split_once(":{").and_then(|(file, rest)| Some((file, rest.split_once("}:")?)));
    let Some((file, (sought, rest))) = place else { return said.to_owned() };
    let text =
        fs::read_to_string(config_dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = text.lines().position(|line| line.contains(sought));
    let line = line.unwrap_or_else(|| panic!("{file} has no {sought}")) + 1;
    format!("/{file}:{line}:{rest}")
}

/// Settings as the generator makes them: those of the workspace with those of the template laid over them.
/// Sections of one name are one, and of an event that both tell of, the template's line counts.
pub fn config_with_template() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let workspace = config_dir();
    let template = workspace.with_file_name("dev").join("template/config");
    for source in [workspace, template] {
        let entries =
            fs::read_dir(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|end| end == "tsk") {
                lay_over(&path, folder.path());
            }
        }
    }
    folder
}

fn lay_over(file: &Path, folder: &Path) {
    let target = folder.join(file.file_name().unwrap_or_default());
    let before = fs::read_to_string(&target).unwrap_or_default();
    let more =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let event =
        |line: &str| line.strip_prefix('"')?.split_once("\": [").map(|(it, _)| it.to_owned());
    let told: Vec<String> = more.lines().filter_map(event).collect();
    let kept = before.lines().filter(|line| !event(line).is_some_and(|it| told.contains(&it)));
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    fs::write(target, kept + &more).expect("a file can be written in an own folder");
}

/// All variables that any of the services needs: `CONFIG_DIR`, `HOST` and `PORT` (0: any), the
/// database, the broker, Redis, secrets, the payment provider's key. Tracing is off and nothing
/// points at a payment provider or a mail server that is not there: set `STRIPE_API_BASE`,
/// `SMTP_URL` or `MAIL_DIR` for what the test starts.
pub fn environment(database: &TestDatabase, broker: &TestBroker) -> Environment {
    let text = |value: &str| value.to_owned();
    [
        ("CONFIG_DIR", config_dir().display().to_string()),
        ("HOST", text("127.0.0.1")),
        ("PORT", text("0")),
        ("DATABASE_URL", text(database.url())),
        ("REDIS_URL", addresses().redis.clone()),
        ("RABBITMQ_HOST", broker.host.clone()),
        ("RABBITMQ_PORT", broker.port.to_string()),
        ("RABBITMQ_USERNAME", broker.username.clone()),
        ("RABBITMQ_PASSWORD", broker.password.clone()),
        ("RABBITMQ_VHOST", broker.vhost.clone()),
        ("JWT_SECRET", text(JWT_SECRET)),
        ("SECOND_FACTOR_KEYS", text(SECOND_FACTOR_KEY)),
        ("STRIPE_API_KEY", text("sk_test_of_the_testkit")),
        ("TRACING_ENABLED", text("false")),
        // All tests come from one address. Those that are about limits turn them on.
        ("RATE_LIMIT_ENABLED", text("false")),
        // Connections stay: to open one while the machine is busy with other tests takes seconds.
        ("DB_REAPING_FREQUENCY", text("600")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .chain(service_tokens())
    .collect()
}

/// What a service's binary says to `--check-config`, with the workspace's settings and these variables
/// over what has to be set. No server is asked.
pub fn check_config(binary: &str, variables: &[(&str, &str)]) -> Output {
    let nowhere = [
        ("CONFIG_DIR", config_dir().display().to_string()),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing".to_owned()),
        ("REDIS_URL", "redis://127.0.0.1:1".to_owned()),
        ("JWT_SECRET", JWT_SECRET.to_owned()),
        ("SECOND_FACTOR_KEYS", SECOND_FACTOR_KEY.to_owned()),
        ("STRIPE_API_KEY", "sk_test_of_the_testkit".to_owned()),
        ("MAIL_DIR", std::env::temp_dir().display().to_string()),
    ];
    let checked = Command::new(binary)
        .arg("--check-config")
        .env_clear()
        .envs(nowhere)
        .envs(service_tokens())
        .envs(variables.iter().copied())
        .output();
    checked.unwrap_or_else(|error| panic!("cannot start {binary}: {error}"))
}

/// What each service proves itself with, by the variables that auth.tsk names.
fn service_tokens() -> impl Iterator<Item = (String, String)> {
    let file = config_dir().join("auth.tsk");
    let found = tusk_config::variables([&file]).unwrap_or_else(|error| panic!("{error}"));
    let names = found.into_iter().map(|variable| variable.name);
    names.filter(|name| name.ends_with("_SERVICE_TOKEN")).map(|name| {
        let value = format!("test-only-{}", name.replace('_', "-").to_lowercase());
        (name, value)
    })
}

/// [`environment`] as the settings loader takes it, for a service run inside the test process.
pub fn vars(database: &TestDatabase, broker: &TestBroker) -> Vars {
    Vars::of(environment(database, broker))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_settings_folder_belongs_to_the_workspace() {
        let folder = super::config_dir();
        assert!(folder.with_file_name("Cargo.toml").exists(), "{}", folder.display());
    }
}
