//! Virtual hosts of tests.

use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};
use testkit::{Proxy, TestBroker, addresses, broker, environment, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::a_test;

/// A queue and a message in it, by the management interface, as an operator would.
async fn publish(vhost: &str, queue: &str) {
    let api = &addresses().rabbitmq_api;
    let client = reqwest::Client::new();
    let declared = client
        .put(format!("{api}/api/queues/{vhost}/{queue}"))
        .json(&json!({ "durable": true }))
        .send()
        .await
        .unwrap();
    assert!(declared.status().is_success());
    let published: Value = client
        .post(format!("{api}/api/exchanges/{vhost}/amq.default/publish"))
        .json(&json!({
            "properties": {},
            "routing_key": queue,
            "payload": "x",
            "payload_encoding": "string",
        }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(published["routed"], true);
}

async fn vhost_exists(vhost: &str) -> bool {
    let url = format!("{}/api/vhosts/{vhost}", addresses().rabbitmq_api);
    reqwest::get(url).await.unwrap().status().is_success()
}

#[tokio::test]
async fn queues_of_two_tests_do_not_meet_and_are_gone_with_the_test() {
    let other = broker().await;
    let unlike = other.vhost.clone();
    let vhost = a_test(async move {
        let one = broker().await;
        assert_ne!(one.vhost, unlike);
        publish(&one.vhost, "user-service.events").await;
        assert!(one.queue_exists("user-service.events").await);
        one.vhost.clone()
    });
    let vhost = vhost.await;
    assert!(!other.queue_exists("user-service.events").await);
    assert!(!vhost_exists(&vhost).await);
    assert!(vhost_exists(&other.vhost).await);
}

#[tokio::test]
async fn messages_of_a_queue_are_counted() {
    let broker = broker().await;
    assert_eq!(broker.queue_messages("none").await, 0);
    publish(&broker.vhost, "some").await;
    publish(&broker.vhost, "some").await;
    eventually("two messages are in the queue", async || {
        (broker.queue_messages("some").await == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn closing_connections_of_a_virtual_host_without_any_closes_none() {
    assert_eq!(broker().await.close_all_connections().await, 0);
}

#[tokio::test]
async fn closing_connections_ends_those_of_the_own_virtual_host_only() {
    let (one, other) = tokio::join!(broker(), broker());
    let connect = async |broker: &TestBroker| {
        Connection::connect(&broker.amqp_uri(), ConnectionProperties::default()).await.unwrap()
    };
    let ours = connect(&one).await;
    let theirs = connect(&other).await;
    let closed = async || (one.close_all_connections().await == 1).then_some(());
    eventually("the one connection is listed and closed", closed).await;
    eventually("the client has noticed", async || (!ours.status().connected()).then_some(())).await;
    assert!(theirs.status().connected());
}

#[tokio::test]
async fn the_amqp_port_answers_directly_and_through_a_proxy() {
    let broker = broker().await;
    let proxy = Proxy::start(broker.server()).await;
    for address in [broker.server(), proxy.address().to_string()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"AMQP\x00\x00\x09\x01").await.unwrap();
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [1], "a method frame, connection.start");
    }
}

#[tokio::test]
async fn the_uri_and_the_variables_name_the_same_virtual_host() {
    let (database, broker) = tokio::join!(testkit::database("variables"), broker());
    let variables = environment(&database, &broker);
    assert!(broker.amqp_uri().ends_with(&format!("/{}", broker.vhost)));
    assert_eq!(variables["RABBITMQ_VHOST"], broker.vhost);
    assert_eq!(variables["DATABASE_URL"], database.url());
    assert_eq!(testkit::vars(&database, &broker).get("PORT"), Some("0"));
}
