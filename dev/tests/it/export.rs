//! `cargo dev export`: what is in the file, and that no secret is.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::Value;

use crate::system::{Servers, System};

/// What a stranger must not see, each planted where it may turn up.
const PLANTED: [&str; 10] = [
    "planted-in-an-address",
    "planted-as-bearer",
    "cGxhbnRlZC1iYXNpYw",
    "cGxhbnRlZC1qd3Q",
    "planted-password",
    "planted-client-secret",
    "planted.person",
    "UExBTlRFRC1LRVk",
    "planted-in-settings",
    "planted-in-the-environment",
];
const LOGGED: &str = r#"2026-01-15T12:00:00Z  INFO to postgres://me:planted-in-an-address@db/x
authorization: Bearer planted-as-bearer
{"timestamp":"2026-01-15T12:00:00Z","message":"Basic cGxhbnRlZC1iYXNpYw==","to":"planted.person@example.com"}
2026-01-15T12:00:00Z  INFO eyJhbGciOiJFZERTQSJ9.eyJjGxhbnRlZC1qd3Q.cGxhbnRlZC1qd3Q password=planted-password
{"timestamp":"2026-01-15T12:00:00Z","body":"{\"client_secret\":\"planted-client-secret\"}"}
-----BEGIN PRIVATE KEY-----
UExBTlRFRC1LRVk
-----END PRIVATE KEY-----
2026-01-15T12:00:00Z  INFO planted-in-the-environment and last
"#;

#[test]
fn a_report_of_a_running_system_has_what_is_needed_and_no_secret() {
    let servers = Servers::start();
    let system = servers.system().with("STRIPE_API_KEY", PLANTED[9]);
    system.succeeds(&["up", "--detach"]);
    system.succeeds(&["smoke"]);
    let kept = fs::read_to_string(system.path(".dev/secrets.json")).unwrap();
    let kept: BTreeMap<String, String> = serde_json::from_str(&kept).unwrap();
    let all = kept.values().map(|secret| format!("2026-01-15T12:00:00Z  INFO x{secret}y\n"));
    append(
        &system.path(".dev/logs/user-service.log"),
        &format!("{LOGGED}{}", all.collect::<String>()),
    );
    let tracing = system.path("config/tracing.tsk");
    let text = fs::read_to_string(&tracing).unwrap();
    let planted =
        text.replace("TRACING_HEADERS\", \"\"", "TRACING_HEADERS\", \"x=planted-in-settings\"");
    assert_ne!(planted, text);
    fs::write(&tracing, planted).unwrap();

    let said = system.succeeds(&["export", "report.zip"]);
    assert!(said.contains("known secrets: ") && said.contains("e-mail addresses: "), "{said}");
    let file = system.path("report.zip");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let parts = parts(&file);
    let state = fs::read_to_string(system.path(".dev/state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let passwords = ["postgres", "amqp"].map(|name| {
        let address = state["addresses"][name].as_str().unwrap();
        address.split('@').next().unwrap().rsplit(':').next().unwrap().to_owned()
    });
    let secrets = PLANTED.map(str::to_owned).into_iter().chain(kept.into_values()).chain(passwords);
    for secret in secrets.chain(["@example.com".to_owned()]) {
        for (name, text) in &parts {
            assert!(!text.contains(&secret), "{secret} is in {name}");
        }
    }
    assert!(parts["logs/user-service.log"].contains("INFO x***y\n"), "what is around it stays");
    assert!(parts["logs/user-service.log"].contains("*** and last"));
    for name in ["versions", "doctor", "status", "queues", "settings/payment-service"] {
        let part = parts.get(&format!("{name}.json"));
        let part = part.unwrap_or_else(|| panic!("{name} is not there: {}", parts["README.txt"]));
        serde_json::from_str::<Value>(part).unwrap();
    }
    assert!(parts["settings/payment-service.json"].contains("\"tracing.headers\": \"***\""));
    let (_, spans) = parts.iter().find(|(name, _)| name.starts_with("traces/")).unwrap();
    let spans = spans.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(spans.into_iter().any(|span| span["service"] == "user-service"), "spans are there");
    let queues: Value = serde_json::from_str(&parts["queues.json"]).unwrap();
    assert_eq!(queues.as_array().unwrap().len(), 3);

    let again = system.output(&["export", "report.zip"]);
    assert!(!again.status.success());
    assert_eq!(self::parts(&file).len(), parts.len(), "it was left alone");
    system.succeeds(&["export", "report.zip", "--force"]);
    system.succeeds(&["down"]);
}

#[test]
fn a_report_is_written_where_nothing_is_up_and_says_what_is_missing() {
    let system = System::new();
    append(&system.path(".dev/logs/redis.log"), &"a line\n".repeat(400_000));
    system.succeeds(&["export", "report.zip"]);
    let parts = parts(&system.path("report.zip"));
    let read_me = &parts["README.txt"];
    assert!(read_me.contains("queues.json: nothing is up"), "{read_me}");
    let log = &parts["logs/redis.log"];
    assert!(log.len() <= 2 << 20 && log.starts_with("a line\n"), "{}", log.len());
    assert!(!system.path(".dev/secrets.json").exists(), "nothing is made up for it");
}

fn append(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The files of the archive by their names.
fn parts(file: &Path) -> BTreeMap<String, String> {
    let mut archive = zip::ZipArchive::new(fs::File::open(file).unwrap()).unwrap();
    let mut parts = BTreeMap::new();
    for place in 0..archive.len() {
        let mut part = archive.by_index(place).unwrap();
        let mut text = String::new();
        part.read_to_string(&mut text).unwrap();
        parts.insert(part.name().unwrap().into_owned(), text);
    }
    parts
}
