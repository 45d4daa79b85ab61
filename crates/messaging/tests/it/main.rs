//! Messaging over a real PostgreSQL and a real RabbitMQ: a database and a virtual host per test.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests spawn tasks and make ids")]

mod admin;
mod archive;
mod away;
mod batch;
mod bounds;
mod broker;
mod config;
mod connection;
mod consumer;
mod crash;
mod dead_letter_bounds;
mod dead_letter_queue;
mod dead_lettering;
mod direct;
mod erasure;
mod faults;
mod floors;
mod full_queues;
mod inbox;
mod lessons;
mod lost;
mod metrics;
mod order;
mod outbox;
mod poison;
mod process_manager;
mod raw;
mod relay;
mod returned;
mod schedule;
mod tls;
mod topology;
mod trace;
mod tried_in_place;
mod world;
