//! What a campaign stands on: two servers behind wires, two publishers, two consumers.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messaging::{Broker, DeadLetterQueue};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;
use testkit::native::{Launch, Place, Postgres, ProcessId, RabbitMq, Signal};
use testkit::{Environment, Proxy, TestBroker, TestDatabase};
use tokio::time::{Instant, sleep};
use tusk_config::Vars;

use crate::campaign::Wrong;
use crate::campaign::oracle::Findings;
use crate::campaign::schedule::{Fault, Step};
use crate::campaign::worker::{intent_of, settings};

/// After which nothing more is taken to come: longer than the longest pause of a message whose
/// database was away, half a minute.
const QUIET: Duration = Duration::from_secs(40);
/// Effects before the first fault: some seconds' worth. Before that a fault hits nobody; and RabbitMQ
/// 3.10 writes down a new quorum queue within some hundred milliseconds, so that a node which is
/// killed earlier comes back with a queue that never answers.
const FLOWING: i64 = 500;
/// How long a worker may take to drain.
const DRAIN: Duration = Duration::from_secs(30);

/// The servers, as long as the campaign lasts.
enum Servers {
    /// The test's own, to be killed and frozen.
    Own { postgres: Arc<Mutex<Postgres>>, rabbitmq: Arc<Mutex<RabbitMq>> },
    /// Those that tests share; faults are on the wires alone.
    Shared { _given_back: Box<(TestDatabase, TestBroker)> },
}

pub(crate) struct Ground {
    servers: Servers,
    database_wire: Proxy,
    pub(crate) broker_wire: Proxy,
    pub(crate) pool: PgPool,
    dlq: DeadLetterQueue,
    publishers: [Worker; 2],
    consumers: [Worker; 2],
    _logs: TempDir,
}

impl Ground {
    /// Starts everything that these faults need.
    pub(crate) async fn lay(faults: &[Fault], wrong: Option<Wrong>) -> Self {
        let own = faults.iter().any(|fault| fault.is_of_a_server());
        let (servers, url, mut variables) = if own { own_servers().await } else { shared().await };
        let at = |name: &str| variables[name].clone();
        let broker = format!("{}:{}", at("RABBITMQ_HOST"), at("RABBITMQ_PORT"));
        let (host, _) = url.rsplit_once('@').unwrap().1.split_once('/').unwrap();
        let (database_wire, broker_wire) = tokio::join!(Proxy::start(host), Proxy::start(broker));
        let pool = PgPoolOptions::new().max_connections(3).connect(&url).await.unwrap();
        make_tables(&pool).await;
        let settings = settings(Vars::of(variables.clone()));
        let dlq = DeadLetterQueue::new(
            Broker::new("campaign", &settings.rabbitmq),
            &settings,
            "user_events",
        );
        let through = url.replace(host, &database_wire.address().to_string());
        let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
        set("DATABASE_URL", through);
        set("RABBITMQ_HOST", "127.0.0.1".to_owned());
        set("RABBITMQ_PORT", broker_wire.port().to_string());
        if let Some(wrong) = wrong {
            set("CAMPAIGN_WRONG", format!("{wrong:?}"));
        }
        let logs = tempfile::tempdir().unwrap();
        let start = |role: &'static str| {
            ["1", "2"].map(|number| Worker::start(role, number, &variables, &logs))
        };
        let (publishers, consumers) = (start("publisher"), start("consumer"));
        let dlq = dlq.unwrap();
        Self { servers, database_wire, broker_wire, pool, dlq, publishers, consumers, _logs: logs }
    }

    /// Waits until events flow from end to end, for some seconds: on a busy machine for longer, as
    /// long as another one comes now and then.
    pub(crate) async fn until_flowing(&self) {
        let mut flown = 0;
        while flown < FLOWING {
            flown = testkit::eventually(&format!("events flow, after {flown}"), async || {
                let count = sqlx::query_scalar::<_, i64>("select count(*) from effects");
                count.fetch_one(&self.pool).await.ok().filter(|count| *count > flown)
            })
            .await;
        }
    }

    /// Lets a fault happen, and end.
    pub(crate) async fn suffer(&mut self, step: &Step) {
        let Step { fault, which, lasts, .. } = *step;
        match fault {
            Fault::BrokerCutOff => cut_off(&self.broker_wire, lasts).await,
            Fault::BrokerBehindABlackHole => {
                self.broker_wire.freeze().await;
                sleep(lasts).await;
                self.broker_wire.thaw().await;
            }
            Fault::DatabaseCutOff => cut_off(&self.database_wire, lasts).await,
            Fault::PublisherKilled => self.publishers[which].kill_and_start(),
            Fault::ConsumerKilled => self.consumers[which].kill_and_start(),
            Fault::PublisherFrozen => self.publishers[which].freeze(lasts).await,
            Fault::ConsumerFrozen => self.consumers[which].freeze(lasts).await,
            Fault::PublisherTerminated => self.publishers[which].drain_and_start().await,
            Fault::ConsumerTerminated => self.consumers[which].drain_and_start().await,
            of_a_server => self.servers.suffer(of_a_server, lasts).await,
        }
    }

    /// Intents that are committed.
    pub(crate) async fn committed(&self) -> u64 {
        let count = async || {
            let count = sqlx::query_scalar::<_, i64>("select count(*) from intents");
            count.fetch_one(&self.pool).await
        };
        insist(count).await.unsigned_abs()
    }

    /// Ends the flow of new intents; the relays go on.
    pub(crate) async fn stop_publishing(&self) {
        let close = async || sqlx::query("update flow set open = false").execute(&self.pool).await;
        insist(close).await;
    }

    /// Waits until nothing is missing, or nothing comes any more.
    pub(crate) async fn until_quiet(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let (mut last, mut since) = ((0, 0, 0), Instant::now());
        while Instant::now() < end {
            let findings = self.findings().await;
            if findings.is_complete() {
                return;
            }
            let now = (findings.effects.len(), findings.dead_letters.len(), findings.outbox);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > QUIET {
                break;
            }
            sleep(Duration::from_millis(300)).await;
        }
        self.print_logs();
    }

    /// What the workers said last, for whoever has to find out what is wrong.
    #[allow(clippy::print_stdout, reason = "it is for people")]
    fn print_logs(&self) {
        for worker in self.publishers.iter().chain(&self.consumers) {
            let log = testkit::native::log_tail(&worker.log, 15);
            println!("{} {}:\n{log}", worker.role, worker.number);
        }
    }

    pub(crate) async fn findings(&self) -> Findings {
        let pool = &self.pool;
        let committed = sqlx::query_scalar::<_, i64>("select intent from intents");
        let committed = committed.fetch_all(pool).await.unwrap().into_iter().collect();
        let effects =
            sqlx::query_as::<_, (i64, i64)>("select intent, count(*) from effects group by intent");
        let effects = effects.fetch_all(pool).await.unwrap().into_iter();
        let effects = effects.map(|(intent, times)| (intent, times.unsigned_abs())).collect();
        let outbox = sqlx::query_scalar("select count(*) from messaging_outbox");
        let outbox = outbox.fetch_one(pool).await.unwrap();
        let all = serde_json::from_str(r#"{"limit": 1000}"#).unwrap();
        let dead_letters = insist(async || self.dlq.list(&all).await).await.items.into_iter();
        let dead_letters = dead_letters.map(|dead_letters| intent_of(&dead_letters.id)).collect();
        Findings { committed, effects, dead_letters, outbox }
    }
}

impl Servers {
    async fn suffer(&self, fault: Fault, lasts: Duration) {
        let Self::Own { postgres, rabbitmq } = self else {
            unreachable!("servers of its own are there when a fault needs them");
        };
        let (postgres, rabbitmq) = (Arc::clone(postgres), Arc::clone(rabbitmq));
        let happen = move || {
            let rest = || std::thread::sleep(lasts);
            let (mut postgres, mut rabbitmq) = (postgres.lock().unwrap(), rabbitmq.lock().unwrap());
            match fault {
                Fault::BrokerKilled => rabbitmq.kill().and_then(|()| rabbitmq.start_again()),
                Fault::BrokerFrozen => rabbitmq.freeze().and_then(|()| {
                    rest();
                    rabbitmq.cont()
                }),
                Fault::BrokerShortOfDisk => {
                    rabbitmq.control(&["set_disk_free_limit", "1000000GB"]).and_then(|()| {
                        rest();
                        rabbitmq.control(&["set_disk_free_limit", "1MB"])
                    })
                }
                Fault::DatabaseKilled => postgres.kill().and_then(|()| postgres.start_again()),
                Fault::DatabaseFrozen => postgres.freeze().and_then(|()| {
                    rest();
                    postgres.cont()
                }),
                other => unreachable!("{other:?} is no fault of a server"),
            }
        };
        tokio::task::spawn_blocking(happen).await.unwrap().unwrap();
    }
}

async fn cut_off(wire: &Proxy, lasts: Duration) {
    wire.cut().await;
    sleep(lasts).await;
    wire.restore().await;
}

/// A process that publishes or consumes. Killed when dropped.
struct Worker {
    role: &'static str,
    number: &'static str,
    variables: Environment,
    log: PathBuf,
    process: ProcessId,
}

impl Worker {
    fn start(
        role: &'static str,
        number: &'static str,
        variables: &Environment,
        logs: &TempDir,
    ) -> Self {
        let log = logs.path().join(format!("{role}-{number}.log"));
        let process = launch(role, number, variables, &log);
        Self { role, number, variables: variables.clone(), log, process }
    }

    fn kill_and_start(&mut self) {
        self.process.kill().unwrap();
        self.start_again();
    }

    async fn drain_and_start(&mut self) {
        let process = self.process;
        let stopping = tokio::task::spawn_blocking(move || process.stop(Signal::TERM, DRAIN));
        let in_order = stopping.await.unwrap().unwrap();
        let log = testkit::native::log_tail(&self.log, 30);
        assert!(in_order, "{} {} did not drain:\n{log}", self.role, self.number);
        self.start_again();
    }

    async fn freeze(&self, lasts: Duration) {
        self.process.freeze().unwrap();
        sleep(lasts).await;
        self.process.cont().unwrap();
    }

    fn start_again(&mut self) {
        self.process = launch(self.role, self.number, &self.variables, &self.log);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _nobody_to_tell = self.process.kill();
    }
}

/// The worker is this very program, told by its arguments to run one "test".
fn launch(role: &str, number: &str, variables: &Environment, log: &std::path::Path) -> ProcessId {
    let program = std::env::current_exe().unwrap();
    let mut launch = Launch::new(&program, log)
        .append(true)
        .args(["--exact", "campaign::worker::works", "--ignored", "--nocapture"])
        .env("CAMPAIGN_ROLE", role)
        .env("CAMPAIGN_NUMBER", number);
    for (name, value) in variables {
        launch = launch.env(name, value);
    }
    launch.spawn().unwrap()
}

async fn own_servers() -> (Servers, String, Environment) {
    let start = || {
        let rabbitmq = RabbitMq::launch(&Place::temporary().unwrap()).unwrap();
        let postgres = Postgres::start(&Place::temporary().unwrap()).unwrap();
        rabbitmq.wait_ready().unwrap();
        (postgres, rabbitmq)
    };
    let (postgres, rabbitmq) = tokio::task::spawn_blocking(start).await.unwrap();
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = Environment::from([
        text("RABBITMQ_HOST", "127.0.0.1"),
        text("RABBITMQ_PORT", &rabbitmq.port().to_string()),
        text("RABBITMQ_USERNAME", rabbitmq.username()),
        text("RABBITMQ_PASSWORD", rabbitmq.password()),
        text("RABBITMQ_VHOST", "/"),
    ]);
    let url = postgres.url();
    let (postgres, rabbitmq) = (Arc::new(Mutex::new(postgres)), Arc::new(Mutex::new(rabbitmq)));
    (Servers::Own { postgres, rabbitmq }, url, variables)
}

async fn shared() -> (Servers, String, Environment) {
    let (database, broker) = tokio::join!(testkit::database("campaign"), testkit::broker());
    let (url, variables) = (database.url().to_owned(), testkit::environment(&database, &broker));
    (Servers::Shared { _given_back: Box::new((database, broker)) }, url, variables)
}

async fn make_tables(pool: &PgPool) {
    messaging::migrate(pool).await.unwrap();
    for table in [
        // Publishers wait for a consumer: what nobody has ever bound a queue for is put off.
        "create table flow (open boolean not null, heard boolean not null)",
        "insert into flow values (true, false)",
        "create table intents (intent bigint primary key, publisher text not null)",
        // No unique key: what happens twice must show.
        "create table effects (intent bigint not null, message_id text not null)",
    ] {
        sqlx::query(table).execute(pool).await.unwrap();
    }
}

/// Tries until a server that was killed a moment ago answers.
async fn insist<T, E: Debug>(mut work: impl AsyncFnMut() -> Result<T, E>) -> T {
    testkit::eventually("the server answers", async || work().await.ok()).await
}
