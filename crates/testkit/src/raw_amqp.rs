//! An AMQP 0-9-1 client that publishes any bytes as properties: what a well-behaved library refuses
//! to send, and another one does.
//!
//! The functions beside it make properties of bytes, as they are on the wire: [`property`],
//! [`headers`], [`header`], [`short`], [`long`].

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::TestBroker;

/// Frame types of AMQP 0-9-1, section 4.2.3.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
/// The largest frame that RabbitMQ agrees to.
pub const FRAME_MAX: u32 = 131_072;

/// A connection with one channel in confirm mode.
#[derive(Debug)]
pub struct RawAmqp {
    stream: TcpStream,
}

impl RawAmqp {
    /// Logs in to a test's virtual host and opens the channel.
    pub async fn connect(broker: &TestBroker) -> Self {
        let TestBroker { username, password, vhost, .. } = broker;
        Self::connect_to(&broker.server(), username, password, vhost).await
    }

    /// Logs in to the broker at `server`, `host:port`, and opens the channel.
    pub async fn connect_to(server: &str, username: &str, password: &str, vhost: &str) -> Self {
        let stream = done(TcpStream::connect(server).await, "connect");
        done(stream.set_nodelay(true), "send at once");
        let mut client = Self { stream };
        done(client.stream.write_all(b"AMQP\x00\x00\x09\x01").await, "send");
        client.expect(10, 10).await;
        let login = format!("\0{username}\0{password}");
        let start_ok = [&[0; 4][..], &short(b"PLAIN"), &long(login.as_bytes()), &short(b"en_US")];
        client.method(0, 10, 11, &start_ok.concat()).await;
        client.expect(10, 30).await;
        let tune_ok = [&2_047_u16.to_be_bytes()[..], &FRAME_MAX.to_be_bytes(), &[0, 0]];
        client.method(0, 10, 31, &tune_ok.concat()).await;
        client.method(0, 10, 40, &[&short(vhost.as_bytes())[..], &[0, 0]].concat()).await;
        client.expect(10, 41).await;
        client.method(1, 20, 10, &[0]).await;
        client.expect(20, 11).await;
        client.method(1, 85, 10, &[0]).await;
        client.expect(85, 11).await;
        client
    }

    /// Publishes a message whose properties are `properties`, flags and values as they are on the
    /// wire, and waits for the broker's confirm.
    pub async fn publish(&mut self, exchange: &str, key: &[u8], properties: &[u8], body: &[u8]) {
        let publish = [&[0, 0][..], &short(exchange.as_bytes()), &short(key), &[0]];
        self.method(1, 60, 40, &publish.concat()).await;
        let size = (body.len() as u64).to_be_bytes();
        self.frame(HEADER, 1, &[&[0, 60, 0, 0][..], &size, properties].concat()).await;
        self.frame(BODY, 1, body).await;
        self.expect(60, 80).await;
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.frame(METHOD, channel, &payload).await;
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = length(payload).to_be_bytes();
        let frame = [&[kind][..], &channel.to_be_bytes(), &size, payload, &[FRAME_END]].concat();
        done(self.stream.write_all(&frame).await, "send");
    }

    /// Waits for a method of the broker.
    async fn expect(&mut self, class: u16, method: u16) {
        let expected = [class.to_be_bytes(), method.to_be_bytes()].concat();
        loop {
            let mut head = [0; 7];
            done(self.stream.read_exact(&mut head).await, "hear the broker");
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            let mut payload = vec![0; size as usize + 1];
            done(self.stream.read_exact(&mut payload).await, "hear the broker");
            if head[0] == METHOD {
                let text = String::from_utf8_lossy(&payload);
                assert_eq!(payload[..4], expected, "the broker said {text}");
                return;
            }
        }
    }
}

/// Properties that each hold bytes which are no UTF-8, with the name of what holds them: a client
/// library whose strings are UTF-8 cannot parse the frame, and loses its connection over it.
pub fn unreadable_properties() -> Vec<(&'static str, Vec<u8>)> {
    let short_string = |flag: u16, text: &[u8]| property(1 << flag, &short(text));
    let nested = long(&header(b"\xe9", b'I', &[0, 0, 0, 1]));
    vec![
        ("content_type", short_string(15, b"text/\xe9")),
        ("content_encoding", short_string(14, b"\xe9")),
        ("correlation_id", short_string(10, b"0197c1f0-\xff")),
        ("reply_to", short_string(9, b"\xe9")),
        ("message_id", short_string(7, b"\xff\xfe")),
        ("type", short_string(5, b"\xe9")),
        ("app_id", short_string(3, b"\xe9")),
        ("cluster_id", short_string(2, b"\xe9")),
        ("a header's name", headers(&[header(b"\xe9", b'S', &long(b"x"))])),
        ("a nested name", headers(&[header(b"nested", b'F', &nested)])),
        (
            "a name in an array",
            headers(&[header(b"array", b'A', &long(&[&b"F"[..], &nested].concat()))]),
        ),
    ]
}

/// Properties of which one is there: its flag, and its value on the wire.
pub fn property(flag: u16, value: &[u8]) -> Vec<u8> {
    [&flag.to_be_bytes()[..], value].concat()
}

/// The property `headers` of these entries.
pub fn headers(entries: &[Vec<u8>]) -> Vec<u8> {
    property(1 << 13, &long(&entries.concat()))
}

/// A header: its name, the tag of its type, its value on the wire.
pub fn header(name: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    [&short(name)[..], &[tag], value].concat()
}

/// A short string on the wire.
pub fn short(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short string has 255 bytes at most");
    [&[length][..], text].concat()
}

/// A long string, a table or an array on the wire.
pub fn long(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes).to_be_bytes()[..], bytes].concat()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("what a test sends is below 4 GiB")
}

fn done<T>(result: std::io::Result<T>, doing: &str) -> T {
    result.unwrap_or_else(|error| panic!("the raw AMQP client cannot {doing}: {error}"))
}
