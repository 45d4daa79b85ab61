//! The servers of a campaign, and what can happen to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::native::{Postgres, RabbitMq, ServerOptions};
use testkit::{Environment, TestBroker, TestDatabase};

use crate::campaign::schedule::Fault;

/// As long as the campaign lasts.
pub(super) enum Servers {
    /// The test's own, to be killed and frozen.
    Own { postgres: Arc<Mutex<Postgres>>, rabbitmq: Arc<Mutex<RabbitMq>> },
    /// Those that tests share; faults are on the wires alone.
    Shared { _given_back: Box<(TestDatabase, TestBroker)> },
}

impl Servers {
    /// Those that these faults need, with the database's address and the variables that name them.
    pub(super) async fn start(faults: &[Fault]) -> (Self, String, Environment) {
        if faults.iter().any(|fault| fault.is_of_a_server()) { own().await } else { shared().await }
    }

    pub(super) async fn inject(&self, fault: Fault, lasts: Duration) {
        let Self::Own { postgres, rabbitmq } = self else {
            unreachable!("servers of its own are there when a fault needs them");
        };
        let postgres = Arc::clone(postgres);
        let rabbitmq = Arc::clone(rabbitmq);
        let happen = move || {
            let rest = || std::thread::sleep(lasts);
            let mut postgres = postgres.lock().unwrap();
            let mut rabbitmq = rabbitmq.lock().unwrap();
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

async fn own() -> (Servers, String, Environment) {
    let start = || {
        let mut rabbitmq = RabbitMq::launch(&ServerOptions::temporary().unwrap()).unwrap();
        let postgres = Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
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
    let postgres = Arc::new(Mutex::new(postgres));
    let rabbitmq = Arc::new(Mutex::new(rabbitmq));
    (Servers::Own { postgres, rabbitmq }, url, variables)
}

async fn shared() -> (Servers, String, Environment) {
    let (database, broker) = tokio::join!(testkit::database("campaign"), testkit::broker());
    let url = database.url().to_owned();
    let variables = testkit::environment(&database, &broker);
    (Servers::Shared { _given_back: Box::new((database, broker)) }, url, variables)
}
