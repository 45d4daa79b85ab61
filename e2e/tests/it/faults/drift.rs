//! A queue that is there already, and is another one.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use reqwest::Method;
use testkit::eventually;

use crate::system::Fixture;

#[tokio::test]
async fn a_service_whose_queue_has_other_arguments_serves_on_and_says_so() {
    let fixture = Fixture::set_up().await;
    let uri = fixture.broker.amqp_uri();
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let classic = "user-service.events".into();
    channel.queue_declare(classic, options, FieldTable::default()).await.unwrap();

    let users = fixture.environment(0);
    let system = fixture.start(users).await;

    system.new_user().await;
    let drift = "messaging_topology_drift{name=\"user-service.events\"} 1";
    eventually("the metrics tell of it", async || {
        let metrics = system.request(Method::GET, &system.users.url("/metrics"));
        let metrics = metrics.send().await.ok()?.text().await.ok()?;
        metrics.contains(drift).then_some(())
    })
    .await;
    let log = system.users.log();
    assert!(log.contains("queue or exchange has other arguments than the settings say"), "{log}");
}
