//! AMQP over TLS, with certificates of an authority of the test's own.

use std::path::PathBuf;

use chrono::Utc;
use messaging::direct::PublishError;
use messaging::{Broker, Consumer, EventPublisher, MessagingSettings, Verdict};
use testkit::certificates::Certificates;
use testkit::native::{RabbitMq, ServerOptions};
use uuid::Uuid;

use crate::world::{Notes, Running, created, settings_at};

/// A name that a URL would have to escape.
const VHOST: &str = "orders/eu";

/// A broker that also speaks TLS, and the authority that vouches for it.
struct Secured {
    rabbitmq: RabbitMq,
    port: u16,
    certificates: Certificates,
}

impl Secured {
    fn start() -> Self {
        let certificates = Certificates::new();
        let options = ServerOptions::temporary().unwrap();
        let port = testkit::native::port::free(None);
        let more = options.folder.join("conf.d");
        std::fs::create_dir_all(&more).unwrap();
        std::fs::write(more.join("tls.conf"), tls_settings(&certificates, port)).unwrap();
        Self { rabbitmq: RabbitMq::start(&options).unwrap(), port, certificates }
    }

    fn settings(&self, ca: PathBuf) -> MessagingSettings {
        let mut settings = settings_at("localhost", self.port);
        self.rabbitmq.username().clone_into(&mut settings.rabbitmq.username);
        settings.rabbitmq.password = self.rabbitmq.password().to_owned().into();
        VHOST.clone_into(&mut settings.rabbitmq.vhost);
        settings.rabbitmq.tls = true;
        settings.rabbitmq.tls_ca = ca;
        settings
    }
}

fn tls_settings(certificates: &Certificates, port: u16) -> String {
    format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\n\
         ssl_options.cacertfile = {}\n\
         ssl_options.certfile = {}\n\
         ssl_options.keyfile = {}\n\
         default_vhost = {VHOST}\n",
        certificates.authority().display(),
        certificates.certificate().display(),
        certificates.key().display(),
    )
}

#[tokio::test]
async fn events_go_over_tls_and_through_a_virtual_host_of_any_name() {
    let secured = tokio::task::spawn_blocking(Secured::start).await.unwrap();
    let settings = secured.settings(secured.certificates.authority());
    let broker = Broker::new("user-service", &settings.rabbitmq);
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let consumer = Consumer::new(broker.clone(), &settings, "user_events", handler).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    testkit::eventually("the consumer is subscribed", async || broker.is_connected().then_some(()))
        .await;
    let publish = async |settings: &MessagingSettings| {
        let broker = Broker::new("user-service", &settings.rabbitmq);
        let publisher = EventPublisher::new("user-service", &broker, settings).unwrap();
        publisher.publish(Uuid::now_v7(), Utc::now(), &created(1)).await
    };

    // The broker's certificate is vouched for by somebody else; by nobody that is known.
    for ca in [secured.certificates.stranger(), PathBuf::new()] {
        let refused = publish(&secured.settings(ca.clone())).await;
        assert!(matches!(refused, Err(PublishError::Unavailable)), "{ca:?}: {refused:?}");
    }
    publish(&settings).await.unwrap();

    assert_eq!(seen.wait_for(1).await.len(), 1);
}
