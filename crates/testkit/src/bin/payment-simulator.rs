//! The payment provider's simulator as a program, for `cargo dev up` and for trying things by hand.
//!
//! ```text
//! payment-simulator [--host 127.0.0.1] [--port 3010]
//! curl -s http://127.0.0.1:3010/v1/payment_intents -H 'Authorization: Bearer sk_test_anything' \
//!      -d amount=1999 -d currency=eur -d payment_method=pm_card_visa -d confirm=true \
//!      -d 'automatic_payment_methods[enabled]=true' \
//!      -d 'automatic_payment_methods[allow_redirects]=never'
//! ```
//!
//! Without arguments the variables `HOST` and `PORT` say where it listens, as they do for a
//! service. `payment-simulator healthcheck` asks one that runs with the same variables whether it
//! listens. `FAULTS_PATH` names the file by which `cargo dev fault provider` has it answer late, decline
//! or fail. It writes one line per call to its standard output: time, method, path, status,
//! idempotency key, request id. It ends on SIGINT and SIGTERM.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use testkit::simulator::{RecordedRequest, Simulator};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tusk_config::Vars;

const PORT: u16 = 3010;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["healthcheck"] {
        let port = address(std::iter::empty(), &Vars::process())?.port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.context("it does not listen")?;
        return Ok(());
    }
    let address = address(words.into_iter(), &Vars::process())?;
    // Before the port opens, so that no signal falls between.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulator = Simulator::bind(address, |request| say(&line(request)))
        .await
        .with_context(|| format!("cannot listen on {address}; choose another --port"))?;
    if let Some(file) = Vars::process().get("FAULTS_PATH") {
        simulator.apply_faults_of(file.as_ref());
    }
    say(&format!("payment-simulator listens on {}", simulator.url()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Arguments before variables before 127.0.0.1:3010.
fn address(mut arguments: impl Iterator<Item = String>, vars: &Vars) -> anyhow::Result<SocketAddr> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    if let Some(host) = vars.get("HOST") {
        address.set_ip(ip(host)?);
    }
    if let Some(number) = vars.get("PORT") {
        address.set_port(port(number)?);
    }
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--port" => address.set_port(port(&value)?),
            "--host" => address.set_ip(ip(&value)?),
            _ => bail!(
                "unknown argument {argument}; known are healthcheck, --host ADDRESS and --port NUMBER"
            ),
        }
    }
    Ok(address)
}

fn ip(text: &str) -> anyhow::Result<IpAddr> {
    text.parse().with_context(|| format!("{text} is no IP address to listen on"))
}

fn port(text: &str) -> anyhow::Result<u16> {
    text.parse().with_context(|| format!("{text} is no port; give a number below 65536"))
}

fn line(request: &RecordedRequest) -> String {
    let RecordedRequest { id, method, path, idempotency_key, status, replayed, .. } = request;
    let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let key = idempotency_key.as_deref().unwrap_or("-");
    let replayed = if *replayed { " replayed" } else { "" };
    format!("{method} {path} {status} key={} id={id}{replayed}", key.escape_default())
}

/// A reader that went away must not end the simulator.
fn say(line: &str) {
    let time = DateTime::<Utc>::from(SystemTime::now());
    let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let _ = writeln!(std::io::stdout(), "{time} {line}");
}
