//! A private Redis.

use std::{fs, time::Duration};

use super::{
    Launch, Member, NativeError, Owner, Place, ProcessId, Signal, find, port,
    ready::{ask, until_ready},
};

const NAME: &str = "redis";
/// How long it may take to answer; it reads its whole file of changes first.
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running Redis without a password, killed when dropped unless it was stopped or detached.
#[derive(Debug)]
pub struct Redis {
    place: Place,
    port: u16,
    process: ProcessId,
    owner: Owner,
    is_ours: bool,
}

impl Redis {
    /// Starts it and waits until it answers PING. Data that is kept goes to an append-only file. A
    /// `redis.conf` in the place's folder is read first.
    pub fn start(place: &Place) -> Result<Self, NativeError> {
        port::retry_when_busy(place, |place| {
            let server = Self::launch(place)?;
            server.wait_ready()?;
            Ok(server)
        })
    }

    fn launch(place: &Place) -> Result<Self, NativeError> {
        let owner = place.claim(NAME)?;
        let port = port::free(place.port);
        let process = spawn(place, &owner, port, false)?;
        Ok(Self { place: place.clone(), port, process, owner, is_ours: true })
    }

    /// Starts it again on the same port, after a stop or a kill.
    pub fn start_again(&mut self) -> Result<(), NativeError> {
        self.process = spawn(&self.place, &self.owner, self.port, true)?;
        self.wait_ready()
    }

    fn wait_ready(&self) -> Result<(), NativeError> {
        until_ready(NAME, self.process, &self.place.log, READY_LIMIT, || {
            ask(self.port, b"PING\r\n").is_some_and(|answer| answer.starts_with(b"+PONG"))
        })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Stops its clock.
    pub fn freeze(&self) -> Result<(), NativeError> {
        self.process.freeze()
    }

    /// Lets it run on.
    pub fn cont(&self) -> Result<(), NativeError> {
        self.process.cont()
    }

    /// Ends it as a power cut would; [`Self::start_again`] brings it back.
    pub fn kill(&self) -> Result<(), NativeError> {
        self.process.kill()
    }

    /// Ends it in order.
    pub fn stop(&self) -> Result<(), NativeError> {
        self.process.stop(Signal::TERM, STOP_GRACE).map(drop)
    }

    /// Its processes: what a later run needs to stop it.
    pub fn members(&self) -> Vec<Member> {
        vec![Member { name: NAME, process: self.process, stop_signal: Signal::TERM }]
    }

    /// Leaves it running when this value goes.
    pub fn detach(mut self) {
        self.is_ours = false;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if !self.is_ours {
            return;
        }
        let _nobody_to_tell = if self.place.keep { self.stop() } else { self.kill() };
        if !self.place.keep {
            let _nobody_to_tell = fs::remove_dir_all(&self.place.folder);
        }
    }
}

fn spawn(place: &Place, owner: &Owner, port: u16, append: bool) -> Result<ProcessId, NativeError> {
    let append_only = if place.keep { "yes" } else { "no" };
    let more = place.folder.join("redis.conf");
    Launch::new(&find::redis()?, &place.log)
        .owner(owner)?
        .append(append)
        // Its log names no zone.
        .env("TZ", "UTC")
        .current_dir(&place.folder)
        .args(more.exists().then_some(more))
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", append_only, "--daemonize", "no", "--logfile", ""])
        .spawn()
}
