//! `contracts` as it is once a service is made of the template: all of it, and the new module.

pub use contracts::*;

#[cfg(test)]
#[path = "../../../../crates/contracts/src/golden.rs"]
mod golden;
pub mod sample;
