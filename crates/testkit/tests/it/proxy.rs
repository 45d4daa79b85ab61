//! The wire that can be cut and frozen.

use std::io::ErrorKind;
use std::time::Duration;

use testkit::{Proxy, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A server that says everything twice, and how to reach it.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn hear(stream: &mut TcpStream, length: usize) -> std::io::Result<String> {
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn what_is_said_passes_both_ways_and_ends_with_the_client() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let long = "x".repeat(100_000);
    say(&mut stream, &long).await;
    assert_eq!(hear(&mut stream, long.len()).await.unwrap(), long);
    assert_eq!(proxy.connections(), 1);
    drop(stream);
    eventually("the connection has ended", async || (proxy.connections() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_cut_wire_closes_and_refuses_until_it_is_restored() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut stream, "before").await;
    hear(&mut stream, 6).await.unwrap();

    proxy.cut().await;
    assert!(hear(&mut stream, 1).await.is_err());
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(proxy.connections(), 0);

    proxy.restore().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut stream, "after").await;
    assert_eq!(hear(&mut stream, 5).await.unwrap(), "after");
}

#[tokio::test]
async fn a_frozen_wire_is_silent_and_loses_nothing() {
    let proxy = Proxy::start(echo().await).await;
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut old, "before").await;
    hear(&mut old, 6).await.unwrap();

    proxy.freeze().await;
    say(&mut old, "old").await;
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut new, "new").await;
    let silence = Duration::from_millis(200);
    assert!(timeout(silence, hear(&mut old, 1)).await.is_err());
    assert!(timeout(silence, hear(&mut new, 1)).await.is_err());

    proxy.thaw().await;
    assert_eq!(hear(&mut old, 3).await.unwrap(), "old");
    assert_eq!(hear(&mut new, 3).await.unwrap(), "new");
}

#[tokio::test]
async fn a_frozen_wire_can_be_cut() {
    let proxy = Proxy::start(echo().await).await;
    proxy.freeze().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.cut().await;
    assert!(hear(&mut stream, 1).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_closes_the_connection() {
    let nobody = testkit::ports::free_port();
    let proxy = Proxy::start(format!("127.0.0.1:{nobody}")).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(hear(&mut stream, 1).await.is_err());
    proxy.cut().await;
    proxy.restore().await;
}
