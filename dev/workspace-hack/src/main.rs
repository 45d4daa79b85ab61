//! Never compiled, see Cargo.toml.

fn main() {}
