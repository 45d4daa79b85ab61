//! Finds the frames in what the broker sends, and has those replaced that lapin could not parse.
//!
//! ```text
//!   type │ channel │ size   │ payload   │ 0xCE          AMQP 0-9-1, section 4.2.3
//!   u8   │ u16     │ u32    │ size bytes│ u8
//! ```
//!
//! Bodies and heartbeats pass where they were read to. Methods and headers of a message are looked
//! at once they are whole: in place too, but for the one that is cut by the end of a read.

use std::io;
use std::task::{Poll, ready};

use super::FRAME_MAX;
use super::substitute;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const FRAME_END: u8 = 0xCE;
/// Bytes before a frame's payload.
const HEAD_BYTES: usize = 7;
/// Bytes around a frame's payload.
const FRAME_BYTES: usize = HEAD_BYTES + 1;
/// The largest header of a message, in bytes, that is replaced instead of ending the connection.
/// Others may agree on frames of 128 KiB with the broker, which adds headers of its own to what they
/// filled.
const HEADER_MAX: usize = 256 * 1024;

/// Where in a frame the next byte is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes that pass before the next frame begins.
    passing: usize,
    /// A frame that is not whole yet: at most [`HEADER_MAX`].
    partial: Vec<u8>,
    /// A frame that is whole, of which so many bytes were given.
    whole: Vec<u8>,
    given: usize,
}

/// What is known of the frame that begins somewhere.
enum Frame {
    /// Its first bytes are missing.
    Unknown,
    /// So many bytes, of no interest.
    Passing(usize),
    /// So many bytes, to be looked at when they are all there.
    Checked(usize),
}

impl Frames {
    /// Reads through `read` into `buffer`, which is not empty, as [`futures_io::AsyncRead`] would.
    pub(super) fn poll_read(
        &mut self,
        buffer: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.given < self.whole.len() {
                return Poll::Ready(Ok(self.give(buffer)));
            }
            let passed = if self.partial.is_empty() {
                let count = ready!(read(buffer))?;
                if count == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.pass(&mut buffer[..count])?
            } else {
                if !ready!(self.poll_complete(&mut read))? {
                    return Poll::Ready(Ok(0));
                }
                0
            };
            if passed > 0 {
                return Poll::Ready(Ok(passed));
            }
        }
    }

    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let left = &self.whole[self.given..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.given += count;
        count
    }

    /// Looks at what was read; says how much of it passes. The rest is kept.
    fn pass(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut end = bytes.len();
        let mut at = self.passing.min(end);
        self.passing -= at;
        while at < end {
            let left = end - at;
            match Frame::at(&bytes[at..end])? {
                Frame::Passing(size) => {
                    self.passing = size - left.min(size);
                    at += left.min(size);
                }
                Frame::Checked(size) if size <= left => {
                    let checked = check(&mut bytes[at..at + size]);
                    bytes.copy_within(at + size..end, at + checked);
                    (at, end) = (at + checked, end - (size - checked));
                }
                Frame::Checked(_) | Frame::Unknown => {
                    self.partial.extend_from_slice(&bytes[at..end]);
                    return Ok(at);
                }
            }
        }
        Ok(at)
    }

    /// Reads what the partial frame lacks, and no more; false at the end of the stream.
    fn poll_complete(
        &mut self,
        read: &mut impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<bool>> {
        let have = self.partial.len();
        let need = match Frame::at(&self.partial)? {
            Frame::Unknown => HEAD_BYTES,
            Frame::Checked(size) => size,
            Frame::Passing(size) => {
                self.passing = size - have;
                self.finish();
                return Poll::Ready(Ok(true));
            }
        };
        if have < need {
            self.partial.resize(need, 0);
            let result = read(&mut self.partial[have..]);
            let count = if let Poll::Ready(Ok(count)) = result { count } else { 0 };
            self.partial.truncate(have + count);
            if ready!(result)? == 0 {
                return Poll::Ready(Ok(false));
            }
        }
        if self.partial.len() == need && need >= FRAME_BYTES {
            let checked = check(&mut self.partial);
            self.partial.truncate(checked);
            self.finish();
        }
        Poll::Ready(Ok(true))
    }

    /// The partial frame is to be given next.
    fn finish(&mut self) {
        std::mem::swap(&mut self.whole, &mut self.partial);
        self.partial.clear();
        self.given = 0;
    }
}

impl Frame {
    /// The frame that begins with `bytes`; an error when it is larger than agreed.
    fn at(bytes: &[u8]) -> io::Result<Self> {
        let kind = bytes[0];
        if ![METHOD, HEADER, BODY, HEARTBEAT].contains(&kind) {
            // A broker of another protocol: lapin tells it.
            return Ok(Self::Passing(usize::MAX));
        }
        let Some(&[_, _, _, a, b, c, d]) = bytes.first_chunk::<HEAD_BYTES>() else {
            return Ok(Self::Unknown);
        };
        let payload = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let size = payload.saturating_add(FRAME_BYTES);
        let size_max = if kind == HEADER { HEADER_MAX } else { FRAME_MAX as usize };
        if size > size_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
        }
        Ok(match kind {
            METHOD | HEADER => Self::Checked(size),
            _ => Self::Passing(size),
        })
    }
}

/// Makes a whole frame one that lapin parses; says how long it is now: as long as before unless it
/// was larger than lapin takes.
fn check(frame: &mut [u8]) -> usize {
    let is_method = frame[0] == METHOD;
    let end = frame.len() - 1;
    let payload = &mut frame[HEAD_BYTES..end];
    if is_method {
        substitute::in_method(payload);
    } else if end < FRAME_MAX as usize {
        substitute::in_header(payload);
    } else {
        let payload = substitute::without_properties(payload);
        let end = HEAD_BYTES + payload.len();
        let size = u32::try_from(payload.len()).unwrap_or_default();
        frame[3..HEAD_BYTES].copy_from_slice(&size.to_be_bytes());
        frame[HEAD_BYTES..end].copy_from_slice(&payload);
        frame[end] = FRAME_END;
        return end + 1;
    }
    frame.len()
}

#[cfg(test)]
mod tests;
