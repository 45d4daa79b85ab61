//! RabbitMQ. Few tests, because a start takes seconds.

use testkit::native::{RabbitMq, ServerOptions, port, servers_in};

use crate::{ask, assert_gone, assert_in_use};

const HANDSHAKE: &[u8] = b"AMQP\0\0\x09\x01";

#[test]
fn it_answers_stands_still_comes_back_and_leaves_nothing() {
    let options = ServerOptions::temporary().unwrap();
    let mut rabbitmq = RabbitMq::start(&options).unwrap();
    assert_eq!(ask(rabbitmq.port(), HANDSHAKE)[0], 1);
    assert_eq!(overview(&rabbitmq), 200);

    assert_in_use(
        &RabbitMq::launch(&options).unwrap_err(),
        rabbitmq.process().pid,
        &options.folder,
    );
    let named = |members: Vec<testkit::native::Member>| {
        members.into_iter().map(|member| (member.name, member.process)).collect::<Vec<_>>()
    };
    assert_eq!(named(servers_in(&options.folder)), named(rabbitmq.members()));

    rabbitmq.freeze().unwrap();
    assert!(ask(rabbitmq.port(), HANDSHAKE).is_empty());
    rabbitmq.cont().unwrap();
    assert_eq!(ask(rabbitmq.port(), HANDSHAKE)[0], 1);

    rabbitmq.kill().unwrap();
    assert!(ask(rabbitmq.port(), HANDSHAKE).is_empty());
    let epmd = named(rabbitmq.members()).split_off(1);
    assert_eq!(named(servers_in(&options.folder)), epmd, "the port mapper runs on");
    rabbitmq.start_again().unwrap();
    assert_eq!(overview(&rabbitmq), 200);

    let members = rabbitmq.members();
    let port = rabbitmq.port();
    assert_eq!(members.len(), 2, "the broker and its port mapper");
    rabbitmq.stop().unwrap();
    drop(rabbitmq);
    assert_gone(&members, port, &options.folder);
}

/// The status of a request to the management API with the administrator's login.
fn overview(rabbitmq: &RabbitMq) -> u16 {
    let url = format!("{}/api/overview", rabbitmq.management_url());
    ureq::get(url).call().unwrap().status().as_u16()
}

#[test]
fn two_that_ask_for_one_port_at_the_same_time_come_up_on_two() {
    let wanted = port::free(None);
    let launch = || {
        let options = ServerOptions { port: Some(wanted), ..ServerOptions::temporary().unwrap() };
        RabbitMq::launch(&options).unwrap()
    };
    let mut both = [launch(), launch()];
    for one in &mut both {
        one.wait_ready_unless(|| false).unwrap();
    }
    assert_ne!(both[0].port(), both[1].port());
    let members = both.iter().flat_map(|server| server.members());
    assert!(members.into_iter().all(|member| member.process.is_running()));
}
