//! The last runs of a system.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde::{Deserialize, Serialize};

use super::RUNS_MAX;
use super::edges::Edges;
use super::run::Run;
use super::span::{Span, service};
use crate::system::State;

/// By which process a run is known: as long as any of them lives, the run goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Marks {
    /// Process ids and start times.
    processes: Vec<(u32, u64)>,
}

/// The current run, and those before it.
#[derive(Debug)]
pub(crate) struct Runs {
    folder: PathBuf,
    current: Mutex<Run>,
    /// An earlier one that somebody has looked at.
    earlier: Mutex<Option<Arc<Run>>>,
    edges: Mutex<Edges>,
}

impl Runs {
    /// Goes on with the last run when a process of it is still there; else begins another.
    pub(crate) fn open(folder: &Path, state: &State) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("create {}", folder.display()))?;
        let last = names(folder).into_iter().next();
        let goes_on = last.filter(|name| {
            let marks = fs::read(folder.join(name).join("run.json")).ok();
            let marks = marks.and_then(|text| serde_json::from_slice::<Marks>(&text).ok());
            marks.is_some_and(|marks| {
                state.processes.iter().any(|it| marks.processes.contains(&(it.pid, it.started)))
            })
        });
        let name =
            goes_on.unwrap_or_else(|| chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string());
        let run = Run::open(&folder.join(&name)).with_context(|| format!("open run {name}"))?;
        let runs = Self {
            folder: folder.to_owned(),
            current: Mutex::new(run),
            earlier: Mutex::new(None),
            edges: Mutex::default(),
        };
        runs.mark(state);
        for old in names(folder).into_iter().skip(RUNS_MAX) {
            fs::remove_dir_all(folder.join(old)).context("remove an old run")?;
        }
        Ok(runs)
    }

    /// Notes by which processes the run is known.
    pub(crate) fn mark(&self, state: &State) {
        let processes = state.processes.iter().map(|it| (it.pid, it.started)).collect();
        let marks = serde_json::to_vec(&Marks { processes }).unwrap_or_default();
        let file = self.folder.join(&self.current().name).join("run.json");
        // The next start begins a run of its own then.
        let _not_needed_to_go_on = fs::write(file, marks);
    }

    /// Takes what a service has exported.
    pub(crate) fn receive(&self, received: Vec<ResourceSpans>) -> std::io::Result<()> {
        let mut spans = Vec::new();
        for of_process in received {
            let service = service(&of_process.resource.unwrap_or_default().attributes);
            let all = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.filter_map(|span| Span::of(span, &service)));
        }
        let now = Instant::now();
        {
            let mut edges = self.edges();
            spans.iter().for_each(|span| edges.observe(span, now));
        }
        self.current().add(&spans)
    }

    /// The run that is under way.
    pub(crate) fn current(&self) -> MutexGuard<'_, Run> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes over each edge of the system.
    pub(crate) fn edges(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a run: the one of this name, or the current one.
    pub(crate) fn with<T>(&self, name: Option<&str>, look: impl FnOnce(&Run) -> T) -> Option<T> {
        match name {
            Some(name) if !name.is_empty() && name != self.current().name => {
                Some(look(&*self.earlier(name)?))
            }
            _ => Some(look(&self.current())),
        }
    }

    fn earlier(&self, name: &str) -> Option<Arc<Run>> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = earlier.as_ref().filter(|run| run.name == name) {
            return Some(Arc::clone(run));
        }
        // Only what is there: a name may hold anything.
        let name = self.names().into_iter().find(|there| there == name)?;
        let run = Arc::new(Run::open(&self.folder.join(name)).ok()?);
        *earlier = Some(Arc::clone(&run));
        Some(run)
    }

    /// The runs that there are, the newest first.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.folder)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = items.filter(|item| item.path().is_dir());
    let mut names: Vec<String> =
        folders.filter_map(|item| item.file_name().into_string().ok()).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    names
}
