//! The private servers, for real: each starts, answers, stands still, comes back and goes without
//! leaving anything.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::disallowed_methods, reason = "the tool is told where its servers are")]

#[cfg(target_os = "linux")]
mod bounds;
#[cfg(target_os = "linux")]
mod broken_off;
mod browser;
#[cfg(target_os = "linux")]
mod busy_port;
#[cfg(target_os = "linux")]
mod closed_pipe;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod doctor;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod export;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod foreground;
#[cfg(target_os = "linux")]
mod install;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod logs;
#[cfg(target_os = "linux")]
mod mcp;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod ports;
mod postgres;
#[cfg(target_os = "linux")]
mod queues;
mod rabbitmq;
mod redis;
#[cfg(target_os = "linux")]
mod replace;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod shared_server;
#[cfg(target_os = "linux")]
mod system;
#[cfg(target_os = "linux")]
mod up;
#[cfg(target_os = "linux")]
mod watch;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use testkit::native::{Member, NativeError, port};

/// How long a server that stands still is given to answer in spite of it.
const SILENCE: Duration = Duration::from_millis(600);

/// What comes back for `question` on a new connection within a moment; empty when nothing does.
fn ask(port: u16, question: &[u8]) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return Vec::new();
    };
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream.write_all(question).unwrap();
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer).unwrap_or(0);
    answer.truncate(length);
    answer
}

/// The error says who has the folder, so that the reader can do something about it.
fn assert_in_use(error: &NativeError, pid: u32, folder: &Path) {
    assert!(matches!(error, NativeError::InUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("process {pid}")), "{text}");
    assert!(text.contains(&folder.display().to_string()), "{text}");
}

/// A process that is killed when the value is dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// No process, no listener, no file is left.
fn assert_gone(members: &[Member], port: u16, folder: &Path) {
    for member in members {
        assert!(!member.process.is_running(), "{} still runs", member.name);
    }
    assert!(port::is_free(port), "somebody still listens on {port}");
    assert!(!folder.exists(), "{} is still there", folder.display());
}
