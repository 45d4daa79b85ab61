//! Files that are made while they are sent.

use std::io::{self, BufWriter, Write};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc::{self, Sender};

/// Bytes of one part.
const PART: usize = 64 * 1024;
/// Parts that wait for whoever reads them.
const PARTS_MAX: usize = 4;

/// A file of this name, written on a thread that may wait, not faster than it is read. Where writing
/// fails, the answer is cut off.
pub(crate) fn download(
    name: &str,
    content_type: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, streamed(write)).into_response()
}

/// What is written, as it comes.
pub(crate) fn streamed(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(PARTS_MAX);
    tokio::task::spawn_blocking(move || {
        let mut writer = BufWriter::with_capacity(PART, Parts(sender.clone()));
        if let Err(error) = write(&mut writer).and_then(|()| writer.flush()) {
            // Nobody is there any more, or is told that this is not the end.
            let _gone = sender.blocking_send(Err(error));
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    }))
}

struct Parts(Sender<io::Result<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
