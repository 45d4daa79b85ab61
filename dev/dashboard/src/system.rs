//! What runs: as `cargo dev up` has noted it, and as the kernel sees it.

mod process;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub(crate) use process::Usage;
pub(crate) use state::{Addresses, Process, State};

use crate::app::App;

/// How often it is looked whether `up` has noted something.
const POLL: Duration = Duration::from_millis(500);

/// The state that was read last.
#[derive(Debug)]
pub(crate) struct System {
    file: PathBuf,
    now: Mutex<(Option<SystemTime>, Arc<State>)>,
}

impl System {
    pub(crate) fn read(folder: &Path) -> Self {
        let system = Self { file: folder.join("state.json"), now: Mutex::default() };
        system.look_again();
        system
    }

    /// What runs, as far as it was noted.
    pub(crate) fn now(&self) -> Arc<State> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the state when it has changed; says whether it has.
    fn look_again(&self) -> bool {
        let changed = std::fs::metadata(&self.file).and_then(|data| data.modified()).ok();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.0 == changed {
            return false;
        }
        // What is half there is there the next time: it is written in one step.
        *now = (changed, Arc::new(State::read(&self.file).unwrap_or_default()));
        true
    }
}

/// Follows what `up`, `restart`, `stop` and `down` note.
pub(crate) async fn watch(app: App) {
    loop {
        tokio::time::sleep(POLL).await;
        if app.system.look_again() {
            app.runs.mark(&app.system.now());
        }
    }
}
