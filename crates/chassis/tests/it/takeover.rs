//! A process replaced while it serves: the new one takes the listeners of the old one over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use chassis::ServerSettings;
use chassis::health::{Health, Importance};

use crate::{TestApp, management, named, open, settings};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What these tests count is no other test's.
const NAME: &str = "takeover";

async fn start(settings: ServerSettings, routes: Router) -> TestApp {
    TestApp::run(named(NAME, settings).routes(open(routes))).await
}

fn says(name: &'static str) -> Router {
    Router::new().route("/name", get(async move || name))
}

fn at(folder: &Path, name: &str, from: &str) -> ServerSettings {
    let path = |name: &str| if name.is_empty() { name.into() } else { folder.join(name) };
    ServerSettings { takeover_socket: path(name), takeover_from: path(from), ..settings() }
}

async fn until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asks until it is told to stop; counts answers. One that fails fails the task.
fn asks(url: String, keeps: bool, is_over: &Arc<AtomicBool>, answers: &Arc<AtomicUsize>) -> Asking {
    let is_over = is_over.clone();
    let answers = answers.clone();
    tokio::spawn(async move {
        let idle = if keeps { usize::MAX } else { 0 };
        let http = reqwest::Client::builder().pool_max_idle_per_host(idle).build().unwrap();
        while !is_over.load(Ordering::Relaxed) {
            let answer = http.get(&url).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.text().await.unwrap();
            answers.fetch_add(1, Ordering::Relaxed);
        }
    })
}

type Asking = tokio::task::JoinHandle<()>;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_process_is_replaced_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = start(at(folder.path(), "0", ""), says("0")).await;
    until(|| folder.path().join("0").exists()).await;
    let port = old.address.port();
    let is_over = Arc::default();
    let answers = Arc::<AtomicUsize>::default();
    let url = old.url("/name");
    let asking: Vec<Asking> =
        (0..8).map(|number| asks(url.clone(), number % 2 == 0, &is_over, &answers)).collect();
    for (from, name) in [("0", "1"), ("1", "2"), ("2", "3")] {
        let settings = ServerSettings { port, ..at(folder.path(), name, from) };
        let new = start(settings, says(name)).await;
        until(|| folder.path().join(name).exists()).await;
        old.shutdown.cancel();
        old.ended.await.unwrap().unwrap();
        assert!(!folder.path().join(from).exists());
        let seen = answers.load(Ordering::Relaxed);
        until(|| answers.load(Ordering::Relaxed) > seen + 50).await;
        assert_eq!(new.get("/name").await.text().await.unwrap(), name);
        old = new;
    }
    is_over.store(true, Ordering::Relaxed);
    for asking in asking {
        asking.await.unwrap();
    }
}

#[tokio::test]
async fn a_successor_that_is_not_ready_accepts_nothing_and_the_old_one_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    let old = start(at(folder.path(), "old", ""), says("old")).await;
    until(|| folder.path().join("old").exists()).await;
    let unready = Health::builder().check("database", Importance::Critical, async || Err("away"));
    let settings = ServerSettings { port: old.address.port(), ..at(folder.path(), "new", "old") };
    let app = named(NAME, settings).routes(open(says("new"))).health(unready);
    let new = tokio::spawn(app.bind());
    for _ in 0..50 {
        assert_eq!(old.get("/name").await.text().await.unwrap(), "old");
    }
    assert!(!new.is_finished() && !folder.path().join("new").exists());
    new.abort();
    let _aborted = new.await;

    let settings = ServerSettings { port: old.address.port(), ..at(folder.path(), "next", "old") };
    let next = start(settings, says("next")).await;
    until(|| folder.path().join("next").exists()).await;
    old.shutdown.cancel();
    old.ended.await.unwrap().unwrap();
    assert_eq!(next.get("/name").await.text().await.unwrap(), "next");
}

#[tokio::test]
async fn the_listener_for_operators_is_taken_over_too() {
    let folder = tempfile::tempdir().unwrap();
    let app = named(NAME, at(folder.path(), "old", "")).management(management());
    let old = TestApp::run(app).await;
    until(|| folder.path().join("old").exists()).await;
    let operators = old.management.unwrap();
    let settings = ServerSettings { port: old.address.port(), ..at(folder.path(), "new", "old") };
    let mut own = management();
    own.port = chassis::ManagementPort::Own(operators.port());
    let new = TestApp::run(named(NAME, settings).management(own)).await;
    until(|| folder.path().join("new").exists()).await;
    old.shutdown.cancel();
    old.ended.await.unwrap().unwrap();
    assert_eq!(new.management, Some(operators));
    let metrics = new.http.get(format!("http://{operators}/metrics")).send().await.unwrap();
    assert_eq!(metrics.status(), 200);
}

#[tokio::test]
async fn without_a_predecessor_it_opens_its_port_itself() {
    let folder = tempfile::tempdir().unwrap();
    // Of a process that was killed: the socket is there, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("killed")).unwrap());
    let app = start(at(folder.path(), "killed", "killed"), says("here")).await;
    assert_eq!(app.get("/name").await.text().await.unwrap(), "here");
    until(|| std::os::unix::net::UnixStream::connect(folder.path().join("killed")).is_ok()).await;
}

#[tokio::test]
async fn a_file_in_the_place_of_the_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "precious").unwrap();
    let app = start(at(folder.path(), "file", ""), says("here")).await;
    let error = app.ended.await.unwrap().unwrap_err();
    assert!(error.contains("cannot listen on") && error.contains("file"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap(), "precious");
}
