//! Contracts are bytes: what was published once decodes for ever, and is written the same way.
#![allow(clippy::unwrap_used)]

mod four_fields;
mod schemas;
