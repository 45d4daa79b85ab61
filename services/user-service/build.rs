//! Migrations are compiled in: a new one is a reason to compile.

#![allow(clippy::print_stdout, reason = "cargo reads it")]

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
