//! Log lines: a fixed message, dotted fields, and the ids of the trace they belong to.

mod filter;
mod line;
mod writer;

use std::cell::Cell;

use tracing::{Event, Subscriber};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, layer};

use crate::{LogSettings, TelemetryError};
use line::LineFormat;
use writer::LogWriter;

pub(crate) use filter::parse;
pub use filter::{FilterError, LogFilter, log_filter};
pub use writer::flush_logs;

/// What a thread keeps of the memory of its lines, in bytes.
const KEPT_BYTES_MAX: usize = 4 * 1024;

thread_local! {
    /// The memory of a thread's lines, from one to the next.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The layer that writes each event as one line on standard output.
///
/// # Errors
/// The filter of the settings is none, or the system has no thread left.
pub(crate) fn layer<S>(
    settings: &LogSettings,
    service: &str,
) -> Result<impl Layer<S> + use<S>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = filter::install(&settings.filter)?;
    let format = LineFormat { format: settings.format, service: service.to_owned() };
    let notice = format.clone();
    let writer = writer::install(move |dropped| notice.dropped(dropped))?;
    Ok(Lines { format, writer }.with_filter(filter))
}

struct Lines {
    format: LineFormat,
    writer: LogWriter,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        // Taken out, since a value may log while it is formatted; there is none while the thread ends.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        self.format.event(&mut line, event);
        self.writer.push(&line);
        line.shrink_to(KEPT_BYTES_MAX);
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}
