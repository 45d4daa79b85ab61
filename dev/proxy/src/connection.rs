//! One connection: what comes from either side is given to the other, after its delay.

use std::{collections::VecDeque, future::poll_fn, io, pin::pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    Behaviour,
    wire::{End, Link},
};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes that are under way in one direction; while there are more, nothing is read, so that whoever
/// sends has to wait as on a line of this capacity.
const UNDER_WAY_BYTES_MAX: usize = 256 * 1024;
/// The same in pieces, however small they are.
const UNDER_WAY_MAX: usize = 1024;

type Seen = watch::Receiver<Link>;

/// Passes a connection on until both sides have ended it, or one has broken.
pub(crate) async fn run(client: TcpStream, mut link: Seen) -> End {
    let is_open = |link: &Link| link.behaviour != Behaviour::Frozen;
    let Ok(target) = link.wait_for(is_open).await.map(|link| link.target.clone()) else {
        return End::Closed;
    };
    let server = match TcpStream::connect(&target).await {
        Ok(server) => server,
        Err(error) => {
            // The client hears that at once, and that it was not an ordered end.
            let _gone_already = client.set_zero_linger();
            let is_refused = error.kind() == io::ErrorKind::ConnectionRefused;
            return if is_refused { End::Refused } else { End::Closed };
        }
    };
    // Small packets are what request and reply protocols send; they must not wait for more.
    let _slower_then = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = Direction::new(from_client, to_server).run(link.clone());
    let back = Direction::new(from_server, to_client).run(link);
    // One that breaks takes the other with it.
    let _how = tokio::try_join!(there, back);
    End::Closed
}

/// What flows one way.
struct Direction {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    /// What was read and not written, oldest first.
    under_way: VecDeque<Piece>,
    bytes: usize,
    has_ended: bool,
}

/// Bytes that were read at once; none say that the side has ended.
struct Piece {
    came: Instant,
    bytes: Vec<u8>,
    written: usize,
}

impl Direction {
    fn new(from: OwnedReadHalf, to: OwnedWriteHalf) -> Self {
        Self { from, to, under_way: VecDeque::new(), bytes: 0, has_ended: false }
    }

    /// Passes on what comes until its end, and then ends the other side's half.
    async fn run(mut self, mut link: Seen) -> io::Result<()> {
        loop {
            let delay = match link.borrow_and_update().behaviour {
                Behaviour::Flows(delay) => Some(delay),
                // A cut ends the connection from outside.
                Behaviour::Frozen | Behaviour::Cut => None,
            };
            let due = delay.and_then(|delay| Some(self.under_way.front()?.came + delay));
            let is_due = due.is_some_and(|due| due <= Instant::now());
            if is_due && self.under_way.front().is_some_and(|piece| piece.bytes.is_empty()) {
                return self.to.shutdown().await;
            }
            let reads = delay.is_some_and(|delay| self.has_room(delay));
            let rest =
                self.under_way.front().map_or(&[][..], |piece| &piece.bytes[piece.written..]);
            tokio::select! {
                changed = link.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                written = self.to.write(rest), if is_due => {
                    let written = written?;
                    self.pass(written);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && !is_due => {}
                ready = self.from.readable(), if reads => {
                    ready?;
                    self.read(delay.unwrap_or_default()).await?;
                }
            }
        }
    }

    /// Whether more is to be read: without a delay, once what came before is written.
    fn has_room(&self, delay: Duration) -> bool {
        let has_room = if delay.is_zero() {
            self.under_way.is_empty()
        } else {
            self.bytes < UNDER_WAY_BYTES_MAX && self.under_way.len() < UNDER_WAY_MAX
        };
        has_room && !self.has_ended
    }

    /// Reads what is there. An idle connection has no buffer.
    async fn read(&mut self, delay: Duration) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        // Asked once: unlike `try_read_buf`, it knows that a short read has left nothing to read.
        let mut reading = pin!(self.from.read_buf(&mut bytes));
        let read = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await;
        match read {
            Poll::Pending => return Ok(()),
            Poll::Ready(read) => self.has_ended = read? == 0,
        }
        if !delay.is_zero() {
            // It stays for a while, and may be a single byte.
            bytes.shrink_to_fit();
        }
        self.bytes += bytes.len();
        self.under_way.push_back(Piece { came: Instant::now(), bytes, written: 0 });
        Ok(())
    }

    /// Notes that so much of the oldest piece is written.
    fn pass(&mut self, written: usize) {
        self.bytes -= written;
        if let Some(piece) = self.under_way.front_mut() {
            piece.written += written;
            if piece.written == piece.bytes.len() {
                self.under_way.pop_front();
            }
        }
    }
}
