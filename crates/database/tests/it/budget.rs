//! The connections that the settings want, and those that a server has.

use testkit::native::{Postgres, ServerOptions};

use crate::settings;

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_the_server_has_end_the_start_with_both_numbers() {
    let postgres = Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
    let settings = database::DatabaseSettings {
        pool_size: 290.try_into().unwrap(),
        background_pool_size: 10.try_into().unwrap(),
        ..settings(&postgres.url())
    };

    let error = database::connect(&settings).await.unwrap_err().to_string();

    let expected = "[database] pool_size 290, background_pool_size 10 and one for health checks are \
                    301 connections, and what the server leaves to ordinary roles of its \
                    max_connections is 297";
    assert!(error.contains(expected), "{error}");
}
