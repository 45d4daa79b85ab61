//! The whole system behind a `PgBouncer` in transaction mode, whose sessions are fewer than what the
//! services open.

use futures_util::future::join_all;
use reqwest::StatusCode;
use testkit::native::{PgBouncer, ServerOptions};
use tokio::task::block_in_place;

use crate::system::Fixture;

/// Callers at the same time: more than there are sessions.
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn requests_payments_and_mails_go_through_few_sessions_of_a_pooler() {
    let mut fixture = Fixture::set_up().await;
    let users: Vec<_> = fixture.databases.iter().map(testkit::TestDatabase::credentials).collect();
    let options = ServerOptions::temporary().unwrap();
    let port = fixture.databases[0].server_port();
    let start = || PgBouncer::start(&options, port, &users, "default_pool_size = 3").unwrap();
    let pooler = block_in_place(start);
    let at = ([127, 0, 0, 1], pooler.port()).into();
    let through = fixture.databases.iter().map(|database| database.url_through(at));
    fixture.database_urls = through.collect();
    fixture.settings.push(("DB_TRANSACTION_POOLING", "true".to_owned()));
    let users = fixture.environment(0);
    let system = fixture.start(users).await;
    let user = system.new_user().await;

    let paid = join_all((0..CALLERS).map(async |caller| {
        let paid = system.pay(&user.token, &format!("order-{caller}"), "pm_card_visa").await;
        paid.status()
    }));

    assert_eq!(paid.await, [StatusCode::CREATED; CALLERS]);
    testkit::eventually("each payment has its receipt", async || {
        (system.sent(&user.token, "payment_receipt").await.len() == CALLERS).then_some(())
    })
    .await;
    assert_eq!(system.simulator.charges().len(), CALLERS);
}
