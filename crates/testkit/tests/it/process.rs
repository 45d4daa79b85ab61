//! Processes of services, tried with the one binary that this package has of its own.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use testkit::{Environment, ServiceProcess, binary, eventually};

fn environment() -> Environment {
    Environment::from([("HOST".to_owned(), "127.0.0.1".to_owned())])
}

fn spawn(environment: &Environment) -> ServiceProcess {
    ServiceProcess::spawn_at(Path::new(env!("CARGO_BIN_EXE_payment-simulator")), environment)
}

async fn status(url: String) -> Option<u16> {
    Some(reqwest::get(url).await.ok()?.status().as_u16())
}

#[test]
#[should_panic(expected = "run it by `cargo dev test`")]
fn a_binary_that_is_not_there_says_what_to_do() {
    if std::env::var_os("TEST_BIN_DIR").is_some() {
        // Then the message is the other one, which ends the same way.
        let _ = std::panic::catch_unwind(|| binary("no-such-service")).unwrap_err();
        panic!("run it by `cargo dev test`");
    }
    binary("no-such-service");
}

#[tokio::test]
async fn a_service_is_killed_and_comes_back_on_the_same_port() {
    let mut process = spawn(&environment());
    process.wait_until_ready().await;
    let url = process.url("/health");
    assert_eq!(status(url.clone()).await, Some(200));

    process.kill();
    assert_eq!(process.exited().unwrap().signal(), Some(9));
    assert_eq!(status(url.clone()).await, None);

    process.restart().await;
    assert_eq!(status(url).await, Some(200));
    assert_eq!(process.log().matches("listens on").count(), 2, "{}", process.log());
}

#[tokio::test]
async fn a_service_ends_in_order_when_it_is_told_to() {
    let mut process = spawn(&environment());
    process.wait_until_ready().await;
    assert!(process.terminate().await.success());
    assert!(process.terminate().await.success(), "and asking twice is no fault");
}

#[tokio::test]
async fn a_dropped_service_is_gone() {
    let mut process = spawn(&environment());
    process.wait_until_ready().await;
    let url = process.url("/health");
    drop(process);
    assert_eq!(status(url).await, None);
}

#[tokio::test]
#[should_panic(expected = "nowhere is no IP address")]
async fn a_service_that_ends_before_it_is_ready_shows_its_log() {
    let environment = Environment::from([("HOST".to_owned(), "nowhere".to_owned())]);
    let mut process = spawn(&environment);
    eventually("it has ended", async || process.exited().map(drop)).await;
    process.wait_until_ready().await;
}

#[tokio::test]
async fn a_service_sees_only_the_variables_it_was_given() {
    // Cargo sets many variables for this process; `PORT` alone must decide where the other listens.
    let mut environment = environment();
    environment.insert("PORT".to_owned(), "1".to_owned());
    let mut process = spawn(&environment);
    process.wait_until_ready().await;
    assert!(process.log_tail().contains(&process.port().to_string()));
}
