//! The notification service over HTTP and AMQP, with real servers and real mails.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod api;
mod app;
mod bad_input;
mod documents;
mod exports;
mod links;
mod mail_server;
mod messages;
mod sending;
mod smtp;
mod users;
