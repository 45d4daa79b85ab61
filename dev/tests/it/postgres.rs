//! PostgreSQL.

use std::os::unix::fs::PermissionsExt;

use testkit::native::{NativeError, Postgres, ServerOptions, psql, remove_data, servers_in};

use crate::{ask, assert_gone, assert_in_use};

/// `SSLRequest`, which every server answers with one byte.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

#[test]
fn it_answers_stands_still_runs_on_and_leaves_nothing() {
    let options = ServerOptions::temporary().unwrap();
    let postgres = Postgres::start(&options).unwrap();
    assert_eq!(psql::run(&postgres.url(), "select 40 + 2").unwrap(), "42");

    postgres.freeze().unwrap();
    assert!(ask(postgres.port(), &SSL_REQUEST).is_empty());
    postgres.cont().unwrap();
    assert_eq!(psql::run(&postgres.url(), "select 1").unwrap(), "1");

    let members = postgres.members();
    let port = postgres.port();
    let data = postgres.folder().to_owned();
    drop(postgres);
    assert_gone(&members, port, &options.folder);
    assert!(!data.exists());
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let mut postgres = Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
    psql::run(&postgres.url(), "create table kept (id int); insert into kept values (7)").unwrap();
    postgres.kill().unwrap();
    assert!(psql::run(&postgres.url(), "select 1").is_err());
    postgres.start_again().unwrap();
    assert_eq!(psql::run(&postgres.url(), "select id from kept").unwrap(), "7");
}

#[test]
fn the_password_of_kept_data_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::kept(folder.path().join("postgres"));
    let data = {
        let postgres = Postgres::start(&options).unwrap();
        psql::run(&postgres.url(), "create database orders").unwrap();
        postgres.folder().to_owned()
    };
    let postgres = Postgres::start(&options).unwrap();
    let orders = psql::with_database(&postgres.url(), "orders");
    assert_eq!(psql::run(&orders, "select current_database()").unwrap(), "orders");

    let stranger = psql::with_user(&orders, "postgres", "guess");
    let error = psql::run(&stranger, "select 1").unwrap_err();
    assert!(matches!(error, NativeError::Failed { .. }), "{error}");
    drop(postgres);
    // As root it lies outside of the folder, which is not removed with it.
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn an_error_of_a_statement_is_reported() {
    let postgres = Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
    let error = psql::run(&postgres.url(), "select 1; select nothing").unwrap_err();
    assert!(error.to_string().contains("column \"nothing\" does not exist"), "{error}");
}

#[test]
fn a_folder_has_one_server_at_a_time_and_names_it_to_a_second() {
    let options = ServerOptions::temporary().unwrap();
    let first = Postgres::start(&options).unwrap();
    assert_in_use(&Postgres::start(&options).unwrap_err(), first.process().pid, first.folder());
    assert_eq!(servers_in(&options.folder)[0].process, first.process());
    assert_eq!(psql::run(&first.url(), "select 1").unwrap(), "1", "the first one was left alone");
}

#[test]
fn a_cluster_whose_making_was_broken_off_is_made_anew() {
    let options = ServerOptions::temporary().unwrap();
    let data = Postgres::start(&options).unwrap().folder().join("data");
    let half = data.with_file_name("data.new");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    let postgres = Postgres::start(&options).unwrap();
    assert_eq!(psql::run(&postgres.url(), "select 1").unwrap(), "1");
    assert!(!half.exists());
}

#[test]
fn data_outside_of_a_private_home_is_found_and_removed_after_a_kill() {
    let home = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .unwrap();
    let options = ServerOptions::thrown_away(home.path().join("postgres"));
    let is_root = rustix::process::geteuid().is_root();

    // As a run leaves it that was killed.
    let first = Postgres::start(&options).unwrap();
    let left = first.folder().to_owned();
    assert_eq!(left.starts_with(home.path()), !is_root, "{}", left.display());
    assert_in_use(&Postgres::start(&options).unwrap_err(), first.process().pid, &left);
    first.process().kill().unwrap();
    first.detach();
    remove_data(&options.folder).unwrap();
    assert!(!left.exists() && !options.folder.exists());

    let first = Postgres::start(&options).unwrap();
    let left = first.folder().to_owned();
    first.process().kill().unwrap();
    first.detach();
    // Nobody has cleaned up.
    let second = Postgres::start(&options).unwrap();
    assert!(!is_root || (second.folder() != left && !left.exists()), "{}", left.display());
    let data = second.folder().to_owned();
    drop(second);
    assert!(!data.exists() && !options.folder.exists());
}
