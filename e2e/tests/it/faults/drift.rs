//! A queue that is there already, and is another one.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use testkit::{ServiceProcess, eventually};

use crate::system::Ground;

#[tokio::test]
async fn topology_drift_ends_the_service_and_names_the_queue() {
    let ground = Ground::lay().await;
    let uri = ground.broker.amqp_uri();
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let classic = "user-service.events".into();
    channel.queue_declare(classic, options, FieldTable::default()).await.unwrap();

    let mut service = ServiceProcess::spawn("user-service", &ground.environment(0));
    let ended = eventually("the service ends", async || service.exited()).await;

    let log = service.log();
    assert!(!ended.success(), "{log}");
    assert!(log.contains("user-service.events exists with other arguments"), "{log}");
}
