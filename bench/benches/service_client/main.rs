//! What a guarded call costs beside the bare one: `service-client` beside `reqwest`, over loopback.
//!
//! `cargo dev bench service_client`, or `cargo bench -p bench --bench service_client`. Caller and
//! server share the machine's cores and one runtime, as two containers of a small node would.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Json, Router};
use bench::{Rates, Turn, print_table, rounds, verdict};
use discovery::{Instance, Registry};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use service_client::{Call, ClientSettings, ServiceClient};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Callers at the same time, each on a connection of its own.
const CALLERS: usize = 32;
/// Calls of each caller in one turn.
const CALLS: usize = 25;
/// Turns of both. Their ratio is taken within each round: a noisy neighbour slows both down.
const ROUNDS: usize = 150;
/// The most that the guards may add.
const OVERHEAD_MAX: f64 = 1.10;

/// What is asked for: about what user-service says of a user.
#[derive(Serialize, Deserialize)]
struct Profile {
    user_id: u64,
    email: String,
    name: String,
    status: String,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let port = runtime.block_on(serve());
    let bare = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(CALLERS).build();
    let bare = bare.unwrap();
    let guarded = client(port);
    let url = format!("http://127.0.0.1:{port}/api/users/7");
    let [bare, guarded] = rounds(
        ROUNDS,
        &[
            turn(&runtime, async || {
                let answer = bare.get(&url).timeout(Duration::from_secs(2)).send().await.unwrap();
                answer.json().await.unwrap()
            }),
            turn(&runtime, async || {
                guarded.get("/api/users/7", Call::new("get_user")).await.unwrap()
            }),
        ],
    );
    let ratio = bare.ratio_to(&guarded);
    let limit = verdict("at most 1.10 x", ratio <= OVERHEAD_MAX);
    let header = ["call over loopback", "calls/s", "us/call", "of reqwest", "limit"];
    let rows = [
        header.map(str::to_owned).to_vec(),
        row("reqwest", &bare, 1.0, ""),
        row("service-client", &guarded, ratio, &limit),
    ];
    print_table(&format!("{CALLERS} callers, {CALLS} calls each, a JSON answer"), &rows);
}

async fn serve() -> u16 {
    let show = async || {
        let email = "ada@example.com".to_owned();
        let name = "Ada Lovelace".to_owned();
        Json(Profile { user_id: 7, email, name, status: "active".to_owned() })
    };
    let router = Router::new().route("/api/users/{id}", get(show));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async { axum::serve(listener, router).await });
    port
}

fn client(port: u16) -> ServiceClient {
    let registry = Registry::empty();
    registry.register(Instance::new("user-service", "127.0.0.1", port));
    ServiceClient::new("user-service", &registry, &ClientSettings::default()).unwrap()
}

/// Gives the calls of a second.
fn turn<'a>(runtime: &'a Runtime, call: impl AsyncFn() -> Profile + 'a) -> Turn<'a> {
    Box::new(move || {
        let began = Instant::now();
        runtime.block_on(join_all((0..CALLERS).map(async |_| {
            for _ in 0..CALLS {
                assert_eq!(call().await.status, "active");
            }
        })));
        f64::from(u32::try_from(CALLERS * CALLS).unwrap()) / began.elapsed().as_secs_f64()
    })
}

fn row(name: &str, rates: &Rates, ratio: f64, limit: &str) -> Vec<String> {
    let rate = rates.median();
    let figures = [format!("{rate:.0}"), format!("{:.1}", 1e6 / rate), format!("{ratio:.2} x")];
    [&[name.to_owned()][..], &figures, &[limit.to_owned()]].concat()
}
