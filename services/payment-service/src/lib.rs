//! payment-service.

pub mod gateway;
