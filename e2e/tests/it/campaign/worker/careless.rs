//! A relay as it must not be: it deletes what it is about to publish, and waits for no confirm.

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tokio::time::sleep;

use crate::campaign::worker::{LINGER_LONG, Worker};

pub(super) async fn relay(worker: &Worker) {
    let uri = crate::campaign::operator::uri(&worker.settings.rabbitmq);
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    while !worker.shutdown.is_cancelled() {
        let rows = sqlx::query_as::<_, (String, String, Vec<u8>)>(
            "delete from messaging_outbox where id in
                 (select id from messaging_outbox order by id limit 50 for update skip locked)
             returning exchange, routing_key, envelope",
        );
        let rows = rows.fetch_all(&worker.database).await.unwrap();
        sleep(LINGER_LONG).await;
        for (exchange, key, body) in rows {
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            channel
                .basic_publish(exchange.into(), key.into(), options, &body, properties)
                .await
                .unwrap();
        }
    }
}
