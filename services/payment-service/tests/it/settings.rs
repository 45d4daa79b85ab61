//! `--check-config`: a name that nobody has is a fault, with its place, before anything is opened.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;
use testkit::{Environment, with_line};

/// What is wrong in a file, and what is said of it; of a line, [`with_line`] knows the number.
struct Slip {
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    said: &'static [&'static str],
}

const fn slip(
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    said: &'static [&'static str],
) -> Slip {
    Slip { file, right, wrong, said }
}

/// In a file of `config/`.
const SLIPS: [Slip; 32] = [
    slip(
        "message_queue.tsk",
        "\"user.deleted\": [payment_events, notification_events]",
        "\"user.deleted\": [notification_events]",
        &[
            "message_queue.tsk:{\"user.deleted\"}:1: `payment_events` handles `user.deleted`",
            "is not among its readers",
        ],
    ),
    slip(
        "message_queue.tsk",
        "\"user.created\": [payment_events",
        "\"user.creatd\": [payment_events",
        &[
            "message_queue.tsk:{\"user.creatd\"}:1: `payment_events` has no handler",
            "did you mean `user.created`?",
        ],
    ),
    slip(
        "message_queue.tsk",
        "\"payment.failed\": [notification_events]",
        "\"payment.failed\": [notification_event]",
        &["message_queue.tsk:{\"payment.failed\"}:1: [queues] has no `notification_event`"],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[consumers:payment_events]\nprefetch: 5\n[queues]",
        &[
            "message_queue.tsk:{[consumers:payment_events]}:1: [consumers:payment_events] is no section",
            "did you mean [consumer]?",
        ],
    ),
    slip(
        "message_queue.tsk",
        "[relay]",
        "[rely]",
        &["message_queue.tsk:{[rely]}:1: [rely] is no section", "did you mean [relay]?"],
    ),
    slip(
        "tracing.tsk",
        "[log]",
        "[logs]",
        &["tracing.tsk:{[logs]}:1: [logs] is no section", "did you mean [log]?"],
    ),
    slip(
        "message_queue.tsk",
        "payment_exchange:",
        "payments_exchange:",
        &[
            "message_queue.tsk:{payments_exchange:}:1: [exchanges] has no `payment_exchange`",
            "payments_exchange",
        ],
    ),
    slip(
        "message_queue.tsk",
        "user_exchange:",
        "usr_exchange:",
        &[
            "message_queue.tsk:{usr_exchange:}:1: [exchanges] has no `user_exchange`",
            "usr_exchange",
        ],
    ),
    slip(
        "message_queue.tsk",
        "payment_exchange: payment.events",
        "",
        &["message_queue.tsk:{[exchanges]}:1: [exchanges] has no `payment_exchange`"],
    ),
    slip(
        "message_queue.tsk",
        "payment_events:",
        "payment_event:",
        &[
            "message_queue.tsk:{payment_event:}:1: [queues] has no `payment_events`",
            "payment_event:",
        ],
    ),
    slip(
        "message_queue.tsk",
        "payment_events: payment-service.events",
        "payment_events: user-service.events",
        &[
            "message_queue.tsk:{user_events:}:1:",
            "`payment_events` and `user_events` are one queue",
        ],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[consumer:payments_events]\nprefetch: 5\n[queues]",
        &[
            "message_queue.tsk:{[consumer:payments_events]}:1: [consumer:payments_events] is about no queue",
        ],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[queue:payments_events]\nmax_length: 5\n[queues]",
        &[
            "message_queue.tsk:{[queue:payments_events]}:1: [queue:payments_events] is about no queue",
        ],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[consumer:payment_events]\nprefech: 5\n[queues]",
        &["message_queue.tsk:{prefech:}:1:", "prefech"],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[queue:payment_events]\nmax_lenght: 5\n[queues]",
        &["message_queue.tsk:{max_lenght:}:1:", "max_lenght"],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[consumer:payment_events]\nhandler_timeout: \"10m\"\n[queues]",
        &[
            "message_queue.tsk:{[consumer:payment_events]}:1: the consumer of `payment_events` holds a message for up to",
        ],
    ),
    slip(
        "message_queue.tsk",
        "[queues]",
        "[queue:payment_events]\ntype: classic\nmax_length: 5\n[queues]",
        &[
            "message_queue.tsk:{[queue:payment_events]}:1: the queue of `payment_events` is classic and has a limit",
        ],
    ),
    slip(
        "message_queue.tsk",
        "\"168h\"",
        "\"20m\"",
        &["message_queue.tsk:{inbox_retention:}:", "the inbox forgets a message after 20m"],
    ),
    slip(
        "auth.tsk",
        "[policy.payment-service]",
        "[policy.payments-service]",
        &["[policy.payments-service] is about no service", "there is no [policy.payment-service]"],
    ),
    slip(
        "auth.tsk",
        "\"GET /api/payments/customer\": user",
        "\"GET /api/payments/costumer\": user",
        &[
            "GET /api/payments/customer has no rule",
            "auth.tsk:{/api/payments/costumer}:1: GET /api/payments/costumer is no route",
        ],
    ),
    slip(
        "auth.tsk",
        "\"GET /api/payments/customer\": user",
        "\"GET /api/payments/customer\": [user, ordr-service]",
        &[
            "auth.tsk:{/api/payments/customer}:1: GET /api/payments/customer names ordr-service, which is no service",
        ],
    ),
    slip(
        "auth.tsk",
        "\"GET /api/payments/customer\": user",
        "\"GET /api/payments/customer\": usr",
        &["auth.tsk:{/api/payments/customer}:", "usr"],
    ),
    slip(
        "services.tsk",
        "[service:user-service]",
        "[service:users-service]",
        &["services.tsk:{[service:users-service]}:1: there is no section [service:user-service]"],
    ),
    slip(
        "services.tsk",
        "[service:payment-service]",
        "[service:payment-servce]",
        &[
            "services.tsk:{[service:payment-servce]}:1: there is no section [service:payment-service]",
        ],
    ),
    slip(
        "tracing.tsk",
        "\"0.1\"",
        "\"10\"",
        &["tracing.tsk:{probability:}:", "a share is 0.0 to 1.0"],
    ),
    slip(
        "tracing.tsk",
        "\"info\"",
        "\"inof\"",
        &["tracing.tsk:{filter:}:", "`inof` is neither a level"],
    ),
    slip(
        "database.tsk",
        "@env.secure(\"DATABASE_URL\")",
        "\"mysql//host\"",
        &["database.tsk:{url:}:", "[database] url is not a PostgreSQL address"],
    ),
    slip(
        "payment-service.tsk",
        "[settlement]",
        "[settlment]\nlook_up_for: 2h\n[settlement]",
        &["payment-service.tsk:{[settlment]}:1: nothing reads [settlment]"],
    ),
    slip(
        "payment-service.tsk",
        "# Where this service listens.",
        "port: 3002\n# Where this service listens.",
        &["payment-service.tsk:{port: 3002}:1: `port` stands in no section"],
    ),
    slip(
        "cache.tsk",
        "[cache]",
        "ttl: 5\n[cache]",
        &["cache.tsk:{ttl: 5}:1: `ttl` stands in no section"],
    ),
    slip(
        "payment-service.tsk",
        "look_up_for:",
        "look_up_fo: 1\nlook_up_for:",
        &[
            "payment-service.tsk:{look_up_fo:}:1: unknown key `look_up_fo`, did you mean `look_up_for`?",
        ],
    ),
    slip(
        "message_queue.tsk",
        "[\"1s\", \"5s\", \"30s\", \"2m\", \"10m\"]",
        "[\"1s\", \"50d\"]",
        &["message_queue.tsk:{retry_delays:}:", "50d is not within 1ms to 7d"],
    ),
];

/// In a variable.
const VALUES: [(&str, &str, &[&str]); 23] = [
    (
        "WORKER_LEASE",
        "40s",
        &["payment-service.tsk:{lease:}:", "[worker] lease is 40s", "may take 40s"],
    ),
    ("STRIPE_TIMEOUT", "20s", &["payment-service.tsk:{lease:}:", "may take 80s"]),
    ("STRIPE_API_BASE", "localhost:3010", &["payment-service.tsk:{base_url:}:", "no http address"]),
    (
        "STRIPE_API_KEY",
        "sk_test x",
        &["payment-service.tsk:{api_key:}:", "characters that no key has"],
    ),
    (
        "WORKER_CONCURRENCY",
        "0",
        &["payment-service.tsk:{WORKER_CONCURRENCY}:", "0 is not within 1 to"],
    ),
    ("DATABASE_URL", "mysql://host/db", &["database.tsk:{url:}:", "not a PostgreSQL address"]),
    ("REDIS_URL", "cache:6379", &["cache.tsk:{url:}:", "not a Redis address"]),
    (
        "REQUEST_TIMEOUT",
        "0",
        &["payment-service.tsk:{request_timeout:}:", "0s is not within 1ms to 1h"],
    ),
    ("RETRY_MAX_ATTEMPTS", "0", &["microservices.tsk:{max_attempts:}:", "0 is not within 1 to"]),
    ("RABBITMQ_HOST", "amqp://broker", &["message_queue.tsk:{host:}:", "without a scheme"]),
    (
        "TRACING_ENDPOINT",
        "localhost:4317",
        &["tracing.tsk:{endpoint:}:", "write http://localhost:4317"],
    ),
    (
        "TRACING_ENDPOINT",
        "ftp://collector",
        &["tracing.tsk:{endpoint:}:", "is written http://host:port"],
    ),
    ("TRACING_ENDPOINT", "http://", &["tracing.tsk:{endpoint:}:", "is written http://host:port"]),
    ("TRACING_ENDPOINT", "", &["tracing.tsk:{endpoint:}:", "is written http://host:port"]),
    (
        "TRACING_ENDPOINT",
        "http://collector:99999",
        &["tracing.tsk:{endpoint:}:", "a port is 1 to 65535"],
    ),
    (
        "TRACING_ENDPOINT",
        "http://collector:4318/v1/traces",
        &["tracing.tsk:{endpoint:}:", "no path"],
    ),
    (
        "CONSUMER_INBOX_RETENTION",
        "0",
        &["message_queue.tsk:{inbox_retention:}:", "the inbox forgets"],
    ),
    (
        "CONSUMER_INBOX_RETENTION",
        "12m",
        &["message_queue.tsk:{inbox_retention:}:", "the inbox forgets"],
    ),
    (
        "DB_BACKGROUND_POOL_SIZE",
        "5",
        &[
            "message_queue.tsk:{concurrency:}:",
            "handles 3 messages at a time",
            "these are 6, and [database] background_pool_size is 5",
        ],
    ),
    (
        "DB_LOCK_TIMEOUT",
        "12s",
        &["database.tsk:{lock_timeout:}:", "not less than statement_timeout"],
    ),
    ("DB_STATEMENT_TIMEOUT", "0s", &["database.tsk:{statement_timeout:}:", "a limit is 1ms"]),
    ("CONSUL_URL", "consul:8500", &["microservices.tsk:{consul_url:}:", "no http or https URL"]),
    (
        "ETCD_ENDPOINTS",
        "http://a:2379,b:2379",
        &["microservices.tsk:{etcd_endpoints:}:", "no http or https URL"],
    ),
];

#[test]
fn the_settings_as_they_are_shipped_are_valid() {
    let Checked { output, .. } = check(&[], &environment());

    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_name_in_a_file_that_nobody_has_is_reported_with_its_place() {
    let mut missed = Vec::new();
    for Slip { file, right, wrong, said } in SLIPS {
        missed.extend(check(&[(file, right, wrong)], &environment()).unsaid(wrong, said));
    }
    assert!(missed.is_empty(), "\n{}", missed.join("\n\n"));
}

#[test]
fn a_variable_that_cannot_work_is_reported_with_its_place() {
    let mut missed = Vec::new();
    for (name, value, said) in VALUES {
        let mut environment = environment();
        environment.insert("TRACING_ENABLED".to_owned(), "true".to_owned());
        let provider = if name == "ETCD_ENDPOINTS" { "etcd" } else { "consul" };
        environment.insert("SERVICE_DISCOVERY_TYPE".to_owned(), provider.to_owned());
        environment.insert(name.to_owned(), value.to_owned());
        missed.extend(check(&[], &environment).unsaid(&format!("{name}={value}"), said));
    }
    assert!(missed.is_empty(), "\n{}", missed.join("\n\n"));
}

#[test]
fn all_faults_are_reported_at_once() {
    let all = [
        ("message_queue.tsk", "payment_exchange:", "payments_exchange:"),
        ("message_queue.tsk", "payment_events:", "payment_event:"),
        ("auth.tsk", "\"GET /api/payments/customer\"", "\"GET /api/payments/costumer\""),
        ("services.tsk", "[service:user-service]", "[service:users-service]"),
    ];

    let checked = check(&all, &environment());

    let said =
        ["payments_exchange:", "payment_event:", "costumer is no route", "[service:user-service]"];
    let missed = checked.unsaid("all of them", &said);
    assert!(missed.is_none(), "{missed:?}");
}

/// What `--check-config` said, and of which files.
struct Checked {
    output: Output,
    folder: TempDir,
}

impl Checked {
    /// What is missing in what was said; nothing when it is all there and the check failed.
    fn unsaid(&self, wrong: &str, said: &[&str]) -> Option<String> {
        let text = String::from_utf8_lossy(&self.output.stderr);
        let said = said.iter().map(|said| with_line(self.folder.path(), said));
        let missing: Vec<String> = said.filter(|said| !text.contains(said.as_str())).collect();
        let is_right = !self.output.status.success() && missing.is_empty();
        (!is_right).then(|| format!("{wrong:?}: {missing:?} is not said:\n{text}"))
    }
}

/// The answer of `--check-config` on the shipped files, with these changes.
fn check(changes: &[(&str, &str, &str)], environment: &Environment) -> Checked {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(testkit::config_dir()).unwrap() {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if from.is_file() {
            fs::copy(from, folder.path().join(name)).unwrap();
        }
    }
    for (file, right, wrong) in changes {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(right), "{file} has no {right}");
        fs::write(path, text.replacen(right, wrong, 1)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_payment-service"))
        .arg("--check-config")
        .env_clear()
        .envs(environment)
        .env("CONFIG_DIR", folder.path())
        .output()
        .unwrap();
    Checked { output, folder }
}

/// What has to be set.
fn environment() -> Environment {
    let secret = "test-only-secret-of-at-least-32-bytes";
    let values = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("JWT_SECRET", secret),
        ("STRIPE_API_KEY", secret),
        ("PAYMENT_SERVICE_TOKEN", secret),
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
