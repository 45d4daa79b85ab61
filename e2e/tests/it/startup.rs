//! A start with faults: every one is reported with its place, and no port is opened.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use testkit::native::psql::with_database;
use testkit::{ServiceProcess, binary, eventually};

use crate::system::{Fixture, config_with};

#[tokio::test]
async fn a_missing_secret_and_a_mistyped_number_are_both_reported_and_nothing_listens() {
    let fixture = Fixture::set_up().await;
    for name in ["user-service", "payment-service", "notification-service"] {
        let mut variables = fixture.environment(0);
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

#[tokio::test]
async fn a_route_without_a_rule_a_rule_without_a_route_and_a_lack_of_keys_end_the_start() {
    let fixture = Fixture::set_up().await;
    let folder = config_with("auth.tsk", "/api/users/me", "/api/users/you");
    let missing = ":1: GET /api/users/me has no rule";
    let config = folder.path().display().to_string();
    for (name, value, expected) in [
        ("CONFIG_DIR", config.as_str(), missing),
        ("JWT_ALGORITHM", "EdDSA", "[keys] has no key to sign with"),
        ("JWT_ALGORITHM", "none", "JWT_ALGORITHM is \"none\", not one of HS256, EdDSA, RS256"),
        ("USER_SERVICE_TOKEN", "hunter2", "USER_SERVICE_TOKEN: a secret of 16 bytes or more"),
    ] {
        let mut variables = fixture.environment(0);
        variables.insert(name.to_owned(), value.to_owned());
        let mut service = ServiceProcess::spawn("user-service", &variables);
        let ended = eventually("the service ends", async || service.exited()).await;
        let log = service.log();
        assert_eq!(ended.code(), Some(1), "{log}");
        // In a log of JSON.
        let log = log.replace("\\\"", "\"");
        assert!(log.contains(expected) && !log.contains("hunter2"), "{log}");
        let extra = ":1: GET /api/users/you is no route";
        assert!(expected != missing || log.contains(extra), "{log}");
    }
}

/// The kernel spares process 1 of a container the signals that it does not handle, as it spares any
/// process those that it was started to ignore.
#[tokio::test]
async fn sigterm_ends_a_service_that_waits_for_its_database_even_where_unhandled_signals_are_ignored()
 {
    let fixture = Fixture::set_up().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["user-service", "payment-service", "notification-service"] {
        let script = folder.path().join(name);
        let text = format!("#!/bin/sh\ntrap '' TERM\nexec '{}'\n", binary(name).display());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut variables = fixture.environment(0);
        let nowhere = "postgres://nobody:nothing@127.0.0.1:1/nothing";
        variables.insert("DATABASE_URL".to_owned(), nowhere.to_owned());
        let mut service = ServiceProcess::spawn_at(&script, &variables);
        eventually("it waits for its database", async || {
            service.log().contains("waiting for the database").then_some(())
        })
        .await;
        // It waits for a minute, and the end is not waited for as long.
        let ended = service.terminate().await;
        assert!(ended.success(), "{ended}\n{}", service.log_tail());
        assert!(service.log().contains("stopped before it was started"), "{}", service.log_tail());
    }
}

/// What an operator is told of a database that cannot be used: by the service, as it is shipped.
#[tokio::test]
async fn a_start_without_a_usable_database_says_which_one_and_why_and_not_the_password() {
    let fixture = Fixture::set_up().await;
    let (user, password) = fixture.databases[0].credentials();
    let url = fixture.databases[0].url();
    let nowhere = format!("postgres://{user}:{password}@127.0.0.1:1/nothing");
    let wrong = url.replace(password, "not-the-password");
    for (url, why) in [
        (nowhere, "database `nothing` at 127.0.0.1:1 as user"),
        (wrong.clone(), "(SQLSTATE 28P01)"),
        (with_database(url, "nothing"), "(SQLSTATE 3D000)"),
    ] {
        let mut variables = fixture.environment(0);
        variables.insert("DATABASE_URL".to_owned(), url);
        variables.insert("DB_START_TIMEOUT".to_owned(), "1s".to_owned());
        let mut service = ServiceProcess::spawn("user-service", &variables);
        let ended = eventually("the service ends", async || service.exited()).await;
        let log = service.log();
        assert_eq!(ended.code(), Some(1), "{log}");
        assert!(log.contains(why) && log.contains(user), "{log}");
        assert!(!log.contains(password) && !log.contains("not-the-password"), "{log}");
    }
}

#[tokio::test]
async fn sigterm_ends_a_service_that_waits_for_another_ones_migration_or_for_a_locked_table() {
    let fixture = Fixture::set_up().await;
    let variables = fixture.environment(0);
    let watcher = fixture.databases[0].pool().await;
    let mut holder = watcher.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(1835624306, 1)").execute(&mut *holder).await.unwrap();
    ends_in_order_while(&variables, "another process migrates the database").await;
    holder.rollback().await.unwrap();

    ServiceProcess::start("user-service", &variables).await;
    // The one that builds indexes of users, for which it waits for whoever writes to them.
    let undone = "delete from _sqlx_migrations where version = 7";
    sqlx::query(undone).execute(&watcher).await.unwrap();
    let mut holder = watcher.begin().await.unwrap();
    sqlx::query("lock table users, sessions").execute(&mut *holder).await.unwrap();
    ends_in_order_while(&variables, "a migration waits for a lock that others hold").await;
    holder.rollback().await.unwrap();

    let left = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                where locktype = 'advisory' and datname = current_database()";
    eventually("no lock is left", async || {
        let left: i64 = sqlx::query_scalar(left).fetch_one(&watcher).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}

/// Starts user-service, waits until its log says so, and ends it.
async fn ends_in_order_while(variables: &testkit::Environment, said: &str) {
    let mut service = ServiceProcess::spawn("user-service", variables);
    eventually(said, async || service.log().contains(said).then_some(())).await;
    let ended = service.terminate().await;
    assert!(ended.success(), "{ended}\n{}", service.log_tail());
    assert!(service.log().contains("stopped before it was started"), "{}", service.log_tail());
}
