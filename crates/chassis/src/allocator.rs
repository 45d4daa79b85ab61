//! The allocator of every service: jemalloc, which gives memory back.
//!
//! glibc keeps what it was given back, for each of up to eight arenas a core: after a few password
//! hashes of 19 MiB a service would be beyond its memory limit for good. jemalloc has blocks of 8 MiB
//! and more in an arena of their own, from which what is freed goes back to the kernel at once;
//! smaller ones go back within a second of work. And it answers more requests a second.
//!
//! Two arenas instead of four for each core, and a second instead of ten until memory goes back: a
//! service under load has 8 MB less, at the same time of the processor for each request
//! (`cargo dev bench http`: 27 MB). `.cargo/config.toml` has them built in.

/// Of every binary that links this crate.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
