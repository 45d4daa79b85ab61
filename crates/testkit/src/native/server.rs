//! What is the same for every private server: how it is started, watched, signalled and stopped.

use std::time::Duration;

use super::{Member, NativeError, ProcessId, ServerOptions, Signal, folder::remove_data};

/// The process of a server. Dropped, it is ended unless it was detached: in order where its data is kept, at
/// once and with its folder where not.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    pub(crate) options: ServerOptions,
    pub(crate) process: ProcessId,
    /// What was started for it, and ends after it.
    pub(crate) helper: Option<(&'static str, ProcessId)>,
    stop_signal: Signal,
    /// How long it may take to end in order.
    grace: Duration,
    is_ours: bool,
}

impl Server {
    pub(crate) fn new(
        name: &'static str,
        options: &ServerOptions,
        process: ProcessId,
        stop_signal: Signal,
        grace: Duration,
    ) -> Self {
        let options = options.clone();
        Self { name, options, process, helper: None, stop_signal, grace, is_ours: true }
    }

    /// Where and how it runs.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The server's process.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Stops its clock: connections stay open, nobody answers.
    pub fn freeze(&self) -> Result<(), NativeError> {
        self.process.freeze()
    }

    /// Lets it run on.
    pub fn cont(&self) -> Result<(), NativeError> {
        self.process.cont()
    }

    /// Ends it as a power cut would; `start_again` brings it back.
    pub fn kill(&self) -> Result<(), NativeError> {
        self.process.kill()
    }

    /// Ends it in order: what it has is written, and what was started for it ends with it.
    pub fn stop(&self) -> Result<(), NativeError> {
        self.process.stop(self.stop_signal, self.grace)?;
        self.kill_helper()
    }

    /// Its processes, in the order of stopping: what a later run needs to stop it.
    pub fn members(&self) -> Vec<Member> {
        let own = Member { name: self.name, process: self.process, stop_signal: self.stop_signal };
        let helper = self.helper.map(|(name, process)| Member { name, process, ..own.clone() });
        [own].into_iter().chain(helper).collect()
    }

    /// From here on it runs on when this value goes.
    pub(crate) fn leave(&mut self) {
        self.is_ours = false;
    }

    pub(crate) fn kill_helper(&self) -> Result<(), NativeError> {
        self.helper.map_or(Ok(()), |(_, process)| process.kill())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_ours {
            return;
        }
        if self.options.keep {
            let _nobody_to_tell = self.stop();
        } else {
            let _nobody_to_tell = self.kill();
            let _nobody_to_tell = self.kill_helper();
            let _nobody_to_tell = remove_data(&self.options.folder);
        }
    }
}

/// A server of one kind is told what each of them can be.
macro_rules! is_server {
    ($kind:ty) => {
        impl std::ops::Deref for $kind {
            type Target = super::Server;

            fn deref(&self) -> &super::Server {
                &self.server
            }
        }
    };
}
pub(crate) use is_server;
