//! What would end a start, or never work, is told by `--check-config` in the very words in which the
//! start tells it, with its place, and nothing is opened.

use std::fs;
use std::process::Command;

use testkit::{Environment, ServiceProcess, binary, config_dir, eventually, with_line};

use crate::system::{Fixture, THREE};

/// Which service, what is set, and what is said of it; of a line, [`with_line`] knows the number.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const CASES: [Case; 43] = [
    (
        "user-service",
        &[("JWT_ALGORITHM", "EdDSA")],
        "auth.tsk:{JWT_KEYS_DIR}:1: [keys] has no key to sign with",
    ),
    (
        "user-service",
        &[("JWT_KEYS_DIR", "/nowhere/keys")],
        "auth.tsk:{JWT_KEYS_DIR}:1: /nowhere/keys",
    ),
    ("user-service", &[("JWT_EXPIRATION", "0")], "auth.tsk:{JWT_EXPIRATION}:1: 0s is not within"),
    ("user-service", &[("PASSWORD_CONCURRENCY", "0")], ": 0 is not within 1 to 64"),
    ("user-service", &[("PASSWORD_WAIT", "11s")], ": 11s is longer than [server] request_timeout"),
    ("user-service", &[("RATE_LIMIT_REDIS_TIMEOUT", "2s")], ": 2s is not within 1ms to 500ms"),
    ("user-service", &[("SIGN_IN_FREE_FAILURES", "0")], ": 0 is not within 1 to 1000"),
    ("user-service", &[("SIGN_IN_INITIAL_DELAY", "1h")], ": it is shorter than initial_delay"),
    ("user-service", &[("SECOND_FACTOR_KEYS", "a,b")], ": keys of 32 bytes or more are needed"),
    ("user-service", &[("SECOND_FACTOR_ISSUER", "a:b")], ": 1 to 64 characters are needed"),
    ("user-service", &[("EXTERNAL_ISSUER_URL", "issuer")], ": is no URL"),
    (
        "user-service",
        &[("EXTERNAL_ISSUER_CLIENT_ID", "tusk")],
        ": is empty, though there is a client id",
    ),
    (
        "user-service",
        &[("EXTERNAL_ISSUER_URL", "https://issuer.example.com?a=b")],
        ": has a part that it must not have",
    ),
    (
        "user-service",
        &[
            ("EXTERNAL_ISSUER_URL", "https://issuer.example.com"),
            ("EXTERNAL_ISSUER_CLIENT_ID", "tusk"),
            ("EXTERNAL_ISSUER_REDIRECT_URI", "http://app.example.com/back"),
            ("ENVIRONMENT", "staging"),
        ],
        ": needs to be an https address; http is for development alone",
    ),
    (
        "user-service",
        &[
            ("EXTERNAL_ISSUER_URL", "https://issuer.example.com"),
            ("EXTERNAL_ISSUER_SCOPES", "openid,profile"),
        ],
        ": openid and email are needed",
    ),
    (
        "user-service",
        &[
            ("EXTERNAL_ISSUER_URL", "https://issuer.example.com"),
            ("EXTERNAL_ISSUER_TIMEOUT", "11s"),
        ],
        ": 11s is not within 100ms to 10s",
    ),
    (
        "user-service",
        &[("ENVIRONMENT", "Production")],
        "tracing.tsk:{ENVIRONMENT}:1: an environment is named in",
    ),
    ("user-service", &[("HOST", "999.0.0.1")], ": an address to listen on is needed"),
    ("user-service", &[("HOST", "http://0.0.0.0")], ": an address to listen on is needed"),
    (
        "user-service",
        &[("DATABASE_URL", "mysql://a/b")],
        "database.tsk:{DATABASE_URL}:1: [database] url is not",
    ),
    (
        "user-service",
        &[("DB_CHECKOUT_TIMEOUT", "0")],
        "database.tsk:{DB_CHECKOUT_TIMEOUT}:1: 0s is not within",
    ),
    (
        "user-service",
        &[("REDIS_URL", "cache:6379")],
        "cache.tsk:{REDIS_URL}:1: [cache] url is not a Redis",
    ),
    ("user-service", &[("CACHE_TTL", "0")], "cache.tsk:{CACHE_TTL}:1: 0s is not within"),
    ("payment-service", &[("REDIS_URL", "")], "cache.tsk:{REDIS_URL}:6: REDIS_URL is empty"),
    (
        "payment-service",
        &[("STRIPE_API_BASE", "localhost:3010")],
        "gateway.base_url is no http address",
    ),
    ("payment-service", &[("STRIPE_API_KEY", "two words")], "gateway.api_key is empty or has"),
    ("payment-service", &[("STRIPE_TIMEOUT", "0")], ": 0s is not within 1ms to 2m"),
    ("payment-service", &[("WORKER_LEASE", "30s")], ": [worker] lease is 30s"),
    ("payment-service", &[("WORKER_CONCURRENCY", "0")], ": 0 is not within 1 to 1000"),
    (
        "payment-service",
        &[("CLIENT_CONCURRENCY_LIMIT", "0")],
        "microservices.tsk:{CLIENT_CONCURRENCY_LIMIT}:1: 0 is not within",
    ),
    ("payment-service", &[("REQUEST_TIMEOUT", "0")], ": 0s is not within 1ms to 1h"),
    (
        "payment-service",
        &[("SERVICE_DISCOVERY_TYPE", "kubernetes"), ("KUBERNETES_ACCOUNT_DIR", "/nowhere")],
        "microservices.tsk:{KUBERNETES_ACCOUNT_DIR}:1: cannot read /nowhere/namespace",
    ),
    (
        "payment-service",
        &[
            ("ENVIRONMENT", "production"),
            ("RABBITMQ_HOST", "broker.example.com"),
            ("RABBITMQ_USERNAME", "guest"),
            ("RABBITMQ_PASSWORD", "guest"),
        ],
        "message_queue.tsk:{RABBITMQ_PASSWORD}:1: the user guest with the password guest",
    ),
    (
        "payment-service",
        &[("ENVIRONMENT", "production"), ("REDIS_URL", "redis://cache.example.com")],
        "cache.tsk:{REDIS_URL}:1: what goes to this server could be read",
    ),
    (
        "notification-service",
        &[("SMTP_URL", "smtp://mail.example.com:587")],
        ": what goes to this server could be read",
    ),
    ("user-service", &[("PASSWORD_RESET_EXPIRATION", "1s")], ": 1s is not within 1m to 30d"),
    (
        "notification-service",
        &[("ENVIRONMENT", "production")],
        ": https:// is needed: whoever reads",
    ),
    (
        "notification-service",
        &[("FRONT_END_URL", "app.example.com")],
        ": the address of a page is needed: https://host",
    ),
    ("notification-service", &[("SMTP_URL", "imap://mail")], ": [mail] smtp_url is not an SMTP"),
    ("notification-service", &[("MAIL_SEND_TIMEOUT", "1m")], ": [worker] lease is 1m"),
    (
        "notification-service",
        &[("MAIL_DIR", "/etc/passwd/mails")],
        ": a folder for mails is needed",
    ),
    (
        "notification-service",
        &[("TRACING_ENABLED", "true"), ("TRACING_ENDPOINT", "localhost:4317")],
        "tracing.tsk:{TRACING_ENDPOINT}:1: the endpoint of traces is written",
    ),
    (
        "notification-service",
        &[("USER_SERVICE_PORT", "tcp://10.96.0.1:80")],
        "enableServiceLinks: false",
    ),
];

#[tokio::test]
async fn what_ends_a_start_is_reported_by_the_check_in_the_same_words() {
    let fixture = Fixture::set_up().await;
    let mut missed = Vec::new();
    for (service, values, expected) in CASES {
        let variables = with(&fixture, service, values);
        let expected = with_line(&config_dir(), expected);
        let checked = check(service, &variables);
        let started = start(service, values, &variables).await;
        let is_said = checked.0 == Some(1) && checked.1.contains(&expected);
        if !is_said || started != checked {
            missed.push(format!("{service} {values:?}: {expected}\n{checked:?}\n{started:?}"));
        }
    }
    assert!(missed.is_empty(), "\n{}", missed.join("\n\n"));
}

#[tokio::test]
async fn a_section_and_a_key_that_nobody_reads_are_reported_in_each_services_own_file() {
    let fixture = Fixture::set_up().await;
    for service in THREE {
        let folder = crate::system::config_with(&format!("{service}.tsk"), "[server]", "[server]");
        let file = folder.path().join(format!("{service}.tsk"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("port: 1\n{text}\n[serverr]\nport: 1\n")).unwrap();
        let config = folder.path().display().to_string();
        let (code, said) = check(service, &with(&fixture, service, &[("CONFIG_DIR", &config)]));
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(&format!("/{service}.tsk:1:1: `port` stands in no section")),
            "{said}"
        );
        assert!(said.contains("nothing reads [serverr]; did you mean [server]?"), "{said}");
    }
}

#[tokio::test]
async fn a_second_rule_for_the_same_route_is_reported_and_does_not_count_in_silence() {
    let fixture = Fixture::set_up().await;
    let rule = "\"GET /api/users\": admin";
    let twice = format!("{rule}\n\"GET /api/users\": anybody");
    let folder = crate::system::config_with("auth.tsk", rule, &twice);
    let config = folder.path().display().to_string();
    let variables = with(&fixture, "user-service", &[("CONFIG_DIR", &config)]);
    let (code, said) = check("user-service", &variables);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("given twice"), "{said}");
}

fn with(fixture: &Fixture, service: &str, values: &[(&str, &str)]) -> Environment {
    let database = THREE.iter().position(|name| *name == service).unwrap();
    let mut variables = fixture.environment(database);
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    variables.extend(values);
    variables
}

/// The status of `--check-config`, and what it says.
fn check(service: &str, variables: &Environment) -> (Option<i32>, String) {
    let mut command = Command::new(binary(service));
    let output = command.arg("--check-config").env_clear().envs(variables).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The status of a start, and what it says until its end.
async fn start(
    service: &str,
    values: &[(&str, &str)],
    variables: &Environment,
) -> (Option<i32>, String) {
    let mut process = ServiceProcess::spawn(service, variables);
    let what = format!("{service} ends with {values:?}");
    let ended = eventually(&what, async || process.exited()).await;
    (ended.code(), process.log())
}
