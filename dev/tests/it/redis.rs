//! Redis.

use testkit::native::{Place, Redis};

use crate::{ask, assert_gone};

#[test]
fn it_answers_stands_still_runs_on_and_leaves_nothing() {
    let place = Place::temporary().unwrap();
    let redis = Redis::start(&place).unwrap();
    assert_eq!(ask(redis.port(), b"PING\r\n"), b"+PONG\r\n");

    redis.freeze().unwrap();
    assert!(ask(redis.port(), b"PING\r\n").is_empty());
    redis.cont().unwrap();
    assert_eq!(ask(redis.port(), b"PING\r\n"), b"+PONG\r\n");

    let (members, port) = (redis.members(), redis.port());
    drop(redis);
    assert_gone(&members, port, &place.folder);
}

#[test]
fn it_comes_back_on_the_same_port_after_a_kill() {
    let mut redis = Redis::start(&Place::temporary().unwrap()).unwrap();
    let port = redis.port();
    redis.kill().unwrap();
    assert!(ask(port, b"PING\r\n").is_empty());
    redis.start_again().unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(ask(port, b"PING\r\n"), b"+PONG\r\n");
}

#[test]
fn kept_data_survives_an_ordered_stop() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::kept(folder.path().join("redis"));
    let redis = Redis::start(&place).unwrap();
    assert_eq!(ask(redis.port(), b"SET key value\r\n"), b"+OK\r\n");
    drop(redis);
    let redis = Redis::start(&place).unwrap();
    assert_eq!(ask(redis.port(), b"GET key\r\n"), b"$5\r\nvalue\r\n");
}

#[test]
fn a_busy_port_gives_way_to_a_free_one() {
    let first = Redis::start(&Place::temporary().unwrap()).unwrap();
    let second = Redis::start(&Place::temporary().unwrap().port(first.port())).unwrap();
    assert_ne!(first.port(), second.port());
}
