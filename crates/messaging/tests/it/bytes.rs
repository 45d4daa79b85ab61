//! An AMQP 0-9-1 client that publishes any bytes as properties: what a well-behaved library refuses
//! to send, and another one does.

use testkit::TestBroker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Frame types of AMQP 0-9-1, section 4.2.3.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
/// The largest frame that RabbitMQ agrees to.
pub(crate) const FRAME_MAX: u32 = 131_072;

/// A connection with one channel in confirm mode.
pub(crate) struct Bytes {
    stream: TcpStream,
}

impl Bytes {
    /// Logs in and opens the channel.
    pub(crate) async fn connect(broker: &TestBroker) -> Self {
        let stream = TcpStream::connect(broker.server()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream };
        client.stream.write_all(b"AMQP\x00\x00\x09\x01").await.unwrap();
        client.expect(10, 10).await;
        let login = format!("\0{}\0{}", broker.username, broker.password);
        let start_ok = [&[0; 4][..], &short(b"PLAIN"), &long(login.as_bytes()), &short(b"en_US")];
        client.method(0, 10, 11, &start_ok.concat()).await;
        client.expect(10, 30).await;
        let tune_ok = [&2_047_u16.to_be_bytes()[..], &FRAME_MAX.to_be_bytes(), &[0, 0]];
        client.method(0, 10, 31, &tune_ok.concat()).await;
        client.method(0, 10, 40, &[&short(broker.vhost.as_bytes())[..], &[0, 0]].concat()).await;
        client.expect(10, 41).await;
        client.method(1, 20, 10, &[0]).await;
        client.expect(20, 11).await;
        client.method(1, 85, 10, &[0]).await;
        client.expect(85, 11).await;
        client
    }

    /// Publishes a message whose properties are `properties`, flags and values as they are on the
    /// wire, and waits for the broker's confirm.
    pub(crate) async fn publish(
        &mut self,
        exchange: &str,
        key: &[u8],
        properties: &[u8],
        body: &[u8],
    ) {
        let publish = [&[0, 0][..], &short(exchange.as_bytes()), &short(key), &[0]];
        self.method(1, 60, 40, &publish.concat()).await;
        let size = u64::try_from(body.len()).unwrap().to_be_bytes();
        self.frame(HEADER, 1, &[&[0, 60, 0, 0][..], &size, properties].concat()).await;
        self.frame(BODY, 1, body).await;
        self.expect(60, 80).await;
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.frame(METHOD, channel, &payload).await;
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&[kind][..], &channel.to_be_bytes(), &size, payload, &[FRAME_END]].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Waits for a method of the broker.
    async fn expect(&mut self, class: u16, method: u16) {
        let expected = [class.to_be_bytes(), method.to_be_bytes()].concat();
        loop {
            let mut head = [0; 7];
            self.stream.read_exact(&mut head).await.unwrap();
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            let mut payload = vec![0; usize::try_from(size).unwrap() + 1];
            self.stream.read_exact(&mut payload).await.unwrap();
            if head[0] == METHOD {
                let text = String::from_utf8_lossy(&payload);
                assert_eq!(payload[..4], expected, "the broker said {text}");
                return;
            }
        }
    }
}

/// Properties of which one is there: its flag, and its value on the wire.
pub(crate) fn property(flag: u16, value: &[u8]) -> Vec<u8> {
    [&flag.to_be_bytes()[..], value].concat()
}

/// The property `headers` of these entries.
pub(crate) fn headers(entries: &[Vec<u8>]) -> Vec<u8> {
    property(1 << 13, &long(&entries.concat()))
}

/// A header: its name, the tag of its type, its value on the wire.
pub(crate) fn header(name: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    [&short(name)[..], &[tag], value].concat()
}

/// A short string on the wire.
pub(crate) fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()][..], text].concat()
}

/// A long string, a table or an array on the wire.
pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}
