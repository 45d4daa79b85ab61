//! The kit's own tests: what tests stand on has to stand itself.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod broker;
mod database;
mod process;
mod proxy;
mod simulator;
mod wait;

/// Runs a test as the harness does: on a thread and in a runtime of its own. Gives what it gives,
/// once that thread has ended.
async fn a_test<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test)
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap()
}
