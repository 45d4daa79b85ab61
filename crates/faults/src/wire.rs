//! The wires: by which ports of this machine what is reached.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All wires, by the names of what they lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wires(pub BTreeMap<String, Wire>);

/// One wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// The port of 127.0.0.1 at which it begins.
    pub port: u16,
    /// Where it leads, as `host:port`.
    pub target: String,
}
