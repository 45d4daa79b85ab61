//! A start with faults: every one is reported with its place, and no port is opened.

use testkit::{ServiceProcess, eventually};

use crate::system::Ground;

#[tokio::test]
async fn a_missing_secret_and_a_mistyped_number_are_both_reported_and_nothing_listens() {
    let ground = Ground::lay().await;
    for name in ["user-service", "payment-service", "notification-service"] {
        let mut variables = ground.environment(0);
        variables.remove("JWT_SECRET");
        variables.insert("RABBITMQ_PORT".to_owned(), "fivethousand".to_owned());
        let mut service = ServiceProcess::spawn(name, &variables);
        let ended = eventually("the service ends", async || service.exited()).await;
        assert_eq!(ended.code(), Some(1), "{name}");
        let log = service.log();
        assert!(log.contains("auth.tsk:3:13: JWT_SECRET is not set"), "{log}");
        assert!(log.contains("message_queue.tsk:4:7: RABBITMQ_PORT"), "{log}");
        assert!(std::net::TcpStream::connect(("127.0.0.1", service.port())).is_err());
    }
}
