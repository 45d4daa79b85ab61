//! Discovery over real servers: etcd from the distribution, Consul's agent where `CONSUL_BIN` names
//! one, and servers built to the contract of Consul's and Kubernetes' APIs.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod balancing;
mod checks;
mod conformance;
mod consul;
mod dns;
mod ejection;
mod etcd;
mod kubernetes;
mod many;
mod registration;
mod registry;
mod support;
