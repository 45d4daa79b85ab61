//! What runs: as `cargo dev up` has noted it, and as the kernel sees it.

mod broker;
mod faults;
mod process;
mod state;
mod survey;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub(crate) use self::faults::faults;
pub(crate) use broker::{Broker, Queue};
pub(crate) use process::Usage;
pub(crate) use state::{Addresses, Process, State};
pub(crate) use survey::{Condition, Seen, survey};

use crate::app::App;
use crate::fresh::Fresh;

/// How often it is looked whether `up` has noted something.
const POLL: Duration = Duration::from_millis(500);

/// How old what RabbitMQ has told may be.
const BROKER_AGE: Duration = Duration::from_secs(2);

/// The state that was read last.
#[derive(Debug)]
pub(crate) struct System {
    file: PathBuf,
    now: Mutex<(Option<SystemTime>, Arc<State>)>,
    survey: Fresh<Vec<Seen>>,
    broker: Fresh<anyhow::Result<Broker>>,
}

impl System {
    pub(crate) fn read(folder: &Path) -> Self {
        let system = Self {
            file: folder.join("state.json"),
            now: Mutex::default(),
            survey: Fresh::default(),
            broker: Fresh::default(),
        };
        system.look_again();
        system
    }

    /// What runs, as far as it was noted.
    pub(crate) fn now(&self) -> Arc<State> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the state when it has changed; says whether it has.
    pub(crate) fn look_again(&self) -> bool {
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

/// RabbitMQ's exchanges and queues, not older than a few seconds: it counts no faster.
pub(crate) async fn broker(app: &App) -> Option<Arc<anyhow::Result<Broker>>> {
    let ask = || {
        let (http, state) = (app.http.clone(), app.system.now());
        async move { Broker::ask(&http, &state.addresses).await }
    };
    app.system.broker.get(BROKER_AGE, ask).await
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
