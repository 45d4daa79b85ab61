//! Load that is slow, or much: what it takes of a service, and that it gives it back.

mod hashing;
