//! The payment service against real servers and processes.
#![allow(clippy::unwrap_used)]

mod gateway;
