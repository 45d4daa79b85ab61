//! The test fixture of a campaign: two servers behind wires, two publishers, two consumers of two
//! readers' queues, and now and then a third reader.

use std::fmt::Debug;
use std::time::Duration;

use messaging::{Broker, DeadLetterQueue, MessagingSettings};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;
use testkit::{Environment, Proxy};
use tokio::time::{Instant, sleep};
use tusk_config::Vars;

use crate::campaign::Sabotage;
use crate::campaign::intent;
use crate::campaign::operator::Operator;
use crate::campaign::oracle::Findings;
use crate::campaign::process::Process;
use crate::campaign::reader::{Reader, settings};
use crate::campaign::schedule::Fault;
use crate::campaign::servers::Servers;

/// After which nothing more is taken to come: longer than the longest delay of a message whose
/// database was away, half a minute.
const QUIET: Duration = Duration::from_secs(40);
/// Effects before the first fault: some seconds' worth. Before that a fault hits nobody; and RabbitMQ
/// 3.10 writes down a new quorum queue within some hundred milliseconds, so that a node which is
/// killed earlier comes back with a queue that never answers.
const FLOWING: i64 = 1_000;
/// How often it is asked what has become of all intents.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

pub(crate) struct Fixture {
    pub(super) servers: Servers,
    pub(super) settings: MessagingSettings,
    pub(super) operator: Operator,
    pub(super) database_wire: Proxy,
    pub(crate) broker_wire: Proxy,
    pub(crate) pool: PgPool,
    dead_letter_queues: [(Reader, DeadLetterQueue); 3],
    variables: Environment,
    pub(super) publishers: [Process; 2],
    pub(super) consumers: [Process; 2],
    pub(super) late: Option<Process>,
    /// Unreadable messages so far.
    pub(super) unreadable: i64,
    logs: TempDir,
}

impl Fixture {
    /// Starts everything that these faults need.
    pub(crate) async fn set_up(faults: &[Fault], sabotage: Option<Sabotage>) -> Self {
        let (servers, url, mut variables) = Servers::start(faults).await;
        let settings = settings(Vars::of(variables.clone()));
        let (host, _) = url.rsplit_once('@').unwrap().1.split_once('/').unwrap();
        let broker = format!("{}:{}", settings.rabbitmq.host, settings.rabbitmq.port);
        let (database_wire, broker_wire) = tokio::join!(Proxy::start(host), Proxy::start(broker));
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
        make_tables(&pool).await;
        let through = url.replace(host, &database_wire.address().to_string());
        let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
        set("DATABASE_URL", through);
        set("RABBITMQ_HOST", "127.0.0.1".to_owned());
        set("RABBITMQ_PORT", broker_wire.port().to_string());
        if let Some(sabotage) = sabotage {
            set("CAMPAIGN_SABOTAGE", format!("{sabotage:?}"));
        }
        let logs = tempfile::tempdir().unwrap();
        let start =
            |role| ["1", "2"].map(|number| Process::start(role, number, &variables, logs.path()));
        let publishers = start("publisher");
        let consumers = start("consumer");
        let broker = Broker::new("campaign", &settings.rabbitmq);
        let dead_letter_queues = Reader::ALL.map(|reader| {
            let queue = DeadLetterQueue::new(broker.clone(), &settings, reader.key());
            (reader, queue.unwrap())
        });
        let operator = Operator::new(&settings.rabbitmq);
        let mut fixture = Self {
            servers,
            settings,
            operator,
            database_wire,
            broker_wire,
            pool,
            dead_letter_queues,
            variables,
            publishers,
            consumers,
            late: None,
            unreadable: 0,
            logs,
        };
        if !faults.contains(&Fault::LateReaderCame) {
            fixture.start_late_reader();
        }
        fixture
    }

    /// Starts the reader of what is unroutable without it, unless it is there.
    pub(super) fn start_late_reader(&mut self) {
        let start = || Process::start("late", "1", &self.variables, self.logs.path());
        self.late.get_or_insert_with(start);
    }

    /// The name of a reader's queue.
    pub(super) fn queue(&self, reader: Reader) -> &str {
        self.settings.queue(reader.key()).unwrap()
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

    /// Intents that are committed.
    pub(crate) async fn committed(&self) -> u64 {
        let count = async || {
            let count = sqlx::query_scalar::<_, i64>("select count(*) from intents");
            count.fetch_one(&self.pool).await
        };
        insist(count).await.unsigned_abs()
    }

    /// Ends the flow of new intents; the relays go on, and every event has a reader.
    pub(crate) async fn stop_publishing(&mut self) {
        let close = async || sqlx::query("update flow set open = false").execute(&self.pool).await;
        insist(close).await;
        self.start_late_reader();
    }

    /// Waits until nothing is missing, or nothing comes any more.
    pub(crate) async fn until_quiet(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut last = (0, 0, 0);
        let mut since = Instant::now();
        while Instant::now() < end {
            self.try_what_is_held().await;
            let findings = self.findings().await;
            if findings.is_complete() {
                return;
            }
            let effects = findings.effects.values().map(Vec::len).sum::<usize>();
            let now = (effects, findings.dead_letters.len(), findings.outbox.len());
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > QUIET {
                break;
            }
            sleep(POLL_INTERVAL).await;
        }
        self.print_logs();
    }

    /// Has what is held tried at once, as an operator would.
    pub(super) async fn try_what_is_held(&self) {
        let hasten = "update messaging_holds set next_attempt_at = now()
                      where next_attempt_at > now() + interval '1 s'";
        insist(async || sqlx::query(hasten).execute(&self.pool).await).await;
    }

    /// Waits until a reader has all that has left the outbox.
    pub(super) async fn until_all_is_read(&self, reader: Reader, limit: Duration) {
        let what = format!("{reader:?} has all that was sent");
        self.within(limit, &what, async || self.findings().await.has_all_that_was_sent(reader))
            .await;
    }

    /// Waits for a condition that may take longer than tests wait otherwise.
    pub(super) async fn within(
        &self,
        limit: Duration,
        what: &str,
        mut is_so: impl AsyncFnMut() -> bool,
    ) {
        let end = Instant::now() + limit;
        while !is_so().await {
            if Instant::now() > end {
                self.print_logs();
                panic!("waited {limit:?} in vain until {what}");
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// What the workers said last, for whoever has to find out what is wrong.
    #[allow(clippy::print_stdout, reason = "it is for people")]
    fn print_logs(&self) {
        for process in self.publishers.iter().chain(&self.consumers).chain(&self.late) {
            println!("{}:\n{}", process.name(), process.log_tail(15));
        }
    }

    pub(crate) async fn findings(&self) -> Findings {
        insist(async || self.look().await).await
    }

    /// First what there is to be, then what there is.
    async fn look(&self) -> Result<Findings, Box<dyn std::error::Error>> {
        let pool = &self.pool;
        let committed = sqlx::query_scalar::<_, i64>("select intent from intents");
        let committed = committed.fetch_all(pool).await?.into_iter().collect();
        let outbox = sqlx::query_scalar::<_, String>("select event_id::text from messaging_outbox");
        let outbox = outbox.fetch_all(pool).await?;
        let outbox = outbox.iter().map(|event_id| intent::of_event(event_id)).collect();
        let mut findings = Findings { committed, outbox, ..Findings::default() };
        let effects =
            sqlx::query_as::<_, (String, i64)>("select reader, intent from effects order by id");
        for (key, intent) in effects.fetch_all(pool).await? {
            findings.effects.entry(Reader::of_key(&key)).or_default().push(intent);
        }
        let all = serde_json::from_str(r#"{"limit": 1000}"#)?;
        for (reader, queue) in &self.dead_letter_queues {
            let dead_letters = queue.list(&all).await?.items.into_iter();
            let intents = dead_letters.map(|dead_letter| intent::of_event(&dead_letter.id));
            findings.dead_letters.extend(intents.map(|intent| (*reader, intent)));
        }
        Ok(findings)
    }
}

async fn make_tables(pool: &PgPool) {
    messaging::migrate(&pool.clone().into()).await.unwrap();
    for table in [
        // Publishers wait for a consumer: a sabotaged relay makes no queues for it.
        "create table flow (open boolean not null, heard boolean not null)",
        "insert into flow values (true, false)",
        "create table intents (intent bigint primary key, publisher bigint not null)",
        // No unique key: what happens twice must show. The id is the order.
        "create table effects (id bigserial, reader text not null, intent bigint not null,
             message_id text not null)",
    ] {
        sqlx::query(table).execute(pool).await.unwrap();
    }
}

/// Tries until a server that was killed a moment ago answers.
pub(super) async fn insist<T, E: Debug>(mut work: impl AsyncFnMut() -> Result<T, E>) -> T {
    testkit::eventually("the server answers", async || work().await.ok()).await
}
