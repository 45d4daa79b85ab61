//! What the tool says, on its output and its error output.
//!
//! A reader that is gone ends a command quietly, as it ends other tools: `cargo dev queues list | head`.
//! The library's own macros panic then. Those here, which stand before them in the whole crate, unwind
//! to [`until_closed`] instead, so that servers and files of the command are cleaned up on the way.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::ExitCode,
    thread,
};

use rustix::io::Errno;

/// What a shell says of a command that wrote to a closed pipe: 128 + SIGPIPE.
const CLOSED: u8 = 141;

/// Unwinds a command that nobody reads any more.
struct Closed;

macro_rules! print {
    ($($words:tt)*) => {
        $crate::output::say(std::io::stdout().lock(), format_args!($($words)*))
    };
}

macro_rules! println {
    () => { print!("\n") };
    ($($words:tt)*) => { print!("{}\n", format_args!($($words)*)) };
}

macro_rules! eprintln {
    ($($words:tt)*) => {
        $crate::output::say(std::io::stderr().lock(), format_args!("{}\n", format_args!($($words)*)))
    };
}

/// Writes it.
///
/// # Panics
///
/// When it cannot be written, and somebody reads. What is said while a command is cleaned up is lost then.
pub(crate) fn say(mut output: impl Write, words: Arguments<'_>) {
    match output.write_fmt(words) {
        Err(_) if thread::panicking() => {}
        // The terminal was closed. That is a signal (SIGHUP) too, upon which the command cleans up.
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => resume_unwind(Box::new(Closed)),
        said => said.expect("the tool can say what it has to say"),
    }
}

/// Runs a command to its end, or until it says something that nobody reads.
pub(crate) fn until_closed(run: impl FnOnce() -> ExitCode) -> ExitCode {
    // Unwind safe: nothing that it used is looked at again.
    match catch_unwind(AssertUnwindSafe(run)) {
        Err(cause) if cause.is::<Closed>() => ExitCode::from(CLOSED),
        ended => ended.unwrap_or_else(|cause| resume_unwind(cause)),
    }
}
